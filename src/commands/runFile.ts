/**
 * `run.json` in `FEEDKEEPER_DIR`: where the parts of a running service are, so
 * that `status`, `tree`, `audit` and `coverage` find a default set-up.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isObject } from "../../schema/read.ts";

export interface RunFile {
  readonly pid: number;
  /** Where HTTP answers; absent when the role is off. */
  readonly httpUrl?: string;
  /** Holds a password: the file is readable by its owner alone. */
  readonly postgresUrl?: string;
  /** REST address of the simulated venue. */
  readonly venueUrl?: string;
}

export function writeRunFile(directory: string, run: RunFile): void {
  const path = pathIn(directory);
  const text = `${JSON.stringify(run, undefined, 2)}\n`;
  // Renamed into place: whoever reads meanwhile finds all of it, old or new.
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeRunFile(directory: string): void {
  rmSync(pathIn(directory), { force: true });
}

/** What the running service wrote; undefined when none runs (a killed one leaves its file behind). */
export function readRunFile(directory: string): RunFile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(pathIn(directory), "utf8"));
  } catch {
    return undefined;
  }
  if (!isObject(value) || typeof value["pid"] !== "number") return undefined;
  if (!isRunning(value["pid"])) return undefined;
  const text = (name: string) =>
    typeof value[name] === "string" ? { [name]: value[name] } : {};
  return {
    pid: value["pid"],
    ...text("httpUrl"),
    ...text("postgresUrl"),
    ...text("venueUrl"),
  };
}

function pathIn(directory: string): string {
  return join(directory, "run.json");
}

function isRunning(pid: number): boolean {
  // A killed service's file in a container, whose processes get the same few numbers again.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // There, but somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

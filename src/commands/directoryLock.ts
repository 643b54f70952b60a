/**
 * One service a directory: spool and embedded database have one owner. The lock
 * is SQLite's, which the operating system releases however the process ends.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, describeError } from "../errors.ts";

/** @throws ConfigError when another process has the directory, or it cannot be written. */
export function lockDirectory(directory: string): Disposable {
  const path = join(directory, "lock.sqlite");
  let lock: Database | undefined;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    lock = new Database(path, { create: true });
    lock.run("begin exclusive");
  } catch (error) {
    lock?.close();
    throw new ConfigError([
      isTaken(error)
        ? `FEEDKEEPER_DIR: another feedkeeper runs in ${directory}; stop it or choose another directory`
        : `FEEDKEEPER_DIR: ${path} cannot be written (${describeError(error)})`,
    ]);
  }
  const taken = lock;
  return { [Symbol.dispose]: () => taken.close() };
}

function isTaken(error: unknown): boolean {
  return (
    error instanceof SQLiteError &&
    /^SQLITE_(BUSY|LOCKED)/.test(error.code ?? "")
  );
}

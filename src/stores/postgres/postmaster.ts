/**
 * A Postgres server seen from outside, by its `postmaster.pid`: whether it is
 * ready, whether it lives, and how it is stopped. An earlier run of the service
 * may have been killed and have left its server running.
 */
import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SECOND, sleep } from "../../clock.ts";

const LOOK_EVERY_MS = 20;

/**
 * What is sent to a server that has to go, and how long it gets for each: an
 * orderly stop (sessions are cut off), a stop that leaves recovery to the next
 * start, and the last resort. 8 s in all.
 */
const STOPPING: readonly { signal: NodeJS.Signals; waitMs: number }[] = [
  { signal: "SIGINT", waitMs: 5 * SECOND },
  { signal: "SIGQUIT", waitMs: 2 * SECOND },
  { signal: "SIGKILL", waitMs: 1 * SECOND },
];

/** Stops the server `pid`; `exited` settles when it is gone. Returns when it is, or after 8 s. */
export async function stopPostmaster(
  pid: number,
  exited: Promise<unknown>,
): Promise<void> {
  let isGone = false;
  const gone = exited.then(() => {
    isGone = true;
  });
  for (const { signal, waitMs } of STOPPING) {
    try {
      process.kill(pid, signal);
    } catch {
      // It went just now.
    }
    const timer = new AbortController();
    await Promise.race([gone, sleep(waitMs, timer.signal).catch(() => {})]);
    timer.abort();
    if (isGone) return;
  }
}

/**
 * Stops a server that an earlier run left behind on `dataDirectory`, and removes
 * what a killed one left. A process that merely got its old id is left alone.
 * The caller has to be the only one who starts servers there.
 */
export async function stopEarlier(
  dataDirectory: string,
): Promise<"stopped" | "stale" | "none"> {
  const pid = readPidFile(dataDirectory)?.pid;
  if (pid === undefined) return "none";
  const isOurs = isPostmasterOf(pid, dataDirectory);
  if (isOurs) {
    const watch = new AbortController();
    await stopPostmaster(pid, whenGone(pid, dataDirectory, watch.signal));
    watch.abort();
    if (isPostmasterOf(pid, dataDirectory))
      throw new Error(
        `the Postgres of an earlier run (process ${pid}) does not end`,
      );
  }
  rmSync(join(dataDirectory, "postmaster.pid"), { force: true });
  return isOurs ? "stopped" : "stale";
}

/** Resolves when the server `pid` accepts connections. Ends only so, or by the signal. */
export async function whenReady(
  pid: number,
  dataDirectory: string,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const file = readPidFile(dataDirectory);
    if (file?.pid === pid && file.status === "ready") return;
    await sleep(LOOK_EVERY_MS, signal);
  }
}

async function whenGone(
  pid: number,
  dataDirectory: string,
  signal: AbortSignal,
): Promise<void> {
  while (isPostmasterOf(pid, dataDirectory) && !signal.aborted)
    await sleep(LOOK_EVERY_MS);
}

/** Written by Postgres: process id in its first line, state in its eighth. */
function readPidFile(
  dataDirectory: string,
): { pid: number; status: string } | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(dataDirectory, "postmaster.pid"), "utf8").split(
      "\n",
    );
  } catch {
    return undefined;
  }
  const pid = Number(lines[0]);
  // Kill understands 0 and negative ids as groups of processes.
  if (!Number.isInteger(pid) || pid <= 1) return { pid: 0, status: "" };
  return { pid, status: (lines[7] ?? "").trim() };
}

/** Whether the live process `pid` is a server started on this directory (or on its former name). */
export function isPostmasterOf(pid: number, dataDirectory: string): boolean {
  if (pid <= 1) return false;
  if (process.platform !== "linux") {
    const { stdout } = Bun.spawnSync([
      "ps",
      "-ww",
      "-o",
      "command=",
      "-p",
      String(pid),
    ]);
    return stdout.toString().includes(`-D ${dataDirectory}`);
  }
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    if (words[words.indexOf("-D") + 1] === dataDirectory) return true;
    return (
      /postgres$/.test(words[0] ?? "") &&
      readlinkSync(`/proc/${pid}/cwd`) === dataDirectory
    );
  } catch {
    // No such process, or one of somebody else's.
    return false;
  }
}

/**
 * The name of the last run of the service in a directory. Whoever has the
 * directory's lock knows that this run is over: leases that it could not give
 * back, because it was killed or the database was away, need not lapse first.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

/** Undefined when there was none, or on another machine, which may have a lock and a copy of the directory of its own. */
export function lastSession(directory: string): string | undefined {
  try {
    const session = readFileSync(pathIn(directory), "utf8").trim();
    return session.startsWith(`${hostname()}-`) ? session : undefined;
  } catch {
    return undefined;
  }
}

export function noteSession(directory: string, session: string): void {
  writeFileSync(pathIn(directory), `${session}\n`);
}

function pathIn(directory: string): string {
  return join(directory, "session");
}

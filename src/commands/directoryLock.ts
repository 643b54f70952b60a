/**
 * One service a directory: spool and embedded database have one owner. The lock
 * is SQLite's, which the operating system releases however the process ends.
 */
import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../errors.ts";

/** @throws ConfigError when another process has the directory, or it cannot be written. */
export function lockDirectory(directory: string): Disposable {
  let lock: Database;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    lock = new Database(join(directory, "lock.sqlite"), { create: true });
  } catch (error) {
    throw new ConfigError([
      `FEEDKEEPER_DIR: ${directory} cannot be written (${String(error)})`,
    ]);
  }
  try {
    lock.run("begin exclusive");
  } catch {
    lock.close();
    throw new ConfigError([
      `FEEDKEEPER_DIR: another feedkeeper runs in ${directory}; stop it or choose another directory`,
    ]);
  }
  return { [Symbol.dispose]: () => lock.close() };
}

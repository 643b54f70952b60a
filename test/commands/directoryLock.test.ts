import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockDirectory } from "../../src/commands/directoryLock.ts";
import { ConfigError } from "../../src/errors.ts";

let above: string;
let directory: string;

beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), "feedkeeper-lock-"));
  directory = join(above, "deep", "below");
});
afterEach(() => {
  rmSync(above, { recursive: true });
});

function problemOf(take: () => unknown): string {
  try {
    take();
    return "none";
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error instanceof ConfigError ? error.problems.join("; ") : "";
  }
}

test("a directory is made, for its owner alone, and is one service's until it lets go", () => {
  const taken = `FEEDKEEPER_DIR: another feedkeeper runs in ${directory}; stop it or choose another directory`;
  {
    using _lock = lockDirectory(directory);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(problemOf(() => lockDirectory(directory))).toBe(taken);
    expect(problemOf(() => lockDirectory(directory))).toBe(taken);
    using _elsewhere = lockDirectory(join(above, "elsewhere"));
  }
  using _lock = lockDirectory(directory);
});

test("a killed process lets go", async () => {
  const module = join(import.meta.dir, "../../src/commands/directoryLock.ts");
  const child = Bun.spawn(
    [
      process.execPath,
      "-e",
      `const { lockDirectory } = await import(${JSON.stringify(module)});
       globalThis.lock = lockDirectory(${JSON.stringify(directory)});
       console.log("locked");
       setInterval(() => {}, 1000);`,
    ],
    { stdout: "pipe" },
  );
  try {
    for await (const bytes of child.stdout)
      if (Buffer.from(bytes).includes("locked")) break;
    expect(problemOf(() => lockDirectory(directory))).toContain("another");
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  using _lock = lockDirectory(directory);
});

test("a place that cannot be a directory is told as that", () => {
  const file = join(above, "file");
  writeFileSync(file, "");
  expect(problemOf(() => lockDirectory(join(file, "below")))).toStartWith(
    `FEEDKEEPER_DIR: ${file}/below/lock.sqlite cannot be written (`,
  );
});

test("a lock file that is something else is not called another service", () => {
  lockDirectory(directory)[Symbol.dispose]();
  writeFileSync(
    join(directory, "lock.sqlite"),
    "this is no database".repeat(99),
  );
  expect(problemOf(() => lockDirectory(directory))).toContain(
    "cannot be written",
  );
});

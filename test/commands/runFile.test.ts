import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  readRunFile,
  removeRunFile,
  type RunFile,
  writeRunFile,
} from "../../src/commands/runFile.ts";

/** Another process that lives as long as this one. */
const OTHER = process.ppid;

const RUN: RunFile = {
  pid: OTHER,
  httpUrl: "http://127.0.0.1:8000",
  postgresUrl: "postgres://feedkeeper:hush@127.0.0.1:5433/feedkeeper",
  venueUrl: "http://127.0.0.1:8001",
};

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-run-"));
  path = join(directory, "run.json");
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

test("what a service wrote is what others read", () => {
  writeRunFile(directory, RUN);
  expect(readRunFile(directory)).toEqual(RUN);
});

test("the last writing counts, and leaves no other file", () => {
  writeRunFile(directory, RUN);
  writeRunFile(directory, { pid: OTHER, httpUrl: "http://127.0.0.1:9000" });
  expect(readRunFile(directory)).toEqual({
    pid: OTHER,
    httpUrl: "http://127.0.0.1:9000",
  });
  expect(readdirSync(directory)).toEqual(["run.json"]);
});

test("only its owner may read it, whoever could read the one before: there is a password in it", () => {
  writeFileSync(path, "{}");
  chmodSync(path, 0o644);
  writeRunFile(directory, RUN);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("removing it twice is once", () => {
  writeRunFile(directory, RUN);
  removeRunFile(directory);
  removeRunFile(directory);
  expect(existsSync(path)).toBe(false);
  expect(readRunFile(directory)).toBeUndefined();
});

describe("no service runs", () => {
  test.each([
    ["where there is no directory", undefined],
    ["where the file is empty", ""],
    ["where it was cut off", '{ "pid": 1'],
    ["where it is no object", "[1]"],
    ["where no process is named", '{ "httpUrl": "http://127.0.0.1:1" }'],
    ["where the process is no number", `{ "pid": "${OTHER}" }`],
  ])("%s", (_where, text) => {
    if (text === undefined)
      return expect(readRunFile(join(directory, "nowhere"))).toBeUndefined();
    writeFileSync(path, text);
    expect(readRunFile(directory)).toBeUndefined();
  });

  test("where the process has gone", async () => {
    const child = Bun.spawn([process.execPath, "-e", ""]);
    await child.exited;
    writeRunFile(directory, { ...RUN, pid: child.pid });
    expect(readRunFile(directory)).toBeUndefined();
  });

  test("where the process is the one that asks: numbers come again", () => {
    writeRunFile(directory, { ...RUN, pid: process.pid });
    expect(readRunFile(directory)).toBeUndefined();
  });
});

test("members of a wrong kind, or that nobody knows, are left out", () => {
  writeFileSync(
    path,
    JSON.stringify({
      pid: OTHER,
      httpUrl: 8000,
      venueUrl: "http://v",
      more: 1,
    }),
  );
  expect(readRunFile(directory)).toEqual({ pid: OTHER, venueUrl: "http://v" });
});

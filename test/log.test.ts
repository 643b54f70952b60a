import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createLogger,
  type Logger,
  type LogLevel,
  silentLogger,
} from "../src/log.ts";

const NOW = "2026-09-16T14:00:00.250Z";

let lines: string[];

beforeEach(() => {
  lines = [];
  jest.useFakeTimers();
  jest.setSystemTime(new Date(NOW));
});
afterEach(() => {
  jest.useRealTimers();
});

function logger(level?: LogLevel): Logger {
  return createLogger({
    ...(level === undefined ? {} : { level }),
    destination: { write: (line) => void lines.push(line) },
  });
}

/** The lines as objects; each of them has to be one whole line. */
function logged(): unknown[] {
  return lines.map((line) => {
    expect(line).toMatch(/^\{[^\n]*\}\n$/);
    return JSON.parse(line);
  });
}

describe("a line", () => {
  test("is one JSON object: time, level, event, then the fields", () => {
    logger().info(
      { actor: "sinks/postgres", records: 3, elapsed: 0.25 },
      "batch_written",
    );
    expect(logged()).toEqual([
      {
        time: NOW,
        level: "INFO",
        message: "batch_written",
        actor: "sinks/postgres",
        records: 3,
        elapsed: 0.25,
      },
    ]);
  });

  test("has no process, host or number of a level in it, and keeps breaks of lines to itself", () => {
    logger().warn({ account: "two\nlines", odd: undefined, big: 10n }, "event");
    expect(logged()).toEqual([
      {
        time: NOW,
        level: "WARN",
        message: "event",
        account: "two\nlines",
        big: 10,
      },
    ]);
  });

  test("of something that refers to itself is written all the same", () => {
    const circle: Record<string, unknown> = { name: "circle" };
    circle["self"] = circle;
    logger().info({ circle }, "event");
    expect(logged()).toHaveLength(1);
  });

  test.each<[level: LogLevel | undefined, written: string[]]>([
    ["DEBUG", ["DEBUG", "INFO", "WARN", "ERROR"]],
    ["INFO", ["INFO", "WARN", "ERROR"]],
    [undefined, ["INFO", "WARN", "ERROR"]],
    ["WARN", ["WARN", "ERROR"]],
    ["ERROR", ["ERROR"]],
  ])("below %s is not written", (level, written) => {
    const log = logger(level);
    log.debug("event");
    log.info("event");
    log.warn("event");
    log.error("event");
    expect(
      lines.map(
        (line) =>
          Object.entries(JSON.parse(line)).find(
            ([name]) => name === "level",
          )?.[1],
      ),
    ).toEqual(written);
  });

  test("of the logger that keeps nothing is none", () => {
    expect(silentLogger.isLevelEnabled("fatal")).toBe(false);
  });
});

describe("an error", () => {
  test("is told with its name, its stack and what caused it, to the end", () => {
    const root = new RangeError("ECONNREFUSED");
    const error = new Error("orders page", {
      cause: new TypeError("no answer", { cause: root }),
    });
    logger().error({ error }, "failed");
    expect(logged()).toEqual([
      {
        time: NOW,
        level: "ERROR",
        message: "failed",
        error: {
          name: "Error",
          message: "orders page",
          stack: expect.stringContaining("log.test.ts"),
          cause: {
            name: "TypeError",
            message: "no answer",
            stack: expect.any(String),
            cause: {
              name: "RangeError",
              message: "ECONNREFUSED",
              stack: expect.any(String),
            },
          },
        },
      },
    ]);
  });

  test.each([["text"], [null], [{ code: 7 }]])(
    "that is none is told as it is: %j",
    (error) => {
      logger().error({ error }, "failed");
      expect(logged()).toEqual([
        { time: NOW, level: "ERROR", message: "failed", error },
      ]);
    },
  );
});

describe("no secret reaches a line", () => {
  test.each([
    "key",
    "secret",
    "secretKey",
    "secret_key",
    "password",
    "token",
    "apiToken",
    "apiKey",
    "authorization",
    "Authorization",
    "keyId",
    "key_id",
    "APCA-API-KEY-ID",
    "APCA-API-SECRET-KEY",
  ])("as %s, at the top or below", (name) => {
    const log = logger("DEBUG");
    const secret = { [name]: "hush", other: "shown" };
    log.debug({ ...secret, a: secret, b: { c: secret } }, "event");
    const told = { [name]: "[redacted]", other: "shown" };
    expect(logged()).toEqual([
      {
        time: NOW,
        level: "DEBUG",
        message: "event",
        ...told,
        a: told,
        b: { c: told },
      },
    ]);
  });

  test.each([
    [
      "postgres://me:hush@db:5432/keep?sslmode=require",
      "postgres://me:[redacted]@db:5432/keep?sslmode=require",
    ],
    // Written by hand, with an at sign in the password.
    ["postgres://me:hu@sh@db/keep", "postgres://me:[redacted]@db/keep"],
    ["redis://:hush@cache:6379", "redis://:[redacted]@cache:6379"],
    [
      "https://api.polygon.io/v2/aggs?limit=5&apiKey=hush&sort=asc",
      "https://api.polygon.io/v2/aggs?limit=5&apiKey=[redacted]&sort=asc",
    ],
    [
      "postgres://db/keep?user=me&password=hush",
      "postgres://db/keep?user=me&password=[redacted]",
    ],
    ["http://127.0.0.1:8000/health", "http://127.0.0.1:8000/health"],
    ["at 10:30, mail me@home", "at 10:30, mail me@home"],
  ])("in a URL: %s", (text, told) => {
    const error = new Error(`cannot dial ${text} now`, {
      cause: new Error(text),
    });
    logger().error({ url: text, error, list: [text] }, "failed");
    expect(lines.join("")).not.toContain("hush");
    expect(logged()).toEqual([
      expect.objectContaining({
        url: told,
        list: [told],
        error: expect.objectContaining({
          message: `cannot dial ${told} now`,
          cause: expect.objectContaining({ message: told }),
        }),
      }),
    ]);
  });
});

describe("standard output", () => {
  /** What a process of its own prints, for the logger there writes to the terminal itself. */
  async function printed(options: string): Promise<string[]> {
    const directory = mkdtempSync(join(tmpdir(), "feedkeeper-log-"));
    try {
      const script = join(directory, "log.ts");
      writeFileSync(
        script,
        `import { createLogger } from ${JSON.stringify(join(import.meta.dir, "../src/log.ts"))};
         const log = createLogger(${options});
         log.info({ actor: "http", key: "hush" }, "actor_started");
         log.error({ error: new Error("gone: postgres://me:hush@db") }, "actor_failed");
         process.exit();`,
      );
      const child = Bun.spawn([process.execPath, script], {
        stderr: "inherit",
      });
      const text = await new Response(child.stdout).text();
      expect(await child.exited).toBe(0);
      expect(text).not.toContain("hush");
      return text.trimEnd().split("\n");
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  test("has one object a line, none lost by an exit right after", async () => {
    const [first = "", second = "", ...more] = await printed("{}");
    expect(more).toEqual([]);
    expect(JSON.parse(first)).toMatchObject({
      message: "actor_started",
      key: "[redacted]",
    });
    expect(JSON.parse(second)).toMatchObject({
      level: "ERROR",
      error: { message: "gone: postgres://me:[redacted]@db" },
    });
  });

  test("has lines for people when that is wanted", async () => {
    const [first, second, third, fourth] = await printed(
      '{ format: "pretty" }',
    );
    expect(first).toMatch(/^\[\d\d:\d\d:\d\d\] INFO: actor_started$/);
    expect([second, third]).toEqual([
      '    actor: "http"',
      '    key: "[redacted]"',
    ]);
    expect(fourth).toMatch(/^\[\d\d:\d\d:\d\d\] ERROR: actor_failed$/);
  });
});

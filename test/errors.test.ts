import { describe, expect, test } from "bun:test";
import {
  ConfigError,
  describeError,
  SpoolFullError,
  VenueError,
  type VenueFailure,
} from "../src/errors.ts";

describe("an error in a line", () => {
  const cases: [line: string, error: unknown][] = [
    ["gone", new Error("gone")],
    ["TypeError", new TypeError("")],
    [
      "orders page: no answer: ECONNRESET",
      new Error("orders page", {
        cause: new Error("no answer", { cause: "ECONNRESET" }),
      }),
    ],
    [
      "two lines of it: and more",
      new Error("two\nlines  \r\n  of it\n", { cause: new Error("and\nmore") }),
    ],
    [
      "PORT is wrong HOST is wrong",
      new ConfigError(["PORT is wrong", "HOST is wrong"]),
    ],
    [
      "full: ENOSPC",
      new SpoolFullError("full", { cause: new Error("ENOSPC") }),
    ],
    ["thrown text", "thrown text"],
    ["undefined", undefined],
    ["null", null],
    ["42", 42],
  ];
  test.each(cases)("%s", (line, error) => {
    expect(describeError(error)).toBe(line);
  });
});

test("a wrong configuration keeps every problem, and shows all of them", () => {
  const { problems, message, name } = new ConfigError(["one", "two"]);
  expect({ problems, message, name }).toEqual({
    problems: ["one", "two"],
    message: "one\ntwo",
    name: "ConfigError",
  });
});

describe("a venue that did not answer as asked", () => {
  test.each<[failure: VenueFailure, retry: boolean]>([
    ["refused", false],
    ["throttled", true],
    ["unavailable", true],
    ["absent", false],
    ["rejected", false],
  ])("%s: asking again may help: %p", (failure, retry) => {
    expect(new VenueError("no", { failure }).shouldRetry()).toBe(retry);
  });

  test("keeps what it said, and what was behind it", () => {
    const cause = new Error("socket closed");
    const error = new VenueError("429 from /v2/orders", {
      failure: "throttled",
      status: 429,
      retryAfterMs: 1500,
      cause,
    });
    const { message, name, failure, status, retryAfterMs } = error;
    expect({ message, name, failure, status, retryAfterMs }).toEqual({
      message: "429 from /v2/orders",
      name: "VenueError",
      failure: "throttled",
      status: 429,
      retryAfterMs: 1500,
    });
    expect(error.cause).toBe(cause);
  });
});

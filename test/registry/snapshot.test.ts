import { expect, test } from "bun:test";
import { validateSnapshot } from "../../src/registry/snapshot.ts";

const VALUES = { o: 10, h: 12, l: 9, c: 11, v: 5 };
const ZERO = { o: 0, h: 0, l: 0, c: 0, v: 0 };
const values = { open: 10, high: 12, low: 9, close: 11, volume: 5 };
const of = (min: unknown, day: unknown = ZERO, prevDay: unknown = ZERO) => ({
  status: "OK",
  ticker: { min, day, prevDay },
});
const refused = (reason: string) => ({ isValid: false, reason });

test.each([
  ["the last minute", of(VALUES), { isValid: true, of: "min", values }],
  [
    "a volume of none with prices",
    of({ ...VALUES, v: 0 }),
    { isValid: true, of: "min", values: { ...values, volume: 0 } },
  ],
  [
    "the early morning, when the minute is all zeros: the day",
    of(ZERO, VALUES),
    { isValid: true, of: "day", values },
  ],
  [
    "before the first trade of the day: the day before",
    of(ZERO, ZERO, VALUES),
    { isValid: true, of: "prevDay", values },
  ],
  [
    "zeros everywhere",
    of(ZERO),
    refused("no value yet: the session has not begun"),
  ],
  [
    "an error of the venue",
    { status: "error", error: "no plan" },
    refused("no plan"),
  ],
  ["an error without a text", { status: "ERROR" }, refused("Unknown error")],
  ["no ticker", { status: "OK" }, refused("Missing ticker data")],
  [
    "no minute",
    { ticker: { day: VALUES } },
    refused("Missing OHLCV keys: o, h, l, c, v"),
  ],
  [
    "a minute that lacks something",
    of({ o: 10, l: 9, c: 11 }, VALUES),
    refused("Missing OHLCV keys: h, v"),
  ],
  [
    "a high below the close",
    of({ ...VALUES, h: 10.5 }),
    refused("min: high is not the highest"),
  ],
  [
    "a low above the open",
    of({ ...VALUES, l: 10.5 }),
    refused("min: low is not the lowest"),
  ],
  [
    "a negative volume",
    of({ ...VALUES, v: -1 }),
    refused("min: volume is negative"),
  ],
  [
    "words for numbers",
    of({ ...VALUES, c: "high" }),
    refused("no value yet: the session has not begun"),
  ],
])("of %s", (_, value, expected) => {
  expect<unknown>(validateSnapshot({ raw: "", value })).toEqual(expected);
});

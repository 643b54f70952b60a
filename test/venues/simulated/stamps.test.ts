import { describe, expect, test } from "bun:test";
import {
  bookingId,
  fillId,
  microText,
  nanosOfMs,
  nanoText,
  publishedText,
  sortable,
  sortableStamp,
  ulid,
} from "../../../src/venues/simulated/stamps.ts";
import { nanosOf } from "../../../schema/instant.ts";

const UUID = "fc1f73e1-a5c2-4d43-81ec-fb503c42ca5c";

function nanos(text: string): bigint {
  const read = nanosOf(text);
  if (read === undefined) throw new Error(`${text} is no instant`);
  return read;
}

describe("an execution is shown by REST to the nearest microsecond, and its id to the millisecond, cut, in New York", () => {
  test.each([
    // Measured at the real venue.
    ["2026-10-08T15:10:18.097464903Z", "18.097465", "20261008111018097"],
    ["2026-10-08T15:10:19.061298673Z", "19.061299", "20261008111019061"],
    ["2026-10-08T15:10:40.503140928Z", "40.503141", "20261008111040503"],
    ["2026-10-08T15:10:42.191100621Z", "42.191101", "20261008111042191"],
    ["2026-10-08T15:10:19.730663084Z", "19.730663", "20261008111019730"],
    ["2026-10-08T15:10:24.01080215Z", "24.010802", "20261008111024010"],
    ["2022-02-02T18:55:09.981482Z", "09.981482", "20220202135509981"],
    // What rounding carries over: into the next millisecond, second, day, year.
    ["2026-10-08T15:10:18.0974995Z", "18.0975", "20261008111018097"],
    ["2026-10-08T15:10:18.0979995Z", "18.098", "20261008111018098"],
    ["2026-10-08T15:10:18.9999995Z", "19", "20261008111019000"],
    ["2026-10-09T03:59:59.9999996Z", "00", "20261009000000000"],
    ["2027-01-01T04:59:59.9999999Z", "00", "20270101000000000"],
    // The hour that comes twice, and the one that never is.
    ["2026-11-01T05:30:00.5Z", "00.5", "20261101013000500"],
    ["2026-11-01T06:30:00.25Z", "00.25", "20261101013000250"],
    ["2026-03-08T06:59:59.999Z", "59.999", "20260308015959999"],
    ["2026-03-08T07:00:00Z", "00", "20260308030000000"],
  ])("%s", (stream, seconds, stamp) => {
    const at = nanos(stream);
    expect(microText(at).slice(17)).toBe(`${seconds}Z`);
    expect(fillId(at, UUID)).toBe(`${stamp}::${UUID}`);
  });
});

test("what is no trade is named by its UTC day, without a time of day", () => {
  // Still the day before in New York.
  const at = nanos("2026-09-01T00:06:54Z");
  expect(bookingId(at, UUID)).toBe(`20260901000000000::${UUID}`);
});

test.each([
  ["2026-09-18T13:24:50.034105424Z", "2026-09-18T13:24:50.034105424Z"],
  ["2026-09-18T13:24:50.0189533Z", "2026-09-18T13:24:50.0189533Z"],
  ["2026-09-18T13:24:50.000000000Z", "2026-09-18T13:24:50Z"],
  ["2026-09-18T13:24:50Z", "2026-09-18T13:24:50Z"],
  ["2026-09-18T13:24:00Z", "2026-09-18T13:24:00Z"],
])("on the stream zeros at the end are cut: %s", (text, shown) => {
  expect(nanoText(nanos(text))).toBe(shown);
});

test("the time of publishing is cut to microseconds, not rounded", () => {
  expect(publishedText(nanos("2026-09-18T13:24:50.019303999Z"))).toBe(
    "2026-09-18T13:24:50.019303Z",
  );
});

test.each<[given: string, kept: string | undefined]>([
  ["2026-09-18", "2026-09-18T00:00:00.000000000Z"],
  ["2026-09-18T13:24:50Z", "2026-09-18T13:24:50.000000000Z"],
  ["2026-09-18T09:24:50.0341-04:00", "2026-09-18T13:24:50.034100000Z"],
  ["2026-09-18T13:24:50.0341054249Z", "2026-09-18T13:24:50.034105424Z"],
  ["1969-12-31T23:59:59.25Z", "1969-12-31T23:59:59.250000000Z"],
  ["2026-06-31", undefined],
  ["2026-09-18T13:24:50", undefined],
  ["5", undefined],
  ["yesterday", undefined],
  ["", undefined],
])("texts that sort as their times do: %p is kept as %p", (given, kept) => {
  expect(sortable(given)).toBe(kept);
});

test("milliseconds with a fraction keep it", () => {
  expect(sortableStamp(nanosOfMs(1_700_000_000_123.25))).toBe(
    "2023-11-14T22:13:20.123250000Z",
  );
});

describe("a ULID", () => {
  test("begins with the millisecond as a recorded one does", () => {
    const at = Date.parse("2026-09-18T13:24:50.019Z");
    expect(ulid(at, 1)).toBe("01M2TB1W730000000000000001");
  });

  test("rises within one millisecond and from one to the next", () => {
    const ids = [ulid(5, 31), ulid(5, 32), ulid(5, 1024), ulid(6, 1)];
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids.map(({ length }) => length))).toEqual(new Set([26]));
  });
});

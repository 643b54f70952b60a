/** Instants to the microsecond, and New York's clock. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  isoOfMicros,
  microsOf,
  msOfNewYork,
  nanosOf,
  newYorkDay,
  newYorkStamp,
  storedTime,
} from "../../schema/instant.ts";
import { DAY, HOUR } from "../../src/clock.ts";

describe("reading a venue's time", () => {
  test.each([
    // Nanoseconds go to the nearest microsecond, half of one up.
    ["2026-09-18T13:24:50.019303395Z", "2026-09-18T13:24:50.019303Z"],
    ["2026-10-08T15:10:18.097464903Z", "2026-10-08T15:10:18.097465Z"],
    ["2026-09-18T13:24:50.0000004Z", "2026-09-18T13:24:50.000000Z"],
    ["2026-09-18T13:24:50.0000005Z", "2026-09-18T13:24:50.000001Z"],
    // What rounds up may be the next millisecond, second, day, year.
    ["2026-09-18T13:24:50.0199995Z", "2026-09-18T13:24:50.020000Z"],
    ["2026-09-18T13:24:50.019999499Z", "2026-09-18T13:24:50.019999Z"],
    ["2026-09-18T13:24:59.9999995Z", "2026-09-18T13:25:00.000000Z"],
    ["2026-12-31T23:59:59.999999999Z", "2027-01-01T00:00:00.000000Z"],
    ["2028-02-28T23:59:59.9999995Z", "2028-02-29T00:00:00.000000Z"],
    ["1969-12-31T23:59:59.9999995Z", "1970-01-01T00:00:00.000000Z"],
    ["1969-12-31T23:59:59.9999994Z", "1969-12-31T23:59:59.999999Z"],
    // Digits cut by the venue are zeros.
    ["2026-09-18T13:24:50.03451Z", "2026-09-18T13:24:50.034510Z"],
    ["2026-09-18T13:24:50.5Z", "2026-09-18T13:24:50.500000Z"],
    ["2026-09-18T13:24:50Z", "2026-09-18T13:24:50.000000Z"],
    // Beyond nanoseconds nothing counts.
    ["2026-09-18T13:24:50.000000499999Z", "2026-09-18T13:24:50.000000Z"],
    // Zones, as older frames mix them.
    ["2022-04-19T13:45:04.981350886-04:00", "2022-04-19T17:45:04.981351Z"],
    ["2022-01-19T13:45:04-05:00", "2022-01-19T18:45:04.000000Z"],
    ["2022-04-19T00:15:00+05:30", "2022-04-18T18:45:00.000000Z"],
    ["2022-04-19T00:15:00+0530", "2022-04-18T18:45:00.000000Z"],
    ["2022-04-19t00:15:00z", "2022-04-19T00:15:00.000000Z"],
    ["2022-04-19 00:15:00Z", "2022-04-19T00:15:00.000000Z"],
    ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000Z"],
    // Go's zero time; JavaScript takes the years before 100 for those of the last century.
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"],
    ["0099-12-31T23:59:59Z", "0099-12-31T23:59:59.000000Z"],
    // So far away a number holds no microseconds any more: the second it is.
    ["9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.000000Z"],
    ["2255-01-01T00:00:00.123456Z", "2255-01-01T00:00:00.123456Z"],
  ])("%s is %s", (text, iso) => {
    expect(isoOfMicros(microsOf(text) ?? Number.NaN)).toBe(iso);
    expect(storedTime(text)).toBe(iso);
  });

  test.each([
    "",
    "2026-09-18",
    "2026-09-18T13:24:50",
    "2026-09-18T13:24Z",
    "2026-09-18T13:24:50.Z",
    "2026-09-18T13:24:50.1234567890123Z",
    " 2026-09-18T13:24:50Z",
    "2026-09-18T13:24:50Z\n",
    "2026-9-18T13:24:50Z",
    "1789000000",
    "2023-02-29T00:00:00Z",
    "2026-06-31T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-09-00T00:00:00Z",
    "2026-09-18T24:00:00Z",
    "2026-09-18T23:60:00Z",
    "2026-09-18T23:59:60Z",
    "2026-09-18T23:59:59+24:00",
    "2026-09-18T23:59:59-05:60",
  ])("%p is no time", (text) => {
    expect(microsOf(text)).toBeUndefined();
    expect(nanosOf(text)).toBeUndefined();
    expect(storedTime(text)).toBeUndefined();
  });

  const nanos = fc.bigInt({ min: -(10n ** 18n), max: 4n * 10n ** 18n });

  /** Nine decimals with the zeros behind them cut, as the stream writes them. */
  function streamText(at: bigint): string {
    const fraction = ((at % 10n ** 9n) + 10n ** 9n) % 10n ** 9n;
    const seconds = new Date(Number((at - fraction) / 10n ** 6n));
    const decimals = `.${String(fraction).padStart(9, "0")}`;
    return `${seconds.toISOString().slice(0, 19)}${decimals.replace(/\.?0+$/, "")}Z`;
  }

  test("nanoseconds are read to the last one, and microseconds are the nearest", () => {
    fc.assert(
      fc.property(nanos, (at) => {
        const text = streamText(at);
        expect(nanosOf(text)).toBe(at);
        const micros = BigInt(microsOf(text) ?? Number.NaN);
        const remainder = at - micros * 1000n;
        expect(-500n <= remainder && remainder < 500n).toBe(true);
      }),
    );
  });

  test("what is stored is the nearest microsecond, however it is written", () => {
    fc.assert(
      fc.property(nanos, (at) => {
        const text = streamText(at);
        expect(storedTime(text)).toBe(
          isoOfMicros(microsOf(text) ?? Number.NaN),
        );
      }),
    );
  });

  test("what is written is read back", () => {
    fc.assert(
      fc.property(
        fc.integer({
          min: Date.UTC(1700, 0) * 1000,
          max: Date.UTC(2250, 0) * 1000,
        }),
        (micros) => {
          expect(microsOf(isoOfMicros(micros))).toBe(micros);
        },
      ),
    );
  });
});

describe("New York", () => {
  test.each([
    ["2026-10-08T15:10:18.097465Z", "20261008111018097"],
    ["2026-10-08T15:10:18.097999Z", "20261008111018097"],
    ["2022-02-02T18:55:09.981482Z", "20220202135509981"],
    // Midnight, in summer and in winter.
    ["2026-07-01T03:59:59.999999Z", "20260630235959999"],
    ["2026-07-01T04:00:00Z", "20260701000000000"],
    ["2026-01-01T04:59:59.999999Z", "20251231235959999"],
    ["2026-01-01T05:00:00Z", "20260101000000000"],
    // Spring: an hour is missing.
    ["2026-03-08T06:59:59.999999Z", "20260308015959999"],
    ["2026-03-08T07:00:00Z", "20260308030000000"],
    // Autumn: an hour comes twice.
    ["2026-11-01T05:30:00Z", "20261101013000000"],
    ["2026-11-01T05:59:59.999999Z", "20261101015959999"],
    ["2026-11-01T06:00:00Z", "20261101010000000"],
    ["2026-11-01T06:30:00Z", "20261101013000000"],
    ["2026-11-01T07:00:00Z", "20261101020000000"],
  ])("at %s the clock shows %s", (text, stamp) => {
    const micros = microsOf(text) ?? Number.NaN;
    expect(newYorkStamp(micros)).toBe(stamp);
    expect(newYorkDay(micros / 1000)).toBe(
      stamp.replace(/^(\d{4})(\d\d)(\d\d).*/, "$1-$2-$3"),
    );
  });

  test.each([
    ["2026-07-01", 9.5, "2026-07-01T13:30:00.000Z"],
    ["2026-01-05", 9.5, "2026-01-05T14:30:00.000Z"],
    ["2026-03-08", 0, "2026-03-08T05:00:00.000Z"],
    ["2026-03-08", 1.5, "2026-03-08T06:30:00.000Z"],
    ["2026-03-08", 3, "2026-03-08T07:00:00.000Z"],
    ["2026-03-08", 24, "2026-03-09T04:00:00.000Z"],
    ["2026-11-01", 0, "2026-11-01T04:00:00.000Z"],
    // The first of the two.
    ["2026-11-01", 1, "2026-11-01T05:00:00.000Z"],
    ["2026-11-01", 1.5, "2026-11-01T05:30:00.000Z"],
    ["2026-11-01", 2, "2026-11-01T07:00:00.000Z"],
    ["2026-11-01", 24, "2026-11-02T05:00:00.000Z"],
  ])("on %s, %p hours by the clock, it is %s", (day, hours, iso) => {
    expect(new Date(msOfNewYork(day, hours * HOUR)).toISOString()).toBe(iso);
  });

  const spring = Date.parse("2026-03-08T07:00:00Z");
  const autumn = Date.parse("2026-11-01T06:00:00Z");
  const instant = fc.oneof(
    fc.integer({
      min: Date.parse("1970-01-01T00:00:00Z"),
      max: Date.parse("2099-01-01T00:00:00Z"),
    }),
    fc.integer({ min: spring - DAY, max: spring + DAY }),
    fc.integer({ min: autumn - DAY, max: autumn + DAY }),
  );
  const reference = new Intl.DateTimeFormat("sv-SE", {
    timeZone: "America/New_York",
    dateStyle: "short",
    timeStyle: "medium",
  });

  test("the clock is that of the time zone's own formatter, at any instant", () => {
    fc.assert(
      fc.property(instant, fc.nat({ max: 999 }), (ms, micros) => {
        const digits = reference.format(ms).replace(/\D/g, "");
        expect(newYorkStamp(ms * 1000 + micros)).toBe(
          `${digits}${String(ms % 1000).padStart(3, "0")}`,
        );
        expect(newYorkDay(ms).replaceAll("-", "")).toBe(digits.slice(0, 8));
      }),
      { numRuns: 500 },
    );
  });

  test("day and clock give the instant back; of an hour that comes twice, the first", () => {
    const isTwice = (ms: number) =>
      newYorkStamp((ms - HOUR) * 1000) === newYorkStamp(ms * 1000);
    fc.assert(
      fc.property(instant, (ms) => {
        const stamp = newYorkStamp(ms * 1000);
        const clock = stamp.replace(
          /^.{8}(\d\d)(\d\d)(\d\d)(\d{3})/,
          "$1:$2:$3.$4",
        );
        const clockMs = Date.parse(`1970-01-01T${clock}Z`);
        expect(msOfNewYork(newYorkDay(ms), clockMs)).toBe(
          isTwice(ms) ? ms - HOUR : ms,
        );
      }),
      { numRuns: 500 },
    );
  });
});

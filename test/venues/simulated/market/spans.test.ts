import { expect, test } from "bun:test";
import { spanOf } from "../../../../src/venues/simulated/market/spans.ts";

test.each<
  [timeframe: string, crypto: boolean, at: string, from: string, to: string]
>([
  [
    "1Min",
    false,
    "2026-09-16T14:00:59.999Z",
    "2026-09-16T14:00:00Z",
    "2026-09-16T14:01:00Z",
  ],
  [
    "15T",
    false,
    "2026-09-16T14:29:00Z",
    "2026-09-16T14:15:00Z",
    "2026-09-16T14:30:00Z",
  ],
  [
    "1Hour",
    false,
    "2026-09-16T14:00:00Z",
    "2026-09-16T14:00:00Z",
    "2026-09-16T15:00:00Z",
  ],
  [
    "1Day",
    false,
    "2026-09-16T03:59:59Z",
    "2026-09-15T04:00:00Z",
    "2026-09-16T04:00:00Z",
  ],
  [
    "1D",
    true,
    "2026-09-16T04:59:59Z",
    "2026-09-15T05:00:00Z",
    "2026-09-16T05:00:00Z",
  ],
  // The nights on which the clocks change: 25 hours and 23.
  [
    "1Day",
    false,
    "2026-11-01T12:00:00Z",
    "2026-11-01T04:00:00Z",
    "2026-11-02T05:00:00Z",
  ],
  [
    "1Day",
    true,
    "2026-11-01T12:00:00Z",
    "2026-11-01T05:00:00Z",
    "2026-11-02T06:00:00Z",
  ],
  [
    "1Day",
    false,
    "2026-03-08T12:00:00Z",
    "2026-03-08T05:00:00Z",
    "2026-03-09T04:00:00Z",
  ],
  [
    "1Week",
    false,
    "2026-09-20T12:00:00Z",
    "2026-09-14T04:00:00Z",
    "2026-09-21T04:00:00Z",
  ],
  [
    "1Month",
    false,
    "2026-11-30T12:00:00Z",
    "2026-11-01T04:00:00Z",
    "2026-12-01T05:00:00Z",
  ],
  [
    "3M",
    false,
    "2026-09-16T12:00:00Z",
    "2026-07-01T04:00:00Z",
    "2026-10-01T04:00:00Z",
  ],
  [
    "12Month",
    true,
    "2026-09-16T12:00:00Z",
    "2026-01-01T06:00:00Z",
    "2027-01-01T06:00:00Z",
  ],
])(
  "%s (crypto: %p) of %s is from %s to %s",
  (timeframe, isCrypto, at, from, to) => {
    const span = spanOf(timeframe, isCrypto);
    expect(span?.startOf(Date.parse(at))).toBe(Date.parse(from));
    expect(span?.nextOf(Date.parse(from))).toBe(Date.parse(to));
  },
);

test.each([
  "",
  "Min",
  "0Min",
  "60Min",
  "24Hour",
  "2Day",
  "2Week",
  "5Month",
  "13Month",
  "1min",
  "1 Min",
  "-1Min",
  "1.5Min",
  "1Year",
  "100Min",
])("%j is no timeframe", (timeframe) => {
  expect(spanOf(timeframe, false)).toBeUndefined();
});

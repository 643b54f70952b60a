/** Longer candles, with TimescaleDB and without: the same questions have the same answers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { upsertBars } from "../../../src/stores/postgres/bars.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import {
  hasTimescale,
  useTimescale,
} from "../../../src/stores/postgres/timescale.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
  const bar = (timestamp: string, open: number, close: number) => ({
    kind: "bar" as const,
    span: "history" as const,
    symbol: "AAPL",
    open,
    high: Math.max(open, close) + 1,
    low: Math.min(open, close) - 1,
    close,
    volume: 100,
    trades: 2,
    timestamp,
    source: "polygon",
    receivedAtMs: 0,
  });
  await upsertBars(fresh.sql, [
    bar("2026-10-08T23:58:00Z", 10, 11),
    bar("2026-10-08T23:59:00Z", 11, 9),
    // 20:01 in New York: still the same day there.
    bar("2026-10-09T00:01:00Z", 9, 20),
    bar("2026-10-09T13:30:00Z", 30, 31),
  ]);
});
afterAll(() => fresh.drop());

test("the extension is used exactly where the database has it, and twice is once", async () => {
  const isThere = await hasTimescale(fresh.sql);
  expect(await useTimescale(fresh.sql)).toBe(isThere);
  expect(await useTimescale(fresh.sql)).toBe(isThere);
});

test.each([
  [
    "ohlcv_5m",
    [
      "2026-10-08T23:55:00.000Z 10 12 8 9 200 4",
      "2026-10-09T00:00:00.000Z 9 21 8 20 100 2",
      "2026-10-09T13:30:00.000Z 30 32 29 31 100 2",
    ],
  ],
  [
    "ohlcv_1h",
    [
      "2026-10-08T23:00:00.000Z 10 12 8 9 200 4",
      "2026-10-09T00:00:00.000Z 9 21 8 20 100 2",
      "2026-10-09T13:00:00.000Z 30 32 29 31 100 2",
    ],
  ],
  [
    "ohlcv_1d",
    [
      "2026-10-08T04:00:00.000Z 10 21 8 20 300 6",
      "2026-10-09T04:00:00.000Z 30 32 29 31 100 2",
    ],
  ],
])("%s is made of the minutes", async (view, expected) => {
  const rows = await fresh.sql`
    select timestamp, open, high, low, close, volume, trades from ${fresh.sql(view)}
    where symbol = 'AAPL' order by timestamp`;
  expect(
    rows.map(({ timestamp, open, high, low, close, volume, trades }) =>
      [timestamp.toISOString(), open, high, low, close, volume, trades].join(
        " ",
      ),
    ),
  ).toEqual(expected);
});

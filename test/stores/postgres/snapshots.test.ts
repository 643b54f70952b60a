import { afterAll, beforeAll, expect, test } from "bun:test";
import type { SnapshotRecord } from "../../../schema/market.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import { upsertSnapshots } from "../../../src/stores/postgres/snapshots.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
afterAll(() => fresh.drop());

const DATA = {
  ticker: "AAPL",
  todaysChange: -0.5,
  todaysChangePerc: 0,
  lastTrade: { p: 11.01, s: 5, x: 4 },
  lastQuote: { p: 11, P: 11.02, s: 2, S: 3 },
  day: { o: 10, h: 12, l: 9, c: 11, v: 1000.5 },
  prevDay: { c: 11.5, v: 900 },
  min: { vw: 11.001, v: 0 },
};
const snapshot = (
  data: Record<string, unknown>,
  timestamp = "2026-09-18T14:00:00.000Z",
): SnapshotRecord => ({ kind: "snapshot", symbol: "AAPL", timestamp, data });

test("a snapshot is one row with its values; a zero price is none, a zero change is one", async () => {
  const first = snapshot(DATA);
  expect(await upsertSnapshots(fresh.sql, [first, first])).toBe(1);
  expect([...(await fresh.sql`select * from market_snapshots`)]).toEqual([
    {
      symbol: "AAPL",
      updated_at: new Date("2026-09-18T14:00:00Z"),
      last_trade_price: 11.01,
      last_trade_size: 5,
      last_trade_exchange: "4",
      last_quote_bid: 11,
      last_quote_ask: 11.02,
      last_quote_bid_size: 2,
      last_quote_ask_size: 3,
      day_open: 10,
      day_high: 12,
      day_low: 9,
      day_close: 11,
      day_volume: 1000.5,
      prev_close: 11.5,
      prev_volume: 900,
      todays_change: -0.5,
      todays_change_percent: 0,
      minute_vwap: 11.001,
      minute_volume: null,
      raw_data: DATA,
    },
  ]);
});

test("one that lacks everything is a row of nothing, and the same moment again replaces it whole", async () => {
  const timestamp = "2026-09-18T15:00:00.000Z";
  await upsertSnapshots(fresh.sql, [snapshot({ day: "none" }, timestamp)]);
  await upsertSnapshots(fresh.sql, [snapshot(DATA, timestamp)]);
  const rows = await fresh.sql`
    select day_close, raw_data from market_snapshots where updated_at = ${timestamp}`;
  expect([...rows]).toEqual([{ day_close: 11, raw_data: DATA }]);
  expect(await upsertSnapshots(fresh.sql, [])).toBe(0);
});

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import {
  recordSessions,
  recordVerifiedEmpty,
  storedSymbols,
  verifiedEmpty,
} from "../../../src/stores/postgres/gaps.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
beforeEach(
  async () =>
    void (await fresh.sql`truncate ohlcv_1m, feedkeeper.verified_empty, feedkeeper.sessions`),
);
afterAll(() => fresh.drop());

test("sessions are recorded once, and changed when the calendar has learnt better", async () => {
  const session = {
    day: "2026-11-27",
    openMs: Date.parse("2026-11-27T14:30Z"),
    closeMs: Date.parse("2026-11-27T21:00Z"),
  };
  await recordSessions(fresh.sql, [session]);
  await recordSessions(fresh.sql, []);
  await recordSessions(fresh.sql, [
    { ...session, closeMs: Date.parse("2026-11-27T18:00Z") },
  ]);
  const rows =
    await fresh.sql`select day::text, close_at from feedkeeper.sessions`;
  expect([...rows]).toEqual([
    { day: "2026-11-27", close_at: new Date("2026-11-27T18:00Z") },
  ]);
});

test("what is verified empty only ever grows, and is told within the range that is asked for", async () => {
  const range = (symbol: string, from: number, to: number) => ({
    symbol,
    from: from * 60_000,
    to: to * 60_000,
  });
  const asked = { from: new Date(60_000), to: new Date(20 * 60_000) };
  await recordVerifiedEmpty(fresh.sql, [
    range("AAPL", 0, 5),
    range("SPY", 10, 12),
  ]);
  await recordVerifiedEmpty(fresh.sql, [
    range("AAPL", 0, 3),
    range("SPY", 10, 15),
    range("SPY", 30, 31),
  ]);
  await recordVerifiedEmpty(fresh.sql, []);
  expect(await verifiedEmpty(fresh.sql, ["SPY", "AAPL"], asked)).toEqual([
    range("AAPL", 1, 5),
    range("SPY", 10, 15),
  ]);
  expect(await verifiedEmpty(fresh.sql, ["QQQ"], asked)).toEqual([]);
});

test("stored symbols are found each once, by name", async () => {
  expect(await storedSymbols(fresh.sql)).toEqual([]);
  await fresh.sql`
    insert into ohlcv_1m (symbol, timestamp, open, high, low, close, volume)
    select symbol, to_timestamp(number), 1, 1, 1, 1, 1
    from unnest(array['SPY', 'AAPL', 'BTC/USD']) as symbol, generate_series(1, 50) as number`;
  expect(await storedSymbols(fresh.sql)).toEqual(["AAPL", "BTC/USD", "SPY"]);
});

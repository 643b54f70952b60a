import { afterAll, beforeAll, expect, test } from "bun:test";
import { upsertBars } from "../../../src/stores/postgres/bars.ts";
import {
  appliedSplits,
  filesRead,
  newestMinute,
  noteFileRead,
  noteSplits,
} from "../../../src/stores/postgres/historyRead.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
afterAll(() => fresh.drop());

test("a day file is known for each symbol that was read from it, by its latest version", async () => {
  await noteFileRead(fresh.sql, "AAPL", { key: "a", etag: "1" }, 390);
  await noteFileRead(fresh.sql, "AAPL", { key: "a", etag: "2" }, 391);
  await noteFileRead(fresh.sql, "SPY", { key: "a", etag: "1" }, 390);
  expect([
    [...(await filesRead(fresh.sql, "AAPL"))],
    [...(await filesRead(fresh.sql, "SPY"))],
    [...(await filesRead(fresh.sql, "QQQ"))],
  ]).toEqual([[["a", "2"]], [["a", "1"]], []]);
});

test("splits are kept once, in order, with fractions of a share", async () => {
  const split = (day: string, from: number, to: number) => ({
    symbol: "AAPL",
    day,
    from,
    to,
  });
  const later = split("2026-09-18", 1, 4);
  const earlier = split("2026-03-02", 10, 1.5);
  await noteSplits(fresh.sql, [later, later, earlier]);
  await noteSplits(fresh.sql, [later]);
  await noteSplits(fresh.sql, []);
  expect(await appliedSplits(fresh.sql, "AAPL")).toEqual([earlier, later]);
  expect(await appliedSplits(fresh.sql, "SPY")).toEqual([]);
});

test("the newest minute is that of the symbol, or none", async () => {
  const bar = (symbol: string, timestamp: string) => ({
    kind: "bar" as const,
    span: "minute" as const,
    symbol,
    open: 1,
    high: 1,
    low: 1,
    close: 1,
    volume: 1,
    timestamp,
    source: "polygon",
    receivedAtMs: 0,
  });
  await upsertBars(fresh.sql, [
    bar("AAPL", "2026-09-18T13:30:00Z"),
    bar("AAPL", "2026-09-18T13:31:00Z"),
    bar("SPY", "2026-09-18T13:40:00Z"),
  ]);
  expect([
    await newestMinute(fresh.sql, "AAPL"),
    await newestMinute(fresh.sql, "QQQ"),
  ]).toEqual([Date.parse("2026-09-18T13:31:00Z"), undefined]);
});

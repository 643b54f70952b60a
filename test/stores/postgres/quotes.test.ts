import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import type { LatestQuote } from "../../../schema/market.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import { upsertQuotes } from "../../../src/stores/postgres/quotes.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
beforeEach(async () => void (await fresh.sql`truncate live_quotes`));
afterAll(() => fresh.drop());

const at = (second: number) =>
  `2026-09-18T13:30:${String(second).padStart(2, "0")}.123456789Z`;

const quote = (members: Partial<LatestQuote> = {}): LatestQuote => ({
  symbol: "AAPL",
  bid: 1.25,
  ask: 1.5,
  bidSize: 100,
  askSize: 0.5,
  price: 1.375,
  timestamp: at(0),
  ...members,
});

const write = (...quotes: LatestQuote[]) =>
  upsertQuotes(fresh.sql, "tenant", quotes);

const stored = async () => [
  ...(await fresh.sql`
    select tenant_id, symbol, bid, ask, bid_size, ask_size, price, ts::text
    from live_quotes order by 1, 2`),
];

const ROW = {
  tenant_id: "tenant",
  symbol: "AAPL",
  bid: 1.25,
  ask: 1.5,
  bid_size: 100,
  ask_size: 0.5,
  price: 1.375,
  ts: "2026-09-18 13:30:00.123457+00",
};

test("a quote is a row; a side that nobody quotes is null and blocks nobody", async () => {
  await write(quote(), {
    symbol: "BTC/USD",
    bid: 1e-7,
    bidSize: 123_456_789.125,
    timestamp: at(1),
  });
  expect(await stored()).toEqual([
    ROW,
    {
      ...ROW,
      symbol: "BTC/USD",
      bid: 1e-7,
      ask: null,
      bid_size: 123_456_789.125,
      ask_size: null,
      price: null,
      ts: "2026-09-18 13:30:01.123457+00",
    },
  ]);
});

test("no quotes are no statement", async () => {
  await write();
  expect(await stored()).toEqual([]);
});

test("each tenant has rows of its own", async () => {
  await write(quote());
  await upsertQuotes(fresh.sql, "other", [quote({ bid: 2 })]);
  expect(await stored()).toEqual([{ ...ROW, tenant_id: "other", bid: 2 }, ROW]);
});

describe("a later quote", () => {
  test("takes the place of the one before, sides that are gone included", async () => {
    await write(quote());
    await write({ symbol: "AAPL", ask: 2, timestamp: at(1) });
    expect(await stored()).toEqual([
      {
        ...ROW,
        bid: null,
        ask: 2,
        bid_size: null,
        ask_size: null,
        price: null,
        ts: "2026-09-18 13:30:01.123457+00",
      },
    ]);
  });

  test.each([
    ["of the same time is written", at(5), 2],
    ["that comes late changes nothing", at(4), 1],
  ])("%s", async (_what, timestamp, bid) => {
    await write(quote({ bid: 1, timestamp: at(5) }));
    await write(quote({ bid: 2, timestamp }));
    expect((await stored()).map((row) => row["bid"])).toEqual([bid]);
  });

  test("says when it was written", async () => {
    await write(quote());
    await fresh.sql`update live_quotes set updated_at = 'epoch'`;
    await write(quote());
    const [row] = await fresh.sql<[{ isFresh: boolean }]>`
      select updated_at > now() - interval '1 minute' as "isFresh" from live_quotes`;
    expect(row.isFresh).toBe(true);
  });
});

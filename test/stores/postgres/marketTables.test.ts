/** Tables of market data: made, and brought forward from what an older service left. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Bar } from "../../../schema/market.ts";
import { upsertBars } from "../../../src/stores/postgres/bars.ts";
import { connect, type Sql } from "../../../src/stores/postgres/connect.ts";
import { recordCoverage } from "../../../src/stores/postgres/coverage.ts";
import {
  migrateMarket,
  migrateService,
} from "../../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;
let sql: Sql;

beforeEach(async () => {
  fresh = await freshDatabase();
  sql = fresh.sql;
});
afterEach(() => fresh.drop());

async function columnsOf(table: string): Promise<Record<string, string>> {
  const rows = await sql<{ name: string; type: string }[]>`
    select attname as name, format_type(atttypid, null) as type from pg_attribute
    where attrelid = ${table}::text::regclass and attnum > 0 and not attisdropped`;
  return Object.fromEntries(rows.map(({ name, type }) => [name, type]));
}

async function keyOf(table: string): Promise<string | undefined> {
  const [row] = await sql<{ key: string }[]>`
    select pg_get_constraintdef(oid) as key from pg_constraint
    where conrelid = ${table}::text::regclass and contype = 'p'`;
  return row?.key;
}

function columns(type: string, names: string): Record<string, string> {
  return Object.fromEntries(names.split(" ").map((name) => [name, type]));
}

const NUMBER = "double precision";
const TIME = "timestamp with time zone";
const BAR_COLUMNS = {
  ...columns("text", "symbol source"),
  ...columns(TIME, "timestamp ingested_at"),
  ...columns(NUMBER, "open high low close volume vwap"),
  trades: "integer",
};

const bar = (members: Partial<Bar> = {}): Bar => ({
  kind: "bar",
  span: "minute",
  symbol: "BTC/USD",
  open: 1,
  high: 4,
  low: 0.5,
  close: 2,
  volume: 0.125,
  timestamp: "2026-09-18T13:30:00Z",
  source: "alpaca:crypto",
  receivedAtMs: 1,
  ...members,
});

const stored = async () => [
  ...(await sql`
    select symbol, timestamp::text, close, volume, source from ohlcv_1m order by timestamp, symbol`),
];

test("an empty database gets the tables that consumers rely on", async () => {
  await migrateMarket(sql);
  expect(await columnsOf("ohlcv_1m")).toEqual(BAR_COLUMNS);
  expect(await keyOf("ohlcv_1m")).toBe('PRIMARY KEY (symbol, "timestamp")');
  expect(await columnsOf("live_quotes")).toEqual({
    ...columns("text", "tenant_id symbol"),
    ...columns(NUMBER, "bid ask bid_size ask_size price"),
    ...columns(TIME, "ts updated_at"),
  });
  expect(await keyOf("live_quotes")).toBe("PRIMARY KEY (tenant_id, symbol)");
});

test("they are where every user of the database finds them, whatever our own user is called", async () => {
  const [user] = await sql`select current_user as name`;
  expect(user).toEqual({ name: "feedkeeper" });
  await migrateMarket(sql);
  const rows = await sql<{ place: string }[]>`
    select schemaname || '.' || tablename as place from pg_tables
    where tablename in ('ohlcv_1m', 'live_quotes') order by 1`;
  expect(rows.map(({ place }) => place)).toEqual([
    "public.live_quotes",
    "public.ohlcv_1m",
  ]);
});

test("where the address names a place of its own, they are there", async () => {
  await sql`create schema market`;
  const own = connect(`${fresh.url}?options=-c%20search_path%3Dmarket,public`);
  try {
    await migrateMarket(own);
    await upsertBars(own, [bar()]);
    expect(await sql`select symbol from market.ohlcv_1m`).toHaveLength(1);
  } finally {
    await own.end({ timeout: 1 });
  }
});

test("a second migration changes nothing, and replicas that start at one time make the tables once", async () => {
  const replicas = Array.from({ length: 4 }, () =>
    connect(fresh.url, { connectionsMax: 1 }),
  );
  await Promise.all(replicas.map(migrateMarket));
  await Promise.all(replicas.map((replica) => replica.end({ timeout: 1 })));
  await upsertBars(sql, [bar()]);
  const before = [...(await sql`select * from feedkeeper.schema_migrations`)];
  await migrateMarket(sql);
  expect([...(await sql`select * from feedkeeper.schema_migrations`)]).toEqual(
    before,
  );
  expect(await stored()).toHaveLength(1);
});

test("bars are a stream of coverage, also in a database that was made before there were bars", async () => {
  await migrateService(sql);
  await sql`alter table feedkeeper.coverage drop constraint coverage_stream_check`;
  await sql`
    alter table feedkeeper.coverage add constraint coverage_stream_check
      check (stream in ('trade_updates', 'orders', 'activities'))`;
  await sql`delete from feedkeeper.schema_migrations where scope = 'service' and version > 1`;
  const fact = {
    account: "AAPL",
    stream: "bars" as const,
    state: "live" as const,
    from: "2026-09-18T13:30:00Z",
    to: "2026-09-18T13:31:00Z",
    session: "one",
  };
  expect(await recordCoverage(sql, [fact]).catch((error) => error.code)).toBe(
    "23514",
  );
  await migrateMarket(sql);
  await recordCoverage(sql, [fact]);
  expect([
    ...(await sql`select account, stream from feedkeeper.coverage`),
  ]).toEqual([{ account: "AAPL", stream: "bars" }]);
});

describe("a table of bars that an older service made", () => {
  test("of seven columns gets the others, and keeps its rows", async () => {
    await sql`
      create table ohlcv_1m (
        symbol text, timestamp timestamptz, open double precision, high double precision,
        low double precision, close double precision, volume double precision,
        primary key (timestamp, symbol))`;
    await sql`insert into ohlcv_1m values ('AAPL', '2025-10-01T13:30:00Z', 1, 4, 0.5, 2, 100)`;
    await migrateMarket(sql);
    expect(await columnsOf("ohlcv_1m")).toEqual(BAR_COLUMNS);
    // The older key says the same in another order.
    expect(await keyOf("ohlcv_1m")).toBe('PRIMARY KEY ("timestamp", symbol)');
    await upsertBars(sql, [
      bar(),
      bar({ symbol: "AAPL", timestamp: "2025-10-01T13:30:00Z", volume: 101 }),
    ]);
    expect(await stored()).toEqual([
      {
        symbol: "AAPL",
        timestamp: "2025-10-01 13:30:00+00",
        close: 2,
        volume: 101,
        source: "alpaca:crypto",
      },
      {
        symbol: "BTC/USD",
        timestamp: "2026-09-18 13:30:00+00",
        close: 2,
        volume: 0.125,
        source: "alpaca:crypto",
      },
    ]);
  });

  test("with whole volumes, short prices and times without a zone takes fractions, all digits and UTC", async () => {
    await sql`
      create table ohlcv_1m (
        symbol text, timestamp timestamp, open real, high real, low real, close real, volume bigint,
        vwap numeric, primary key (symbol, timestamp))`;
    await sql`insert into ohlcv_1m values ('AAPL', '2025-10-01T13:30:00', 0.1, 0.3, 0.1, 172.42, 12345678901, 0.12345)`;
    await migrateMarket(sql);
    expect(await columnsOf("ohlcv_1m")).toEqual({
      ...BAR_COLUMNS,
      vwap: "numeric",
    });
    await upsertBars(sql, [bar({ close: 0.123_456_789_012 })]);
    expect(await stored()).toEqual([
      {
        symbol: "AAPL",
        timestamp: "2025-10-01 13:30:00+00",
        close: 172.42,
        volume: 12_345_678_901,
        source: null,
      },
      {
        symbol: "BTC/USD",
        timestamp: "2026-09-18 13:30:00+00",
        close: 0.123_456_789_012,
        volume: 0.125,
        source: "alpaca:crypto",
      },
    ]);
  });

  test.each<[what: string, key: string]>([
    ["no key", ""],
    ["a key of its own", ", id serial primary key"],
  ])(
    "with %s has one row a minute afterwards, the one with most trades; the others are kept aside",
    async (_what, key) => {
      await sql.unsafe(`
      create table ohlcv_1m (
        symbol text, timestamp timestamptz, open double precision, high double precision, low double precision,
        close double precision, volume double precision, timeframe text not null${key})`);
      await sql`
      insert into ohlcv_1m (symbol, timestamp, close, volume, timeframe) values
        ('AAPL', '2025-10-01T13:30:00Z', 1, 50, '1m'),
        ('AAPL', '2025-10-01T13:30:00Z', 2, 100, '1m'),
        ('AAPL', '2025-10-01T13:30:00Z', 3, null, '1m'),
        ('AAPL', '2025-10-01T13:31:00Z', 4, 1, '1m'),
        (null, '2025-10-01T13:31:00Z', 5, 1, '1m')`;
      await migrateMarket(sql);
      // A column that nobody fills in any more is not in the way.
      await upsertBars(sql, [bar()]);
      expect(
        (await stored()).map(({ close, volume }) => [close, volume]),
      ).toEqual([
        [2, 100],
        [4, 1],
        [2, 0.125],
      ]);
      const letters = await sql<{ close: number; is_open: boolean }[]>`
      select (raw::jsonb ->> 'close')::int as close, redriven_at is null as is_open
      from feedkeeper.dead_letters order by 1`;
      expect([...letters]).toEqual(
        [1, 3, 5].map((close) => ({ close, is_open: false })),
      );
    },
  );

  test("that is something else is refused whole: nothing is changed, and the next start does it", async () => {
    await sql`create view ohlcv_1m as select 'AAPL'::text as symbol`;
    const failure = await migrateMarket(sql).catch((error) => error);
    expect(failure).toBeInstanceOf(Error);
    const [found] = await sql`select to_regclass('live_quotes') as made`;
    expect(found).toEqual({ made: null });
    await sql`drop view ohlcv_1m`;
    await migrateMarket(sql);
    expect(await columnsOf("ohlcv_1m")).toEqual(BAR_COLUMNS);
  });
});

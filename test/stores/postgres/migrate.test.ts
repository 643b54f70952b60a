import { afterEach, beforeEach, expect, test } from "bun:test";
import { ConfigError } from "../../../src/errors.ts";
import { accountTables } from "../../../src/stores/postgres/accountTables.ts";
import { connect, type Sql } from "../../../src/stores/postgres/connect.ts";
import {
  migrateAccount,
  migrateService,
} from "../../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

const SCHEMA = "account_activities";
const ACCOUNT = { slug: "live", name: "Live" };
const { orders, events, activities, history } = accountTables(
  SCHEMA,
  ACCOUNT.slug,
);
const ORDER = "11111111-1111-4111-8111-111111111111";
const EXECUTION = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";
const OTHER_EXECUTION = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbb1";

let fresh: FreshDatabase;
let sql: Sql;

beforeEach(async () => {
  fresh = await freshDatabase();
  sql = fresh.sql;
});

afterEach(() => fresh.drop());

async function migrateAll(on: Sql): Promise<void> {
  await migrateService(on);
  await migrateAccount(on, SCHEMA, ACCOUNT);
}

async function columnsOf(table: string): Promise<Record<string, string>> {
  const rows = await sql<{ name: string; type: string }[]>`
    select attname as name, format_type(atttypid, null) as type from pg_attribute
    where attrelid = ${table}::text::regclass and attnum > 0 and not attisdropped`;
  return Object.fromEntries(rows.map(({ name, type }) => [name, type]));
}

function columns(type: string, names: string): Record<string, string> {
  return Object.fromEntries(names.split(" ").map((name) => [name, type]));
}

const TIME = "timestamp with time zone";
const ORDER_COLUMNS = {
  id: "uuid",
  ...columns("text", "client_order_id request_id parent_id replaced_by"),
  ...columns("text", "replaces symbol side order_type type status"),
  ...columns("numeric", "qty filled_qty filled_avg_price limit_price"),
  stop_price: "numeric",
  ...columns(TIME, "created_at updated_at submitted_at filled_at expired_at"),
  ...columns(TIME, "canceled_at replaced_at expires_at ingested_at"),
  ...columns("jsonb", "legs raw_json"),
};
const ACTIVITY_COLUMNS = {
  ...columns("text", "id activity_type symbol side"),
  ...columns(TIME, "transaction_time ingested_at"),
  ...columns("numeric", "qty price net_amount cum_qty"),
  ...columns("uuid", "execution_id order_id"),
  raw_json: "jsonb",
};

test("an empty database gets the tables that consumers rely on", async () => {
  await migrateAll(sql);
  expect(await columnsOf(orders)).toEqual(ORDER_COLUMNS);
  expect(await columnsOf(activities)).toEqual(ACTIVITY_COLUMNS);
  expect(await columnsOf(events)).toEqual({
    ...columns("text", "event_key event"),
    ...columns("uuid", "order_id execution_id"),
    ...columns(TIME, "event_at ingested_at"),
    raw_json: "jsonb",
  });
  expect(await columnsOf(history)).toEqual({
    metric_key: "text",
    ...columns(TIME, "metric_value updated_at"),
  });
});

test("a second migration changes nothing", async () => {
  await migrateAll(sql);
  await sql`insert into ${sql(orders)} (id, order_type, type) values (${ORDER}, 'limit', 'limit')`;
  const before = await sql`select * from feedkeeper.schema_migrations`;
  await migrateAll(sql);
  expect(await sql`select * from feedkeeper.schema_migrations`).toEqual(before);
  expect(await sql`select id from ${sql(orders)}`).toHaveLength(1);
});

test("replicas that start at one time all find the tables made once", async () => {
  const replicas = Array.from({ length: 6 }, () =>
    connect(fresh.url, { connectionsMax: 1 }),
  );
  try {
    await Promise.all(replicas.map(migrateAll));
  } finally {
    await Promise.all(replicas.map((replica) => replica.end({ timeout: 1 })));
  }
  const done = await sql<{ scope: string; version: number }[]>`
    select scope, version from feedkeeper.schema_migrations order by 1, 2`;
  expect(done.map(({ scope, version }) => `${scope} ${version}`)).toEqual([
    "account_activities.live 1",
    "account_activities.live 2",
    "service 1",
    "service 2",
  ]);
});

test("a database made by a newer version is refused, and left as it is", async () => {
  await migrateService(sql);
  await sql`insert into feedkeeper.schema_migrations (scope, version, name) values ('service', 999, 'later')`;
  const refusal = await migrateService(sql).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(ConfigError);
});

test("a migration that fails leaves no trace, and the next start does it", async () => {
  await migrateService(sql);
  await sql`create schema ${sql(SCHEMA)}`;
  // Not a table of any older service.
  await sql`create table ${sql(activities)} (id text primary key)`;
  await expect(
    migrateAccount(sql, SCHEMA, ACCOUNT).then(() => "migrated"),
  ).rejects.toThrow();
  const [found] = await sql`select to_regclass(${orders}) as made`;
  expect(found).toEqual({ made: null });
  await sql`drop table ${sql(activities)}`;
  await migrateAccount(sql, SCHEMA, ACCOUNT);
  expect(await columnsOf(orders)).toEqual(ORDER_COLUMNS);
});

/** The tables as the first generation made them. */
async function makeFirstGeneration(): Promise<void> {
  await sql`create schema ${sql(SCHEMA)}`;
  await sql`
    create table ${sql(orders)} (
      id uuid primary key, client_order_id text, symbol text not null, side text not null, type text not null,
      status text not null, qty numeric, filled_qty numeric default 0, filled_avg_price numeric,
      limit_price numeric, stop_price numeric, created_at timestamptz not null, updated_at timestamptz,
      submitted_at timestamptz, filled_at timestamptz, expired_at timestamptz, canceled_at timestamptz,
      raw_json jsonb, ingested_at timestamptz default now())`;
  await sql`create index idx_live_orders_updated on ${sql(orders)} (updated_at)`;
  await makeOlderActivities();
}

/** The same in both generations. */
async function makeOlderActivities(): Promise<void> {
  await sql`
    create table ${sql(activities)} (
      id text primary key, activity_type text not null, transaction_time timestamptz not null, symbol text,
      side text, qty numeric, price numeric, net_amount numeric, execution_id uuid, order_id uuid,
      raw_json jsonb, ingested_at timestamptz default now())`;
  await sql`create index idx_live_activities_exec_id on ${sql(activities)} (execution_id)`;
}

test("tables of the first generation come forward with every row", async () => {
  await makeFirstGeneration();
  await sql`
    insert into ${sql(orders)} (id, symbol, side, type, status, qty, created_at, raw_json)
    values (${ORDER}, 'AAPL', 'buy', 'limit', 'filled', 2.50, '2025-12-01T15:00:00Z', null)`;
  await sql`
    insert into ${sql(activities)} (id, activity_type, transaction_time, side, qty, price, net_amount, execution_id, raw_json)
    values
      (${`20251201100000123::${EXECUTION}`}, 'FILL', '2025-12-01T15:00:00.123Z', 'buy', 2, 10.5, 0, null, null),
      (${`20251202000000000::${OTHER_EXECUTION}`}, 'DIV', '2025-12-02T05:00:00Z', null, 0, 0, 1.25, null, null)`;
  await migrateAll(sql);

  expect(await columnsOf(orders)).toEqual(ORDER_COLUMNS);
  expect(await columnsOf(activities)).toEqual(ACTIVITY_COLUMNS);
  expect([
    ...(await sql`select id, type, order_type, qty, status from ${sql(orders)}`),
  ]).toEqual([
    {
      id: ORDER,
      type: "limit",
      order_type: "limit",
      qty: "2.50",
      status: "filled",
    },
  ]);
  expect([
    ...(await sql`select activity_type, execution_id, net_amount from ${sql(activities)} order by transaction_time`),
  ]).toEqual([
    { activity_type: "FILL", execution_id: EXECUTION, net_amount: "-21.0" },
    { activity_type: "DIV", execution_id: null, net_amount: "1.25" },
  ]);
});

test("tables of the second generation come forward; of two rows of one execution the richer stays and the other is kept aside", async () => {
  await sql`create schema ${sql(SCHEMA)}`;
  await sql`
    create table ${sql(orders)} (
      id uuid primary key, client_order_id text, request_id text, parent_id text, replaced_by text, replaces text,
      symbol text not null, side text not null, order_type text not null, status text not null, qty numeric,
      filled_qty numeric default 0, filled_avg_price numeric, limit_price numeric, stop_price numeric,
      created_at timestamptz not null, updated_at timestamptz, submitted_at timestamptz, filled_at timestamptz,
      expired_at timestamptz, canceled_at timestamptz, replaced_at timestamptz, expires_at timestamptz,
      raw_json jsonb, legs jsonb, ingested_at timestamptz default now())`;
  await makeOlderActivities();
  await sql`
    create table ${sql(history)} (metric_key text primary key, metric_value timestamptz not null, updated_at timestamptz default now())`;
  await sql`insert into ${sql(history)} values ('earliest_order', '2024-01-01T00:00:00Z')`;
  await sql`
    insert into ${sql(orders)} (id, symbol, side, order_type, status, created_at, legs)
    values (${ORDER}, 'AAPL', 'buy', 'market', 'new', '2025-12-01T15:00:00Z', '[{"id":"leg"}]')`;
  await sql`
    insert into ${sql(activities)} (id, activity_type, transaction_time, side, qty, price, net_amount, execution_id, order_id, raw_json)
    values
      ('20251201100000123::stream', 'FILL', '2025-12-01T15:00:00.123Z', 'sell', 2, 10.5, 21, ${EXECUTION}, ${ORDER},
        '{"event":"fill","order":{"filled_qty":"2"}}'),
      (${`20251201100000124::${EXECUTION}`}, 'FILL', '2025-12-01T15:00:00.124Z', 'sell', 2, 10.5, 0, null, null,
        '{"id":"rest","cum_qty":"2"}'),
      ('20251201100000125::lower', 'fee', '2025-12-01T15:00:01Z', null, 0, 0, -0.5, null, null,
        '{"id":"fee","net_amount":"-0.5"}')`;
  await migrateAll(sql);

  expect(await columnsOf(orders)).toEqual(ORDER_COLUMNS);
  expect([
    ...(await sql`select type, order_type, legs from ${sql(orders)}`),
  ]).toEqual([{ type: "market", order_type: "market", legs: [{ id: "leg" }] }]);
  expect([...(await sql`select metric_key from ${sql(history)}`)]).toEqual([
    { metric_key: "earliest_order" },
  ]);
  expect([
    ...(await sql`
      select id, activity_type, execution_id, order_id, cum_qty, net_amount, qty, price from ${sql(activities)}
      order by transaction_time`),
  ]).toEqual([
    {
      id: `20251201100000124::${EXECUTION}`,
      activity_type: "FILL",
      execution_id: EXECUTION,
      order_id: ORDER,
      cum_qty: "2",
      net_amount: "21.0",
      qty: "2",
      price: "10.5",
    },
    {
      id: "20251201100000125::lower",
      activity_type: "FEE",
      execution_id: null,
      order_id: null,
      cum_qty: null,
      net_amount: "-0.5",
      // The older service wrote 0 for what the venue never said.
      qty: null,
      price: null,
    },
  ]);
  const [letter] = await sql`
    select raw::jsonb ->> 'id' as id, redriven_at is null as is_open from feedkeeper.dead_letters`;
  // Kept, yet nobody is to try it again: its execution is in the table.
  expect(letter).toEqual({ id: "20251201100000123::stream", is_open: false });
});

test("numbers that an older service stored as not-a-number become unknown", async () => {
  await makeFirstGeneration();
  await sql`
    insert into ${sql(activities)} (id, activity_type, transaction_time, side, qty, price, net_amount)
    values ('one', 'FILL', '2025-12-01T15:00:00Z', 'buy', 'NaN', 1, 'NaN')`;
  await migrateAll(sql);
  expect([
    ...(await sql`select qty, price, net_amount from ${sql(activities)}`),
  ]).toEqual([{ qty: null, price: "1", net_amount: null }]);
});

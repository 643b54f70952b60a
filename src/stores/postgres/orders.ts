/** Statements on `raw_orders_<slug>`: order state that only moves forward. */
import { compare } from "../../../schema/decimal.ts";
import { FINAL_STATUSES, type OrderRow } from "../../../schema/rows.ts";
import type { AccountTables } from "./accountTables.ts";
import type { Sql, Transaction } from "./connect.ts";

export interface Written {
  readonly inserted: number;
  readonly updated: number;
}

/**
 * Writes states of orders, several of one order too: the latest by `updated_at`
 * stays, to the nanosecond. A state older than the stored one changes nothing;
 * one of the same age only fills what is NULL. `filled_qty` never falls, unless
 * the row says it may (a bust, a correction, REST's later word).
 */
export async function upsertOrders(
  sql: Sql | Transaction,
  { orders }: AccountTables,
  rows: readonly OrderRow[],
): Promise<Written> {
  const latest = latestStates(rows);
  const plain = await upsert(
    sql,
    orders,
    latest.filter((row) => !row.mayLower),
    false,
  );
  const amended = await upsert(
    sql,
    orders,
    latest.filter((row) => row.mayLower),
    true,
  );
  return {
    inserted: plain.inserted + amended.inserted,
    updated: plain.updated + amended.updated,
  };
}

async function upsert(
  sql: Sql | Transaction,
  table: string,
  rows: readonly OrderRow[],
  mayLower: boolean,
): Promise<Written> {
  if (rows.length === 0) return { inserted: 0, updated: 0 };
  const incoming = JSON.stringify(rows, (name, value: unknown) =>
    name === "version" ? undefined : value,
  );
  // Of two states in one microsecond the payloads' own nanoseconds decide; zeros are cut
  // from their ends, so without the Z they compare as text.
  const [counts] = await sql<[{ inserted: number; updated: number }]>`
    with written as (
      insert into ${sql(table)} as stored (
        id, client_order_id, request_id, parent_id, replaced_by, replaces, symbol, side, order_type, type,
        status, qty, filled_qty, filled_avg_price, limit_price, stop_price, created_at, updated_at,
        submitted_at, filled_at, expired_at, canceled_at, replaced_at, expires_at, legs, raw_json, ingested_at
      )
      select
        id, client_order_id, request_id, parent_id, replaced_by, replaces, symbol, side, order_type, order_type,
        status, qty, filled_qty, filled_avg_price, limit_price, stop_price, created_at, updated_at,
        submitted_at, filled_at, expired_at, canceled_at, replaced_at, expires_at, legs::jsonb, raw_json::jsonb, now()
      from json_to_recordset(${incoming}::text::json) as incoming (
        id uuid, client_order_id text, request_id text, parent_id text, replaced_by text, replaces text,
        symbol text, side text, order_type text, status text, qty numeric, filled_qty numeric,
        filled_avg_price numeric, limit_price numeric, stop_price numeric, created_at timestamptz,
        updated_at timestamptz, submitted_at timestamptz, filled_at timestamptz, expired_at timestamptz,
        canceled_at timestamptz, replaced_at timestamptz, expires_at timestamptz, legs text, raw_json text
      )
      on conflict (id) do update set
        client_order_id = coalesce(excluded.client_order_id, stored.client_order_id),
        request_id = coalesce(excluded.request_id, stored.request_id),
        parent_id = coalesce(excluded.parent_id, stored.parent_id),
        replaced_by = coalesce(excluded.replaced_by, stored.replaced_by),
        replaces = coalesce(excluded.replaces, stored.replaces),
        symbol = coalesce(nullif(excluded.symbol, ''), stored.symbol),
        side = coalesce(nullif(excluded.side, ''), stored.side),
        order_type = coalesce(nullif(excluded.order_type, ''), stored.order_type),
        type = coalesce(nullif(excluded.order_type, ''), stored.order_type),
        status = excluded.status,
        qty = coalesce(excluded.qty, stored.qty),
        filled_qty = case when ${mayLower} then excluded.filled_qty
          else greatest(excluded.filled_qty, stored.filled_qty) end,
        filled_avg_price = coalesce(excluded.filled_avg_price, stored.filled_avg_price),
        limit_price = coalesce(excluded.limit_price, stored.limit_price),
        stop_price = coalesce(excluded.stop_price, stored.stop_price),
        created_at = coalesce(excluded.created_at, stored.created_at),
        updated_at = coalesce(excluded.updated_at, stored.updated_at),
        submitted_at = coalesce(excluded.submitted_at, stored.submitted_at),
        filled_at = coalesce(excluded.filled_at, stored.filled_at),
        expired_at = coalesce(excluded.expired_at, stored.expired_at),
        canceled_at = coalesce(excluded.canceled_at, stored.canceled_at),
        replaced_at = coalesce(excluded.replaced_at, stored.replaced_at),
        expires_at = coalesce(excluded.expires_at, stored.expires_at),
        legs = coalesce(excluded.legs, stored.legs),
        raw_json = case
          when excluded.legs is null and stored.legs is not null
            and rtrim(excluded.raw_json ->> 'updated_at', 'Z') = rtrim(stored.raw_json ->> 'updated_at', 'Z')
          then stored.raw_json else excluded.raw_json end,
        ingested_at = excluded.ingested_at
      where stored.updated_at is null
        or excluded.updated_at > stored.updated_at
        or (
          excluded.updated_at = stored.updated_at
          and (
            stored.raw_json is null
            or rtrim(excluded.raw_json ->> 'updated_at', 'Z') collate "C"
              > rtrim(stored.raw_json ->> 'updated_at', 'Z') collate "C"
            or (
              rtrim(excluded.raw_json ->> 'updated_at', 'Z') = rtrim(stored.raw_json ->> 'updated_at', 'Z')
              and (
                (stored.parent_id is null and excluded.parent_id is not null)
                or (stored.legs is null and excluded.legs is not null)
              )
            )
          )
        )
      returning xmax = 0 as is_new
    )
    select count(*) filter (where is_new)::int as inserted, count(*) filter (where not is_new)::int as updated
    from written`;
  return counts;
}

/** A statement may touch an order once: of several states the latest, what it lacks taken from the others. */
export function latestStates(rows: readonly OrderRow[]): OrderRow[] {
  const latest = new Map<string, OrderRow>();
  for (const row of rows) {
    const other = latest.get(row.id);
    latest.set(row.id, other === undefined ? row : mergeStates(other, row));
  }
  return [...latest.values()];
}

/** `arrived` came after `known`; which of them is the later state their versions say. */
function mergeStates(known: OrderRow, arrived: OrderRow): OrderRow {
  const [older, newer] =
    arrived.version >= known.version ? [known, arrived] : [arrived, known];
  const falls = compare(newer.filled_qty, older.filled_qty) < 0;
  return {
    ...older,
    ...toldBy(newer),
    filled_qty: falls && !newer.mayLower ? older.filled_qty : newer.filled_qty,
    // A bust lowers the stored quantity even when a later state of the batch is what is written.
    mayLower: newer.mayLower || older.mayLower,
  };
}

/** The members that a state knows of. */
function toldBy(row: OrderRow): Partial<OrderRow> {
  return Object.fromEntries(
    Object.entries(row).filter(([, value]) => value !== null && value !== ""),
  );
}

/** Ids of stored orders that were last seen open; of their parents, for legs. */
export async function openOrderIds(
  sql: Sql,
  { orders }: AccountTables,
): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select coalesce(parent_id, id::text) as id from ${sql(orders)}
    where status <> all(${[...FINAL_STATUSES]})
    group by 1`;
  return rows.map(({ id }) => id);
}

/** Whether any stored order was touched in the interval: if not, no lifecycle event can be missing from it. */
export async function ordersTouchedBetween(
  sql: Sql,
  { orders }: AccountTables,
  from: Date,
  to: Date,
): Promise<boolean> {
  const [row] = await sql<[{ touched: boolean }]>`
    select exists (
      select 1 from ${sql(orders)}
      where created_at < ${to} and coalesce(updated_at, created_at) >= ${from}
    ) as touched`;
  return row.touched;
}

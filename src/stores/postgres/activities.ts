/**
 * Statements on `raw_activities_<slug>`: one row an execution, whichever path
 * brought it. A fill is its execution id; the id is only its name.
 */
import type { ActivityRow } from "../../../schema/rows.ts";
import type { AccountTables } from "./accountTables.ts";
import type { Sql, Transaction } from "./connect.ts";

/**
 * Two paths that name one execution differently agree on its time to this many
 * seconds (nanoseconds rounded here, microseconds there, a millisecond of doubt).
 */
const TWIN_SECONDS_MAX = 0.002;

/**
 * Inserts activities that are not there yet; returns how many were new.
 *
 * A fill is known again by its id, by its execution id, or, where one path gives
 * no execution id or another one than the other path, by (order_id, cum_qty)
 * together with quantity, price and time. A row first seen on the stream takes
 * the venue's id and cumulative quantity when REST tells them.
 */
export async function insertActivities(
  sql: Sql | Transaction,
  tables: AccountTables,
  slug: string,
  rows: readonly ActivityRow[],
): Promise<number> {
  let inserted = 0;
  // Stream rows first: REST rows of the same batch then find them.
  for (const path of ["stream", "rest"] as const) {
    const ofPath = rows.filter((row) => row.path === path);
    if (ofPath.length === 0) continue;
    const incoming = JSON.stringify(ofPath);
    const written = await insertNew(sql, tables, slug, incoming);
    inserted += written;
    if (path === "rest" && written < ofPath.length)
      await adoptVenueNames(sql, tables, slug, incoming);
  }
  return inserted;
}

async function insertNew(
  sql: Sql | Transaction,
  { activities }: AccountTables,
  slug: string,
  incoming: string,
): Promise<number> {
  const table = sql(activities);
  // `offset 0` keeps each question a look-up by index, row by row.
  const result = await sql`
    with incoming as materialized (
      select *,
        first_value(activity_type) over (partition by id order by activity_type) as first_type,
        row_number() over (
          partition by activity_type, order_id, cum_qty, qty, price order by execution_id nulls last, id
        ) as place
      from (${recordset(sql, incoming)}) as told
    )
    insert into ${table} (
      id, activity_type, transaction_time, symbol, side, qty, price, net_amount,
      execution_id, order_id, cum_qty, raw_json
    )
    select
      -- Two rows of one option event may bear one id: the second is told apart by its type.
      case
        when exists (select 1 from ${table} s where s.id = i.id and s.activity_type <> i.activity_type offset 0)
          or (i.activity_type <> i.first_type and not exists (select 1 from ${table} s where s.id = i.id offset 0))
        then i.id || '#' || i.activity_type else i.id end,
      i.activity_type, i.transaction_time, i.symbol, i.side, i.qty, i.price, i.net_amount,
      i.execution_id, i.order_id, i.cum_qty, i.raw_json::jsonb
    from incoming i
    where i.activity_type <> 'FILL' or i.order_id is null or i.cum_qty is null
      or (
        -- One execution twice in this batch, and it has no id to be known by.
        not (i.place > 1 and i.execution_id is null)
        and not exists (select 1 from ${table} s where ${isTwin(sql, slug)} offset 0)
      )
    on conflict do nothing`;
  return result.count;
}

/** Gives rows that REST has confirmed the venue's own id, and learns whether both paths share execution ids. */
async function adoptVenueNames(
  sql: Sql | Transaction,
  { activities }: AccountTables,
  slug: string,
  incoming: string,
): Promise<void> {
  const table = sql(activities);
  await sql`
    with incoming as materialized (${recordset(sql, incoming)}),
    learnt as (
      update feedkeeper.accounts set shares_execution_ids = true
      where slug = ${slug} and not shares_execution_ids and exists (
        select 1 from incoming i join ${table} s on s.execution_id = i.execution_id
        where i.activity_type = 'FILL' and s.activity_type = 'FILL' and s.raw_json ? 'event'
      )
    )
    update ${table} s
    -- What the stream had not said is known now.
    set id = i.id, cum_qty = coalesce(i.cum_qty, s.cum_qty), side = coalesce(s.side, i.side),
      symbol = coalesce(s.symbol, i.symbol), order_id = coalesce(s.order_id, i.order_id),
      qty = coalesce(s.qty, i.qty), price = coalesce(s.price, i.price),
      net_amount = coalesce(s.net_amount, i.net_amount)
    from incoming i cross join lateral (
      select s.id from ${table} s
      where i.activity_type = 'FILL' and s.activity_type = 'FILL' and s.execution_id = i.execution_id
      union
      select s.id from ${table} s where i.activity_type = 'FILL' and ${isTwin(sql, slug)}
    ) as known
    where s.id = known.id
      and (s.id <> i.id or s.cum_qty is distinct from coalesce(i.cum_qty, s.cum_qty)
        or (s.side, s.symbol, s.order_id, s.qty, s.price, s.net_amount) is distinct from (
          coalesce(s.side, i.side), coalesce(s.symbol, i.symbol), coalesce(s.order_id, i.order_id),
          coalesce(s.qty, i.qty), coalesce(s.price, i.price), coalesce(s.net_amount, i.net_amount)))
      and not exists (select 1 from ${table} other where other.id = i.id and other.ctid <> s.ctid)`;
}

/** Whether stored row `s` is the execution of incoming row `i` under another name. */
function isTwin(sql: Sql | Transaction, slug: string) {
  return sql`
    s.activity_type = 'FILL' and s.order_id = i.order_id and s.cum_qty = i.cum_qty
    and s.qty is not distinct from i.qty and s.price is not distinct from i.price
    and s.execution_id is distinct from i.execution_id
    and (
      s.execution_id is null or i.execution_id is null
      or (
        (s.raw_json ? 'event') <> (i.path = 'stream')
        and abs(extract(epoch from s.transaction_time - i.transaction_time)) <= ${TWIN_SECONDS_MAX}
        and not (select shares_execution_ids from feedkeeper.accounts where slug = ${slug})
      )
    )`;
}

function recordset(sql: Sql | Transaction, incoming: string) {
  return sql`
    select * from json_to_recordset(${incoming}::text::json) as rows (
      id text, activity_type text, transaction_time timestamptz, symbol text, side text, qty numeric,
      price numeric, net_amount numeric, execution_id uuid, order_id uuid, cum_qty numeric,
      raw_json text, path text
    )`;
}

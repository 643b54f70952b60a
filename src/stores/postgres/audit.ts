/**
 * Statements that hold a venue's own rows against the store. The venue's rows go
 * into temporary tables page by page, so the comparison is one statement however
 * long the history is. Needs one connection for all of it (`sql.reserve()`).
 */
import type { AccountTables } from "./accountTables.ts";
import type { Sql } from "./connect.ts";
import type { ActivityRow, OrderRow } from "../../../schema/rows.ts";

export type AuditedStream = "orders" | "activities";

/** Rows by what is wrong with them, with the ids of the first few. */
export interface AuditFinding {
  readonly compared: number;
  readonly missing: number;
  readonly duplicate: number;
  readonly differing: number;
  /** Up to twenty lines `missing <id>`, `duplicate <id>`, `differing <id>: <members>`. */
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 20;

/** Empty tables of this connection for what the venue tells; answers when its reading begins, by the clock of the store. */
export async function createAuditTables(sql: Sql): Promise<Date> {
  await sql`create temporary table if not exists venue_orders (
    id uuid primary key, symbol text, side text, order_type text, status text, qty numeric, filled_qty numeric,
    filled_avg_price numeric, limit_price numeric, stop_price numeric, created_at timestamptz,
    updated_at timestamptz, submitted_at timestamptz, replaced_by text, replaces text)`;
  await sql`create temporary table if not exists venue_activities (
    id text, activity_type text, transaction_time timestamptz, symbol text, side text, qty numeric,
    price numeric, net_amount numeric, order_id uuid, cum_qty numeric, primary key (id, activity_type))`;
  await sql`truncate venue_orders, venue_activities`;
  const [{ begun }] = await sql<[{ begun: Date }]>`
    select clock_timestamp() as begun`;
  return begun;
}

export async function addVenueOrders(
  sql: Sql,
  rows: readonly OrderRow[],
): Promise<void> {
  const text = JSON.stringify(rows.map(({ version: _, ...row }) => row));
  await sql`
    insert into venue_orders
    select distinct on (id) * from json_to_recordset(${text}::text::json) as rows (
      id uuid, symbol text, side text, order_type text, status text, qty numeric, filled_qty numeric,
      filled_avg_price numeric, limit_price numeric, stop_price numeric, created_at timestamptz,
      updated_at timestamptz, submitted_at timestamptz, replaced_by text, replaces text)
    order by id, updated_at desc
    on conflict (id) do nothing`;
}

export async function addVenueActivities(
  sql: Sql,
  rows: readonly ActivityRow[],
): Promise<void> {
  await sql`
    insert into venue_activities
    select * from json_to_recordset(${JSON.stringify(rows)}::text::json) as rows (
      id text, activity_type text, transaction_time timestamptz, symbol text, side text, qty numeric,
      price numeric, net_amount numeric, order_id uuid, cum_qty numeric)
    on conflict do nothing`;
}

/**
 * Orders: the store may be ahead of the reading (then its `updated_at` is
 * later), never behind or beside it.
 */
export async function compareOrders(
  sql: Sql,
  { orders }: AccountTables,
): Promise<AuditFinding> {
  const findings = await sql<Finding[]>`
    with compared as (
      select v.id, s.id is null as is_missing, array_remove(array[
        case when v.status is distinct from s.status then 'status' end,
        case when v.filled_qty is distinct from s.filled_qty then 'filled_qty' end,
        case when v.qty is distinct from s.qty then 'qty' end,
        case when v.filled_avg_price is distinct from s.filled_avg_price then 'filled_avg_price' end,
        case when v.limit_price is distinct from s.limit_price then 'limit_price' end,
        case when v.stop_price is distinct from s.stop_price then 'stop_price' end,
        case when v.symbol is distinct from s.symbol then 'symbol' end,
        case when v.side is distinct from s.side then 'side' end,
        case when v.order_type is distinct from s.order_type then 'order_type' end,
        case when v.replaced_by is distinct from s.replaced_by then 'replaced_by' end,
        case when v.replaces is distinct from s.replaces then 'replaces' end,
        case when v.updated_at is distinct from s.updated_at then 'updated_at' end
      ], null) as members,
      s.updated_at > v.updated_at as is_ahead
      from venue_orders v left join ${sql(orders)} s on s.id = v.id
    )
    select case when is_missing then 'missing' else 'differing' end as kind, id::text,
      case when is_missing then '{}' else members end as members
    from compared where is_missing or (cardinality(members) > 0 and is_ahead is not true)`;
  const [count] = await sql<[{ count: number }]>`
    select count(*)::int as count from venue_orders`;
  return summary(count.count, findings);
}

/**
 * Activities in `range` of venue time. A fill is found by its id, or by its order, cumulative
 * quantity, quantity and price where the stream named it and REST has not yet
 * renamed it. What the store has and the venue has not is a duplicate, unless it was
 * stored after the reading had `begun`: one that is dated by its day alone is older
 * than its telling.
 */
export async function compareActivities(
  sql: Sql,
  { activities }: AccountTables,
  range: { from: Date; to: Date },
  begun: Date,
): Promise<AuditFinding> {
  await sql`analyze venue_activities`;
  const findings = await sql<Finding[]>`
    with stored as materialized (
      select * from ${sql(activities)}
      where transaction_time >= ${range.from} and transaction_time < ${range.to}
    ),
    matched as materialized (
      select v.id as venue_id, v.activity_type, s.id as stored_id, array_remove(array[
        case when v.qty is distinct from s.qty then 'qty' end,
        case when v.price is distinct from s.price then 'price' end,
        case when v.net_amount is distinct from s.net_amount then 'net_amount' end,
        case when v.symbol is distinct from s.symbol then 'symbol' end,
        case when v.side is distinct from s.side then 'side' end,
        case when v.order_id is distinct from s.order_id then 'order_id' end,
        case when abs(extract(epoch from v.transaction_time - s.transaction_time)) > 0.002 then 'transaction_time' end
      ], null) as members
      from (
        select *, id as name from venue_activities union all
        select *, id || '#' || activity_type from venue_activities
      ) v join ${sql(activities)} s on s.id = v.name and s.activity_type = v.activity_type
    ),
    unnamed as materialized (
      select v.id as venue_id, v.activity_type, min(s.id) as stored_id
      from venue_activities v join stored s
        on v.activity_type = 'FILL' and s.activity_type = 'FILL' and s.order_id = v.order_id
        and s.cum_qty = v.cum_qty and s.qty = v.qty and s.price = v.price
      where not exists (select 1 from matched m where m.venue_id = v.id and m.activity_type = v.activity_type)
        and not exists (select 1 from matched m where m.stored_id = s.id)
      group by 1, 2
    )
    select 'missing' as kind, v.id, '{}'::text[] as members from venue_activities v
    where not exists (select 1 from matched m where m.venue_id = v.id and m.activity_type = v.activity_type)
      and not exists (select 1 from unnamed u where u.venue_id = v.id and u.activity_type = v.activity_type)
    union all
    select 'differing', venue_id, members from matched where cardinality(members) > 0
    union all
    select 'duplicate', s.id, '{}' from stored s
    where coalesce(s.ingested_at < ${begun}, true)
      and not exists (select 1 from matched m where m.stored_id = s.id)
      and not exists (select 1 from unnamed u where u.stored_id = s.id)`;
  const [count] = await sql<[{ count: number }]>`
    select count(*)::int as count from venue_activities`;
  return summary(count.count, findings);
}

interface Finding {
  readonly kind: "missing" | "duplicate" | "differing";
  readonly id: string;
  readonly members: readonly string[];
}

function summary(compared: number, findings: readonly Finding[]): AuditFinding {
  const of = (kind: Finding["kind"]) =>
    findings.filter((finding) => finding.kind === kind).length;
  return {
    compared,
    missing: of("missing"),
    duplicate: of("duplicate"),
    differing: of("differing"),
    examples: findings
      .slice(0, EXAMPLES_MAX)
      .map(
        ({ kind, id, members }) =>
          `${kind} ${id}${members.length === 0 ? "" : `: ${members.join(", ")}`}`,
      ),
  };
}

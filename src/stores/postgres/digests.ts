/** Digests of the raw rows of an account, a day at a time, for the completeness certificate. */
import type { AccountTables } from "./accountTables.ts";
import type { Sql } from "./connect.ts";

export interface DayDigest {
  /** `YYYY-MM-DD`, UTC. */
  readonly day: string;
  readonly rows: number;
  /** SHA-256, hex, over the sorted digests of the day's rows. */
  readonly digest: string;
}

export type DigestedTable = "events" | "activities";

/**
 * One digest a day, oldest first, of rows before `before`; rows without a time
 * count to the day `none`. A payload and the numbers drawn from it are covered;
 * the id and cumulative quantity of a fill are not, since REST may yet tell them.
 */
export async function dayDigests(
  sql: Sql,
  tables: AccountTables,
  table: DigestedTable,
  before: Date,
): Promise<DayDigest[]> {
  const time = sql(table === "events" ? "event_at" : "transaction_time");
  const content =
    table === "events"
      ? sql`event_key, order_id, event, execution_id, raw_json`
      : sql`activity_type, symbol, side, qty, price, net_amount, execution_id, order_id, raw_json`;
  return sql<DayDigest[]>`
    with rows as (
      select ${time} as at, encode(sha256(convert_to(row(extract(epoch from ${time}), ${content})::text, 'UTF8')), 'hex') as digest
      from ${sql(tables[table])}
      where ${time} < ${before} or ${time} is null
    )
    select
      coalesce(to_char(at at time zone 'UTC', 'YYYY-MM-DD'), 'none') as day,
      count(*)::int as rows,
      encode(sha256(convert_to(string_agg(digest, '' order by digest collate "C"), 'UTF8')), 'hex') as digest
    from rows group by 1 order by 1`;
}

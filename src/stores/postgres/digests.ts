/** Digests of the raw rows of an account, a day at a time, for the completeness certificate. */
import type { AccountTables } from "./accountTables.ts";
import type { Sql } from "./connect.ts";

export interface DayDigest {
  /** `YYYY-MM-DD`, UTC. */
  readonly day: string;
  readonly rows: number;
  /** SHA-256, hex, over the digests of the day's rows in order of their keys. */
  readonly digest: string;
}

export type DigestedTable = "events" | "activities";

/** One digest a day, oldest first, of rows before `before`. Rows without a time count to the day `none`. */
export async function dayDigests(
  sql: Sql,
  tables: AccountTables,
  table: DigestedTable,
  before: Date,
): Promise<DayDigest[]> {
  const [key, time] =
    table === "events"
      ? ([sql("event_key"), sql("event_at")] as const)
      : ([sql("id"), sql("transaction_time")] as const);
  return sql<DayDigest[]>`
    select
      coalesce(to_char(${time} at time zone 'UTC', 'YYYY-MM-DD'), 'none') as day,
      count(*)::int as rows,
      encode(sha256(convert_to(string_agg(
        encode(sha256(convert_to(${key} || ' ' || coalesce(raw_json::text, ''), 'UTF8')), 'hex'),
        '' order by ${key} collate "C"), 'UTF8')), 'hex') as digest
    from ${sql(tables[table])}
    where ${time} < ${before} or ${time} is null
    group by 1 order by 1`;
}

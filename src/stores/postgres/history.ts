/** Statements on `raw_history_meta_<slug>`: where the account's history begins. */
import type { HistoryMetric } from "../../accounts/store.ts";
import type { AccountTables } from "./accountTables.ts";
import type { Sql } from "./connect.ts";

/** Keeps the earlier of what is stored and `at`. */
export async function recordHistoryStart(
  sql: Sql,
  { history }: AccountTables,
  metric: HistoryMetric,
  at: Date,
): Promise<void> {
  await sql`
    insert into ${sql(history)} as stored (metric_key, metric_value)
    values (${metric}, ${at})
    on conflict (metric_key) do update
    set metric_value = least(stored.metric_value, excluded.metric_value), updated_at = now()`;
}

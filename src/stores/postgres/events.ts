/** Statements on `raw_order_events_<slug>`: append-only, one row a `trade_updates` message. */
import type { OrderEventRow } from "../../../schema/rows.ts";
import type { AccountTables } from "./accountTables.ts";
import type { Sql, Transaction } from "./connect.ts";

/** Returns how many were new; a message that came twice is one row. */
export async function insertOrderEvents(
  sql: Sql | Transaction,
  { events }: AccountTables,
  rows: readonly OrderEventRow[],
): Promise<number> {
  if (rows.length === 0) return 0;
  const result = await sql`
    insert into ${sql(events)} (event_key, order_id, event, execution_id, event_at, raw_json)
    select event_key, order_id, event, execution_id, event_at, raw_json::jsonb
    from json_to_recordset(${JSON.stringify(rows)}::text::json) as incoming (
      event_key text, order_id uuid, event text, execution_id uuid, event_at timestamptz, raw_json text
    )
    on conflict (event_key) do nothing`;
  return result.count;
}

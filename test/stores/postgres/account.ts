/** A migrated database with one account, and rows for it as the normaliser makes them. */
import { isoOfMicros, microsOf, nanosOf } from "../../../schema/instant.ts";
import type { ActivityRow, OrderRow } from "../../../schema/rows.ts";
import { accountTables } from "../../../src/stores/postgres/accountTables.ts";
import {
  migrateAccount,
  migrateService,
} from "../../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

export const SCHEMA = "account_activities";
export const SLUG = "live";
export const tables = accountTables(SCHEMA, SLUG);

export async function accountDatabase(): Promise<FreshDatabase> {
  const fresh = await freshDatabase();
  await migrateService(fresh.sql);
  await migrateAccount(fresh.sql, SCHEMA, { slug: SLUG, name: "Live" });
  return fresh;
}

export async function emptyTables({ sql }: FreshDatabase): Promise<void> {
  const { orders, events, activities, history } = tables;
  await sql`
    truncate ${sql(orders)}, ${sql(events)}, ${sql(activities)}, ${sql(history)},
      feedkeeper.coverage, feedkeeper.dead_letters, feedkeeper.leases`;
  await sql`update feedkeeper.accounts set shares_execution_ids = false`;
}

/** `…0001`, `…0002`: a UUID of its own for each number. */
export function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** An order as of `at`, a time with up to nine decimals. */
export function order(
  at: string,
  members: Partial<OrderRow> & { readonly note?: string } = {},
): OrderRow {
  const { note, ...row } = members;
  const id = row.id ?? uuid(1);
  return {
    id,
    client_order_id: null,
    request_id: null,
    parent_id: null,
    replaced_by: null,
    replaces: null,
    symbol: "AAPL",
    side: "buy",
    order_type: "limit",
    status: "new",
    qty: "10",
    filled_qty: "0",
    filled_avg_price: null,
    limit_price: "100.50",
    stop_price: null,
    created_at: "2026-10-08T15:00:00.000000Z",
    updated_at: isoOfMicros(microsOf(at) ?? 0),
    submitted_at: null,
    filled_at: null,
    expired_at: null,
    canceled_at: null,
    replaced_at: null,
    expires_at: null,
    legs: null,
    raw_json: JSON.stringify({ id, updated_at: at, note }),
    version: nanosOf(at) ?? 0n,
    mayLower: false,
    ...row,
  };
}

/** A fill as the stream tells it. */
export function streamFill(members: Partial<ActivityRow> = {}): ActivityRow {
  return {
    id: `20261008110001123::${uuid(101)}`,
    activity_type: "FILL",
    transaction_time: "2026-10-08T15:00:01.123456Z",
    symbol: "AAPL",
    side: "buy",
    qty: "2",
    price: "100.5",
    net_amount: "-201.0",
    execution_id: uuid(101),
    order_id: uuid(1),
    cum_qty: "2",
    raw_json: '{"event":"partial_fill","order":{"filled_qty":"2"}}',
    path: "stream",
    ...members,
  };
}

/** The same fill as REST tells it. */
export function restFill(members: Partial<ActivityRow> = {}): ActivityRow {
  return streamFill({
    raw_json: '{"activity_type":"FILL","cum_qty":"2"}',
    path: "rest",
    ...members,
  });
}

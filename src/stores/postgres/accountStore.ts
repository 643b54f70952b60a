/** An account's tables, as its healer and backfill ask them. */
import { accountTables } from "./accountTables.ts";
import { coverageFacts, deliveryShares } from "./coverage.ts";
import type { Database } from "./database.ts";
import { recordHistoryStart } from "./history.ts";
import { openOrderIds, ordersTouchedBetween } from "./orders.ts";
import type { AccountStore } from "../../accounts/store.ts";

export function accountStore(
  database: Database,
  schema: string,
  slug: string,
): AccountStore {
  const tables = accountTables(schema, slug);
  return {
    facts: async (range) => coverageFacts(database.sql, slug, range),
    openOrderIds: async () => openOrderIds(database.sql, tables),
    ordersTouchedBetween: async (from, to) =>
      ordersTouchedBetween(database.sql, tables, from, to),
    recordHistoryStart: async (metric, at) =>
      recordHistoryStart(database.sql, tables, metric, at),
    deliveryShares: async (range) =>
      deliveryShares(database.sql, tables, slug, range),
  };
}

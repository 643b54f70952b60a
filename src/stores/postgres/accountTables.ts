/** Names of the raw tables of one account (CONTRACT 3). */
export interface AccountTables {
  readonly orders: string;
  readonly events: string;
  readonly activities: string;
  readonly history: string;
}

/** Schema and slug are checked by the configuration: both are plain identifiers. */
export function accountTables(schema: string, slug: string): AccountTables {
  return {
    orders: `${schema}.raw_orders_${slug}`,
    events: `${schema}.raw_order_events_${slug}`,
    activities: `${schema}.raw_activities_${slug}`,
    history: `${schema}.raw_history_meta_${slug}`,
  };
}

/** Rows of the raw layer (CONTRACT 3), one field a column. Times are ISO UTC with six decimals, numbers decimal text. */

export interface OrderRow {
  readonly id: string;
  readonly client_order_id: string | null;
  readonly request_id: string | null;
  readonly parent_id: string | null;
  readonly replaced_by: string | null;
  readonly replaces: string | null;
  readonly symbol: string;
  readonly side: string;
  readonly order_type: string;
  readonly status: string;
  readonly qty: string | null;
  readonly filled_qty: string;
  readonly filled_avg_price: string | null;
  readonly limit_price: string | null;
  readonly stop_price: string | null;
  readonly created_at: string | null;
  readonly updated_at: string | null;
  readonly submitted_at: string | null;
  readonly filled_at: string | null;
  readonly expired_at: string | null;
  readonly canceled_at: string | null;
  readonly replaced_at: string | null;
  readonly expires_at: string | null;
  readonly legs: string | null;
  readonly raw_json: string;
  /** Nanoseconds of `updated_at`, for telling states of one microsecond apart; no column. */
  readonly version: bigint;
  /** Whether `filled_qty` may fall: the message is a bust or correction, or REST's own later word; no column. */
  readonly mayLower: boolean;
}

/** Statuses after which an order changes no more, save by a bust or correction. */
export const FINAL_STATUSES: ReadonlySet<string> = new Set([
  "filled",
  "canceled",
  "expired",
  "replaced",
  "rejected",
]);

export interface OrderEventRow {
  readonly event_key: string;
  readonly order_id: string | null;
  readonly event: string;
  readonly execution_id: string | null;
  readonly event_at: string | null;
  readonly raw_json: string;
}

/** Which path brought an activity; no column. */
export type ActivityPath = "stream" | "rest";

export interface ActivityRow {
  readonly id: string;
  readonly activity_type: string;
  readonly transaction_time: string | null;
  readonly symbol: string | null;
  readonly side: string | null;
  readonly qty: string | null;
  readonly price: string | null;
  readonly net_amount: string | null;
  readonly execution_id: string | null;
  readonly order_id: string | null;
  readonly cum_qty: string | null;
  readonly raw_json: string;
  readonly path: ActivityPath;
}

/** All that one account record writes, in one transaction. */
export interface AccountRows {
  readonly orders: readonly OrderRow[];
  readonly events: readonly OrderEventRow[];
  readonly activities: readonly ActivityRow[];
}

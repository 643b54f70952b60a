/** An order as the venue shows it, member by member in the order of its frames. */
import type { Chance } from "./chance.ts";
import { nanoText, sortable, type Nanos } from "./stamps.ts";

/** Quantities in the books: whole billionths of a share or coin. */
export type Nanoqty = number;
const NANOS = 1_000_000_000;

export type Side = "buy" | "sell";
export type OrderType =
  "market" | "limit" | "stop" | "stop_limit" | "trailing_stop";

type Stamp = string | null;

/** On the stream as it is; {@link restOrder} is the same by REST. */
export interface VenueOrder {
  readonly id: string;
  client_order_id: string;
  created_at: string;
  updated_at: string;
  submitted_at: string;
  filled_at: Stamp;
  expired_at: Stamp;
  cancel_requested_at: Stamp;
  canceled_at: Stamp;
  failed_at: Stamp;
  replaced_at: Stamp;
  replaced_by: string | null;
  replaces: string | null;
  asset_id: string;
  symbol: string;
  asset_class: "us_equity" | "crypto";
  notional: string | null;
  qty: string | null;
  filled_qty: string;
  filled_avg_price: string | null;
  order_class: string;
  order_type: OrderType;
  type: OrderType;
  side: Side;
  position_intent: string;
  time_in_force: string;
  limit_price: string | null;
  stop_price: string | null;
  status: string;
  extended_hours: boolean;
  legs: VenueOrder[] | null;
  trail_percent: string | null;
  trail_price: string | null;
  hwm: string | null;
  expires_at: Stamp;
}

export interface OrderRequest {
  readonly symbol: string;
  readonly side: Side;
  readonly type: OrderType;
  readonly qty?: string;
  readonly notional?: string;
  readonly timeInForce?: string;
  readonly limitPrice?: string;
  readonly stopPrice?: string;
  readonly trailPercent?: string;
  readonly clientOrderId?: string;
  readonly extendedHours?: boolean;
  /** Makes it a bracket. */
  readonly takeProfit?: string;
  readonly stopLoss?: string;
}

/** Still able to change, by the list of `status=open`; held legs are left out of it, as by the venue. */
export const OPEN_STATUSES: ReadonlySet<string> = new Set([
  "new",
  "partially_filled",
  "accepted",
  "pending_new",
  "pending_cancel",
  "pending_replace",
  "accepted_for_bidding",
  "stopped",
  "calculated",
  "done_for_day",
]);

export function createOrder(
  request: OrderRequest,
  atNanos: Nanos,
  chance: Chance,
): VenueOrder {
  const at = nanoText(atNanos);
  const crypto = isCrypto(request.symbol);
  return {
    id: chance.uuid(),
    client_order_id: request.clientOrderId ?? chance.uuid(),
    created_at: at,
    updated_at: at,
    submitted_at: at,
    filled_at: null,
    expired_at: null,
    cancel_requested_at: null,
    canceled_at: null,
    failed_at: null,
    replaced_at: null,
    replaced_by: null,
    replaces: null,
    asset_id: assetId(request.symbol),
    symbol: request.symbol,
    asset_class: crypto ? "crypto" : "us_equity",
    notional: request.notional ?? null,
    qty: request.qty ?? null,
    filled_qty: "0",
    filled_avg_price: null,
    order_class: request.takeProfit === undefined ? "" : "bracket",
    order_type: request.type,
    type: request.type,
    side: request.side,
    position_intent: request.side === "buy" ? "buy_to_open" : "sell_to_close",
    time_in_force: request.timeInForce ?? (crypto ? "gtc" : "day"),
    limit_price: request.limitPrice ?? null,
    stop_price: request.stopPrice ?? null,
    status: "pending_new",
    extended_hours: request.extendedHours ?? false,
    legs: null,
    trail_percent: request.trailPercent ?? null,
    trail_price: null,
    hwm: null,
    expires_at: `${at.slice(0, 10)}T21:00:00Z`,
  };
}

/** By REST: without `cancel_requested_at`, with two members that are always null, legs folded in when asked for. */
export function restOrder(
  order: VenueOrder,
  legs: readonly VenueOrder[] | null,
): Record<string, unknown> {
  const { cancel_requested_at: _, ...shown } = order;
  return {
    ...shown,
    legs: legs === null ? null : legs.map((leg) => restOrder(leg, null)),
    source: null,
    subtag: null,
  };
}

/** The instant that lists of orders are sorted by. */
export function submittedStamp(order: VenueOrder): string {
  return sortable(order.submitted_at) ?? order.submitted_at;
}

export function isCrypto(symbol: string): boolean {
  return symbol.includes("/");
}

/** The same uuid for a symbol always. */
export function assetId(symbol: string): string {
  return Bun.hash(symbol)
    .toString(16)
    .padStart(16, "0")
    .repeat(2)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function nanoqty(text: string): Nanoqty {
  return Math.round(Number(text) * NANOS);
}

export function qtyText(qty: Nanoqty): string {
  return decimalText(qty, 9);
}

/** `units` of 10^-decimals, trailing zeros cut. */
export function decimalText(units: number, decimals: number): string {
  const digits = String(Math.abs(units)).padStart(decimals + 1, "0");
  const whole = digits.slice(0, -decimals);
  const fraction = digits.slice(-decimals).replace(/0+$/, "");
  return `${units < 0 ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

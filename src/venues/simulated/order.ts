/** An order as the venue shows it, member by member in the order of its frames. */
import { msOfNewYork, newYorkDay } from "../../../schema/instant.ts";
import { DAY, HOUR } from "../../clock.ts";
import { nextOpen, sessionOn } from "../calendar.ts";
import type { Chance } from "./chance.ts";
import { msOfNanos, nanoText, sortable, type Nanos } from "./stamps.ts";

/** Quantities in the books: whole billionths of a share or coin. */
export type Nanoqty = number;
const NANOS = 1_000_000_000;

/** The recorded order that was good till cancelled ended this much later. */
const GOOD_TILL_CANCELED_MS = 89 * DAY;

export type Side = "buy" | "sell";
export type OrderType =
  "market" | "limit" | "stop" | "stop_limit" | "trailing_stop";
export type OrderClass = "" | "bracket" | "oco" | "oto";

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
  order_class: OrderClass;
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
  readonly trailPrice?: string;
  readonly clientOrderId?: string;
  readonly extendedHours?: boolean;
  readonly orderClass?: OrderClass;
  readonly takeProfit?: string;
  readonly stopLoss?: string;
  /** Makes the stop a stop-limit. */
  readonly stopLossLimit?: string;
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
  "suspended",
  "calculated",
  "done_for_day",
]);

/** At its end: nothing but a bust or a correction touches it. */
export const CLOSED_STATUSES: ReadonlySet<string> = new Set([
  "filled",
  "canceled",
  "expired",
  "rejected",
  "replaced",
]);

/** `held`: what the account holds of the symbol before it. */
export function createOrder(
  request: OrderRequest,
  atNanos: Nanos,
  held: Nanoqty,
  chance: Chance,
): VenueOrder {
  const at = nanoText(atNanos);
  const crypto = isCrypto(request.symbol);
  const timeInForce = request.timeInForce ?? (crypto ? "gtc" : "day");
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
    order_class: request.orderClass ?? "",
    order_type: request.type,
    type: request.type,
    side: request.side,
    position_intent: intentOf(request.side, held),
    time_in_force: timeInForce,
    limit_price: request.limitPrice ?? null,
    stop_price: request.stopPrice ?? null,
    status: "pending_new",
    extended_hours: request.extendedHours ?? false,
    legs: null,
    trail_percent: request.trailPercent ?? null,
    trail_price: request.trailPrice ?? null,
    hwm: null,
    expires_at: expiresAt(timeInForce, msOfNanos(atNanos)),
  };
}

/** What a client may ask to be different in the order that takes another's place. */
export type OrderChanges = Partial<
  Pick<
    VenueOrder,
    | "qty"
    | "limit_price"
    | "stop_price"
    | "trail_price"
    | "trail_percent"
    | "client_order_id"
    | "time_in_force"
  >
>;

/** Takes the place of `order`: what was executed stays there, so it is for what is left unless `changes` say how much. */
export function successorOf(
  order: VenueOrder,
  changes: OrderChanges,
  atNanos: Nanos,
  chance: Chance,
): VenueOrder {
  const at = nanoText(atNanos);
  return {
    ...order,
    qty: order.qty === null ? null : qtyText(leftQty(order)),
    filled_qty: "0",
    filled_avg_price: null,
    cancel_requested_at: null,
    client_order_id: chance.uuid(),
    ...changes,
    id: chance.uuid(),
    created_at: at,
    submitted_at: at,
    updated_at: at,
    expires_at: expiresAt(
      changes.time_in_force ?? order.time_in_force,
      msOfNanos(atNanos),
    ),
    replaces: order.id,
    // A leg that waits goes on waiting.
    status: order.status === "held" ? "held" : "new",
  };
}

/** What waits for its parent, on the other side of it; of an `oco` the parent itself takes the profit. */
export function legRequests(request: OrderRequest): OrderRequest[] {
  const { orderClass, takeProfit, stopLoss, stopLossLimit } = request;
  if (orderClass === undefined || orderClass === "") return [];
  const opposite = request.side === "buy" ? ("sell" as const) : "buy";
  const leg = {
    symbol: request.symbol,
    side: orderClass === "oco" ? request.side : opposite,
    orderClass,
    ...(request.qty === undefined ? {} : { qty: request.qty }),
    ...(request.timeInForce === undefined
      ? {}
      : { timeInForce: request.timeInForce }),
  };
  const profit: OrderRequest[] =
    takeProfit === undefined || orderClass === "oco"
      ? []
      : [{ ...leg, type: "limit", limitPrice: takeProfit }];
  const stop: OrderRequest[] =
    stopLoss === undefined
      ? []
      : [
          stopLossLimit === undefined
            ? { ...leg, type: "stop", stopPrice: stopLoss }
            : {
                ...leg,
                type: "stop_limit",
                stopPrice: stopLoss,
                limitPrice: stopLossLimit,
              },
        ];
  return [...profit, ...stop];
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

/** Not executed yet; nothing for an order by value, whose quantity nobody asked for. */
export function leftQty({ qty, filled_qty }: VenueOrder): Nanoqty {
  return qty === null ? 0 : nanoqty(qty) - nanoqty(filled_qty);
}

/** `units` of 10^-decimals, trailing zeros cut. */
export function decimalText(units: number, decimals: number): string {
  const digits = String(Math.abs(units)).padStart(decimals + 1, "0");
  const whole = digits.slice(0, -decimals);
  const fraction = digits.slice(-decimals).replace(/0+$/, "");
  return `${units < 0 ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

function intentOf(side: Side, held: Nanoqty): string {
  if (side === "buy") return held < 0 ? "buy_to_close" : "buy_to_open";
  return held > 0 ? "sell_to_close" : "sell_to_open";
}

/** The close of the session that the order lives in, or New York's close some three months on. */
function expiresAt(timeInForce: string, ms: number): string {
  const today = sessionOn(newYorkDay(ms));
  const endMs =
    timeInForce === "gtc"
      ? msOfNewYork(newYorkDay(ms + GOOD_TILL_CANCELED_MS), 16 * HOUR)
      : today !== undefined && ms < today.closeMs
        ? today.closeMs
        : (sessionOn(newYorkDay(nextOpen(ms)))?.closeMs ?? ms);
  return `${new Date(endMs).toISOString().slice(0, 19)}Z`;
}

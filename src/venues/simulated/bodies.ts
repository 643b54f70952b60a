/** What a desk writes down: trade updates as the stream sends them, rows of activities as REST shows them. */
import { msOfNewYork, newYorkDay } from "../../../schema/instant.ts";
import { HOUR } from "../../clock.ts";
import { nextOpen } from "../calendar.ts";
import {
  decimalText,
  isCrypto,
  leftQty,
  type Nanoqty,
  qtyText,
  type VenueOrder,
} from "./order.ts";
import {
  microText,
  msOfNanos,
  type Nanos,
  nanoText,
  publishedText,
} from "./stamps.ts";

export interface Execution {
  readonly executionId: string;
  readonly qty: Nanoqty;
  readonly price: string;
}

/** What is no trade: dividends, fees, journals. */
export interface Booking {
  readonly type: string;
  readonly netCents: number;
  readonly description: string;
  readonly subType?: string;
  readonly symbol?: string;
  readonly qty?: string;
  readonly price?: string;
  readonly perShare?: string;
  /** Shared by rows of one event. */
  readonly groupId?: string;
  /** Where two rows of one event share an id. */
  readonly id?: string;
  /** The day it belongs to, `YYYY-MM-DD`; today's when absent. */
  readonly date?: string;
  /** What it does to a holding besides the cash. */
  readonly moved?: { readonly symbol: string; readonly qty: Nanoqty };
}

/** `data` of a frame, member by member in the recorded order. */
export function updateBody(update: {
  readonly event: string;
  readonly eventId: string;
  readonly published: Nanos;
  readonly timestamp: Nanos;
  readonly order: VenueOrder;
  readonly legs: readonly VenueOrder[];
  readonly executionId: string | undefined;
  readonly members: Readonly<Record<string, string>>;
}): string {
  const { event, order, legs } = update;
  const isFill = event === "fill" || event === "partial_fill";
  const { price, qty, position_qty, ...others } = update.members;
  return JSON.stringify({
    at: publishedText(update.published),
    event_id: update.eventId,
    event,
    timestamp: nanoText(update.timestamp),
    order: { ...order, legs: legs.length === 0 ? null : legs },
    price,
    qty,
    position_qty,
    execution_id: update.executionId,
    ...others,
    ...(isFill
      ? {
          swap_rate: "1",
          settle_date: settleDay(order.symbol, msOfNanos(update.timestamp)),
        }
      : {}),
  });
}

/** The order has taken the execution in already: what is left is known. */
export function fillRow(
  id: string,
  order: VenueOrder,
  { price, qty }: Execution,
  timestamp: Nanos,
): string {
  return JSON.stringify({
    id,
    activity_type: "FILL",
    transaction_time: microText(timestamp),
    type: order.status === "filled" ? "fill" : "partial_fill",
    price,
    qty: qtyText(qty),
    side: order.side,
    symbol: order.symbol,
    leaves_qty: qtyText(leftQty(order)),
    order_id: order.id,
    cum_qty: order.filled_qty,
    order_status: order.status,
    ...(isCrypto(order.symbol) ? { swap_rate: "1" } : {}),
  });
}

export function bookingRow(id: string, booking: Booking, at: Nanos): string {
  // JSON leaves out what is undefined, as the venue does what does not apply.
  return JSON.stringify({
    id,
    activity_type: booking.type,
    activity_sub_type: booking.subType,
    date: booking.date ?? newYorkDay(msOfNanos(at)),
    created_at: microText(at),
    net_amount: decimalText(booking.netCents, 2),
    description: booking.description,
    symbol: booking.symbol,
    qty: booking.qty,
    price: booking.price,
    per_share_amount: booking.perShare,
    group_id: booking.groupId,
    status: "executed",
    currency: "USD",
  });
}

/** Coins settle at once, stocks on the next day of trading. */
function settleDay(symbol: string, ms: number): string {
  const day = newYorkDay(ms);
  return isCrypto(symbol)
    ? day
    : newYorkDay(nextOpen(msOfNewYork(day, 20 * HOUR)));
}

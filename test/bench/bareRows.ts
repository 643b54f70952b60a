/** What the bare loops do with the venue's text: one parse, the columns as they come, no check of anything. */
import type { AccountRows, ActivityRow, OrderRow } from "../../schema/rows.ts";

const decoder = new TextDecoder();

/** `frame`: one of `trade_updates`. */
export function rowsOfFrame(frame: Uint8Array): AccountRows {
  const text = decoder.decode(frame);
  const { data } = JSON.parse(text);
  // The data is the frame's last member.
  const raw = text.slice(text.indexOf(`"data":`) + 7, -1);
  const { order } = data;
  return {
    orders: [
      orderRow(order, raw, null),
      ...(order.legs ?? []).map((leg: Members) =>
        orderRow(leg, JSON.stringify(leg), order.id),
      ),
    ],
    events: [
      {
        event_key: data.event_id,
        order_id: order.id,
        event: data.event,
        execution_id: data.execution_id ?? null,
        event_at: data.timestamp ?? data.at,
        raw_json: raw,
      },
    ],
    activities:
      data.event === "fill" || data.event === "partial_fill"
        ? [
            {
              id: data.execution_id,
              activity_type: "FILL",
              transaction_time: data.timestamp,
              symbol: order.symbol,
              side: order.side,
              qty: data.qty,
              price: data.price,
              net_amount: cash(order.side, data.qty, data.price),
              execution_id: data.execution_id,
              order_id: order.id,
              cum_qty: order.filled_qty,
              raw_json: raw,
              path: "stream",
            },
          ]
        : [],
  };
}

/** `activity`: a parsed row of REST. */
export function rowOfActivity(activity: Members): ActivityRow {
  const { id, side, qty, price } = activity;
  return {
    id,
    activity_type: activity["activity_type"],
    transaction_time: activity["transaction_time"],
    symbol: activity["symbol"],
    side,
    qty,
    price,
    net_amount: cash(side, qty, price),
    execution_id: id.slice(id.indexOf("::") + 2),
    order_id: activity["order_id"],
    cum_qty: activity["cum_qty"],
    raw_json: JSON.stringify(activity),
    path: "rest",
  };
}

// What JSON.parse returns: nothing is checked here.
type Members = ReturnType<typeof JSON.parse>;

function orderRow(
  order: Members,
  raw: string,
  parentId: string | null,
): OrderRow {
  return {
    id: order.id,
    client_order_id: order.client_order_id,
    request_id: null,
    parent_id: parentId,
    replaced_by: order.replaced_by,
    replaces: order.replaces,
    symbol: order.symbol,
    side: order.side,
    order_type: order.order_type,
    status: order.status,
    qty: order.qty,
    filled_qty: order.filled_qty,
    filled_avg_price: order.filled_avg_price,
    limit_price: order.limit_price,
    stop_price: order.stop_price,
    created_at: order.created_at,
    updated_at: order.updated_at,
    submitted_at: order.submitted_at,
    filled_at: order.filled_at,
    expired_at: order.expired_at,
    canceled_at: order.canceled_at,
    replaced_at: order.replaced_at,
    expires_at: order.expires_at,
    legs: order.legs === null ? null : JSON.stringify(order.legs),
    raw_json: raw,
    version: 0n,
    mayLower: false,
  };
}

function cash(side: string, qty: string, price: string): string {
  const amount = Number(qty) * Number(price);
  return String(side === "buy" ? -amount : amount);
}

/**
 * Alpaca's orders, trade updates and activities as rows of the raw layer. Pure:
 * text in, rows out. What cannot be read throws {@link MalformedError}; what the
 * venue adds one day (members, events, types) passes.
 */
import { multiply, negate } from "../../../schema/decimal.ts";
import { isoOfMicros, microsOf, nanosOf } from "../../../schema/instant.ts";
import type { AccountRecord } from "../../../schema/messages.ts";
import {
  elementTexts,
  isObject,
  isUuid,
  MalformedError,
  memberText,
  parseObject,
  readDecimal,
  readText,
  readUuid,
} from "../../../schema/read.ts";
import type {
  AccountRows,
  ActivityRow,
  OrderRow,
} from "../../../schema/rows.ts";
import { activityId } from "./activityId.ts";

type Members = Record<string, unknown>;

const EXECUTIONS = new Set(["fill", "partial_fill"]);
const AMENDMENTS = new Set(["trade_bust", "trade_correct"]);

/**
 * The rows that one record of an account's sources stands for.
 * @throws MalformedError when the venue's text cannot be read.
 */
export function rowsOfRecord(record: AccountRecord): AccountRows {
  switch (record.kind) {
    case "trade_update":
      return rowsOfTradeUpdate(record.raw);
    case "order":
      return {
        orders: ordersOf(record.raw, { mayLower: true }),
        events: [],
        activities: [],
      };
    case "activity":
      return { orders: [], events: [], activities: [activityOf(record.raw)] };
    case "coverage":
    case "malformed":
      return { orders: [], events: [], activities: [] };
    default:
      return record.kind satisfies never;
  }
}

/** Rows of the `data` member of a `trade_updates` frame: the order's state, the event, its execution. */
export function rowsOfTradeUpdate(raw: string): AccountRows {
  const data = parseObject(raw);
  const event = readText(data["event"]);
  if (event === undefined)
    throw new MalformedError("trade update without event");
  const orderText = isObject(data["order"])
    ? memberText(raw, "order")
    : undefined;
  const orders =
    orderText === undefined
      ? []
      : ordersOf(orderText, { mayLower: AMENDMENTS.has(event) });
  const order = orders[0];
  return {
    orders,
    events: [
      {
        event_key: readText(data["event_id"]) ?? digest(raw),
        order_id: order?.id ?? null,
        event,
        execution_id: readUuid(data["execution_id"], "execution_id") ?? null,
        event_at: timeOf(data, "timestamp") ?? timeOf(data, "at") ?? null,
        raw_json: raw,
      },
    ],
    activities:
      EXECUTIONS.has(event) && order !== undefined
        ? executionsOf(raw, data, order)
        : [],
  };
}

/** An order object and, as rows of their own with `parent_id`, its legs. */
function ordersOf(
  raw: string,
  { mayLower, parentId }: { mayLower: boolean; parentId?: string },
): OrderRow[] {
  const order = parseObject(raw);
  const id = readUuid(order["id"], "order id");
  if (id === undefined) throw new MalformedError("order without id");
  const status = readText(order["status"]);
  if (status === undefined) throw new MalformedError("order without status");
  const updatedAt = readText(order["updated_at"]);
  const version = updatedAt === undefined ? undefined : nanosOf(updatedAt);
  if (updatedAt !== undefined && version === undefined) {
    throw new MalformedError(`updated_at is no time: ${updatedAt}`);
  }
  const legs =
    Array.isArray(order["legs"]) && order["legs"].length > 0
      ? memberText(raw, "legs")
      : undefined;
  const row: OrderRow = {
    id,
    client_order_id: readText(order["client_order_id"]) ?? null,
    request_id: readText(order["request_id"]) ?? null,
    parent_id:
      parentId ??
      readText(order["parent_order_id"] ?? order["parent_id"]) ??
      null,
    replaced_by: readText(order["replaced_by"]) ?? null,
    replaces: readText(order["replaces"]) ?? null,
    symbol: (readText(order["symbol"]) ?? "").toUpperCase(),
    side: (readText(order["side"]) ?? "").toLowerCase(),
    order_type: (
      readText(order["order_type"]) ??
      readText(order["type"]) ??
      ""
    ).toLowerCase(),
    status: status.toLowerCase(),
    qty: readDecimal(order["qty"], "qty") ?? null,
    filled_qty: readDecimal(order["filled_qty"], "filled_qty") ?? "0",
    filled_avg_price:
      readDecimal(order["filled_avg_price"], "filled_avg_price") ?? null,
    limit_price: readDecimal(order["limit_price"], "limit_price") ?? null,
    stop_price: readDecimal(order["stop_price"], "stop_price") ?? null,
    created_at: timeOf(order, "created_at") ?? null,
    updated_at: timeOf(order, "updated_at") ?? null,
    submitted_at: timeOf(order, "submitted_at") ?? null,
    filled_at: timeOf(order, "filled_at") ?? null,
    expired_at: timeOf(order, "expired_at") ?? null,
    canceled_at: timeOf(order, "canceled_at") ?? null,
    replaced_at: timeOf(order, "replaced_at") ?? null,
    expires_at: timeOf(order, "expires_at") ?? null,
    legs: legs ?? null,
    raw_json: raw,
    version: version ?? 0n,
    mayLower,
  };
  if (legs === undefined) return [row];
  const legRows = elementTexts(legs).flatMap((leg) =>
    ordersOf(leg, { mayLower, parentId: id }),
  );
  return [row, ...legRows];
}

/** One row of `/v2/account/activities`. */
export function activityOf(raw: string): ActivityRow {
  const activity = parseObject(raw);
  const id = readText(activity["id"]);
  if (id === undefined) throw new MalformedError("activity without id");
  const type = readText(activity["activity_type"])?.toUpperCase();
  if (type === undefined)
    throw new MalformedError("activity without activity_type");
  const isFill = type === "FILL";
  const suffix = id.slice(id.indexOf("::") + 2);
  const side = readText(activity["side"])?.toLowerCase() ?? null;
  const qty = readDecimal(activity["qty"], "qty") ?? null;
  const price = readDecimal(activity["price"], "price") ?? null;
  const netAmount = readDecimal(activity["net_amount"], "net_amount");
  return {
    id,
    activity_type: type,
    transaction_time: activityTime(activity),
    symbol: readText(activity["symbol"])?.toUpperCase() ?? null,
    side,
    qty,
    price,
    net_amount: netAmount ?? (isFill ? cashOf(side, qty, price) : null),
    execution_id:
      isFill && id.includes("::") && isUuid(suffix)
        ? suffix.toLowerCase()
        : null,
    order_id: readUuid(activity["order_id"], "order_id") ?? null,
    cum_qty: readDecimal(activity["cum_qty"], "cum_qty") ?? null,
    raw_json: raw,
    path: "rest",
  };
}

/** The executions of a fill event: its own, or one for each leg of a multi-leg order. */
function executionsOf(
  raw: string,
  data: Members,
  order: OrderRow,
): ActivityRow[] {
  const legs = Array.isArray(data["legs"]) ? data["legs"].filter(isObject) : [];
  if (legs.length === 0) {
    return [
      executionOf(raw, data, {
        orderId: order.id,
        symbol: order.symbol,
        side: order.side,
        cumQty: order.filled_qty,
      }),
    ];
  }
  return legs.map((leg) =>
    executionOf(
      raw,
      { timestamp: data["timestamp"], at: data["at"], ...leg },
      {
        orderId: readUuid(leg["order_id"], "leg order_id") ?? order.id,
        symbol: (readText(leg["symbol"]) ?? order.symbol).toUpperCase(),
        side: readText(leg["side"])?.toLowerCase() ?? order.side,
        cumQty: null,
      },
    ),
  );
}

function executionOf(
  raw: string,
  execution: Members,
  order: {
    orderId: string;
    symbol: string;
    side: string;
    cumQty: string | null;
  },
): ActivityRow {
  const qty = readDecimal(execution["qty"], "qty") ?? null;
  const price = readDecimal(execution["price"], "price") ?? null;
  const executionId =
    readUuid(execution["execution_id"], "execution_id") ?? null;
  const micros = microsOf(
    readText(execution["timestamp"]) ?? readText(execution["at"]) ?? "",
  );
  // Without an execution id the fill is known by its order and what was filled after it.
  const name = executionId ?? `${order.orderId}:${order.cumQty ?? digest(raw)}`;
  return {
    id: micros === undefined ? `stream_${name}` : activityId(micros, name),
    activity_type: "FILL",
    transaction_time: micros === undefined ? null : isoOfMicros(micros),
    symbol: order.symbol,
    side: order.side,
    qty,
    price,
    net_amount: cashOf(order.side, qty, price),
    execution_id: executionId,
    order_id: order.orderId,
    cum_qty: order.cumQty,
    raw_json: raw,
    path: "stream",
  };
}

/** Cash that a fill moves: quantity × price, negative for a buy; unknown when one of them is. */
function cashOf(
  side: string | null,
  qty: string | null,
  price: string | null,
): string | null {
  if (side === null || qty === null || price === null) return null;
  const amount = multiply(qty, price);
  return side === "buy" ? negate(amount) : amount;
}

/** The venue's time of an activity; a bare date is its midnight UTC, as the seed system stored it. */
function activityTime(activity: Members): string | null {
  for (const member of [
    "transaction_time",
    "activity_time",
    "date",
    "timestamp",
    "created_at",
  ]) {
    const text = readText(activity[member]);
    if (text === undefined) continue;
    const micros = microsOf(
      /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text,
    );
    if (micros !== undefined) return isoOfMicros(micros);
  }
  return null;
}

/** @throws MalformedError when the member is there and is no time. */
function timeOf(members: Members, name: string): string | undefined {
  const text = readText(members[name]);
  if (text === undefined) return undefined;
  const micros = microsOf(text);
  if (micros === undefined)
    throw new MalformedError(`${name} is no time: ${text}`);
  return isoOfMicros(micros);
}

function digest(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

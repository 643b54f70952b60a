/**
 * Alpaca's orders, trade updates and activities as rows of the raw layer. Pure:
 * text in, rows out. What cannot be read throws {@link MalformedError}; what the
 * venue adds one day (members, events, types) passes.
 */
import { compare, multiply, negate } from "../../../schema/decimal.ts";
import {
  isoOfMicros,
  microsOf,
  nanosOf,
  storedTime,
} from "../../../schema/instant.ts";
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
        orders: ordersOf(record.raw, parseObject(record.raw), {
          mayLower: true,
        }),
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
  const told = data["order"];
  const orderText = isObject(told) ? memberText(raw, "order") : undefined;
  const orders =
    !isObject(told) || orderText === undefined
      ? []
      : ordersOf(orderText, told, { mayLower: AMENDMENTS.has(event) });
  return {
    orders,
    events: [
      {
        event_key: readText(data["event_id"]) ?? digest(raw),
        order_id: orders[0]?.id ?? null,
        event,
        execution_id: readUuid(data["execution_id"], "execution_id") ?? null,
        event_at: timeOf(data, "timestamp") ?? timeOf(data, "at") ?? null,
        raw_json: raw,
      },
    ],
    activities: EXECUTIONS.has(event) ? executionsOf(raw, data, orders) : [],
  };
}

/** An order object, as text and parsed, and, as rows of their own with `parent_id`, its legs. */
function ordersOf(
  raw: string,
  order: Members,
  { mayLower, parentId }: { mayLower: boolean; parentId?: string },
): OrderRow[] {
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
    ordersOf(leg, parseObject(leg), { mayLower, parentId: id }),
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
  orders: readonly OrderRow[],
): ActivityRow[] {
  const [order] = orders;
  if (order === undefined) return [];
  const legs = Array.isArray(data["legs"]) ? data["legs"].filter(isObject) : [];
  if (legs.length === 0) {
    return [
      executionOf(raw, data, {
        order_id: order.id,
        symbol: order.symbol || null,
        side: order.side || null,
        cum_qty: filledOf(order),
        place: 0,
      }),
    ];
  }
  return legs.map((leg, place) => {
    const legId = readUuid(leg["order_id"], "leg order_id");
    // A leg of a spread may be sold where the spread is bought: only its own order tells.
    const legOrder = orders.find(({ id }) => id === legId);
    return executionOf(
      raw,
      { timestamp: data["timestamp"], at: data["at"], ...leg },
      {
        order_id: legId ?? order.id,
        symbol:
          readText(leg["symbol"])?.toUpperCase() ?? (legOrder?.symbol || null),
        side: readText(leg["side"])?.toLowerCase() ?? (legOrder?.side || null),
        cum_qty: legOrder === undefined ? null : filledOf(legOrder),
        place,
      },
    );
  });
}

/** What an order had filled after an execution: more than nothing, else it is not known. */
function filledOf({ filled_qty }: OrderRow): string | null {
  return compare(filled_qty, "0") > 0 ? filled_qty : null;
}

/** An execution of an order; `place` is its place among those of the message. */
function executionOf(
  raw: string,
  execution: Members,
  {
    place,
    ...order
  }: Pick<ActivityRow, "order_id" | "symbol" | "side" | "cum_qty"> & {
    place: number;
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
  const name =
    executionId ??
    `${order.order_id}:${order.cum_qty ?? `${digest(raw)}:${place}`}`;
  return {
    ...order,
    id: micros === undefined ? `stream_${name}` : activityId(micros, name),
    activity_type: "FILL",
    transaction_time: micros === undefined ? null : isoOfMicros(micros),
    qty,
    price,
    net_amount: cashOf(order.side, qty, price),
    execution_id: executionId,
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
  if (qty === null || price === null) return null;
  // The venue's words are buy, sell, sell_short; more begin with these two.
  if (side?.startsWith("buy")) return negate(multiply(qty, price));
  if (side?.startsWith("sell")) return multiply(qty, price);
  return null;
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
  const time = storedTime(text);
  if (time === undefined)
    throw new MalformedError(`${name} is no time: ${text}`);
  return time;
}

function digest(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

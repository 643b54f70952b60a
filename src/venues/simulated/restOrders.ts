/** `/v2/orders`: lists, single orders, and what clients may do to them. */
import { z } from "zod";
import {
  countOf,
  directionOf,
  json,
  Refusal,
  unprocessable,
} from "./answer.ts";
import { OrderClosedError } from "./desk.ts";
import type { Exchange } from "./exchange.ts";
import {
  type OrderRequest,
  restOrder,
  submittedStamp,
  type VenueOrder,
} from "./order.ts";
import { sortable } from "./stamps.ts";

const LIST_DEFAULT = 50;
const LIST_MAX = 500;

/** `GET /v2/orders`: by `submitted_at`, bounds and cursors exclusive. */
export function listOrders(
  exchange: Exchange,
  account: string,
  query: URLSearchParams,
): Response {
  const nested = query.get("nested") === "true";
  const conditions: string[] = [];
  const values: Record<string, string> = {};

  const status = query.get("status") ?? "open";
  const filter = FILTERS[status];
  if (filter === undefined) throw unprocessable(`invalid status: ${status}`);
  conditions.push(filter);
  // Folded legs show under their parent alone.
  if (nested) conditions.push("parent_id is null");
  for (const [name, comparison] of [
    ["after", ">"],
    ["until", "<"],
  ] as const) {
    const text = query.get(name);
    if (text === null) continue;
    const stamp = sortable(text);
    if (stamp === undefined) throw unprocessable(`invalid ${name}: ${text}`);
    conditions.push(`submitted_at ${comparison} $${name}`);
    values[name] = stamp;
  }
  for (const [name, comparison] of [
    ["after_order_id", ">"],
    ["before_order_id", "<"],
  ] as const) {
    const id = query.get(name);
    if (id === null) continue;
    if (values["after"] !== undefined || values["until"] !== undefined)
      throw unprocessable(`${name} cannot be used with after or until`);
    const cursor = exchange.books.order(account, id)?.order;
    if (cursor === undefined) throw unprocessable(`${name} is unknown`);
    conditions.push(`(submitted_at, id) ${comparison} ($${name}_at, $${name})`);
    values[name] = id;
    values[`${name}_at`] = submittedStamp(cursor);
  }
  const side = query.get("side");
  if (side !== null) {
    conditions.push("side = $side");
    values["side"] = side;
  }
  const symbols = query.get("symbols");
  if (symbols !== null) {
    conditions.push("instr($symbols, ',' || symbol || ',') > 0");
    values["symbols"] = `,${symbols},`;
  }
  const limit = countOf(query, "limit", {
    fallback: LIST_DEFAULT,
    max: LIST_MAX,
  });
  const orders = exchange.books.orders(
    account,
    conditions.join(" and "),
    values,
    directionOf(query),
    limit,
  );
  return json(orders.map((order) => shown(exchange, account, order, nested)));
}

const FILTERS: Readonly<Record<string, string>> = {
  open: "is_open = 1",
  closed: "is_open = 0 and status <> 'held'",
  all: "1 = 1",
};

export function getOrder(
  exchange: Exchange,
  account: string,
  id: string,
  query: URLSearchParams,
): Response {
  return json(
    shown(
      exchange,
      account,
      known(exchange, account, id),
      query.get("nested") === "true",
    ),
  );
}

export function getOrderByClientId(
  exchange: Exchange,
  account: string,
  query: URLSearchParams,
): Response {
  const id = query.get("client_order_id") ?? "";
  const order = exchange.books.orderByClientId(account, id);
  if (order === undefined) throw notFound(id);
  return json(shown(exchange, account, order, false));
}

const decimal = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((text) => Number(text) > 0, "must be above 0");

const placing = z.object({
  symbol: z.string().min(1),
  side: z.enum(["buy", "sell"]),
  type: z.enum(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
  time_in_force: z.string(),
  qty: decimal.nullish(),
  notional: decimal.nullish(),
  limit_price: decimal.nullish(),
  stop_price: decimal.nullish(),
  trail_percent: decimal.nullish(),
  client_order_id: z.string().max(128).nullish(),
  extended_hours: z.boolean().nullish(),
  take_profit: z.object({ limit_price: decimal }).nullish(),
  stop_loss: z.object({ stop_price: decimal }).nullish(),
});

/** `POST /v2/orders`: answers `pending_new`; the rest comes by itself. */
export function placeOrder(
  exchange: Exchange,
  account: string,
  body: unknown,
): Response {
  const order = parsed(placing, body);
  if ((order.qty == null) === (order.notional == null))
    throw unprocessable("qty or notional is required");
  if (order.type === "limit" && order.limit_price == null)
    throw unprocessable("limit orders require a limit price");
  const clientOrderId = order.client_order_id ?? undefined;
  if (
    clientOrderId !== undefined &&
    exchange.books.orderByClientId(account, clientOrderId) !== undefined
  )
    throw unprocessable("client_order_id must be unique");
  const request: OrderRequest = {
    symbol: order.symbol,
    side: order.side,
    type: order.type,
    timeInForce: order.time_in_force,
    ...given("qty", order.qty),
    ...given("notional", order.notional),
    ...given("limitPrice", order.limit_price),
    ...given("stopPrice", order.stop_price),
    ...given("trailPercent", order.trail_percent),
    ...given("clientOrderId", clientOrderId),
    ...given("takeProfit", order.take_profit?.limit_price),
    ...given("stopLoss", order.stop_loss?.stop_price),
    extendedHours: order.extended_hours ?? false,
  };
  return json(restOrder(exchange.place(account, request), null));
}

const replacing = z.object({
  qty: decimal.optional(),
  limit_price: decimal.optional(),
  stop_price: decimal.optional(),
  client_order_id: z.string().max(128).optional(),
  time_in_force: z.string().optional(),
});

/** `PATCH /v2/orders/{id}`: a new order in place of the old one. */
export function replaceOrder(
  exchange: Exchange,
  account: string,
  id: string,
  body: unknown,
): Response {
  const changes = Object.fromEntries(
    Object.entries(parsed(replacing, body)).filter(
      ([, value]) => value !== undefined,
    ),
  );
  const order = known(exchange, account, id);
  return closing(() =>
    json(restOrder(exchange.desk(account).replace(order, changes), null)),
  );
}

/** `DELETE /v2/orders/{id}`. */
export function cancelOrder(
  exchange: Exchange,
  account: string,
  id: string,
): Response {
  const order = known(exchange, account, id);
  return closing(() => {
    exchange.desk(account).say(order, "pending_cancel");
    exchange.desk(account).end(order, "canceled");
    return new Response(null, { status: 204 });
  });
}

/** `DELETE /v2/orders`: one answer for each open order. */
export function cancelOrders(exchange: Exchange, account: string): Response {
  const open = exchange.books.orders(account, "is_open = 1", {}, "asc", 1000);
  return json(
    open.map(({ id }) => {
      cancelOrder(exchange, account, id);
      return { id, status: 200 };
    }),
    207,
  );
}

function shown(
  exchange: Exchange,
  account: string,
  order: VenueOrder,
  nested: boolean,
): Record<string, unknown> {
  const legs =
    nested && order.order_class !== ""
      ? exchange.books.legsOf(account, order.id)
      : [];
  return restOrder(order, legs.length === 0 ? null : legs);
}

function known(exchange: Exchange, account: string, id: string): VenueOrder {
  const found = exchange.books.order(account, id)?.order;
  if (found === undefined) throw notFound(id);
  return found;
}

function notFound(id: string): Refusal {
  return new Refusal(404, 40410000, `order not found for ${id}`);
}

/** A cancel that comes after the fill is refused, as by the venue. */
function closing(work: () => Response): Response {
  try {
    return work();
  } catch (error) {
    if (error instanceof OrderClosedError)
      throw new Refusal(422, 42210000, error.message);
    throw error;
  }
}

function parsed<Shape>(shape: z.ZodType<Shape>, body: unknown): Shape {
  const read = shape.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw unprocessable(`${issue?.path.join(".")}: ${issue?.message}`);
}

function given<Name extends string>(
  name: Name,
  value: string | null | undefined,
): Partial<Record<Name, string>> {
  const members: Partial<Record<Name, string>> = {};
  if (value !== null && value !== undefined) members[name] = value;
  return members;
}

/** `/v2/orders`: lists, single orders, and what clients may do to them. */
import {
  countOf,
  directionOf,
  flagOf,
  json,
  Refusal,
  unprocessable,
  wordOf,
} from "./answer.ts";
import { OrderClosedError } from "./desk.ts";
import type { Exchange } from "./exchange.ts";
import { restOrder, submittedStamp, type VenueOrder } from "./order.ts";
import {
  readOrderChanges,
  readOrderRequest,
  requireAcceptable,
  requireUniqueId,
  symbolOf,
} from "./orderRequest.ts";
import { sortable } from "./stamps.ts";

const LIST_DEFAULT = 50;
const LIST_MAX = 500;
const OPEN_MAX = 100_000;

/** `GET /v2/orders`: by `submitted_at`, bounds and cursors exclusive. */
export function listOrders(
  exchange: Exchange,
  account: string,
  query: URLSearchParams,
): Response {
  const nested = flagOf(query, "nested");
  const conditions: string[] = [];
  const values: Record<string, string> = {};

  const status = wordOf(query, "status", Object.keys(FILTERS)) ?? "open";
  conditions.push(FILTERS[status] ?? "");
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
    if (Object.keys(values).length > 0)
      throw unprocessable(
        `${name} cannot be used with another cursor or with after or until`,
      );
    const cursor = exchange.books.order(account, id)?.order;
    if (cursor === undefined) throw unprocessable(`${name} is unknown`);
    conditions.push(`(submitted_at, id) ${comparison} ($${name}_at, $${name})`);
    values[name] = id;
    values[`${name}_at`] = submittedStamp(cursor);
  }
  const side = wordOf(query, "side", ["buy", "sell"]);
  if (side !== undefined) {
    conditions.push("side = $side");
    values["side"] = side;
  }
  const symbols = query.get("symbols");
  if (symbols !== null) {
    conditions.push("instr($symbols, ',' || symbol || ',') > 0");
    values["symbols"] = `,${symbols.split(",").map(symbolOf).join(",")},`;
  }
  const classes = query.get("asset_class")?.split(",");
  if (classes !== undefined)
    conditions.push(
      classes.map((name) => CLASSES[name] ?? "false").join(" or "),
    );
  const limit = countOf(query, "limit", {
    fallback: LIST_DEFAULT,
    max: LIST_MAX,
  });
  const orders = exchange.books.orders(
    account,
    conditions.map((condition) => `(${condition})`).join(" and "),
    values,
    directionOf(query),
    limit,
  );
  return json(orders.map((order) => shown(exchange, account, order, nested)));
}

const FILTERS: Readonly<Record<string, string>> = {
  open: "is_open = 1",
  // Legs that wait are not open, so they are here.
  closed: "is_open = 0",
  all: "true",
};

/** Crypto has a slash in its symbol, and no stock has. */
const CLASSES: Readonly<Record<string, string>> = {
  us_equity: "instr(symbol, '/') = 0",
  crypto: "instr(symbol, '/') > 0",
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
      flagOf(query, "nested"),
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

/** `POST /v2/orders`: answers `pending_new`; the rest comes by itself. */
export function placeOrder(
  exchange: Exchange,
  account: string,
  body: unknown,
): Response {
  const request = readOrderRequest(body);
  requireAcceptable(exchange.books, account, request);
  const order = exchange.place(account, request);
  return json(shown(exchange, account, order, true));
}

/** `PATCH /v2/orders/{id}`: a new order in place of the old one. */
export function replaceOrder(
  exchange: Exchange,
  account: string,
  id: string,
  body: unknown,
): Response {
  const order = known(exchange, account, id);
  const changes = readOrderChanges(body);
  requireUniqueId(exchange.books, account, changes.client_order_id);
  return closing(() =>
    json(
      shown(exchange, account, exchange.replace(account, order, changes), true),
    ),
  );
}

/** `DELETE /v2/orders/{id}`: the order is asked to end; the stream says when it has. */
export function cancelOrder(
  exchange: Exchange,
  account: string,
  id: string,
): Response {
  const order = known(exchange, account, id);
  return closing(() => {
    exchange.cancel(account, order);
    return new Response(null, { status: 204 });
  });
}

/** `DELETE /v2/orders`: one answer for each open order. */
export function cancelOrders(exchange: Exchange, account: string): Response {
  const open = exchange.books.orders(
    account,
    "is_open = 1",
    {},
    "asc",
    OPEN_MAX,
  );
  for (const order of open) exchange.cancel(account, order);
  return json(
    open.map(({ id }) => ({ id, status: 200 })),
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

/** What clients may ask for: bodies of `POST` and `PATCH /v2/orders`, read and refused as the venue does. */
import { z } from "zod";
import { Refusal, unprocessable } from "./answer.ts";
import type { Books } from "./books.ts";
import {
  decimalText,
  isCrypto,
  leftQty,
  nanoqty,
  type OrderChanges,
  type OrderRequest,
  qtyText,
} from "./order.ts";
import { COINS, isFractionable } from "./prices.ts";

const AMOUNT_MAX = 9_000_000;

/** A text or a number; nine decimals, as the venue counts. */
const amount = z
  .union([z.string(), z.number()])
  .transform((value) =>
    typeof value === "string" ? value : decimalText(Math.round(value * 1e9), 9),
  )
  .refine(
    (text) =>
      /^\d+(\.\d{1,9})?$/.test(text) &&
      Number(text) > 0 &&
      Number(text) <= AMOUNT_MAX,
    "must be a decimal above 0",
  )
  .transform((text) => decimalText(nanoqty(text), 9));

const timeInForce = z.enum(["day", "gtc", "opg", "cls", "ioc", "fok"]);
const clientOrderId = z.string().min(1).max(128);

const placing = z.object({
  symbol: z
    .string()
    .regex(/^[A-Z0-9.]{1,20}(\/[A-Z]{2,5})?$/i, "is no symbol")
    .transform(symbolOf),
  side: z.enum(["buy", "sell"]),
  type: z.enum(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
  time_in_force: timeInForce,
  order_class: z.enum(["", "simple", "bracket", "oco", "oto"]).nullish(),
  qty: amount.nullish(),
  notional: amount.nullish(),
  limit_price: amount.nullish(),
  stop_price: amount.nullish(),
  trail_price: amount.nullish(),
  trail_percent: amount.nullish(),
  client_order_id: clientOrderId.nullish(),
  extended_hours: z.boolean().nullish(),
  take_profit: z.object({ limit_price: amount }).nullish(),
  stop_loss: z
    .object({ stop_price: amount, limit_price: amount.nullish() })
    .nullish(),
});
type Placing = z.infer<typeof placing>;

const replacing = z.object({
  qty: amount.nullish(),
  limit_price: amount.nullish(),
  stop_price: amount.nullish(),
  trail: amount.nullish(),
  client_order_id: clientOrderId.nullish(),
  time_in_force: timeInForce.nullish(),
});

/** @throws Refusal */
export function readOrderRequest(body: unknown): OrderRequest {
  const order = parsed(placing, body);
  for (const [isWrong, complaint] of complaints(order))
    if (isWrong) throw unprocessable(complaint);
  const { order_class } = order;
  const limit =
    order_class === "oco" ? order.take_profit?.limit_price : order.limit_price;
  return {
    symbol: order.symbol,
    side: order.side,
    type: order.type,
    timeInForce: order.time_in_force,
    extendedHours: order.extended_hours ?? false,
    ...given("qty", order.qty),
    ...given("notional", order.notional),
    ...given("limitPrice", limit),
    ...given("stopPrice", order.stop_price),
    ...given("trailPrice", order.trail_price),
    ...given("trailPercent", order.trail_percent),
    ...given("clientOrderId", order.client_order_id),
    ...(order_class == null || order_class === "simple" || order_class === ""
      ? {}
      : {
          orderClass: order_class,
          ...given("takeProfit", order.take_profit?.limit_price),
          ...given("stopLoss", order.stop_loss?.stop_price),
          ...given("stopLossLimit", order.stop_loss?.limit_price),
        }),
  };
}

/** @throws Refusal */
export function readOrderChanges(body: unknown): OrderChanges {
  const { trail, ...others } = parsed(replacing, body);
  const changes = {
    ...Object.fromEntries(
      Object.entries(others).filter(([, value]) => value != null),
    ),
    ...(trail == null ? {} : { trail_price: trail, trail_percent: null }),
  };
  if (Object.keys(changes).length === 0)
    throw unprocessable("at least one field must be changed");
  return changes;
}

/** What only the account's books know. @throws Refusal */
export function requireAcceptable(
  books: Books,
  account: string,
  request: OrderRequest,
): void {
  requireUniqueId(books, account, request.clientOrderId);
  const { symbol, side } = request;
  const qty = request.qty === undefined ? undefined : nanoqty(request.qty);
  const isWhole = qty !== undefined && qty % 1e9 === 0;
  if (!isWhole && !isFractionable(symbol))
    throw new Refusal(403, 40310000, `asset "${symbol}" is not fractionable`);
  if (side === "buy" || qty === undefined) return;
  const { qty: existing } = books.position(account, symbol);
  // Whole shares may be sold short, but not in one order with what is held.
  if (existing <= 0 && isWhole && !isCrypto(symbol)) return;
  const held = heldForOrders(books, account, symbol);
  const available = Math.max(0, existing - held);
  if (qty > available)
    throw new Refusal(
      403,
      40310000,
      `insufficient qty available for order (requested: ${qtyText(qty)}, available: ${qtyText(available)})`,
      {
        available: qtyText(available),
        existing_qty: qtyText(Math.max(0, existing)),
        held_for_orders: qtyText(held),
        symbol,
      },
    );
}

/** Also of orders that are long finished. @throws Refusal */
export function requireUniqueId(
  books: Books,
  account: string,
  clientOrderId: string | undefined,
): void {
  if (
    clientOrderId !== undefined &&
    books.orderByClientId(account, clientOrderId) !== undefined
  )
    throw unprocessable("client_order_id must be unique");
}

/** What open orders will sell. */
export function heldForOrders(
  books: Books,
  account: string,
  symbol: string,
): number {
  return books
    .orders(
      account,
      "is_open = 1 and side = 'sell' and symbol = $symbol",
      { symbol },
      "asc",
      OPEN_MAX,
    )
    .reduce((sum, order) => sum + leftQty(order), 0);
}

/** `BTCUSD` is `BTC/USD`. */
export function symbolOf(text: string): string {
  const symbol = text.toUpperCase();
  return COINS.find((coin) => coin.replace("/", "") === symbol) ?? symbol;
}

const OPEN_MAX = 100_000;

function complaints(
  order: Placing,
): (readonly [isWrong: boolean, complaint: string])[] {
  const { type, order_class } = order;
  const lacks = (name: "limit_price" | "stop_price") => order[name] == null;
  const isOco = order_class === "oco";
  const hasProfit = order.take_profit != null;
  const hasStop = order.stop_loss != null;
  const isTrailing = type === "trailing_stop";
  return [
    [
      (order.qty == null) === (order.notional == null),
      "qty or notional is required, and not both",
    ],
    [
      type === "limit" && lacks("limit_price") && !isOco,
      "limit orders require a limit price",
    ],
    [
      type === "stop" && lacks("stop_price"),
      "stop orders require a stop price",
    ],
    [
      type === "stop_limit" && (lacks("stop_price") || lacks("limit_price")),
      "stop limit orders require both stop and limit price",
    ],
    [
      isTrailing &&
        (order.trail_price == null) === (order.trail_percent == null),
      "trailing stop orders require one of trail_price and trail_percent",
    ],
    [
      order_class === "bracket" && !(hasProfit && hasStop),
      "bracket orders require take_profit and stop_loss",
    ],
    [
      isOco && !(hasProfit && hasStop && type === "limit"),
      "oco orders are limit orders with take_profit and stop_loss",
    ],
    [
      order_class === "oto" && hasProfit === hasStop,
      "oto orders require one of take_profit and stop_loss",
    ],
    [
      isCrypto(order.symbol) && !["gtc", "ioc"].includes(order.time_in_force),
      "invalid crypto time_in_force",
    ],
    [
      isCrypto(order.symbol) && !["", "simple"].includes(order_class ?? ""),
      "crypto orders must be simple orders",
    ],
    [
      order.notional != null && !["", "simple"].includes(order_class ?? ""),
      "notional orders must be simple orders",
    ],
  ];
}

function parsed<Shape>(shape: z.ZodType<Shape>, body: unknown): Shape {
  const read = shape.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const member = issue?.path.join(".") ?? "";
  throw unprocessable(
    `${member === "" ? "body" : member}: ${issue?.message ?? "invalid"}`,
  );
}

function given<Name extends string>(
  name: Name,
  value: string | null | undefined,
): Partial<Record<Name, string>> {
  const members: Partial<Record<Name, string>> = {};
  if (value !== null && value !== undefined) members[name] = value;
  return members;
}

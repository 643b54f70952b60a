/**
 * The lives of orders, as recorded frames and the venue's documents tell them.
 * A life says what happens and yields how long (ms) nothing does, so the past is
 * made by the same lives as the present, without waiting.
 */
import { MINUTE, SECOND } from "../../clock.ts";
import { booked, coinFee } from "./bookings.ts";
import type { Chance } from "./chance.ts";
import type { Desk } from "./desk.ts";
import { leftQty, type OrderRequest, qtyText } from "./order.ts";
import { COINS, isFractionable, priceOf, priceText, STOCKS } from "./prices.ts";
import { accepted, fillPart, fillRest, marketPrice, qtyFor } from "./steps.ts";

export type Life = Generator<number, void>;

interface Scenario {
  /** Relative frequency. */
  readonly weight: number;
  readonly life: (desk: Desk) => Life;
}

export const SCENARIOS: readonly Scenario[] = [
  { weight: 30, life: (desk) => whole(desk, { type: "market" }) },
  { weight: 14, life: inPieces },
  { weight: 8, life: inOneMillisecond },
  { weight: 8, life: fractional },
  { weight: 8, life: coins },
  { weight: 9, life: cancelled },
  { weight: 6, life: replaced },
  { weight: 5, life: bracket },
  { weight: 4, life: refused },
  { weight: 3, life: expired },
  { weight: 2, life: busted },
  { weight: 2, life: corrected },
  { weight: 1, life: doneForDay },
  { weight: 1, life: unusual },
];

/** A market order of whole shares, or any other that is filled in one piece. */
function* whole(desk: Desk, request: Partial<OrderRequest>): Life {
  const order = desk.submit({ ...someStock(desk), ...request });
  yield* accepted(desk, order);
  fillRest(desk, order);
}

/** A limit order that is filled bit by bit. */
function* inPieces(desk: Desk): Life {
  const { chance } = desk.options;
  const order = desk.submit(limited(desk, String(chance.between(40, 900))));
  yield* accepted(desk, order);
  for (let pieces = chance.between(1, 4); pieces > 0; pieces--) {
    fillPart(desk, order, chance.between(1, 30) / 100);
    yield chance.between(20, 4 * SECOND);
  }
  fillRest(desk, order);
}

/** Three executions in one millisecond: REST lists them by uuid, not by time. */
function* inOneMillisecond(desk: Desk): Life {
  const order = desk.submit(limited(desk, "300"));
  yield* accepted(desk, order);
  const at = desk.now();
  // Where the millisecond is nearly over, a moment earlier.
  const first = at % 1_000_000n > 990_000n ? at - 10_000n : at;
  fillPart(desk, order, 0.3, first);
  fillPart(desk, order, 0.5, first + 1_117n);
  fillRest(desk, order, first + 2_233n);
}

/** The whole shares at a venue, the fraction in house: the last execution carries the earlier time. */
function* fractional(desk: Desk): Life {
  const { chance, books, account } = desk.options;
  const symbol = chance.pick(STOCKS.filter(isFractionable));
  const fraction = chance.between(1, 999_999_999);
  const qty = chance.between(1, 5) * 1_000_000_000 + fraction;
  // A fraction of a share cannot be sold short.
  const isHeld = books.position(account, symbol).qty > 2 * qty;
  const order = desk.submit({
    symbol,
    side: isHeld && chance.happens(0.6) ? "sell" : "buy",
    type: "market",
    qty: qtyText(qty),
  });
  yield* accepted(desk, order);
  const at = desk.now();
  desk.fill(order, fraction, marketPrice(desk, symbol), {
    isLast: false,
    timestamp: at,
  });
  fillRest(desk, order, at - 5_349_000n);
}

/** By value instead of quantity; the fee is booked apart, at the end of the day. */
function* coins(desk: Desk): Life {
  const { chance, books, account } = desk.options;
  const symbol = chance.pick(COINS);
  const notional = String(chance.between(20, 900));
  const price = marketPrice(desk, symbol);
  const qty = qtyFor(notional, price);
  // Coins cannot be sold short.
  const isHeld = books.position(account, symbol).qty > 2 * qty;
  const order = desk.submit({
    symbol,
    side: isHeld && chance.happens(0.6) ? "sell" : "buy",
    type: "market",
    notional,
  });
  yield* accepted(desk, order);
  yield* coinFee(desk, order, fillRest(desk, order));
}

function* cancelled(desk: Desk): Life {
  const { chance } = desk.options;
  const order = desk.submit(limited(desk, String(chance.between(1, 90))));
  yield* accepted(desk, order);
  yield chance.between(SECOND, 40 * SECOND);
  if (chance.happens(0.3)) fillPart(desk, order, 0.4);
  if (chance.happens(0.5)) {
    desk.say(order, "pending_cancel");
    yield chance.between(2, 60);
  }
  desk.end(order, "canceled");
}

function* replaced(desk: Desk): Life {
  const { chance } = desk.options;
  const order = desk.submit(limited(desk, String(chance.between(2, 90))));
  yield* accepted(desk, order);
  if (chance.happens(0.4)) fillPart(desk, order, 0.5);
  yield chance.between(SECOND, 20 * SECOND);
  const successor = desk.replace(order, {
    qty: qtyText(leftQty(order)),
    limit_price: marketPrice(desk, order.symbol),
  });
  yield chance.between(30, 5 * SECOND);
  fillRest(desk, successor);
}

/** The profit leg is filled, its sibling goes without a word. */
function* bracket(desk: Desk): Life {
  const { chance, books, account } = desk.options;
  const request = someStock(desk);
  const price = priceOf(request.symbol, desk.options.now());
  const order = desk.submit({
    ...request,
    side: "buy",
    orderClass: "bracket",
    takeProfit: priceText(price * 1.01),
    stopLoss: priceText(price * 0.98),
  });
  yield* accepted(desk, order);
  fillRest(desk, order);
  const [first, second] = books.legsOf(account, order.id);
  if (first === undefined || second === undefined) return;
  const [profit, stop] =
    first.type === "limit" ? [first, second] : [second, first];
  yield chance.between(2, 30);
  desk.accept(profit);
  yield chance.between(5 * SECOND, 3 * MINUTE);
  fillRest(desk, profit);
  desk.changeSilently(stop, {
    status: "canceled",
    canceled_at: profit.filled_at,
  });
}

function* refused(desk: Desk): Life {
  const order = desk.submit(limited(desk, "5"));
  yield desk.options.chance.between(2, 30);
  desk.end(order, "rejected");
}

function* expired(desk: Desk): Life {
  const order = desk.submit({ ...limited(desk, "5"), timeInForce: "ioc" });
  yield* accepted(desk, order);
  desk.end(order, "expired");
}

function* busted(desk: Desk): Life {
  const order = desk.submit(limited(desk, "20"));
  yield* accepted(desk, order);
  fillPart(desk, order, 0.5);
  const execution = fillRest(desk, order);
  yield desk.options.chance.between(2 * SECOND, MINUTE);
  desk.bust(order, execution);
}

function* corrected(desk: Desk): Life {
  const order = desk.submit(limited(desk, "20"));
  yield* accepted(desk, order);
  const execution = fillRest(desk, order);
  yield desk.options.chance.between(2 * SECOND, MINUTE);
  desk.correct(order, execution, priceText(Number(execution.price) + 0.05));
}

function* doneForDay(desk: Desk): Life {
  const order = desk.submit({ ...limited(desk, "15"), timeInForce: "gtc" });
  yield* accepted(desk, order);
  yield desk.options.chance.between(SECOND, MINUTE);
  desk.end(order, "done_for_day");
  yield desk.options.chance.between(MINUTE, 5 * MINUTE);
  desk.end(order, "canceled");
}

/** What most accounts never see: each word changes the status and nothing else, or not even that. */
const UNUSUAL: readonly (readonly [event: string, status: string])[] = [
  ["pending_replace", "pending_replace"],
  ["order_replace_rejected", "new"],
  ["suspended", "suspended"],
  ["stopped", "stopped"],
  ["pending_cancel", "pending_cancel"],
  ["order_cancel_rejected", "new"],
  ["restated", "new"],
  ["calculated", "calculated"],
];

function* unusual(desk: Desk): Life {
  const { chance } = desk.options;
  const order = desk.submit(limited(desk, "30"));
  yield chance.between(2, 30);
  desk.say(order, "accepted");
  yield* accepted(desk, order);
  for (const [event, status] of UNUSUAL) {
    desk.say(order, event, status);
    yield chance.between(20, 2 * SECOND);
  }
  fillRest(desk, order);
}

function someStock(desk: Desk): OrderRequest {
  const { chance } = desk.options;
  return {
    symbol: chance.pick(STOCKS),
    side: chance.happens(0.55) ? "buy" : "sell",
    type: "market",
    qty: String(chance.between(1, 120)),
  };
}

function limited(desk: Desk, qty: string): OrderRequest {
  const request = someStock(desk);
  const price = priceOf(request.symbol, desk.options.now());
  return { ...request, qty, type: "limit", limitPrice: priceText(price) };
}

/** One of the scenarios, as often as its weight says; now and then a booking instead. */
export function anyLife(desk: Desk, chance: Chance): Life {
  return chance.happens(0.08)
    ? booked(desk)
    : chance.weighed(SCENARIOS).life(desk);
}

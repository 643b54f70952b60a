/**
 * The lives of orders, as recorded frames and the venue's documents tell them.
 * A life says what happens and yields how long (ms) nothing does, so the past is
 * made by the same lives as the present, without waiting.
 */
import { MINUTE, SECOND } from "../../clock.ts";
import type { Chance } from "./chance.ts";
import type { Desk } from "./desk.ts";
import {
  decimalText,
  nanoqty,
  type OrderRequest,
  qtyText,
  type VenueOrder,
} from "./order.ts";
import { COINS, priceOf, priceText, STOCKS } from "./prices.ts";

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
  const first = at - (at % 1_000_000n) + 400_000n;
  fillPart(desk, order, 0.3, first);
  fillPart(desk, order, 0.5, first + 5_217n);
  fillRest(desk, order, first + 9_733n);
}

/** The whole shares at a venue, the fraction in house: the last execution carries the earlier time. */
function* fractional(desk: Desk): Life {
  const { chance } = desk.options;
  const fraction = chance.between(1, 999_999_999);
  const qty = decimalText(chance.between(1, 5) * 1_000_000_000 + fraction, 9);
  const order = desk.submit({ ...someStock(desk), qty });
  yield* accepted(desk, order);
  const at = desk.now();
  desk.fill(order, fraction, marketPrice(desk, order), {
    isLast: false,
    timestamp: at,
  });
  fillRest(desk, order, at - 5_349_000n);
}

/** By value instead of quantity; the fee is taken from the coins and booked apart. */
function* coins(desk: Desk): Life {
  const { chance } = desk.options;
  const symbol = chance.pick(COINS);
  const notional = String(chance.between(20, 900));
  const order = desk.submit({
    symbol,
    side: chance.happens(0.6) ? "buy" : "sell",
    type: "market",
    notional,
  });
  yield* accepted(desk, order);
  const price = marketPrice(desk, order);
  const qty = Math.floor((Number(notional) / Number(price)) * 1e9);
  desk.fill(order, qty, price, { isLast: true });
  yield chance.between(5, 40) * SECOND;
  desk.book({
    type: "CFEE",
    netCents: 0,
    description: "Coin Pair Transaction Fee (Non USD)",
    symbol: symbol.replace("/", ""),
    qty: qtyText(-Math.floor(qty * 0.0025)),
    price,
  });
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
    qty: qtyText(nanoqty(order.qty ?? "1") - nanoqty(order.filled_qty)),
    limit_price: marketPrice(desk, order),
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

/** What is booked besides trades, at any hour: so also below what was read already. */
export function* booked(desk: Desk): Life {
  const { chance } = desk.options;
  const kind = chance.between(1, 5);
  const symbol = chance.pick(STOCKS);
  if (kind === 1)
    desk.book({
      type: "DIV",
      subType: "CDIV",
      netCents: chance.between(10, 9000),
      description: `Cash dividend ${symbol}`,
      symbol,
      qty: "10",
      perShare: "0.25",
    });
  else if (kind === 2)
    desk.book({
      type: "FEE",
      subType: "CAT",
      netCents: -chance.between(1, 9),
      description: "CAT fee for proceed of the day",
      groupId: chance.uuid(),
    });
  else if (kind === 3)
    desk.book({
      type: "JNLC",
      netCents: chance.between(-5000, 50_000),
      description: "Journal between accounts",
    });
  else if (kind === 4)
    desk.book({
      type: "INT",
      subType: "MGN",
      netCents: -chance.between(1, 900),
      description: "Margin interest",
    });
  else {
    // Two rows of one event under one id, as the documents on option events show them.
    const groupId = chance.uuid();
    const option = `${symbol}261218C00200000`;
    const id = desk.book({
      type: "OPEXC",
      netCents: 0,
      description: "Option Exercise",
      symbol: option,
      qty: "-1",
      groupId,
    });
    desk.book({
      type: "OPTRD",
      netCents: -2_000_000,
      description: "Option Trade",
      symbol,
      qty: "100",
      price: "200",
      groupId,
      id,
    });
  }
}

/** An order that a client placed: executed as its kind asks for, or left open. */
export function* placed(desk: Desk, order: VenueOrder): Life {
  yield* accepted(desk, order);
  const price = priceOf(order.symbol, desk.options.now());
  const limit = Number(order.limit_price ?? Number.NaN);
  const isMarketable =
    order.type === "market" ||
    (order.type === "limit" &&
      (order.side === "buy" ? limit >= price : limit <= price));
  if (!isMarketable) return;
  yield desk.options.chance.between(1, 20);
  if (order.qty !== null) fillRest(desk, order);
  else
    desk.fill(
      order,
      Math.floor((Number(order.notional) / price) * 1e9),
      priceText(price),
      { isLast: true },
    );
}

/** An order found open by a venue that starts again. */
export function* leftOver(desk: Desk, order: VenueOrder): Life {
  yield desk.options.chance.between(SECOND, 30 * SECOND);
  if (order.status === "pending_new") desk.accept(order);
  desk.end(order, "canceled");
}

function* accepted(desk: Desk, order: VenueOrder): Life {
  yield desk.options.chance.between(1, 25);
  desk.accept(order);
  yield desk.options.chance.between(1, 400);
}

function fillPart(
  desk: Desk,
  order: VenueOrder,
  share: number,
  timestamp?: bigint,
): void {
  const left = nanoqty(order.qty ?? "0") - nanoqty(order.filled_qty);
  const pieces = Math.floor((left * share) / 1e9) * 1e9;
  if (pieces === 0 || pieces >= left) return;
  desk.fill(order, pieces, marketPrice(desk, order), {
    isLast: false,
    ...(timestamp === undefined ? {} : { timestamp }),
  });
}

function fillRest(desk: Desk, order: VenueOrder, timestamp?: bigint) {
  const left = nanoqty(order.qty ?? "0") - nanoqty(order.filled_qty);
  return desk.fill(order, left, marketPrice(desk, order), {
    isLast: true,
    ...(timestamp === undefined ? {} : { timestamp }),
  });
}

function marketPrice(desk: Desk, order: VenueOrder): string {
  return priceText(priceOf(order.symbol, desk.options.now()));
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

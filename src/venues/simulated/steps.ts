/** Steps that many lives share. */
import type { Execution } from "./bodies.ts";
import type { Desk } from "./desk.ts";
import type { Life } from "./lives.ts";
import { leftQty, type Nanoqty, type VenueOrder } from "./order.ts";
import { priceOf, priceText } from "./prices.ts";
import type { Nanos } from "./stamps.ts";

export function* accepted(desk: Desk, order: VenueOrder): Life {
  yield desk.options.chance.between(1, 25);
  desk.accept(order);
  yield desk.options.chance.between(1, 400);
}

/** Whole shares, about so much of what is left; nothing where that makes none, or all. */
export function fillPart(
  desk: Desk,
  order: VenueOrder,
  share: number,
  timestamp?: Nanos,
): void {
  const left = leftQty(order);
  const pieces = Math.floor((left * share) / 1e9) * 1e9;
  if (pieces <= 0 || pieces >= left) return;
  desk.fill(order, pieces, marketPrice(desk, order.symbol), {
    isLast: false,
    ...(timestamp === undefined ? {} : { timestamp }),
  });
}

/** All that is left; of an order by value what the money buys. */
export function fillRest(
  desk: Desk,
  order: VenueOrder,
  timestamp?: Nanos,
): Execution {
  const price = marketPrice(desk, order.symbol);
  const qty =
    order.notional === null ? leftQty(order) : qtyFor(order.notional, price);
  return desk.fill(order, qty, price, {
    isLast: true,
    ...(timestamp === undefined ? {} : { timestamp }),
  });
}

export function marketPrice(desk: Desk, symbol: string): string {
  return priceText(priceOf(symbol, desk.options.now()));
}

export function qtyFor(notional: string, price: string): Nanoqty {
  return Math.floor((Number(notional) / Number(price)) * 1e9);
}

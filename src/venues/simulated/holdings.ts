/** What an execution comes to: in cents, in what is held, in the order's average price. */
import type { Position } from "./books.ts";
import {
  type Nanoqty,
  nanoqty,
  qtyText,
  type Side,
  type VenueOrder,
} from "./order.ts";

/** The average price is shown with this many decimals at most. */
const PRICE_DECIMALS = 9;

/** Of each execution by itself, to the nearest cent; a quantity taken back costs what it had cost. */
export function centsOf(qty: Nanoqty, price: string): number {
  const cents = Math.round((Math.abs(qty) / 1e9) * Number(price) * 100);
  return qty < 0 ? -cents : cents;
}

export function signOf(side: Side): 1 | -1 {
  return side === "buy" ? 1 : -1;
}

/** After `moved` (negative: given away) for `cents`. What is left keeps its price; what turns around starts anew. */
export function positionAfter(
  held: Position,
  moved: Nanoqty,
  cents: number,
): Position {
  const { symbol } = held;
  const qty = held.qty + moved;
  if (held.qty * moved >= 0)
    return { symbol, qty, costCents: held.costCents + cents };
  const turned = Math.sign(qty) !== Math.sign(held.qty);
  const costCents = turned
    ? Math.round(cents * (qty / moved))
    : Math.round(held.costCents * (qty / held.qty));
  return { symbol, qty, costCents };
}

/** What an order has executed after one execution more; a negative quantity takes one back. */
export function executed(
  { filled_qty, filled_avg_price }: VenueOrder,
  qty: Nanoqty,
  price: string,
): Pick<VenueOrder, "filled_qty" | "filled_avg_price"> {
  const before = nanoqty(filled_qty);
  const after = before + qty;
  const value = before * Number(filled_avg_price ?? 0) + qty * Number(price);
  return {
    filled_qty: qtyText(after),
    filled_avg_price:
      after === 0
        ? null
        : String(Number((value / after).toFixed(PRICE_DECIMALS))),
  };
}

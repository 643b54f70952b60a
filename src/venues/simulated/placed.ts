/**
 * Orders as the market takes them: a client's, and those that a venue finds open
 * when it starts again. They are looked at now and then until the market reaches
 * them, their time is over, or somebody ends them.
 */
import { SECOND } from "../../clock.ts";
import type { Execution } from "./bodies.ts";
import { coinFee } from "./bookings.ts";
import type { Desk } from "./desk.ts";
import type { Life } from "./lives.ts";
import { isCrypto, nanoqty, type VenueOrder } from "./order.ts";
import { priceOf } from "./prices.ts";
import { accepted, fillPart, fillRest } from "./steps.ts";

const LOOK_EVERY_MS = SECOND;
/** Orders of at least so many shares are executed in two pieces. */
const PIECES_FROM = 100e9;
/** Executed at once or not at all. */
const IMMEDIATE: ReadonlySet<string> = new Set(["ioc", "fok"]);

/** From wherever the order stands to its end, and its legs' after it. */
export function* lifeOf(desk: Desk, order: VenueOrder): Life {
  if (order.status === "pending_new" || order.status === "accepted")
    yield* accepted(desk, order);
  if (order.order_class === "oco") return yield* eitherOf(desk, order);
  const execution = yield* resting(desk, order);
  if (order.status !== "filled") return;
  if (order.order_class === "bracket") yield* eitherOf(desk, order);
  if (order.order_class === "oto") yield* onlyLeg(desk, order);
  if (execution !== undefined) yield* coinFee(desk, order, execution);
}

/** Asked to be cancelled; until it is, it may still be filled. */
export function* cancelling(desk: Desk, order: VenueOrder): Life {
  yield desk.options.chance.between(2, 60);
  desk.end(order, "canceled");
}

/** Until it is closed. Answers its last execution when it was filled here. */
function* resting(
  desk: Desk,
  order: VenueOrder,
): Generator<number, Execution | undefined> {
  while (desk.refresh(order)) {
    if (isTaken(desk, order)) return yield* executed(desk, order);
    if (isOverdue(desk, order)) {
      desk.end(order, "expired");
      return undefined;
    }
    yield LOOK_EVERY_MS;
  }
  return undefined;
}

function* executed(
  desk: Desk,
  order: VenueOrder,
): Generator<number, Execution> {
  const { chance } = desk.options;
  yield chance.between(1, 20);
  if (!isCrypto(order.symbol) && nanoqty(order.qty ?? "0") >= PIECES_FROM) {
    fillPart(desk, order, 0.4);
    yield chance.between(5, 400);
  }
  return fillRest(desk, order);
}

/** One takes the profit, the other stops the loss; the end of one of them ends the other without a word. */
function* eitherOf(desk: Desk, parent: VenueOrder): Life {
  for (;;) {
    const pair = pairOf(desk, parent);
    const closed = pair.find((order) => !desk.refresh(order));
    if (closed !== undefined) {
      for (const order of pair)
        desk.changeSilently(order, {
          status: "canceled",
          canceled_at: closed.updated_at,
        });
      return;
    }
    const [profit] = pair;
    if (profit?.status === "held") yield* setFree(desk, profit);
    const taken = pair.find((order) => isTaken(desk, order));
    if (taken !== undefined) {
      if (taken.status === "held") yield* setFree(desk, taken);
      if (desk.refresh(taken)) fillRest(desk, taken);
    } else if (profit !== undefined && isOverdue(desk, profit))
      desk.end(profit, "expired");
    else yield LOOK_EVERY_MS;
  }
}

function* onlyLeg(desk: Desk, parent: VenueOrder): Life {
  for (;;) {
    const [leg] = pairOf(desk, parent);
    if (leg === undefined || !desk.refresh(leg)) return;
    if (leg.status === "held") yield* setFree(desk, leg);
    yield* resting(desk, leg);
  }
}

function* setFree(desk: Desk, leg: VenueOrder): Life {
  yield desk.options.chance.between(2, 30);
  if (desk.refresh(leg)) desk.accept(leg);
}

/** What takes the profit comes first. A leg that a client replaced is left out: another stands in its place. */
function pairOf(desk: Desk, parent: VenueOrder): VenueOrder[] {
  const { books, account } = desk.options;
  const legs = books
    .legsOf(account, parent.id)
    .filter(({ status }) => status !== "replaced")
    .sort(
      (a, b) => (a.type === "limit" ? 0 : 1) - (b.type === "limit" ? 0 : 1),
    );
  return parent.order_class === "oco" ? [parent, ...legs] : legs;
}

/** Whether the market takes the order now. */
function isTaken(desk: Desk, order: VenueOrder): boolean {
  const market = priceOf(order.symbol, desk.options.now());
  const limit = Number(order.limit_price);
  const isWithinLimit =
    order.side === "buy" ? market <= limit : market >= limit;
  switch (order.type) {
    case "market":
      return true;
    case "limit":
      return isWithinLimit;
    case "stop":
      return isStopped(order, market);
    case "stop_limit":
      return isStopped(order, market) && isWithinLimit;
    case "trailing_stop":
      trail(desk, order, market);
      return isStopped(order, market);
    default:
      return order.type satisfies never;
  }
}

function isStopped({ side, stop_price }: VenueOrder, market: number): boolean {
  if (stop_price === null) return false;
  const stop = Number(stop_price);
  return side === "buy" ? market >= stop : market <= stop;
}

/** The stop follows the best price seen (`hwm`), and never goes back. */
function trail(desk: Desk, order: VenueOrder, market: number): void {
  const sign = order.side === "buy" ? 1 : -1;
  const best = order.hwm === null ? market : Number(order.hwm);
  if (order.hwm !== null && sign * (market - best) >= 0) return;
  const distance =
    order.trail_price === null
      ? (market * Number(order.trail_percent)) / 100
      : Number(order.trail_price);
  desk.changeSilently(order, {
    hwm: rounded(market),
    stop_price: rounded(market + sign * distance),
  });
}

function isOverdue(desk: Desk, order: VenueOrder): boolean {
  return (
    IMMEDIATE.has(order.time_in_force) ||
    desk.options.now() >= Date.parse(order.expires_at ?? "")
  );
}

function rounded(price: number): string {
  return String(Number(price.toFixed(4)));
}

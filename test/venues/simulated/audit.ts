/** Holds a venue's books against themselves: what one of them says the others must bear out. */
import { microsOf, nanosOf } from "../../../schema/instant.ts";
import { rowsOfRecord } from "../../../src/venues/alpaca/normalise.ts";
import { activityId } from "../../../src/venues/alpaca/activityId.ts";
import type { Books } from "../../../src/venues/simulated/books.ts";
import { centsOf } from "../../../src/venues/simulated/holdings.ts";
import {
  CLOSED_STATUSES,
  nanoqty,
  type VenueOrder,
} from "../../../src/venues/simulated/order.ts";
import type { Update } from "./wire.ts";

interface Activity {
  readonly id: string;
  readonly activity_type: string;
  readonly transaction_time?: string;
  readonly net_amount?: string;
  readonly symbol?: string;
  readonly qty?: string;
  readonly price?: string;
  readonly side?: string;
  readonly order_id?: string;
  readonly cum_qty?: string;
}

/** Everything that does not fit; empty when the books are sound. */
export function problemsOf(books: Books, account: string): string[] {
  const read = <Row>(kind: "orders" | "events" | "activities"): Row[] =>
    Array.from(books.all(account, kind), (body) => JSON.parse(body));
  const orders = read<VenueOrder>("orders");
  const updates = read<Update>("events");
  const activities = read<Activity>("activities");
  return [
    ...orders.flatMap((order) =>
      orderProblems(
        order,
        updates.filter((update) => update.order.id === order.id),
        orders,
      ),
    ),
    ...eventProblems(updates),
    ...activityProblems(activities, updates),
    ...moneyProblems(books, account, activities, updates),
    ...unreadable(books, account),
  ];
}

const isExecution = ({ event }: Update) =>
  event === "fill" || event === "partial_fill";

/** Executions of an order as busts and corrections leave them. */
function executionsOf(updates: readonly Update[]) {
  const executions = new Map<string, { qty: number; price: string }>();
  for (const update of updates) {
    const { execution_id = "", previous_execution_id = "" } = update;
    const { qty = "0", price = "0" } = update;
    if (isExecution(update))
      executions.set(execution_id, { qty: nanoqty(qty), price });
    if (update.event === "trade_bust") executions.delete(previous_execution_id);
    if (update.event === "trade_correct")
      executions.set(previous_execution_id, { qty: nanoqty(qty), price });
  }
  return [...executions.values()];
}

function orderProblems(
  order: VenueOrder,
  updates: readonly Update[],
  orders: readonly VenueOrder[],
): string[] {
  const amiss: string[] = [];
  const claim = (holds: boolean, what: string) => {
    if (!holds) amiss.push(`order ${order.id} (${order.status}): ${what}`);
  };
  const executions = executionsOf(updates);
  const filled = executions.reduce((sum, { qty }) => sum + qty, 0);
  const value = executions.reduce(
    (sum, { qty, price }) => sum + (qty / 1e9) * Number(price),
    0,
  );
  claim(nanoqty(order.filled_qty) === filled, `filled ${filled}`);
  claim(
    filled === 0
      ? order.filled_avg_price === null
      : Math.abs(value / (filled / 1e9) - Number(order.filled_avg_price)) <
          1e-6,
    `average ${order.filled_avg_price}, not ${value / (filled / 1e9)}`,
  );
  claim((order.qty === null) !== (order.notional === null), "qty or notional");

  const touched = [...updates.map((update) => update.order), order].map(
    ({ updated_at }) => nanosOf(updated_at) ?? 0n,
  );
  touched.slice(1).forEach((at, index) => {
    const before = touched[index] ?? 0n;
    const isLast = index === touched.length - 2;
    claim(isLast ? at >= before : at > before, "updated_at does not rise");
  });
  claim(
    (nanosOf(order.submitted_at) ?? 0n) >= (nanosOf(order.created_at) ?? 0n),
    "sent before it was made",
  );

  const ends = updates.filter(
    ({ event, order: { status } }) =>
      CLOSED_STATUSES.has(status) && !event.startsWith("trade_"),
  );
  claim(ends.length <= 1, `${ends.length} ends`);
  const stamp = {
    filled: order.filled_at,
    canceled: order.canceled_at,
    expired: order.expired_at,
    rejected: order.failed_at,
    replaced: order.replaced_at,
  }[order.status];
  claim(stamp !== null, "its end has no time");
  const other = (id: string | null) => orders.find((each) => each.id === id);
  if (order.status === "replaced")
    claim(
      other(order.replaced_by)?.replaces === order.id,
      "replaced by nobody",
    );
  if (order.replaces !== null)
    claim(other(order.replaces)?.replaced_by === order.id, "replaces nobody");
  return amiss;
}

function eventProblems(updates: readonly Update[]): string[] {
  const amiss: string[] = [];
  updates.forEach(({ at, event_id, event, timestamp }, index) => {
    if (event_id <= (updates[index - 1]?.event_id ?? ""))
      amiss.push(`event ${event_id} does not rise`);
    // Published no earlier than it happened; cut, it may look up to a microsecond earlier.
    if ((nanosOf(timestamp) ?? 0n) > (nanosOf(at) ?? 0n) + 999n)
      amiss.push(`${event} ${event_id} was published before it happened`);
  });
  return amiss;
}

/** Each fill of the list is one execution of the stream, and the other way round. */
function activityProblems(
  activities: readonly Activity[],
  updates: readonly Update[],
): string[] {
  const told = updates.filter(isExecution).map((update) => ({
    id: activityId(microsOf(update.timestamp) ?? 0, update.execution_id ?? ""),
    transaction_time: String(microsOf(update.timestamp)),
    order_id: update.order.id,
    symbol: update.order.symbol,
    side: update.order.side,
    qty: update.qty,
    price: update.price,
    cum_qty: update.order.filled_qty,
  }));
  const listed = activities
    .filter(({ activity_type }) => activity_type === "FILL")
    .map(({ id, transaction_time = "", ...fill }) => ({
      id,
      transaction_time: String(microsOf(transaction_time)),
      order_id: fill.order_id,
      symbol: fill.symbol,
      side: fill.side,
      qty: fill.qty,
      price: fill.price,
      cum_qty: fill.cum_qty,
    }));
  const texts = new Set(told.map((fill) => JSON.stringify(fill)));
  const amiss = listed
    .filter((fill) => !texts.delete(JSON.stringify(fill)))
    .map((fill) => `${JSON.stringify(fill)} is listed and was never told`);
  return [...amiss, ...[...texts].map((text) => `${text} is not listed`)];
}

/** Cash and holdings are what was booked, and nothing else. */
function moneyProblems(
  books: Books,
  account: string,
  activities: readonly Activity[],
  updates: readonly Update[],
): string[] {
  let cents = 0;
  const held = new Map<string, number>();
  const add = (symbol: string, qty: number) =>
    held.set(symbol, (held.get(symbol) ?? 0) + qty);
  const byOrder = Map.groupBy(updates, ({ order }) => order.id);
  for (const own of byOrder.values()) {
    const [first] = own;
    if (first === undefined) continue;
    const { symbol, side } = first.order;
    const sign = side === "buy" ? 1 : -1;
    for (const { qty, price } of executionsOf(own)) {
      cents -= sign * centsOf(qty, price);
      add(symbol, sign * qty);
    }
  }
  for (const { activity_type, net_amount, symbol = "", qty } of activities) {
    cents += Math.round(Number(net_amount ?? 0) * 100);
    if (activity_type === "OPTRD") add(symbol, nanoqty(qty ?? "0"));
    if (activity_type === "CFEE")
      add(symbol.replace(/USD$/, "/USD"), nanoqty(qty ?? "0"));
  }
  const amiss: string[] = [];
  const { cashCents } = books.account(account);
  if (cashCents !== cents) amiss.push(`cash ${cashCents}, not ${cents}`);
  for (const { symbol, qty } of books.positions(account)) {
    if (held.get(symbol) !== qty)
      amiss.push(`${qty} of ${symbol}, not ${held.get(symbol)}`);
    held.delete(symbol);
  }
  for (const [symbol, qty] of held)
    if (qty !== 0) amiss.push(`none of ${symbol}, not ${qty}`);
  return amiss;
}

/** What the product's own reader would set aside. */
function unreadable(books: Books, account: string): string[] {
  const kinds = [
    ["events", "trade_update"],
    ["orders", "order"],
    ["activities", "activity"],
  ] as const;
  return kinds.flatMap(([name, kind]) =>
    [...books.all(account, name)].flatMap((raw) => {
      try {
        rowsOfRecord({ kind, account, raw, receivedAtMs: 0 });
        return [];
      } catch (error) {
        return [`${raw} cannot be read: ${String(error)}`];
      }
    }),
  );
}

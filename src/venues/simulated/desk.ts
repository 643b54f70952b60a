/**
 * One account's side of the exchange: every change of an order is booked first,
 * all of it or nothing, and then told to whoever listens.
 */
import { newYorkDay } from "../../../schema/instant.ts";
import type { Books } from "./books.ts";
import type { Chance } from "./chance.ts";
import {
  createOrder,
  decimalText,
  isCrypto,
  nanoqty,
  type Nanoqty,
  type OrderRequest,
  qtyText,
  type Side,
  type VenueOrder,
} from "./order.ts";
import {
  bookingId,
  fillId,
  microText,
  msOfNanos,
  type Nanos,
  nanosOfMs,
  nanoText,
  publishedText,
  sortableStamp,
  ulid,
} from "./stamps.ts";

/** A trade update on its way: `data` of the frame, as text. */
export interface TradeUpdate {
  readonly account: string;
  readonly event: string;
  readonly body: string;
}

export interface DeskOptions {
  readonly account: string;
  readonly books: Books;
  readonly chance: Chance;
  readonly now: () => number;
  readonly publish: (update: TradeUpdate) => void;
  /** How late REST shows a fill now, in ms. */
  readonly fillLagMs: () => number;
  /** Number of the next event: ids of one millisecond rise with it. */
  readonly nextEvent: () => number;
  /** Whether a fill's REST id ends in the stream's execution id. Never confirmed for the real venue. */
  readonly sharesExecutionIds: boolean;
}

export interface Booking {
  readonly type: string;
  readonly netCents: number;
  readonly description: string;
  readonly subType?: string;
  readonly symbol?: string;
  readonly qty?: string;
  readonly price?: string;
  readonly perShare?: string;
  /** Shared by rows of one event. */
  readonly groupId?: string;
  /** Where two rows of one event share an id. */
  readonly id?: string;
}

export interface Execution {
  readonly executionId: string;
  readonly qty: Nanoqty;
  readonly price: string;
}

/** The order has reached its end: nothing but a bust or a correction touches it. */
export class OrderClosedError extends Error {
  override readonly name = "OrderClosedError";
  constructor(readonly status: string) {
    super(`order is already in "${status}" state`);
  }
}

const CLOSED: ReadonlySet<string> = new Set([
  "filled",
  "canceled",
  "expired",
  "rejected",
  "replaced",
]);

interface EventExtra {
  readonly timestamp?: Nanos;
  readonly executionId?: string;
  readonly members?: Readonly<Record<string, string>>;
}

export class Desk {
  #lastNanos: Nanos = 0n;

  constructor(readonly options: DeskOptions) {}

  /** Nanoseconds now; every reading is later than the one before. */
  now(): Nanos {
    const { now, chance } = this.options;
    const read = nanosOfMs(now()) + BigInt(chance.between(0, 999_999));
    const next = this.#lastNanos + BigInt(chance.between(1_000, 9_000));
    this.#lastNanos = read > next ? read : next;
    return this.#lastNanos;
  }

  /** A new order, `pending_new`; with its legs, which wait (`held`), when it is a bracket. */
  submit(request: OrderRequest): VenueOrder {
    const { books, account, chance } = this.options;
    const at = this.now();
    const order = createOrder(request, at, chance);
    const legs = legRequests(request).map((leg): VenueOrder => ({
      ...createOrder(leg, at, chance),
      order_class: "bracket",
      status: "held",
    }));
    const publish = this.#atomically(() => {
      for (const leg of legs) books.putOrder(account, leg, order.id);
      return this.#change(order, "pending_new", {}, { timestamp: at });
    });
    publish();
    return order;
  }

  /** Live at the venue. Orders of whole shares get the time of their routing as `submitted_at`. */
  accept(order: VenueOrder): void {
    const routed =
      order.qty !== null &&
      Number.isInteger(Number(order.qty)) &&
      !isCrypto(order.symbol);
    const at = this.now();
    this.#publishChange(
      order,
      "new",
      { status: "new", ...(routed ? { submitted_at: nanoText(at) } : {}) },
      { timestamp: at, executionId: this.options.chance.uuid() },
    );
  }

  /** One execution; `timestamp` may lie before that of an earlier one, as fractional orders show it. */
  fill(
    order: VenueOrder,
    qty: Nanoqty,
    price: string,
    details: { readonly isLast: boolean; readonly timestamp?: Nanos },
  ): Execution {
    const { chance } = this.options;
    const timestamp = details.timestamp ?? this.now();
    const filled = nanoqty(order.filled_qty) + qty;
    const event = details.isLast ? "fill" : "partial_fill";
    const execution = { executionId: chance.uuid(), qty, price };
    const publish = this.#atomically(() => {
      const position = this.#move(order, qty, price);
      const told = this.#change(
        order,
        event,
        {
          status: details.isLast ? "filled" : "partially_filled",
          filled_qty: qtyText(filled),
          filled_avg_price: averagePrice(order, qty, price),
          ...(details.isLast ? { filled_at: nanoText(timestamp) } : {}),
        },
        {
          timestamp,
          executionId: execution.executionId,
          members: {
            price,
            qty: qtyText(qty),
            position_qty: qtyText(position),
          },
        },
      );
      this.#bookFill(order, execution, timestamp);
      return told;
    });
    publish();
    return execution;
  }

  /** Ends an order without a (further) execution. */
  end(
    order: VenueOrder,
    event: "canceled" | "expired" | "rejected" | "done_for_day",
  ): void {
    const at = this.now();
    const member = {
      canceled: "canceled_at",
      expired: "expired_at",
      rejected: "failed_at",
      done_for_day: undefined,
    }[event];
    this.#publishChange(
      order,
      event,
      { status: event, ...(member ? { [member]: nanoText(at) } : {}) },
      {
        timestamp: at,
        ...(event === "canceled" || event === "expired"
          ? { executionId: this.options.chance.uuid() }
          : {}),
      },
    );
  }

  /** Words that change nothing but the status: `pending_cancel`, `stopped`, `suspended` … */
  say(order: VenueOrder, event: string, status = event): void {
    const at = this.now();
    this.#publishChange(
      order,
      event,
      {
        status,
        ...(event === "pending_cancel"
          ? { cancel_requested_at: nanoText(at) }
          : {}),
      },
      { timestamp: at },
    );
  }

  /** A child whose sibling was filled, or a leg set free: changed without a word on the stream. */
  changeSilently(order: VenueOrder, changes: Partial<VenueOrder>): void {
    const { books, account } = this.options;
    Object.assign(order, changes, { updated_at: nanoText(this.now()) });
    books.putOrder(account, order);
  }

  /** The old order is `replaced`, a new one with a new id takes its place. */
  replace(
    order: VenueOrder,
    changes: Partial<
      Pick<
        VenueOrder,
        | "qty"
        | "limit_price"
        | "stop_price"
        | "client_order_id"
        | "time_in_force"
      >
    >,
  ): VenueOrder {
    const { books, account, chance } = this.options;
    const at = this.now();
    const successor: VenueOrder = {
      ...order,
      filled_qty: "0",
      filled_avg_price: null,
      client_order_id: chance.uuid(),
      ...changes,
      id: chance.uuid(),
      created_at: nanoText(at),
      submitted_at: nanoText(at),
      updated_at: nanoText(at),
      replaces: order.id,
      status: "new",
    };
    const publish = this.#atomically(() => {
      const replaced = this.#change(
        order,
        "replaced",
        {
          status: "replaced",
          replaced_at: nanoText(at),
          replaced_by: successor.id,
        },
        { timestamp: at },
      );
      books.putOrder(
        account,
        successor,
        books.order(account, order.id)?.parentId,
      );
      const accepted = this.#change(
        successor,
        "new",
        {},
        { executionId: chance.uuid() },
      );
      return () => {
        replaced();
        accepted();
      };
    });
    publish();
    return successor;
  }

  /** An execution declared void later: the order's filled quantity falls. */
  bust(order: VenueOrder, { executionId, qty, price }: Execution): void {
    const left = nanoqty(order.filled_qty) - qty;
    const publish = this.#atomically(() => {
      const position = this.#move(order, -qty, price);
      return this.#change(
        order,
        "trade_bust",
        {
          filled_qty: qtyText(left),
          ...(left === 0 ? { filled_avg_price: null } : {}),
        },
        {
          executionId: this.options.chance.uuid(),
          members: {
            price,
            qty: qtyText(-qty),
            position_qty: qtyText(position),
            previous_execution_id: executionId,
          },
        },
      );
    });
    publish();
  }

  /** The price of an execution was wrong. */
  correct(order: VenueOrder, execution: Execution, price: string): void {
    const { executionId, qty } = execution;
    const publish = this.#atomically(() => {
      this.#move(order, -qty, execution.price);
      const position = this.#move(order, qty, price);
      return this.#change(
        order,
        "trade_correct",
        { filled_avg_price: price },
        {
          executionId: this.options.chance.uuid(),
          members: {
            price,
            qty: qtyText(qty),
            position_qty: qtyText(position),
            previous_execution_id: executionId,
          },
        },
      );
    });
    publish();
  }

  /** What is no trade: dividends, fees, journals. Never on the stream. */
  book(booking: Booking): string {
    const { books, account, chance } = this.options;
    const at = this.now();
    const id = booking.id ?? bookingId(at, chance.uuid());
    const createdAt = microText(at);
    const row = {
      id,
      activity_type: booking.type,
      ...(booking.subType === undefined
        ? {}
        : { activity_sub_type: booking.subType }),
      date: newYorkDay(msOfNanos(at)),
      created_at: createdAt,
      net_amount: decimalText(booking.netCents, 2),
      description: booking.description,
      ...(booking.symbol === undefined ? {} : { symbol: booking.symbol }),
      ...(booking.qty === undefined ? {} : { qty: booking.qty }),
      ...(booking.price === undefined ? {} : { price: booking.price }),
      ...(booking.perShare === undefined
        ? {}
        : { per_share_amount: booking.perShare }),
      ...(booking.groupId === undefined ? {} : { group_id: booking.groupId }),
      status: "executed",
      currency: "USD",
    };
    books.atomically(() => {
      books.moveCash(account, booking.netCents);
      books.putActivity(account, {
        id,
        type: booking.type,
        createdAt: sortableStamp(at),
        visibleMs: msOfNanos(at),
        orderId: undefined,
        body: JSON.stringify(row),
      });
    });
    return id;
  }

  #publishChange(
    order: VenueOrder,
    event: string,
    changes: Partial<VenueOrder>,
    extra: EventExtra,
  ): void {
    this.#atomically(() => this.#change(order, event, changes, extra))();
  }

  #atomically(work: () => () => void): () => void {
    let publish = () => {};
    this.options.books.atomically(() => {
      publish = work();
    });
    return publish;
  }

  /** Books a change with its event; the returned function tells the stream. */
  #change(
    order: VenueOrder,
    event: string,
    changes: Partial<VenueOrder>,
    { timestamp, executionId, members }: EventExtra,
  ): () => void {
    const { books, account, publish, nextEvent } = this.options;
    // A client may have cancelled what a life still wants to fill.
    const status = books.order(account, order.id)?.order.status ?? "";
    if (CLOSED.has(status) && !event.startsWith("trade_"))
      throw new OrderClosedError(status);
    const updated = this.now();
    Object.assign(order, changes, { updated_at: nanoText(updated) });
    books.putOrder(account, order);
    const isFirst = event === "pending_new" && timestamp !== undefined;
    const published = isFirst ? timestamp : this.now();
    const eventId = ulid(msOfNanos(published), nextEvent());
    const legs = books.legsOf(account, order.id);
    const isFill = event === "fill" || event === "partial_fill";
    const { price, qty, position_qty, ...others } = members ?? {};
    const body = JSON.stringify({
      at: publishedText(published),
      event_id: eventId,
      event,
      timestamp: nanoText(timestamp ?? updated),
      order: { ...order, legs: legs.length === 0 ? null : legs },
      price,
      qty,
      position_qty,
      execution_id: executionId,
      ...others,
      ...(isFill
        ? { swap_rate: "1", settle_date: newYorkDay(msOfNanos(updated)) }
        : {}),
    });
    books.putEvent(account, { eventId, event, orderId: order.id, body });
    return () => publish({ account, event, body });
  }

  /** After the order took the execution in: what is left is known now. */
  #bookFill(order: VenueOrder, execution: Execution, timestamp: Nanos): void {
    const { books, account, chance, fillLagMs, sharesExecutionIds } =
      this.options;
    const uuid = sharesExecutionIds ? execution.executionId : chance.uuid();
    const id = fillId(timestamp, uuid);
    const leaves =
      order.qty === null ? 0 : nanoqty(order.qty) - nanoqty(order.filled_qty);
    const row = {
      id,
      activity_type: "FILL",
      transaction_time: microText(timestamp),
      type: order.status === "filled" ? "fill" : "partial_fill",
      price: execution.price,
      qty: qtyText(execution.qty),
      side: order.side,
      symbol: order.symbol,
      leaves_qty: qtyText(leaves),
      order_id: order.id,
      cum_qty: order.filled_qty,
      order_status: order.status,
      ...(isCrypto(order.symbol) ? { swap_rate: "1" } : {}),
    };
    books.putActivity(account, {
      id,
      type: "FILL",
      createdAt: sortableStamp(timestamp),
      visibleMs: this.options.now() + fillLagMs(),
      orderId: order.id,
      body: JSON.stringify(row),
    });
  }

  /** Moves cash and position; answers the quantity then held. */
  #move(order: VenueOrder, qty: Nanoqty, price: string): Nanoqty {
    const { books, account } = this.options;
    const sign = signOf(order.side);
    const cents = Math.round((qty / 1e9) * Number(price) * 100) * sign;
    const held = books.position(account, order.symbol);
    const position = {
      symbol: order.symbol,
      qty: held.qty + sign * qty,
      costCents: held.costCents + cents,
    };
    books.moveCash(account, -cents);
    books.putPosition(account, position);
    return position.qty;
  }
}

function signOf(side: Side): 1 | -1 {
  return side === "buy" ? 1 : -1;
}

function averagePrice(order: VenueOrder, qty: Nanoqty, price: string): string {
  const before = nanoqty(order.filled_qty);
  const value =
    before * Number(order.filled_avg_price ?? 0) + qty * Number(price);
  return String(Number((value / (before + qty)).toFixed(6)));
}

/** Both legs of a bracket stand on the other side of their parent. */
function legRequests(request: OrderRequest): OrderRequest[] {
  if (request.takeProfit === undefined || request.stopLoss === undefined)
    return [];
  const leg = {
    symbol: request.symbol,
    side: request.side === "buy" ? ("sell" as const) : ("buy" as const),
    ...(request.qty === undefined ? {} : { qty: request.qty }),
  };
  return [
    { ...leg, type: "limit", limitPrice: request.takeProfit },
    { ...leg, type: "stop", stopPrice: request.stopLoss },
  ];
}

/**
 * One account's side of the exchange: every change of an order is booked first,
 * all of it or nothing, and then told to whoever listens.
 */
import {
  type Booking,
  bookingRow,
  type Execution,
  fillRow,
  updateBody,
} from "./bodies.ts";
import type { Books } from "./books.ts";
import type { Chance } from "./chance.ts";
import { centsOf, executed, positionAfter, signOf } from "./holdings.ts";
import {
  CLOSED_STATUSES,
  createOrder,
  isCrypto,
  legRequests,
  type Nanoqty,
  type OrderChanges,
  type OrderRequest,
  qtyText,
  successorOf,
  type VenueOrder,
} from "./order.ts";
import {
  bookingId,
  fillId,
  msOfNanos,
  type Nanos,
  nanosOfMs,
  nanoText,
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

/** The order has reached its end. */
export class OrderClosedError extends Error {
  override readonly name = "OrderClosedError";
  constructor(readonly status: string) {
    super(`order is already in "${status}" state`);
  }
}

interface EventExtra {
  /** Of the venue; when absent, that of the publishing. */
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

  /** A new order, `pending_new`, with the legs that wait for it (`held`). */
  submit(request: OrderRequest): VenueOrder {
    const { books, account, chance } = this.options;
    const at = this.now();
    const { qty: held } = books.position(account, request.symbol);
    const order = createOrder(request, at, held, chance);
    // By the time a leg is set free, its entry is held.
    const entered = order.order_class === "oco" ? held : signOf(order.side);
    const legs = legRequests(request).map((leg): VenueOrder => ({
      ...createOrder(leg, this.now(), entered, chance),
      status: "held",
    }));
    this.#atomically(() => {
      for (const leg of legs) books.putOrder(account, leg, order.id);
      return this.#change(order, "pending_new", {});
    });
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
    this.refresh(order);
    const { chance } = this.options;
    const timestamp = details.timestamp ?? this.now();
    const execution = { executionId: chance.uuid(), qty, price };
    this.#atomically(() => {
      const position = this.#move(order, qty, price);
      const told = this.#change(
        order,
        details.isLast ? "fill" : "partial_fill",
        {
          status: details.isLast ? "filled" : "partially_filled",
          ...executed(order, qty, price),
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
    return execution;
  }

  /** Ends an order without a (further) execution; legs that wait for it go with it, without a word. */
  end(
    order: VenueOrder,
    event: "canceled" | "expired" | "rejected" | "done_for_day",
  ): void {
    const { books, account, chance } = this.options;
    const at = this.now();
    const member = {
      canceled: "canceled_at",
      expired: "expired_at",
      rejected: "failed_at",
      done_for_day: undefined,
    }[event];
    this.#atomically(() => {
      const told = this.#change(
        order,
        event,
        { status: event, ...(member ? { [member]: nanoText(at) } : {}) },
        {
          timestamp: at,
          ...(event === "canceled" || event === "expired"
            ? { executionId: chance.uuid() }
            : {}),
        },
      );
      if (event !== "done_for_day")
        for (const leg of books.legsOf(account, order.id))
          if (leg.status === "held")
            this.changeSilently(leg, {
              status: "canceled",
              canceled_at: nanoText(at),
            });
      return told;
    });
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

  /** A child whose sibling was filled, a stop that trails: changed without a word on the stream. Closed, it stays as it is. */
  changeSilently(order: VenueOrder, changes: Partial<VenueOrder>): void {
    const { books, account } = this.options;
    if (!this.refresh(order)) return;
    Object.assign(order, changes, { updated_at: nanoText(this.now()) });
    books.putOrder(account, order);
  }

  /** The old order is `replaced`, a new one with a new id takes its place, its legs too. */
  replace(order: VenueOrder, changes: OrderChanges): VenueOrder {
    this.refresh(order);
    const { books, account, chance } = this.options;
    const at = this.now();
    const successor = successorOf(order, changes, at, chance);
    this.#atomically(() => {
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
      const parentId = books.order(account, order.id)?.parentId;
      books.putOrder(account, successor, parentId);
      books.moveLegs(account, order.id, successor.id);
      if (successor.status === "held") return replaced;
      const accepted = this.#change(
        successor,
        "new",
        {},
        { timestamp: at, executionId: chance.uuid() },
      );
      return () => {
        replaced();
        accepted();
      };
    });
    return successor;
  }

  /** An execution declared void later: the order's filled quantity falls. */
  bust(order: VenueOrder, execution: Execution): void {
    this.#amend(order, "trade_bust", execution);
  }

  /** The price of an execution was wrong. */
  correct(order: VenueOrder, execution: Execution, price: string): void {
    this.#amend(order, "trade_correct", execution, price);
  }

  /** What is no trade. Never on the stream. */
  book(booking: Booking): string {
    const { books, account, chance } = this.options;
    const at = this.now();
    const id = booking.id ?? bookingId(at, chance.uuid());
    books.atomically(() => {
      books.moveCash(account, booking.netCents);
      if (booking.moved !== undefined) {
        const { symbol, qty } = booking.moved;
        const held = books.position(account, symbol);
        books.putPosition(account, positionAfter(held, qty, -booking.netCents));
      }
      books.putActivity(account, {
        id,
        type: booking.type,
        createdAt: sortableStamp(at),
        visibleMs: msOfNanos(at),
        orderId: undefined,
        body: bookingRow(id, booking, at),
      });
    });
    return id;
  }

  /** Takes in what somebody else did to the order meanwhile; false when it is closed. */
  refresh(order: VenueOrder): boolean {
    const { books, account } = this.options;
    Object.assign(order, books.order(account, order.id)?.order);
    return !CLOSED_STATUSES.has(order.status);
  }

  #amend(
    order: VenueOrder,
    event: "trade_bust" | "trade_correct",
    { executionId, qty, price }: Execution,
    rightPrice?: string,
  ): void {
    this.refresh(order);
    const { chance } = this.options;
    this.#atomically(() => {
      let position = this.#move(order, -qty, price);
      let state = executed(order, -qty, price);
      if (rightPrice !== undefined) {
        position = this.#move(order, qty, rightPrice);
        state = executed({ ...order, ...state }, qty, rightPrice);
      }
      return this.#change(order, event, state, {
        executionId: chance.uuid(),
        members: {
          price: rightPrice ?? price,
          qty: qtyText(rightPrice === undefined ? -qty : qty),
          position_qty: qtyText(position),
          previous_execution_id: executionId,
        },
      });
    });
  }

  #publishChange(
    order: VenueOrder,
    event: string,
    changes: Partial<VenueOrder>,
    extra: EventExtra,
  ): void {
    this.#atomically(() => this.#change(order, event, changes, extra));
  }

  /** Runs `work` as one transaction, and when it stands what `work` returned: the telling. */
  #atomically(work: () => () => void): void {
    let publish = () => {};
    this.options.books.atomically(() => {
      publish = work();
    });
    publish();
  }

  /** Books a change with its event; the returned function tells the stream. */
  #change(
    order: VenueOrder,
    event: string,
    changes: Partial<VenueOrder>,
    { timestamp, executionId, members = {} }: EventExtra = {},
  ): () => void {
    const { books, account, publish, nextEvent } = this.options;
    // A client may have cancelled what a life still wants to fill.
    if (!this.refresh(order) && !event.startsWith("trade_"))
      throw new OrderClosedError(order.status);
    Object.assign(order, changes, { updated_at: nanoText(this.now()) });
    books.putOrder(account, order);
    const published = this.now();
    const eventId = ulid(msOfNanos(published), nextEvent());
    const body = updateBody({
      event,
      eventId,
      published,
      timestamp: timestamp ?? published,
      order,
      legs: books.legsOf(account, order.id),
      executionId,
      members,
    });
    books.putEvent(account, { eventId, event, orderId: order.id, body });
    return () => publish({ account, event, body });
  }

  #bookFill(order: VenueOrder, execution: Execution, timestamp: Nanos): void {
    const { books, account, chance, now, fillLagMs, sharesExecutionIds } =
      this.options;
    const uuid = sharesExecutionIds ? execution.executionId : chance.uuid();
    const id = fillId(timestamp, uuid);
    books.putActivity(account, {
      id,
      type: "FILL",
      createdAt: sortableStamp(timestamp),
      visibleMs: now() + fillLagMs(),
      orderId: order.id,
      body: fillRow(id, order, execution, timestamp),
    });
  }

  /** Moves cash and position; answers the quantity then held. */
  #move(order: VenueOrder, qty: Nanoqty, price: string): Nanoqty {
    const { books, account } = this.options;
    const sign = signOf(order.side);
    const cents = sign * centsOf(qty, price);
    const held = books.position(account, order.symbol);
    const position = positionAfter(held, sign * qty, cents);
    books.moveCash(account, -cents);
    books.putPosition(account, position);
    return position.qty;
  }
}

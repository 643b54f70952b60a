/**
 * The exchange behind both faces of the venue: accounts, the lives of their
 * orders, past and present, and the books.
 */
import { DAY, MINUTE } from "../../clock.ts";
import type { Books } from "./books.ts";
import { Chance } from "./chance.ts";
import { Desk, OrderClosedError, type TradeUpdate } from "./desk.ts";
import { anyLife, type Life } from "./lives.ts";
import {
  CLOSED_STATUSES,
  type OrderChanges,
  type OrderRequest,
  type VenueOrder,
} from "./order.ts";
import { type Appointment, playPast } from "./past.ts";
import { cancelling, lifeOf } from "./placed.ts";
import {
  fillId,
  microText,
  nanosOfMs,
  nanoText,
  sortableStamp,
} from "./stamps.ts";

export interface ExchangeOptions {
  readonly books: Books;
  readonly seed: number;
  readonly now: () => number;
  readonly sharesExecutionIds: boolean;
  /** How late REST shows a fill of the account, in ms. */
  readonly fillLagMs: (account: string) => number;
  /** Whether an order of the account that is asked to end does not. */
  readonly sticks: (account: string) => boolean;
  readonly publish: (update: TradeUpdate) => void;
  /** A life ended by a mistake of ours; the others go on. */
  readonly onFailure: (error: unknown) => void;
}

export interface AccountPlan {
  readonly name: string;
  readonly cash: number;
  readonly ordersPerMinute: number;
  readonly historyDays: number;
  readonly historyOrdersPerDay: number;
}

export class Exchange {
  readonly books: Books;
  readonly #options: ExchangeOptions;
  readonly #desks = new Map<string, Desk>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  /** Lives that the past of an account left unfinished. */
  readonly #unfinished = new Map<string, readonly Appointment[]>();
  readonly #run: number;
  /** Set while the past is being made. */
  #pastMs: number | undefined;
  #events: number;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.books = options.books;
    this.#run = options.books.countRun();
    this.#events = options.books.eventCount();
  }

  now(): number {
    return this.#pastMs ?? this.#options.now();
  }

  /** Opens the account with its opening balance and its past, unless the books know it already. */
  open(plan: AccountPlan): void {
    const { books, seed } = this.#options;
    const nowMs = this.#options.now();
    const desk = new Desk({
      account: plan.name,
      books,
      // A venue that starts again must not repeat the ids it has given out.
      chance: new Chance(`${seed}/${plan.name}/run ${this.#run}`),
      now: () => this.now(),
      publish: (update) => {
        if (this.#pastMs === undefined) this.#options.publish(update);
      },
      fillLagMs: () =>
        this.#pastMs === undefined ? this.#options.fillLagMs(plan.name) : 0,
      nextEvent: () => ++this.#events,
      sharesExecutionIds: this.#options.sharesExecutionIds,
    });
    this.#desks.set(plan.name, desk);
    const firstMs = nowMs - plan.historyDays * DAY;
    // One transaction for the whole past: many small ones would take minutes, and half a past is none.
    books.atomically(() => {
      if (books.openAccount(plan.name, 0, new Date(firstMs).toISOString()))
        this.#makePast(desk, plan, firstMs, nowMs);
    });
  }

  /** Lets the accounts trade from now on, until {@link stop}; what is open goes on where it stands. */
  trade(plan: AccountPlan): void {
    const desk = this.desk(plan.name);
    const unfinished = this.#unfinished.get(plan.name);
    if (unfinished === undefined) this.#resume(desk);
    else
      for (const { atMs, life } of unfinished)
        this.#later(atMs - this.now(), life);
    this.#unfinished.delete(plan.name);
    if (plan.ordersPerMinute > 0)
      this.#live(this.#trading(desk, MINUTE / plan.ordersPerMinute));
  }

  /** Takes an order of a client; its life goes on by itself. */
  place(account: string, request: OrderRequest): VenueOrder {
    const desk = this.desk(account);
    const order = desk.submit(request);
    const shown = { ...order };
    this.#live(lifeOf(desk, order));
    return shown;
  }

  /** Another order in place of this one. @throws OrderClosedError */
  replace(
    account: string,
    order: VenueOrder,
    changes: OrderChanges,
  ): VenueOrder {
    const desk = this.desk(account);
    const successor = desk.replace(order, changes);
    const shown = { ...successor };
    // A leg is looked after by the life of its parent.
    const { parentId } = this.books.order(account, successor.id) ?? {};
    if (parentId === undefined) this.#live(lifeOf(desk, successor));
    return shown;
  }

  /** Asks for the end of an order; a fill may still come first. @throws OrderClosedError */
  cancel(account: string, order: VenueOrder): void {
    const desk = this.desk(account);
    if (CLOSED_STATUSES.has(order.status))
      throw new OrderClosedError(order.status);
    if (order.status === "pending_cancel") return;
    // The stream often skips the word.
    if (desk.options.chance.happens(0.5)) desk.say(order, "pending_cancel");
    else
      desk.changeSilently(order, {
        status: "pending_cancel",
        cancel_requested_at: nanoText(desk.now()),
      });
    if (!this.#options.sticks(account)) this.#live(cancelling(desk, order));
  }

  /** @throws Error for an account that was never opened. */
  desk(account: string): Desk {
    const desk = this.#desks.get(account);
    if (desk === undefined) throw new Error(`no account ${account}`);
    return desk;
  }

  /** Fills without orders, for measuring the reading of many. */
  seedActivities(account: string, count: number): void {
    const chance = new Chance(`${account}/activities`);
    const nowMs = this.now();
    const stepMs = (300 * DAY) / count;
    this.books.atomically(() => {
      for (let number = 0; number < count; number++) {
        const at = nanosOfMs(nowMs - (count - number) * stepMs);
        const id = fillId(at, chance.uuid());
        const orderId = chance.uuid();
        this.books.putActivity(account, {
          id,
          type: "FILL",
          createdAt: sortableStamp(at),
          visibleMs: 0,
          orderId,
          body: `{"id":"${id}","activity_type":"FILL","transaction_time":"${microText(at)}","type":"fill","price":"${100 + (number % 1000) / 100}","qty":"${1 + (number % 50)}","side":"${number % 2 === 0 ? "buy" : "sell"}","symbol":"SPY","leaves_qty":"0","order_id":"${orderId}","cum_qty":"${1 + (number % 50)}","order_status":"filled"}`,
        });
      }
    });
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  *#trading(desk: Desk, everyMs: number): Life {
    const { chance } = desk.options;
    for (;;) {
      this.#live(anyLife(desk, chance));
      // Half regular, half by chance.
      yield everyMs * (0.5 + chance.next());
    }
  }

  /** A venue that starts again finds orders in the middle of their lives. */
  #resume(desk: Desk): void {
    const { account } = desk.options;
    const asked = this.books.orders(
      account,
      "status = 'pending_cancel'",
      {},
      "asc",
      RESUMED_MAX,
    );
    for (const order of asked) this.#live(cancelling(desk, order));
    for (const order of this.books.alive(account))
      this.#live(lifeOf(desk, order));
  }

  /** Goes on with a life when its next moment comes. */
  #live(life: Life): void {
    const waitMs = this.#step(life);
    if (waitMs !== undefined) this.#later(waitMs, life);
  }

  #later(waitMs: number, life: Life): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#live(life);
    }, waitMs);
    this.#timers.add(timer);
  }

  /** Undefined when the life is over, be it that a client ended the order. */
  #step(life: Life): number | undefined {
    try {
      const { done, value } = life.next();
      return done === true ? undefined : value;
    } catch (error) {
      if (!(error instanceof OrderClosedError)) this.#options.onFailure(error);
      return undefined;
    }
  }

  #makePast(
    desk: Desk,
    plan: AccountPlan,
    firstMs: number,
    nowMs: number,
  ): void {
    const { chance } = desk.options;
    try {
      this.#pastMs = firstMs;
      desk.book({
        type: "JNLC",
        netCents: plan.cash * 100,
        description: "Opening balance",
      });
      const unfinished = playPast({
        fromMs: firstMs,
        toMs: nowMs,
        ordersPerDay: plan.historyOrdersPerDay,
        chance,
        at: (ms) => (this.#pastMs = ms),
        begin: () => anyLife(desk, chance),
        step: (life) => this.#step(life),
      });
      this.#unfinished.set(plan.name, unfinished);
    } finally {
      this.#pastMs = undefined;
    }
  }
}

/** Orders in the act of being cancelled when the venue stopped: a handful, never more. */
const RESUMED_MAX = 1000;

/**
 * The exchange behind both faces of the venue: accounts, the lives of their
 * orders, past and present, and the books.
 */
import { DAY, MINUTE } from "../../clock.ts";
import { isOpen } from "../calendar.ts";
import type { Books } from "./books.ts";
import { Chance } from "./chance.ts";
import { Desk, OrderClosedError, type TradeUpdate } from "./desk.ts";
import { anyLife, leftOver, type Life, placed } from "./lives.ts";
import type { OrderRequest, VenueOrder } from "./order.ts";
import { fillId, microText, nanosOfMs, sortableStamp } from "./stamps.ts";

export interface ExchangeOptions {
  readonly books: Books;
  readonly seed: number;
  readonly now: () => number;
  readonly sharesExecutionIds: boolean;
  /** How late REST shows a fill of the account, in ms. */
  readonly fillLagMs: (account: string) => number;
  readonly publish: (update: TradeUpdate) => void;
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
  /** Set while the past is being made. */
  #pastMs: number | undefined;
  #events: number;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.books = options.books;
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
      chance: new Chance(`${seed}/${plan.name}/${this.#events}`),
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
    if (!books.openAccount(plan.name, 0, new Date(firstMs).toISOString()))
      return;
    // One transaction for the whole past: many small ones would take minutes.
    books.atomically(() => this.#makePast(desk, plan, firstMs, nowMs));
  }

  /** Lets the accounts trade from now on, until {@link stop}. */
  trade(plan: AccountPlan): void {
    const desk = this.desk(plan.name);
    const open = this.books.orders(plan.name, "is_open = 1", {}, "asc", 1000);
    for (const order of open) this.#live(leftOver(desk, order));
    if (plan.ordersPerMinute > 0)
      this.#live(this.#trading(desk, MINUTE / plan.ordersPerMinute));
  }

  /** Takes an order of a client; its life goes on by itself. */
  place(account: string, request: OrderRequest): VenueOrder {
    const desk = this.desk(account);
    const order = desk.submit(request);
    const shown = { ...order };
    this.#live(placed(desk, order));
    return shown;
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

  /** Goes on with a life when its next moment comes. */
  #live(life: Life): void {
    const waitMs = nextWait(life);
    if (waitMs === undefined) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#live(life);
    }, waitMs);
    this.#timers.add(timer);
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
      for (let day = firstMs; day < nowMs; day += DAY) {
        const starts = Array.from(
          { length: plan.historyOrdersPerDay },
          () => day + chance.next() * DAY,
        );
        for (const startMs of starts.sort((a, b) => a - b)) {
          // Lives take minutes; what would reach into the present is left out.
          if (startMs > nowMs - 15 * MINUTE) continue;
          if (!isOpen(startMs, { extended: true }) && !chance.happens(0.1))
            continue;
          this.#pastMs = startMs;
          for (const waitMs of anyLife(desk, chance)) this.#pastMs += waitMs;
        }
      }
    } finally {
      this.#pastMs = undefined;
    }
  }
}

/** Undefined when the life is over, be it that a client ended the order. */
function nextWait(life: Life): number | undefined {
  try {
    const { done, value } = life.next();
    return done === true ? undefined : value;
  } catch (error) {
    if (error instanceof OrderClosedError) return undefined;
    throw error;
  }
}

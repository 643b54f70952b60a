import { afterEach, describe, expect, jest, test } from "bun:test";
import { DAY, HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { Books } from "../../../src/venues/simulated/books.ts";
import { Exchange } from "../../../src/venues/simulated/exchange.ts";
import type {
  OrderChanges,
  OrderRequest,
  VenueOrder,
} from "../../../src/venues/simulated/order.ts";
import { priceOf } from "../../../src/venues/simulated/prices.ts";
import { problemsOf } from "./audit.ts";

/** A Wednesday, 10:00 in New York. */
const NOW = Date.parse("2026-09-16T14:00:00Z");
const ACCOUNT = "alpha";
const PLAN = {
  name: ACCOUNT,
  cash: 100_000,
  ordersPerMinute: 0,
  historyDays: 1,
  historyOrdersPerDay: 0,
};

/** An exchange under fake time, whose updates are kept as `name event`. */
class Stage {
  readonly books = new Books(":memory:");
  exchange: Exchange;
  #told: { readonly id: string; readonly event: string }[] = [];
  readonly #names = new Map<string, string>();

  constructor() {
    jest.useFakeTimers();
    jest.setSystemTime(NOW);
    this.exchange = this.#open();
  }

  place(name: string, request: Partial<OrderRequest> = {}): VenueOrder {
    const order = this.exchange.place(ACCOUNT, {
      symbol: "AAPL",
      side: "buy",
      type: "limit",
      ...(request.notional === undefined ? { qty: "10" } : {}),
      ...request,
    });
    this.#names.set(order.id, name);
    for (const leg of this.books.legsOf(ACCOUNT, order.id))
      this.#names.set(leg.id, leg.type === "limit" ? "profit" : "stop");
    return order;
  }

  replace(name: string, order: VenueOrder, changes: OrderChanges): VenueOrder {
    const successor = this.exchange.replace(ACCOUNT, this.now(order), changes);
    this.#names.set(successor.id, name);
    return successor;
  }

  cancel(order: VenueOrder): void {
    this.exchange.cancel(ACCOUNT, this.now(order));
  }

  /** As it stands in the books. */
  now({ id }: { readonly id: string }): VenueOrder {
    const found = this.books.order(ACCOUNT, id);
    if (found === undefined) throw new Error(`no order ${id}`);
    return found.order;
  }

  leg(order: VenueOrder, type: string): VenueOrder {
    const found = this.books
      .legsOf(ACCOUNT, order.id)
      .find((leg) => leg.type === type);
    if (found === undefined) throw new Error(`no leg ${type}`);
    return found;
  }

  /** What was told since somebody asked. */
  told(): string[] {
    const told = this.#told.map(
      ({ id, event }) => `${this.#names.get(id) ?? "it"} ${event}`,
    );
    this.#told = [];
    return told;
  }

  /** Lets time pass, and gives what was told until then. */
  after(ms: number): string[] {
    jest.advanceTimersByTime(ms);
    return this.told();
  }

  /** A venue that was killed, and another one on its books. */
  restart(): void {
    this.exchange.stop();
    this.exchange = this.#open();
    this.exchange.trade(PLAN);
  }

  #open(): Exchange {
    const exchange = new Exchange({
      books: this.books,
      seed: 1,
      now: () => Date.now(),
      sharesExecutionIds: true,
      fillLagMs: () => 0,
      sticks: () => false,
      publish: ({ event, body }) => {
        this.#told.push({ id: JSON.parse(body).order.id, event });
      },
      onFailure: (error) =>
        this.#told.push({ id: "", event: `failed: ${String(error)}` }),
    });
    exchange.open(PLAN);
    return exchange;
  }
}

const stages: Stage[] = [];
function stage(): Stage {
  const made = new Stage();
  stages.push(made);
  return made;
}

afterEach(() => {
  const [made] = stages.splice(0);
  made?.exchange.stop();
  jest.useRealTimers();
  // Whatever a test did to an order, the books bear it out.
  if (made !== undefined) expect(problemsOf(made.books, ACCOUNT)).toEqual([]);
});

const market = (ms = Date.now()) => priceOf("AAPL", ms);
/** The market's price, moved by a share of it. */
const off = (share: number) => (market() * (1 + share)).toFixed(2);
/** The first whole second from now on at which the market fulfils a condition. */
function secondsUntil(isReached: (price: number) => boolean): number {
  for (let second = 0; second < 20 * 3600; second++)
    if (isReached(market(Date.now() + second * SECOND))) return second;
  throw new Error("never");
}

describe("an order that the market takes", () => {
  test.each<[string, Partial<OrderRequest>]>([
    ["at any price", { type: "market" }],
    ["at a limit above the market", { limitPrice: "900" }],
    ["to sell, at a limit below it", { side: "sell", limitPrice: "9" }],
    ["at a stop that is reached", { type: "stop", stopPrice: "9" }],
    [
      "at a stop and a limit",
      { type: "stop_limit", stopPrice: "9", limitPrice: "900" },
    ],
    ["at once or never", { limitPrice: "900", timeInForce: "fok" }],
  ])("%s is filled within moments, at the market's price", (_, request) => {
    const scene = stage();
    const { id, status } = scene.place("order", request);
    expect(status).toBe("pending_new");
    expect(scene.told()).toEqual(["order pending_new"]);
    expect(scene.after(SECOND)).toEqual(["order new", "order fill"]);
    const { filled_qty, filled_avg_price } = scene.now({ id });
    expect(filled_qty).toBe("10");
    expect(Number(filled_avg_price)).toBeCloseTo(market(), 1);
  });

  test("of a hundred shares or more comes in two pieces", () => {
    const scene = stage();
    scene.place("order", { type: "market", qty: "100" });
    expect(scene.after(2 * SECOND)).toEqual([
      "order pending_new",
      "order new",
      "order partial_fill",
      "order fill",
    ]);
  });

  test("of coins comes in one piece, however many", () => {
    const scene = stage();
    const coins = { symbol: "DOGE/USD", type: "market", qty: "500" } as const;
    scene.place("order", coins);
    expect(scene.after(2 * SECOND).slice(2)).toEqual(["order fill"]);
  });

  test("by value buys what the money is worth, and pays its fee on the next day", () => {
    const scene = stage();
    const order = scene.place("order", {
      symbol: "BTC/USD",
      type: "market",
      notional: "100",
    });
    scene.after(2 * SECOND);
    const { filled_qty, filled_avg_price, qty } = scene.now(order);
    expect(qty).toBeNull();
    expect(Number(filled_qty) * Number(filled_avg_price)).toBeCloseTo(100, 2);
    const fees = () =>
      [...scene.books.all(ACCOUNT, "activities")]
        .map((body) => JSON.parse(body))
        .filter(({ activity_type }) => activity_type === "CFEE");
    scene.after(10 * HOUR - 3 * SECOND);
    expect(fees()).toEqual([]);
    scene.after(20 * MINUTE + 5 * SECOND);
    expect(fees()).toMatchObject([
      { date: "2026-09-16", symbol: "BTCUSD", net_amount: "0" },
    ]);
    expect(scene.books.position(ACCOUNT, "BTC/USD").qty / 1e9).toBeCloseTo(
      Number(filled_qty) * 0.9975,
      8,
    );
  });
});

describe("an order that the market does not take", () => {
  test("rests until the market comes to it, and is filled at its limit or better", () => {
    const scene = stage();
    const limitPrice = off(-0.002);
    const order = scene.place("order", { limitPrice });
    const seconds = secondsUntil((price) => price <= Number(limitPrice));
    expect(seconds).toBeGreaterThan(MINUTE / SECOND);
    expect(scene.after((seconds - 2) * SECOND)).toEqual([
      "order pending_new",
      "order new",
    ]);
    expect(scene.now(order).status).toBe("new");
    expect(scene.after(4 * SECOND)).toEqual(["order fill"]);
    expect(Number(scene.now(order).filled_avg_price)).toBeLessThanOrEqual(
      Number(limitPrice),
    );
  });

  test("by a stop waits for it: one to sell below the market", () => {
    const scene = stage();
    const stopPrice = off(-0.002);
    scene.place("order", { side: "sell", type: "stop", stopPrice });
    const seconds = secondsUntil((price) => price <= Number(stopPrice));
    expect(scene.after((seconds - 2) * SECOND)).toEqual([
      "order pending_new",
      "order new",
    ]);
    expect(scene.after(4 * SECOND)).toEqual(["order fill"]);
  });

  test.each([
    [{ trailPercent: "0.1" }, (best: number) => best * 0.999],
    [{ trailPrice: "0.5" }, (best: number) => best - 0.5],
  ])(
    "by a stop that trails the best price (%j) follows it without a word, and does not go back",
    (trail, stopAt) => {
      const scene = stage();
      const order = scene.place("order", {
        side: "sell",
        type: "trailing_stop",
        ...trail,
      });
      scene.after(2 * SECOND);
      const placed = scene.now(order);
      expect(Number(placed.stop_price)).toBeCloseTo(
        stopAt(Number(placed.hwm)),
        3,
      );
      let best = 0;
      let seconds = 0;
      for (; market(Date.now() + seconds * SECOND) > stopAt(best); seconds++)
        best = Math.max(best, market(Date.now() + seconds * SECOND));
      expect(scene.after((seconds - 2) * SECOND)).toEqual([]);
      const { hwm, updated_at } = scene.now(order);
      expect(Number(hwm)).toBeCloseTo(best, 2);
      expect(updated_at > placed.updated_at || hwm === placed.hwm).toBe(true);
      expect(scene.after(4 * SECOND)).toEqual(["order fill"]);
    },
  );

  test.each(["ioc", "fok"])("at once (%s) expires", (timeInForce) => {
    const scene = stage();
    scene.place("order", { limitPrice: "9", timeInForce });
    expect(scene.after(SECOND)).toEqual([
      "order pending_new",
      "order new",
      "order expired",
    ]);
  });

  test("expires with its day, or, good till cancelled, some three months on", () => {
    const scene = stage();
    scene.place("today", { limitPrice: "9" });
    const order = scene.place("long", { limitPrice: "9", timeInForce: "gtc" });
    scene.after(SECOND);
    jest.setSystemTime(Date.parse("2026-09-16T19:59:58Z"));
    expect(scene.after(SECOND)).toEqual([]);
    expect(scene.after(2 * SECOND)).toEqual(["today expired"]);
    jest.setSystemTime(Date.parse(order.expires_at ?? "") - 2 * SECOND);
    expect(scene.after(SECOND)).toEqual([]);
    expect(scene.after(2 * SECOND)).toEqual(["long expired"]);
    expect(scene.now(order).expired_at).not.toBeNull();
  });
});

describe("a bracket", () => {
  const bracket = (profit: number, loss: number) => ({
    type: "market" as const,
    orderClass: "bracket" as const,
    takeProfit: off(profit),
    stopLoss: off(loss),
    timeInForce: "gtc",
  });

  test("takes its profit, and lets the stop go without a word", () => {
    const scene = stage();
    const order = scene.place("entry", bracket(0.001, -0.5));
    expect(scene.after(2 * SECOND)).toEqual([
      "entry pending_new",
      "entry new",
      "entry fill",
      "profit new",
    ]);
    expect(scene.leg(order, "stop").status).toBe("held");
    const target = Number(scene.leg(order, "limit").limit_price);
    const seconds = secondsUntil((price) => price >= target);
    expect(scene.after((seconds + 2) * SECOND)).toEqual(["profit fill"]);
    expect(scene.leg(order, "stop")).toMatchObject({ status: "canceled" });
    expect(scene.books.positions(ACCOUNT)).toEqual([]);
  });

  test("stops its loss, and lets the profit go without a word", () => {
    const scene = stage();
    const order = scene.place("entry", bracket(0.5, -0.001));
    const limit = Number(scene.leg(order, "stop").stop_price);
    scene.after(2 * SECOND);
    const seconds = secondsUntil((price) => price <= limit);
    expect(scene.after((seconds + 2) * SECOND)).toEqual([
      "stop new",
      "stop fill",
    ]);
    expect(scene.leg(order, "limit").status).toBe("canceled");
    expect(scene.books.positions(ACCOUNT)).toEqual([]);
  });

  test("loses both legs when a client cancels one of them", () => {
    const scene = stage();
    const order = scene.place("entry", bracket(0.5, -0.5));
    scene.after(2 * SECOND);
    scene.cancel(scene.leg(order, "limit"));
    expect(scene.after(2 * SECOND).at(-1)).toBe("profit canceled");
    expect(scene.leg(order, "stop").status).toBe("canceled");
    expect(scene.after(HOUR)).toEqual([]);
  });

  test("goes on with the order that a client puts in place of a leg", () => {
    const scene = stage();
    const order = scene.place("entry", bracket(0.5, -0.5));
    scene.after(2 * SECOND);
    const profit = scene.leg(order, "limit");
    scene.replace("better profit", profit, { limit_price: off(-0.01) });
    expect(scene.after(2 * SECOND)).toEqual([
      "profit replaced",
      "better profit new",
      "better profit fill",
    ]);
    expect(scene.leg(order, "stop").status).toBe("canceled");
  });

  test("keeps a leg waiting that a client replaces before its entry is filled", () => {
    const scene = stage();
    const order = scene.place("entry", {
      ...bracket(0.5, -0.5),
      type: "limit",
      limitPrice: "9",
    });
    scene.after(2 * SECOND);
    scene.replace("other stop", scene.leg(order, "stop"), {
      stop_price: off(0.01),
    });
    expect(scene.after(MINUTE)).toEqual(["stop replaced"]);
    scene.replace("other entry", order, { limit_price: "900" });
    expect(scene.after(3 * SECOND)).toEqual([
      "entry replaced",
      "other entry new",
      "other entry fill",
      "profit new",
      "other stop new",
      "other stop fill",
    ]);
  });

  test("ends with its day", () => {
    const scene = stage();
    const order = scene.place("entry", {
      ...bracket(0.5, -0.5),
      timeInForce: "day",
    });
    scene.after(2 * SECOND);
    jest.setSystemTime(Date.parse("2026-09-16T20:00:00Z"));
    expect(scene.after(2 * SECOND)).toEqual(["profit expired"]);
    expect(scene.leg(order, "stop").status).toBe("canceled");
  });
});

test("an oto sets its one leg free when it is filled", () => {
  const scene = stage();
  const order = scene.place("entry", {
    type: "market",
    orderClass: "oto",
    stopLoss: off(-0.001),
    timeInForce: "gtc",
  });
  expect(scene.after(2 * SECOND).slice(2)).toEqual(["entry fill", "stop new"]);
  const limit = Number(scene.leg(order, "stop").stop_price);
  const seconds = secondsUntil((price) => price <= limit);
  expect(scene.after((seconds + 2) * SECOND)).toEqual(["stop fill"]);
});

describe("an oco", () => {
  const oco = (profit: number, loss: number) => ({
    side: "sell" as const,
    orderClass: "oco" as const,
    limitPrice: off(profit),
    takeProfit: off(profit),
    stopLoss: off(loss),
    timeInForce: "gtc",
  });

  test("is filled at its limit, and its stop goes without a word", () => {
    const scene = stage();
    const order = scene.place("order", oco(-0.01, -0.5));
    expect(scene.after(2 * SECOND)).toEqual([
      "order pending_new",
      "order new",
      "order fill",
    ]);
    expect(scene.leg(order, "stop").status).toBe("canceled");
  });

  test("goes without a word when its stop is filled", () => {
    const scene = stage();
    const order = scene.place("order", oco(0.5, 0.01));
    expect(scene.after(2 * SECOND)).toEqual([
      "order pending_new",
      "order new",
      "stop new",
      "stop fill",
    ]);
    expect(scene.now(order).status).toBe("canceled");
  });

  test("goes on, with its stop, in the order that takes its place", () => {
    const scene = stage();
    const order = scene.place("order", oco(0.5, -0.5));
    scene.after(2 * SECOND);
    const successor = scene.replace("better", order, {
      limit_price: off(-0.01),
    });
    expect(scene.after(2 * SECOND)).toEqual([
      "order replaced",
      "better new",
      "better fill",
    ]);
    expect(scene.leg(successor, "stop").status).toBe("canceled");
  });
});

describe("a client", () => {
  test("cancels what rests, and it is never filled", () => {
    const scene = stage();
    const order = scene.place("order", { limitPrice: off(-0.001) });
    scene.after(SECOND);
    scene.cancel(order);
    expect(scene.now(order).status).toBe("pending_cancel");
    expect(scene.after(SECOND).at(-1)).toBe("order canceled");
    expect(scene.after(8 * HOUR)).toEqual([]);
  });

  test("may ask twice: the first asking counts", () => {
    const scene = stage();
    const orders = [1, 2, 3, 4].map(() => {
      const order = scene.place("order", { limitPrice: "9" });
      scene.after(SECOND);
      scene.cancel(order);
      const { cancel_requested_at } = scene.now(order);
      scene.cancel(order);
      const words = scene.after(SECOND);
      expect(words.filter((word) => word !== "order pending_cancel")).toEqual([
        "order canceled",
      ]);
      expect(scene.now(order)).toMatchObject({ cancel_requested_at });
      return words.length;
    });
    // The stream says that it is being cancelled, or does not.
    expect(new Set(orders)).toEqual(new Set([1, 2]));
  });

  test("may come too late: what is being cancelled is filled, or is not, and ends once", () => {
    const scene = stage();
    const ends = Array.from({ length: 60 }, (_, number) => {
      const order = scene.place("order", { type: "market" });
      scene.after(150 + number);
      if (scene.now(order).status === "new") scene.cancel(order);
      scene.after(2 * SECOND);
      const { status, cancel_requested_at } = scene.now(order);
      return `${status}${cancel_requested_at === null ? "" : " after all"}`;
    });
    expect(new Set(ends)).toEqual(
      new Set(["filled", "filled after all", "canceled after all"]),
    );
  });

  test("replaces what rests by what the market takes", () => {
    const scene = stage();
    const order = scene.place("order", { limitPrice: "9", qty: "5" });
    scene.after(SECOND);
    const successor = scene.replace("successor", order, {
      limit_price: "900",
      qty: "7",
    });
    expect(scene.after(2 * SECOND)).toEqual([
      "order replaced",
      "successor new",
      "successor fill",
    ]);
    expect(scene.now(successor).filled_qty).toBe("7");
    expect(scene.now(order).filled_qty).toBe("0");
  });
});

describe("a venue that starts again", () => {
  test("goes on with each order where it stands", () => {
    const scene = stage();
    scene.place("resting", { limitPrice: "9" });
    const bracket = scene.place("entry", {
      type: "market",
      orderClass: "bracket",
      takeProfit: "900",
      stopLoss: "9",
    });
    scene.after(3 * SECOND);
    const asked = scene.place("asked", { limitPrice: "9" });
    scene.after(SECOND);
    scene.cancel(asked);
    scene.place("just placed", { type: "market" });
    scene.told();

    scene.restart();
    expect(scene.after(3 * SECOND).toSorted()).toEqual([
      "asked canceled",
      "just placed fill",
      "just placed new",
    ]);
    jest.setSystemTime(Date.parse("2026-09-16T20:00:00Z"));
    expect(scene.after(2 * SECOND).toSorted()).toEqual([
      "profit expired",
      "resting expired",
    ]);
    expect(scene.leg(bracket, "stop").status).toBe("canceled");
  });

  test("sets free the legs of an entry that was filled in its last moment", () => {
    const scene = stage();
    scene.place("entry", {
      type: "market",
      orderClass: "bracket",
      takeProfit: "900",
      stopLoss: "9",
    });
    while (scene.after(1).at(-1) !== "entry fill");
    scene.restart();
    expect(scene.after(3 * SECOND)).toEqual(["profit new"]);
  });

  test("gives out no id that it has given out before, even when nothing but bookings came between", () => {
    const scene = stage();
    const book = () =>
      scene.exchange.desk(ACCOUNT).book({
        type: "JNLC",
        netCents: 1,
        description: "Journal",
      });
    const ids = [book()];
    scene.restart();
    ids.push(book());
    scene.restart();
    ids.push(book());
    expect(new Set(ids).size).toBe(3);
  });

  test("finds nothing to do where nothing is open", () => {
    const scene = stage();
    scene.place("order", { type: "market" });
    scene.after(2 * SECOND);
    scene.restart();
    expect(scene.after(DAY)).toEqual([]);
  });
});

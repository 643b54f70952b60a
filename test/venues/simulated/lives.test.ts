import { afterEach, describe, expect, jest, test } from "bun:test";
import { DAY, MINUTE, SECOND } from "../../../src/clock.ts";
import { Books } from "../../../src/venues/simulated/books.ts";
import {
  type AccountPlan,
  Exchange,
} from "../../../src/venues/simulated/exchange.ts";
import { problemsOf } from "./audit.ts";
import type { Update } from "./wire.ts";

/** A Wednesday, 10:00 in New York. */
const NOW = Date.parse("2026-09-16T14:00:00Z");
const PLAN: AccountPlan = {
  name: "alpha",
  cash: 100_000,
  ordersPerMinute: 0,
  historyDays: 10,
  historyOrdersPerDay: 60,
};

function exchangeOf(
  seed: number,
  plan: Partial<AccountPlan> = {},
  books = new Books(":memory:"),
) {
  const told: string[] = [];
  const failures: unknown[] = [];
  const exchange = new Exchange({
    books,
    seed,
    now: () => Date.now(),
    sharesExecutionIds: true,
    fillLagMs: () => 0,
    sticks: () => false,
    publish: ({ body }) => told.push(body),
    onFailure: (error) => failures.push(error),
  });
  exchange.open({ ...PLAN, ...plan });
  return { exchange, books, told, failures };
}

const KINDS = ["orders", "activities", "events"] as const;
const written = (books: Books) =>
  KINDS.map((kind) => [...books.all(PLAN.name, kind)]);

const eventsOf = (books: Books): Update[] =>
  Array.from(books.all(PLAN.name, "events"), (body) => JSON.parse(body));

afterEach(() => {
  jest.useRealTimers();
});

function freeze(ms = NOW): void {
  jest.useFakeTimers();
  jest.setSystemTime(ms);
}

describe("the past of an account", () => {
  test.each([1, 2, 3, 4])("of seed %d is sound", (seed) => {
    freeze();
    const { books, failures, told } = exchangeOf(seed);
    expect(failures).toEqual([]);
    expect(problemsOf(books, PLAN.name)).toEqual([]);
    // Nobody listened then.
    expect(told).toEqual([]);
  });

  test("holds every word and every type of activity that the venue knows", () => {
    freeze();
    const { books } = exchangeOf(5, { historyOrdersPerDay: 250 });
    const words = new Set(eventsOf(books).map(({ event }) => event));
    expect([...words].toSorted()).toEqual([
      "accepted",
      "calculated",
      "canceled",
      "done_for_day",
      "expired",
      "fill",
      "new",
      "order_cancel_rejected",
      "order_replace_rejected",
      "partial_fill",
      "pending_cancel",
      "pending_new",
      "pending_replace",
      "rejected",
      "replaced",
      "restated",
      "stopped",
      "suspended",
      "trade_bust",
      "trade_correct",
    ]);
    const types = new Set(
      Array.from(books.all(PLAN.name, "activities"), (body) => {
        const { activity_type, activity_sub_type = "" } = JSON.parse(body);
        return `${activity_type} ${activity_sub_type}`.trim();
      }),
    );
    expect([...types].toSorted()).toEqual([
      "CFEE",
      "CSD",
      "CSW",
      "DIV CDIV",
      "DIVNRA",
      "FEE",
      "FEE CAT",
      "FILL",
      "INT MGN",
      "JNLC",
      "OPEXC",
      "OPTRD",
    ]);
  });

  test("has executions of one millisecond that stand in another order than they happened, and a last one earlier than the one before", () => {
    freeze();
    const { books } = exchangeOf(6);
    const fills = Array.from(books.all(PLAN.name, "activities"), (body) =>
      JSON.parse(body),
    ).filter(({ activity_type }) => activity_type === "FILL");
    const byStamp = Map.groupBy(fills, ({ id }) => id.slice(0, 17));
    const shuffled = [...byStamp.values()].filter((rows) =>
      rows.some(
        ({ cum_qty }, index) =>
          Number(cum_qty) < Number(rows[index - 1]?.cum_qty ?? 0),
      ),
    );
    expect(shuffled.length).toBeGreaterThan(5);
    const byOrder = Map.groupBy(eventsOf(books), ({ order }) => order.id);
    const turned = [...byOrder.values()].filter((updates) => {
      const [partial, last] = updates.filter(({ event }) =>
        /fill$/.test(event),
      );
      return partial && last && last.timestamp < partial.timestamp;
    });
    expect(turned.length).toBeGreaterThan(5);
  });

  test("books what a day's coins cost on the next day, in coins or in dollars, and the CAT fee at eleven", () => {
    freeze();
    const { books } = exchangeOf(7, { historyOrdersPerDay: 100 });
    const rows = Array.from(books.all(PLAN.name, "activities"), (body) =>
      JSON.parse(body),
    ).filter(({ activity_type }) => /^C?FEE$/.test(activity_type));
    const seen = new Set<string>();
    for (const row of rows) {
      const { activity_type, activity_sub_type, date, created_at, id } = row;
      // A coin bought after seven in the evening is of a day that has begun in London.
      const dayAfterMs = Date.parse(created_at.slice(0, 10)) - Date.parse(date);
      expect([DAY, 2 * DAY]).toContain(dayAfterMs);
      expect(id.slice(0, 17)).toBe(
        `${created_at.slice(0, 10).replaceAll("-", "")}000000000`,
      );
      const hour = created_at.slice(11, 13);
      expect(hour).toBe(activity_sub_type === "CAT" ? "11" : "00");
      if (activity_type === "CFEE")
        expect([row.net_amount, row.qty[0]]).toEqual(["0", "-"]);
      else expect(row.net_amount).toStartWith("-");
      seen.add(`${activity_type} ${activity_sub_type ?? ""}`);
    }
    expect(seen.size).toBe(3);
  });

  test("has its moments in their order, none of them to come", () => {
    freeze();
    const { books } = exchangeOf(8);
    const times = eventsOf(books).map(({ at }) => Date.parse(at));
    expect(times.toSorted((a, b) => a - b)).toEqual(times);
    expect(times[0]).toBeGreaterThanOrEqual(NOW - PLAN.historyDays * DAY);
    expect(times.at(-1)).toBeLessThanOrEqual(NOW + SECOND);
  });

  test("is the same for the same seed at the same hour, and for no other", () => {
    freeze();
    const books = exchangeOf(9).books;
    expect(written(exchangeOf(9).books)).toEqual(written(books));
    expect(written(exchangeOf(10).books)).not.toEqual(written(books));
  });

  test("is an account's own: another one beside it changes nothing but the numbers of events", () => {
    freeze();
    const both = exchangeOf(11, { name: "omega" });
    both.exchange.open(PLAN);
    const [orders = [], activities = []] = written(exchangeOf(11).books);
    expect(written(both.books).slice(0, 2)).toEqual([orders, activities]);
    expect(orders).not.toEqual([...both.books.all("omega", "orders")]);
  });

  test("may be empty but for the opening balance", () => {
    freeze();
    const { books } = exchangeOf(1, { historyOrdersPerDay: 0 });
    expect(written(books)).toEqual([
      [],
      [expect.stringContaining('"activity_type":"JNLC"')],
      [],
    ]);
    expect(books.account(PLAN.name).cashCents).toBe(10_000_000);
  });
});

describe("an account that trades", () => {
  const LIVE = { historyDays: 1, historyOrdersPerDay: 20, ordersPerMinute: 60 };

  function tradeFor(ms: number, seed: number) {
    freeze();
    const made = exchangeOf(seed, LIVE);
    made.exchange.trade({ ...PLAN, ...LIVE });
    jest.advanceTimersByTime(ms);
    made.exchange.stop();
    return made;
  }

  test("keeps sound books at any instant, and tells of every event as it is booked", () => {
    freeze();
    const { exchange, books, told, failures } = exchangeOf(21, LIVE);
    exchange.trade({ ...PLAN, ...LIVE });
    for (let look = 0; look < 5; look++) {
      jest.advanceTimersByTime(97 * SECOND);
      expect(problemsOf(books, PLAN.name)).toEqual([]);
    }
    exchange.stop();
    expect(failures).toEqual([]);
    expect(told.length).toBeGreaterThan(500);
    const events = [...books.all(PLAN.name, "events")];
    expect(events.slice(-told.length)).toEqual(told);
  });

  test("does the same for the same seed", () => {
    const first = written(tradeFor(3 * MINUTE, 22).books);
    expect(written(tradeFor(3 * MINUTE, 22).books)).toEqual(first);
    expect(written(tradeFor(3 * MINUTE, 23).books)).not.toEqual(first);
  });

  test("goes on with what the past left unfinished", () => {
    freeze();
    // Half an hour of so many orders that some are open at any moment.
    const made = exchangeOf(24, {
      historyDays: 0.02,
      historyOrdersPerDay: 60_000,
    });
    const open = () =>
      made.books.orders(PLAN.name, "is_open = 1", {}, "asc", 100).length;
    expect(open()).toBeGreaterThan(0);
    made.exchange.trade(PLAN);
    jest.advanceTimersByTime(30 * MINUTE);
    expect(open()).toBe(0);
    made.exchange.stop();
    expect(problemsOf(made.books, PLAN.name)).toEqual([]);
  });

  test("stops when it is told to: no timer is left, nothing happens any more", () => {
    const { books } = tradeFor(MINUTE, 25);
    const before = written(books);
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(DAY);
    expect(written(books)).toEqual(before);
  });

  test("does not end with a life that failed: the failure is told, the others go on", () => {
    freeze();
    const made = exchangeOf(26, LIVE);
    const { putEvent } = made.books;
    let broken = true;
    made.books.putEvent = (...row) => {
      if (broken) throw new Error("disk full");
      putEvent.apply(made.books, row);
    };
    made.exchange.trade({ ...PLAN, ...LIVE });
    jest.advanceTimersByTime(MINUTE);
    expect(made.failures).toContainEqual(new Error("disk full"));
    expect(made.told).toEqual([]);
    broken = false;
    jest.advanceTimersByTime(5 * MINUTE);
    made.exchange.stop();
    expect(made.told.length).toBeGreaterThan(100);
    expect(problemsOf(made.books, PLAN.name)).toEqual([]);
  });
});

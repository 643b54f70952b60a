/**
 * An account in memory: a venue whose orders and activities a test writes down,
 * a store that takes what the queue holds when it is told to commit, and the run
 * that ties the real REST client, budget and queue to both.
 */
import { newYorkDay, newYorkStamp } from "../../schema/instant.ts";
import type { AccountRecord, CoverageFact } from "../../schema/messages.ts";
import { FINAL_STATUSES, type OrderRow } from "../../schema/rows.ts";
import type { Fact } from "../../src/accounts/coverage.ts";
import { DeliveredMemory } from "../../src/accounts/delivered.ts";
import { type AccountRun, emptyBoard } from "../../src/accounts/run.ts";
import type { AccountStore, HistoryMetric } from "../../src/accounts/store.ts";
import { MINUTE } from "../../src/clock.ts";
import { DialSchedule } from "../../src/flow/dials.ts";
import { Notice } from "../../src/flow/notice.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";
import { RateBudget } from "../../src/flow/rate.ts";
import { rowsOfRecord } from "../../src/venues/alpaca/normalise.ts";
import { createAlpacaRest } from "../../src/venues/alpaca/rest.ts";
import { SessionBook } from "../../src/venues/sessionBook.ts";

/** A Wednesday, 10:00 in New York. */
export const NOW = Date.parse("2026-09-16T14:00:00.000Z");

export function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export type Members = Record<string, unknown>;

/** A simple order; `at` is when it was created, submitted and last touched unless `more` says otherwise. */
export function orderOf(number: number, at: number, more: Members = {}) {
  return {
    id: uuid(number),
    client_order_id: `client-${number}`,
    created_at: iso(at),
    submitted_at: iso(at),
    updated_at: iso(at),
    symbol: "AAPL",
    side: "buy",
    type: "limit",
    order_class: "",
    qty: "10",
    filled_qty: "0",
    status: "new",
    ...more,
  };
}

/** A fill as REST lists it; its execution id is `uuid(number)`. */
export function fillOf(number: number, at: number, more: Members = {}) {
  return {
    id: `${newYorkStamp(at * 1000)}::${uuid(number)}`,
    activity_type: "FILL",
    transaction_time: iso(at),
    type: "fill",
    price: "1.5",
    qty: "1",
    cum_qty: "1",
    side: "buy",
    symbol: "AAPL",
    order_id: uuid(900_000 + number),
    ...more,
  };
}

/** A row that is no trade: named by the UTC day of its booking. */
export function feeOf(number: number, bookedAt: number, more: Members = {}) {
  const day = iso(bookedAt).slice(0, 10);
  return {
    id: `${day.replaceAll("-", "")}000000000::${uuid(number)}`,
    activity_type: "FEE",
    date: day,
    created_at: iso(bookedAt),
    net_amount: "-0.01",
    ...more,
  };
}

/** The documented face of `/v2/orders` and `/v2/account/activities`, page seams included. */
export class ScriptedVenue {
  orders: Members[] = [];
  activities: Members[] = [];
  /** Paths with their queries, as asked. */
  readonly requests: string[] = [];
  /** Called before each answer; what it returns is answered instead. */
  interrupt: (url: URL) => Response | undefined = () => undefined;

  readonly fetch = async (text: string): Promise<Response> => {
    const url = new URL(text);
    this.requests.push(`${url.pathname}${url.search}`);
    return this.interrupt(url) ?? this.#answer(url);
  };

  #answer({ pathname, searchParams }: URL): Response {
    if (pathname === "/v2/orders")
      return Response.json(this.#orderPage(searchParams));
    if (pathname.startsWith("/v2/orders/")) {
      const order = this.orders.find(
        ({ id }) => id === pathname.slice("/v2/orders/".length),
      );
      return order === undefined
        ? Response.json({ message: "order not found" }, { status: 404 })
        : Response.json(order);
    }
    const type = pathname.split("/")[4];
    return Response.json(
      this.#activityPage(
        searchParams,
        type === undefined
          ? this.activities
          : this.activities.filter((row) => row["activity_type"] === type),
      ),
    );
  }

  #orderPage(query: URLSearchParams): Members[] {
    const isOpen = (order: Members) =>
      !FINAL_STATUSES.has(String(order["status"]));
    const sorted = this.orders
      .filter((order) => query.get("status") === "all" || isOpen(order))
      .sort((a, b) => submittedMs(a) - submittedMs(b));
    if (query.get("direction") === "desc") sorted.reverse();
    const token = query.get("after_order_id");
    const behind =
      token === null
        ? sorted
        : sorted.slice(sorted.findIndex(({ id }) => id === token) + 1);
    return inside(behind, query, submittedMs).slice(
      0,
      Number(query.get("limit") ?? 50),
    );
  }

  /** Rows that share the stamp of the token's row are stepped over, as the venue was seen to do. */
  #activityPage(query: URLSearchParams, rows: readonly Members[]): Members[] {
    const isDescending = query.get("direction") !== "asc";
    const sorted = [...rows].sort((a, b) =>
      String(a["id"]) < String(b["id"]) ? -1 : 1,
    );
    if (isDescending) sorted.reverse();
    const token = query.get("page_token");
    const day = query.get("date")?.replaceAll("-", "");
    const behind = sorted.filter(({ id }) => {
      if (day !== undefined && !String(id).startsWith(day)) return false;
      if (token === null) return true;
      return isDescending
        ? String(id) < token
        : String(id) > token && stampOf(id) !== stampOf(token);
    });
    return inside(behind, query, bookedMs).slice(
      0,
      Number(query.get("page_size") ?? 100),
    );
  }
}

function inside(
  rows: readonly Members[],
  query: URLSearchParams,
  msOf: (row: Members) => number,
): Members[] {
  const after = Date.parse(query.get("after") ?? "1970-01-01");
  const until = Date.parse(query.get("until") ?? "2100-01-01");
  return rows.filter((row) => msOf(row) > after && msOf(row) < until);
}

function submittedMs(order: Members): number {
  return Date.parse(String(order["submitted_at"]));
}

function bookedMs(row: Members): number {
  return Date.parse(
    String(row["created_at"] ?? row["transaction_time"] ?? row["date"]),
  );
}

function stampOf(id: unknown): string | undefined {
  return String(id).split("::")[0];
}

/** What was committed. It learns of the queue only by {@link MemoryStore.commit}. */
export class MemoryStore implements AccountStore {
  readonly orders = new Map<string, OrderRow>();
  readonly activities = new Map<string, string | null>();
  readonly recorded: Fact[] = [];
  readonly historyStart = new Map<HistoryMetric, string>();
  readonly #streamed = new Set<string>();

  /** Writes what waits in the queue, in order; at most `count` records. */
  commit(
    queue: BoundedQueue<AccountRecord>,
    count = Number.POSITIVE_INFINITY,
  ): AccountRecord[] {
    const records = queue.takeUpTo(count);
    for (const record of records) this.#write(record);
    return records;
  }

  async facts({ from }: { from?: Date } = {}): Promise<Fact[]> {
    return this.recorded
      .filter((fact) => from === undefined || fact.to >= from)
      .sort((a, b) => +a.from - +b.from);
  }

  async openOrderIds(): Promise<string[]> {
    const open = [...this.orders.values()].filter(
      ({ status }) => !FINAL_STATUSES.has(status),
    );
    return [...new Set(open.map(({ parent_id, id }) => parent_id ?? id))];
  }

  async ordersTouchedBetween(from: Date, to: Date): Promise<boolean> {
    return [...this.orders.values()].some(
      ({ created_at, updated_at }) =>
        new Date(created_at ?? 0) < to &&
        new Date(updated_at ?? created_at ?? 0) >= from,
    );
  }

  async recordHistoryStart(metric: HistoryMetric, at: Date): Promise<void> {
    this.historyStart.set(metric, at.toISOString());
  }

  async deliveryShares(range: { from: Date; to: Date }) {
    const days = new Map<string, { fills: number; undelivered: number }>();
    for (const [id, time] of this.activities) {
      const at = Date.parse(time ?? "");
      if (!(at >= +range.from && at < +range.to)) continue;
      const day = newYorkDay(at);
      const { fills, undelivered } = days.get(day) ?? {
        fills: 0,
        undelivered: 0,
      };
      days.set(day, {
        fills: fills + 1,
        undelivered: undelivered + (this.#streamed.has(id) ? 0 : 1),
      });
    }
    return [...days].map(([day, counts]) => ({
      account: "alpha",
      day,
      ...counts,
      share: counts.undelivered / counts.fills,
    }));
  }

  #write(record: AccountRecord): void {
    if (record.kind === "coverage") {
      const fact: CoverageFact = JSON.parse(record.raw);
      this.recorded.push({
        stream: fact.stream,
        state: fact.state,
        from: new Date(fact.from),
        to: new Date(fact.to),
        rows: fact.rows ?? 0,
      });
      return;
    }
    const rows = rowsOfRecord(record);
    for (const order of rows.orders) this.orders.set(order.id, order);
    for (const { id, transaction_time, path } of rows.activities) {
      this.activities.set(id, transaction_time);
      if (path === "stream") this.#streamed.add(id);
    }
  }
}

export interface Script {
  readonly run: AccountRun;
  readonly venue: ScriptedVenue;
  readonly store: MemoryStore;
  readonly queue: BoundedQueue<AccountRecord>;
  readonly clock: { now(): number; ms: number };
}

/** An account whose process started a minute before {@link NOW}. */
export function accountScript(
  settings: Partial<
    Pick<AccountRun, "startedAtMs" | "healing" | "backfillDays">
  > & {
    store?: MemoryStore;
    venue?: ScriptedVenue;
    queueLengthMax?: number;
  } = {},
): Script {
  const {
    store = new MemoryStore(),
    venue = new ScriptedVenue(),
    queueLengthMax = 100_000,
    ...rest
  } = settings;
  const clock = {
    ms: NOW,
    now() {
      return this.ms;
    },
  };
  const account = {
    name: "Alpha",
    slug: "alpha",
    restUrl: "http://venue.test",
    streamUrl: "ws://venue.test/stream",
    keyId: "key",
    secretKey: "secret",
    allowTrading: false,
  };
  const queue = new BoundedQueue<AccountRecord>(queueLengthMax);
  const budget = new RateBudget({ perMinute: 100_000 });
  const run: AccountRun = {
    account,
    budget,
    session: "session-1",
    startedAtMs: NOW - MINUTE,
    rest: createAlpacaRest({
      account,
      budget,
      fetch: venue.fetch,
    }),
    queue,
    store,
    clock,
    dials: new DialSchedule({ baseMs: 1, maxMs: 1 }),
    delivered: new DeliveredMemory(),
    listening: new Notice(),
    healingWanted: new Notice(),
    healing: { intervalMs: 5 * MINUTE, lookbackMs: 2 * MINUTE },
    backfillDays: 10,
    sessions: new SessionBook(),
    board: emptyBoard(),
    ...rest,
  };
  return { run, venue, store, queue, clock };
}

/** Facts in short: `orders healed 13:50:00..13:59:50`, in the order they were committed. */
export function inShort(facts: readonly Fact[]): string[] {
  return facts.map(
    ({ stream, state, from, to }) =>
      `${stream} ${state} ${iso(+from).slice(11, 19)}..${iso(+to).slice(11, 19)}`,
  );
}

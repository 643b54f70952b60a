import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  backfill,
  type BackfillProgress,
} from "../../src/accounts/backfill.ts";
import { type Fact, gaps } from "../../src/accounts/coverage.ts";
import { DAY, HOUR, MINUTE } from "../../src/clock.ts";
import {
  accountScript,
  feeOf,
  fillOf,
  iso,
  NOW,
  orderOf,
  type Script,
  ScriptedVenue,
  uuid,
} from "../support/accountScript.ts";

const never = new AbortController().signal;

async function backfilled(script: Script, untilMs = NOW) {
  const rows = await backfill(script.run, untilMs, never);
  script.store.commit(script.queue);
  return rows;
}

/** A fact with its times as month, day and hour. */
function shown({ stream, state, from, to }: Fact): string {
  const hour = (at: Date) => iso(+at).slice(5, 13);
  return `${stream} ${state} ${hour(from)}..${hour(to)}`;
}

/** Queries of a path, without those that ask where history begins. */
function readings(
  { requests }: ScriptedVenue,
  path: string,
): URLSearchParams[] {
  return requests
    .map((request) => new URL(request, "http://venue.test"))
    .filter(({ pathname }) => pathname === path)
    .map(({ searchParams }) => searchParams)
    .filter((query) => query.has("after") || query.has("after_order_id"));
}

describe("history begins", () => {
  test("a day before the earliest row, and that row's time is recorded", async () => {
    const script = accountScript();
    script.venue.orders.push(
      orderOf(1, NOW - 3 * DAY, { submitted_at: iso(NOW - 2 * DAY) }),
      orderOf(2, NOW - DAY),
    );
    script.venue.activities.push(fillOf(1, NOW - 2 * DAY));
    await backfilled(script);
    expect(Object.fromEntries(script.store.historyStart)).toEqual({
      earliest_order: iso(NOW - 3 * DAY),
      earliest_activity: iso(NOW - 2 * DAY),
    });
    expect(script.store.recorded.map(shown)).toEqual([
      "orders confirmed_empty 09-06T00..09-12T14",
      "orders healed 09-12T14..09-16T14",
      "activities confirmed_empty 09-06T00..09-13T14",
      "activities healed 09-13T14..09-16T14",
    ]);
  });

  test("and that nothing lies before it is confirmed by one reading, once", async () => {
    const { venue, store, ...script } = accountScript();
    venue.orders.push(orderOf(1, NOW - 3 * DAY));
    venue.activities.push(fillOf(1, NOW - 3 * DAY));
    await backfilled({ venue, store, ...script });
    const first = store.recorded.length;

    await backfilled(accountScript({ venue, store }));
    expect(store.recorded.slice(first)).toEqual([]);

    // More days are wanted than the first time: only those are asked for.
    await backfilled(accountScript({ venue, store, backfillDays: 12 }));
    expect(store.recorded.slice(first).map(shown)).toEqual([
      "orders confirmed_empty 09-04T00..09-06T00",
      "activities confirmed_empty 09-04T00..09-06T00",
    ]);
  });

  test("earlier, where a row is booked before the first of the list and settled after it", async () => {
    const script = accountScript();
    const deposit = feeOf(1, NOW - 5 * DAY);
    const settled = iso(NOW - DAY).slice(0, 10);
    script.venue.activities.push(fillOf(2, NOW - 2 * DAY), {
      ...deposit,
      date: settled,
      id: `${settled.replaceAll("-", "")}000000000::${uuid(1)}`,
    });
    expect((await backfilled(script)).activities).toBe(2);
    expect(script.store.recorded.map(shown)).toContain(
      "activities healed 09-06T00..09-13T14",
    );
  });

  test("with a deposit that has no time of day", async () => {
    const script = accountScript();
    const { created_at: _, ...deposit } = feeOf(1, NOW - 4 * DAY);
    script.venue.activities.push(deposit);
    expect(await backfilled(script)).toEqual({ orders: 0, activities: 1 });
    expect(script.store.historyStart.get("earliest_activity")).toBe(
      "2026-09-12T00:00:00.000Z",
    );
  });

  test("with the booking, where the settlement date lies after it", async () => {
    const script = accountScript();
    const booked = NOW - 4 * DAY;
    script.venue.activities.push(
      feeOf(1, booked, { date: iso(booked + 3 * DAY).slice(0, 10) }),
    );
    expect(await backfilled(script)).toEqual({ orders: 0, activities: 1 });
  });

  test("no earlier than the wanted days", async () => {
    const script = accountScript({ backfillDays: 2 });
    script.venue.orders.push(orderOf(1, NOW - 9 * DAY), orderOf(2, NOW - DAY));
    expect((await backfilled(script)).orders).toBe(1);
    expect(script.store.historyStart.get("earliest_order")).toBe(
      iso(NOW - 9 * DAY),
    );
  });

  test.each([{}, { created_at: "long ago", submitted_at: 5 }])(
    "with the wanted days where the earliest row tells no time: %j",
    async (times) => {
      const script = accountScript();
      const odd = {
        ...orderOf(1, NOW - DAY),
        created_at: null,
        submitted_at: null,
        ...times,
      };
      script.venue.interrupt = ({ searchParams }) =>
        searchParams.get("limit") === "1" ? Response.json([odd]) : undefined;
      await backfilled(script);
      expect(script.store.historyStart.size).toBe(0);
      expect(
        gaps(script.store.recorded, "orders", {
          from: NOW - 10 * DAY,
          to: NOW,
        }),
      ).toEqual([]);
    },
  );
});

test("an account without a past is known to be empty, and is not read again", async () => {
  const script = accountScript();
  expect(await backfilled(script)).toEqual({ orders: 0, activities: 0 });
  expect(
    script.store.recorded.map(({ stream, state }) => `${stream} ${state}`),
  ).toEqual(["orders confirmed_empty", "activities confirmed_empty"]);
  script.venue.requests.length = 0;
  await backfilled(script);
  expect(readings(script.venue, "/v2/orders")).toEqual([]);
});

test("orders and activities go each by their own facts", async () => {
  const script = accountScript();
  script.venue.orders.push(orderOf(1, NOW - 3 * DAY));
  script.venue.activities.push(fillOf(1, NOW - 3 * DAY));
  script.store.recorded.push({
    stream: "orders",
    state: "healed",
    from: new Date(NOW - 11 * DAY),
    to: new Date(NOW),
    rows: 1,
  });
  expect(await backfilled(script)).toEqual({ orders: 0, activities: 1 });
  expect(readings(script.venue, "/v2/orders")).toEqual([]);
});

test("after a start no time of the wanted days is unknown", async () => {
  const script = accountScript();
  script.venue.orders.push(orderOf(1, NOW - 3 * DAY));
  script.venue.activities.push(fillOf(1, NOW - 2 * DAY));
  await backfilled(script);
  const wanted = { from: NOW - 10 * DAY, to: NOW };
  expect([
    gaps(script.store.recorded, "orders", wanted),
    gaps(script.store.recorded, "activities", wanted),
  ]).toEqual([[], []]);
});

test("after a downtime the hole is read, and before it what healing would have looked at again", async () => {
  const script = accountScript();
  script.venue.orders.push(orderOf(1, NOW - 3 * DAY));
  await backfilled(script);
  script.venue.requests.length = 0;
  script.venue.orders.push(orderOf(2, NOW + HOUR));
  expect((await backfilled(script, NOW + 2 * HOUR)).orders).toBe(1);
  const [hole] = readings(script.venue, "/v2/orders");
  expect(hole?.get("after")).toBe(iso(NOW - 2 * MINUTE - 1));
  expect(hole?.get("until")).toBe(iso(NOW + 2 * HOUR));
});

test("an order that was busted in a downtime, after its end had been read, is right after it", async () => {
  const script = accountScript();
  const filled = orderOf(1, NOW - MINUTE, {
    status: "filled",
    filled_qty: "10",
  });
  script.venue.orders.push(filled);
  await backfilled(script);
  script.venue.orders = [
    { ...filled, filled_qty: "4", updated_at: iso(NOW + HOUR) },
  ];
  await backfilled(script, NOW + 2 * HOUR);
  expect(script.store.orders.get(filled.id)).toMatchObject({
    status: "filled",
    filled_qty: "4",
  });
});

test("a row that appears under a time that was read already is found at the next start", async () => {
  const script = accountScript();
  script.venue.activities.push(feeOf(1, NOW - 5 * DAY));
  await backfilled(script);
  script.venue.activities.push(feeOf(2, NOW - HOUR));
  expect((await backfilled(script, NOW + 3 * DAY)).activities).toBe(1);
  expect(script.store.activities.size).toBe(2);
});

/** Six orders an hour and a fill each, for six days. */
function sixDays(): ScriptedVenue {
  const venue = new ScriptedVenue();
  for (let number = 0; number < 860; number++) {
    const at = NOW - 6 * DAY + number * 10 * MINUTE;
    venue.orders.push(orderOf(number, at));
    venue.activities.push(fillOf(number, at));
  }
  return venue;
}

test("progress rises from stream to stream and ends with the whole", async () => {
  const { run, store } = accountScript({ venue: sixDays() });
  for (const stream of ["orders", "activities"] as const)
    store.recorded.push({
      stream,
      state: "healed",
      from: new Date(NOW - 2 * DAY - 1),
      to: new Date(NOW - 2 * DAY),
      rows: 0,
    });
  const told: BackfillProgress[] = [];
  await backfill(run, NOW, never, (progress) => told.push(progress));
  for (const stream of ["orders", "activities"] as const) {
    const shares = told.filter((each) => each.stream === stream);
    expect(shares.length).toBeGreaterThan(2);
    expect(shares.map(({ done }) => done)).toEqual(
      shares.map(({ done }) => done).toSorted((a, b) => a - b),
    );
    expect(shares.at(-1)?.done).toBe(1);
  }
});

test("killed again and again, in the middle of a page or between two, it ends with everything", async () => {
  const venue = sixDays();
  const life = fc.record({
    committed: fc.integer({ min: 0, max: 900 }),
    requests: fc.integer({ min: 0, max: 10 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(life, { maxLength: 4 }), async (lives) => {
      const { store } = accountScript();
      for (const { committed, requests } of lives) {
        const script = accountScript({ venue, store });
        const kill = new AbortController();
        let asked = 0;
        venue.interrupt = () => {
          if (++asked > requests) kill.abort(new Error("killed"));
          return undefined;
        };
        await backfill(script.run, NOW, kill.signal).catch(() => {});
        store.commit(script.queue, committed);
      }
      venue.interrupt = () => undefined;
      const last = accountScript({ venue, store });
      await backfilled(last);
      expect(store.orders.size).toBe(860);
      expect(store.activities.size).toBe(860);
    }),
    { numRuns: 25 },
  );
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { gaps } from "../../src/accounts/coverage.ts";
import { type PastStream, readBack } from "../../src/accounts/readBack.ts";
import { DAY, HOUR, MINUTE } from "../../src/clock.ts";
import { VenueError } from "../../src/errors.ts";
import {
  accountScript,
  feeOf,
  fillOf,
  inShort,
  iso,
  NOW,
  orderOf,
  type Script,
  ScriptedVenue,
} from "../support/accountScript.ts";

const INTERVAL = { from: NOW - 2 * DAY, to: NOW };
const never = new AbortController().signal;

function read(
  { run }: Script,
  stream: PastStream,
  interval = INTERVAL,
  signal = never,
) {
  return readBack(run, stream, interval, { priority: "backfill", signal });
}

/** Fills all through two days, some of them in one millisecond, and rows booked just after midnight UTC. */
function busyVenue(): ScriptedVenue {
  const venue = new ScriptedVenue();
  const step = (2 * DAY) / 450;
  for (let number = 0; number < 440; number++) {
    const at = INTERVAL.from + 1 + Math.floor(step * (number - (number % 3)));
    venue.activities.push(fillOf(number, at));
  }
  const midnight = Date.parse("2026-09-15T00:00:00Z");
  for (let number = 500; number < 520; number++)
    venue.activities.push(
      feeOf(number, midnight + (number - 499) * 7 * MINUTE),
    );
  for (let number = 0; number < 1300; number++) {
    const at = INTERVAL.from + 1 + Math.floor(number / 5) * 100_000;
    venue.orders.push(orderOf(number, at));
  }
  return venue;
}

test("each fact travels behind the rows it vouches for", async () => {
  const script = accountScript({ venue: busyVenue() });
  expect(await read(script, "activities")).toBe(460);
  const handedOut = new Set<unknown>();
  const facts: string[] = [];
  for (const { kind, raw } of script.queue.takeUpTo(10_000)) {
    const record = JSON.parse(raw);
    if (kind === "activity") handedOut.add(record.id);
    else {
      facts.push(`${record.from}..${record.to}`);
      const late = script.venue.activities.filter(
        (row) =>
          String(row["created_at"] ?? row["transaction_time"]) < record.to &&
          !handedOut.has(row["id"]),
      );
      expect(late).toEqual([]);
    }
  }
  expect(facts.length).toBeGreaterThan(2);
  expect(facts[0]).toStartWith(iso(INTERVAL.from));
  expect(facts.at(-1)).toEndWith(iso(INTERVAL.to));
});

test.each([
  ["orders", INTERVAL.to],
  ["activities", INTERVAL.to],
  // The second page is asked for by id and reaches beyond the interval.
  ["orders", INTERVAL.from + 4 * HOUR],
] as const)(
  "facts of %s up to %d continue each other, and their rows add up",
  async (stream, to) => {
    const script = accountScript({ venue: busyVenue() });
    const rows = await read(script, stream, { from: INTERVAL.from, to });
    script.store.commit(script.queue);
    const { recorded } = script.store;
    let reached = INTERVAL.from;
    for (const fact of recorded) {
      expect(fact.state).toBe("healed");
      expect(+fact.from).toBe(reached);
      expect(+fact.to).toBeGreaterThan(reached);
      reached = +fact.to;
    }
    expect(reached).toBe(to);
    expect(recorded.reduce((sum, fact) => sum + fact.rows, 0)).toBe(rows);
  },
);

test("where there is nothing, that is what is recorded", async () => {
  const script = accountScript();
  expect(await read(script, "orders", { from: NOW - HOUR, to: NOW })).toBe(0);
  script.store.commit(script.queue);
  expect(inShort(script.store.recorded)).toEqual([
    "orders confirmed_empty 13:00:00..14:00:00",
  ]);
});

test("both ends: the first instant belongs to the interval, the last does not", async () => {
  const script = accountScript();
  for (const [number, at] of [
    NOW - HOUR - 1,
    NOW - HOUR,
    NOW - 1,
    NOW,
  ].entries())
    script.venue.activities.push(fillOf(number, at));
  expect(await read(script, "activities", { from: NOW - HOUR, to: NOW })).toBe(
    2,
  );
});

test("a row that is no object is handed on as it stands", async () => {
  const script = accountScript();
  script.venue.interrupt = () => new Response('[17, {"id": 1.50}]');
  await read(script, "activities");
  expect(
    script.queue.takeUpTo(2).map(({ kind, raw }) => ({ kind, raw })),
  ).toEqual([
    { kind: "activity", raw: "17" },
    { kind: "activity", raw: '{"id": 1.50}' },
  ]);
});

test("a page that the venue refuses ends the reading; what came before is kept", async () => {
  const script = accountScript({ venue: busyVenue() });
  script.venue.interrupt = () =>
    script.venue.requests.length > 3
      ? Response.json({ message: "no" }, { status: 422 })
      : undefined;
  const failure = await read(script, "activities").catch((error) => error);
  expect(failure).toBeInstanceOf(VenueError);
  script.store.commit(script.queue);
  expect(script.store.activities.size).toBeGreaterThan(200);
  const [missing] = gaps(script.store.recorded, "activities", INTERVAL);
  expect(missing?.to).toBe(INTERVAL.to);
  expect(missing?.from).toBeGreaterThan(INTERVAL.from);
});

describe("killed anywhere, and gone on with behind the last fact", () => {
  async function readInTwoLives(
    stream: PastStream,
    venue: ScriptedVenue,
    { committed, requests }: { committed: number; requests: number },
  ) {
    const first = accountScript({ venue });
    const kill = new AbortController();
    let asked = 0;
    venue.interrupt = () => {
      if (++asked > requests) kill.abort(new Error("killed"));
      return undefined;
    };
    await read(first, stream, INTERVAL, kill.signal).catch(() => {});
    first.store.commit(first.queue, committed);
    venue.interrupt = () => undefined;

    const second = accountScript({ venue, store: first.store });
    for (const gap of gaps(first.store.recorded, stream, INTERVAL))
      await read(second, stream, gap);
    second.store.commit(second.queue);
    return second.store;
  }

  const lives = (records: number) =>
    fc.record({
      committed: fc.integer({ min: 0, max: records }),
      requests: fc.integer({ min: 0, max: 8 }),
    });

  test("no activity is lost, be it of one millisecond or booked after midnight UTC", async () => {
    const venue = busyVenue();
    const all = venue.activities.map(({ id }) => String(id)).sort();
    await fc.assert(
      fc.asyncProperty(lives(470), async (life) => {
        const store = await readInTwoLives("activities", venue, life);
        expect([...store.activities.keys()].sort()).toEqual(all);
        expect(gaps(store.recorded, "activities", INTERVAL)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test("no order is lost", async () => {
    const venue = busyVenue();
    await fc.assert(
      fc.asyncProperty(lives(1310), async (life) => {
        const store = await readInTwoLives("orders", venue, life);
        expect(store.orders.size).toBe(1300);
        expect(gaps(store.recorded, "orders", INTERVAL)).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });
});

describe("memory", () => {
  test("no page is asked for before the last one has found room", async () => {
    const script = accountScript({ venue: busyVenue(), queueLengthMax: 40 });
    const reading = read(script, "activities");
    let taken = 0;
    let longest = 0;
    for (let turn = 0; taken < 460; turn++) {
      await Bun.sleep(0);
      longest = Math.max(longest, script.queue.length);
      // Pages overlap at their seams, so they bring a little less than a hundred each.
      expect(script.venue.requests.length).toBeLessThanOrEqual(
        2 + Math.floor((taken + longest) / 80),
      );
      taken += script.store
        .commit(script.queue, 10)
        .filter(({ kind }) => kind === "activity").length;
      if (turn > 10_000) throw new Error("the reading stands still");
    }
    script.store.commit(script.queue);
    expect(await reading).toBe(460);
    expect(longest).toBe(30);
  });

  test("a reading that waits for room is given up when it is told to stop", async () => {
    const script = accountScript({ venue: busyVenue(), queueLengthMax: 40 });
    const stop = new AbortController();
    const reading = read(script, "activities", INTERVAL, stop.signal);
    while (script.queue.length < 30) await Bun.sleep(0);
    stop.abort(new Error("stopped"));
    expect(await reading.catch(String)).toBe("Error: stopped");
    expect(script.venue.requests).toHaveLength(1);
  });
});

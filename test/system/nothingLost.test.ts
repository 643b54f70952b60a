/**
 * Whatever fails, orders and activities equal the venue's books afterwards,
 * nothing is there twice, and events that REST cannot give back lie where the
 * stream does not count as live. All of it at once, since most of it is waiting.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { MINUTE, SECOND, sleep } from "../../src/clock.ts";
import type { Fault } from "../../src/venues/simulated/faults.ts";
import { type Market, tradeAtOnce, tradeBriskly } from "../support/market.ts";
import {
  openScene,
  openSceneWithServer,
  type Scene,
} from "../support/scene.ts";
import { runProgram, type Service, until } from "../support/service.ts";

/** A refused key is the subject of accounts.test.ts: it is asked again only after minutes. */
const FAULTS: Readonly<Record<string, readonly Fault[]>> = {
  dropped: [{ kind: "drop" }],
  half_open: [{ kind: "half-open" }],
  mute: [{ kind: "mute" }],
  losing: [{ kind: "lose", chance: 0.3 }],
  late: [{ kind: "delay", byMs: 1500 }],
  doubled: [{ kind: "duplicate" }],
  reordered: [{ kind: "reorder" }],
  unreadable: [{ kind: "malformed", count: 7 }],
  empty: [{ kind: "data-null" }],
  stray_byte: [{ kind: "stray-byte" }],
  unknown_word: [{ kind: "unknown-event" }],
  bare: [{ kind: "bare" }],
  venue_error: [{ kind: "action-error" }],
  withdrawn: [{ kind: "withdrawn" }],
  not_granted: [{ kind: "partial-grant", count: 3 }, { kind: "drop" }],
  too_many: [{ kind: "upgrade-429", count: 2 }, { kind: "drop" }],
  not_answered: [{ kind: "no-answer", count: 1 }, { kind: "drop" }],
  slot_held: [{ kind: "slot-held", byMs: 2000 }, { kind: "drop" }],
  slot_taken: [{ kind: "upgrade-406", count: 2 }, { kind: "drop" }],
  throttled: [
    { kind: "rest-429", count: 2 },
    { kind: "rest-429", retryAfterS: 1, count: 2 },
  ],
  broken_gateway: [{ kind: "rest-500", count: 4 }],
  slow: [{ kind: "rest-latency", byMs: 400 }],
  cut_short: [{ kind: "rest-cut", count: 4 }],
  lossy_seams: [{ kind: "seam-loss" }],
  whole_days: [{ kind: "date-whole" }],
  rest_behind: [{ kind: "fill-lag", byMs: 4000 }],
};
const NAMES = Object.keys(FAULTS);
/** Those of REST have their effect on the past as well, so they are there before the service. */
const AT_REST = NAMES.slice(NAMES.indexOf("throttled"));

/** What is kept of it in memory when the disk takes no more. */
const QUEUE_LENGTH_MAX = 10_000;

test.concurrent(
  "every fault there is, and the whole venue away for a moment: each account equals its books, and no event is lost where the stream counts as live",
  async () => {
    await using scene = await openScene(NAMES);
    const { market } = scene;
    for (const name of NAMES) tradeAtOnce(market, name, 4);
    for (const name of AT_REST) tradeAtOnce(market, name, 120);
    inject(scene, AT_REST);
    const service = await scene.start({
      environment: { RECONNECT_BACKOFF_BASE_S: "0.2" },
    });
    await allStream(service);
    await using stack = new AsyncDisposableStack();
    const tradings = new Map(
      NAMES.map((name) => {
        const pace = { lanes: 1, pauseMsMax: 200 };
        return [name, stack.use(tradeBriskly(market, name, pace))];
      }),
    );

    market.venue.inject({ kind: "outage", forMs: 1500 });
    await service.until("no stream", async () => {
      const { accounts } = await service.status();
      return accounts.every(({ state }) => state !== "streaming");
    });
    await allStream(service);
    inject(scene, NAMES);
    await sleep(10 * SECOND);
    market.venue.clear();

    // What a stream kept to itself is found by holding it against the newest that REST shows.
    for (const name of ["mute", "losing"]) await tradings.get(name)?.stop();
    for (const name of ["mute", "losing"])
      await service.logged(
        "actor_state_changed",
        { actor: `pipeline/accounts/account/${name}/stream`, state: "deaf" },
        120 * SECOND,
      );
    await allStream(service);
    for (const trading of tradings.values()) await trading.stop();
    await scene.equalsBooks();

    expect((await scene.events()).amiss).toEqual([]);
    const letters = await scene.sql`
      select account, kind, count(*)::int as letters from feedkeeper.dead_letters group by 1, 2`;
    expect([...letters]).toEqual([
      { account: "unreadable", kind: "malformed", letters: 7 },
    ]);
    const { sinks } = await service.status();
    expect(sinks).toMatchObject([{ state: "direct", spooled: 0 }]);
    expect((await service.stop()).code).toBe(0);
  },
  3 * MINUTE,
);

test.concurrent(
  "killed during the backfill and twice while streaming: the next start makes the store equal the books",
  async () => {
    await using scene = await openScene(["alpha"]);
    const { market, sql } = scene;
    // More pages than the budget gives in one go, so that the backfill takes a while.
    market.venue.exchange.seedActivities("alpha", 3500);
    const environment = { BACKFILL_DAYS: "365" };
    const directory = scene.directory();
    await using trading = tradeBriskly(market, "alpha");

    const first = await scene.start({ directory, environment });
    await first.until("a part of the past", async () => {
      const [count] = await sql`
        select count(*)::int as rows from account_activities.raw_activities_alpha`;
      return count?.["rows"] > 500;
    });
    await first.kill();
    const { activities } = market.venue.exchange.books.counts("alpha");
    const [kept] = await sql<[{ rows: number }]>`
      select count(*)::int as rows from account_activities.raw_activities_alpha`;
    expect(kept.rows).toBeLessThan(activities);

    // Instants that mean nothing to it.
    for (const aliveMs of [2100, 1300]) {
      const service = await scene.start({ directory, environment });
      await service.until(
        "a live stream",
        async () => (await service.stateOf("alpha")) === "streaming",
      );
      await sleep(aliveMs);
      await service.kill();
      await sleep(300);
    }
    const last = await scene.start({ directory, environment });
    await last.ready();
    await trading.stop();
    await scene.equalsBooks();

    const { lost, amiss } = await scene.events();
    expect(amiss).toEqual([]);
    // All before the first start, and those of the moments between two runs.
    expect(lost).toBeGreaterThan(0);
    expect(await last.stop()).toMatchObject({
      code: 0,
      receipt: { undelivered: 0 },
    });
  },
  2 * MINUTE,
);

test.concurrent(
  "killed during the replay of the spool: the next start goes on with it, and nothing is doubled",
  async () => {
    await using scene = await openSceneWithServer(["alpha"]);
    const { market, sql, server } = scene;
    const desk = market.venue.exchange.desk("alpha");
    const directory = scene.directory();
    const request = {
      symbol: "SPY",
      side: "buy",
      type: "limit",
      qty: "5",
    } as const;
    const order = desk.submit(request);
    desk.accept(order);
    const service = await scene.start({ directory });
    await service.ready();
    await scene.equalsBooks();

    await server.stop();
    tradeAtOnce(market, "alpha", 250);
    desk.end(order, "canceled");
    tradeAtOnce(market, "alpha", 250, 2);
    const spooled = async () => (await service.status()).sinks[0]?.spooled ?? 0;
    await service.until(
      "everything on the disk",
      async () => (await spooled()) > 1500,
    );
    const peak = await spooled();

    // The order in the middle is held fast before the service learns that the server is back.
    service.signal("SIGSTOP");
    await server.start();
    await using stack = new AsyncDisposableStack();
    const holder = stack.adopt(await sql.reserve(), async (each) => {
      await each`rollback`;
      each.release();
    });
    await holder`begin`;
    await holder`select 1 from account_activities.raw_orders_alpha where id = ${order.id} for update`;
    service.signal("SIGCONT");
    await until("a replay that waits", async () => {
      const [waiting] = await sql`
        select count(*)::int as sessions from pg_stat_activity where wait_event_type = 'Lock'`;
      return waiting?.["sessions"] > 0;
    });
    const left = await spooled();
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(peak);
    await service.kill();
    await stack.disposeAsync();

    const { stdout } = await runProgram(["spool", "verify", "--json"], {
      FEEDKEEPER_DIR: directory,
    });
    expect(JSON.parse(stdout)).toEqual({ records: left, problems: [] });
    const next = await scene.start({ directory });
    await next.ready();
    await scene.equalsBooks();
    expect((await scene.events()).amiss).toEqual([]);
    expect((await next.status()).spool.records).toBe(0);
  },
  2 * MINUTE,
);

test.concurrent(
  "away at the start and again in between: not ready within 30 s, everything on the disk, equal to the books when it is back",
  async () => {
    await using scene = await openSceneWithServer(["alpha", "beta"]);
    const { market, server } = scene;
    await server.stop();
    await using _alpha = tradeBriskly(market, "alpha");
    await using _beta = tradeBriskly(market, "beta");

    const service = await scene.start();
    await service.until(
      "events on the disk",
      async () => (await service.status()).spool.records > 20,
    );
    expect((await service.answer("/health/ready")).status).toBe(503);
    expect((await service.answer("/health/live")).status).toBe(200);
    await server.start();
    await service.ready();

    await server.stop();
    const stoppedMs = Date.now();
    await service.until(
      "503",
      async () => (await service.answer("/health/ready")).status === 503,
      30 * SECOND,
    );
    // Not at once: a store that comes back within its grace took nothing out of service.
    expect(Date.now() - stoppedMs).toBeGreaterThan(9 * SECOND);
    const { checks } = await service.health();
    expect(checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: "postgres", required: true, state: "down" },
    ]);
    await server.start();
    await service.ready();
    await Promise.all([_alpha.stop(), _beta.stop()]);
    await scene.equalsBooks();

    expect((await scene.events()).amiss).toEqual([]);
    expect((await service.status()).spool.records).toBe(0);
    expect(await service.stop()).toMatchObject({
      code: 0,
      receipt: { undelivered: 0 },
    });
  },
  2 * MINUTE,
);

test.concurrent(
  "stopped while it is away: the receipt says what is kept where, the exit code is 3, and the next start delivers it",
  async () => {
    await using scene = await openSceneWithServer(["alpha"]);
    const { market, server } = scene;
    const directory = scene.directory();
    const first = await scene.start({ directory });
    await first.ready();
    await scene.equalsBooks();
    await server.stop();
    tradeAtOnce(market, "alpha", 60);
    const { events } = market.venue.exchange.books.counts("alpha");
    let before = 0;
    await first.until("all events are on the disk", async () => {
      const { records } = (await first.status()).spool;
      const isStill = records === before;
      before = records;
      return isStill && records >= events;
    });

    const { code, receipt, tookMs } = await first.stop();
    expect(code).toBe(3);
    expect(tookMs).toBeLessThan(10 * SECOND);
    expect(receipt).toMatchObject({
      level: "WARN",
      delivered: { events: 0 },
      kept_in: join(directory, "spool.sqlite"),
      kept: receipt["undelivered"],
    });
    expect(receipt).not.toHaveProperty("lost");
    const { stdout } = await runProgram(["spool", "status", "--json"], {
      FEEDKEEPER_DIR: directory,
    });
    expect(JSON.parse(stdout)).toMatchObject({ records: receipt["kept"] });

    await server.start();
    const next = await scene.start({ directory });
    await next.ready();
    await scene.equalsBooks();
    expect(await scene.events()).toEqual({ lost: 0, amiss: [] });
    expect(events).toBeGreaterThan(100);
    expect((await next.stop()).code).toBe(0);
  },
  2 * MINUTE,
);

test.concurrent(
  "a full disk while the database is away: it says so, takes no more, drops nothing, and goes on when there is room",
  async () => {
    await using scene = await openSceneWithServer(["alpha"]);
    const { market, server } = scene;
    const service = await scene.start({ fileBytesMax: 1_000_000 });
    await service.ready();
    await server.stop();

    await talkUntil(
      market,
      "the disk is full",
      async () => (await service.status()).spool.full,
    );
    await service.until("it is said", async () => {
      const { checks } = await service.health();
      return checks.some(
        ({ name, state }) => name === "spool" && state === "full",
      );
    });
    await talkUntil(
      market,
      "nothing more is taken",
      async () => (await service.stateOf("alpha")) === "held",
    );
    const { sinks, spool } = await service.status();
    expect(sinks[0]).toMatchObject({ state: "full" });
    expect(sinks[0]?.queued).toBeGreaterThanOrEqual(QUEUE_LENGTH_MAX);
    expect(spool.records).toBeGreaterThan(100);
    const taken = spool.records + (sinks[0]?.queued ?? 0);
    tradeAtOnce(market, "alpha", 20);

    await server.start();
    await service.ready();
    await scene.equalsBooks();
    const { lost, amiss } = await scene.events();
    expect(amiss).toEqual([]);
    const { events } = market.venue.exchange.books.counts("alpha");
    // A few of what was taken were pongs.
    expect(events - lost).toBeGreaterThan(taken - 10);
    expect((await service.stop()).code).toBe(0);
  },
  2 * MINUTE,
);

function inject({ market }: Scene, names: readonly string[]): void {
  for (const account of names)
    for (const fault of FAULTS[account] ?? [])
      // An upgrade tells no account: whoever dials next is turned away.
      market.venue.inject(
        fault.kind.startsWith("upgrade") ? fault : { ...fault, account },
      );
}

function allStream(service: Service): Promise<void> {
  return service.until("a live stream of every account", async () => {
    const { accounts } = await service.status();
    return accounts.every(({ state }) => state === "streaming");
  });
}

/** Many events and few rows: one order, put on hold and let go again. */
async function talkUntil(
  market: Market,
  what: string,
  condition: () => Promise<boolean>,
): Promise<void> {
  const desk = market.venue.exchange.desk("alpha");
  const order = desk.submit({
    symbol: "SPY",
    side: "buy",
    type: "limit",
    qty: "5",
  });
  desk.accept(order);
  for (let said = 0; said < 30_000; said += 200) {
    for (let word = 0; word < 100; word++) {
      desk.say(order, "suspended");
      desk.say(order, "new");
    }
    if (await condition()) return;
    await sleep(10);
  }
  throw new Error(`not after 30,000 events: ${what}`);
}

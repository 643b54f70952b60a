import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createServer } from "node:net";
import { createActor } from "xstate";
import {
  subscriptions,
  type SubscriptionsInput,
} from "../../../actors/control/subscriptions.ts";
import { reportOf, stateOf } from "../../../actors/supervision/state.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { SubscriptionBook } from "../../../src/feeds/subscriptions.ts";
import { Notice } from "../../../src/flow/notice.ts";
import { createLogger } from "../../../src/log.ts";
import {
  openRedisDoor,
  redisClient,
  redisUrl,
  until,
} from "../../support/redis.ts";
import type { Door } from "../../support/door.ts";
import { untilAsync } from "../../support/until.ts";

const UPDATES = "system:subscription_updates";
const SETS = ["active_subscriptions:stock", "active_subscriptions:crypto"];
const BACKOFF = { baseMs: 20, maxMs: 100 };

let redis: Awaited<ReturnType<typeof redisClient>>;
let door: Door;

beforeEach(async () => {
  redis = await redisClient();
  door = await openRedisDoor();
  await redis.del(...SETS);
});
afterEach(async () => {
  jest.useRealTimers();
  await redis.del(...SETS);
  redis.disconnect();
  await door[Symbol.asyncDispose]();
});

/** The actor at the door, with AAPL and BTC/USD for defaults. */
function start(settings: Partial<SubscriptionsInput> = {}) {
  const book = new SubscriptionBook({ stock: ["AAPL"], crypto: ["BTC/USD"] });
  const changed = new Notice();
  const lines: Record<string, unknown>[] = [];
  const errors: unknown[] = [];
  const log = createLogger({
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  });
  const input = { url: door.url, book, changed, backoff: BACKOFF, log };
  const actor = createActor(subscriptions, {
    input: { ...input, ...settings },
  });
  const states: string[] = [];
  actor.subscribe({
    next: () => {
      const state = stateOf(actor);
      if (states.at(-1) !== state) states.push(state);
    },
    error: (error) => errors.push(error),
  });
  actor.start();
  return {
    actor,
    book,
    changed,
    states,
    errors,
    wanted: () => [...book.wanted("stock"), ...book.wanted("crypto")],
    /** Lines without time and level. */
    warnings: (): object[] =>
      lines.map(({ time: _time, level, ...line }) => ({ level, ...line })),
    [Symbol.dispose]: () => actor.stop(),
  };
}

async function listening(settings?: Partial<SubscriptionsInput>) {
  const run = start(settings);
  await until(() => stateOf(run.actor) === "listening");
  return run;
}

const tell = (members: object | string) =>
  redis.publish(
    UPDATES,
    typeof members === "string" ? members : JSON.stringify(members),
  );

/** What the gateway of seed 002 does when a session starts, and when it stops as the last of its symbol. */
async function startSession(symbol: string, sessionId: string, type = "stock") {
  await redis.sadd(`active_subscriptions:${type}`, symbol);
  await tell({ action: "subscribe", symbol, type, strategyId: "7", sessionId });
}
async function stopSession(symbol: string, sessionId: string, type = "stock") {
  await redis.srem(`active_subscriptions:${type}`, symbol);
  await tell({ action: "unsubscribe", symbol, type, sessionId });
}

describe("once Redis answers", () => {
  test("what its sets hold is wanted, beside the defaults, and the feeds are told once", async () => {
    await redis.sadd("active_subscriptions:stock", "TSLA", "aapl");
    await redis.sadd("active_subscriptions:crypto", "ETHUSD");
    using run = await listening();
    expect(run.wanted()).toEqual(["AAPL", "TSLA", "BTC/USD", "ETH/USD"]);
    expect(run.changed.raised).toBe(1);
    expect(run.states).toEqual([
      "running",
      "waiting",
      "connecting",
      "listening",
    ]);
    expect(reportOf(run.actor)).toEqual({
      state: "listening",
      stock: 2,
      crypto: 2,
    });
  });

  test("sessions come and go: the symbol is wanted as long as one of them needs it", async () => {
    using run = await listening();
    await startSession("TSLA", "s-1");
    await startSession("TSLA", "s-2");
    await startSession("ETH/USD", "s-2", "crypto");
    await until(() => run.wanted().includes("ETH/USD"));
    expect(run.wanted()).toEqual(["AAPL", "TSLA", "BTC/USD", "ETH/USD"]);
    // The set still has it, as long as s-2 runs.
    await tell({ action: "unsubscribe", symbol: "TSLA", sessionId: "s-1" });
    await stopSession("ETH/USD", "s-2", "crypto");
    await until(() => !run.wanted().includes("ETH/USD"));
    expect(run.wanted()).toEqual(["AAPL", "TSLA", "BTC/USD"]);
    await stopSession("TSLA", "s-2");
    await stopSession("AAPL", "s-9");
    await until(() => !run.wanted().includes("TSLA"));
    expect(run.wanted()).toEqual(["AAPL", "BTC/USD"]);
    expect(run.changed.raised).toBeGreaterThan(3);
    expect(run.warnings()).toEqual([]);
  });

  test.each<[what: string, isInSet: boolean, wanted: string[]]>([
    ["stays while the set has it", true, ["AAPL", "TSLA", "BTC/USD"]],
    ["goes when the set has it no more", false, ["AAPL", "BTC/USD"]],
  ])(
    "a symbol of the set, which a session of another run lets go, %s",
    async (_what, isInSet, wanted) => {
      await redis.sadd("active_subscriptions:stock", "TSLA");
      using run = await listening();
      if (!isInSet) await redis.srem("active_subscriptions:stock", "TSLA");
      await tell({ action: "unsubscribe", symbol: "tsla", sessionId: "old" });
      await tell({ action: "subscribe", symbol: "LAST" });
      await until(() => run.wanted().includes("LAST"));
      expect(run.wanted().filter((symbol) => symbol !== "LAST")).toEqual(
        wanted,
      );
    },
  );

  test("a bad event is one line with its reason, and changes nothing", async () => {
    using run = await listening();
    const bad = [
      "subscribe TSLA",
      '{"action":"buy","symbol":"TSLA"}',
      '{"action":"subscribe","symbol":"  "}',
      '{"action":"subscribe","symbol":"TS LA"}',
      `{"action":"subscribe","symbol":"${"X".repeat(300)}"}`,
    ];
    for (const text of bad) await tell(text);
    await tell({ action: "subscribe", symbol: "LAST" });
    await until(() => run.wanted().includes("LAST"));
    expect(run.wanted()).toEqual(["AAPL", "LAST", "BTC/USD"]);
    expect(run.changed.raised).toBe(1);
    const reasons = [
      "event: no JSON",
      'action: must be "subscribe" or "unsubscribe"',
      "symbol: is blank",
      'symbol: "TS LA" is no stock (AAPL)',
      `symbol: "${"X".repeat(40)}" is no stock (AAPL)`,
    ];
    expect(run.warnings()).toEqual(
      reasons.map((reason, index) => ({
        level: "WARN",
        reason,
        event: bad[index]?.slice(0, 200),
        message: "control_event_refused",
      })),
    );
  });

  test("an event that comes while the sets are read is applied after them", async () => {
    await redis.sadd("active_subscriptions:stock", "TSLA", "NVDA");
    door.hold("smembers");
    using run = start();
    await until(() => run.states.includes("connecting") && door.open === 2);
    // Heard from the moment on in which Redis counts a subscriber.
    await untilAsync(async () => (await redis.publish(UPDATES, "{}")) > 0);
    await tell({ action: "unsubscribe", symbol: "TSLA" });
    await tell({ action: "subscribe", symbol: "MSFT" });
    expect(run.wanted()).toEqual(["AAPL", "BTC/USD"]);
    door.release();
    await until(() => run.wanted().includes("MSFT"));
    expect(run.wanted()).toEqual(["AAPL", "NVDA", "MSFT", "BTC/USD"]);
  });

  test("more events than it holds at a time: those it holds are applied, and it begins anew with the sets", async () => {
    using run = await listening();
    const reports: unknown[] = [];
    run.actor.subscribe(() => reports.push(reportOf(run.actor)?.["lastError"]));
    door.hold("sismember");
    await tell({ action: "unsubscribe", symbol: "TSLA", sessionId: "s-1" });
    await until(() => door.held === 1);
    await redis.sadd("active_subscriptions:stock", "TSLA");
    const pipeline = redis.pipeline();
    for (let n = 0; n <= 50_000; n++)
      pipeline.publish(
        UPDATES,
        JSON.stringify({ action: "subscribe", symbol: `S${n % 10}` }),
      );
    await pipeline.exec();
    await until(() => reports.includes("more than 50000 events wait"));
    door.release();
    await until(() => run.wanted().includes("TSLA"));
    expect(run.wanted()).toHaveLength(13);
    expect(run.warnings()).toEqual([]);
  });

  test("ten thousand symbols at once, in the set and by events", async () => {
    const names = Array.from({ length: 10_000 }, (_, n) => `S${n}`);
    await redis.sadd("active_subscriptions:stock", ...names);
    using run = await listening();
    expect(run.wanted()).toHaveLength(10_002);
    await redis.del(...SETS);
    const pipeline = redis.pipeline();
    for (const symbol of names)
      pipeline.publish(
        UPDATES,
        JSON.stringify({ action: "unsubscribe", symbol, sessionId: "s-1" }),
      );
    await pipeline.exec();
    await until(() => run.wanted().length === 2);
    expect(run.warnings()).toEqual([]);
  });

  test("a key that is no set is said, and the rest goes on", async () => {
    await redis.set("active_subscriptions:stock", "TSLA");
    await redis.sadd("active_subscriptions:crypto", "ETH/USD", "no/such/pair");
    using run = await listening();
    await tell({ action: "subscribe", symbol: "TSLA", sessionId: "s-1" });
    await until(() => run.wanted().includes("TSLA"));
    await tell({ action: "unsubscribe", symbol: "TSLA", sessionId: "s-1" });
    await until(() => !run.wanted().includes("TSLA"));
    expect(run.wanted()).toEqual(["AAPL", "BTC/USD", "ETH/USD"]);
    expect(run.warnings()).toEqual([
      {
        level: "WARN",
        reason:
          "active_subscriptions:stock: WRONGTYPE Operation against a key holding the wrong kind of value",
        message: "active_subscriptions_unreadable",
      },
      {
        level: "WARN",
        count: 1,
        reasons: ['"no/such/pair" is no crypto pair (BTC/USD)'],
        message: "active_subscriptions_refused",
      },
    ]);
  });
});

describe("while Redis is away", () => {
  test("at the start: it is dialled until it answers, and the tree shows why it does not", async () => {
    await redis.sadd("active_subscriptions:stock", "TSLA");
    await door.shut();
    using run = start();
    await until(() => run.states.length > 6);
    expect(run.states.slice(0, 5)).toEqual([
      "running",
      "waiting",
      "connecting",
      "waiting",
      "connecting",
    ]);
    expect(reportOf(run.actor)).toMatchObject({
      stock: 1,
      crypto: 1,
      lastError: expect.stringContaining("ECONNREFUSED"),
    });
    expect(run.wanted()).toEqual(["AAPL", "BTC/USD"]);
    await door.reopen();
    await until(() => stateOf(run.actor) === "listening");
    expect(run.wanted()).toEqual(["AAPL", "TSLA", "BTC/USD"]);
    expect(reportOf(run.actor)).toEqual({
      state: "listening",
      stock: 2,
      crypto: 1,
    });
    expect(run.errors).toEqual([]);
  });

  test("in between: what is wanted stays, and then the sets say what has changed", async () => {
    await redis.sadd("active_subscriptions:stock", "TSLA", "NVDA");
    using run = await listening();
    await tell({ action: "subscribe", symbol: "MSFT", sessionId: "s-1" });
    await until(() => run.wanted().includes("MSFT"));
    await door.shut();
    await until(() => stateOf(run.actor) !== "listening");
    expect(run.wanted()).toEqual(["AAPL", "NVDA", "TSLA", "MSFT", "BTC/USD"]);
    await redis.srem("active_subscriptions:stock", "TSLA");
    await redis.sadd("active_subscriptions:crypto", "SOL/USD");
    const { raised } = run.changed;
    await door.reopen();
    await until(() => stateOf(run.actor) === "listening");
    expect(run.wanted()).toEqual([
      "AAPL",
      "NVDA",
      "MSFT",
      "BTC/USD",
      "SOL/USD",
    ]);
    expect(run.changed.raised).toBe(raised + 1);
    expect(door.open).toBe(2);
  });

  test("while it is asked about a symbol: the symbol stays until the sets can be read", async () => {
    await redis.sadd("active_subscriptions:stock", "TSLA");
    using run = await listening();
    await redis.del(...SETS);
    door.hold("member");
    await tell({ action: "unsubscribe", symbol: "TSLA", sessionId: "s-1" });
    await until(() => door.held === 1);
    door.cut();
    // It is dialled anew, and asks for the sets.
    await until(() => door.held === 1 && run.states.at(-1) === "connecting");
    expect(run.wanted()).toEqual(["AAPL", "TSLA", "BTC/USD"]);
    door.release();
    await until(() => stateOf(run.actor) === "listening");
    expect(run.wanted()).toEqual(["AAPL", "BTC/USD"]);
  });

  test("a wrong password is said in Redis' words", async () => {
    const url = new URL(await redisUrl());
    [url.username, url.password] = ["nobody", "wrong"];
    using run = start({ url: url.href });
    await until(() => run.states.length > 4);
    expect(reportOf(run.actor)).toMatchObject({
      lastError: expect.stringMatching(/^WRONGPASS /),
    });
  });

  test("a peer that takes every connection and hangs up is not hammered", async () => {
    let dials = 0;
    const server = createServer((socket) => {
      dials++;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await until(() => server.listening);
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    jest.useFakeTimers();
    using run = start({
      url: `redis://127.0.0.1:${port}`,
      backoff: { baseMs: SECOND, maxMs: MINUTE },
    });
    for (let passedMs = 0; passedMs < 30_000; passedMs += 250) {
      jest.advanceTimersByTime(250);
      await turn(() => false, 30);
    }
    // 1, 2, 4, 8, 16 s between two dials, each at least half of it.
    expect(dials).toBeGreaterThan(3);
    expect(dials).toBeLessThanOrEqual(6);
    expect(run.errors).toEqual([]);
    server.close();
  });

  test("a Redis that is frozen is found within 75 s", async () => {
    jest.useFakeTimers();
    using run = start();
    jest.advanceTimersByTime(1);
    await turn(() => stateOf(run.actor) === "listening");
    door.mute();
    let passedMs = 0;
    while (stateOf(run.actor) === "listening" && passedMs < 2 * MINUTE) {
      jest.advanceTimersByTime(SECOND);
      passedMs += SECOND;
      await turn(() => stateOf(run.actor) !== "listening", 20);
    }
    expect(passedMs).toBeLessThanOrEqual(75 * SECOND);
    expect(reportOf(run.actor)).toMatchObject({
      lastError: expect.stringMatching(/^no pong: /),
    });
  });
});

describe("shutdown", () => {
  test.each<[state: string, arrange: () => Promise<unknown>]>([
    ["listening", async () => {}],
    ["connecting", async () => door.mute()],
    ["connecting", async () => door.hold("smembers")],
    ["waiting", async () => door.shut()],
  ])("while %s ends it at once and hangs up", async (state, arrange) => {
    await arrange();
    using run = start({ backoff: { baseMs: MINUTE, maxMs: MINUTE } });
    await until(
      () =>
        stateOf(run.actor) === state &&
        (state !== "connecting" || door.open > 0) &&
        (state !== "waiting" || run.states.length > 2),
    );
    const startedAtMs = Date.now();
    run.actor.send({ type: "shutdown" });
    await until(() => stateOf(run.actor) === "finished" && door.open === 0);
    expect(Date.now() - startedAtMs).toBeLessThan(500);
    expect(run.errors).toEqual([]);
  });

  test("in the middle of ten thousand events ends it within its grace", async () => {
    const run = await listening();
    const pipeline = redis.pipeline();
    for (let n = 0; n < 10_000; n++)
      pipeline.publish(
        UPDATES,
        JSON.stringify({ action: "unsubscribe", symbol: "AAPL", sessionId: n }),
      );
    await pipeline.exec();
    run.actor.send({ type: "shutdown" });
    await until(() => stateOf(run.actor) === "finished" && door.open === 0);
  });
});

/** Lets the network speak, without any timer. */
async function turn(isSo: () => boolean, turnsMax = 20_000): Promise<void> {
  for (let turns = 0; turns < turnsMax && !isSo(); turns++)
    await new Promise(setImmediate);
}

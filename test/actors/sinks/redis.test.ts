import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createActor } from "xstate";
import { type Published, redisWriter } from "../../../actors/sinks/redis.ts";
import { sink } from "../../../actors/sinks/sink.ts";
import { reportOf, stateOf } from "../../../actors/supervision/state.ts";
import type { Bar } from "../../../schema/market.ts";
import {
  offerOrSetAside,
  type Outbox,
  undeliveredCount,
} from "../../../src/flow/outbox.ts";
import { BoundedQueue } from "../../../src/flow/queue.ts";
import { openRing } from "../../../src/flow/ring.ts";
import { openSpool, type Spool } from "../../../src/flow/spool.ts";
import { createLogger } from "../../../src/log.ts";
import type { PublishedMessage } from "../../../src/stores/redis/publish.ts";
import {
  hearAll,
  openRedisDoor,
  redisClient,
  until,
} from "../../support/redis.ts";
import type { Door } from "../../support/door.ts";

let directory: string;
let door: Door;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "redis-sink-"));
  door = await openRedisDoor();
});
afterEach(async () => {
  rmSync(directory, { recursive: true });
  await door[Symbol.asyncDispose]();
});

/** The number of a trade is its size. */
const tradeOf = (size: number): PublishedMessage => ({
  kind: "trade",
  symbol: "TEST",
  price: 172.42,
  size,
  timestamp: "2026-09-18T13:30:00.123456789Z",
  receivedAtMs: 1000 + size,
});

const bar: Bar = {
  kind: "bar",
  span: "minute",
  symbol: "TEST",
  open: 1,
  high: 3,
  low: 0.5,
  close: 2,
  volume: 100,
  timestamp: "2026-09-18T13:30:00Z",
  source: "alpaca:iex",
  receivedAtMs: 999,
};

const keeping = () =>
  openSpool<PublishedMessage>({
    path: join(directory, "spool"),
    sinks: ["redis"],
  });

function start(
  settings: { url?: string; spool?: Spool<PublishedMessage> } = {},
) {
  const lines: Record<string, unknown>[] = [];
  const batches: Published[] = [];
  const outbox: Outbox<PublishedMessage> = {
    sink: "redis",
    queue: new BoundedQueue(2000),
    spool: settings.spool ?? keeping(),
    inFlight: [],
  };
  const writer = redisWriter({
    url: settings.url ?? door.url,
    log: createLogger({
      destination: { write: (line) => void lines.push(JSON.parse(line)) },
    }),
    onPublished: (published) => batches.push(published),
  });
  // The logic does not know what it carries; its input does.
  const actor = createActor(sink, { input: { outbox, writer } as never });
  actor.subscribe({ error: () => {} });
  actor.start();
  const sum = (count: (batch: Published) => number) =>
    batches.reduce((total, batch) => total + count(batch), 0);
  return {
    actor,
    outbox,
    batches,
    lines,
    published: () => sum(({ trades, bars }) => trades + bars),
    refused: () => sum(({ refused }) => refused),
    offer: (from: number, to: number) => {
      for (let size = from; size < to; size++)
        if (!offerOrSetAside(outbox, tradeOf(size)))
          throw new Error(`trade ${size} was not taken`);
    },
    [Symbol.dispose]: () => {
      actor.stop();
      outbox.spool.close();
    },
  };
}

const isDirect = (run: { actor: ReturnType<typeof start>["actor"] }) =>
  stateOf(run.actor) === "direct.taking";

const sizes = (heard: readonly string[]) =>
  heard.map((line): number => JSON.parse(line.slice(line.indexOf("{"))).size);

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

test("bars and trades are published in the order they came, and counted", async () => {
  await using ear = await hearAll("market_*:TEST");
  using run = start();
  await until(() => isDirect(run));
  offerOrSetAside(run.outbox, bar);
  run.offer(0, 3);
  await until(() => ear.heard.length === 4 && run.published() === 4);
  expect(ear.heard).toEqual([
    'market_data:TEST {"symbol":"TEST","timeframe":"1m","open":1,"high":3,"low":0.5,"close":2,"volume":100,"timestamp":"2026-09-18T13:30:00.000Z"}',
    ...[0, 1, 2].map(
      (size) =>
        `market_trades:TEST {"symbol":"TEST","price":172.42,"size":${size},"timestamp":"2026-09-18T13:30:00.123Z","tickType":"trade"}`,
    ),
  ]);
  expect(run.batches).toEqual([
    { trades: 3, bars: 1, refused: 0, trigger: "time", receivedAtMs: 999 },
  ]);
});

test("while Redis is away at the start, what is kept waits; then all of it is published in order", async () => {
  await door.shut();
  await using ear = await hearAll("market_trades:TEST");
  using run = start();
  run.offer(0, 5000);
  await until(() => reportOf(run.actor)?.["lastError"] !== undefined);
  expect(stateOf(run.actor)).toBe("spooling");
  expect(reportOf(run.actor)).toMatchObject({
    lastError: expect.stringContaining("ECONNREFUSED"),
  });
  await door.reopen();
  await until(() => ear.heard.length >= 5000 && isDirect(run));
  expect(sizes(ear.heard)).toEqual(range(0, 5000));
  expect(run.published()).toBe(5000);
  expect(reportOf(run.actor)).toEqual({});
});

describe("a connection that breaks in the middle of a burst", () => {
  test("costs nothing when it is kept: only what had no answer may come twice, and what is counted has arrived", async () => {
    await using ear = await hearAll("market_trades:TEST");
    using run = start();
    await until(() => isDirect(run));
    for (let round = 0; round < 2; round++) {
      run.offer(round * 20_000, (round + 1) * 20_000);
      await until(() => run.published() > round * 20_000 + 3000);
      door.cut();
    }
    await until(() => run.published() >= 40_000 && isDirect(run));
    expect(run.published()).toBe(40_000);
    const heard = sizes(ear.heard);
    expect([...new Set(heard)]).toEqual(range(0, 40_000));
    // A pipeline each time at the most.
    expect(heard.length).toBeLessThanOrEqual(40_000 + 2 * 1000);
    expect(undeliveredCount(run.outbox)).toEqual({ memory: 0, disk: 0 });
  }, 30_000);

  test("when it is to drop: published and dropped are the whole, to the trade", async () => {
    const ring = openRing<PublishedMessage>({ lengthMax: 3000 });
    using run = start({ spool: ring });
    await until(() => isDirect(run));
    run.offer(0, 1000);
    await until(() => run.published() === 1000);
    await door.shut();
    run.offer(1000, 31_000);
    expect(ring.dropped).toBeGreaterThan(20_000);
    await door.reopen();
    await until(() => run.published() + ring.dropped >= 31_000);
    expect(run.published() + ring.dropped).toBe(31_000);
    await until(() => isDirect(run));
  }, 30_000);
});

test("a right that is missing costs its own messages: they are counted, and said once", async () => {
  await using admin = await redisClient();
  await admin.acl(
    "SETUSER",
    ...["bars", "on", ">pass", "resetchannels", "&market_data:*"],
    ...["+publish", "+ping", "+hello"],
  );
  await using ear = await hearAll("market_*:TEST");
  const url = new URL(door.url);
  [url.username, url.password] = ["bars", "pass"];
  using run = start({ url: url.href });
  await until(() => isDirect(run));
  run.offer(0, 5);
  offerOrSetAside(run.outbox, bar);
  await until(() => run.published() === 1);
  run.offer(5, 8);
  offerOrSetAside(run.outbox, bar);
  await until(() => run.published() === 2);
  await admin.acl("DELUSER", "bars");
  expect(run.refused()).toBe(8);
  expect(ear.heard.map((line) => line.split(" ")[0])).toEqual([
    "market_data:TEST",
    "market_data:TEST",
  ]);
  expect(run.lines).toEqual([
    expect.objectContaining({
      level: "WARN",
      message: "publications_refused",
      messages: 5,
      reason: expect.stringMatching(/^NOPERM /),
    }),
  ]);
});

test("shutdown publishes what has just come, and hangs up", async () => {
  await using ear = await hearAll("market_trades:TEST");
  using run = start();
  await until(() => isDirect(run));
  run.offer(0, 1500);
  run.actor.send({ type: "shutdown" });
  await until(() => stateOf(run.actor) === "finished" && door.open === 0);
  await until(() => ear.heard.length >= 1500);
  expect(sizes(ear.heard)).toEqual(range(0, 1500));
  expect(run.published()).toBe(1500);
});

/**
 * Trades from a socket to Redis: parsed, normalised, routed, queued and published,
 * against a loop that parses the same frames and publishes the same texts with the
 * same client, and nothing else; then how long a trade takes on its way to a
 * consumer, and what becomes of a burst while Redis stands still. Argument:
 * seconds of the steady flow (600 shows whether memory stays flat).
 */
import { join } from "node:path";
import { createActor } from "xstate";
import { feedLink } from "../../actors/feeds/link.ts";
import { redisWriter } from "../../actors/sinks/redis.ts";
import { sink } from "../../actors/sinks/sink.ts";
import { stateOf } from "../../actors/supervision/state.ts";
import { dial } from "../../actors/sources/socket.ts";
import { SECOND, sleep, systemClock } from "../../src/clock.ts";
import { ActivityMemory } from "../../src/feeds/activity.ts";
import { emptyFeedBoard, type FeedRun } from "../../src/feeds/run.ts";
import { DialSchedule } from "../../src/flow/dials.ts";
import { Notice } from "../../src/flow/notice.ts";
import {
  offerOrSetAside,
  type Outbox,
  undeliveredCount,
} from "../../src/flow/outbox.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";
import { openRing } from "../../src/flow/ring.ts";
import { Router } from "../../src/flow/route.ts";
import { openSpool, type Spool } from "../../src/flow/spool.ts";
import { silentLogger } from "../../src/log.ts";
import { dialControl, dialPublisher } from "../../src/stores/redis/connect.ts";
import {
  isPublished,
  type PublishedMessage,
} from "../../src/stores/redis/publish.ts";
import { alpacaFeed } from "../../src/venues/alpaca/marketData.ts";
import { startRedis } from "../support/redisServer.ts";
import { scratchDirectory } from "./place.ts";
import { compare, type Round, sayTarget, whole } from "./rounds.ts";
import { spawnChild } from "./spawn.ts";
import type { Asked, Report } from "./tradeVenue.ts";

const ROUNDS = 5;
const TRADES = 500_000;
const BATCH_LENGTH = 1000;
/** Trades on their way at most, so that no queue overflows while speed is measured. */
const UNDER_WAY_MAX = 8000;
const QUEUE_LENGTH_MAX = 10_000;
const RING_LENGTH_MAX = 50_000;

const STEADY_PER_SECOND = 20_000;
const STEADY_MS = Number(process.argv[2] ?? 20) * SECOND;
const BURST_PER_SECOND = 100_000;
const PAUSE_MS = 1500;

await using redis = await startRedisHere();
using scratch = scratchDirectory();
await using venue = await spawnChild<Report>("tradeVenue.ts", [redis.url]);
const ask = (asked: Asked) => venue.send(asked);
const url = `ws://127.0.0.1:${venue.told.port}`;

console.log(`redisPublish: ${whole(TRADES)} trades a round`);
await compare({
  title: "redisPublish",
  rounds: ROUNDS,
  ratioMin: 0.8,
  isWarmedUp: true,
  bare: bareRound,
  real: realRound,
});
ask({ do: "hear" });
await venue.next();
await steady();
await burst(
  "keep",
  openSpool({ path: join(scratch.path, "spool"), sinks: ["redis"] }),
);
await burst("drop", openRing({ lengthMax: RING_LENGTH_MAX }));
process.exit(0);

async function bareRound(): Promise<Round> {
  const client = await dialPublisher(redis.url);
  const arrived: (string | Uint8Array)[] = [];
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  const socket = dial(`${url}/v2/iex`, {
    opened() {},
    frame(frame) {
      const text = String(frame);
      if (text.includes('"connected"')) socket.send('{"action":"auth"}');
      else if (text.includes('"authenticated"'))
        socket.send('{"action":"subscribe","trades":["*"]}');
      else if (text.includes('"subscription"')) resolve();
      else arrived.push(frame);
    },
    ponged() {},
    closed() {},
  });
  await listening;

  const startMs = performance.now();
  let published = 0;
  const fed = feed(() => published);
  let batch: Promise<number>[] = [];
  while (published < TRADES) {
    const frames = arrived.splice(0, BATCH_LENGTH / 20);
    if (frames.length === 0) {
      await sleep(0);
      continue;
    }
    for (const frame of frames)
      for (const { S, p, s, t } of JSON.parse(String(frame)))
        batch.push(
          client.publish(
            `market_trades:${S}`,
            `{"symbol":"${S}","price":${p},"size":${s},"timestamp":"${t.slice(0, 23)}Z","tickType":"trade"}`,
          ),
        );
    await Promise.all(batch);
    published += batch.length;
    batch = [];
  }
  const ms = performance.now() - startMs;
  await fed;
  socket.close();
  client.close();
  return { rows: published, ms };
}

async function realRound(): Promise<Round> {
  await using way = await openWay(openRing({ lengthMax: RING_LENGTH_MAX }));
  const startMs = performance.now();
  await feed(() => way.published());
  return { rows: way.published(), ms: performance.now() - startMs };
}

/** Has the venue send everything, as fast as it is published. */
async function feed(published: () => number): Promise<void> {
  let sent = 0;
  while (published() < TRADES) {
    const allowed = Math.min(published() + UNDER_WAY_MAX, TRADES) - sent;
    if (allowed >= BATCH_LENGTH || (allowed > 0 && sent + allowed === TRADES)) {
      ask({ do: "send", count: allowed - (allowed % 20) });
      sent += allowed - (allowed % 20);
    }
    await sleep(1);
  }
}

async function steady(): Promise<void> {
  const count = (STEADY_PER_SECOND * STEADY_MS) / SECOND;
  console.log(
    `redisPublish: ${whole(STEADY_PER_SECOND)} trades a second for ${STEADY_MS / SECOND} s, frame to consumer`,
  );
  await using way = await openWay(openRing({ lengthMax: RING_LENGTH_MAX }));
  const cpu = process.cpuUsage();
  ask({ do: "stream", count, perSecond: STEADY_PER_SECOND });
  const sizes: number[] = [];
  const watching = setInterval(
    () => sizes.push(process.memoryUsage.rss() / 2 ** 20),
    STEADY_MS / 10,
  );
  const { report } = await allHeard(count);
  clearInterval(watching);
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `  p50 ${report.p50Ms.toFixed(2)} ms, p99 ${report.p99Ms.toFixed(2)} ms, max ${report.maxMs.toFixed(1)} ms; ${whole(report.heard)} of ${whole(count)} heard, ${report.overtaken} overtaken`,
  );
  console.log(
    `  ${((user + system) / 10 / STEADY_MS).toFixed(0)} % of a core; memory in MB: ${sizes.map(whole).join(", ")}`,
  );
  sayTarget(
    `p99 ${report.p99Ms.toFixed(2)} ms`,
    "under 5 ms",
    report.p99Ms < 5,
  );
}

/** Five seconds, of which Redis stands still for more than one. */
async function burst(
  policy: "keep" | "drop",
  spool: Spool<PublishedMessage> & { readonly dropped?: number },
): Promise<void> {
  console.log(
    `redisPublish: a burst of ${whole(TRADES)} trades in ${TRADES / BURST_PER_SECOND} s to ${policy}, Redis stands still for ${PAUSE_MS} ms of it`,
  );
  await using way = await openWay(spool);
  using admin = await dialControl(redis.url, AbortSignal.timeout(60 * SECOND));
  ask({ do: "stream", count: TRADES, perSecond: BURST_PER_SECOND });
  await sleep(SECOND);
  await admin.client.client("PAUSE", PAUSE_MS);
  while (way.published() + way.lost() + (spool.dropped ?? 0) < TRADES)
    await sleep(50);
  const dropped = way.lost() + (spool.dropped ?? 0);
  const { report } = await allHeard(TRADES - dropped);
  console.log(
    `  ${whole(way.published())} published, ${whole(dropped)} counted as dropped, ${whole(report.heard)} heard, ${report.overtaken} overtaken, ${undeliveredCount(way.outbox).disk} left`,
  );
  sayTarget(
    `published and dropped are ${whole(way.published() + dropped)}, heard ${whole(report.heard)}`,
    policy === "keep" ? "all published" : "the whole, to the trade",
    way.published() + dropped === TRADES &&
      report.heard === way.published() &&
      report.overtaken === 0 &&
      (policy === "drop" || dropped === 0),
  );
}

/** Waits until the consumer has heard so many, or hears no more. */
async function allHeard(count: number): Promise<{ report: Report }> {
  let report: Report | undefined;
  let heard = 0;
  const worst = { p50Ms: 0, p99Ms: 0, maxMs: 0, overtaken: 0 };
  for (let silent = 0; heard < count && silent < 20;) {
    await sleep(Math.min(STEADY_MS, 20 * SECOND) / 4);
    ask({ do: "report" });
    report = await venue.next();
    silent = report.heard === 0 ? silent + 1 : 0;
    heard += report.heard;
    worst.p50Ms = Math.max(worst.p50Ms, report.p50Ms);
    worst.p99Ms = Math.max(worst.p99Ms, report.p99Ms);
    worst.maxMs = Math.max(worst.maxMs, report.maxMs);
    worst.overtaken += report.overtaken;
  }
  return { report: { port: 0, heard, ...worst } };
}

/** Everything of ours between the socket and Redis. */
async function openWay(spool: Spool<PublishedMessage>) {
  let published = 0;
  let lost = 0;
  const outbox: Outbox<PublishedMessage> = {
    sink: "redis",
    queue: new BoundedQueue(QUEUE_LENGTH_MAX),
    spool,
    inFlight: [],
  };
  const router = new Router([
    {
      sink: "redis",
      takes: isPublished,
      take(message) {
        if (isPublished(message) && !offerOrSetAside(outbox, message)) lost++;
      },
    },
  ]);
  const writer = redisWriter({
    url: redis.url,
    log: silentLogger,
    onPublished: ({ trades }) => void (published += trades),
  });
  // The logic does not know what it carries; its input does.
  const sinkActor = createActor(sink, { input: { outbox, writer } as never });
  sinkActor.start();
  while (stateOf(sinkActor) !== "direct.taking") await sleep(5);
  const run = feedRun((messages) => router.deliver(messages));
  const link = createActor(feedLink, { input: run });
  link.start();
  while (run.board.granted === 0) await sleep(5);
  return {
    outbox,
    published: () => published,
    lost: () => lost,
    async [Symbol.asyncDispose]() {
      link.stop();
      sinkActor.stop();
      spool.close();
      await sleep(100);
    },
  };
}

function feedRun(deliver: FeedRun["deliver"]): FeedRun {
  const wanted = { trades: ["AAPL", "SPY", "QQQ", "TSLA", "NVDA"] };
  return {
    venue: alpacaFeed({
      assetClass: "stock",
      streamUrl: url,
      feed: "iex",
      keyId: "key",
      secretKey: "secret",
      encoding: "json",
      quotes: false,
    }),
    history: undefined,
    session: "bench",
    clock: systemClock,
    dials: new DialSchedule({ baseMs: SECOND, maxMs: SECOND }),
    store: { knownMinutes: async () => new Map() },
    wanted: () => wanted,
    wantedChanged: new Notice(),
    deliver,
    keep: async () => {},
    keepNow: () => {},
    setAside: (raw, reason) => {
      throw new Error(`${reason}: ${raw}`);
    },
    activity: new ActivityMemory(),
    listening: new Notice(),
    healingWanted: new Notice(),
    healingIntervalMs: SECOND,
    board: emptyFeedBoard(),
  };
}

async function startRedisHere() {
  const given = process.env["REDIS_URL"];
  if (given !== undefined && given !== "")
    return { url: given, [Symbol.asyncDispose]: async () => {} };
  const server = await startRedis();
  return { ...server, [Symbol.asyncDispose]: () => server.stop() };
}

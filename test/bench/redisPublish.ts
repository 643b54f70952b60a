/**
 * Trades from a socket to Redis: parsed, normalised, routed, queued and published,
 * against a loop that parses the same frames and publishes the same texts with the
 * same client, and nothing else; then how long a trade takes on its way to a
 * consumer, and what becomes of a burst while Redis stands still. Argument: seconds
 * of a longer flow besides (600 shows whether memory stays flat).
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
import { offerOrSetAside, type Outbox } from "../../src/flow/outbox.ts";
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
import {
  compare,
  hundredths,
  median,
  type Round,
  sayTarget,
  whole,
} from "./rounds.ts";
import { spawnChild } from "./spawn.ts";
import type { Asked, Report } from "./tradeVenue.ts";

const ROUNDS = 9;
const TRADES = 250_000;
const BATCH_LENGTH = 1000;
/** Trades on their way at most, so that no queue overflows while speed is measured. */
const UNDER_WAY_MAX = 8000;
const QUEUE_LENGTH_MAX = 10_000;
const RING_LENGTH_MAX = 50_000;

const BURST = 500_000;
const STEADY_PER_SECOND = 20_000;
const WINDOWS = 3;
const WINDOW_MS = 10 * SECOND;
const LONG_MS = Number(process.argv[2] ?? 0) * SECOND;
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
  bare: () => roundOf(openBare),
  real: () => roundOf(openOurs),
});
ask({ do: "hear" });
await venue.next();
console.log(
  `redisPublish: ${whole(STEADY_PER_SECOND)} trades a second, frame to consumer`,
);
const delaysMs: number[] = [];
for (let window = 0; window < WINDOWS; window++) {
  await steady("bare", openBare, WINDOW_MS);
  delaysMs.push((await steady("real", openOurs, WINDOW_MS)).p99Ms);
}
sayTarget(
  `median of p99 ${hundredths(median(delaysMs))} ms`,
  "under 5 ms",
  median(delaysMs) < 5,
);
if (LONG_MS > 0) await steady("real", openOurs, LONG_MS);
await burst(
  "keep",
  openSpool({ path: join(scratch.path, "spool"), sinks: ["redis"] }),
);
await burst("drop", ring());

async function roundOf(open: () => Promise<Way>): Promise<Round> {
  await using way = await open();
  const startMs = performance.now();
  await feed(way.published);
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

async function steady(
  name: string,
  open: () => Promise<Way>,
  ms: number,
): Promise<Report> {
  const count = (STEADY_PER_SECOND * ms) / SECOND;
  await using _way = await open();
  const cpu = process.cpuUsage();
  ask({ do: "stream", count, perSecond: STEADY_PER_SECOND });
  const megabytes: number[] = [];
  const watching = setInterval(
    () => megabytes.push(process.memoryUsage.rss() / 2 ** 20),
    ms / 5,
  );
  const report = await allHeard(count);
  clearInterval(watching);
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `  ${name}: p50 ${report.p50Ms.toFixed(2)} ms, p99 ${report.p99Ms.toFixed(2)} ms, max ${report.maxMs.toFixed(1)} ms; ${whole(report.heard)} of ${whole(count)} heard, ${report.overtaken} overtaken`,
  );
  console.log(
    `    ${((user + system) / 10 / ms).toFixed(0)} % of a core; memory in MB: ${megabytes.map(whole).join(", ")}`,
  );
  return report;
}

/** Five seconds, of which Redis stands still for more than one. */
async function burst(
  policy: "keep" | "drop",
  spool: Spool<PublishedMessage> & { readonly dropped?: number },
): Promise<void> {
  console.log(
    `redisPublish: a burst of ${whole(BURST)} trades in ${BURST / BURST_PER_SECOND} s to ${policy}, Redis stands still for ${PAUSE_MS} ms of it`,
  );
  await using way = await openWay(spool);
  using admin = await dialControl(redis.url, AbortSignal.timeout(60 * SECOND));
  ask({ do: "stream", count: BURST, perSecond: BURST_PER_SECOND });
  await sleep(SECOND);
  await admin.client.client("PAUSE", PAUSE_MS);
  const dropped = () => way.lost() + (spool.dropped ?? 0);
  while (way.published() + dropped() < BURST) await sleep(50);
  const { heard, overtaken } = await allHeard(way.published());
  console.log(
    `  ${whole(way.published())} published, ${whole(dropped())} counted as dropped, ${whole(heard)} heard, ${overtaken} overtaken`,
  );
  const isWhole = way.published() + dropped() === BURST;
  const isHeard = heard === way.published() && overtaken === 0;
  sayTarget(
    `${whole(way.published() + dropped())} accounted for, ${whole(heard)} heard`,
    policy === "keep" ? "all of them published" : "the whole, to the trade",
    isWhole && isHeard && (policy === "drop" || dropped() === 0),
  );
}

/** Waits until the consumer has heard so many, or hears no more. */
async function allHeard(count: number): Promise<Report> {
  for (let before = 0, silent = 0; ;) {
    await sleep(SECOND);
    ask({ do: "report" });
    const report = await venue.next();
    silent = report.heard === before ? silent + 1 : 0;
    before = report.heard;
    if (report.heard >= count || silent > 10) return report;
  }
}

interface Way extends AsyncDisposable {
  readonly published: () => number;
}

/** Parses and publishes, frame by frame, a thousand trades in a pipeline at the most. */
async function openBare(): Promise<Way> {
  const client = await dialPublisher(redis.url);
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  const waiting: (string | Uint8Array)[] = [];
  let isPublishing = false;
  let published = 0;
  const socket = dial(`${url}/v2/iex`, {
    opened() {},
    frame(frame) {
      waiting.push(frame);
      if (!isPublishing) void publish();
    },
    ponged() {},
    closed() {},
  });

  async function publish(): Promise<void> {
    isPublishing = true;
    while (waiting.length > 0) {
      const batch: Promise<number>[] = [];
      while (waiting.length > 0 && batch.length < BATCH_LENGTH)
        for (const { T, S, p, s, t } of JSON.parse(String(waiting.shift())))
          if (T === "t")
            batch.push(
              client.publish(
                `market_trades:${S}`,
                `{"symbol":"${S}","price":${p},"size":${s},"timestamp":"${t.slice(0, 23)}Z","tickType":"trade"}`,
              ),
            );
          else answer(T);
      await Promise.all(batch);
      published += batch.length;
    }
    isPublishing = false;
  }

  let steps = 0;
  function answer(type: string): void {
    if (type === "subscription") resolve();
    else
      socket.send(
        steps++ === 0
          ? '{"action":"auth"}'
          : '{"action":"subscribe","trades":["*"]}',
      );
  }

  await listening;
  return {
    published: () => published,
    async [Symbol.asyncDispose]() {
      socket.close();
      client.close();
      await sleep(100);
    },
  };
}

function ring() {
  return openRing<PublishedMessage>({ lengthMax: RING_LENGTH_MAX });
}

function openOurs(): Promise<Way> {
  return openWay(ring());
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

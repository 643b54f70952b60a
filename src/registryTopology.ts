/** What outlives every actor on the side of the symbol registry: jobs, streaming symbols, and the way of its messages. */
import type { AssetClass, BarRecord } from "../schema/market.ts";
import type { RegistryMessage } from "../schema/registry.ts";
import { assetClassOf } from "../schema/symbol.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { PolygonAccess } from "./config/market.ts";
import { createFeedRun } from "./feedRun.ts";
import type { FeedRun } from "./feeds/run.ts";
import { Notice } from "./flow/notice.ts";
import { offerOrSetAside, whenKept } from "./flow/outbox.ts";
import type { Logger } from "./log.ts";
import type { MarketTopology } from "./marketTopology.ts";
import type { Metrics } from "./metrics.ts";
import { JobBoard } from "./registry/jobs.ts";
import { fillGaps } from "./registry/gaps.ts";
import { barOf, candleOf } from "./registry/messages.ts";
import type { RegistryRun, StreamSet } from "./registry/run.ts";
import { ScheduleBoard } from "./registry/scheduleBoard.ts";
import type { Refused } from "./stores/kafka/produce.ts";
import type { Database } from "./stores/postgres/database.ts";
import { registryStore } from "./stores/postgres/registryStore.ts";
import { polygonHistory } from "./venues/polygon/history.ts";
import { createPolygonRest, polygonBudget } from "./venues/polygon/rest.ts";
import { polygonFeed } from "./venues/polygon/stream.ts";
import { polygonVenue } from "./venues/polygon/venue.ts";

export interface RegistryTopology {
  readonly database: Database;
  readonly board: JobBoard;
  readonly scheduleBoard: ScheduleBoard;
  readonly streams: Streams;
  /** The feeds of symbols that stream. */
  readonly feeds: readonly FeedRun[];
  readonly backfillDays: number;
  /** Finds missing minutes and reads what the venue has of them. */
  fillGaps(run: RegistryRun, signal: AbortSignal): Promise<void>;
  /** With the log of the process; made once it is there. */
  runWith(log: Logger): RegistryRun;
}

export interface RegistryTopologyInput {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly session: string;
  readonly access: PolygonAccess;
  /** Its store of bars and, with Kafka, its outbox there: where messages go. */
  readonly market: MarketTopology;
}

export function createRegistryTopology(
  input: RegistryTopologyInput,
): RegistryTopology {
  const { config, metrics, session, access, market } = input;
  const { bars, database, kafka } = market;
  const streams = new Streams();
  const board = new JobBoard(() => systemClock.now());
  const rest = createPolygonRest({
    key: access,
    budget: polygonBudget(access),
    onReply: (status) =>
      metrics.venueRequests.inc({
        account: "registry",
        status: status === 0 ? "error" : String(status),
      }),
  });
  const venue = polygonVenue({
    rest,
    files: access.files,
    onMalformed: ({ raw, reason }) => setAside(raw, reason),
  });

  async function publish(
    message: RegistryMessage,
    signal: AbortSignal,
  ): Promise<void> {
    if (kafka !== undefined) return kafka.queue.put(message, signal);
    const record = recordOf(message);
    if (record !== undefined) await bars.queue.put(record, signal);
  }

  async function kept(signal: AbortSignal): Promise<void> {
    if (kafka !== undefined) await whenKept(kafka, signal);
    // What Kafka refuses comes here.
    await whenKept(bars, signal);
  }

  /** The same for the live stream, which cannot wait. */
  function publishNow(message: RegistryMessage): void {
    if (kafka !== undefined) {
      if (!offerOrSetAside(kafka, message)) drop("kafka", message.type);
      return;
    }
    const record = recordOf(message);
    if (record !== undefined) keepNow(record);
  }

  function keepNow(record: BarRecord): void {
    if (!offerOrSetAside(bars, record)) drop("bars", record.kind);
  }

  function drop(sink: "bars" | "kafka", kind: string): void {
    market.dropped[sink]++;
    metrics.sinkDropped.inc({ sink, kind });
  }

  function setAside(raw: string, reason: string): void {
    metrics.deadLetters.inc({ account: "registry" });
    keepNow({
      kind: "malformed",
      feed: venue.source,
      raw,
      reason,
      receivedAtMs: systemClock.now(),
    });
  }

  function createFeed(assetClass: AssetClass): FeedRun {
    const feed = polygonFeed({
      assetClass,
      streamUrl: access.streamUrl,
      apiKey: access.apiKey,
      channels: ["bars"],
    });
    return createFeedRun(
      { config, session, database },
      {
        // The simulated market never rests.
        venue:
          config.venue === "simulated" ? { ...feed, isOpen: () => true } : feed,
        history: polygonHistory({
          rest,
          assetClass,
          onMalformed: ({ raw, reason }) => setAside(raw, reason),
        }),
        wanted: () => ({ bars: streams.of(assetClass) }),
        wantedChanged: streams.changed,
        deliver(messages) {
          for (const message of messages)
            if (message.kind === "bar") publishNow(candleOf(message, "stream"));
        },
        // What was missed goes the way of what is streamed; facts are for the store alone.
        keep: async (record, signal) =>
          record.kind === "bar"
            ? publish(candleOf(record, "stream"), signal)
            : bars.queue.put(record, signal),
        keepNow,
        setAside,
      },
    );
  }

  return {
    database,
    board,
    scheduleBoard: new ScheduleBoard(),
    streams,
    backfillDays: config.backfillDays,
    feeds: [createFeed("stock"), createFeed("crypto")],
    fillGaps: async (run, signal) => fillGaps(run, database, board, signal),
    runWith: (log) => ({
      venue,
      store: registryStore(database, {
        owner: session,
        leaseMs: config.leaseMs,
      }),
      clock: systemClock,
      log,
      leaseMs: config.leaseMs,
      backfillDays: config.backfillDays,
      publish,
      kept: async (_symbol, signal) => kept(signal),
      setAside,
      streams,
      usesKafka: kafka !== undefined,
      usesRedis: config.market.redis !== undefined,
    }),
  };
}

/** What a message is to the store; markers are for whoever reads the topics. */
export function recordOf(message: RegistryMessage): BarRecord | undefined {
  switch (message.type) {
    case "bar":
      return barOf(message, systemClock.now());
    case "snapshot":
      return {
        kind: "snapshot",
        symbol: message.symbol,
        timestamp: message.timestamp,
        data: message.data,
      };
    case "phase":
      return undefined;
    default:
      return message satisfies never;
  }
}

/** What Kafka refuses is stored as it would be without Kafka; a marker, which only readers of topics want, is set aside with the reason. */
export function refusedRecordOf({
  message,
  topic,
  reason,
}: Refused): BarRecord {
  return (
    recordOf(message) ?? {
      kind: "malformed",
      feed: topic,
      raw: JSON.stringify(message),
      reason: `refused by Kafka: ${reason}`,
      receivedAtMs: systemClock.now(),
    }
  );
}

/** The symbols that stream, by class; feeds look here for what they are to subscribe. */
export class Streams implements StreamSet {
  readonly #symbols = new Set<string>();
  readonly changed = new Notice();

  add(symbol: string): void {
    if (this.#symbols.has(symbol)) return;
    this.#symbols.add(symbol);
    this.changed.raise();
  }

  remove(symbol: string): void {
    if (this.#symbols.delete(symbol)) this.changed.raise();
  }

  has(symbol: string): boolean {
    return this.#symbols.has(symbol);
  }

  list(): string[] {
    return [...this.#symbols];
  }

  of(assetClass: "stock" | "crypto"): string[] {
    return this.list().filter((symbol) => assetClassOf(symbol) === assetClass);
  }
}

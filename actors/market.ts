/** The sinks and the control plane of market data, as data: a row a sink. */
import type { BarRecord } from "../schema/market.ts";
import type { RegistryMessage } from "../schema/registry.ts";
import { SECOND } from "../src/clock.ts";
import type { FeedRun } from "../src/feeds/run.ts";
import type { Trigger } from "../src/flow/batch.ts";
import { offerOrSetAside } from "../src/flow/outbox.ts";
import type { Logger } from "../src/log.ts";
import {
  FIRESTORE_LANE,
  type MarketTopology,
  type QuoteLane,
} from "../src/marketTopology.ts";
import { refusedRecordOf } from "../src/registryTopology.ts";
import type { FirestoreAddress, Heartbeat } from "../src/stores/firestore.ts";
import type { BarReceipt } from "../src/stores/postgres/marketStore.ts";
import type { PublishedMessage } from "../src/stores/redis/publish.ts";
import type { Topology } from "../src/topology.ts";
import { heartbeat } from "./control/heartbeat.ts";
import { subscriptions } from "./control/subscriptions.ts";
import { barWriter } from "./sinks/bars.ts";
import { dryRunMarketWriter } from "./sinks/dryRun.ts";
import { quoteSink, type QuoteWriter } from "./sinks/quotes.ts";
import {
  dryRunQuotes,
  firestoreQuotes,
  postgresQuotes,
} from "./sinks/quoteWriters.ts";
import { kafkaWriter } from "./sinks/kafka.ts";
import { redisWriter } from "./sinks/redis.ts";
import { sink, type SinkInput } from "./sinks/sink.ts";
import type { Child } from "./supervision/plan.ts";

export function marketSinks(topology: Topology, log: Logger): Child[] {
  const { market } = topology;
  if (market === undefined) return [];
  return [
    sinkChild("bars", {
      outbox: market.bars,
      writer: topology.config.dryRun
        ? dryRunMarketWriter<BarRecord>("bars", log)
        : barWriter({
            database: market.database,
            log,
            onWritten: (records, receipt, trigger) =>
              countBars(topology, records, receipt, trigger),
          }),
    }),
    ...redisSink(topology, market, log),
    ...kafkaSink(topology, market, log),
    ...market.lanes.map((lane): Child => ({
      id: lane.sink,
      logic: quoteSink,
      input: {
        coalescer: lane.coalescer,
        flushMs: topology.config.market.quotes.flushMs,
        tally: lane.tally,
        writer: quoteWriter(topology, market, lane, log),
      },
      restart: "permanent",
      graceMs: 2 * SECOND,
    })),
  ];
}

/** Who needs which symbols, and whether the service is alive. */
export function marketControl(topology: Topology, log: Logger): Child[] {
  const { market, config } = topology;
  if (market === undefined) return [];
  const { redis, firestore, heartbeatMs, tenant } = config.market;
  return [
    ...(redis === undefined
      ? []
      : [
          child("subscriptions", subscriptions, {
            url: redis.url,
            book: market.book,
            changed: market.wantedChanged,
            backoff: config.reconnect,
            log,
          }),
        ]),
    ...(firestore === undefined
      ? []
      : [
          child("heartbeat", heartbeat, {
            everyMs: heartbeatMs,
            read: () => pulseOf(market, config.dryRun),
            write: config.dryRun
              ? async () =>
                  log.info({ sink: "heartbeat" }, "dry_run_would_write")
              : heartbeatWriter(firestore, tenant),
            onBeat: () => void market.beats.count++,
          }),
        ]),
  ];
}

function redisSink(
  { config, metrics }: Topology,
  { redis, written, dropped }: MarketTopology,
  log: Logger,
): Child[] {
  const address = config.market.redis;
  if (redis === undefined || address === undefined) return [];
  const writer = config.dryRun
    ? dryRunMarketWriter<PublishedMessage>("redis", log)
    : redisWriter({
        url: address.url,
        log,
        onPublished({ trades, bars, refused, trigger, receivedAtMs }) {
          written.redis += trades + bars;
          dropped.redis += refused;
          metrics.rows.inc({ sink: "redis", kind: "trade" }, trades);
          metrics.rows.inc({ sink: "redis", kind: "bar" }, bars);
          metrics.sinkDropped.inc({ sink: "redis", kind: "refused" }, refused);
          metrics.batches.inc({ sink: "redis", trigger });
          metrics.eventToStoreSeconds.observe(
            { sink: "redis" },
            Math.max(0, Date.now() - receivedAtMs) / SECOND,
          );
        },
      });
  return [sinkChild("redis", { outbox: redis, writer })];
}

function kafkaSink(
  { config, metrics }: Topology,
  market: MarketTopology,
  log: Logger,
): Child[] {
  const { kafka, written } = market;
  const address = config.market.kafka;
  if (kafka === undefined || address === undefined) return [];
  const writer = config.dryRun
    ? dryRunMarketWriter<RegistryMessage>("kafka", log)
    : kafkaWriter({
        address,
        log,
        onRefused(refused) {
          metrics.sinkDropped.inc(
            { sink: "kafka", kind: "refused" },
            refused.length,
          );
          for (const each of refused)
            if (!offerOrSetAside(market.bars, refusedRecordOf(each)))
              market.dropped.kafka++;
        },
        onWritten(messages, trigger) {
          written.kafka += messages.length;
          for (const { type } of messages)
            metrics.rows.inc({ sink: "kafka", kind: type });
          metrics.batches.inc({ sink: "kafka", trigger });
        },
      });
  return [sinkChild("kafka", { outbox: kafka, writer })];
}

function countBars(
  { metrics, market }: Topology,
  records: readonly BarRecord[],
  { rows, deadLetters }: BarReceipt,
  trigger: Trigger,
): void {
  if (market !== undefined) market.written.bars += rows;
  metrics.rows.inc({ sink: "bars", kind: "bar" }, rows);
  metrics.batches.inc({ sink: "bars", trigger });
  // What came malformed was counted when it came.
  const came = new Set<unknown>(records);
  for (const letter of deadLetters)
    if (!came.has(letter)) metrics.deadLetters.inc({ account: letter.feed });
}

function quoteWriter(
  { config }: Topology,
  { database }: MarketTopology,
  { sink: name }: QuoteLane,
  log: Logger,
): QuoteWriter {
  const { firestore, tenant } = config.market;
  if (config.dryRun) return dryRunQuotes(name, log);
  return name === FIRESTORE_LANE && firestore !== undefined
    ? firestoreQuotes(firestore, tenant)
    : postgresQuotes(database, tenant);
}

/** Degraded: a feed delivers nothing, or what it delivered could not be written. */
function pulseOf(
  { feeds, lanes, quotes, beats }: MarketTopology,
  dryRun: boolean,
) {
  const lane = lanes.find(({ sink: name }) => name === FIRESTORE_LANE);
  return {
    isWell: feeds.every(delivers) && lane?.tally.isFailing !== true,
    lastSymbol: quotes.lastSymbol,
    dryRun,
    counters: {
      quotes_seen: quotes.seen,
      writes_ok: (lane?.tally.written ?? 0) + beats.count,
      writes_err: lane?.tally.failed ?? 0,
    },
  };
}

/** A feed that is wanted for nothing is well without a subscription. */
function delivers({ board, wanted }: FeedRun): boolean {
  const lists = Object.values(wanted());
  return board.granted > 0 || lists.every((symbols) => symbols.length === 0);
}

function heartbeatWriter(address: FirestoreAddress, tenant: string) {
  // The library is large: it is loaded only where it is used.
  const opened = import("../src/stores/firestore.ts").then(
    ({ connectFirestore, writeHeartbeat }) => {
      const database = connectFirestore(address);
      return (beat: Heartbeat) => writeHeartbeat(database, tenant, beat);
    },
  );
  opened.catch(() => {});
  return async (beat: Heartbeat) => (await opened)(beat);
}

function sinkChild<Item>(id: string, input: SinkInput<Item>): Child {
  return {
    id,
    logic: sink,
    input,
    restart: "permanent",
    graceMs: 2 * SECOND,
  };
}

function child(id: string, logic: Child["logic"], input: unknown): Child {
  return { id, logic, input, restart: "permanent", graceMs: 1.5 * SECOND };
}

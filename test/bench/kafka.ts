/**
 * Bars to Kafka and back: queue, sink and producer against a loop that sends the
 * same batches with the same library; then the candle consumer against one that
 * does nothing but parse and issue the same statements.
 */
import { CompressionTypes, Partitioners } from "kafkajs";
import { createActor } from "xstate";
import { candleConsumer } from "../../actors/candles/consumer.ts";
import { kafkaWriter } from "../../actors/sinks/kafka.ts";
import { sink } from "../../actors/sinks/sink.ts";
import { stateOf } from "../../actors/supervision/state.ts";
import type { Bar } from "../../schema/market.ts";
import type { CandleMessage, RegistryMessage } from "../../schema/registry.ts";
import { MINUTE, sleep } from "../../src/clock.ts";
import type { KafkaAddress } from "../../src/config/market.ts";
import type { Outbox } from "../../src/flow/outbox.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";
import { openSpool } from "../../src/flow/spool.ts";
import { silentLogger } from "../../src/log.ts";
import { connectKafka } from "../../src/stores/kafka/connect.ts";
import { GROUP } from "../../src/stores/kafka/consume.ts";
import { topicOf } from "../../src/stores/kafka/topics.ts";
import { upsertBars } from "../../src/stores/postgres/bars.ts";
import { transact } from "../../src/stores/postgres/connect.ts";
import { Database } from "../../src/stores/postgres/database.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import { startBrokerServer } from "../support/kafkaServer.ts";
import { openPlace } from "./place.ts";
import { compare, type Round, whole } from "./rounds.ts";

const ROUNDS = 5;
const BARS = 200_000;
const SYMBOLS = 20;
const BATCH_LENGTH = 5_000;
const QUEUE_LENGTH_MAX = 20_000;
const START = Date.UTC(2026, 0, 5);

await using place = await openPlace();
await using stack = new AsyncDisposableStack();
const server = stack.adopt(await startBrokerServer(), (each) => each.leave());
const address: KafkaAddress = {
  brokers: [server.address],
  ssl: false,
  layout: "per-symbol",
};
const kafka = connectKafka(address, "bench");
const admin = stack.adopt(kafka.admin(), (each) => each.disconnect());
await admin.connect();
const database = stack.adopt(new Database(), (each) => each.close());
database.use(place.url);
await migrateMarket(place.sql);

const candles: readonly CandleMessage[] = Array.from(
  { length: BARS },
  (_, at) => candleOf(at),
);

console.log(
  `kafka: ${whole(BARS)} bars of ${SYMBOLS} symbols a round, bars to Kafka`,
);
await compare({
  title: "kafka",
  rounds: ROUNDS,
  ratioMin: 0.8,
  isWarmedUp: true,
  bare: producedBare,
  real: producedOurs,
});
await emptyTopics();
await producedOurs();
console.log(`kafka: ${whole(BARS)} bars a round, Kafka to rows`);
await compare({
  title: "kafka",
  rounds: ROUNDS,
  ratioMin: 0.7,
  isWarmedUp: true,
  bare: consumedBare,
  real: consumedOurs,
});

/** As history comes: a symbol after the other, its minutes in order. */
function candleOf(at: number): CandleMessage {
  const own = BARS / SYMBOLS;
  const price = 100 + Math.round(Math.sin(at / 50) * 1000) / 100;
  return {
    symbol: `BENCH${Math.floor(at / own)}`,
    phase: "backfill",
    type: "bar",
    timeframe: "1m",
    timestamp: new Date(START + (at % own) * MINUTE).toISOString(),
    open: price,
    high: price + 0.13,
    low: price - 0.21,
    close: price + 0.05,
    volume: 1000 + ((at * 7919) % 90_000),
    vwap: price + 0.0123,
    trades: 10 + (at % 500),
    source: "polygon:rest",
  };
}

async function producedBare(): Promise<Round> {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  const startMs = performance.now();
  for (let at = 0; at < BARS; at += BATCH_LENGTH) {
    const batch = candles.slice(at, at + BATCH_LENGTH);
    const byTopic = Map.groupBy(batch, (each) => topicOf(each, address.layout));
    await producer.sendBatch({
      acks: -1,
      compression: CompressionTypes.GZIP,
      topicMessages: [...byTopic].map(([topic, own]) => ({
        topic,
        messages: own.map((each) => ({
          key: each.symbol,
          value: JSON.stringify(each),
        })),
      })),
    });
  }
  const ms = performance.now() - startMs;
  await producer.disconnect();
  return { rows: BARS, ms };
}

async function producedOurs(): Promise<Round> {
  let written = 0;
  const outbox: Outbox<RegistryMessage> = {
    sink: "kafka",
    queue: new BoundedQueue(QUEUE_LENGTH_MAX),
    spool: openSpool({ path: ":memory:", sinks: ["kafka"] }),
    inFlight: [],
  };
  const writer = kafkaWriter({
    address,
    log: silentLogger,
    onWritten: ({ length }) => void (written += length),
    onRefused: ([first]) => {
      throw new Error(first?.reason);
    },
  });
  // The logic does not know what it carries; its input does.
  const actor = createActor(sink, { input: { outbox, writer } as never });
  actor.start();
  while (stateOf(actor) !== "direct.taking") await sleep(5);
  const startMs = performance.now();
  const { signal } = new AbortController();
  for (const candle of candles) await outbox.queue.put(candle, signal);
  while (written < BARS) await sleep(1);
  const ms = performance.now() - startMs;
  actor.stop();
  outbox.spool.close();
  return { rows: written, ms };
}

async function emptyTopics(): Promise<void> {
  const topics = (await admin.listTopics()).filter((topic) =>
    topic.startsWith("chronox."),
  );
  await admin.deleteTopics({ topics });
}

/** Everything is to be read again, into an empty table. */
async function startOver(): Promise<void> {
  await place.sql`truncate ohlcv_1m`;
  await admin.deleteGroups([GROUP]).catch(() => {});
}

async function consumedBare(): Promise<Round> {
  await startOver();
  const consumer = kafka.consumer({
    groupId: GROUP,
    maxBytesPerPartition: 1024 * 1024,
    maxBytes: 4 * 1024 * 1024,
    maxWaitTimeInMs: 500,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [/^chronox\./], fromBeginning: true });
  let rows = 0;
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary }) => {
      const { messages, partition, topic } = batch;
      for (let at = 0; at < messages.length; at += BATCH_LENGTH) {
        const part = messages.slice(at, at + BATCH_LENGTH);
        const bars = part.map(({ value }): Bar => ({
          ...JSON.parse(String(value)),
          kind: "bar",
          span: "history",
        }));
        rows += await transact(database.sql, (sql) => upsertBars(sql, bars));
        const last = part.at(-1)?.offset ?? "0";
        resolveOffset(last);
        const offset = String(Number(last) + 1);
        await commitOffsetsIfNecessary({
          topics: [{ topic, partitions: [{ partition, offset }] }],
        });
      }
    },
  });
  const startMs = performance.now();
  while (rows < BARS) await sleep(1);
  const ms = performance.now() - startMs;
  await consumer.disconnect();
  return { rows, ms };
}

async function consumedOurs(): Promise<Round> {
  await startOver();
  let rows = 0;
  const actor = createActor(candleConsumer, {
    input: {
      address,
      database,
      onWritten: (_records, receipt) => void (rows += receipt.rows),
    },
  });
  actor.start();
  while (stateOf(actor) !== "consuming") await sleep(1);
  const startMs = performance.now();
  while (rows < BARS) await sleep(1);
  const ms = performance.now() - startMs;
  actor.send({ type: "shutdown" });
  while (stateOf(actor) !== "finished") await sleep(5);
  return { rows, ms };
}

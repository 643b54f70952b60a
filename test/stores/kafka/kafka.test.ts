/** Producer and candle consumer against a real broker. */
import { beforeAll, describe, expect, test } from "bun:test";
import { Kafka, logLevel } from "kafkajs";
import type {
  CandleMessage,
  RegistryMessage,
} from "../../../schema/registry.ts";
import { sleep } from "../../../src/clock.ts";
import { connectKafka } from "../../../src/stores/kafka/connect.ts";
import {
  type ConsumedBatch,
  consumeCandles,
  GROUP,
} from "../../../src/stores/kafka/consume.ts";
import { openPublisher } from "../../../src/stores/kafka/produce.ts";
import { topicOf } from "../../../src/stores/kafka/topics.ts";
import { type Broker, startBroker } from "../../support/kafka.ts";

let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
}, 120_000);

const at = (minute: number) =>
  new Date(Date.UTC(2026, 9, 8, 14, minute)).toISOString();

const candle = (symbol: string, minute: number): CandleMessage => ({
  symbol,
  phase: "backfill",
  type: "bar",
  timeframe: "1m",
  timestamp: at(minute),
  open: 1,
  high: 2,
  low: 0.5,
  close: 1.5,
  volume: 1_029_145,
  source: "polygon",
});

const client = () =>
  connectKafka(
    { brokers: [broker.address], ssl: false, layout: "per-symbol" },
    "test",
  );

async function publish(
  messages: readonly RegistryMessage[],
  layout: "per-symbol" | "per-phase" = "per-symbol",
) {
  const publisher = await openPublisher(client(), layout);
  await publisher.publish(messages);
  await publisher.close();
}

/** Consumes until `count` messages were written; a failing `write` is the test's. */
async function consumeUntil(
  count: number,
  write: (batch: ConsumedBatch) => Promise<void> = async () => {},
): Promise<ConsumedBatch[]> {
  const batches: ConsumedBatch[] = [];
  const consumer = await consumeCandles(client(), async (batch) => {
    await write(batch);
    batches.push(batch);
  });
  const seen = () =>
    batches.reduce(
      (sum, { messages, malformed }) =>
        sum + messages.length + malformed.length,
      0,
    );
  for (let tries = 0; seen() < count && tries < 300; tries++) await sleep(100);
  await consumer.stop();
  return batches;
}

async function committed(topic: string): Promise<string | undefined> {
  const admin = new Kafka({
    brokers: [broker.address],
    logLevel: logLevel.NOTHING,
  }).admin();
  await admin.connect();
  const [found] = await admin.fetchOffsets({ groupId: GROUP, topics: [topic] });
  await admin.disconnect();
  return found?.partitions[0]?.offset;
}

test.each<[string, "per-symbol" | "per-phase", string]>([
  ["AAPL", "per-symbol", "chronox.backfill.aapl"],
  ["BRK.B", "per-symbol", "chronox.backfill.brk.b"],
  ["BTC/USD", "per-symbol", "chronox.backfill.btc-usd"],
  ["AAPL", "per-phase", "chronox.backfill"],
])("bars of %s, layout %s, go to %s", (symbol, layout, topic) => {
  expect(topicOf({ phase: "backfill", symbol }, layout)).toBe(topic);
});

describe("what is published", () => {
  test("comes back in order, and its offset is committed once it is written", async () => {
    const sent = [candle("AAPL", 1), candle("AAPL", 2), candle("AAPL", 3)];
    await publish(sent);
    const batches = await consumeUntil(3);
    expect(batches.flatMap(({ messages }) => messages)).toEqual(sent);
    expect(await committed("chronox.backfill.aapl")).toBe("3");
  }, 60_000);

  test("is read again by the next consumer when its write failed: the offset was not committed", async () => {
    const sent = [candle("MSFT", 1), candle("MSFT", 2)];
    await publish(sent);
    const tries: number[] = [];
    const failing = await consumeCandles(
      client(),
      async ({ topic, messages }) => {
        if (topic !== "chronox.backfill.msft") return;
        tries.push(messages.length);
        throw new Error("the store is away");
      },
    );
    for (let wait = 0; tries.length === 0 && wait < 300; wait++)
      await sleep(100);
    await failing.stop();
    expect(tries[0]).toBe(2);
    expect(await committed("chronox.backfill.msft")).toBe("-1");
    const batches = await consumeUntil(2);
    expect(
      batches
        .filter(({ topic }) => topic === "chronox.backfill.msft")
        .flatMap(({ messages }) => messages),
    ).toEqual(sent);
  }, 60_000);

  test("that cannot be read is kept whole, and what is beside it is read", async () => {
    await publish([candle("NVDA", 1)]);
    const producer = new Kafka({
      brokers: [broker.address],
      logLevel: logLevel.NOTHING,
    }).producer();
    await producer.connect();
    await producer.send({
      topic: "chronox.backfill.nvda",
      messages: [
        { value: "rubbish" },
        { value: JSON.stringify({ ...candle("NVDA", 2), open: "1" }) },
      ],
    });
    await producer.disconnect();
    const batches = await consumeUntil(3);
    const own = batches.filter(
      ({ topic }) => topic === "chronox.backfill.nvda",
    );
    expect(own.flatMap(({ messages }) => messages)).toEqual([
      candle("NVDA", 1),
    ]);
    expect(own.flatMap(({ malformed }) => malformed)).toEqual([
      { raw: "rubbish", reason: "not JSON" },
      {
        raw: JSON.stringify({ ...candle("NVDA", 2), open: "1" }),
        reason: "open: Invalid input: expected number, received string",
      },
    ]);
  }, 60_000);
});

test("a broker that is away is a failure that says so; back again, the same messages are taken", async () => {
  await broker.stop?.();
  await expect(publish([candle("TSLA", 1)])).rejects.toThrow(
    "no broker answers",
  );
  await broker.start?.();
  await publish([candle("TSLA", 1)]);
  const batches = await consumeUntil(1);
  expect(batches.flatMap(({ messages }) => messages)).toEqual([
    candle("TSLA", 1),
  ]);
}, 120_000);

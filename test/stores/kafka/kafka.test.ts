/** Producer and candle consumer against a real broker. */
import { beforeAll, describe, expect, test } from "bun:test";
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  Partitioners,
  ResourcePatternTypes,
} from "kafkajs";
import type {
  CandleMessage,
  RegistryMessage,
} from "../../../schema/registry.ts";
import {
  type ConsumedBatch,
  consumeCandles,
  GROUP,
  type WriteBatch,
} from "../../../src/stores/kafka/consume.ts";
import { openPublisher } from "../../../src/stores/kafka/produce.ts";
import { topicOf } from "../../../src/stores/kafka/topics.ts";
import { type Broker, startBroker } from "../../support/kafka.ts";
import { kafkaClient } from "../../support/kafkaServer.ts";
import { untilAsync } from "../../support/until.ts";

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

const client = () => kafkaClient(broker.address);

async function publish(
  messages: readonly RegistryMessage[],
  layout: "per-symbol" | "per-phase" = "per-symbol",
) {
  const publisher = await openPublisher(client(), layout);
  const refused = await publisher.publish(messages);
  await publisher.close();
  return refused;
}

const nothing: WriteBatch = async () => {};

/** What a consumer has taken so far. */
async function consume(write = nothing, lookMs?: number) {
  const messages: RegistryMessage[] = [];
  const malformed: ConsumedBatch["malformed"][number][] = [];
  let batches = 0;
  const consumer = await consumeCandles(
    client(),
    async (batch, signal) => {
      await write(batch, signal);
      batches++;
      messages.push(...batch.messages);
      malformed.push(...batch.malformed);
    },
    lookMs === undefined ? {} : { lookMs },
  );
  return {
    messages,
    malformed,
    batches: () => batches,
    of: (symbol: string) => messages.filter((each) => each.symbol === symbol),
    until: (count: number) =>
      untilAsync(async () => messages.length + malformed.length >= count),
    [Symbol.asyncDispose]: () => consumer.stop(),
  };
}

async function asked<Answer>(ask: (admin: Admin) => Promise<Answer>) {
  const admin = client().admin();
  await admin.connect();
  try {
    return await ask(admin);
  } finally {
    await admin.disconnect();
  }
}

async function committed(topic: string): Promise<string | undefined> {
  const [found] = await asked((admin) =>
    admin.fetchOffsets({ groupId: GROUP, topics: [topic] }),
  );
  return found?.partitions[0]?.offset;
}

/** What others write to our topics. */
async function produceRaw(
  topic: string,
  values: readonly (string | Buffer | null)[],
) {
  const producer = client().producer({
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  await producer.send({ topic, messages: values.map((value) => ({ value })) });
  await producer.disconnect();
}

const minutes = (symbol: string, count: number, from = 0) =>
  Array.from({ length: count }, (_, minute) => candle(symbol, from + minute));

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
    const sent = minutes("AAPL", 3);
    expect(await publish(sent)).toEqual([]);
    {
      await using consumer = await consume();
      await consumer.until(3);
      expect(consumer.messages).toEqual(sent);
    }
    expect(await committed("chronox.backfill.aapl")).toBe("3");
  }, 60_000);

  test("is in order per symbol also where symbols share a topic of several partitions", async () => {
    const sent = minutes("AAPL", 500).flatMap((bar, at) => [
      bar,
      candle("MSFT", at),
    ]);
    await asked((admin) =>
      admin.createTopics({
        topics: [{ topic: "chronox.backfill", numPartitions: 4 }],
      }),
    );
    await publish(sent, "per-phase");
    await using consumer = await consume();
    await consumer.until(1000);
    expect(consumer.of("AAPL")).toEqual(minutes("AAPL", 500));
    expect(consumer.of("MSFT")).toEqual(minutes("MSFT", 500));
  }, 60_000);

  test("to a topic that appears while the consumer runs is read, too", async () => {
    await using consumer = await consume(nothing, 200);
    await publish([candle("LATE", 1)]);
    await untilAsync(async () => consumer.of("LATE").length === 1);
    await publish([candle("LATE", 2), candle("LATER", 1)]);
    await untilAsync(async () => consumer.of("LATER").length === 1);
    await untilAsync(async () => consumer.of("LATE").length === 2);
    expect(consumer.messages).toHaveLength(3);
  }, 60_000);

  test("of many topics at once is written in few batches, and each offset committed", async () => {
    const symbols = Array.from({ length: 60 }, (_, at) => `MANY${at}`);
    await publish(symbols.map((symbol) => candle(symbol, 1)));
    {
      await using consumer = await consume();
      await consumer.until(60);
      expect(consumer.batches()).toBeLessThan(20);
    }
    const offsets = await asked((admin) =>
      admin.fetchOffsets({
        groupId: GROUP,
        topics: symbols.map((symbol) =>
          topicOf(candle(symbol, 1), "per-symbol"),
        ),
      }),
    );
    expect(offsets.map(({ partitions }) => partitions[0]?.offset)).toEqual(
      symbols.map(() => "1"),
    );
  }, 60_000);

  test("is read again by the next consumer when its write failed: the offset was not committed", async () => {
    const sent = minutes("MSFT", 2);
    await publish(sent);
    const tried: ConsumedBatch[] = [];
    {
      await using _failing = await consume(async (batch) => {
        tried.push(batch);
        throw new Error("the store is away");
      });
      await untilAsync(async () => tried.length > 0);
    }
    expect(tried[0]).toEqual({ messages: sent, malformed: [] });
    expect(await committed("chronox.backfill.msft")).toBe("-1");
    await using consumer = await consume();
    await consumer.until(2);
    expect(consumer.messages).toEqual(sent);
  }, 60_000);

  test("a consumer that cannot go on says why", async () => {
    await publish([candle("FAIL", 1)]);
    const consumer = await consumeCandles(client(), async () => {
      throw new Error("a bug");
    });
    await expect(consumer.ended).rejects.toThrow("a bug");
    await consumer.stop();
    await using after = await consume();
    await after.until(1);
  }, 60_000);

  test("that takes longer to write than the group is patient stays with its consumer", async () => {
    await publish([candle("SLOW", 1)]);
    let writes = 0;
    {
      await using consumer = await consume(async () => {
        writes++;
        await Bun.sleep(10_500);
      });
      await consumer.until(1);
    }
    expect({
      writes,
      offset: await committed("chronox.backfill.slow"),
    }).toEqual({ writes: 1, offset: "1" });
  }, 60_000);

  test("that cannot be read is kept whole, and what is beside it is read", async () => {
    const topic = "chronox.backfill.nvda";
    await publish([candle("NVDA", 1)]);
    const wrong = JSON.stringify({ ...candle("NVDA", 2), open: "1" });
    await produceRaw(topic, [
      "rubbish",
      wrong,
      Buffer.from([0xff, 0x00, 0xfe]),
      null,
    ]);
    await using consumer = await consume();
    await consumer.until(5);
    expect(consumer.messages).toEqual([candle("NVDA", 1)]);
    expect(consumer.malformed).toEqual([
      { topic, raw: "rubbish", reason: "not JSON" },
      {
        topic,
        raw: wrong,
        reason: "open: Invalid input: expected number, received string",
      },
      { topic, raw: "/wD+", reason: "not text; kept in base64" },
      { topic, raw: "", reason: "not JSON" },
    ]);
  }, 60_000);
});

describe("what Kafka refuses", () => {
  test("is told, symbol by symbol, and holds up nothing beside it", async () => {
    const forbidden = "chronox.backfill.forbidden";
    await asked((admin) =>
      admin.createAcls({
        acl: [
          {
            resourceType: AclResourceTypes.TOPIC,
            resourceName: forbidden,
            resourcePatternType: ResourcePatternTypes.LITERAL,
            principal: "User:*",
            host: "*",
            operation: AclOperationTypes.ALL,
            permissionType: AclPermissionTypes.DENY,
          },
        ],
      }),
    );
    const publisher = await openPublisher(client(), "per-symbol");
    const sent = [
      candle("FORBIDDEN", 1),
      candle("GOOD", 1),
      candle("X".repeat(300), 1),
      candle("GOOD", 2),
    ];
    const refused = await publisher.publish(sent);
    expect(refused.map(({ message }) => message)).toEqual([
      candle("FORBIDDEN", 1),
      candle("X".repeat(300), 1),
    ]);
    expect(refused[0]).toMatchObject({
      topic: forbidden,
      reason: expect.stringContaining("authorization failed"),
    });
    // Known by now, and not asked for again at once.
    expect(await publisher.publish([candle("FORBIDDEN", 2)])).toHaveLength(1);
    await publisher.close();
    await using consumer = await consume();
    await consumer.until(2);
    expect(consumer.messages).toEqual([candle("GOOD", 1), candle("GOOD", 2)]);
  }, 60_000);

  test("as too large is that message alone; those before and behind it keep their order", async () => {
    const topic = "chronox.snapshot.big";
    await asked((admin) =>
      admin.createTopics({
        topics: [
          {
            topic,
            configEntries: [{ name: "max.message.bytes", value: "3000" }],
          },
        ],
      }),
    );
    const snapshot = (at: number, size: number): RegistryMessage => ({
      symbol: "BIG",
      phase: "snapshot",
      type: "snapshot",
      timestamp: new Date(at).toISOString(),
      // What compresses badly.
      data: {
        noise: Buffer.from(
          crypto.getRandomValues(new Uint8Array(size)),
        ).toString("base64"),
      },
    });
    const small = Array.from({ length: 10 }, (_, at) => snapshot(at, 600));
    const large = snapshot(99, 8000);
    const beside = minutes("BESIDE", 20);
    const publisher = await openPublisher(client(), "per-symbol");
    const refused = await publisher.publish([
      ...beside,
      ...small.slice(0, 6),
      large,
      ...small.slice(6),
    ]);
    expect(refused).toEqual([
      { message: large, topic, reason: expect.stringContaining("larger") },
    ]);
    expect(await publisher.publish([candle("BESIDE", 59)])).toEqual([]);
    await publisher.close();
    await using consumer = await consume();
    await untilAsync(
      async () =>
        consumer.of("BIG").length >= 10 &&
        consumer.of("BESIDE").some(({ timestamp }) => timestamp === at(59)),
    );
    expect(consumer.of("BIG")).toEqual(small);
    expect(
      new Set(consumer.of("BESIDE").map(({ timestamp }) => timestamp)).size,
    ).toBe(21);
  }, 60_000);
});

test("a broker that is away is a failure that says so; back again, the same messages are taken", async () => {
  await broker.stop();
  await expect(publish([candle("TSLA", 1)])).rejects.toThrow(
    "no broker answers",
  );
  await broker.start();
  await publish([candle("TSLA", 1)]);
  await using consumer = await consume();
  await consumer.until(1);
  expect(consumer.messages).toEqual([candle("TSLA", 1)]);
}, 120_000);

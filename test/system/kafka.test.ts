/** The registry of the real program, from a simulated Polygon over a real Kafka to Postgres. */
import { beforeAll, expect, test } from "bun:test";
import type { CandleMessage } from "../../schema/registry.ts";
import { SECOND } from "../../src/clock.ts";
import { readRunFile } from "../../src/commands/runFile.ts";
import { type Broker, startBroker } from "../support/kafka.ts";
import { kafkaClient } from "../support/kafkaServer.ts";
import { openScene, type Scene } from "../support/scene.ts";
import type { Environment, Service } from "../support/service.ts";

let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
}, 120_000);

/** The registry and the candle consumer; nothing else runs. */
function registryOf({ market, databaseUrl }: Scene): Environment {
  const { url, polygon } = market.venue;
  return {
    DESTINATIONS: "[]",
    DATABASE_URL: databaseUrl,
    POLYGON_API_KEY: polygon.apiKey,
    POLYGON_URL: url,
    POLYGON_STREAM_URL: url.replace(/^http/, "ws"),
    KAFKA_BOOTSTRAP_SERVERS: broker.address,
    BACKFILL_DAYS: "2",
  };
}

async function post(service: Service, path: string, body: unknown) {
  const url = readRunFile(service.directory)?.httpUrl;
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10 * SECOND),
  });
  expect(response.ok).toBe(true);
}

/** Adds the symbol and has it run. */
async function run(service: Service, symbol: string, strategy: string) {
  await post(service, "/api/v1/symbols", { symbol, strategy });
  await post(service, "/api/v1/registry/execute", { symbols: [symbol] });
}

interface Minute {
  readonly timestamp: string;
  readonly close: number;
  readonly volume: number;
}

/** What the topic says of each minute last. */
async function minutesIn(topic: string): Promise<Minute[]> {
  const kafka = kafkaClient(broker.address);
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const end = Number(ends[0]?.offset);
  const consumer = kafka.consumer({
    groupId: `reader-of-${topic}`,
    maxWaitTimeInMs: 100,
  });
  const minutes = new Map<string, Minute>();
  const { promise: whole, resolve } = Promise.withResolvers<void>();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      const read: CandleMessage = JSON.parse(String(message.value));
      const { timestamp, close, volume } = read;
      if (read.type === "bar")
        minutes.set(timestamp, { timestamp, close, volume });
      if (Number(message.offset) === end - 1) resolve();
    },
  });
  await whole;
  await consumer.disconnect();
  return byTime([...minutes.values()]);
}

async function stored({ sql }: Scene, symbol: string): Promise<Minute[]> {
  const rows = await sql<{ timestamp: Date; close: number; volume: number }[]>`
    select timestamp, close, volume from ohlcv_1m where symbol = ${symbol}`.catch(
    () => [],
  );
  return byTime(
    rows.map(({ timestamp, close, volume }) => ({
      timestamp: timestamp.toISOString(),
      close,
      volume,
    })),
  );
}

function byTime(minutes: readonly Minute[]): Minute[] {
  return minutes.toSorted((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
}

const kafkaOf = async (service: Service) =>
  (await service.status()).sinks.find(({ sink }) => sink === "kafka");

test("a symbol that is added has its history in its topic and, read back from there, in the table", async () => {
  await using scene = await openScene([]);
  const service = await scene.start({ environment: registryOf(scene) });
  await service.ready();
  await run(service, "AAPL", "flatpack_api");
  const isDone = async () => {
    const response = await service.answer("/api/v1/symbols/AAPL");
    const { last_backfill: at } = (await response.json()) as {
      last_backfill: string | null;
    };
    return at !== null;
  };
  await service.until("the history", isDone);
  await service.until(
    "everything sent",
    async () => (await kafkaOf(service))?.queued === 0,
  );
  const sent = await minutesIn("chronox.backfill.aapl");
  expect(sent.length).toBeGreaterThan(100);
  await service.until(
    "the rows",
    async () => (await stored(scene, "AAPL")).length >= sent.length,
  );
  expect(await stored(scene, "AAPL")).toEqual(sent);
  const { code, receipt } = await service.stop();
  expect({ code, receipt }).toEqual({
    code: 0,
    receipt: expect.objectContaining({
      undelivered: 0,
      delivered: expect.objectContaining({
        bars: sent.length,
        kafka: expect.any(Number),
      }),
    }),
  });
}, 120_000);

test("while Kafka is away bars wait on the disk over a restart, visibly; once it is back they become rows", async () => {
  await using scene = await openScene([]);
  const directory = scene.directory();
  await broker.stop();
  {
    const service = await scene.start({
      environment: registryOf(scene),
      directory,
    });
    await service.until("the store", async () =>
      (await service.health()).checks.some(
        ({ name, ok }) => name === "bars" && ok,
      ),
    );
    await run(service, "MSFT", "flatpack_api");
    await service.until(
      "bars on the disk",
      async () => ((await kafkaOf(service))?.spooled ?? 0) > 100,
    );
    const check = async () =>
      (await service.health()).checks.find(({ name }) => name === "kafka");
    await service.until(
      "the reason",
      async () =>
        (await check())?.detail?.includes("no broker answers") === true,
    );
    expect(await check()).toMatchObject({ ok: false, state: "down" });
    const { code, receipt } = await service.stop();
    expect({ code, kept: receipt["kept_in"] }).toEqual({
      code: 3,
      kept: expect.stringContaining("spool-kafka.sqlite"),
    });
  }
  await broker.start();
  const service = await scene.start({
    environment: registryOf(scene),
    directory,
  });
  await service.ready();
  await service.until(
    "everything sent",
    async () => (await kafkaOf(service))?.spooled === 0,
  );
  const sent = await minutesIn("chronox.backfill.msft");
  expect(sent.length).toBeGreaterThan(100);
  await service.until(
    "the rows",
    async () => (await stored(scene, "MSFT")).length >= sent.length,
  );
  await service.stop();
}, 120_000);

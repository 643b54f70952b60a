/** The Kafka sink with a real broker, which goes away and comes back. */
import { afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createActor } from "xstate";
import { kafkaWriter } from "../../../actors/sinks/kafka.ts";
import { sink } from "../../../actors/sinks/sink.ts";
import { reportOf, stateOf } from "../../../actors/supervision/state.ts";
import type {
  CandleMessage,
  PhaseMarker,
  RegistryMessage,
} from "../../../schema/registry.ts";
import {
  offerOrSetAside,
  type Outbox,
  undeliveredCount,
} from "../../../src/flow/outbox.ts";
import { BoundedQueue } from "../../../src/flow/queue.ts";
import { openSpool } from "../../../src/flow/spool.ts";
import { createLogger } from "../../../src/log.ts";
import type { Refused } from "../../../src/stores/kafka/produce.ts";
import { type Broker, startBroker } from "../../support/kafka.ts";
import { kafkaClient } from "../../support/kafkaServer.ts";
import { untilAsync } from "../../support/until.ts";

let broker: Broker;
let directory: string;
beforeAll(async () => {
  broker = await startBroker();
}, 120_000);
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-kafka-sink-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** The number of a bar is its volume. */
const candle = (symbol: string, volume: number): CandleMessage => ({
  symbol,
  phase: "stream",
  type: "bar",
  timeframe: "1m",
  timestamp: new Date(Date.UTC(2026, 9, 8, 14) + volume * 60_000).toISOString(),
  open: 1,
  high: 2,
  low: 0.5,
  close: 1.5,
  volume,
  source: "polygon",
});

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

function start() {
  const lines: Record<string, unknown>[] = [];
  const written: RegistryMessage[] = [];
  const refused: Refused[] = [];
  const outbox: Outbox<RegistryMessage> = {
    sink: "kafka",
    queue: new BoundedQueue(2000),
    spool: openSpool({ path: join(directory, "spool"), sinks: ["kafka"] }),
    inFlight: [],
  };
  const writer = kafkaWriter({
    address: { brokers: [broker.address], ssl: false, layout: "per-symbol" },
    log: createLogger({
      destination: { write: (line) => void lines.push(JSON.parse(line)) },
    }),
    onWritten: (messages) => written.push(...messages),
    onRefused: (some) => refused.push(...some),
  });
  // The logic does not know what it carries; its input does.
  const actor = createActor(sink, { input: { outbox, writer } as never });
  actor.subscribe({ error: () => {} });
  actor.start();
  return {
    actor,
    outbox,
    lines,
    written,
    refused,
    offer: (...messages: RegistryMessage[]) => {
      for (const message of messages)
        if (!offerOrSetAside(outbox, message)) throw new Error("not taken");
    },
    isDirect: async () => stateOf(actor) === "direct.taking",
    [Symbol.dispose]: () => {
      actor.stop();
      outbox.spool.close();
    },
  };
}

/** Reads a topic from its beginning until it has so many messages. */
async function volumesIn(topic: string, count: number): Promise<number[]> {
  const consumer = kafkaClient(broker.address).consumer({
    groupId: `reader-of-${topic}`,
    maxWaitTimeInMs: 100,
  });
  const volumes: number[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) =>
      void volumes.push(JSON.parse(String(message.value)).volume),
  });
  await untilAsync(async () => volumes.length >= count);
  await consumer.disconnect();
  return volumes;
}

test("what comes while the broker is away waits on the disk, is shown, and goes out in order once it is back", async () => {
  await broker.stop();
  using run = start();
  run.offer(...range(0, 3000).map((volume) => candle("WAIT", volume)));
  await untilAsync(
    async () => reportOf(run.actor)?.["lastError"] !== undefined,
  );
  expect(stateOf(run.actor)).toBe("spooling");
  expect(reportOf(run.actor)).toMatchObject({
    lastError: expect.stringContaining("no broker answers"),
  });
  await untilAsync(async () => undeliveredCount(run.outbox).disk === 3000);
  await broker.start();
  await untilAsync(run.isDirect);
  expect(await volumesIn("chronox.stream.wait", 3000)).toEqual(range(0, 3000));
  expect(run.written).toHaveLength(3000);
  expect(undeliveredCount(run.outbox)).toEqual({ memory: 0, disk: 0 });
  expect(reportOf(run.actor)).toEqual({});
}, 60_000);

test("a broker that goes in the middle of a flow costs nothing: each bar is there, and every bar's last mention is in order", async () => {
  using run = start();
  await untilAsync(run.isDirect);
  run.offer(...range(0, 500).map((volume) => candle("BREAK", volume)));
  await untilAsync(async () => run.written.length >= 500);
  const going = broker.stop();
  for (const volume of range(500, 4000)) {
    run.offer(candle("BREAK", volume));
    if (volume % 100 === 0) await Bun.sleep(2);
  }
  await going;
  await untilAsync(async () => undeliveredCount(run.outbox).disk > 0);
  await broker.start();
  await untilAsync(async () => run.written.length >= 4000);
  const volumes = await volumesIn("chronox.stream.break", 4000);
  const last = new Map(volumes.map((volume, at) => [volume, at]));
  expect([...last.keys()].toSorted((a, b) => a - b)).toEqual(range(0, 4000));
  const places = range(0, 4000).map((volume) => last.get(volume) ?? -1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
}, 90_000);

test("what Kafka refuses is handed on and said once a minute; the rest is published", async () => {
  using run = start();
  await untilAsync(run.isDirect);
  const tooLong = "Y".repeat(300);
  const marker: PhaseMarker = {
    symbol: tooLong,
    phase: "stream",
    type: "phase",
    status: "started",
    timestamp: "2026-10-08T14:00:00.000Z",
  };
  run.offer(candle(tooLong, 1), candle("FINE", 1), marker);
  await untilAsync(async () => run.written.length === 1);
  run.offer(candle(tooLong, 2), candle("FINE", 2));
  await untilAsync(async () => run.written.length === 2);
  expect(run.refused.map(({ message }) => message)).toEqual([
    candle(tooLong, 1),
    marker,
    candle(tooLong, 2),
  ]);
  expect(run.written).toEqual([candle("FINE", 1), candle("FINE", 2)]);
  expect(await volumesIn("chronox.stream.fine", 2)).toEqual([1, 2]);
  expect(run.lines).toEqual([
    expect.objectContaining({
      level: "WARN",
      message: "publications_refused",
      topic: `chronox.stream.${tooLong.toLowerCase()}`,
      messages: 2,
      reason: expect.stringContaining("invalid topic"),
    }),
  ]);
}, 60_000);

test("shutdown publishes what has just come", async () => {
  using run = start();
  await untilAsync(run.isDirect);
  run.offer(...range(0, 1500).map((volume) => candle("LEAVE", volume)));
  run.actor.send({ type: "shutdown" });
  await untilAsync(async () => stateOf(run.actor) === "finished");
  expect(await volumesIn("chronox.stream.leave", 1500)).toEqual(range(0, 1500));
  expect(undeliveredCount(run.outbox)).toEqual({ memory: 0, disk: 0 });
}, 60_000);

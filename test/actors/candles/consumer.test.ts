/** The candle consumer between a real broker and a real Postgres, each of which goes away. */
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  test,
} from "bun:test";
import { Partitioners } from "kafkajs";
import {
  candleConsumer,
  type CandleConsumerInput,
} from "../../../actors/candles/consumer.ts";
import { stateOf } from "../../../actors/supervision/state.ts";
import type { CandleMessage } from "../../../schema/registry.ts";
import { MINUTE } from "../../../src/clock.ts";
import { GROUP } from "../../../src/stores/kafka/consume.ts";
import { openPublisher } from "../../../src/stores/kafka/produce.ts";
import { Database } from "../../../src/stores/postgres/database.ts";
import { openDoor, type Door } from "../../support/door.ts";
import { type Broker, startBroker } from "../../support/kafka.ts";
import { kafkaClient } from "../../support/kafkaServer.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";
import { type LoneTask, startLoneTask } from "../../support/task.ts";
import { untilAsync } from "../../support/until.ts";

let broker: Broker;
let fresh: FreshDatabase;
let door: Door;
let database: Database;
beforeAll(async () => {
  [broker, fresh] = await Promise.all([startBroker(), freshDatabase()]);
}, 120_000);
beforeEach(async () => {
  door = await openDoor(fresh.url);
  database = new Database();
  database.use(door.url);
});
afterEach(async () => {
  await database.close();
  await door[Symbol.asyncDispose]();
});
afterAll(() => fresh.drop());

const START = Date.UTC(2026, 9, 8, 14);

const candle = (
  symbol: string,
  minute: number,
  members: Partial<CandleMessage> = {},
): CandleMessage => ({
  symbol,
  phase: "backfill",
  type: "bar",
  timeframe: "1m",
  timestamp: new Date(START + minute * MINUTE).toISOString(),
  open: 1,
  high: 2,
  low: 0.5,
  close: 1.5,
  volume: minute,
  source: "polygon",
  ...members,
});

const minutes = (symbol: string, from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => candle(symbol, from + at));

async function publish(messages: readonly CandleMessage[]) {
  const publisher = await openPublisher(
    kafkaClient(broker.address),
    "per-symbol",
  );
  await publisher.publish(messages);
  await publisher.close();
}

interface Run extends AsyncDisposable {
  readonly task: LoneTask;
  readonly rows: () => number;
}

function start(onWritten: CandleConsumerInput["onWritten"] = () => {}): Run {
  let rows = 0;
  const task = startLoneTask(candleConsumer, {
    address: { brokers: [broker.address], ssl: false, layout: "per-symbol" },
    database,
    lookMs: 200,
    onWritten(records, receipt) {
      rows += receipt.rows;
      onWritten(records, receipt);
    },
  });
  return {
    task,
    rows: () => rows,
    async [Symbol.asyncDispose]() {
      task.actor.send({ type: "shutdown" });
      await untilAsync(async () => stateOf(task.actor) === "finished");
      expect(task.errors).toEqual([]);
    },
  };
}

const states = ({ task }: Run) => task.reports.map(({ state }) => state);

async function volumesOf(symbol: string): Promise<number[]> {
  const rows = await fresh.sql<{ volume: number }[]>`
    select volume from ohlcv_1m where symbol = ${symbol} order by timestamp`.catch(
    () => [],
  );
  return rows.map(({ volume }) => volume);
}

const hasRows = (symbol: string, count: number) => async () =>
  (await volumesOf(symbol)).length === count;

async function committed(topic: string): Promise<string | undefined> {
  const admin = kafkaClient(broker.address).admin();
  await admin.connect();
  const [found] = await admin.fetchOffsets({ groupId: GROUP, topics: [topic] });
  await admin.disconnect();
  return found?.partitions[0]?.offset;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => from + at);

test("bars become rows, those of a symbol that comes later too; then their offsets are committed", async () => {
  {
    await using run = start();
    await untilAsync(async () => stateOf(run.task.actor) === "consuming");
    await publish(minutes("AAPL", 0, 3));
    await untilAsync(hasRows("AAPL", 3));
    await publish([...minutes("AAPL", 3, 4), ...minutes("LATE", 0, 2)]);
    await untilAsync(hasRows("AAPL", 4));
    await untilAsync(hasRows("LATE", 2));
    expect(states(run)).toEqual(["joining", "consuming"]);
    expect(run.rows()).toBe(6);
  }
  expect(await committed("chronox.backfill.aapl")).toBe("4");
  expect(await committed("chronox.backfill.late")).toBe("2");
}, 60_000);

test("a database that is away at the start is waited for, and says so", async () => {
  await door.shut();
  await publish(minutes("EARLY", 0, 5));
  await using run = start();
  await untilAsync(async () => states(run).includes("retrying"));
  expect(run.task.reports.at(-1)).toMatchObject({
    lastError: expect.stringContaining("ECONNREFUSED"),
  });
  await door.reopen();
  await untilAsync(hasRows("EARLY", 5));
}, 60_000);

test("a database that goes away in between: the batch in hand is tried again and nothing behind it is committed", async () => {
  await using run = start();
  await publish(minutes("AWAY", 0, 2));
  await untilAsync(hasRows("AWAY", 2));
  await door.shut();
  await publish(minutes("AWAY", 2, 500));
  await untilAsync(async () => stateOf(run.task.actor) === "waiting");
  expect(run.task.reports.at(-1)).toMatchObject({
    state: "waiting",
    failures: 1,
  });
  expect(await committed("chronox.backfill.away")).toBe("2");
  await door.reopen();
  await untilAsync(hasRows("AWAY", 500));
  await untilAsync(
    async () => (await committed("chronox.backfill.away")) === "500",
  );
  expect(stateOf(run.task.actor)).toBe("consuming");
  expect(await volumesOf("AWAY")).toEqual(range(0, 500));
}, 60_000);

test("stopped while the store is away, it leaves; the next one reads the batch again", async () => {
  {
    await using run = start();
    await publish(minutes("STOPPED", 0, 1));
    await untilAsync(hasRows("STOPPED", 1));
    await door.shut();
    await publish(minutes("STOPPED", 1, 9));
    await untilAsync(async () => stateOf(run.task.actor) === "waiting");
  }
  expect(await committed("chronox.backfill.stopped")).toBe("1");
  await door.reopen();
  await using _next = start();
  await untilAsync(hasRows("STOPPED", 9));
}, 60_000);

test("stopped while it waits for the database or the broker, it ends at once", async () => {
  await door.shut();
  {
    await using run = start();
    await untilAsync(async () => states(run).includes("retrying"));
  }
  const run = start();
  const begunMs = performance.now();
  await run[Symbol.asyncDispose]();
  expect(performance.now() - begunMs).toBeLessThan(2000);
}, 60_000);

test("killed between the rows and the offset, the next one writes the same rows again, and there is one of each", async () => {
  await publish(minutes("KILLED", 0, 50));
  const first = start(({ length }) => {
    // As if the process had ended here: the rows are there, their offset is not.
    if (length > 0) first.task.actor.stop();
    throw new Error("killed");
  });
  await untilAsync(hasRows("KILLED", 50));
  expect(await committed("chronox.backfill.killed")).toBe("-1");
  await using _next = start();
  await untilAsync(
    async () => (await committed("chronox.backfill.killed")) === "50",
  );
  expect(await volumesOf("KILLED")).toEqual(range(0, 50));
}, 60_000);

test("what is no bar, or none that Postgres takes, is a dead letter with its reason; its neighbours are rows", async () => {
  const topic = "chronox.backfill.poison";
  await publish([candle("POISON", 0)]);
  const tooMany = candle("POISON", 1, { trades: 3_000_000_000 });
  const producer = kafkaClient(broker.address).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  await producer.send({
    topic,
    messages: [
      "poison",
      '{"type":"bar","symbol":"\\u0000"}',
      "nul \0",
      JSON.stringify(tooMany),
      JSON.stringify(candle("POISON", 2)),
    ].map((value) => ({ value })),
  });
  await producer.disconnect();
  await using _run = start();
  await untilAsync(hasRows("POISON", 2));
  expect(await volumesOf("POISON")).toEqual([0, 2]);
  const letters = await fresh.sql<{ account: string; raw: string }[]>`
    select account, raw from feedkeeper.dead_letters order by id`;
  expect(letters.map(({ account, raw }) => [account, raw]).toSorted()).toEqual(
    [
      [topic, "poison"],
      [topic, '{"type":"bar","symbol":"\\u0000"}'],
      [topic, Buffer.from("nul \0").toString("base64")],
      ["polygon", expect.stringContaining("3000000000")],
    ].toSorted(),
  );
  await untilAsync(async () => (await committed(topic)) === "6");
}, 60_000);

test("a broker that goes and comes back is joined again", async () => {
  await using run = start();
  await publish(minutes("BROKER", 0, 1));
  await untilAsync(hasRows("BROKER", 1));
  await broker.stop();
  await untilAsync(async () => stateOf(run.task.actor) === "retrying");
  await broker.start();
  await publish(minutes("BROKER", 1, 3));
  await untilAsync(hasRows("BROKER", 3));
  await untilAsync(async () => stateOf(run.task.actor) === "consuming");
}, 120_000);

import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from "bun:test";
import { createActor } from "xstate";
import { barWriter } from "../../../actors/sinks/bars.ts";
import { sink } from "../../../actors/sinks/sink.ts";
import { stateOf } from "../../../actors/supervision/state.ts";
import type { Bar, BarFact, BarRecord } from "../../../schema/market.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { type Outbox, undeliveredCount } from "../../../src/flow/outbox.ts";
import { BoundedQueue } from "../../../src/flow/queue.ts";
import { openSpool } from "../../../src/flow/spool.ts";
import {
  Database,
  DatabaseAwayError,
} from "../../../src/stores/postgres/database.ts";
import type { BarReceipt } from "../../../src/stores/postgres/marketStore.ts";
import { openDoor, type Door } from "../../support/door.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";
import { untilAsync } from "../../support/until.ts";

let fresh: FreshDatabase;
let door: Door;
let database: Database;

beforeAll(async () => {
  fresh = await freshDatabase();
}, MINUTE);
beforeEach(async () => {
  door = await openDoor(fresh.url);
  database = new Database();
  database.use(door.url);
});
afterEach(async () => {
  jest.useRealTimers();
  await database.close();
  await door[Symbol.asyncDispose]();
});
afterAll(() => fresh.drop());

const START = Date.UTC(2026, 8, 18, 13, 30);
let symbols = 0;
/** A symbol that nobody has had before. */
const newSymbol = () => `S${++symbols}`;

const bar = (symbol: string, minute = 0, members: Partial<Bar> = {}): Bar => ({
  kind: "bar",
  span: "minute",
  symbol,
  open: 1,
  high: 4,
  low: 0.5,
  close: 2,
  volume: 100,
  timestamp: new Date(START + minute * MINUTE).toISOString(),
  source: "alpaca:iex",
  receivedAtMs: 1,
  ...members,
});

const fact = (symbol: string, minute = 0): BarFact => ({
  kind: "fact",
  symbol,
  state: "live",
  from: new Date(START + minute * MINUTE).toISOString(),
  to: new Date(START + (minute + 1) * MINUTE).toISOString(),
  session: "session-1/stock/1",
});

/** Minutes of a symbol that have a row. */
async function minutesOf(symbol: string): Promise<number[]> {
  const rows = await fresh.sql<{ timestamp: Date }[]>`
    select timestamp from ohlcv_1m where symbol = ${symbol} order by 1`;
  return rows.map(({ timestamp }) => (+timestamp - START) / MINUTE);
}

function writerOf() {
  const written: [
    records: readonly BarRecord[],
    BarReceipt,
    trigger: string,
  ][] = [];
  const writer = barWriter({
    database,
    onWritten: (...told) => void written.push(told),
  });
  return { writer, written };
}

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: unknown) => error,
  );

test("opening makes the tables, and twice is once", async () => {
  const { writer } = writerOf();
  await writer.open();
  await writer.open();
  await writer.ping();
  expect(await minutesOf(newSymbol())).toEqual([]);
});

test("a batch is written and told, with what became of it and what closed it", async () => {
  const { writer, written } = writerOf();
  await writer.open();
  const symbol = newSymbol();
  const refused = bar(symbol, 1, { trades: 0.5 });
  const records = [bar(symbol), refused, bar(symbol, 2), fact(symbol)];
  await writer.write(records, "time");
  expect(await minutesOf(symbol)).toEqual([0, 2]);
  expect(written).toEqual([
    [
      records,
      {
        rows: 2,
        deadLetters: [
          expect.objectContaining({ raw: JSON.stringify(refused) }),
        ],
      },
      "time",
    ],
  ]);
});

test("a batch that fails is not told, and written again doubles nothing", async () => {
  const { writer, written } = writerOf();
  await writer.open();
  const symbol = newSymbol();
  await fresh.sql`alter table ohlcv_1m rename to away`;
  const failure = await outcome(writer.write([bar(symbol)], "size"));
  await fresh.sql`alter table away rename to ohlcv_1m`;
  expect(failure).toMatchObject({ code: "42P01" });
  expect(written).toEqual([]);
  await writer.write([bar(symbol)], "size");
  await writer.write([bar(symbol)], "size");
  expect(await minutesOf(symbol)).toEqual([0]);
});

test("a database that is not known yet is away, whatever it is asked", async () => {
  database = new Database();
  const { writer } = writerOf();
  for (const work of [
    writer.open(),
    writer.ping(),
    writer.write([bar("A")], "time"),
  ])
    expect(await outcome(work)).toBeInstanceOf(DatabaseAwayError);
});

describe("a database that hangs", () => {
  test.each<["open" | "ping" | "write", ms: number]>([
    ["open", 5 * SECOND],
    ["ping", 5 * SECOND],
    ["write", 15 * SECOND],
  ])(
    "in %s is given up in time, and its connections with it",
    async (what, ms) => {
      const { writer, written } = writerOf();
      await writer.open();
      const symbol = newSymbol();
      const before = database.sql;
      door.mute();
      jest.useFakeTimers();
      let told: unknown = "pending";
      const work =
        what === "write" ? writer.write([bar(symbol)], "size") : writer[what]();
      void outcome(work).then((result) => (told = result));
      jest.advanceTimersByTime(ms - 1);
      await new Promise((resolve) => setImmediate(resolve));
      const early = told;
      jest.advanceTimersByTime(1);
      await new Promise((resolve) => setImmediate(resolve));
      jest.useRealTimers();
      door.release();
      expect([early, told]).toEqual([
        "pending",
        new Error("the database does not answer"),
      ]);
      expect(database.sql).not.toBe(before);
      await writer.write([bar(symbol)], "size");
      expect(await minutesOf(symbol)).toEqual([0]);
      expect(written).toHaveLength(1);
    },
  );
});

test("the sink that is made of it loses no minute and no fact over an outage", async () => {
  const outbox: Outbox<BarRecord> = {
    sink: "bars",
    queue: new BoundedQueue(1_000),
    spool: openSpool({ path: ":memory:", sinks: ["bars"] }),
    inFlight: [],
  };
  await door.shut();
  const { writer } = writerOf();
  const actor = createActor(sink, { input: { outbox, writer } as never });
  actor.start();
  const symbol = newSymbol();
  const put = (minute: number) => {
    outbox.queue.offer(bar(symbol, minute));
    outbox.queue.offer(fact(symbol, minute));
  };
  put(0);
  await untilAsync(async () => undeliveredCount(outbox).disk === 2);
  await door.reopen();
  await untilAsync(async () => stateOf(actor) === "direct.taking");
  expect(await minutesOf(symbol)).toEqual([0]);

  await door.shut();
  put(1);
  await untilAsync(async () => stateOf(actor) === "spooling");
  put(2);
  await door.reopen();
  await untilAsync(async () => (await minutesOf(symbol)).length === 3);
  await untilAsync(async () => stateOf(actor) === "direct.taking");
  expect(undeliveredCount(outbox)).toEqual({ memory: 0, disk: 0 });
  const [interval] = await fresh.sql`
    select extract(epoch from to_at - from_at)::int as seconds
    from feedkeeper.coverage where account = ${symbol}`;
  expect(interval).toEqual({ seconds: 180 });
  actor.send({ type: "shutdown" });
  await untilAsync(async () => stateOf(actor) === "finished");
  outbox.spool.close();
});

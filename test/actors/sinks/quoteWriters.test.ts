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
import { quoteSink, type QuoteWriter } from "../../../actors/sinks/quotes.ts";
import {
  dryRunQuotes,
  firestoreQuotes,
  postgresQuotes,
} from "../../../actors/sinks/quoteWriters.ts";
import { stateOf } from "../../../actors/supervision/state.ts";
import type { LatestQuote } from "../../../schema/market.ts";
import { SECOND } from "../../../src/clock.ts";
import { Coalescer } from "../../../src/flow/coalesce.ts";
import { createLogger } from "../../../src/log.ts";
import {
  Database,
  DatabaseAwayError,
} from "../../../src/stores/postgres/database.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import { openDoor, type Door } from "../../support/door.ts";
import {
  newTenant,
  openFirestoreDoor,
  readDocuments,
} from "../../support/firestore.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";
import { startLoneTask } from "../../support/task.ts";
import { untilAsync } from "../../support/until.ts";

const quote = (symbol: string, bid: number): LatestQuote => ({
  symbol,
  bid,
  ask: bid + 1,
  price: bid + 0.5,
  timestamp: new Date().toISOString(),
});

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: unknown) => (error instanceof Error ? error.message : error),
  );

/** A sink on this writer, in a hurry. */
function startSink(writer: QuoteWriter) {
  const coalescer = new Coalescer<LatestQuote>({
    perKeyMs: 20,
    writesPerSecond: 1_000,
    burst: 1_000,
  });
  const tally = { written: 0, failed: 0, isFailing: false };
  const task = startLoneTask(quoteSink, {
    coalescer,
    flushMs: 10,
    tally,
    writer,
  });
  return {
    ...task,
    tally,
    set: (symbol: string, bid: number) =>
      coalescer.set(symbol, quote(symbol, bid)),
    shutDown: async () => {
      task.actor.send({ type: "shutdown" });
      await untilAsync(async () => stateOf(task.actor) === "finished");
    },
  };
}

interface Store {
  readonly writer: QuoteWriter;
  readonly door: Door;
  /** The bid of each symbol, as a reader sees it. */
  bids(): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
afterAll(() => fresh.drop());

async function postgresStore(): Promise<
  Store & { readonly database: Database }
> {
  const door = await openDoor(fresh.url);
  const database = new Database();
  database.use(door.url);
  const tenant = newTenant();
  return {
    door,
    database,
    writer: postgresQuotes(database, tenant),
    async bids() {
      const rows = await fresh.sql<{ symbol: string; bid: number }[]>`
        select symbol, bid from live_quotes where tenant_id = ${tenant}`;
      return Object.fromEntries(rows.map(({ symbol, bid }) => [symbol, bid]));
    },
    async close() {
      await database.close();
      await door[Symbol.asyncDispose]();
    },
  };
}

async function firestoreStore(): Promise<Store> {
  const door = await openFirestoreDoor();
  const tenant = newTenant();
  const collection = "live_quotes";
  return {
    door,
    writer: firestoreQuotes({ emulator: door.host, collection }, tenant),
    async bids() {
      const documents = await readDocuments(`tenants/${tenant}/${collection}`);
      return Object.fromEntries(
        Object.entries(documents).map(([id, { bid }]) => [id, bid]),
      );
    },
    async close() {
      await door[Symbol.asyncDispose]();
    },
  };
}

describe.each<[name: string, open: () => Promise<Store>]>([
  ["Postgres", postgresStore],
  ["Firestore", firestoreStore],
])("a sink of quotes in %s", (_name, open) => {
  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  const shows = (bids: Record<string, number>) =>
    untilAsync(async () => Bun.deepEquals(await store.bids(), bids));

  test("finds its store by itself, at the start and after it was gone, and shows what is newest then", async () => {
    await store.door.shut();
    const sink = startSink(store.writer);
    sink.set("AAPL", 1);
    await untilAsync(async () => sink.tally.isFailing);
    expect(stateOf(sink.actor)).toMatch(/^(opening|retrying)$/);
    sink.set("AAPL", 2);
    await store.door.reopen();
    await shows({ AAPL: 2 });
    await untilAsync(async () => stateOf(sink.actor) === "writing");

    await store.door.shut();
    sink.set("AAPL", 3);
    sink.set("SPY", 1);
    await untilAsync(async () => sink.tally.failed > 0);
    sink.set("SPY", 2);
    await store.door.reopen();
    await shows({ AAPL: 3, SPY: 2 });
    await untilAsync(async () => stateOf(sink.actor) === "writing");
    expect(sink.tally).toMatchObject({ isFailing: false });
    expect(sink.errors).toEqual([]);
    await sink.shutDown();
  });

  test("shows at the stop what came last, and a sink that is started again goes on", async () => {
    const first = startSink(store.writer);
    await untilAsync(async () => stateOf(first.actor) === "writing");
    first.set("AAPL", 1);
    await first.shutDown();
    expect(await store.bids()).toEqual({ AAPL: 1 });

    const second = startSink(store.writer);
    second.set("AAPL", 2);
    await shows({ AAPL: 2 });
    await second.shutDown();
  });
});

describe("Postgres", () => {
  test("is away while nobody knows where it is", async () => {
    const { open, write } = postgresQuotes(new Database(), "tenant");
    for (const work of [open(), write([quote("AAPL", 1)])])
      expect(await work.catch((error: unknown) => error)).toBeInstanceOf(
        DatabaseAwayError,
      );
  });

  test.each<
    [what: string, ms: number, work: (writer: QuoteWriter) => Promise<void>]
  >([
    ["opened", 5 * SECOND, (writer) => writer.open()],
    ["written to", 8 * SECOND, (writer) => writer.write([quote("AAPL", 1)])],
  ])(
    "that says nothing when it is %s is given up in time, and its connections with it",
    async (_what, ms, work) => {
      const { writer, database, door, bids, close } = await postgresStore();
      await writer.open();
      const before = database.sql;
      door.mute();
      jest.useFakeTimers();
      let told: unknown = "pending";
      void outcome(work(writer)).then((result) => (told = result));
      jest.advanceTimersByTime(ms - 1);
      await new Promise((resolve) => setImmediate(resolve));
      const early = told;
      jest.advanceTimersByTime(1);
      await new Promise((resolve) => setImmediate(resolve));
      jest.useRealTimers();
      expect([early, told]).toEqual([
        "pending",
        "the database does not answer",
      ]);
      expect(database.sql).not.toBe(before);
      door.release();
      await writer.write([quote("AAPL", 2)]);
      expect(await bids()).toEqual({ AAPL: 2 });
      await close();
    },
  );
});

test("a writer that was never opened says so", async () => {
  const address = { emulator: "127.0.0.1:1", collection: "live_quotes" };
  const writer = firestoreQuotes(address, "tenant");
  expect(await outcome(writer.write([quote("AAPL", 1)]))).toBe("not connected");
  writer.close();
});

test("a dry run says how many quotes it would have written, and of no price", async () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  });
  const writer = dryRunQuotes("quotes-postgres", log);
  await writer.open();
  await writer.write([quote("AAPL", 1), quote("SPY", 2)]);
  writer.close();
  expect(lines).toEqual([
    {
      time: expect.any(String),
      level: "INFO",
      message: "dry_run_would_write",
      sink: "quotes-postgres",
      quotes: 2,
    },
  ]);
});

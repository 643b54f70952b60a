import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { LatestQuote } from "../../schema/market.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { freePort } from "../../src/http/listen.ts";
import {
  connectFirestore,
  documentId,
  type FirestoreConnection,
  type Heartbeat,
  writeHeartbeat,
  writeQuotes,
} from "../../src/stores/firestore.ts";
import type { Door } from "../support/door.ts";
import {
  newTenant,
  openFirestoreDoor,
  putDocument,
  readDocument,
  readDocuments,
  startEmulator,
} from "../support/firestore.ts";

const TIME = expect.stringMatching(/^\d{4}-.*Z$/);

let door: Door;
let connection: FirestoreConnection;
let tenant: string;

beforeEach(async () => {
  door = await openFirestoreDoor();
  connection = connectFirestore({ emulator: door.host });
  tenant = newTenant();
});
afterEach(async () => {
  jest.useRealTimers();
  await connection.terminate();
  await door[Symbol.asyncDispose]();
});

const quote = (members: Partial<LatestQuote> = {}): LatestQuote => ({
  symbol: "AAPL",
  bid: 172.41,
  ask: 172.43,
  bidSize: 100,
  askSize: 0.5,
  price: 172.42,
  timestamp: "2026-09-18T13:30:00.123456789Z",
  ...members,
});

const write = (...quotes: LatestQuote[]) =>
  writeQuotes(connection, { tenant, collection: "live_quotes" }, quotes);

const stored = () => readDocuments(`tenants/${tenant}/live_quotes`);

const bidOf = async (symbol = "AAPL") =>
  (await readDocument(`tenants/${tenant}/live_quotes/${symbol}`))?.["bid"];

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: unknown) => (error instanceof Error ? error.message : error),
  );

/** Tries until the store takes it. */
async function catchUp(...quotes: LatestQuote[]): Promise<void> {
  for (const deadline = Date.now() + 20 * SECOND; ; await sleep(100)) {
    const told = await outcome(write(...quotes));
    if (told === "done") return;
    if (Date.now() > deadline) throw new Error(`never caught up: ${told}`);
  }
}

describe("a quote", () => {
  test("is the document that consumers read, a slash in its symbol being none", async () => {
    await write(
      quote(),
      quote({ symbol: "BTC/USD", timestamp: "2026-09-18T13:30:00Z" }),
    );
    const document = {
      symbol: "AAPL",
      source: "alpaca",
      bid: 172.41,
      ask: 172.43,
      price: 172.42,
      bid_price: 172.41,
      ask_price: 172.43,
      bid_size: 100,
      ask_size: 0.5,
      ts: "2026-09-18T13:30:00.123Z",
      last_update_ts: "2026-09-18T13:30:00.123Z",
      updated_at: TIME,
    };
    const ts = "2026-09-18T13:30:00.000Z";
    expect(await stored()).toEqual({
      AAPL: document,
      "BTC-USD": { ...document, symbol: "BTC/USD", ts, last_update_ts: ts },
    });
  });

  test("of one side alone blocks nobody, and leaves nothing of the other side behind", async () => {
    await write(quote());
    const { ask: _, askSize: __, price: ___, ...oneSided } = quote({ bid: 1 });
    await write(oneSided, quote({ symbol: "SPY" }));
    expect(await stored()).toEqual({
      AAPL: expect.objectContaining({
        bid: 1,
        bid_price: 1,
        ask: null,
        ask_price: null,
        ask_size: null,
        price: null,
      }),
      SPY: expect.objectContaining({ bid: 172.41, ask: 172.43 }),
    });
  });

  test("leaves alone what somebody else has put into the document", async () => {
    await putDocument(`tenants/${tenant}/live_quotes/AAPL`, { note: "mine" });
    await write(quote());
    expect((await stored())["AAPL"]).toMatchObject({
      note: "mine",
      ask: 172.43,
    });
  });

  test("whose time cannot be told is of now", async () => {
    await write(quote({ timestamp: "yesterday" }));
    expect((await stored())["AAPL"]).toMatchObject({
      ts: TIME,
      updated_at: TIME,
    });
  });

  test("goes to the collection and the tenant it is meant for, and to no other", async () => {
    const place = { tenant, collection: "latest" };
    await writeQuotes(connection, place, [quote()]);
    expect(await stored()).toEqual({});
    expect(
      Object.keys(await readDocuments(`tenants/${tenant}/latest`)),
    ).toEqual(["AAPL"]);
  });
});

test.each([
  ["AAPL", "AAPL"],
  ["BRK.B", "BRK.B"],
  ["BTC/USD", "BTC-USD"],
  ["A/B/C", "A-B-C"],
])("the document of %s is %s", (symbol, id) => {
  expect(documentId(symbol)).toBe(id);
});

test("a heartbeat is one document, overwritten by the next", async () => {
  const counters = { quotes_seen: 3, writes_ok: 2, writes_err: 1 };
  const beat: Heartbeat = {
    status: "running",
    lastSymbol: undefined,
    dryRun: false,
    counters,
  };
  const read = () => readDocument(`tenants/${tenant}/ops/market_ingest`);
  await writeHeartbeat(connection, tenant, beat);
  expect(await read()).toEqual({
    ts: TIME,
    last_heartbeat_at: TIME,
    status: "running",
    last_symbol: null,
    dry_run: false,
    counters,
  });
  const later = { ...beat, status: "stopped", lastSymbol: "SPY" } as const;
  await writeHeartbeat(connection, tenant, later);
  expect(await read()).toMatchObject({ status: "stopped", last_symbol: "SPY" });
});

describe("a store that is away", () => {
  test("at the start is told at once, and found when it is there", async () => {
    await door.shut();
    const begunMs = performance.now();
    expect(await outcome(write(quote()))).toContain("UNAVAILABLE");
    expect(performance.now() - begunMs).toBeLessThan(5 * SECOND);
    await door.reopen();
    await catchUp(quote());
    expect(await bidOf()).toBe(172.41);
  });

  test("in between, stopped and started on one port, takes what comes afterwards and nothing that was given up", async () => {
    const port = await freePort("127.0.0.1");
    let emulator = await startEmulator(port);
    const own = connectFirestore({ emulator: emulator.emulator });
    const place = { tenant, collection: "live_quotes" };
    const put = (bid: number) => writeQuotes(own, place, [quote({ bid })]);
    try {
      await put(1);
      emulator.stop();
      expect(await outcome(put(2))).toContain("UNAVAILABLE");
      emulator = await startEmulator(port);
      for (const deadline = Date.now() + 20 * SECOND; ; await sleep(50)) {
        if ((await outcome(put(3))) === "done") break;
        if (Date.now() > deadline) throw new Error("never caught up");
      }
      const document = own.database.doc(`tenants/${tenant}/live_quotes/AAPL`);
      expect((await document.get()).data()?.["bid"]).toBe(3);
    } finally {
      await own.terminate();
      emulator.stop();
    }
  });

  test("and swallows everything is given up after 8 s, and its connection with it", async () => {
    await write(quote({ bid: 1 }));
    const before = door.admitted;
    door.mute();
    jest.useFakeTimers();
    let told: unknown = "pending";
    void outcome(write(quote({ bid: 2 }))).then((result) => (told = result));
    const pass = async (ms: number) => {
      for (let leftMs = ms; leftMs > 0; leftMs -= 100) {
        jest.advanceTimersByTime(Math.min(100, leftMs));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await pass(7 * SECOND);
    const early = told;
    await pass(2 * SECOND);
    jest.useRealTimers();
    door.release();
    expect([early, told]).toEqual([
      "pending",
      expect.stringContaining("DEADLINE_EXCEEDED"),
    ]);
    await write(quote({ bid: 3 }));
    expect(door.admitted).toBe(before + 1);
  });
});

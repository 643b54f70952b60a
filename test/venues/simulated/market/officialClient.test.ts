/** The official npm client, which nobody here wrote, streams from the venue and reads its history: what it makes of both has to be the same. */
import {
  Alpaca,
  type marketDataShapes,
  type streaming,
  TimeFrame,
} from "@alpacahq/alpaca-trade-api";
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { HOUR, MINUTE, SECOND, within } from "../../../../src/clock.ts";
import { ALPHA } from "../wire.ts";
import { CRYPTO, Feed, NOW } from "./feed.ts";

type Stream = streaming.StockDataStream | streaming.CryptoDataStream;
type Row =
  marketDataShapes.Bar | marketDataShapes.Trade | marketDataShapes.Quote;

let feed: Feed;
let alpaca: Alpaca;
const opened: Stream[] = [];

beforeAll(async () => {
  feed = await Feed.open();
  alpaca = clientOf(ALPHA.secretKey);
});
afterAll(async () => {
  for (const stream of opened) stream.disconnect();
  await feed[Symbol.asyncDispose]();
});
// Its next connection has to find the slot free.
beforeEach(async () => {
  for (const stream of opened.splice(0)) stream.disconnect();
  await Bun.sleep(20);
});

/** It knows its makers' host alone, so what it sends there is brought here. */
function clientOf(secret: string): Alpaca {
  return new Alpaca({
    keyId: ALPHA.keyId,
    secret,
    fetchApi: (url, init) =>
      fetch(
        String(url).replace("https://data.alpaca.markets", feed.venue.url),
        init,
      ),
  });
}

function urlOf(path: string): string {
  return feed.venue.url.replace("http", "ws") + path;
}

/** Everything that a stream told of each kind. */
function notesOf(stream: Stream) {
  opened.push(stream);
  const notes = {
    trades: [] as Row[],
    quotes: [] as Row[],
    bars: [] as Row[],
    others: [] as string[],
    problems: [] as unknown[],
  };
  stream
    .onTrade((trade) => notes.trades.push(trade))
    .onQuote((quote) => notes.quotes.push(quote))
    .onBar((bar) => notes.bars.push(bar))
    .onUpdatedBar((bar) => {
      notes.others.push("updated");
      notes.bars.push(bar);
    })
    .onDailyBar(() => notes.others.push("daily"))
    .onLuld(() => notes.others.push("luld"))
    .onStatus(({ symbol }) => notes.others.push(`status ${symbol}`))
    .onCorrection(() => notes.others.push("correction"))
    .onCancelError(() => notes.others.push("cancel"))
    .onOrderbook(() => notes.others.push("book"));
  stream.onError((problem) => notes.problems.push(problem));
  return notes;
}

async function subscribed(
  stream: Stream,
  subscribe: () => void,
): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  stream.on("subscription", resolve);
  stream.onConnect(subscribe);
  stream.connect();
  return await within(5 * SECOND, promise, "no subscription");
}

async function settled(list: readonly unknown[], count: number): Promise<void> {
  const deadlineMs = performance.now() + 5 * SECOND;
  while (list.length < count) {
    if (performance.now() > deadlineMs)
      throw new Error(`${list.length} of ${count} came`);
    await Bun.sleep(5);
  }
}

/**
 * Of an interval, in order of time (late trades come late). Without the raw time,
 * which the client's two halves write with and without zeros at the end.
 */
function plain(rows: readonly Row[] = [], sinceMs = 0) {
  return rows
    .map(({ timestampRaw: _, ...row }) => row)
    .filter(({ timestamp }) => timestamp.getTime() >= sinceMs)
    .toSorted((a, b) => a.timestamp.getTime() - b.timestamp.getTime());
}

/** Bars of a symbol; an updated one in the place of the first. */
function lastWords(bars: readonly Row[], symbol: string) {
  const byMinute = new Map(
    bars
      .filter((bar) => bar.symbol === symbol)
      .map((bar) => [bar.timestamp.getTime(), bar]),
  );
  return plain([...byMinute.values()]);
}

test("it streams trades, quotes and bars of stocks, and reads the same by REST", async () => {
  const startMs = feed.nowMs;
  const stream = alpaca.marketData.stockStream({ url: urlOf("/v2/iex") });
  const notes = notesOf(stream);
  const granted = await subscribed(stream, () => {
    stream.subscribeForTrades(["AAPL"]);
    stream.subscribeForQuotes(["AAPL"]);
    stream.subscribeForBars(["AAPL", "SPY"]);
    stream.subscribeForUpdatedBars(["AAPL", "SPY"]);
  });
  expect(granted).toMatchObject({ trades: ["AAPL"] });
  await Bun.sleep(30);
  feed.advance(2 * MINUTE + SECOND);
  await settled(notes.bars, 6);
  const request = {
    symbols: ["AAPL"],
    start: new Date(startMs),
    end: new Date(feed.nowMs),
    limit: 37,
  };
  const { marketData } = alpaca;
  const { AAPL: trades } = await marketData.getStockTrades(request);
  const { AAPL: quotes } = await marketData.getStockQuotes(request);
  const bars = await marketData.getStockBars({
    ...request,
    symbols: ["AAPL", "SPY"],
    timeframe: TimeFrame.Minute,
    limit: 2,
    start: new Date(startMs - MINUTE),
  });
  expect(notes.problems).toEqual([]);
  expect(trades?.length).toBeGreaterThan(50);
  expect(plain(notes.trades, startMs)).toEqual(plain(trades));
  expect(plain(notes.quotes)).toEqual(plain(quotes));
  for (const symbol of ["AAPL", "SPY"])
    expect(lastWords(notes.bars, symbol)).toEqual(plain(bars[symbol]));
});

test("it streams crypto, its order books too, and reads the same by REST", async () => {
  const startMs = feed.nowMs;
  const stream = alpaca.marketData.cryptoStream({ url: urlOf(CRYPTO) });
  const notes = notesOf(stream);
  await subscribed(stream, () => {
    stream.subscribeForOrderbooks(["ETH/USD"]);
    stream.subscribeForTrades(["BTC/USD"]);
    stream.subscribeForBars(["*"]);
  });
  await Bun.sleep(30);
  feed.advance(MINUTE + SECOND);
  await settled(notes.bars, 3);
  const { "BTC/USD": trades } = await alpaca.marketData.getCryptoTrades({
    loc: "us",
    symbols: ["BTC/USD"],
    start: new Date(startMs),
    end: new Date(feed.nowMs),
  });
  expect(notes.problems).toEqual([]);
  expect(plain(notes.trades)).toMatchObject(
    plain(trades).map(({ symbol, timestamp }) => ({ symbol, timestamp })),
  );
  expect(notes.others.filter((each) => each === "book").length).toBeGreaterThan(
    10,
  );
  const books = await alpaca.marketData.crypto.cryptoLatestOrderbooks({
    loc: "us",
    symbols: "BTC/USD",
  });
  expect(books.orderbooks["BTC/USD"]?.b.length).toBe(5);
});

test("it understands everything else that the venue sends", async () => {
  const stream = alpaca.marketData.stockStream({ url: urlOf("/v2/sip") });
  const notes = notesOf(stream);
  await subscribed(stream, () => {
    stream.subscribeForStatuses(["HALT"]);
    stream.subscribeForTrades(["SPY", "NVDA"]);
    stream.subscribeForUpdatedBars(["SPY"]);
    stream.subscribeForDailyBars(["SPY"]);
    stream.subscribeForLulds(["SPY"]);
  });
  await Bun.sleep(30);
  feed.advance(HOUR);
  const kinds = [
    "updated",
    "daily",
    "luld",
    "status HALT",
    "correction",
    "cancel",
  ];
  await settled(notes.trades, 1000);
  await Bun.sleep(50);
  expect(new Set(notes.others)).toEqual(new Set(kinds));
  expect(notes.problems).toEqual([]);
});

describe("it reads", () => {
  test("a snapshot, the latest of a symbol, and bars of days", async () => {
    const { stocks } = alpaca.marketData;
    const snapshot = await stocks.stockSnapshotSingle({ symbol: "AAPL" });
    expect(snapshot).toMatchObject({ symbol: "AAPL" });
    expect(snapshot.latestTrade?.p).toBe(
      (await alpaca.marketData.getLatestPrice("AAPL")) ?? Number.NaN,
    );
    const bars = await alpaca.marketData.getStockBars({
      symbols: "AAPL",
      timeframe: TimeFrame.Day,
      start: new Date(NOW - 3 * 24 * HOUR),
    });
    expect(
      bars["AAPL"]?.map(({ timestamp }) => timestamp.toISOString()),
    ).toEqual([14, 15, 16].map((day) => `2026-09-${day}T04:00:00.000Z`));
  });

  test("nothing where there is nothing, and is told what is wrong", async () => {
    const old = {
      symbols: ["AAPL"],
      timeframe: TimeFrame.Minute,
      start: new Date("2015-01-01"),
      end: new Date("2015-01-02"),
    };
    expect(await alpaca.marketData.getStockBars(old)).toEqual({});
    const wrong = alpaca.marketData.stocks.stockBars({
      symbols: "aapl",
      timeframe: TimeFrame.Minute,
    });
    await expect(wrong).rejects.toThrow("invalid symbol: aapl");
  });
});

test("a wrong secret ends its stream, and a taken place is told and waited for", async () => {
  const refused = clientOf("wrong").marketData.stockStream({
    url: urlOf("/v2/iex"),
  });
  const problems = notesOf(refused).problems;
  refused.connect();
  await settled(problems, 1);
  expect(String(problems[0])).toContain("auth failed");

  const holder = await feed.enter("/v2/test");
  const second = alpaca.marketData.stockStream({ url: urlOf("/v2/test") });
  const told = notesOf(second).problems;
  second.connect();
  await settled(told, 1);
  expect(String(told[0])).toContain("connection limit exceeded");
  holder.close();
});

/**
 * Alpaca's market data by REST: what a feed asks before it gives up a silent
 * connection, and the minutes that it missed.
 * https://docs.alpaca.markets/reference/stockbars
 */
import { nanosOf } from "../../../schema/instant.ts";
import type { AssetClass, Bar } from "../../../schema/market.ts";
import {
  elementTexts,
  isObject,
  MalformedError,
  memberText,
  readText,
} from "../../../schema/read.ts";
import { MINUTE, systemClock, type Clock } from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import type { FeedHistory } from "../feedVenue.ts";
import { sourceOf, type StockFeed } from "./marketData.ts";
import { type Members, readBar, readTime } from "./marketMessages.ts";
import type { AlpacaRest, CallOptions, Query, RawObject } from "./rest.ts";

/** What the free plan does not show of the consolidated feed. */
const HELD_BACK_MS = 15 * MINUTE;
/** Rows of all symbols together in one page; the venue's default would be a tenth. */
const PAGE_LENGTH_MAX = 10_000;
/** Encoded symbols in one address, well below the 8 kB at which proxies answer 414. */
const SYMBOLS_CHARACTERS_MAX = 6000;
/** Symbols of one request that the venue may call invalid, one an answer, before that is its caller's problem. */
const INVALID_MAX = 50;

interface Paths {
  readonly latestTrades: string;
  readonly bars: string;
}

const PATHS: Readonly<Record<AssetClass, Paths>> = {
  stock: {
    latestTrades: "/v2/stocks/trades/latest",
    bars: "/v2/stocks/bars",
  },
  crypto: {
    latestTrades: "/v1beta3/crypto/us/latest/trades",
    bars: "/v1beta3/crypto/us/bars",
  },
};

/** The `feed` parameter by the stream's feed: history knows no delay, and nothing of the test symbol. */
const REST_FEEDS: Readonly<
  Record<StockFeed, { readonly latestTrades: string; readonly bars: string }>
> = {
  iex: { latestTrades: "iex", bars: "iex" },
  sip: { latestTrades: "sip", bars: "sip" },
  delayed_sip: { latestTrades: "delayed_sip", bars: "sip" },
  test: { latestTrades: "iex", bars: "iex" },
};

export interface AlpacaHistorySettings {
  /** Of the market data's host. */
  readonly rest: AlpacaRest;
  readonly assetClass: AssetClass;
  /** Of stocks; crypto has one feed only. */
  readonly feed: StockFeed;
  /** Told each row that could not be read, whole; the rows beside it are good. */
  readonly onMalformed: (row: {
    readonly raw: string;
    readonly reason: string;
  }) => void;
  readonly clock?: Clock;
}

/**
 * Symbols that the venue does not know are absent from what comes. What the plan
 * does not allow fails as `rejected`, see {@link isBeyondPlan}.
 */
export function alpacaHistory(settings: AlpacaHistorySettings): FeedHistory {
  const { rest, assetClass, feed, onMalformed } = settings;
  const clock = settings.clock ?? systemClock;
  const paths = PATHS[assetClass];
  const source = sourceOf(assetClass, feed);
  const feedOf = (call: keyof Paths) =>
    assetClass === "stock" ? REST_FEEDS[feed][call] : undefined;

  return {
    heldBackMs: (error) => (isBeyondPlan(error) ? HELD_BACK_MS : undefined),

    async latestTrades(symbols, signal) {
      const times = new Map<string, number>();
      const query = { feed: feedOf("latestTrades") };
      for await (const page of pages(rest, paths.latestTrades, symbols, query, {
        priority: "live",
        signal,
      }))
        for (const row of rowsOf(page, "trades"))
          readRow(row, onMalformed, ({ members, symbol }) =>
            times.set(symbol, msOf(readTime(members["t"]))),
          );
      return times;
    },

    async *bars(symbols, { from, to }, signal) {
      if (from >= to) return;
      const query = {
        timeframe: "1Min",
        start: new Date(from).toISOString(),
        // The venue includes the end.
        end: new Date(to - 1).toISOString(),
        limit: PAGE_LENGTH_MAX,
        // The venue refuses a parameter that it does not know: crypto has no splits.
        adjustment: assetClass === "stock" ? "raw" : undefined,
        feed: feedOf("bars"),
        sort: "asc",
      };
      for await (const page of pages(rest, paths.bars, symbols, query, {
        priority: "healing",
        signal,
      })) {
        const reception = { source, receivedAtMs: clock.now() };
        const bars: Bar[] = [];
        for (const row of rowsOf(page, "bars"))
          readRow(row, onMalformed, ({ members, symbol }) => {
            const bar = readBar(members, symbol, "history", reception);
            const ms = msOf(bar.timestamp);
            if (ms >= from && ms < to) bars.push(bar);
          });
        if (bars.length > 0) yield bars;
      }
    },
  };
}

/**
 * Whether the key is good and only its plan does not reach what was asked for:
 * the last 15 minutes of the consolidated feed, on the free one. The same
 * interval may be read when it is older.
 */
export function isBeyondPlan(error: unknown): boolean {
  return (
    error instanceof VenueError &&
    /subscription does not permit/i.test(error.message)
  );
}

/** Every page of a request for all symbols, as many of them at a time as an address holds. */
async function* pages(
  rest: AlpacaRest,
  path: string,
  symbols: readonly string[],
  query: Query,
  options: CallOptions,
): AsyncGenerator<RawObject> {
  for (const chunk of chunksOf(symbols))
    yield* pagesOfChunk(rest, path, chunk, query, options);
}

/** Pages may be short or empty: only the missing token ends. */
async function* pagesOfChunk(
  rest: AlpacaRest,
  path: string,
  symbols: readonly string[],
  query: Query,
  options: CallOptions,
): AsyncGenerator<RawObject> {
  const tokens = new Set<string>();
  let asked = symbols;
  let token: string | undefined;
  while (asked.length > 0) {
    let page: RawObject;
    try {
      page = await rest.object(
        path,
        { symbols: asked.join(","), ...query, page_token: token },
        options,
      );
    } catch (error) {
      const invalid = invalidSymbolOf(error);
      const others = asked.filter((symbol) => symbol !== invalid);
      const isTold = others.length < asked.length && token === undefined;
      if (!isTold || symbols.length - others.length > INVALID_MAX)
        throw withoutBlame(error);
      asked = others;
      continue;
    }
    yield page;
    token = readText(page.value["next_page_token"]);
    if (token === undefined) return;
    if (tokens.has(token))
      throw new VenueError(`the pages of ${path} do not move on`, {
        failure: "rejected",
      });
    tokens.add(token);
  }
}

/** One symbol of a wrong form makes the venue refuse the whole request, and name it. */
function invalidSymbolOf(error: unknown): string | undefined {
  return error instanceof VenueError && error.status === 400
    ? /invalid symbol: (\S+)$/i.exec(error.message)?.[1]
    : undefined;
}

/** A 403 says as a rule that the key is refused, which opens its breaker; here it is the request. */
function withoutBlame(error: unknown): unknown {
  return error instanceof VenueError && isBeyondPlan(error)
    ? new VenueError(error.message, {
        failure: "rejected",
        status: error.status,
      })
    : error;
}

interface Row {
  readonly symbol: string;
  readonly value: unknown;
  /** The row as it stands in the answer. */
  readonly raw: () => string;
}

/** Rows of a page: a list, or one, for each symbol; null stands for none, for one symbol as for all. */
function* rowsOf(page: RawObject, name: string): Generator<Row> {
  const bySymbol = page.value[name] ?? {};
  if (!isObject(bySymbol))
    throw new VenueError(`${name} are not told by symbol`, {
      failure: "rejected",
    });
  for (const [symbol, rows] of Object.entries(bySymbol)) {
    if (rows === null) continue;
    const list: readonly unknown[] = Array.isArray(rows) ? rows : [rows];
    for (const [index, value] of list.entries())
      yield { symbol, value, raw: () => textOf(page.raw, name, symbol, index) };
  }
}

function textOf(
  page: string,
  name: string,
  symbol: string,
  index: number,
): string {
  const text = memberText(memberText(page, name) ?? "{}", symbol) ?? "null";
  return text.startsWith("[") ? (elementTexts(text)[index] ?? text) : text;
}

/** Reads one row, or sets it aside. */
function readRow(
  { symbol, value, raw }: Row,
  onMalformed: AlpacaHistorySettings["onMalformed"],
  read: (row: { members: Members; symbol: string }) => void,
): void {
  try {
    if (!isObject(value)) throw new MalformedError("not an object");
    read({ members: value, symbol });
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    onMalformed({ raw: raw(), reason: `${symbol}: ${error.message}` });
  }
}

/** Lists whose encoded text fits into an address; each symbol once. */
function chunksOf(symbols: readonly string[]): string[][] {
  const chunks: string[][] = [];
  let room = 0;
  for (const symbol of new Set(symbols)) {
    const length = encodeURIComponent(`${symbol},`).length;
    if (length > room) {
      chunks.push([]);
      room = SYMBOLS_CHARACTERS_MAX;
    }
    chunks.at(-1)?.push(symbol);
    room -= length;
  }
  return chunks;
}

/** Of a time that was read before: the millisecond that it falls into, never the next one. */
function msOf(timestamp: string): number {
  return Number((nanosOf(timestamp) ?? 0n) / 1_000_000n);
}

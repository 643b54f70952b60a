/**
 * The REST face of market data: bars, trades, quotes, latest of each, snapshots,
 * for stocks (`/v2/stocks/…`) and crypto (`/v1beta3/crypto/{loc}/…`).
 * https://docs.alpaca.markets/reference/stockbars
 */
import { DAY, MINUTE } from "../../../clock.ts";
import { json, Refusal, refusalAnswer } from "../answer.ts";
import { orderBookRow, type WireMessage } from "./messages.ts";
import {
  barSteps,
  type Extent,
  newest,
  pageOf,
  priceSteps,
  quoteSteps,
  type Steps,
  tradeSteps,
} from "./page.ts";
import {
  instantOf,
  invalid,
  limitOf,
  oneOf,
  requireAdjustment,
  requireKnown,
  requireSymbol,
  symbolsOf,
  timeframeOf,
} from "./query.ts";
import { dayStart, spanOf } from "./spans.ts";
import type { Tape } from "./tape.ts";

export interface MarketRestFace {
  readonly tape: Tape;
  readonly now: () => number;
  /** Whether the plan shows the last minutes of all exchanges. */
  readonly showsRecentSip: boolean;
}

/** The feed of all exchanges is this much behind for who does not pay for it. */
export const DELAY_MS = 15 * MINUTE;

const LIMIT = { fallback: 1_000, max: 10_000 };
const NEWS_LIMIT = { fallback: 10, max: 50 };
/** Pages of crypto end long before the limit that was asked for. */
const CRYPTO_PAGE_MAX = 400;
/** The longest that a market is closed, and a day more. */
const LOOK_BACK_MS = 6 * DAY;

const FEEDS = ["sip", "iex", "boats", "otc"] as const;
const LATEST_FEEDS = [...FEEDS, "delayed_sip", "overnight"] as const;
const LOCATIONS = ["us", "us-1", "us-2", "eu-1", "bs-1"];

const PAGED = ["start", "end", "limit", "sort", "page_token"];
const OF_STOCKS = ["feed", "currency"];

type Kind = "bars" | "trades" | "quotes";

/** One request, and of what. */
interface Asked {
  readonly face: MarketRestFace;
  readonly query: URLSearchParams;
  readonly isCrypto: boolean;
  /** The symbol in the path; absent where the query lists them. */
  readonly single: string | undefined;
}

export function isMarketData(pathname: string): boolean {
  return /^\/(v2\/stocks|v1beta3\/crypto|v1beta1\/news)(\/|$)/.test(pathname);
}

/** Of crypto anybody is told, with or without a key. */
export function isPublic(pathname: string): boolean {
  return pathname.startsWith("/v1beta3/crypto/");
}

/** Answers one request; whether the caller may is settled. */
export function answerMarket(
  face: MarketRestFace,
  { method }: Request,
  url: URL,
): Response {
  try {
    if (method !== "GET") throw notFound();
    return routed(face, url);
  } catch (error) {
    if (error instanceof Refusal) return refusalAnswer(error);
    throw error;
  }
}

function routed(face: MarketRestFace, url: URL): Response {
  const { pathname, searchParams: query } = url;
  const crypto = /^\/v1beta3\/crypto\/([^/]+)\/(.+)$/.exec(pathname);
  const asked = { face, query, isCrypto: crypto !== null };
  if (crypto !== null) {
    const [, location = "", rest = ""] = crypto;
    if (!LOCATIONS.includes(location))
      throw invalid(`invalid location: ${location}`);
    const latest = /^latest\/(bars|trades|quotes|orderbooks)$/.exec(rest)?.[1];
    return latest === undefined
      ? ofMany({ ...asked, single: undefined }, rest)
      : latestOf({ ...asked, single: undefined }, latest);
  }
  if (pathname === "/v1beta1/news") return news(query);
  const [, many] = /^\/v2\/stocks\/([a-z]+(?:\/latest)?)$/.exec(pathname) ?? [];
  if (many !== undefined) return ofMany({ ...asked, single: undefined }, many);
  const [, symbol = "", one = ""] =
    /^\/v2\/stocks\/([^/]+)\/([a-z]+(?:\/latest)?)$/.exec(pathname) ?? [];
  return ofOne({ ...asked, single: decoded(symbol) }, one);
}

function ofMany(asked: Asked, what: string): Response {
  switch (what) {
    case "bars":
    case "trades":
    case "quotes":
      return page(asked, what);
    case "snapshots":
      return snapshots(asked);
    case "bars/latest":
    case "trades/latest":
    case "quotes/latest":
      if (asked.isCrypto) throw notFound();
      return latestOf(asked, what.replace("/latest", ""));
    default:
      throw notFound();
  }
}

function ofOne(asked: Asked, what: string): Response {
  if (what === "snapshots" || what === "") throw notFound();
  return what === "snapshot" ? snapshots(asked) : ofMany(asked, what);
}

function page(asked: Asked, kind: Kind): Response {
  const { query, isCrypto, single } = asked;
  requireKnown(query, [
    ...PAGED,
    ...(single === undefined ? ["symbols"] : []),
    ...(kind === "bars" ? ["timeframe"] : []),
    ...(isCrypto ? [] : [...OF_STOCKS, "asof"]),
    ...(isCrypto || kind !== "bars" ? [] : ["adjustment"]),
  ]);
  requireAdjustment(query);
  const symbols = symbolsAsked(asked);
  const extent = extentOf(asked);
  const limit = limitOf(query, LIMIT);
  const { rows, token } = pageOf(
    stepsOf(asked, kind, extent),
    symbols,
    isCrypto ? Math.min(limit, CRYPTO_PAGE_MAX) : limit,
    query.get("page_token"),
  );
  return json(
    single === undefined
      ? { [kind]: rows, next_page_token: token }
      : {
          [kind]: rows[single] ?? null,
          symbol: single,
          next_page_token: token,
        },
  );
}

function stepsOf(
  { face: { tape }, query, isCrypto }: Asked,
  kind: Kind,
  extent: Extent,
): Steps {
  switch (kind) {
    case "bars":
      return barSteps(tape, extent, timeframeOf(query, isCrypto));
    case "trades":
      return tradeSteps(tape, extent);
    case "quotes":
      return quoteSteps(tape, extent);
  }
}

function extentOf({ face, query, isCrypto }: Asked): Extent {
  const nowMs = face.now();
  const feed = isCrypto ? undefined : (oneOf(query, "feed", FEEDS) ?? "sip");
  const isDelayed = feed === "sip" && !face.showsRecentSip;
  const untilMs = isDelayed ? nowMs - DELAY_MS : nowMs;
  const endMs = instantOf(query, "end", isCrypto);
  // A day that is not over ends now; an instant is taken at its word.
  const isInstant = query.get("end")?.includes("T") === true;
  if (isDelayed && isInstant && endMs !== undefined && endMs > untilMs)
    throw noRecentSip();
  return {
    fromMs: instantOf(query, "start", isCrypto) ?? dayStart(isCrypto, untilMs),
    toMs: Math.min(endMs ?? untilMs, untilMs),
    order: oneOf(query, "sort", ["asc", "desc"]) ?? "asc",
    // What the plan hides now it will show as it was then.
    nowMs: untilMs,
  };
}

function latestOf(asked: Asked, kind: string): Response {
  const { query, isCrypto, single } = asked;
  requireKnown(query, [
    ...(single === undefined ? ["symbols"] : []),
    ...(isCrypto ? [] : OF_STOCKS),
  ]);
  const steps = newestSteps(asked, kind);
  const found: Record<string, WireMessage> = {};
  for (const symbol of symbolsAsked(asked)) {
    const row = newest(steps, symbol);
    if (row !== undefined) found[symbol] = row;
  }
  return json(
    single === undefined
      ? { [kind]: found }
      : { symbol: single, [kind.replace(/s$/, "")]: found[single] ?? null },
  );
}

/** Newest first, as far as the feed knows. */
function newestSteps(asked: Asked, kind: string): Steps {
  const { tape } = asked.face;
  const nowMs = latestMs(asked);
  const extent: Extent = {
    fromMs: nowMs - LOOK_BACK_MS,
    toMs: nowMs,
    order: "desc",
    nowMs,
  };
  switch (kind) {
    case "trades":
      return priceSteps(tape, extent);
    case "quotes":
      return quoteSteps(tape, extent);
    case "orderbooks":
      return quoteSteps(tape, extent, (_, quote) => orderBookRow(quote));
    default: {
      const span = spanOf(kind === "days" ? "1Day" : "1Min", asked.isCrypto);
      if (span === undefined) throw notFound();
      return barSteps(tape, extent, span);
    }
  }
}

function latestMs({ face, query, isCrypto }: Asked): number {
  const nowMs = face.now();
  if (isCrypto) return nowMs;
  const feed = oneOf(query, "feed", LATEST_FEEDS);
  if (feed === "sip" && !face.showsRecentSip) throw noRecentSip();
  return feed === "delayed_sip" ? nowMs - DELAY_MS : nowMs;
}

function snapshots(asked: Asked): Response {
  const { query, isCrypto, single } = asked;
  requireKnown(query, [
    ...(single === undefined ? ["symbols"] : []),
    ...(isCrypto ? [] : OF_STOCKS),
  ]);
  const steps = (kind: string) => newestSteps(asked, kind);
  const shown = (symbol: string) => {
    const newestOf = (kind: string) => newest(steps(kind), symbol) ?? null;
    const [today, before] = newestTwo(steps("days"), symbol);
    return {
      latestTrade: newestOf("trades"),
      latestQuote: newestOf("quotes"),
      minuteBar: newestOf("bars"),
      dailyBar: today ?? null,
      prevDailyBar: before ?? null,
    };
  };
  const symbols = symbolsAsked(asked);
  if (single !== undefined) return json({ symbol: single, ...shown(single) });
  const all = Object.fromEntries(
    symbols.map((symbol) => {
      const snapshot = shown(symbol);
      // Of a symbol that was never traded there is none.
      const isKnown = Object.values(snapshot).some((part) => part !== null);
      return [symbol, isKnown ? snapshot : null];
    }),
  );
  // Stocks stand at the top, crypto under a name.
  return json(isCrypto ? { snapshots: all } : all);
}

function newestTwo(steps: Steps, symbol: string): WireMessage[] {
  const rows: WireMessage[] = [];
  for (const { row } of steps(symbol, undefined)) {
    if (row !== undefined) rows.push(row);
    if (rows.length === 2) break;
  }
  return rows;
}

/** This venue's world is without news. */
function news(query: URLSearchParams): Response {
  requireKnown(query, [
    ...PAGED,
    "symbols",
    "include_content",
    "exclude_contentless",
  ]);
  limitOf(query, NEWS_LIMIT);
  return json({ news: [], next_page_token: null });
}

function symbolsAsked({ query, single, isCrypto }: Asked): readonly string[] {
  if (single === undefined) return symbolsOf(query, isCrypto);
  requireSymbol(single, isCrypto);
  return [single];
}

/** `%zz` is no text of this path, so nothing is there. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notFound();
  }
}

function notFound(): Refusal {
  return new Refusal(404, undefined, "endpoint not found.");
}

function noRecentSip(): Refusal {
  return new Refusal(
    403,
    undefined,
    "subscription does not permit querying recent SIP data",
  );
}

/**
 * The REST face of market data: bars, trades, quotes, latest of each, snapshots,
 * for stocks (`/v2/stocks/…`) and crypto (`/v1beta3/crypto/{loc}/…`).
 * https://docs.alpaca.markets/reference/stockbars
 */
import { DAY, MINUTE } from "../../../clock.ts";
import { microsOf, msOfNewYork } from "../../../../schema/instant.ts";
import { json, Refusal, refusalAnswer } from "../answer.ts";
import { isCrypto } from "../order.ts";
import { barRow, quoteRow, tradeRow, type WireMessage } from "./messages.ts";
import {
  barsBetween,
  dayBar,
  LATE_BY_MS,
  minuteOf,
  restBar,
} from "./schedule.ts";
import { joinBars, type Tape, type TapeBar } from "./tape.ts";

export interface MarketRestFace {
  readonly tape: Tape;
  readonly now: () => number;
}

const LIMIT = { fallback: 1_000, max: 10_000 };
/** Looking for the newest trade of a quiet symbol ends here. */
const LOOK_BACK_MS = 3 * DAY;

export function isMarketData(pathname: string): boolean {
  return /^\/(v2\/stocks|v1beta3\/crypto|v1beta1\/news)(\/|$)/.test(pathname);
}

/** Answers one request; whether the caller may is settled. */
export function answerMarket(face: MarketRestFace, url: URL): Response {
  try {
    return routed(face, url);
  } catch (error) {
    if (error instanceof Refusal) return refusalAnswer(error);
    throw error;
  }
}

function routed(face: MarketRestFace, url: URL): Response {
  const { pathname, searchParams: query } = url;
  if (pathname.startsWith("/v1beta1/news"))
    return json({ news: [], next_page_token: null });
  const crypto = /^\/v1beta3\/crypto\/[a-z0-9-]+\/(.+)$/.exec(pathname)?.[1];
  const rest = crypto ?? pathname.slice("/v2/stocks/".length);
  const parts = rest.split("/").map(decodeURIComponent);
  if (crypto !== undefined) {
    const [first, second] = parts;
    if (first === "latest" && second !== undefined)
      return latest(face, query, second, undefined);
    return listed(face, query, first, undefined);
  }
  // `{symbol}/bars`, `{symbol}/bars/latest`, `bars`, `bars/latest`.
  const kinds = ["bars", "trades", "quotes", "snapshots"];
  const single = kinds.includes(parts[0] ?? "") ? undefined : parts.shift();
  const [kind, which] = parts;
  if (which === "latest") return latest(face, query, kind, single);
  return listed(face, query, kind, single);
}

function listed(
  face: MarketRestFace,
  query: URLSearchParams,
  kind: string | undefined,
  single: string | undefined,
): Response {
  switch (kind) {
    case "bars":
    case "trades":
    case "quotes":
      return page(face, query, kind, single);
    case "snapshots":
    case "snapshot":
      return snapshots(face, query, single);
    default:
      throw new Refusal(404, undefined, "endpoint not found.");
  }
}

/** Rows of all symbols, by symbol and time; the limit counts them together. */
function page(
  face: MarketRestFace,
  query: URLSearchParams,
  kind: "bars" | "trades" | "quotes",
  single: string | undefined,
): Response {
  const symbols = symbolsOf(query, single);
  const nowMs = face.now();
  const startMs = instantOf(query, "start") ?? Math.floor(nowMs / DAY) * DAY;
  const endMs = Math.min(instantOf(query, "end") ?? nowMs, nowMs);
  const limit = limitOf(query);
  const isDescending = query.get("sort") === "desc";
  const cursor = cursorOf(query.get("page_token"));
  const read = readerOf(face, kind, query);

  const found: Record<string, WireMessage[]> = {};
  let count = 0;
  let token: string | null = null;
  outer: for (const symbol of symbols) {
    if (cursor !== undefined && symbol < cursor.symbol) continue;
    const rows = read(symbol, startMs, endMs);
    if (isDescending) rows.reverse();
    const skip = cursor?.symbol === symbol ? cursor.offset : 0;
    for (let index = skip; index < rows.length; index++) {
      if (count === limit) {
        token = tokenOf(symbol, index);
        break outer;
      }
      const row = rows[index];
      if (row !== undefined) (found[symbol] ??= []).push(row);
      count++;
    }
  }
  return json(
    single === undefined
      ? { [kind]: found, next_page_token: token }
      : {
          [kind]: found[single] ?? null,
          symbol: single,
          next_page_token: token,
        },
  );
}

type Reader = (symbol: string, fromMs: number, toMs: number) => WireMessage[];

function readerOf(
  face: MarketRestFace,
  kind: "bars" | "trades" | "quotes",
  query: URLSearchParams,
): Reader {
  const { tape } = face;
  if (kind === "bars") {
    const spanMs = timeframeOf(query);
    return (symbol, fromMs, toMs) =>
      spanned(face, symbol, fromMs, toMs, spanMs).map(barRow);
  }
  return (symbol, fromMs, toMs) => {
    const rows: WireMessage[] = [];
    for (let at = minuteOf(fromMs); at <= toMs; at += MINUTE) {
      const minute = tape.minute(symbol, at);
      // Both ends are included, as by the venue.
      const isIn = (ms: number) => fromMs <= ms && ms <= toMs;
      if (kind === "trades") {
        for (const trade of minute.trades)
          if (isIn(trade.atMs) && isReported(trade, face.now()))
            rows.push(tradeRow(symbol, trade));
      } else
        for (const quote of minute.quotes)
          if (isIn(quote.atMs)) rows.push(quoteRow(symbol, quote));
    }
    return rows;
  };
}

function spanned(
  face: MarketRestFace,
  symbol: string,
  fromMs: number,
  toMs: number,
  spanMs: number,
): TapeBar[] {
  const nowMs = face.now();
  const bars: TapeBar[] = [];
  for (const at of startsOf(symbol, fromMs, toMs, spanMs)) {
    const bar =
      spanMs === MINUTE
        ? restBar(face.tape, symbol, at, nowMs)
        : joinBars(
            at,
            barsBetween(face.tape, symbol, at, Math.min(at + spanMs, nowMs)),
          );
    if (bar !== undefined) bars.push(bar);
  }
  return bars;
}

/** Days of stocks begin at New York's midnight, everything else at a multiple of its span. */
function startsOf(
  symbol: string,
  fromMs: number,
  toMs: number,
  spanMs: number,
): number[] {
  const starts: number[] = [];
  const isExchangeDay = spanMs % DAY === 0 && !isCrypto(symbol);
  const first = isExchangeDay
    ? Math.floor(fromMs / DAY) * DAY
    : Math.ceil(fromMs / spanMs) * spanMs;
  for (let at = first; at <= toMs; at += spanMs) {
    const day = new Date(at).toISOString().slice(0, 10);
    const start = isExchangeDay ? msOfNewYork(day, 0) : at;
    if (fromMs <= start && start <= toMs) starts.push(start);
  }
  return starts;
}

function latest(
  face: MarketRestFace,
  query: URLSearchParams,
  kind: string | undefined,
  single: string | undefined,
): Response {
  const symbols = symbolsOf(query, single);
  const found: Record<string, WireMessage> = {};
  for (const symbol of symbols) {
    const row = latestRow(face, symbol, kind);
    if (row !== undefined) found[symbol] = row;
  }
  if (single === undefined) return json({ [kind ?? ""]: found });
  const name = (kind ?? "").replace(/s$/, "");
  return json({ symbol: single, [name]: found[single] ?? null });
}

function latestRow(
  face: MarketRestFace,
  symbol: string,
  kind: string | undefined,
): WireMessage | undefined {
  const { tape } = face;
  const nowMs = face.now();
  const lastMs = nowMs - LOOK_BACK_MS;
  for (let at = minuteOf(nowMs); at > lastMs; at -= MINUTE) {
    const minute = tape.minute(symbol, at);
    if (kind === "bars") {
      const bar = restBar(tape, symbol, at, nowMs);
      if (bar !== undefined) return barRow(bar);
    } else if (kind === "trades") {
      const trade = minute.trades.findLast(
        (each) => each.atMs <= nowMs && isReported(each, nowMs),
      );
      if (trade !== undefined) return tradeRow(symbol, trade);
    } else if (kind === "quotes") {
      const quote = minute.quotes.findLast(({ atMs }) => atMs <= nowMs);
      if (quote !== undefined) return quoteRow(symbol, quote);
    } else throw new Refusal(404, undefined, "endpoint not found.");
  }
  return undefined;
}

function snapshots(
  face: MarketRestFace,
  query: URLSearchParams,
  single: string | undefined,
): Response {
  const nowMs = face.now();
  const shown = (symbol: string) => {
    const today = dayBar(face.tape, symbol, nowMs);
    const before =
      today === undefined
        ? undefined
        : dayBar(face.tape, symbol, today.startMs);
    return {
      latestTrade: latestRow(face, symbol, "trades") ?? null,
      latestQuote: latestRow(face, symbol, "quotes") ?? null,
      minuteBar: latestRow(face, symbol, "bars") ?? null,
      dailyBar: today === undefined ? null : barRow(today),
      prevDailyBar: before === undefined ? null : barRow(before),
    };
  };
  if (single !== undefined) return json({ symbol: single, ...shown(single) });
  const symbols = symbolsOf(query, undefined);
  const all = Object.fromEntries(
    symbols.map((symbol) => [symbol, shown(symbol)]),
  );
  // Stocks stand at the top, crypto under a name.
  return json(
    symbols.some((name) => name.includes("/")) ? { snapshots: all } : all,
  );
}

/** A late trade is nowhere to be seen before it is reported. */
function isReported(
  trade: { readonly atMs: number; readonly isLate: boolean },
  nowMs: number,
): boolean {
  return !trade.isLate || nowMs >= trade.atMs + LATE_BY_MS;
}

function symbolsOf(
  query: URLSearchParams,
  single: string | undefined,
): string[] {
  if (single !== undefined) return [single];
  const symbols = (query.get("symbols") ?? "").split(",").filter(Boolean);
  if (symbols.length === 0) throw invalid("symbols is required");
  const wrong = symbols.find((name) => !/^[A-Z0-9./-]+$/.test(name));
  if (wrong !== undefined) throw invalid(`invalid symbol: ${wrong}`);
  return [...new Set(symbols)].sort();
}

function instantOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const full = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
  const micros = microsOf(full);
  if (micros === undefined) throw invalid(`invalid ${name}: ${text}`);
  return micros / 1_000;
}

function limitOf(query: URLSearchParams): number {
  const text = query.get("limit");
  if (text === null) return LIMIT.fallback;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT.max)
    throw invalid(`invalid limit: ${text}`);
  return limit;
}

const SPANS: Readonly<Record<string, number>> = {
  min: MINUTE,
  t: MINUTE,
  hour: 60 * MINUTE,
  h: 60 * MINUTE,
  day: DAY,
  d: DAY,
};

function timeframeOf(query: URLSearchParams): number {
  const text = query.get("timeframe") ?? "";
  const [, count, unit] = /^(\d+)([A-Za-z]+)$/.exec(text) ?? [];
  const span = SPANS[(unit ?? "").toLowerCase()];
  if (count === undefined || span === undefined)
    throw invalid(`invalid timeframe: ${text}`);
  return Number(count) * span;
}

function invalid(message: string): Refusal {
  return new Refusal(400, undefined, message);
}

/** Opaque to clients, as the venue's own: base64 of where the next page begins. */
function tokenOf(symbol: string, offset: number): string {
  return Buffer.from(`${symbol}|${offset}`).toString("base64");
}

function cursorOf(
  token: string | null,
): { symbol: string; offset: number } | undefined {
  if (token === null) return undefined;
  const [symbol = "", offset] = Buffer.from(token, "base64")
    .toString()
    .split("|");
  if (!/^\d+$/.test(offset ?? "")) throw invalid("invalid page_token");
  return { symbol, offset: Number(offset) };
}

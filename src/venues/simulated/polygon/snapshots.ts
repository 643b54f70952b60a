/**
 * Snapshots: day, minute, trade and quote of a symbol as they are now. They are
 * wiped at 03:30 in New York and fill again as things happen; 0 is "no value yet".
 * https://massive.com/docs/rest/stocks/snapshots/single-ticker-snapshot
 */
import { msOfNewYork, newYorkDay } from "../../../../schema/instant.ts";
import { DAY, HOUR, MINUTE } from "../../../clock.ts";
import { sessionOn } from "../../calendar.ts";
import { quoteAt } from "../market/schedule.ts";
import {
  joinBars,
  minuteOf,
  type TapeBar,
  type TapeQuote,
  type TapeTrade,
  tidy,
} from "../market/tape.ts";
import { isCrypto } from "../order.ts";
import type { Asked } from "./asked.ts";
import { decimalText, nanoseconds, written } from "./numbers.ts";
import { notFound } from "./refusal.ts";
import { tickerOf } from "./tickers.ts";

const WIPED_MS = 3.5 * HOUR;
/** Crypto's is at midnight of New York's winter, all year. */
const CRYPTO_WIPED_MS = 5 * HOUR;
const ROUND_LOT = 100;
/** The exchange that all trades are on, as the venue numbers them. */
export const EXCHANGE = 4;
export const CRYPTO_EXCHANGE = 1;

export function oneSnapshot(
  asked: Asked,
  ticker: string,
  crypto: boolean,
): object {
  const symbol = asked.chart.symbolOf(ticker);
  if (symbol === undefined || isCrypto(symbol) !== crypto)
    throw notFound("Ticker not found.");
  return {
    request_id: asked.requestId,
    status: asked.goodStatus,
    ticker: snapshotOf(asked, symbol),
  };
}

/** Of those that are asked for, or of all; what nobody knows is missing. */
export function allSnapshots(asked: Asked, crypto: boolean): object {
  const wanted = asked.query.get("tickers")?.split(",").filter(Boolean);
  const symbols = asked.chart
    .symbols(crypto)
    .filter((symbol) => wanted?.includes(tickerOf(symbol, "rest")) ?? true);
  return {
    count: symbols.length,
    status: asked.goodStatus,
    tickers: symbols.map((symbol) => snapshotOf(asked, symbol)),
  };
}

/** What is known since the wipe. */
interface State {
  readonly day: TapeBar | undefined;
  readonly whole: TapeBar | undefined;
  readonly minute: TapeBar | undefined;
  readonly before: TapeBar | undefined;
  readonly trade: TapeTrade | undefined;
  readonly quote: TapeQuote | undefined;
}

function snapshotOf(asked: Asked, symbol: string): object {
  const { plan } = asked;
  const crypto = isCrypto(symbol);
  const { day, whole, minute, before, trade, quote } = stateOf(asked, symbol);
  const price = trade?.price ?? minute?.c;
  const change =
    price === undefined || before === undefined ? 0 : tidy(price - before.c);
  const time = crypto ? Math.floor : nanoseconds;
  const updatedMs = Math.max(
    trade?.reportedMs ?? 0,
    quote?.atMs ?? 0,
    minute?.startMs ?? 0,
  );
  return {
    ticker: tickerOf(symbol, "rest"),
    todaysChangePerc:
      before === undefined ? 0 : tidy((change / before.c) * 100),
    todaysChange: change,
    updated: updatedMs === 0 ? 0 : time(updatedMs),
    day: {
      ...prices(day),
      v: written(whole?.v ?? 0),
      vw: written(crypto ? 0 : (whole?.vw ?? 0)),
      ...(!crypto && { dv: decimalText(whole?.v ?? 0) }),
    },
    ...(plan.hasTrades && { lastTrade: lastTrade(trade, crypto) }),
    ...(plan.hasQuotes && !crypto && { lastQuote: lastQuote(quote) }),
    min: {
      ...(!crypto && { av: written(whole?.v ?? 0) }),
      t: minute?.startMs ?? 0,
      n: minute?.n ?? 0,
      ...prices(minute),
      v: written(minute?.v ?? 0),
      vw: written(minute?.vw ?? 0),
      ...(!crypto && {
        dv: decimalText(minute?.v ?? 0),
        dav: decimalText(whole?.v ?? 0),
      }),
    },
    prevDay: {
      ...prices(before),
      v: written(before?.v ?? 0),
      vw: written(before?.vw ?? 0),
    },
  };
}

function prices(bar: TapeBar | undefined) {
  const { o = 0, h = 0, l = 0, c = 0 } = bar ?? {};
  return { o: written(o), h: written(h), l: written(l), c: written(c) };
}

function lastTrade(trade: TapeTrade | undefined, crypto: boolean): object {
  if (trade === undefined) return { c: null, i: "", p: 0, s: 0, t: 0, x: 0 };
  const { atMs, id, price, size } = trade;
  return {
    c: crypto ? [2] : null,
    i: String(id),
    p: written(price),
    s: written(size),
    t: crypto ? Math.floor(atMs) : nanoseconds(atMs),
    x: crypto ? CRYPTO_EXCHANGE : EXCHANGE,
    ...(!crypto && { ds: decimalText(size) }),
  };
}

/** The case tells ask from bid. */
function lastQuote(quote: TapeQuote | undefined): object {
  if (quote === undefined) return { P: 0, S: 0, p: 0, s: 0, t: 0 };
  const { atMs, bid, bidSize, ask, askSize } = quote;
  return {
    P: written(ask),
    S: Math.round(askSize / ROUND_LOT),
    p: written(bid),
    s: Math.round(bidSize / ROUND_LOT),
    t: nanoseconds(atMs),
  };
}

function stateOf(asked: Asked, symbol: string): State {
  const nowMs = asked.knownMs(symbol);
  return isCrypto(symbol)
    ? pairState(asked, symbol, nowMs)
    : stockState(asked, symbol, nowMs);
}

function pairState(asked: Asked, symbol: string, nowMs: number): State {
  const fromMs =
    Math.floor((nowMs - CRYPTO_WIPED_MS) / DAY) * DAY + CRYPTO_WIPED_MS;
  const dayFrom = (startMs: number, endMs: number) =>
    joinBars(startMs, [
      ...asked.chart.minutes(symbol, {
        fromMs: startMs,
        toMs: endMs,
        order: "asc",
        nowMs,
      }),
    ]);
  const today = dayFrom(fromMs, nowMs);
  return {
    ...newest(asked, symbol, fromMs, nowMs),
    day: today,
    whole: today,
    before: dayFrom(fromMs - DAY, fromMs - 1),
  };
}

function stockState(asked: Asked, symbol: string, nowMs: number): State {
  const { chart } = asked;
  const day = sessionDayOf(nowMs);
  const wipedMs = msOfNewYork(day, WIPED_MS);
  const scale = chart.scale(symbol, wipedMs, false, nowMs);
  const { regular, whole } = chart.day(symbol, day, nowMs);
  const known = newest(asked, symbol, wipedMs, nowMs);
  const [before] = chart.days(symbol, {
    fromMs: wipedMs - 14 * DAY,
    toMs: msOfNewYork(day, 0) - 1,
    order: "desc",
    nowMs,
  });
  const scaled = (bar: TapeBar | undefined) =>
    bar && chart.scaled(symbol, bar, true, nowMs);
  return {
    day: scaled(regular),
    whole: scaled(whole),
    minute: scaled(known.minute),
    before: scaled(before),
    trade: known.trade && {
      ...known.trade,
      price: tidy(known.trade.price * scale),
    },
    quote: known.quote && {
      ...known.quote,
      bid: tidy(known.quote.bid * scale),
      ask: tidy(known.quote.ask * scale),
    },
  };
}

/** The newest session that was not wiped yet: it stays over weekends and holidays. */
function sessionDayOf(nowMs: number): string {
  for (let ms = nowMs - WIPED_MS; ; ms -= DAY) {
    const day = newYorkDay(ms);
    if (sessionOn(day) !== undefined) return day;
  }
}

/** Minute, trade and quote since the wipe; a quote counts from the newest minute with a trade on. */
function newest(
  { chart }: Asked,
  symbol: string,
  wipedMs: number,
  nowMs: number,
): Pick<State, "minute" | "trade" | "quote"> {
  const [minute] = chart.minutes(symbol, {
    fromMs: wipedMs,
    toMs: nowMs,
    order: "desc",
    nowMs,
  });
  if (minute === undefined)
    return { minute, trade: undefined, quote: undefined };
  const { trades } = chart.tape.minute(symbol, minute.startMs);
  const endMs = Math.min(nowMs, minute.startMs + MINUTE);
  return {
    minute,
    trade: trades.findLast(({ reportedMs }) => reportedMs <= nowMs),
    quote: quoteAt(
      chart.tape,
      symbol,
      minuteOf(nowMs) === minute.startMs ? nowMs : endMs - 1,
    ),
  };
}

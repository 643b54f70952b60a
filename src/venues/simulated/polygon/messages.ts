/** What the streams tell, member by member. https://massive.com/docs/websocket/stocks/overview */
import type { TapeBar, TapeQuote, TapeTrade } from "../market/tape.ts";
import { decimalText, written, type Written } from "./numbers.ts";
import { CRYPTO_EXCHANGE, EXCHANGE } from "./snapshots.ts";
import { tickerOf } from "./tickers.ts";

export type StreamMessage = Readonly<Record<string, unknown>>;

/** Nasdaq's, as the venue numbers the tapes. */
const TAPE = 3;
const TRADE_FACILITY = 202;
const ODD_LOT = 37;
const ROUND_LOT = 100;
const REGULAR_QUOTE = 1;
/** Crypto: who crossed the spread. */
const BUY_SIDE = 2;

/** The day up to the end of a bar. */
export interface DayTotals {
  readonly volume: number;
  readonly averagePrice: number;
  /** Absent before the regular session. */
  readonly open: number | undefined;
}

export function stockBar(
  event: "AM" | "A",
  symbol: string,
  bar: TapeBar,
  lengthMs: number,
  day: DayTotals,
): StreamMessage {
  return {
    ev: event,
    sym: symbol,
    v: written(bar.v),
    dv: decimalText(bar.v),
    av: written(day.volume),
    dav: decimalText(day.volume),
    ...(day.open !== undefined && { op: written(day.open) }),
    ...pricesOf(bar),
    a: written(day.averagePrice),
    z: Math.round(bar.v / bar.n),
    s: bar.startMs,
    e: bar.startMs + lengthMs,
  };
}

export function pairBar(
  event: "XA" | "XAS",
  symbol: string,
  bar: TapeBar,
  lengthMs: number,
): StreamMessage {
  return {
    ev: event,
    pair: tickerOf(symbol, "stream"),
    v: written(bar.v),
    ...pricesOf(bar),
    z: written(bar.v / bar.n),
    s: bar.startMs,
    e: bar.startMs + lengthMs,
  };
}

function pricesOf({ o, h, l, c, vw }: TapeBar): Record<string, Written> {
  return {
    vw: written(vw),
    o: written(o),
    c: written(c),
    h: written(h),
    l: written(l),
  };
}

export function stockTrade(symbol: string, trade: TapeTrade): StreamMessage {
  const { atMs, id, price, size } = trade;
  return {
    ev: "T",
    sym: symbol,
    x: EXCHANGE,
    i: String(id),
    z: TAPE,
    p: written(price),
    s: written(size),
    ...(size < ROUND_LOT && { c: [ODD_LOT] }),
    t: Math.floor(atMs),
    q: id,
    trfi: TRADE_FACILITY,
    trft: Math.floor(atMs),
    ds: decimalText(size),
  };
}

/** Of a trade the condition is a list, of a quote it is a number. */
export function stockQuote(symbol: string, quote: TapeQuote): StreamMessage {
  const { atMs, bid, bidSize, ask, askSize } = quote;
  return {
    ev: "Q",
    sym: symbol,
    bx: EXCHANGE,
    bp: written(bid),
    bs: Math.round(bidSize / ROUND_LOT),
    ax: EXCHANGE,
    ap: written(ask),
    as: Math.round(askSize / ROUND_LOT),
    c: REGULAR_QUOTE,
    t: Math.floor(atMs),
    q: Math.floor(atMs),
    z: TAPE,
  };
}

export function pairTrade(symbol: string, trade: TapeTrade): StreamMessage {
  const { atMs, reportedMs, id, price, size } = trade;
  return {
    ev: "XT",
    pair: tickerOf(symbol, "stream"),
    p: written(price),
    t: Math.floor(atMs),
    s: written(size),
    c: [BUY_SIDE],
    i: String(id),
    x: CRYPTO_EXCHANGE,
    r: Math.floor(reportedMs),
  };
}

export function pairQuote(symbol: string, quote: TapeQuote): StreamMessage {
  const { atMs, bid, bidSize, ask, askSize } = quote;
  return {
    ev: "XQ",
    pair: tickerOf(symbol, "stream"),
    bp: written(bid),
    bs: written(bidSize),
    ap: written(ask),
    as: written(askSize),
    t: Math.floor(atMs),
    x: CRYPTO_EXCHANGE,
    r: Math.floor(atMs),
  };
}

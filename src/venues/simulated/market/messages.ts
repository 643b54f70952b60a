/** Market data as the venue sends it: members in the order of its documents, `T` first. */
import { isCrypto } from "../order.ts";
import { nanosOfMs, nanoText } from "../stamps.ts";
import { bookOf, changesOf } from "./orderBook.ts";
import type { Amendment, TapeBar, TapeQuote, TapeTrade } from "./tape.ts";

export type WireMessage = Readonly<Record<string, unknown>>;

const EXCHANGE = "V";
const TAPE = "C";
const ROUND_LOT = 100;
/** How far from its price a symbol may go before the exchange steps in. */
const BAND = 0.05;

export function tradeMessage(symbol: string, trade: TapeTrade): WireMessage {
  return { T: "t", S: symbol, ...tradeRow(symbol, trade) };
}

export function quoteMessage(symbol: string, quote: TapeQuote): WireMessage {
  return { T: "q", S: symbol, ...quoteRow(symbol, quote) };
}

/** `b` minute, `u` updated, `d` daily. */
export function barMessage(
  type: "b" | "u" | "d",
  symbol: string,
  bar: TapeBar,
): WireMessage {
  return { T: type, S: symbol, ...barRow(bar) };
}

export function cancelMessage(
  symbol: string,
  { id, price, size }: TapeTrade,
  atMs: number,
): WireMessage {
  return {
    T: "x",
    S: symbol,
    i: id,
    x: EXCHANGE,
    p: price,
    s: size,
    a: "C",
    z: TAPE,
    t: timeText(atMs),
  };
}

export function correctionMessage(
  symbol: string,
  { id, price, size }: TapeTrade,
  corrected: NonNullable<Amendment["corrected"]>,
  atMs: number,
): WireMessage {
  return {
    T: "c",
    S: symbol,
    x: EXCHANGE,
    oi: id,
    op: price,
    os: size,
    oc: conditionsOf(size),
    ci: corrected.id,
    cp: corrected.price,
    cs: corrected.size,
    cc: conditionsOf(corrected.size),
    z: TAPE,
    t: timeText(atMs),
  };
}

export function statusMessage(
  symbol: string,
  isHalted: boolean,
  atMs: number,
): WireMessage {
  const [sc, sm, rc, rm] = isHalted
    ? [
        "H",
        "Trading Halt",
        "T12",
        "Trading Halted; For information requested by NASDAQ",
      ]
    : ["T", "Trading Resumption", "T3", "News and Resumption Times"];
  const t = timeText(atMs);
  return { T: "s", S: symbol, sc, sm, rc, rm, t, z: TAPE };
}

export function luldMessage(
  symbol: string,
  { price, atMs }: TapeTrade,
): WireMessage {
  return {
    T: "l",
    S: symbol,
    u: cents(price * (1 + BAND)),
    d: cents(price * (1 - BAND)),
    i: "B",
    t: timeText(atMs),
    z: TAPE,
  };
}

export function imbalanceMessage(
  symbol: string,
  price: number,
  atMs: number,
): WireMessage {
  return {
    T: "i",
    S: symbol,
    p: cents(price),
    z: TAPE,
    t: timeText(atMs),
  };
}

/** What changed since the quote before; all of it when there is none. */
export function orderBookMessage(
  symbol: string,
  quote: TapeQuote,
  before: TapeQuote | undefined,
): WireMessage {
  const book = bookOf(quote);
  const message = { T: "o", S: symbol, t: timeText(quote.atMs) };
  return before === undefined
    ? { ...message, ...book, r: true }
    : { ...message, ...changesOf(bookOf(before), book) };
}

/** As REST lists it. */
export function tradeRow(
  symbol: string,
  { id, price, size, atMs }: TapeTrade,
): WireMessage {
  const t = timeText(atMs);
  return isCrypto(symbol)
    ? { p: price, s: size, t, i: id, tks: id % 2 ? "B" : "S" }
    : {
        i: id,
        x: EXCHANGE,
        p: price,
        s: size,
        c: conditionsOf(size),
        t,
        z: TAPE,
      };
}

export function quoteRow(symbol: string, quote: TapeQuote): WireMessage {
  const { bid, bidSize, ask, askSize } = quote;
  const t = timeText(quote.atMs);
  return isCrypto(symbol)
    ? { bp: bid, bs: bidSize, ap: ask, as: askSize, t }
    : {
        bx: EXCHANGE,
        bp: bid,
        bs: bidSize,
        ax: EXCHANGE,
        ap: ask,
        as: askSize,
        c: ["R"],
        t,
        z: TAPE,
      };
}

export function barRow(bar: TapeBar): WireMessage {
  const { o, h, l, c, v, startMs, n, vw } = bar;
  return { o, h, l, c, v, t: timeText(startMs), n, vw };
}

export function orderBookRow(quote: TapeQuote): WireMessage {
  return { t: timeText(quote.atMs), ...bookOf(quote) };
}

/** Trades of fewer shares than a lot do not make the price that everybody sees. */
export function isOddLot(symbol: string, size: number): boolean {
  return !isCrypto(symbol) && size < ROUND_LOT;
}

function conditionsOf(size: number): string[] {
  return size < ROUND_LOT ? ["@", "I"] : ["@"];
}

function timeText(ms: number): string {
  return nanoText(nanosOfMs(ms));
}

function cents(price: number): number {
  return Math.round(price * 100) / 100;
}

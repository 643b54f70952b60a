/** Market data as the venue sends it: members in the order of its documents, `T` first. */
import { isCrypto } from "../order.ts";
import { nanosOfMs, nanoText } from "../stamps.ts";
import type { TapeBar, TapeQuote, TapeTrade } from "./tape.ts";

export type WireMessage = Readonly<Record<string, unknown>>;

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

/** As REST lists it. */
export function tradeRow(symbol: string, trade: TapeTrade): WireMessage {
  const { id, price, size, at } = trade;
  return isCrypto(symbol)
    ? { p: price, s: size, t: nanoText(at), i: id, tks: id % 2 ? "B" : "S" }
    : {
        i: id,
        x: "V",
        p: price,
        s: size,
        c: size < 100 ? ["@", "I"] : ["@"],
        t: nanoText(at),
        z: "C",
      };
}

export function quoteRow(symbol: string, quote: TapeQuote): WireMessage {
  const { bid, bidSize, ask, askSize, at } = quote;
  return isCrypto(symbol)
    ? { bp: bid, bs: bidSize, ap: ask, as: askSize, t: nanoText(at) }
    : {
        bx: "V",
        bp: bid,
        bs: bidSize,
        ax: "V",
        ap: ask,
        as: askSize,
        c: ["R"],
        t: nanoText(at),
        z: "C",
      };
}

export function barRow({
  o,
  h,
  l,
  c,
  v,
  startMs,
  n,
  vw,
}: TapeBar): WireMessage {
  return { o, h, l, c, v, t: nanoText(nanosOfMs(startMs)), n, vw };
}

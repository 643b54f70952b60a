/**
 * What trades when. The stream, the bars of the past and the newest trade by REST
 * are all cut from one tape, so that they agree whoever asks, and in whatever
 * order.
 */
import { MINUTE, SECOND } from "../../../clock.ts";
import { isCrypto } from "../order.ts";

export interface TapeTrade {
  readonly atMs: number;
  readonly id: number;
  readonly price: number;
  readonly size: number;
  /** Behind its minute for a late one: the bar is sent without it and corrected then. */
  readonly reportedMs: number;
  /** What the exchange said about it later. */
  readonly amendment?: Amendment;
}

export interface Amendment {
  readonly atMs: number;
  /** The trade as it should have been; cancelled when there is none. */
  readonly corrected?: Pick<TapeTrade, "id" | "price" | "size">;
}

export interface TapeQuote {
  readonly atMs: number;
  readonly bid: number;
  readonly bidSize: number;
  readonly ask: number;
  readonly askSize: number;
}

/** One minute of one symbol, in order of time. */
export interface TapeMinute {
  readonly trades: readonly TapeTrade[];
  readonly quotes: readonly TapeQuote[];
}

export interface TapeBar {
  readonly o: number;
  readonly h: number;
  readonly l: number;
  readonly c: number;
  readonly v: number;
  /** Start of the span, ms. */
  readonly startMs: number;
  readonly n: number;
  readonly vw: number;
}

/**
 * How much of a minute is known: what was reported while it lasted, or all of it,
 * late trades and corrections too.
 */
export type Knowledge = "prompt" | "whole";

export interface Tape {
  /** Symbols that `*` stands for. */
  readonly symbols: readonly string[];
  /** Starts of the minutes from one to another (both included) in which something may be. */
  minutes(
    symbol: string,
    fromMs: number,
    toMs: number,
    order: "asc" | "desc",
  ): Iterable<number>;
  minute(symbol: string, minuteMs: number): TapeMinute;
  /** Undefined when nothing traded and there is no quote to make a bar of. */
  bar(
    symbol: string,
    minuteMs: number,
    knowledge: Knowledge,
  ): TapeBar | undefined;
  /** Whether the exchange has stopped the trading of the symbol. */
  isHalted(symbol: string, minuteMs: number): boolean;
}

export const QUIET: TapeMinute = { trades: [], quotes: [] };

/** A bar follows its minute by this much. */
export const BAR_AFTER_MS = 0.2 * SECOND;
/** Whatever comes late is in by then, and the corrected bar follows. */
export const UPDATED_AFTER_MS = 30 * SECOND;

export function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE) * MINUTE;
}

/** Whether the bar that followed its minute is not the last word. */
export function isAmended({ trades }: TapeMinute, minuteMs: number): boolean {
  return trades.some(
    ({ reportedMs, amendment }) =>
      amendment !== undefined || reportedMs >= minuteMs + MINUTE,
  );
}

/** The minute's bar, made of its trades. */
export function barOf(
  symbol: string,
  minuteMs: number,
  { trades, quotes }: TapeMinute,
  knowledge: Knowledge,
): TapeBar | undefined {
  const counted =
    knowledge === "whole"
      ? trades.flatMap(amended)
      : trades.filter(({ reportedMs }) => reportedMs < minuteMs + MINUTE);
  const [first] = counted;
  const last = counted.at(-1);
  if (first === undefined || last === undefined)
    return isCrypto(symbol) ? quotedBar(minuteMs, quotes) : undefined;
  let [high, low, volume, value] = [-Infinity, Infinity, 0, 0];
  for (const { price, size } of counted) {
    high = Math.max(high, price);
    low = Math.min(low, price);
    volume += size;
    value += price * size;
  }
  return {
    o: first.price,
    h: high,
    l: low,
    c: last.price,
    v: tidy(volume),
    startMs: minuteMs,
    n: counted.length,
    vw: averagePrice(value, volume),
  };
}

/** What is left of a trade once all is said about it. */
function amended(
  trade: TapeTrade,
): readonly Pick<TapeTrade, "price" | "size">[] {
  if (trade.amendment === undefined) return [trade];
  const { corrected } = trade.amendment;
  return corrected === undefined ? [] : [corrected];
}

/** Crypto has a bar for every minute: without trades it is made of the middle of the quotes. */
function quotedBar(
  minuteMs: number,
  quotes: readonly TapeQuote[],
): TapeBar | undefined {
  const middles = quotes.map(({ bid, ask }) => tidy((bid + ask) / 2));
  const [first] = middles;
  if (first === undefined) return undefined;
  return {
    o: first,
    h: Math.max(...middles),
    l: Math.min(...middles),
    c: middles.at(-1) ?? first,
    v: 0,
    startMs: minuteMs,
    n: 0,
    vw: 0,
  };
}

/** A bar of several, e.g. the day so far; undefined of none. */
export function joinBars(
  startMs: number,
  bars: readonly TapeBar[],
): TapeBar | undefined {
  const [first] = bars;
  const last = bars.at(-1);
  if (first === undefined || last === undefined) return undefined;
  let [high, low, volume, value, trades] = [first.h, first.l, 0, 0, 0];
  for (const { h, l, v, vw, n } of bars) {
    high = Math.max(high, h);
    low = Math.min(low, l);
    volume += v;
    value += v * vw;
    trades += n;
  }
  return {
    o: first.o,
    h: high,
    l: low,
    c: last.c,
    v: tidy(volume),
    startMs,
    n: trades,
    vw: averagePrice(value, volume),
  };
}

/** 0 when nothing changed hands, as the venue writes it. */
export function averagePrice(value: number, volume: number): number {
  return volume === 0 ? 0 : tidy(value / volume);
}

/** Nine decimals: sums of decimals must not show what binary fractions make of them. */
export function tidy(value: number): number {
  return Number(value.toFixed(9));
}

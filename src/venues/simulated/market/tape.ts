/**
 * What trades when, as a pure function of seed, symbol and minute: the stream,
 * the bars of the past and the newest trade by REST are all cut from one tape, so
 * that they agree whoever asks, and in whatever order.
 */
import { MINUTE } from "../../../clock.ts";
import { Chance } from "../chance.ts";
import { isCrypto } from "../order.ts";
import { priceOf } from "../prices.ts";
import { type Nanos, nanosOfMs } from "../stamps.ts";

export interface TapeTrade {
  readonly at: Nanos;
  /** The same in ms. */
  readonly atMs: number;
  readonly id: number;
  readonly price: number;
  readonly size: number;
  /** Reported after its minute was over: the bar is sent without it and corrected later. */
  readonly isLate: boolean;
}

export interface TapeQuote {
  readonly at: Nanos;
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

export interface Tape {
  /** Symbols that `*` stands for. */
  readonly symbols: readonly string[];
  /** `minuteMs`: start of the minute. */
  minute(symbol: string, minuteMs: number): TapeMinute;
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

const QUIET: TapeMinute = { trades: [], quotes: [] };

/** Trades a minute of those that everybody watches; any other symbol has a number made from its name. */
const BUSY: Readonly<Record<string, number>> = {
  AAPL: 40,
  SPY: 60,
  QQQ: 45,
  MSFT: 30,
  NVDA: 55,
  TSLA: 50,
  FAKEPACA: 20,
  "BTC/USD": 24,
  "ETH/USD": 16,
  "DOGE/USD": 4,
};
/** One that hardly ever trades, for who wants to see silence. */
const RARE: Readonly<Record<string, number>> = { QUIET: 0.05, "SHIB/USD": 0.2 };

const MINUTES_KEPT_MAX = 50_000;

/** `isOpen` says when stocks trade; crypto never rests. */
export function simulatedTape(settings: {
  readonly seed: number;
  readonly symbols: readonly string[];
  readonly isOpen: (ms: number) => boolean;
}): Tape {
  const { seed, symbols, isOpen } = settings;
  const kept = new Map<string, TapeMinute>();
  return {
    symbols,
    minute(symbol, minuteMs) {
      if (!isCrypto(symbol) && symbol !== "FAKEPACA" && !isOpen(minuteMs))
        return QUIET;
      const name = `${symbol} ${minuteMs}`;
      const known = kept.get(name);
      if (known !== undefined) return known;
      const made = makeMinute(symbol, minuteMs, new Chance(`${seed}/${name}`));
      if (kept.size >= MINUTES_KEPT_MAX) kept.clear();
      kept.set(name, made);
      return made;
    },
  };
}

/** The bar of one minute; undefined when nothing traded and there is no quote to make it of. */
export function barOf(
  symbol: string,
  minuteMs: number,
  { trades, quotes }: TapeMinute,
  { withLate }: { withLate: boolean },
): TapeBar | undefined {
  const counted = trades.filter(({ isLate }) => withLate || !isLate);
  const [first] = counted;
  const last = counted.at(-1);
  if (first === undefined || last === undefined)
    return isCrypto(symbol) ? quotedBar(minuteMs, quotes) : undefined;
  const prices = counted.map(({ price }) => price);
  const volume = counted.reduce((sum, { size }) => sum + size, 0);
  const value = counted.reduce((sum, { price, size }) => sum + price * size, 0);
  return {
    o: first.price,
    h: Math.max(...prices),
    l: Math.min(...prices),
    c: last.price,
    v: tidy(volume),
    startMs: minuteMs,
    n: counted.length,
    vw: tidy(value / volume),
  };
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
  const volume = bars.reduce((sum, { v }) => sum + v, 0);
  const value = bars.reduce((sum, { v, vw }) => sum + v * vw, 0);
  return {
    o: first.o,
    h: Math.max(...bars.map(({ h }) => h)),
    l: Math.min(...bars.map(({ l }) => l)),
    c: last.c,
    v: tidy(volume),
    startMs,
    n: bars.reduce((sum, { n }) => sum + n, 0),
    vw: volume === 0 ? 0 : tidy(value / volume),
  };
}

function makeMinute(
  symbol: string,
  minuteMs: number,
  chance: Chance,
): TapeMinute {
  const usual = RARE[symbol] ?? BUSY[symbol] ?? 1 + (nameHash(symbol) % 12);
  const count =
    usual < 1
      ? Number(chance.happens(usual))
      : Math.max(0, Math.round(usual * (0.5 + chance.next())));
  const crypto = isCrypto(symbol);
  const times = Array.from(
    { length: count },
    () => chance.next() * MINUTE,
  ).sort((a, b) => a - b);
  const trades = times.map((offset, index): TapeTrade => ({
    at: nanosOfMs(minuteMs + offset),
    atMs: minuteMs + offset,
    id: (minuteMs / MINUTE) * 1_000 + index,
    price: priceAt(symbol, minuteMs + offset, chance),
    size: crypto
      ? Number((chance.next() * 0.5 + 0.0001).toFixed(6))
      : chance.happens(0.7)
        ? 100
        : chance.between(1, 900),
    // The first and last trade of a minute make its opening and close.
    isLate: index > 0 && index < count - 1 && chance.happens(0.01),
  }));
  const quoteTimes = [...times, 0.25 * MINUTE, 0.75 * MINUTE].sort(
    (a, b) => a - b,
  );
  const quotes = quoteTimes.map((offset): TapeQuote => {
    const middle = priceAt(symbol, minuteMs + offset, chance);
    // A quote goes before the trade that hits it.
    const atMs = minuteMs + Math.max(0, offset - 0.4);
    const half = Math.max(middle * 0.00005, crypto ? 0.0001 : 0.01);
    return {
      at: nanosOfMs(atMs),
      atMs,
      bid: rounded(middle - half),
      bidSize: crypto ? tidy(chance.next() * 3) : chance.between(1, 9) * 100,
      ask: rounded(middle + half),
      askSize: crypto ? tidy(chance.next() * 3) : chance.between(1, 9) * 100,
    };
  });
  return { trades, quotes };
}

function priceAt(symbol: string, ms: number, chance: Chance): number {
  const price = priceOf(symbol, ms) * (1 + (chance.next() - 0.5) * 0.0006);
  return rounded(price);
}

/** Cents for what costs a dollar or more, more digits below. */
function rounded(price: number): number {
  return Number(price.toFixed(price >= 1 ? 2 : 6));
}

/** Nine decimals: sums of decimals must not show what binary fractions make of them. */
export function tidy(value: number): number {
  return Number(value.toFixed(9));
}

function nameHash(symbol: string): number {
  return Number(Bun.hash(symbol) % 1_000n);
}

/**
 * A market that never was: what trades when, as a pure function of seed, symbol
 * and minute.
 */
import { HOUR, MINUTE, SECOND } from "../../../clock.ts";
import { Chance } from "../chance.ts";
import { isCrypto } from "../order.ts";
import { priceOf } from "../prices.ts";
import { Kept } from "./kept.ts";
import { TEST_SYMBOL } from "./language.ts";
import {
  barOf,
  minuteOf,
  QUIET,
  type Tape,
  type TapeBar,
  type TapeMinute,
  type TapeQuote,
  type TapeTrade,
  tidy,
} from "./tape.ts";

/** Trades a minute of those that everybody watches; any other symbol has a number made from its name. */
const USUAL: Readonly<Record<string, number>> = {
  AAPL: 40,
  SPY: 60,
  QQQ: 45,
  MSFT: 30,
  NVDA: 55,
  TSLA: 50,
  [TEST_SYMBOL]: 20,
  "BTC/USD": 24,
  "ETH/USD": 16,
  "DOGE/USD": 4,
  // Two that hardly ever trade, for who wants to see silence.
  QUIET: 0.05,
  "SHIB/USD": 0.2,
};

/** Stopped in the last five minutes of each quarter of an hour, for who wants to see a halt. */
const HALTING_SYMBOL = "HALT";

/** Shares of the trades that are reported late, and that are corrected or cancelled afterwards. */
const LATE = 0.01;
const AMENDED = 0.004;
/** How long after its minute something late is known. */
const LATE_MS = { min: 2 * SECOND, max: 20 * SECOND };

/** Before it there is nothing; the real venue's history of all exchanges begins about then. */
const BEGINNING_MS = Date.UTC(2016, 0, 1);

/** Trades and quotes in memory: two minutes of ten thousand symbols. */
const ROWS_KEPT_MAX = 200_000;
/** Seventy days of one symbol. */
const BARS_KEPT_MAX = 100_000;

/** `isOpen` says when stocks trade; crypto never rests. */
export function simulatedTape(settings: {
  readonly seed: number;
  readonly symbols: readonly string[];
  readonly isOpen: (ms: number) => boolean;
}): Tape {
  const { seed, symbols } = settings;
  const isOpen = byHalfHour(settings.isOpen);
  const minutes = new Kept<TapeMinute>(
    ROWS_KEPT_MAX,
    // There are about as many quotes as trades, once they are asked for.
    ({ trades }) => 1 + 2 * trades.length,
  );
  const bars = new Kept<{ readonly bar: TapeBar | undefined }>(
    BARS_KEPT_MAX,
    () => 1,
  );
  const isResting = (symbol: string, minuteMs: number) =>
    isHalted(symbol, minuteMs) ||
    !(isCrypto(symbol) || symbol === TEST_SYMBOL || isOpen(minuteMs));

  const minute = (symbol: string, minuteMs: number) =>
    isResting(symbol, minuteMs)
      ? QUIET
      : minutes.get(symbol, minuteMs, () => makeMinute(seed, symbol, minuteMs));

  return {
    symbols,
    minute,
    isHalted,
    *minutes(_, fromMs, toMs, order) {
      const first = Math.max(minuteOf(fromMs), BEGINNING_MS);
      const last = minuteOf(toMs);
      for (let ms = 0; ms <= last - first; ms += MINUTE)
        yield order === "asc" ? first + ms : last - ms;
    },
    bar(symbol, minuteMs, knowledge) {
      if (isResting(symbol, minuteMs)) return undefined;
      const make = () =>
        barOf(symbol, minuteMs, minute(symbol, minuteMs), knowledge);
      // The prompt bar is sent once; the whole one is asked for with every day's.
      return knowledge === "prompt"
        ? make()
        : bars.get(symbol, minuteMs, () => ({ bar: make() })).bar;
    },
  };
}

function isHalted(symbol: string, minuteMs: number): boolean {
  return symbol === HALTING_SYMBOL && (minuteMs / MINUTE) % 15 >= 10;
}

/** Sessions begin and end on half hours, so one look-up serves thirty minutes. */
function byHalfHour(isOpen: (ms: number) => boolean): (ms: number) => boolean {
  let known = { halfHour: Number.NaN, isOpen: false };
  return (ms) => {
    const halfHour = Math.floor(ms / (HOUR / 2));
    if (halfHour !== known.halfHour) known = { halfHour, isOpen: isOpen(ms) };
    return known.isOpen;
  };
}

function makeMinute(
  seed: number,
  symbol: string,
  minuteMs: number,
): TapeMinute {
  const chance = new Chance(`${seed}/${symbol} ${minuteMs}`);
  const usual = USUAL[symbol] ?? 1 + Number(Bun.hash(symbol) % 12n);
  const count =
    usual < 1
      ? Number(chance.happens(usual))
      : Math.round(usual * (0.5 + chance.next()));
  const middle = middleOf(symbol, minuteMs);
  const offsets = Array.from(
    { length: count },
    () => chance.next() * MINUTE,
  ).sort((a, b) => a - b);
  const trades = offsets.map((offset, index): TapeTrade => {
    const trade = {
      atMs: minuteMs + offset,
      id: (minuteMs / MINUTE) * 1_000 + index,
      price: priceNear(middle(offset), chance),
      size: sizeOf(symbol, chance),
      reportedMs: minuteMs + offset,
    };
    // The first and the last of a minute make its opening and its close.
    const isPlain =
      index === 0 || index === count - 1 || symbol === TEST_SYMBOL;
    return isPlain ? trade : withHindsight(symbol, trade, minuteMs, chance);
  });
  let quotes: readonly TapeQuote[] | undefined;
  return {
    trades,
    // Bars ask for trades only, and there are thousands of bars in a request.
    get quotes() {
      return (quotes ??= makeQuotes(seed, symbol, minuteMs, offsets));
    },
  };
}

/** Now and then a trade comes late, or is taken back or corrected. */
function withHindsight(
  symbol: string,
  trade: TapeTrade,
  minuteMs: number,
  chance: Chance,
): TapeTrade {
  const lateMs = () =>
    minuteMs + MINUTE + chance.between(LATE_MS.min, LATE_MS.max);
  if (chance.happens(LATE)) return { ...trade, reportedMs: lateMs() };
  // Of crypto nothing is ever taken back.
  if (isCrypto(symbol) || !chance.happens(AMENDED)) return trade;
  const atMs = lateMs();
  if (chance.happens(0.5)) return { ...trade, amendment: { atMs } };
  const corrected = {
    // Beyond those of the minute's other trades.
    id: trade.id + 500,
    price: rounded(trade.price * 0.9998),
    size: trade.size,
  };
  return { ...trade, amendment: { atMs, corrected } };
}

function makeQuotes(
  seed: number,
  symbol: string,
  minuteMs: number,
  tradeOffsets: readonly number[],
): TapeQuote[] {
  const chance = new Chance(`${seed}/${symbol} ${minuteMs} quotes`);
  const crypto = isCrypto(symbol);
  const middle = middleOf(symbol, minuteMs);
  const offsets = [...tradeOffsets, 0.25 * MINUTE, 0.75 * MINUTE].sort(
    (a, b) => a - b,
  );
  const size = () =>
    crypto ? tidy(0.01 + chance.next() * 3) : chance.between(1, 9) * 100;
  return offsets.map((offset): TapeQuote => {
    const price = priceNear(middle(offset), chance);
    const half = Math.max(price * 0.00005, price >= 1 ? 0.01 : 0.000_01);
    return {
      // A quote goes before the trade that hits it.
      atMs: minuteMs + Math.max(0, offset - 0.4),
      bid: rounded(price - half),
      bidSize: size(),
      ask: rounded(price + half),
      askSize: size(),
    };
  });
}

/** Within a minute the market's wave is a straight line. */
function middleOf(
  symbol: string,
  minuteMs: number,
): (offsetMs: number) => number {
  const start = priceOf(symbol, minuteMs);
  const slope = (priceOf(symbol, minuteMs + MINUTE) - start) / MINUTE;
  return (offsetMs) => start + slope * offsetMs;
}

function priceNear(middle: number, chance: Chance): number {
  return rounded(middle * (1 + (chance.next() - 0.5) * 0.0006));
}

function sizeOf(symbol: string, chance: Chance): number {
  if (isCrypto(symbol)) return Math.round(chance.next() * 5e5 + 100) / 1e6;
  return chance.happens(0.7) ? 100 : chance.between(1, 900);
}

/** Cents for what costs a dollar or more, more digits below. */
function rounded(price: number): number {
  const parts = price >= 1 ? 100 : 1_000_000;
  return Math.round(price * parts) / parts;
}

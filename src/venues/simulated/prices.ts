/** What the simulated market pays: a smooth function of the hour, the same for every run. */
import { DAY, HOUR } from "../../clock.ts";

/** Dollars around which each symbol moves. */
const BASES: Readonly<Record<string, number>> = {
  AAPL: 228,
  SPY: 592,
  QQQ: 511,
  MSFT: 431,
  NVDA: 141,
  TSLA: 342,
  OCGN: 1.12,
  "BTC/USD": 96_400,
  "ETH/USD": 3_320,
  "DOGE/USD": 0.39,
};

export const STOCKS = Object.keys(BASES).filter((name) => !name.includes("/"));
export const COINS = Object.keys(BASES).filter((name) => name.includes("/"));

/** Traded in whole shares only. */
const WHOLE_ONLY: ReadonlySet<string> = new Set(["OCGN"]);

export function isFractionable(symbol: string): boolean {
  return !WHOLE_ONLY.has(symbol);
}

/** Any other symbol has a price as well, made from its name. */
export function priceOf(symbol: string, ms: number): number {
  const base = BASES[symbol] ?? 10 + Number(Bun.hash(symbol) % 400n);
  const phase = Number(Bun.hash(symbol) % 1000n) / 1000;
  const wave = (periodMs: number) =>
    Math.sin(2 * Math.PI * (ms / periodMs + phase));
  return base * (1 + 0.02 * wave(9 * DAY) + 0.004 * wave(5 * HOUR));
}

/** Cents for what costs a dollar or more, more digits below. */
export function priceText(price: number): string {
  return String(Number(price.toFixed(price >= 1 ? 2 : 7)));
}

/**
 * One id a symbol, and how the venue spells it in each of its products: stocks
 * everywhere alike, crypto pairs in four ways.
 */
import type { AssetClass } from "../../../schema/market.ts";
import { assetClassOf, symbolOf } from "../../../schema/symbol.ts";

/** Where a crypto pair is written how. */
const PAIR_SPELLINGS = {
  /** Paths and answers of REST. */
  rest: (base: string, quote: string) => `X:${base}${quote}`,
  stream: (base: string, quote: string) => `${base}-${quote}`,
  /** Day files. */
  files: (base: string, quote: string) => `X:${base}-${quote}`,
  /** Path of the last trade. */
  lastTrade: (base: string, quote: string) => `${base}/${quote}`,
} as const;
export type Product = keyof typeof PAIR_SPELLINGS;

/** `BRK.B`, `KIMpL`, `AIGrw`: a small letter is part of the name (preferred, rights, when issued), so the case is kept. */
const STOCK = /^[A-Z][A-Z0-9]{0,9}(?:p[A-Z]?)?r?w?(?:\.[A-Z0-9]{1,5}){0,2}$/;
/** The venue knows its own names best. */
const TICKER = /^[A-Za-z0-9.]{1,20}$/;
const PAIR = /^[A-Z0-9]{1,15}\/[A-Z]{3,5}$/;
/** Quote currencies of the venue beside those that are known to all venues. */
const QUOTE_CURRENCIES = ["GBP", "JPY", "AUD", "CAD", "CHF", "KRW"];
/** What tells `BTC-USD` from `BRK-B`. */
const DASHED_PAIR = /^[A-Z0-9]+-[A-Z]{3,5}$/i;

/** The venue's name of a symbol in one of its products. */
export function tickerOf(symbol: string, product: Product): string {
  const [base = symbol, quote] = symbol.split("/");
  return quote === undefined ? symbol : PAIR_SPELLINGS[product](base, quote);
}

/**
 * The id of a symbol in whatever spelling: `AAPL`, `BRK.B`, `KIMpL`, `BTC/USD`.
 * Undefined when it is none of its class. A joined pair is taken apart at the
 * longest quote currency that it ends in.
 */
export function symbolOfPolygon(
  text: string,
  assetClass: AssetClass = assetClassOfSpelling(text),
): string | undefined {
  return assetClass === "stock" ? stockOf(text.trim()) : pairOf(text.trim());
}

/** The id of a symbol as the venue itself says it, which is how a stock is spelt; undefined when it is none of its class. */
export function symbolOfTicker(
  ticker: string,
  assetClass: AssetClass,
): string | undefined {
  if (assetClass === "crypto") return pairOf(ticker);
  return TICKER.test(ticker) ? ticker : undefined;
}

/** Which class a spelling is of: a joined pair without its prefix cannot be told from a stock. */
function assetClassOfSpelling(text: string): AssetClass {
  const isPair = /^\s*X:/i.test(text) || DASHED_PAIR.test(text.trim());
  return isPair ? "crypto" : assetClassOf(text);
}

function stockOf(text: string): string | undefined {
  // Elsewhere the class of a share stands behind a dash.
  const symbol = text.replaceAll("-", ".");
  return STOCK.test(symbol) ? symbol : symbolOf(symbol, "stock");
}

function pairOf(text: string): string | undefined {
  const pair = text.replace(/^X:/i, "").replace("-", "/").toUpperCase();
  if (PAIR.test(pair)) return pair;
  const quote = QUOTE_CURRENCIES.find(
    (currency) => pair.endsWith(currency) && pair !== currency,
  );
  return quote !== undefined && /^[A-Z0-9]+$/.test(pair)
    ? `${pair.slice(0, -quote.length)}/${quote}`
    : symbolOf(pair, "crypto");
}

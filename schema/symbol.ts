/** How symbols are spelt: stocks as the venue spells them, crypto pairs with a slash. */
import type { AssetClass } from "./market.ts";

/** Quote currencies of crypto pairs, the longer before those they end in. */
const QUOTE_CURRENCIES = ["USDT", "USDC", "USD", "BTC", "ETH", "EUR"];

/** `AAPL`, `BRK.B`, `BF-B`: letters first, at most one dotted or dashed part behind. */
const STOCK = /^[A-Z][A-Z0-9]{0,9}(?:[.-][A-Z0-9]{1,5})?$/;
const PAIR = /^([A-Z0-9]{1,10})\/([A-Z]{3,5})$/;
const JOINED = /^[A-Z0-9]{4,15}$/;

/**
 * The symbol as it is stored and published: trimmed, in upper case, `BTCUSD` as
 * `BTC/USD` where a crypto pair is meant. Undefined when it is none of its class.
 */
export function symbolOf(
  text: string,
  assetClass: AssetClass,
): string | undefined {
  const symbol = text.trim().toUpperCase();
  return assetClass === "stock" ? stockOf(symbol) : pairOf(symbol);
}

/** What a symbol is by its looks: with a slash a crypto pair, else a stock. */
export function assetClassOf(symbol: string): AssetClass {
  return symbol.includes("/") ? "crypto" : "stock";
}

function stockOf(symbol: string): string | undefined {
  return STOCK.test(symbol) ? symbol : undefined;
}

function pairOf(symbol: string): string | undefined {
  if (PAIR.test(symbol)) return symbol;
  if (!JOINED.test(symbol)) return undefined;
  const quote = QUOTE_CURRENCIES.find(
    (currency) => symbol.endsWith(currency) && symbol !== currency,
  );
  return quote === undefined
    ? undefined
    : `${symbol.slice(0, -quote.length)}/${quote}`;
}

/** From quotes of the feed to what live_quotes shows, and what is counted on the way. */
import type { LatestQuote, Quote } from "../../schema/market.ts";

/** What the heartbeat and `smoke` tell. */
export interface QuoteBoard {
  /** Quotes that came from the feed. */
  seen: number;
  lastSymbol: string | undefined;
  lastQuoteMs: number | undefined;
}

export function emptyQuoteBoard(): QuoteBoard {
  return { seen: 0, lastSymbol: undefined, lastQuoteMs: undefined };
}

/** The price is the mean of both sides, and absent where one is. */
export function latestOf(quote: Quote): LatestQuote {
  const { symbol, bid, ask, bidSize, askSize, timestamp } = quote;
  return {
    symbol,
    timestamp,
    ...(bid === undefined ? {} : { bid }),
    ...(ask === undefined ? {} : { ask }),
    ...(bidSize === undefined ? {} : { bidSize }),
    ...(askSize === undefined ? {} : { askSize }),
    ...(bid === undefined || ask === undefined
      ? {}
      : { price: (bid + ask) / 2 }),
  };
}

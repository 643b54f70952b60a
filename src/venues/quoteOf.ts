/** Quotes as both venues write them: `bp` and `bs` for the bid, `ap` and `as` for the ask. */
import type { Quote } from "../../schema/market.ts";

/**
 * `amountOf` is how the venue writes a number; it throws where there is none, and
 * knows one that is absent.
 */
export function quoteOf(
  element: Readonly<Record<string, unknown>>,
  symbol: string,
  timestamp: string,
  receivedAtMs: number,
  amountOf: (value: unknown, name: string) => number | undefined,
): Quote {
  // A side that nobody quotes has the price 0, or none at all.
  const bid = amountOf(element["bp"], "bp");
  const ask = amountOf(element["ap"], "ap");
  const bidSize = amountOf(element["bs"], "bs");
  const askSize = amountOf(element["as"], "as");
  // Nearly all quotes are whole; putting one together member by member costs twice as much.
  if (bid && ask && bidSize !== undefined && askSize !== undefined)
    return {
      kind: "quote",
      symbol,
      bid,
      ask,
      bidSize,
      askSize,
      timestamp,
      receivedAtMs,
    };
  return {
    kind: "quote",
    symbol,
    ...(bid && { bid }),
    ...(ask && { ask }),
    ...(bid && bidSize !== undefined && { bidSize }),
    ...(ask && askSize !== undefined && { askSize }),
    timestamp,
    receivedAtMs,
  };
}

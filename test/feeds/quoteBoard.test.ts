import { expect, test } from "bun:test";
import type { LatestQuote, Quote } from "../../schema/market.ts";
import { latestOf } from "../../src/feeds/quoteBoard.ts";

const SEEN = {
  symbol: "BTC/USD",
  timestamp: "2026-09-18T13:30:00.123456789Z",
};

test.each<[what: string, sides: Partial<Quote>, shown: Partial<LatestQuote>]>([
  [
    "both sides is priced at their mean",
    { bid: 100, ask: 101, bidSize: 5, askSize: 0.25 },
    { bid: 100, ask: 101, bidSize: 5, askSize: 0.25, price: 100.5 },
  ],
  [
    "a bid alone has no price",
    { bid: 100, bidSize: 5 },
    { bid: 100, bidSize: 5 },
  ],
  [
    "an ask alone has no price",
    { ask: 101, askSize: 5 },
    { ask: 101, askSize: 5 },
  ],
  ["no side at all is shown without any", {}, {}],
  [
    "sides without sizes is shown without them",
    { bid: 1, ask: 3 },
    { bid: 1, ask: 3, price: 2 },
  ],
])("a quote of %s", (_what, sides, shown) => {
  const quote: Quote = { kind: "quote", ...SEEN, ...sides, receivedAtMs: 1 };
  expect(latestOf(quote)).toStrictEqual({ ...SEEN, ...shown });
});

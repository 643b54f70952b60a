/** One id a symbol, and the venue's four ways to write a pair. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Product,
  symbolOfPolygon,
  symbolOfTicker,
  tickerOf,
} from "../../../src/venues/polygon/symbols.ts";

const PRODUCTS: readonly Product[] = ["rest", "stream", "files", "lastTrade"];

test.each([
  ["AAPL", ["AAPL", "AAPL", "AAPL", "AAPL"]],
  ["BRK.B", ["BRK.B", "BRK.B", "BRK.B", "BRK.B"]],
  ["KIMpL", ["KIMpL", "KIMpL", "KIMpL", "KIMpL"]],
  ["BTC/USD", ["X:BTCUSD", "BTC-USD", "X:BTC-USD", "BTC/USD"]],
  ["1INCH/EUR", ["X:1INCHEUR", "1INCH-EUR", "X:1INCH-EUR", "1INCH/EUR"]],
])("%s is spelt by REST, stream, files and last trade: %p", (symbol, names) => {
  expect(PRODUCTS.map((product) => tickerOf(symbol, product))).toEqual(names);
});

describe("whoever names a symbol", () => {
  test.each([
    // Stocks: in capitals, unless the small letters are the venue's own.
    ["AAPL", "AAPL"],
    [" aapl ", "AAPL"],
    ["Aapl", "AAPL"],
    ["brk.b", "BRK.B"],
    ["BRK-B", "BRK.B"],
    ["brk-b", "BRK.B"],
    ["KIMpL", "KIMpL"],
    ["ABRp", "ABRp"],
    ["AIGrw", "AIGrw"],
    ["CIG.C", "CIG.C"],
    ["ABC.WS.A", "ABC.WS.A"],
    // Pairs.
    ["BTC/USD", "BTC/USD"],
    ["btc/usd", "BTC/USD"],
    ["X:BTCUSD", "BTC/USD"],
    ["x:btcusd", "BTC/USD"],
    ["BTC-USD", "BTC/USD"],
    ["X:BTC-USD", "BTC/USD"],
    ["X:BTCUSDT", "BTC/USDT"],
    ["X:USDTUSD", "USDT/USD"],
    ["X:ETHGBP", "ETH/GBP"],
    // Without a mark of either a joined pair looks like a stock.
    ["BTCUSD", "BTCUSD"],
  ])("by %p means %p", (text, symbol) => {
    expect(symbolOfPolygon(text)).toBe(symbol);
  });

  test.each([
    ["BTCUSD", "BTC/USD"],
    ["ethjpy", "ETH/JPY"],
    ["SHIB/USDC", "SHIB/USDC"],
  ])("of a pair by %p means %p", (text, symbol) => {
    expect(symbolOfPolygon(text, "crypto")).toBe(symbol);
  });

  test.each([
    ["", "stock"],
    ["A B", "stock"],
    ["1A", "stock"],
    ["I:SPX", "stock"],
    ["", "crypto"],
    ["USD", "crypto"],
    ["X:", "crypto"],
    ["BTC/", "crypto"],
    ["X:BTC USD", "crypto"],
    ["X:!GBP", "crypto"],
  ] as const)("by %p means no %s", (text, assetClass) => {
    expect(symbolOfPolygon(text, assetClass)).toBeUndefined();
  });
});

test.each([
  ["KIMpL", "stock", "KIMpL"],
  ["ABCpACL", "stock", "ABCpACL"],
  ["aapl", "stock", "aapl"],
  ["AA PL", "stock", undefined],
  ["X:BTC-USD", "crypto", "BTC/USD"],
  ["<html>", "crypto", undefined],
] as const)(
  "what the venue calls %p (%s) is %p",
  (ticker, assetClass, symbol) => {
    expect(symbolOfTicker(ticker, assetClass)).toBe(symbol);
  },
);

test("every spelling of a pair leads back to it", () => {
  const base = fc.stringMatching(/^[A-Z][A-Z0-9]{1,5}$/);
  const quote = fc.constantFrom("USD", "USDT", "USDC", "EUR", "GBP", "JPY");
  fc.assert(
    fc.property(base, quote, (coin, currency) => {
      const symbol = `${coin}/${currency}`;
      const back = PRODUCTS.map((product) =>
        symbolOfPolygon(tickerOf(symbol, product), "crypto"),
      );
      expect(back).toEqual([symbol, symbol, symbol, symbol]);
    }),
  );
});

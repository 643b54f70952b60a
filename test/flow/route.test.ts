import { expect, test } from "bun:test";
import type { Bar, MarketMessage, Quote } from "../../schema/market.ts";
import { Router, type Route } from "../../src/flow/route.ts";

const at = { timestamp: "2026-09-18T13:30:00Z", receivedAtMs: 0 };
const trade = (symbol: string): MarketMessage => ({
  kind: "trade",
  symbol,
  price: 1,
  size: 1,
  ...at,
});
const quote: Quote = { kind: "quote", symbol: "SPY", bid: 1, ...at };
const bar: Bar = {
  kind: "bar",
  span: "minute",
  symbol: "AAPL",
  open: 1,
  high: 1,
  low: 1,
  close: 1,
  volume: 1,
  source: "alpaca:iex",
  ...at,
};
const news: MarketMessage = { kind: "news", symbol: "", value: {}, ...at };

/** A sink that writes down what it was given. */
function row<Message extends MarketMessage>(
  sink: string,
  takes: (message: MarketMessage) => message is Message,
  log: string[],
): Route<Message> {
  return {
    sink,
    takes,
    take: ({ kind, symbol }) => log.push(`${sink}: ${kind} ${symbol}`),
  };
}

test("each message goes to every sink that takes it, in order, and what none takes is counted by its kind", () => {
  const log: string[] = [];
  const router = new Router([
    row("redis", (each) => each.kind === "trade" || each.kind === "bar", log),
    row("postgres", (each) => each.kind === "bar", log),
    row("firestore", (each) => each.kind === "quote", log),
  ]);
  router.deliver([trade("AAPL"), bar, news, trade("MSFT"), quote, news]);
  router.deliver([]);
  expect(log).toEqual([
    "redis: trade AAPL",
    "redis: bar AAPL",
    "postgres: bar AAPL",
    "redis: trade MSFT",
    "firestore: quote SPY",
  ]);
  expect([...router.untaken]).toEqual([["news", 2]]);
});

test("without any sink everything is counted", () => {
  const router = new Router([]);
  router.deliver([trade("AAPL"), quote, trade("AAPL"), bar]);
  expect(Object.fromEntries(router.untaken)).toEqual({
    trade: 2,
    quote: 1,
    bar: 1,
  });
});

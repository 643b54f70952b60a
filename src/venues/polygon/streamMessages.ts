/**
 * What the elements of the venue's streams mean: a parsed element in, a typed
 * message out. Pure. Readers of trades and quotes are narrow on purpose: they run
 * for every element of every frame, and look at nothing that no sink takes; what
 * else is of an odd type (`c`, `i`, `z`) costs nobody a message.
 * https://massive.com/docs/websocket/stocks/trades
 */
import type {
  Bar,
  MarketMessage,
  Notice,
  Quote,
  Trade,
} from "../../../schema/market.ts";
import { MalformedError, memberText } from "../../../schema/read.ts";
import { quoteOf } from "../quoteOf.ts";
import { minuteOf, readBar } from "./aggregates.ts";
import { timeOfCount, timeOfMs } from "./instants.ts";
import {
  amountOf,
  type Members,
  optionalAmount,
  priceOf,
  shown,
} from "./numbers.ts";
import { symbolOfTicker } from "./symbols.ts";

/** When an element was read, and where its own text is. */
export interface Reception {
  readonly receivedAtMs: number;
  /** Not asked for unless digits would be lost. */
  readonly raw: () => string;
}

/** Events that no sink takes: kept as they came. Seconds (`A`, `XAS`) are among the unknown, since nobody subscribes to them. */
const NOTICES: ReadonlyMap<string, Notice["kind"]> = new Map([
  ["LULD", "luld"],
  ["NOI", "imbalance"],
  ["XL2", "orderbook"],
]);

/** @throws MalformedError when the element is not what its event says */
export function readMessage(
  element: Members,
  reception: Reception,
): MarketMessage {
  const event = element["ev"];
  switch (event) {
    case "T":
      return readTrade(element, stockOf(element), reception);
    case "Q":
      return readQuote(element, stockOf(element), reception);
    case "XT":
      return readTrade(element, pairOf(element), reception);
    case "XQ":
      return readQuote(element, pairOf(element), reception);
    case "AM":
      return readMinute(element, stockOf(element), reception);
    case "XA":
      return readMinute(element, pairOf(element), reception);
  }
  if (typeof event !== "string") throw new MalformedError("no event type");
  return readNotice(element, NOTICES.get(event) ?? "unknown", reception);
}

function readTrade(
  element: Members,
  symbol: string,
  { receivedAtMs }: Reception,
): Trade {
  return {
    kind: "trade",
    symbol,
    price: priceOf(element["p"], "p"),
    size: amountOf(element["s"], "s"),
    timestamp: readTime(element["t"]),
    receivedAtMs,
  };
}

function readQuote(
  element: Members,
  symbol: string,
  { receivedAtMs }: Reception,
): Quote {
  const timestamp = readTime(element["t"]);
  return quoteOf(element, symbol, timestamp, receivedAtMs, optionalAmount);
}

/** `a` and `av` are of the day; the members of the minute are named as in REST. */
function readMinute(
  element: Members,
  symbol: string,
  { receivedAtMs }: Reception,
): Bar {
  const startMs = minuteOf(element["s"]);
  return readBar(element, symbol, startMs, { span: "minute", receivedAtMs });
}

/** Times of these are counted in nanoseconds at times, of which a number would lose the last digits. */
function readNotice(
  element: Members,
  kind: Notice["kind"],
  { receivedAtMs, raw }: Reception,
): Notice {
  const { t: time } = element;
  const isRounded = typeof time === "number" && !Number.isSafeInteger(time);
  const exact = isRounded ? memberText(raw(), "t") : time;
  const symbol = [element["sym"], element["pair"], element["T"]].find(
    (name) => typeof name === "string",
  );
  return {
    kind,
    symbol: typeof symbol === "string" ? knownSymbol(symbol) : "",
    timestamp: timeOfCount(String(exact)),
    value: isRounded ? { ...element, t: exact } : element,
    receivedAtMs,
  };
}

function knownSymbol(ticker: string): string {
  const isPair = ticker.startsWith("X:") || ticker.includes("-");
  return (isPair ? symbolOfTicker(ticker, "crypto") : undefined) ?? ticker;
}

/** The business feed sends minutes of pairs under the name that day files have. */
function stockOf(element: Members): string {
  const ticker = element["sym"];
  if (typeof ticker !== "string" || ticker === "")
    throw new MalformedError("no symbol");
  return ticker.startsWith("X:") ? pairNamed(ticker) : ticker;
}

function pairOf(element: Members): string {
  const ticker = element["pair"];
  if (typeof ticker !== "string") throw new MalformedError("no pair");
  return pairNamed(ticker);
}

const PAIRS_KEPT_MAX = 4096;
const pairs = new Map<string, string>();

/** Remembered, for each message of a pair names it. */
function pairNamed(ticker: string): string {
  const known = pairs.get(ticker);
  if (known !== undefined) return known;
  const symbol = symbolOfTicker(ticker, "crypto");
  if (symbol === undefined) throw new MalformedError(`no pair: ${ticker}`);
  if (pairs.size >= PAIRS_KEPT_MAX) pairs.clear();
  pairs.set(ticker, symbol);
  return symbol;
}

/** Milliseconds where they are, in other units by their magnitude. */
function readTime(value: unknown): string {
  if (typeof value === "number" && value >= 1e12 && value < 1e14)
    return timeOfMs(Math.floor(value));
  const time = timeOfCount(String(value));
  if (time === undefined) throw new MalformedError(`no time: ${shown(value)}`);
  return time;
}

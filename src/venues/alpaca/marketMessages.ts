/**
 * What the elements of Alpaca's market data mean: a parsed element in, a typed
 * message out. Pure. Readers of trades and quotes are narrow on purpose: they
 * run for every element of every frame.
 * https://docs.alpaca.markets/docs/real-time-stock-pricing-data
 */
import { nanosOf } from "../../../schema/instant.ts";
import type {
  Bar,
  BarSpan,
  MarketMessage,
  Notice,
  Quote,
  Trade,
} from "../../../schema/market.ts";
import { isObject, MalformedError } from "../../../schema/read.ts";
import { quoteOf } from "../quoteOf.ts";

export type Members = Readonly<Record<string, unknown>>;

/** Where and when an element was read. */
export interface Reception {
  /** What bars are marked with, e.g. `alpaca:iex`. */
  readonly source: string;
  readonly receivedAtMs: number;
}

interface NoticeForm {
  readonly kind: Notice["kind"];
  /** Members that are amounts or absent. */
  readonly amounts: readonly string[];
}

/** Types of flat elements that no sink takes: kept as they came. */
const NOTICES: ReadonlyMap<string, NoticeForm> = new Map([
  ["c", { kind: "correction", amounts: ["op", "os", "cp", "cs"] }],
  ["x", { kind: "cancel", amounts: ["p", "s"] }],
  ["s", { kind: "status", amounts: [] }],
  ["l", { kind: "luld", amounts: ["u", "d"] }],
  ["i", { kind: "imbalance", amounts: ["p"] }],
]);

/**
 * Undefined for a type that is none of the market's, or new.
 * @throws MalformedError when the element is not what its type says.
 */
export function readMessage(
  element: Members,
  reception: Reception,
): MarketMessage | undefined {
  const type = element["T"];
  // Looked at first, since nearly everything is one of these.
  if (type === "t") return readTrade(element, reception);
  if (type === "q") return readQuote(element, reception);
  switch (type) {
    case "b":
      return readBar(element, symbolOf(element), "minute", reception);
    case "u":
      return readBar(element, symbolOf(element), "updated", reception);
    case "d":
      return readBar(element, symbolOf(element), "daily", reception);
    case "o":
      return readOrderBook(element, reception);
    case "n":
      return readNews(element, reception);
  }
  const notice = typeof type === "string" ? NOTICES.get(type) : undefined;
  return notice && readNotice(element, notice, reception);
}

function readTrade(element: Members, { receivedAtMs }: Reception): Trade {
  return {
    kind: "trade",
    symbol: symbolOf(element),
    price: priceOf(element["p"], "p"),
    size: amountOf(element["s"], "s"),
    timestamp: readTime(element["t"]),
    receivedAtMs,
  };
}

function readQuote(element: Members, { receivedAtMs }: Reception): Quote {
  const symbol = symbolOf(element);
  const timestamp = readTime(element["t"]);
  return quoteOf(element, symbol, timestamp, receivedAtMs, optionalAmount);
}

/**
 * A candle of the stream or of REST, where the symbol is the key of the rows.
 * @throws MalformedError naming the member that is wrong.
 */
export function readBar(
  members: Members,
  symbol: string,
  span: BarSpan,
  { source, receivedAtMs }: Reception,
): Bar {
  const vwap = optionalAmount(members["vw"], "vw");
  const trades = optionalAmount(members["n"], "n");
  return {
    kind: "bar",
    span,
    symbol,
    open: priceOf(members["o"], "o"),
    high: priceOf(members["h"], "h"),
    low: priceOf(members["l"], "l"),
    close: priceOf(members["c"], "c"),
    volume: amountOf(members["v"], "v"),
    // Crypto bars of minutes without a trade say 0, which is no price: there is no average of nothing.
    ...(vwap && { vwap }),
    ...(trades !== undefined && { trades }),
    timestamp: readTime(members["t"]),
    source,
    receivedAtMs,
  };
}

function readNotice(
  element: Members,
  { kind, amounts }: NoticeForm,
  { receivedAtMs }: Reception,
): Notice {
  for (const name of amounts) optionalAmount(element[name], name);
  return {
    kind,
    symbol: symbolOf(element),
    timestamp: optionalTime(element["t"]),
    value: element,
    receivedAtMs,
  };
}

function readOrderBook(element: Members, { receivedAtMs }: Reception): Notice {
  for (const side of ["b", "a"]) {
    const levels = element[side] ?? [];
    if (!Array.isArray(levels)) throw new MalformedError(`${side} is no list`);
    for (const level of levels as readonly unknown[]) {
      if (!isObject(level)) throw new MalformedError(`${side} has no levels`);
      priceOf(level["p"], `${side}.p`);
      amountOf(level["s"], `${side}.s`);
    }
  }
  return {
    kind: "orderbook",
    symbol: symbolOf(element),
    timestamp: optionalTime(element["t"]),
    value: element,
    receivedAtMs,
  };
}

/** An article names its symbols in a list; it is of one symbol only when that is all the list holds. */
function readNews(element: Members, { receivedAtMs }: Reception): Notice {
  const symbols = element["symbols"] ?? [];
  if (!Array.isArray(symbols)) throw new MalformedError("symbols is no list");
  const [only]: readonly unknown[] = symbols;
  return {
    kind: "news",
    symbol: symbols.length === 1 && typeof only === "string" ? only : "",
    timestamp: optionalTime(element["updated_at"] ?? element["created_at"]),
    value: element,
    receivedAtMs,
  };
}

/**
 * What the venue adds one day: nothing more is demanded of it than a type.
 * @throws MalformedError when it has none.
 */
export function readUnknown(
  element: Members,
  { receivedAtMs }: Reception,
): Notice {
  const { T: type, S: symbol, t: time } = element;
  if (typeof type !== "string") throw new MalformedError("no message type");
  return {
    kind: "unknown",
    symbol: typeof symbol === "string" ? symbol : "",
    timestamp: typeof time === "string" ? time : undefined,
    value: element,
    receivedAtMs,
  };
}

function symbolOf(element: Members): string {
  const symbol = element["S"];
  if (typeof symbol === "string" && symbol !== "") return symbol;
  throw new MalformedError("no symbol");
}

/** Zero is what the venue writes where it knows no price. */
function priceOf(value: unknown, name: string): number {
  if (typeof value === "number" && value > 0 && value < Infinity) return value;
  throw new MalformedError(`${name} is no price: ${shown(value)}`);
}

function amountOf(value: unknown, name: string): number {
  if (typeof value === "number" && value >= 0 && value < Infinity) return value;
  throw new MalformedError(`${name} is no amount: ${shown(value)}`);
}

function optionalAmount(value: unknown, name: string): number | undefined {
  return value === undefined || value === null
    ? undefined
    : amountOf(value, name);
}

const UTC_TIME =
  /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z$/;

/** `2021-02-22T15:51:` of the minute that was found to exist last: nearly all messages are of the same. */
let minuteKnown = "none";

/**
 * A time as RFC 3339 in UTC with all its digits: the venue's own text, unless it
 * writes another zone.
 * @throws MalformedError when it is no time.
 */
export function readTime(value: unknown): string {
  if (typeof value !== "string")
    throw new MalformedError(`no time: ${shown(value)}`);
  if (isOfMinuteKnown(value)) return value;
  const nanos = nanosOf(value);
  if (nanos === undefined || nanos < 0n)
    throw new MalformedError(`no time: ${shown(value)}`);
  if (!UTC_TIME.test(value))
    return utcText(Number(nanos / BILLION), Number(nanos % BILLION));
  minuteKnown = value.slice(0, "2021-02-22T15:51:".length);
  return value;
}

/** As strict as the pattern, and costs half of it: the pattern alone took a tenth of a frame's time. */
function isOfMinuteKnown(text: string): boolean {
  const end = text.length - 1;
  if (!text.startsWith(minuteKnown) || text[end] !== "Z") return false;
  if (end < 19 || end > 29 || text.charCodeAt(17) > FIVE) return false;
  if (!isDigit(text, 17) || !isDigit(text, 18)) return false;
  if (end === 19) return true;
  if (end === 20 || text[19] !== ".") return false;
  for (let at = 20; at < end; at++) if (!isDigit(text, at)) return false;
  return true;
}

const ZERO = 0x30;
const FIVE = 0x35;
const NINE = 0x39;

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= ZERO && code <= NINE;
}

function optionalTime(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : readTime(value);
}

const BILLION = 1_000_000_000n;

let secondKnown = Number.NaN;
let secondText = "";

/**
 * `2021-02-22T15:51:45.335689322Z` of seconds since the epoch and nanoseconds in
 * them, trailing zeros cut as the venue's JSON does.
 * @throws RangeError when no such instant exists.
 */
export function utcText(seconds: number, nanos: number): string {
  if (!(nanos >= 0 && nanos < 1e9)) throw new RangeError("no nanoseconds");
  if (seconds !== secondKnown) {
    secondText = new Date(seconds * 1000).toISOString().slice(0, -5);
    secondKnown = seconds;
  }
  if (nanos === 0) return `${secondText}Z`;
  let digits = nanos;
  let length = 9;
  for (; digits % 10 === 0; digits /= 10) length--;
  return `${secondText}.${String(digits).padStart(length, "0")}Z`;
}

function shown(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 40) : `${typeof value}`;
}

/** Parameters of a request for market data, checked as the venue checks them. */
import { nanosOf } from "../../../../schema/instant.ts";
import { DAY } from "../../../clock.ts";
import { Refusal } from "../answer.ts";
import { isSymbol } from "./language.ts";
import { dayStart, type Span, spanOf } from "./spans.ts";

/** Passing an unknown parameter is a mistake that this venue does not pass over. */
export function requireKnown(
  query: URLSearchParams,
  known: readonly string[],
): void {
  const unknown = [...new Set(query.keys())].filter(
    (name) => !known.includes(name),
  );
  if (unknown.length > 0)
    throw invalid(`unexpected query parameter(s): ${unknown.join(", ")}`);
}

/** Sorted, each once. */
export function symbolsOf(
  query: URLSearchParams,
  isCrypto: boolean,
): readonly string[] {
  const symbols = (query.get("symbols") ?? "").split(",").filter(Boolean);
  if (symbols.length === 0) throw invalid("symbols is required");
  for (const symbol of symbols) requireSymbol(symbol, isCrypto);
  return [...new Set(symbols)].sort();
}

export function requireSymbol(symbol: string, isCrypto: boolean): void {
  if (!isSymbol(symbol, isCrypto)) throw invalid(`invalid symbol: ${symbol}`);
}

/** An instant, or a day: its beginning as a start, all of it as an end. */
export function instantOf(
  query: URLSearchParams,
  name: "start" | "end",
  isCrypto: boolean,
): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^\d{4}-\d\d-\d\d$/.test(text)) {
    const noon = nanosOf(`${text}T18:00:00Z`);
    if (noon !== undefined) {
      const startMs = dayStart(isCrypto, msOf(noon));
      return name === "start"
        ? startMs
        : dayStart(isCrypto, startMs + 1.5 * DAY) - 1e-3;
    }
  }
  const nanos = nanosOf(text);
  if (nanos === undefined) throw invalid(`invalid ${name}: ${text}`);
  return msOf(nanos);
}

/** With its fraction: the ends of an interval are included to the nanosecond. */
function msOf(nanos: bigint): number {
  return Number(nanos / 1_000_000n) + Number(nanos % 1_000_000n) / 1e6;
}

export function limitOf(
  query: URLSearchParams,
  { fallback, max }: { fallback: number; max: number },
): number {
  const text = query.get("limit");
  if (text === null) return fallback;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > max) throw invalid(`invalid limit: ${text}`);
  return limit;
}

export function timeframeOf(query: URLSearchParams, isCrypto: boolean): Span {
  const text = query.get("timeframe");
  if (text === null) throw invalid("timeframe is required");
  const span = spanOf(text, isCrypto);
  if (span === undefined) throw invalid(`invalid timeframe: ${text}`);
  return span;
}

const ADJUSTMENTS = ["raw", "split", "dividend", "spin-off", "all"];

/** Nothing here was ever split; what the venue does not know it refuses all the same. */
export function requireAdjustment(query: URLSearchParams): void {
  const text = query.get("adjustment");
  if (text?.split(",").every((each) => ADJUSTMENTS.includes(each)) === false)
    throw invalid(`invalid adjustment: ${text}`);
}

/** One of the words; undefined when the parameter is absent. */
export function oneOf<Word extends string>(
  query: URLSearchParams,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const word = words.find((each) => each === text);
  if (word === undefined) throw invalid(`invalid ${name}: ${text}`);
  return word;
}

export function invalid(message: string): Refusal {
  return new Refusal(400, undefined, message);
}

/**
 * Minutes by REST, on the scale of today's shares.
 * https://massive.com/docs/rest/stocks/aggregates/custom-bars
 */
import type { Bar } from "../../../schema/market.ts";
import {
  elementTexts,
  isObject,
  MalformedError,
  memberText,
} from "../../../schema/read.ts";
import { type Clock, MINUTE, SECOND, systemClock } from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import type { AskOptions, Range } from "../registryVenue.ts";
import { timeOfMs } from "./instants.ts";
import { amountOf, type Members, optionalAmount, priceOf } from "./numbers.ts";
import { type Answer, pathPart, type PolygonRest } from "./rest.ts";
import { tickerOf } from "./symbols.ts";

/** What bars of the venue are marked with, whichever product they are of. */
export const SOURCE = "polygon";

/** Minutes of one page; the venue's default would be a tenth. */
const PAGE_LENGTH_MAX = 50_000;
/** A minute is shown while it runs, and is complete only some time after its end. */
const SETTLING_MS = 5 * SECOND;
/** Where the plan gets everything late, the minute that is still running is that of so long ago. */
const DELAY_MS = 15 * MINUTE;

export interface AggregatesSettings {
  readonly rest: PolygonRest;
  /** Told each row that could not be read, whole; the rows beside it are good. */
  readonly onMalformed: (row: {
    readonly raw: string;
    readonly reason: string;
  }) => void;
  readonly clock?: Clock;
}

/**
 * Minutes of a symbol in the range, page by page, oldest first, each once; the
 * one that is not over yet is left out. Of an unknown symbol there are none.
 * @throws VenueError
 */
export async function* minuteBars(
  settings: AggregatesSettings,
  symbol: string,
  { from, to }: Range,
  options: AskOptions,
): AsyncGenerator<readonly Bar[]> {
  if (from >= to) return;
  const { rest, clock = systemClock } = settings;
  // The venue includes the minute of the end.
  const path = `/v2/aggs/ticker/${pathPart(tickerOf(symbol, "rest"))}/range/1/minute/${from}/${to - 1}`;
  const query = { adjusted: "true", sort: "asc", limit: PAGE_LENGTH_MAX };
  let toldTo = from - 1;
  for await (const page of rest.pages(path, query, options)) {
    checkScale(page, path);
    const receivedAtMs = clock.now();
    const overMs = receivedAtMs - SETTLING_MS - delayMsOf(page);
    const rows = readRows(page, symbol, receivedAtMs, settings.onMalformed);
    const wanted = ascending(rows).filter(
      ({ ms }) => ms > toldTo && ms < to && ms + MINUTE <= overMs,
    );
    toldTo = wanted.at(-1)?.ms ?? toldTo;
    if (wanted.length > 0) yield wanted.map(({ bar }) => bar);
  }
}

/** Bars before and after a split must never stand beside each other on two scales. */
function checkScale({ value }: Answer, path: string): void {
  if (value["adjusted"] === false)
    throw new VenueError(`${path} is not adjusted, as it was asked to be`, {
      failure: "rejected",
    });
}

function delayMsOf({ value }: Answer): number {
  return value["status"] === "DELAYED" ? DELAY_MS : 0;
}

interface Row {
  /** Start of the minute. */
  readonly ms: number;
  readonly bar: Bar;
}

/** Without a bar the member is missing altogether. */
function readRows(
  page: Answer,
  symbol: string,
  receivedAtMs: number,
  onMalformed: AggregatesSettings["onMalformed"],
): Row[] {
  const results = page.value["results"] ?? [];
  if (!Array.isArray(results))
    throw new VenueError("results are no list", { failure: "rejected" });
  const rows: Row[] = [];
  let texts: readonly string[] | undefined;
  for (const [index, value] of (results as readonly unknown[]).entries()) {
    try {
      rows.push(readRow(value, symbol, receivedAtMs));
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      texts ??= elementTexts(memberText(page.raw, "results") ?? "[]");
      const reason = `${symbol}: ${error.message}`;
      onMalformed({ raw: texts[index] ?? "", reason });
    }
  }
  return rows;
}

function readRow(value: unknown, symbol: string, receivedAtMs: number): Row {
  if (!isObject(value)) throw new MalformedError("not an object");
  const ms = minuteOf(value["t"]);
  const bar = readBar(value, symbol, ms, { span: "history", receivedAtMs });
  return { ms, bar };
}

/**
 * A candle of REST or of the stream: the same members in both.
 * @throws MalformedError naming the member that is wrong
 */
export function readBar(
  members: Members,
  symbol: string,
  startMs: number,
  { span, receivedAtMs }: Pick<Bar, "span" | "receivedAtMs">,
): Bar {
  const open = priceOf(members["o"], "o");
  const high = priceOf(members["h"], "h");
  const low = priceOf(members["l"], "l");
  const close = priceOf(members["c"], "c");
  const volume = amountOf(members["v"], "v");
  // 0 is what crypto shows where no average was made.
  const vwap = optionalAmount(members["vw"], "vw") || undefined;
  const trades = optionalAmount(members["n"], "n");
  const timestamp = timeOfMs(startMs);
  // Nearly all of REST are whole; put together member by member a page takes a fifth longer.
  if (vwap !== undefined && trades !== undefined)
    return {
      kind: "bar",
      span,
      symbol,
      open,
      high,
      low,
      close,
      volume,
      vwap,
      trades,
      timestamp,
      source: SOURCE,
      receivedAtMs,
    };
  return {
    kind: "bar",
    span,
    symbol,
    open,
    high,
    low,
    close,
    volume,
    ...(vwap !== undefined && { vwap }),
    ...(trades !== undefined && { trades }),
    timestamp,
    source: SOURCE,
    receivedAtMs,
  };
}

/** @throws MalformedError when it is no start of a minute */
export function minuteOf(value: unknown): number {
  if (typeof value === "number" && value > 0 && value % MINUTE === 0)
    return value;
  throw new MalformedError(`no minute: ${String(value)}`);
}

/** In order of time; of a minute that is told twice the later row counts. */
function ascending(rows: readonly Row[]): readonly Row[] {
  const isAscending = rows.every(
    ({ ms }, index) => index === 0 || ms > (rows[index - 1]?.ms ?? 0),
  );
  if (isAscending) return rows;
  return [...new Map(rows.map((row) => [row.ms, row])).values()].sort(
    (a, b) => a.ms - b.ms,
  );
}

/**
 * Bars by REST, a page at a time: a page's limit counts the minutes (or days) that
 * its bars are made of, and the position of the next one is in its path.
 * https://massive.com/docs/rest/stocks/aggregates/custom-bars
 */
import { setImmediate } from "node:timers/promises";
import { DAY, HOUR, MINUTE } from "../../../clock.ts";
import { joinBars, type TapeBar } from "../market/tape.ts";
import type { Asked } from "./asked.ts";
import { dayOf, dayStart, type Extent, type Order } from "./chart.ts";
import { encodeCursor, limitOf } from "./cursor.ts";
import { written } from "./numbers.ts";
import { badRequest, beforeHistory } from "./refusal.ts";

const LIMIT = { fallback: 5_000, max: 50_000 };
/** After so many minutes others have their turn: a long page takes a second to make. */
const BREATH = 2_000;
/** Of a plan's history, so that a leap day does not matter. */
const YEAR_MS = 366 * DAY;

export interface RangeAsked {
  readonly ticker: string;
  readonly multiplier: string;
  readonly timespan: string;
  readonly from: string;
  readonly to: string;
}

/** How long a bar is, and of what it is made. */
interface Window {
  readonly base: "minute" | "day";
  startOf(ms: number): number;
  nextOf(startMs: number): number;
}

export async function aggregates(
  asked: Asked,
  range: RangeAsked,
): Promise<object> {
  const { chart, plan, query } = asked;
  const { ticker } = range;
  // Of a ticker that nobody knows there are no bars, and no complaint.
  const symbol = chart.symbolOf(ticker) ?? ticker;
  const window = windowOf(range, symbol);
  const limit = limitOf(query, LIMIT);
  const isAdjusted = query.get("adjusted") !== "false";
  const order: Order = query.get("sort") === "desc" ? "desc" : "asc";
  const nowMs = asked.knownMs(symbol);
  const extent: Extent = {
    fromMs: window.startOf(instantOf("from", range, symbol)),
    toMs: window.nextOf(window.startOf(instantOf("to", range, symbol))) - 1,
    order,
    nowMs,
  };
  if (extent.toMs < extent.fromMs)
    throw badRequest("'to' must be after 'from'");
  if (extent.fromMs < asked.nowMs - plan.historyYears * YEAR_MS)
    throw beforeHistory();
  const base =
    chart.symbolOf(ticker) === undefined
      ? []
      : window.base === "minute"
        ? chart.minutes(symbol, extent)
        : chart.days(symbol, extent);
  const page = await pageOf(base, window, limit, order);
  const results = page.bars.map((bar) =>
    rowOf(chart.scaled(symbol, bar, isAdjusted, nowMs), asked.hasOddities),
  );
  const envelope = {
    ticker,
    queryCount: page.read,
    resultsCount: results.length,
    adjusted: isAdjusted,
    ...(results.length > 0 && { results }),
    status: asked.goodStatus,
    request_id: asked.requestId,
    count: results.length,
    ...(page.nextMs !== undefined && {
      next_url: nextUrl(asked, range, {
        position: page.nextMs,
        limit,
        isAdjusted,
        order,
      }),
    }),
  };
  // Nobody may count on the order of members.
  return asked.hasOddities
    ? Object.fromEntries(Object.entries(envelope).reverse())
    : envelope;
}

/** The last bar of a symbol's days that are over. */
export function previousDay(asked: Asked, ticker: string): object {
  const { chart, query } = asked;
  const symbol = chart.symbolOf(ticker);
  const isAdjusted = query.get("adjusted") !== "false";
  const nowMs = symbol === undefined ? asked.nowMs : asked.knownMs(symbol);
  const [bar] =
    symbol === undefined
      ? []
      : chart.days(symbol, {
          fromMs: 0,
          toMs: dayStart(symbol, dayOf(symbol, nowMs)) - 1,
          order: "desc",
          nowMs,
        });
  const results =
    bar === undefined || symbol === undefined
      ? []
      : [
          {
            T: ticker,
            ...rowOf(chart.scaled(symbol, bar, isAdjusted, nowMs), false),
          },
        ];
  return {
    ticker,
    queryCount: results.length,
    resultsCount: results.length,
    adjusted: isAdjusted,
    ...(results.length > 0 && { results }),
    status: asked.goodStatus,
    request_id: asked.requestId,
    count: results.length,
  };
}

interface Page {
  readonly bars: readonly TapeBar[];
  /** Of what bars are made of. */
  readonly read: number;
  /** The end of what is told, in the direction of the order; absent on the last page. */
  readonly nextMs: number | undefined;
}

async function pageOf(
  base: Iterable<TapeBar>,
  window: Window,
  limit: number,
  order: Order,
): Promise<Page> {
  const groups: { readonly startMs: number; readonly bars: TapeBar[] }[] = [];
  let read = 0;
  let nextMs: number | undefined;
  for (const bar of base) {
    const startMs = window.startOf(bar.startMs);
    const group = groups.at(-1);
    if (read === limit) {
      // The window that is not whole is told by the next page, unless there is no other.
      if (group?.startMs === startMs && groups.length > 1) groups.pop();
      const last = groups.at(-1)?.startMs ?? startMs;
      nextMs = order === "asc" ? window.nextOf(last) : last - 1;
      break;
    }
    read++;
    if (read % BREATH === 0) await setImmediate();
    if (group?.startMs === startMs) group.bars.push(bar);
    else groups.push({ startMs, bars: [bar] });
  }
  const bars = groups.flatMap(({ startMs, bars }) => {
    const [single] = bars;
    if (bars.length === 1 && single !== undefined)
      return [{ ...single, startMs }];
    const joined = joinBars(startMs, order === "asc" ? bars : bars.reverse());
    return joined === undefined ? [] : [joined];
  });
  return { bars, read, nextMs };
}

function rowOf({ o, h, l, c, v, vw, startMs, n }: TapeBar, isOdd: boolean) {
  return {
    v: written(v),
    vw: written(vw),
    o: written(o),
    c: written(c),
    h: written(h),
    l: written(l),
    t: startMs,
    n,
    // Once shown, and never documented.
    ...(isOdd && { a: written(vw), op: written(o) }),
  };
}

/** On the host that was called, without its key. */
function nextUrl(
  { url }: Asked,
  { ticker, multiplier, timespan, from, to }: RangeAsked,
  next: {
    readonly position: number;
    readonly limit: number;
    readonly isAdjusted: boolean;
    readonly order: Order;
  },
): string {
  const [start, end] =
    next.order === "asc" ? [next.position, to] : [from, next.position];
  const cursor = encodeCursor({
    ...(next.isAdjusted ? {} : { adjusted: "false" }),
    limit: String(next.limit),
    sort: next.order,
  });
  return `${url.origin}/v2/aggs/ticker/${ticker}/range/${multiplier}/${timespan}/${start}/${end}?cursor=${cursor}`;
}

function windowOf(
  { multiplier, timespan }: RangeAsked,
  symbol: string,
): Window {
  const count = /^[1-9]\d{0,4}$/.test(multiplier) ? Number(multiplier) : 0;
  if (count === 0)
    throw badRequest(`Could not parse the multiplier: '${multiplier}'`);
  switch (timespan) {
    case "minute":
      return evenWindow(count * MINUTE);
    case "hour":
      return evenWindow(count * HOUR);
    case "day":
      if (count === 1) return windowOfDay(symbol);
      break;
    default:
  }
  throw badRequest(`Could not parse the timespan: '${timespan}'`);
}

function evenWindow(lengthMs: number): Window {
  return {
    base: "minute",
    startOf: (ms) => Math.floor(ms / lengthMs) * lengthMs,
    nextOf: (startMs) => startMs + lengthMs,
  };
}

function windowOfDay(symbol: string): Window {
  const startOf = (ms: number) => dayStart(symbol, dayOf(symbol, ms));
  return {
    base: "day",
    startOf,
    // A day has 23 to 25 hours.
    nextOf: (startMs) => startOf(startMs + 1.5 * DAY),
  };
}

/** A day (all of it, as an end) or milliseconds. */
function instantOf(
  end: "from" | "to",
  range: RangeAsked,
  symbol: string,
): number {
  const text = range[end];
  if (/^\d{1,14}$/.test(text)) return Number(text);
  const isDay =
    /^\d{4}-\d\d-\d\d$/.test(text) &&
    !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
  if (!isDay)
    throw badRequest(
      `Could not parse the time parameter: '${end}'. Use YYYY-MM-DD or Unix MS Timestamps`,
    );
  const startMs = dayStart(symbol, text);
  return end === "from" ? startMs : windowOfDay(symbol).nextOf(startMs) - 1;
}

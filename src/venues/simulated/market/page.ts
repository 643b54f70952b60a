/** Pages of bars, trades or quotes: by symbol, then time; the limit counts the rows of all symbols together. */
import { MINUTE } from "../../../clock.ts";
import {
  barRow,
  isOddLot,
  quoteRow,
  tradeRow,
  type WireMessage,
} from "./messages.ts";
import { invalid } from "./query.ts";
import { barAt } from "./schedule.ts";
import type { Span } from "./spans.ts";
import {
  joinBars,
  type Tape,
  type TapeBar,
  type TapeMinute,
  type TapeTrade,
} from "./tape.ts";

/** What is asked for of each symbol. */
export interface Extent {
  readonly fromMs: number;
  /** Included, as the venue includes both ends. */
  readonly toMs: number;
  readonly order: "asc" | "desc";
  /** Until when the venue knows what happened. */
  readonly nowMs: number;
}

/** Where a row stands; minutes may get rows later, but none changes its place. */
interface Place {
  readonly ms: number;
  readonly index: number;
}

interface Step {
  readonly place: Place;
  /** Absent at the end of a minute, or for a span without a bar. */
  readonly row?: WireMessage;
  /** Minutes that were looked at for it. */
  readonly looked: number;
}

export type Steps = (
  symbol: string,
  after: Place | undefined,
) => Iterable<Step>;

/** Two weeks of minutes: a page is given as it is rather than after a long silence. */
const LOOKED_MAX = 20_000;

export function pageOf(
  steps: Steps,
  symbols: readonly string[],
  limit: number,
  token: string | null,
): { rows: Record<string, WireMessage[]>; token: string | null } {
  const cursor = token === null ? undefined : cursorOf(token);
  const rows: Record<string, WireMessage[]> = {};
  let [count, looked] = [0, 0];
  let next: string | null = null;
  for (const symbol of symbols) {
    if (cursor !== undefined && symbol < cursor.symbol) continue;
    const after = cursor?.symbol === symbol ? cursor.place : undefined;
    for (const step of steps(symbol, after)) {
      if (step.row !== undefined) {
        if (count === limit) return { rows, token: next };
        (rows[symbol] ??= []).push(step.row);
        count++;
      }
      next = tokenOf(symbol, step.place);
      looked += step.looked;
      if (looked >= LOOKED_MAX) return { rows, token: next };
    }
  }
  return { rows, token: null };
}

/** The newest row of a symbol, within the extent. */
export function newest(steps: Steps, symbol: string): WireMessage | undefined {
  for (const { row } of steps(symbol, undefined))
    if (row !== undefined) return row;
  return undefined;
}

export function barSteps(tape: Tape, extent: Extent, span: Span): Steps {
  const { order, nowMs } = extent;
  return function* (symbol, after) {
    const isAscending = order === "asc";
    const fromMs =
      isAscending && after !== undefined
        ? span.nextOf(after.ms)
        : extent.fromMs;
    const toMs =
      isAscending || after === undefined
        ? extent.toMs
        : Math.min(extent.toMs, after.ms - 1);
    if (toMs < fromMs) return;
    const start = span.startOf(fromMs);
    const firstMs = start < fromMs ? span.nextOf(start) : start;
    const endMs = span.nextOf(span.startOf(toMs));
    let group: { startMs: number; nextMs: number; bars: TapeBar[] } | undefined;
    let looked = 0;
    const finished = () => {
      if (group === undefined) return undefined;
      const { startMs, bars } = group;
      if (!isAscending) bars.reverse();
      // A single bar is shown as it is, to the last digit.
      const [only] = bars;
      const bar =
        only !== undefined && bars.length === 1
          ? { ...only, startMs }
          : joinBars(startMs, bars);
      const step = {
        place: { ms: startMs, index: 0 },
        looked,
        ...(bar === undefined ? {} : { row: barRow(bar) }),
      };
      looked = 0;
      return step;
    };
    const lastMs = Math.min(nowMs, endMs - MINUTE);
    for (const minuteMs of tape.minutes(symbol, firstMs, lastMs, order)) {
      if (
        group === undefined ||
        minuteMs < group.startMs ||
        minuteMs >= group.nextMs
      ) {
        const step = finished();
        if (step !== undefined) yield step;
        const startMs = span.startOf(minuteMs);
        group = { startMs, nextMs: span.nextOf(startMs), bars: [] };
      }
      looked++;
      const bar = barAt(tape, symbol, minuteMs, nowMs);
      if (bar !== undefined) group.bars.push(bar);
    }
    const step = finished();
    if (step !== undefined) yield step;
  };
}

export function tradeSteps(tape: Tape, extent: Extent): Steps {
  return minuteSteps(tape, extent, (symbol, minute) =>
    knownTrades(minute, extent.nowMs).map(({ trade, index, update }) => ({
      atMs: trade.atMs,
      index,
      row: {
        ...tradeRow(symbol, trade),
        ...(update === undefined ? {} : { u: update }),
      },
    })),
  );
}

/** Trades that stand, and that make the price which everybody sees. */
export function priceSteps(tape: Tape, extent: Extent): Steps {
  return minuteSteps(tape, extent, (symbol, minute) =>
    knownTrades(minute, extent.nowMs)
      .filter(
        ({ trade, update }) =>
          update !== "canceled" &&
          update !== "incorrect" &&
          !isOddLot(symbol, trade.size),
      )
      .map(({ trade, index }) => ({
        atMs: trade.atMs,
        index,
        row: tradeRow(symbol, trade),
      })),
  );
}

export function quoteSteps(
  tape: Tape,
  extent: Extent,
  rowOf: typeof quoteRow = quoteRow,
): Steps {
  return minuteSteps(tape, extent, (symbol, { quotes }) =>
    quotes.map((quote, index) => ({
      atMs: quote.atMs,
      index,
      row: rowOf(symbol, quote),
    })),
  );
}

interface KnownTrade {
  readonly trade: TapeTrade;
  readonly index: number;
  readonly update?: "canceled" | "incorrect" | "corrected";
}

/** A late trade is nowhere to be seen before it is reported, nor is what the exchange takes back later. */
function knownTrades({ trades }: TapeMinute, nowMs: number): KnownTrade[] {
  return trades.flatMap((trade, place): KnownTrade[] => {
    const index = 2 * place;
    const { amendment } = trade;
    if (trade.reportedMs > nowMs) return [];
    if (amendment === undefined || amendment.atMs > nowMs)
      return [{ trade, index }];
    const { corrected } = amendment;
    return corrected === undefined
      ? [{ trade, index, update: "canceled" }]
      : [
          { trade, index, update: "incorrect" },
          {
            trade: { ...trade, ...corrected },
            index: index + 1,
            update: "corrected",
          },
        ];
  });
}

interface TimedRow {
  readonly atMs: number;
  readonly index: number;
  readonly row: WireMessage;
}

/** No minute has so many rows. */
const INDEX_MAX = 1_000_000;

function minuteSteps(
  tape: Tape,
  { fromMs, toMs, order, nowMs }: Extent,
  rowsOf: (symbol: string, minute: TapeMinute) => TimedRow[],
): Steps {
  const isAscending = order === "asc";
  const lastMs = Math.min(toMs, nowMs);
  const isBeyond = (index: number, other: number) =>
    isAscending ? index > other : index < other;
  return function* (symbol, after) {
    const first =
      isAscending && after !== undefined ? Math.max(fromMs, after.ms) : fromMs;
    const last =
      isAscending || after === undefined
        ? lastMs
        : Math.min(lastMs, after.ms + MINUTE - 1);
    for (const ms of tape.minutes(symbol, first, last, order)) {
      const rows = rowsOf(symbol, tape.minute(symbol, ms));
      if (!isAscending) rows.reverse();
      for (const { atMs, index, row } of rows) {
        if (atMs < fromMs || lastMs < atMs) continue;
        if (after?.ms === ms && !isBeyond(index, after.index)) continue;
        yield { place: { ms, index }, row, looked: 0 };
      }
      const index = isAscending ? INDEX_MAX : -1;
      yield { place: { ms, index }, looked: 1 };
    }
  };
}

/** Opaque to clients, as the venue's own: base64 of where the page ended. */
function tokenOf(symbol: string, { ms, index }: Place): string {
  return Buffer.from(`${symbol}|${ms}|${index}`).toString("base64");
}

function cursorOf(token: string): { symbol: string; place: Place } {
  const [, symbol, ms, index] =
    /^([^|]+)\|(\d+)\|(-?\d+)$/.exec(Buffer.from(token, "base64").toString()) ??
    [];
  if (symbol === undefined) throw invalid("invalid page_token");
  return { symbol, place: { ms: Number(ms), index: Number(index) } };
}

/**
 * Minutes of bars that no session streamed: found by the recorded facts, read
 * back by REST, and vouched for behind the bars.
 */
import type { BarFact } from "../../schema/market.ts";
import { type Interval, subtract } from "../accounts/intervals.ts";
import { DAY, MINUTE, SECOND } from "../clock.ts";
import { VenueError } from "../errors.ts";
import type { FeedRun } from "./run.ts";

/** REST shows a minute's bar this long after its end at the latest; nothing younger is called complete. */
export const BAR_SHOWN_MS = 40 * SECOND;
/** A service that was away for longer reads this far back; what is older is for `backfill bars`. */
const MISSED_MS_MAX = 7 * DAY;
/** Symbols of one reading: their gaps are mostly the same, since they share the connection. */
const SYMBOLS_MAX = 100;

export interface ReadBackReceipt {
  readonly bars: number;
  /** Symbols that had a gap. */
  readonly symbols: number;
}

/**
 * Reads back what is missing of the wanted symbols, up to the minute that REST is
 * sure to show. A symbol that no fact tells of has missed nothing yet.
 * @throws VenueError, or what the store failed with; what was read is kept
 */
export async function readMissedBars(
  run: FeedRun,
  signal: AbortSignal,
): Promise<ReadBackReceipt> {
  const { board, clock, history, store, venue, wanted } = run;
  const symbols = wanted().bars ?? [];
  const nowMs = clock.now();
  const delayMs = Math.max(venue.delayMs ?? 0, board.heldBackMs);
  const to = minuteOf(nowMs - delayMs - BAR_SHOWN_MS);
  const known = await store.knownMinutes(
    symbols,
    new Date(minuteOf(nowMs - MISSED_MS_MAX)),
  );
  const missed = symbols
    .map((symbol) => ({ symbol, gaps: gapsOf(known.get(symbol) ?? [], to) }))
    .filter(({ gaps }) => gaps.length > 0);
  board.gapSeconds = missed
    .flatMap(({ gaps }) => gaps)
    .reduce((sum, gap) => sum + (gap.to - gap.from) / SECOND, 0);
  if (history === undefined) return { bars: 0, symbols: missed.length };

  let bars = 0;
  const rejections: VenueError[] = [];
  for (let index = 0; index < missed.length; index += SYMBOLS_MAX) {
    const chunk = missed.slice(index, index + SYMBOLS_MAX);
    bars += await readApart(run, chunk, signal, rejections);
  }
  const [first] = rejections;
  if (first !== undefined) throw first;
  board.gapSeconds = 0;
  return { bars, symbols: missed.length };
}

interface Missed {
  readonly symbol: string;
  readonly gaps: readonly Interval[];
}

/** A symbol that REST takes offence at is found by halving: it must not cost the others their bars. */
async function readApart(
  run: FeedRun,
  chunk: readonly Missed[],
  signal: AbortSignal,
  rejections: VenueError[],
): Promise<number> {
  try {
    return await readChunk(run, chunk, signal);
  } catch (error) {
    if (!(error instanceof VenueError) || error.failure !== "rejected")
      throw error;
    const heldBackMs = run.history?.heldBackMs?.(error);
    if (heldBackMs !== undefined) {
      // It is the range and no symbol; from the next pass on only what is older is asked for.
      run.board.heldBackMs = heldBackMs;
      throw error;
    }
    if (chunk.length === 1) {
      rejections.push(error);
      return 0;
    }
    const middle = chunk.length >> 1;
    return (
      (await readApart(run, chunk.slice(0, middle), signal, rejections)) +
      (await readApart(run, chunk.slice(middle), signal, rejections))
    );
  }
}

/** One reading from the first gap to the last; bars between the gaps are written again, which changes nothing. */
async function readChunk(
  run: FeedRun,
  chunk: readonly Missed[],
  signal: AbortSignal,
): Promise<number> {
  const gaps = chunk.flatMap((each) => each.gaps);
  const range = {
    from: Math.min(...gaps.map(({ from }) => from)),
    to: Math.max(...gaps.map(({ to }) => to)),
  };
  const symbols = chunk.map(({ symbol }) => symbol);
  const times = new Map<string, number[]>(symbols.map((name) => [name, []]));
  let bars = 0;
  for await (const page of run.history?.bars(symbols, range, signal) ?? []) {
    for (const bar of page) {
      await run.keep(bar, signal);
      times.get(bar.symbol)?.push(Date.parse(bar.timestamp));
    }
    bars += page.length;
  }
  for (const { symbol, gaps: own } of chunk)
    for (const gap of own)
      await run.keep(
        factOf(run, symbol, gap, countIn(times.get(symbol) ?? [], gap)),
        signal,
      );
  return bars;
}

function factOf(
  { session }: FeedRun,
  symbol: string,
  { from, to }: Interval,
  rows: number,
): BarFact {
  return {
    kind: "fact",
    symbol,
    state: rows === 0 ? "confirmed_empty" : "healed",
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    rows,
    session,
  };
}

/** Between the first minute that is known and `to`. Of a minute that is known in part the bar is missing. */
function gapsOf(known: readonly Interval[], to: number): Interval[] {
  const from = Math.min(...known.map((interval) => interval.from));
  const gaps = from < to ? subtract([{ from, to }], known) : [];
  return gaps.map((gap) => ({ ...gap, from: minuteOf(gap.from) }));
}

function countIn(times: readonly number[], { from, to }: Interval): number {
  return times.filter((ms) => from <= ms && ms < to).length;
}

function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE) * MINUTE;
}

/**
 * Missing minutes: found by the exchange's calendar, read again from the venue, and
 * proven: a minute that the venue does not have either is recorded as such and
 * never asked for again.
 */
import { newYorkDay } from "../../schema/instant.ts";
import { assetClassOf } from "../../schema/symbol.ts";
import { type Interval, subtract, union } from "../accounts/intervals.ts";
import { DAY, MINUTE } from "../clock.ts";
import { describeError } from "../errors.ts";
import {
  type MissingRange,
  missingOfCrypto,
  missingOfStocks,
  recordSessions,
  recordVerifiedEmpty,
  storedSymbols,
  verifiedEmpty,
} from "../stores/postgres/gaps.ts";
import type { Database } from "../stores/postgres/database.ts";
import { sessionOn, sessionsBetween } from "../venues/calendar.ts";
import type { JobBoard } from "./jobs.ts";
import { candleOf, marker } from "./messages.ts";
import { hasNewSplit, splitsSince } from "./phases.ts";
import type { RegistryRun } from "./run.ts";

/** As `gaps --json` shows it. */
export interface Gap {
  readonly symbol: string;
  /** ISO UTC, inclusive. */
  readonly from: string;
  /** ISO UTC, exclusive. */
  readonly to: string;
  /** Minutes. */
  readonly missing: number;
  readonly state: "missing" | "verified_empty";
}

export interface GapRange {
  readonly from: Date;
  readonly to: Date;
}

/** Trades are reported up to 15 minutes late, and REST shows them a moment after: nothing younger is judged. */
const LATE_TRADES_MS = 20 * MINUTE;
/** Symbols of one statement; two are under way at a time. */
const SYMBOLS_MAX = 25;
/** Ranges of one symbol that lie closer are one question to the venue. */
const NEIGHBOURS_MS = DAY;

/** Missing minutes of the symbols in the range, without the newest that may still come. */
export async function findGaps(
  database: Database,
  symbols: readonly string[],
  { from, to }: GapRange,
  nowMs: number,
): Promise<MissingRange[]> {
  const until = Math.min(+to, nowMs - LATE_TRADES_MS);
  const range = { from, to: new Date(Math.floor(until / MINUTE) * MINUTE) };
  if (range.to <= range.from) return [];
  await recordSessions(
    database.sql,
    sessionsBetween(dayOf(+range.from - DAY), dayOf(+range.to + DAY)).map(
      ({ day, openMs, closeMs }) => ({ day, openMs, closeMs }),
    ),
  );
  const chunks = Array.from(
    { length: Math.ceil(symbols.length / SYMBOLS_MAX) },
    (_, index) => symbols.slice(index * SYMBOLS_MAX, (index + 1) * SYMBOLS_MAX),
  );
  const found = chunks.map((): MissingRange[] => []);
  const waiting = chunks.entries();
  async function work(): Promise<void> {
    for (const [index, chunk] of waiting) {
      const of = (assetClass: string) =>
        chunk.filter((symbol) => assetClassOf(symbol) === assetClass);
      found[index] = [
        ...(await missingOfStocks(database.sql, of("stock"), range)),
        ...(await missingOfCrypto(database.sql, of("crypto"), range)),
      ];
    }
  }
  await Promise.all([work(), work()]);
  return found.flat();
}

/** For reading: what is missing, and what the venue does not have either. */
export async function listGaps(
  database: Database,
  symbols: readonly string[],
  range: GapRange,
  nowMs: number,
): Promise<Gap[]> {
  const missing = await findGaps(database, symbols, range, nowMs);
  const empty = await verifiedEmpty(database.sql, symbols, range);
  return [
    ...missing.map((each) => gapOf(each, "missing")),
    ...empty.map((each) => gapOf(each, "verified_empty")),
  ].sort((a, b) =>
    a.symbol === b.symbol
      ? a.from.localeCompare(b.from)
      : a.symbol.localeCompare(b.symbol),
  );
}

/**
 * Finds the gaps of every enabled symbol and fills them: the nightly job. A
 * symbol that was split has its whole history read again instead, as a job: what
 * the venue shows now is of another scale than what is stored.
 * @throws AggregateError when symbols could not be filled, after all others were
 */
export async function fillGaps(
  run: RegistryRun,
  database: Database,
  board: JobBoard,
  signal: AbortSignal,
): Promise<void> {
  const nowMs = run.clock.now();
  const entries = await run.store.list({ enabledOnly: true });
  const range = {
    from: new Date(nowMs - run.backfillDays * DAY),
    to: new Date(nowMs),
  };
  const isStored = new Set(await storedSymbols(database.sql));
  const split: string[] = [];
  const failures: Error[] = [];
  for (const { symbol, status } of entries) {
    signal.throwIfAborted();
    if (status === "paused" || !isStored.has(symbol)) continue;
    try {
      const splits = await splitsSince(run, symbol, +range.from, {
        priority: "healing",
        signal,
      });
      if (await hasNewSplit(run, symbol, splits)) split.push(symbol);
      else await fillSymbol(run, database, symbol, range, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      failures.push(new Error(symbol, { cause: error }));
    }
  }
  if (split.length > 0) board.submit("backfill", split);
  if (failures.length > 0)
    throw new AggregateError(
      failures,
      `gaps of ${failures.map(({ message, cause }) => `${message} (${describeError(cause)})`).join(", ")} could not be filled`,
    );
}

/**
 * Asks the venue for the missing ranges of a symbol and publishes what it has;
 * what it has not is recorded as verified empty. Returns the bars read.
 * @throws VenueError, or what the store failed with
 */
export async function fillSymbol(
  run: RegistryRun,
  database: Database,
  symbol: string,
  range: GapRange,
  signal: AbortSignal,
): Promise<number> {
  const { clock, log, publish, venue } = run;
  const missing = await findGaps(database, [symbol], range, clock.now());
  const [first] = missing;
  if (first === undefined) return 0;
  log.warn(
    {
      symbol,
      gaps: missing.length,
      duration_minutes: minutesOf(missing),
      start: new Date(first.from).toISOString(),
      end: new Date(missing.at(-1)?.to ?? first.to).toISOString(),
    },
    "gap_detected",
  );
  const settledMs = settledUntil(symbol, clock.now());
  await publish(marker(symbol, "backfill", "started", clock.now()), signal);
  let records = 0;
  for (const question of joined(missing)) {
    const had: Interval[] = [];
    const options = { priority: "healing", signal } as const;
    for await (const page of venue.bars(symbol, question, options))
      for (const bar of page) {
        await publish(candleOf(bar, "backfill"), signal);
        const at = Date.parse(bar.timestamp);
        had.push({ from: at, to: at + MINUTE });
        records++;
      }
    const asked = missing
      .filter(({ from, to }) => from >= question.from && to <= question.to)
      .map(({ from, to }) => ({ from, to: Math.min(to, settledMs) }))
      .filter(({ from, to }) => from < to);
    await recordVerifiedEmpty(
      database.sql,
      subtract(asked, union(had)).map((range) => ({ symbol, ...range })),
    );
  }
  await publish(
    marker(symbol, "backfill", "completed", clock.now(), { records }),
    signal,
  );
  return records;
}

/** Until when the venue's word is its last: bars of a session are made anew at its end. */
function settledUntil(symbol: string, nowMs: number): number {
  const session =
    assetClassOf(symbol) === "crypto"
      ? undefined
      : sessionOn(newYorkDay(nowMs));
  const isRunning =
    session !== undefined && nowMs < session.postCloseMs + LATE_TRADES_MS;
  return isRunning ? session.preOpenMs : nowMs - LATE_TRADES_MS;
}

export function minutesOf(ranges: readonly Interval[]): number {
  return ranges.reduce((sum, { from, to }) => sum + (to - from) / MINUTE, 0);
}

function joined(ranges: readonly Interval[]): Interval[] {
  const questions: { from: number; to: number }[] = [];
  for (const { from, to } of ranges) {
    const last = questions.at(-1);
    if (last !== undefined && from - last.to < NEIGHBOURS_MS) last.to = to;
    else questions.push({ from, to });
  }
  return questions;
}

function gapOf({ symbol, from, to }: MissingRange, state: Gap["state"]): Gap {
  return {
    symbol,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    missing: (to - from) / MINUTE,
    state,
  };
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/**
 * Missing minutes: found by the exchange's calendar, read again from the venue, and
 * proven: a minute that the venue does not have either is recorded as such and
 * never asked for again.
 */
import { assetClassOf } from "../../schema/symbol.ts";
import { type Interval, subtract, union } from "../accounts/intervals.ts";
import { DAY, MINUTE } from "../clock.ts";
import {
  type MissingRange,
  missingOfCrypto,
  missingOfStocks,
  recordSessions,
  recordVerifiedEmpty,
  verifiedEmpty,
} from "../stores/postgres/gaps.ts";
import type { Database } from "../stores/postgres/database.ts";
import { sessionsBetween } from "../venues/calendar.ts";
import { candleOf, marker } from "./messages.ts";
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
/** Symbols of one statement. */
const SYMBOLS_MAX = 50;
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
  const found: MissingRange[] = [];
  for (let index = 0; index < symbols.length; index += SYMBOLS_MAX) {
    const chunk = symbols.slice(index, index + SYMBOLS_MAX);
    const of = (assetClass: string) =>
      chunk.filter((symbol) => assetClassOf(symbol) === assetClass);
    const [stocks, crypto] = await Promise.all([
      missingOfStocks(database.sql, of("stock"), range),
      missingOfCrypto(database.sql, of("crypto"), range),
    ]);
    found.push(...stocks, ...crypto);
  }
  return found;
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

/** Finds the gaps of every enabled symbol and fills them: the nightly job. */
export async function fillGaps(
  run: RegistryRun,
  database: Database,
  signal: AbortSignal,
): Promise<void> {
  const nowMs = run.clock.now();
  const entries = await run.store.list({ enabledOnly: true });
  const range = {
    from: new Date(nowMs - run.backfillDays * DAY),
    to: new Date(nowMs),
  };
  for (const { symbol } of entries) {
    const missing = await findGaps(database, [symbol], range, nowMs);
    if (missing.length === 0) continue;
    run.log.warn(
      {
        symbol,
        gaps: missing.length,
        missing: minutesOf(missing),
        start: new Date(missing[0]?.from ?? nowMs).toISOString(),
        end: new Date(missing.at(-1)?.to ?? nowMs).toISOString(),
      },
      "gap_detected",
    );
    await fillSymbol(run, database, symbol, missing, signal);
  }
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
  missing: readonly MissingRange[],
  signal: AbortSignal,
): Promise<number> {
  const { clock, publish, venue } = run;
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
    const asked = missing.filter(
      ({ from, to }) => from >= question.from && to <= question.to,
    );
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

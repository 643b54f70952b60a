/**
 * The past of an account, from `BACKFILL_DAYS` ago to the moment the service
 * started to listen: whatever no recorded fact covers. Before the account's
 * beginning one reading confirms that there was nothing.
 */
import { DAY } from "../clock.ts";
import { microsOf } from "../../schema/instant.ts";
import { gaps } from "./coverage.ts";
import { clip, type Interval } from "./intervals.ts";
import { readBack, type PastStream } from "./readBack.ts";
import type { AccountRun } from "./run.ts";

export interface BackfillProgress {
  readonly stream: PastStream;
  readonly rows: number;
  /** Share of the time since the account's beginning that had to be read, 0 to 1. */
  readonly done: number;
}

/** The venue keeps what is older than the wanted days, too; one day's margin for ids in another zone. */
const ORIGIN_MARGIN_MS = DAY;
/**
 * Rows that are no trades appear up to a day after the time they bear: the service
 * may have read that time, and been stopped before they came.
 */
const BOOKED_LATE_MS = 2 * DAY;

/**
 * Reads what is missing of the wanted days before `untilMs`; returns rows
 * by stream. Orders and activities go each by their own facts.
 * @throws VenueError, or what the database failed with; what was read until then is kept, and the next call goes on there.
 */
export async function backfill(
  run: AccountRun,
  untilMs: number,
  signal: AbortSignal,
  onProgress: (progress: BackfillProgress) => void = () => {},
): Promise<Record<PastStream, number>> {
  // Whole days of UTC, so that accounts which begin to listen one after the other begin at one time.
  const floorMs = Math.floor(untilMs / DAY - run.backfillDays) * DAY;
  const facts = await run.store.facts();
  // An order that has ended may still be busted: the last run would have read it again for as long as healing looks back.
  const lateMs = { orders: run.healing.lookbackMs, activities: BOOKED_LATE_MS };
  const rows = { orders: 0, activities: 0 };
  for (const stream of ["orders", "activities"] as const) {
    const originMs = await originOf(run, stream, floorMs, signal);
    const past = { from: Math.min(originMs ?? floorMs, untilMs), to: untilMs };
    // Read, not taken for granted: activities come by id, and one that was booked before
    // the first of them may bear a settlement date after it.
    for (const before of gaps(facts, stream, { from: floorMs, to: past.from }))
      rows[stream] += await readBack(run, stream, before, {
        priority: "backfill",
        signal,
      });
    const missing = clip(
      gaps(facts, stream, past).map(({ from, to }) => ({
        from: from - lateMs[stream],
        to,
      })),
      past,
    );
    const totalMs = lengthOf(missing) || 1;
    let doneMs = 0;
    for (const interval of missing) {
      const before = rows[stream];
      rows[stream] += await readBack(run, stream, interval, {
        priority: "backfill",
        signal,
        onPage: (page) =>
          onProgress({
            stream,
            rows: before + page.rows,
            done: (doneMs + page.completeToMs - interval.from) / totalMs,
          }),
      });
      doneMs += interval.to - interval.from;
    }
  }
  return rows;
}

/** Where the account's history begins: its earliest row, but not before the wanted days. Recorded in `raw_history_meta`. */
async function originOf(
  run: AccountRun,
  stream: PastStream,
  floorMs: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const options = { priority: "backfill", signal } as const;
  const [path, query, members] =
    stream === "orders"
      ? ([
          "/v2/orders",
          { status: "all", direction: "asc", limit: 1 },
          ["created_at", "submitted_at"],
        ] as const)
      : ([
          "/v2/account/activities",
          { direction: "asc", page_size: 1 },
          ["transaction_time", "created_at", "date"],
        ] as const);
  const [first] = await run.rest.array(path, query, options);
  // A settlement date may lie days after the booking by which the venue filters.
  const times = members
    .map((member) => msOf(first?.value[member]))
    .filter((ms) => ms !== undefined);
  if (times.length === 0) return undefined;
  const at = Math.min(...times);
  await run.store.recordHistoryStart(
    stream === "orders" ? "earliest_order" : "earliest_activity",
    new Date(at),
  );
  return Math.max(floorMs, at - ORIGIN_MARGIN_MS);
}

/** A bare date, which rows that are no trades bear, is its midnight UTC. */
function msOf(value: unknown): number | undefined {
  if (typeof value !== "string") return undefined;
  const micros = microsOf(
    /^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00Z` : value,
  );
  return micros === undefined ? undefined : Math.floor(micros / 1000);
}

function lengthOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, { from, to }) => sum + to - from, 0);
}

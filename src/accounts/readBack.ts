/**
 * Reads an interval of an account's past by REST and puts it into the queue,
 * page by page: the rows first, then the fact that vouches for them. Stopped
 * anywhere, the next reading goes on behind the last fact.
 */
import type { AccountStream, CoverageFact } from "../../schema/messages.ts";
import { HOUR } from "../clock.ts";
import type { Priority } from "../flow/rate.ts";
import {
  activityPages,
  orderPages,
  type Page,
} from "../venues/alpaca/pages.ts";
import type { RawObject } from "../venues/alpaca/rest.ts";
import type { Interval } from "./intervals.ts";
import type { AccountRun } from "./run.ts";

/**
 * Activities come by id, in New York's clock; rows that are no trades by UTC day.
 * A fill in New York's evening thus precedes what was booked after midnight UTC, up
 * to five hours before it, and an hour in November comes twice: a page vouches only
 * for what is older than its last row by more than that.
 */
const ID_ORDER_MARGIN_MS = 6 * HOUR;

/** What a reading needs of an account. */
export type ReadingRun = Pick<
  AccountRun,
  "account" | "rest" | "queue" | "clock" | "session"
>;

export interface ReadingOptions {
  readonly priority: Priority;
  readonly signal: AbortSignal;
  /** Told after each page: rows so far, and the time up to which it is complete. */
  readonly onPage?: (progress: { rows: number; completeToMs: number }) => void;
}

/** The two streams that REST can give back. */
export type PastStream = Exclude<AccountStream, "trade_updates">;

/** Reads `interval` of a stream; returns the number of rows. @throws VenueError */
export async function readBack(
  run: ReadingRun,
  stream: PastStream,
  interval: Interval,
  { priority, signal, onPage }: ReadingOptions,
): Promise<number> {
  // The venue's bounds are exclusive: one millisecond before the first instant that is wanted.
  const range = {
    from: new Date(interval.from - 1),
    until: new Date(interval.to),
  };
  const pages =
    stream === "orders"
      ? orderPages(run.rest, range, { priority, signal })
      : activityPages(run.rest, range, { priority, signal });
  let rows = 0;
  let vouchedRows = 0;
  let coveredTo = interval.from;
  for await (const page of pages) {
    await putRows(run, stream, page.rows, signal);
    rows += page.rows.length;
    const to = Math.min(completeToMs(stream, page) ?? coveredTo, interval.to);
    if (to > coveredTo) {
      await putFact(
        run,
        {
          stream,
          state: "healed",
          from: coveredTo,
          to,
          rows: rows - vouchedRows,
        },
        signal,
      );
      coveredTo = to;
      vouchedRows = rows;
    }
    onPage?.({ rows, completeToMs: coveredTo });
  }
  await putFact(
    run,
    {
      stream,
      state: rows === 0 ? "confirmed_empty" : "healed",
      from: coveredTo,
      to: interval.to,
      rows: rows - vouchedRows,
    },
    signal,
  );
  onPage?.({ rows, completeToMs: interval.to });
  return rows;
}

/** Puts REST objects into the queue as records, waiting for room. */
export async function putRows(
  run: ReadingRun,
  stream: PastStream,
  rows: readonly RawObject[],
  signal: AbortSignal,
): Promise<void> {
  const kind = stream === "orders" ? "order" : "activity";
  for (const { raw } of rows)
    await run.queue.put(
      {
        account: run.account.slug,
        kind,
        raw,
        receivedAtMs: run.clock.now(),
      },
      signal,
    );
}

/** Puts a fact behind the rows it vouches for. */
export async function putFact(
  run: ReadingRun,
  fact: Pick<CoverageFact, "stream" | "state" | "rows"> & Interval,
  signal: AbortSignal,
): Promise<void> {
  if (fact.to <= fact.from) return;
  const stated: CoverageFact = {
    ...fact,
    from: new Date(fact.from).toISOString(),
    to: new Date(fact.to).toISOString(),
    session: run.session,
  };
  await run.queue.put(
    {
      account: run.account.slug,
      kind: "coverage",
      raw: JSON.stringify(stated),
      receivedAtMs: run.clock.now(),
    },
    signal,
  );
}

function completeToMs(
  stream: PastStream,
  { completeTo }: Page,
): number | undefined {
  if (completeTo === undefined) return undefined;
  const ms = Date.parse(completeTo);
  return stream === "activities" ? ms - ID_ORDER_MARGIN_MS : ms;
}

/**
 * One healing pass: the lookback window, every recorded gap since the service
 * runs, and every order that is open here or there, whatever its age.
 */
import { MINUTE, SECOND } from "../clock.ts";
import { openOrderPages, orderById } from "../venues/alpaca/pages.ts";
import { newYorkDay } from "../../schema/instant.ts";
import { readText } from "../../schema/read.ts";
import { gaps } from "./coverage.ts";
import { type Interval, union } from "./intervals.ts";
import { putFact, putRows, readBack, type PastStream } from "./readBack.ts";
import type { AccountRun } from "./run.ts";

/** REST itself may show an event late: nothing younger is called complete. */
export const REST_LAG_MS = 10 * SECOND;
/** A lifecycle gap is looked at once the orders around it were read and committed. */
const SETTLING_MS = MINUTE;

export interface HealingReceipt {
  readonly orders: number;
  readonly activities: number;
  /** Orders asked for one by one, because the store has them open and the venue's list does not. */
  readonly askedById: number;
}

/** @throws VenueError, or what the database failed with; what was read until then is kept. */
export async function heal(
  run: AccountRun,
  bounds: { lookbackMs: number },
  signal: AbortSignal,
): Promise<HealingReceipt> {
  const nowMs = run.clock.now();
  const complete = nowMs - REST_LAG_MS;
  const window = { from: nowMs - bounds.lookbackMs, to: complete };
  const facts = await run.store.facts({
    from: new Date(run.startedAtMs - run.healing.lookbackMs),
  });
  const since = {
    from: run.startedAtMs - run.healing.lookbackMs,
    to: complete,
  };

  const askedById = await healOpenOrders(run, signal);
  const read = async (stream: PastStream) => {
    let rows = 0;
    for (const interval of union([...gaps(facts, stream, since), window]))
      rows += await readBack(run, stream, interval, {
        priority: "healing",
        signal,
      });
    return rows;
  };
  const orders = await read("orders");
  const activities = await read("activities");
  await confirmQuietGaps(run, gaps(facts, "trade_updates", since), signal);
  return { orders, activities, askedById };
}

/** What the status page tells of the past: today's undelivered fills, and the seconds that nothing covers. */
export async function surveyAccount(run: AccountRun): Promise<void> {
  const { store, board } = run;
  const nowMs = run.clock.now();
  const today = newYorkDay(nowMs);
  const shares = await store.deliveryShares({
    from: new Date(nowMs - 36 * 60 * MINUTE),
    to: new Date(nowMs),
  });
  board.undeliveredToday =
    shares.find(({ day }) => day === today)?.undelivered ?? 0;

  const since = { from: run.startedAtMs, to: nowMs - run.healing.intervalMs };
  const facts = await store.facts({ from: new Date(since.from) });
  for (const stream of ["trade_updates", "orders", "activities"] as const)
    board.gapSeconds[stream] =
      since.to <= since.from
        ? 0
        : gaps(facts, stream, since).reduce(
            (sum, { from, to }) => sum + (to - from) / SECOND,
            0,
          );
}

async function healOpenOrders(
  run: AccountRun,
  signal: AbortSignal,
): Promise<number> {
  const options = { priority: "healing", signal } as const;
  const vanished = new Set(await run.store.openOrderIds());
  for await (const { rows } of openOrderPages(run.rest, options)) {
    await putRows(run, "orders", rows, signal);
    for (const { value } of rows) vanished.delete(readText(value["id"]) ?? "");
  }
  for (const id of vanished) {
    const order = await orderById(run.rest, id, options);
    if (order !== undefined) await putRows(run, "orders", [order], signal);
  }
  return vanished.size;
}

/**
 * Lifecycle events cannot be read back. But where no order of the account was
 * touched, there were none; only the rest stays unknown.
 */
async function confirmQuietGaps(
  run: AccountRun,
  intervals: readonly Interval[],
  signal: AbortSignal,
): Promise<void> {
  for (const { from, to } of intervals) {
    // The youngest part may still be waiting in the queue, or for the next pong.
    const settled = { from, to: Math.min(to, run.clock.now() - SETTLING_MS) };
    if (settled.to <= settled.from) continue;
    const touched = await run.store.ordersTouchedBetween(
      new Date(settled.from),
      new Date(settled.to),
    );
    if (!touched)
      await putFact(
        run,
        { stream: "trade_updates", state: "confirmed_empty", ...settled },
        signal,
      );
  }
}

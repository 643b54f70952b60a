/**
 * One healing pass: the lookback window, every recorded gap since the service
 * runs, and every order that is open here or there, whatever its age.
 */
import { DAY, HOUR, MINUTE, SECOND } from "../clock.ts";
import { openOrderPages, orderById } from "../venues/alpaca/pages.ts";
import { newYorkDay } from "../../schema/instant.ts";
import { type Fact, gaps } from "./coverage.ts";
import { type Interval, subtract, union } from "./intervals.ts";
import { putFact, putRows, readBack, type PastStream } from "./readBack.ts";
import type { AccountRun } from "./run.ts";

/** REST itself may show an event late: nothing younger is called complete. */
export const REST_LAG_MS = 10 * SECOND;
/**
 * A lifecycle gap is judged by the store once a pass that began this long after it
 * is committed. Backfill vouches for orders too, but not for those of before it
 * that were touched later; what it reads ends where the gap before listening ends.
 */
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
  const past = { from: run.startedAtMs - run.backfillDays * DAY, to: complete };
  const facts = await run.store.facts({ from: new Date(past.from) });
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
  await confirmQuietGaps(run, facts, past, signal);
  return { orders, activities, askedById };
}

/** What the status page tells of the past: today's undelivered fills, and the seconds that nothing covers. */
export async function surveyAccount(run: AccountRun): Promise<void> {
  const { store, board } = run;
  const nowMs = run.clock.now();
  const today = newYorkDay(nowMs);
  const firstDay = newYorkDay(run.startedAtMs);
  const shares = await store.deliveryShares({
    from: new Date(nowMs - 36 * HOUR),
    to: new Date(nowMs),
  });
  board.undeliveredToday =
    shares.find(({ day }) => day === today)?.undelivered ?? 0;
  for (const { day, undelivered } of shares)
    if (day >= firstDay) board.undelivered.set(day, undelivered);

  // What the last pass read may still be on its way to the store.
  const to = nowMs - run.healing.intervalMs - SETTLING_MS;
  const since = { from: run.startedAtMs, to };
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
    for (const { value } of rows) vanished.delete(String(value["id"]));
  }
  for (const id of vanished) {
    const order = await orderById(run.rest, id, options);
    if (order !== undefined) await putRows(run, "orders", [order], signal);
  }
  return vanished.size;
}

/** Gaps in which an order was touched. They stay so, and the store is not asked again. */
const touchedGaps = new WeakMap<AccountRun, Set<string>>();

/**
 * Lifecycle events cannot be read back. But where no order of the account was
 * touched, there were none; only the rest stays unknown. `facts` are those from
 * before this pass: what it read itself is not committed yet.
 */
async function confirmQuietGaps(
  run: AccountRun,
  facts: readonly Fact[],
  past: Interval,
  signal: AbortSignal,
): Promise<void> {
  const ordersRead = subtract([past], gaps(facts, "orders", past));
  const touched = touchedGaps.get(run) ?? new Set();
  touchedGaps.set(run, touched);
  for (const gap of gaps(facts, "trade_updates", past)) {
    const read = ordersRead.find(({ to }) => to >= gap.to + SETTLING_MS);
    if (read === undefined || read.from >= gap.to) continue;
    const settled = { from: Math.max(gap.from, read.from), to: gap.to };
    const name = `${settled.from} ${settled.to}`;
    if (touched.has(name)) continue;
    const { from, to } = settled;
    if (await run.store.ordersTouchedBetween(new Date(from), new Date(to)))
      touched.add(name);
    else
      await putFact(
        run,
        { stream: "trade_updates", state: "confirmed_empty", ...settled },
        signal,
      );
  }
}

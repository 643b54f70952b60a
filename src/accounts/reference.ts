/** Once a day: the venue's calendar for the days to come, and whether its clock and ours agree. */
import { newYorkDay } from "../../schema/instant.ts";
import { DAY, SECOND } from "../clock.ts";
import { readCalendar, readClock } from "../venues/alpaca/reference.ts";
import type { AccountRun } from "./run.ts";

/** Days back and ahead that the venue is asked about. */
const DAYS_BACK = 5;
const DAYS_AHEAD = 14;
/** Beyond this, times of ours and of the venue must not be compared without a word. */
export const SKEW_MS_MAX = 5 * SECOND;

export interface ReferenceReceipt {
  /** Days on which the venue's calendar is not that of our table. */
  readonly differingDays: readonly string[];
  /** How far the venue's clock is ahead of ours. */
  readonly skewMs: number;
}

/** @throws VenueError */
export async function readReference(
  { rest, clock, sessions }: AccountRun,
  signal: AbortSignal,
): Promise<ReferenceReceipt> {
  const options = { priority: "healing", signal } as const;
  const askedMs = clock.now();
  const venueClock = await readClock(rest, options);
  // What the answer took lies on both sides of the venue's reading.
  const skewMs = venueClock.atMs - (askedMs + clock.now()) / 2;
  const fromDay = newYorkDay(askedMs - DAYS_BACK * DAY);
  const toDay = newYorkDay(askedMs + DAYS_AHEAD * DAY);
  const told = await readCalendar(rest, { fromDay, toDay }, options);
  return {
    differingDays: sessions.learn(fromDay, toDay, told),
    skewMs: Math.round(skewMs),
  };
}

/**
 * Asks the venue, once a day, for the exchange's calendar of the days to come and
 * for its clock: our own table foresees no day of mourning, and a machine whose
 * clock is off must say so.
 */
import type { AccountRun } from "../../src/accounts/run.ts";
import { readReference, SKEW_MS_MAX } from "../../src/accounts/reference.ts";
import { backoffMs } from "../../src/backoff.ts";
import { DAY, HOUR, MINUTE, sleep } from "../../src/clock.ts";
import { describeError, VenueError } from "../../src/errors.ts";
import type { Logger } from "../../src/log.ts";
import { fromTask } from "../supervision/task.ts";

export interface CalendarInput {
  /** Accounts whose venue can be asked; any of them will do. */
  readonly runs: () => readonly AccountRun[];
  readonly log: Logger;
}

const RETRY = { baseMs: MINUTE, maxMs: HOUR };

export const calendar = fromTask<CalendarInput>(
  async ({ input: { runs, log }, shutdown, signal, report }) => {
    for (let failures = 0; !shutdown.aborted;) {
      const run = runs().find(({ listening }) => listening.raised > 0);
      if (run === undefined) {
        report({ state: "waiting" });
        await sleep(MINUTE / 6, shutdown);
        continue;
      }
      try {
        const { differingDays, skewMs } = await readReference(run, signal);
        failures = 0;
        report({ state: "known", skewMs, differingDays });
        if (differingDays.length > 0)
          log.warn({ days: differingDays }, "calendar_differs");
        if (Math.abs(skewMs) > SKEW_MS_MAX) log.warn({ skewMs }, "clock_skew");
        await sleep(DAY, shutdown);
      } catch (error) {
        if (!(error instanceof VenueError)) throw error;
        failures++;
        report({
          state: "retrying",
          failures,
          lastError: describeError(error),
        });
        await sleep(backoffMs(failures, RETRY), shutdown);
      }
    }
  },
);

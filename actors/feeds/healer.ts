/**
 * Reads back the minutes that a feed missed: as soon as it streams again, when it
 * was found deaf, and at an interval, because the last minute is shown late.
 */
import { backoffMs } from "../../src/backoff.ts";
import { firstOf, MINUTE, SECOND, sleep } from "../../src/clock.ts";
import { describeError, VenueError } from "../../src/errors.ts";
import { readMissedBars } from "../../src/feeds/readBack.ts";
import type { FeedRun } from "../../src/feeds/run.ts";
import { isAway } from "../../src/stores/postgres/database.ts";
import { fromTask } from "../supervision/task.ts";

const RETRY = { baseMs: SECOND, maxMs: MINUTE };
/** Shorter than any configured interval may be: a pass without gaps is one query. */
const PASS_EVERY_MS_MAX = MINUTE;

export const feedHealer = fromTask<FeedRun>(
  async ({ input: run, report, shutdown: stop }) => {
    report({ state: "waiting" });
    await nextCall(run, { listenings: 0, wishes: 0 }, stop, undefined);
    for (let pass = 1, failures = 0; ; pass++) {
      const calls = {
        listenings: run.listening.raised,
        wishes: run.healingWanted.raised,
      };
      // Not told as a state of its own: a pass without gaps is no news, and there is one a minute.
      try {
        const receipt = await readMissedBars(run, stop);
        failures = 0;
        report({ state: "resting", pass, lastPass: receipt });
      } catch (error) {
        stop.throwIfAborted();
        if (!isPassing(error)) throw error;
        failures++;
        report({
          state: isRefused(error) ? "refused" : "retrying",
          failures,
          lastError: describeError(error),
        });
      }
      const restMs =
        failures > 0
          ? backoffMs(failures, RETRY)
          : Math.min(run.healingIntervalMs, PASS_EVERY_MS_MAX);
      await nextCall(run, calls, stop, restMs);
    }
  },
);

/** A refusal (a plan without recent data) is the venue's last word for now, and the stream goes on. */
function isPassing(error: unknown): boolean {
  return error instanceof VenueError || isAway(error);
}

function isRefused(error: unknown): boolean {
  return error instanceof VenueError && !error.shouldRetry();
}

/** The rest is over, or somebody called since. */
async function nextCall(
  run: FeedRun,
  seen: { listenings: number; wishes: number },
  stop: AbortSignal,
  restMs: number | undefined,
): Promise<void> {
  await firstOf(stop, (signal) => [
    run.listening.after(seen.listenings, signal),
    run.healingWanted.after(seen.wishes, signal),
    ...(restMs === undefined ? [] : [sleep(restMs, signal)]),
  ]);
}

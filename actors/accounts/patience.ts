/**
 * Repeats work on an account's past until it succeeds. A venue or database that
 * is away is waited for; a refused key is left alone until the stream, whose
 * dials are scheduled, finds it accepted again. Bugs are thrown.
 */
import { backoffMs } from "../../src/backoff.ts";
import { firstOf, MINUTE, SECOND, sleep } from "../../src/clock.ts";
import { describeError, VenueError } from "../../src/errors.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import { isAway } from "../../src/stores/postgres/database.ts";

const RETRY = { baseMs: SECOND, maxMs: MINUTE };
const REFUSED_MS = 30 * MINUTE;

export async function patiently<Result>(
  run: AccountRun,
  {
    report,
    stop,
  }: {
    report: (detail: Record<string, unknown>) => void;
    stop: AbortSignal;
  },
  work: () => Promise<Result>,
): Promise<Result> {
  for (let failures = 1; ; failures++) {
    const seen = run.listening.raised;
    try {
      return await work();
    } catch (error) {
      stop.throwIfAborted();
      const isRefused =
        error instanceof VenueError && error.failure === "refused";
      const isPassing =
        error instanceof VenueError ? error.shouldRetry() : isAway(error);
      if (!isRefused && !isPassing) throw error;
      report({
        state: isRefused ? "refused" : "retrying",
        failures,
        lastError: describeError(error),
      });
      const waitMs = isRefused ? REFUSED_MS : backoffMs(failures, RETRY);
      await firstOf(stop, (signal) => [
        sleep(waitMs, signal),
        run.listening.after(seen, signal),
      ]);
    }
  }
}

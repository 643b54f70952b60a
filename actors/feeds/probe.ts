/**
 * Watches a feed's own silence and tells the machine the verdict; asks REST what
 * the watch wants to know.
 */
import type { StreamVerdict } from "../../schema/service.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { VenueError } from "../../src/errors.ts";
import type { FeedRun } from "../../src/feeds/run.ts";
import { FeedWatch } from "../../src/feeds/watch.ts";
import { fromResource } from "../supervision/resource.ts";

const LOOK_EVERY_MS = 5 * SECOND;

export interface ProbeInput {
  readonly run: FeedRun;
  readonly liveSinceMs: number;
}

export interface Judged {
  readonly type: "judged";
  readonly verdict: StreamVerdict;
  /** When deaf: from when on the feed can not be believed. */
  readonly deafFromMs: number | undefined;
}

export const feedProbe = fromResource<ProbeInput>(
  async ({ input: { run, liveSinceMs }, signal, tell }) => {
    const { activity, clock, history, venue } = run;
    const { isOpen, delayMs } = venue;
    const watch = new FeedWatch(activity, liveSinceMs, isOpen, delayMs);
    for (;;) {
      const askedMs = clock.now();
      const symbols = watch.question(askedMs);
      if (symbols !== undefined && history !== undefined) {
        try {
          watch.answered(await history.latestTrades(symbols, signal), askedMs);
        } catch (error) {
          if (!(error instanceof VenueError)) throw error;
          watch.unanswered(askedMs);
        }
      }
      const judged: Judged = {
        type: "judged",
        verdict: watch.verdict(clock.now()),
        deafFromMs: watch.deafFromMs,
      };
      tell(judged);
      await sleep(LOOK_EVERY_MS, signal);
    }
  },
);

/** What the machines of live streams have in common: when the next dial is due, and what they tell of themselves. */
import type { StreamVerdict } from "../../schema/service.ts";
import { type Clock, MINUTE, SECOND, sleep } from "../../src/clock.ts";
import type { DialSchedule } from "../../src/flow/dials.ts";
import { fromTask } from "../supervision/task.ts";

/** Each step of a handshake is given up after this. */
export const STEP_MS_MAX = 10 * SECOND;
/** A link that lived this long has earned a fresh backoff. */
const SETTLED_MS = 3 * MINUTE;

interface Dialling {
  readonly dials: DialSchedule;
  readonly clock: Clock;
}

/** What the tree and the status page show. */
export interface StreamReport {
  readonly verdict?: StreamVerdict;
  /** Why the last link ended, or why there is none. */
  readonly reason?: string;
  readonly dials: number;
}

/**
 * Resolves when the schedule allows a dial. It is an actor, because those begin
 * only when the ones of the state before have ended: a guard or a delay would be
 * reckoned before the link that is being left has said when it was over.
 */
export const turn = fromTask<Dialling>(
  async ({ input: { dials, clock }, signal }) => {
    for (;;) {
      const waitMs = dials.waitMs(clock.now());
      if (waitMs === 0) return;
      await sleep(waitMs, signal);
    }
  },
);

/** The schedule forgets the failures of a link that has lived for a while. */
export async function settled(
  { dials }: Dialling,
  signal: AbortSignal,
): Promise<void> {
  await sleep(SETTLED_MS, signal);
  dials.settled();
}

/** Each returns the report of what came after `report`. */
export const reports = {
  dialled: (report: StreamReport): StreamReport => ({
    ...report,
    dials: report.dials + 1,
  }),
  reasoned: (report: StreamReport, event: object): StreamReport =>
    "reason" in event ? { ...report, reason: String(event.reason) } : report,
  timedOut: (report: StreamReport): StreamReport => ({
    ...report,
    reason: "the venue did not answer in time",
  }),
  dead: (report: StreamReport): StreamReport => ({
    ...report,
    verdict: {
      verdict: "dead",
      reason: report.reason ?? "the link is down",
    },
  }),
  live: (
    { reason: _, ...report }: StreamReport,
    reason: string,
  ): StreamReport => ({ ...report, verdict: { verdict: "live", reason } }),
};

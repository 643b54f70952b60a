/**
 * Runs the three jobs at their times (UTC). A job that still runs is not begun
 * again; runs that were missed, while the service was down or the machine asleep,
 * are caught up once. It can be stopped, started and triggered by hand.
 */
import { Cron } from "croner";
import { MINUTE, SECOND, firstOf, sleep } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import type { Logger } from "../../src/log.ts";
import {
  type ScheduleBoard,
  SCHEDULED_JOBS,
  type ScheduledJobId,
} from "../../src/registry/scheduleBoard.ts";
import { fromTask } from "../supervision/task.ts";

export interface ScheduleInput {
  readonly board: ScheduleBoard;
  readonly work: Readonly<
    Record<ScheduledJobId, (signal: AbortSignal) => Promise<void>>
  >;
  /** When each job was last begun, by any run of the service. Rejects while the store is away. */
  readonly lastRuns: () => Promise<ReadonlyMap<string, Date>>;
  readonly noteRun: (id: ScheduledJobId, at: Date) => Promise<void>;
  readonly log: Logger;
}

/** Longest sleep: a machine that slept, or a clock that was set, is noticed within it. */
const LOOK_MS_MAX = 30 * SECOND;
/** An hour that is missed by less is not made up for: the next run comes by itself. */
const CATCH_UP_MS_MIN = 2 * MINUTE;

const IDS = Object.keys(SCHEDULED_JOBS) as ScheduledJobId[];

export const schedule = fromTask<ScheduleInput>(
  async ({ input, shutdown, signal, report }) => {
    const { board, log } = input;
    const crons = new Map(
      IDS.map((id) => [
        id,
        // Never started: it only reckons times.
        new Cron(SCHEDULED_JOBS[id].trigger, { timezone: "UTC", paused: true }),
      ]),
    );
    const running = new Map<ScheduledJobId, Promise<void>>();
    const due = await firstDue(input, crons);
    log.info({ jobs: IDS }, "scheduler_started");

    while (!shutdown.aborted) {
      const seen = board.changed.raised;
      const now = new Date();
      for (const id of board.takeTriggered()) begin(id, now);
      for (const [id, cron] of crons) {
        const at = due.get(id);
        if (board.isOn && at !== undefined && at <= now) {
          begin(id, now);
          due.set(id, cron.nextRun(now) ?? undefined);
        } else if (at === undefined)
          due.set(id, cron.nextRun(now) ?? undefined);
        board.note(id, {
          next_run: board.isOn ? (due.get(id)?.toISOString() ?? null) : null,
        });
      }
      report({
        state: board.isOn ? "running" : "stopped",
        active: running.size,
      });
      const next = Math.min(
        ...[...due.values()].map(
          (at) => at?.getTime() ?? Number.POSITIVE_INFINITY,
        ),
      );
      const waitMs = Math.min(LOOK_MS_MAX, Math.max(100, next - Date.now()));
      await firstOf(shutdown, (over) => [
        sleep(waitMs, over),
        board.changed.after(seen, over),
      ]).catch(() => {});
    }
    await Promise.allSettled(running.values());

    function begin(id: ScheduledJobId, now: Date): void {
      // No overlap: the run that is under way sees to what there is.
      if (running.has(id)) return;
      board.note(id, { running: true, last_run: now.toISOString() });
      const work = perform(id, now).finally(() => running.delete(id));
      running.set(id, work);
    }

    async function perform(id: ScheduledJobId, now: Date): Promise<void> {
      try {
        await input.noteRun(id, now).catch(() => {});
        await input.work[id](AbortSignal.any([signal, shutdown]));
        board.note(id, { running: false, last_error: null });
      } catch (error) {
        board.note(id, { running: false, last_error: describeError(error) });
        // One job that cannot be done now is no reason to stop the others.
        if (!shutdown.aborted)
          log.error({ job: id, error }, "scheduled_job_failed");
      }
    }
  },
);

/** When each job is due first: at once where its last time was missed. */
async function firstDue(
  { lastRuns }: ScheduleInput,
  crons: ReadonlyMap<ScheduledJobId, Cron>,
): Promise<Map<ScheduledJobId, Date | undefined>> {
  const last = await lastRuns().catch(() => new Map<string, Date>());
  const now = new Date();
  return new Map(
    [...crons].map(([id, cron]) => {
      const [previous] = cron.previousRuns(1, now);
      const ran = last.get(id);
      const isMissed =
        previous !== undefined &&
        ran !== undefined &&
        ran < previous &&
        now.getTime() - previous.getTime() > CATCH_UP_MS_MIN;
      return [id, isMissed ? now : (cron.nextRun(now) ?? undefined)];
    }),
  );
}

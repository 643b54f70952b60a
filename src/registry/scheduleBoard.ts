/** The scheduler as others see it: which jobs there are, when they run next, and whether it is on. Plain data. */
import { Notice } from "../flow/notice.ts";

/** The three jobs of the older service, by its names; times in UTC. */
export const SCHEDULED_JOBS = {
  nightly_gap_detection: {
    name: "Nightly gap detection",
    trigger: "0 0 * * *",
  },
  snapshot_refresh: { name: "Snapshot refresh", trigger: "*/5 * * * *" },
  stream_monitoring: { name: "Stream monitoring", trigger: "* * * * *" },
} as const;
export type ScheduledJobId = keyof typeof SCHEDULED_JOBS;

export interface ScheduledJob {
  readonly id: ScheduledJobId;
  readonly name: string;
  /** Cron pattern, UTC. */
  readonly trigger: string;
  /** ISO UTC; null while the scheduler is stopped. */
  readonly next_run: string | null;
  readonly last_run: string | null;
  readonly running: boolean;
  readonly last_error: string | null;
}

export class ScheduleBoard {
  #isOn = true;
  readonly #jobs = new Map<ScheduledJobId, ScheduledJob>();
  readonly #triggered = new Set<ScheduledJobId>();
  /** Raised when it is switched or a job is triggered. */
  readonly changed = new Notice();

  constructor() {
    for (const id of Object.keys(SCHEDULED_JOBS) as ScheduledJobId[])
      this.#jobs.set(id, {
        id,
        ...SCHEDULED_JOBS[id],
        next_run: null,
        last_run: null,
        running: false,
        last_error: null,
      });
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  list(): ScheduledJob[] {
    return [...this.#jobs.values()];
  }

  switch(isOn: boolean): void {
    this.#isOn = isOn;
    this.changed.raise();
  }

  /** False when there is no such job. */
  trigger(id: string): id is ScheduledJobId {
    if (!isScheduledJob(id)) return false;
    this.#triggered.add(id);
    this.changed.raise();
    return true;
  }

  /** What was triggered by hand since the last call. */
  takeTriggered(): ScheduledJobId[] {
    const ids = [...this.#triggered];
    this.#triggered.clear();
    return ids;
  }

  note(id: ScheduledJobId, change: Partial<ScheduledJob>): void {
    const job = this.#jobs.get(id);
    if (job !== undefined) this.#jobs.set(id, { ...job, ...change });
  }
}

function isScheduledJob(id: string): id is ScheduledJobId {
  return id in SCHEDULED_JOBS;
}

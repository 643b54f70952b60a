/** Jobs that somebody asked for: their states, progress and history. Plain data; who works on them is told. */
import { Notice } from "../flow/notice.ts";

export type JobState =
  "pending" | "running" | "completed" | "failed" | "cancelled";

/** What one symbol of a job came to. */
export interface SymbolResult {
  readonly symbol: string;
  readonly strategy: string;
  readonly status: "success" | "error" | "locked" | "cancelled";
  readonly phases: Readonly<
    Record<string, { readonly status: string; readonly records?: number }>
  >;
  /** Seconds. */
  readonly elapsed: number;
  readonly error?: string;
}

/** As `/api/v1/jobs` answers it. */
export interface Job {
  readonly job_id: string;
  readonly kind: "execute" | "backfill" | "gaps" | "snapshots" | "streams";
  readonly tickers: readonly string[];
  readonly state: JobState;
  readonly submitted_at: string;
  readonly started_at: string | null;
  readonly completed_at: string | null;
  readonly message: string | null;
  /** Symbols that are done, of all. */
  readonly progress: { readonly done: number; readonly total: number };
  readonly result: readonly SymbolResult[] | null;
  readonly error: string | null;
}

/** Finished jobs that are remembered. */
const HISTORY_LENGTH_MAX = 200;
/** Jobs that may stand waiting. */
const PENDING_MAX = 1_000;

interface Entry {
  job: Job;
  readonly cancelled: AbortController;
}

export class JobBoard {
  readonly #entries = new Map<string, Entry>();
  /** Raised when a job is submitted or cancelled. */
  readonly changed = new Notice();
  #number = 0;

  constructor(readonly now: () => number) {}

  /** Undefined when too many wait already. */
  submit(kind: Job["kind"], symbols: readonly string[]): Job | undefined {
    const tickers = [...new Set(symbols)];
    const pending = this.list().filter(({ state }) => state === "pending");
    if (pending.length >= PENDING_MAX) return undefined;
    const job: Job = {
      job_id: `${kind}-${this.now().toString(36)}-${++this.#number}`,
      kind,
      tickers,
      state: "pending",
      submitted_at: this.#time(),
      started_at: null,
      completed_at: null,
      message: null,
      progress: { done: 0, total: tickers.length },
      result: null,
      error: null,
    };
    this.#entries.set(job.job_id, { job, cancelled: new AbortController() });
    this.#forgetOldest();
    this.changed.raise();
    return job;
  }

  /** The oldest that waits, now running; with the signal that cancels it. */
  take(): { readonly job: Job; readonly cancelled: AbortSignal } | undefined {
    for (const entry of this.#entries.values()) {
      if (entry.job.state !== "pending") continue;
      entry.job = {
        ...entry.job,
        state: "running",
        started_at: this.#time(),
      };
      return { job: entry.job, cancelled: entry.cancelled.signal };
    }
    return undefined;
  }

  /** A symbol of the job is done. */
  noteResult(jobId: string, result: SymbolResult): void {
    this.#change(jobId, (job) => ({
      result: [...(job.result ?? []), result],
      progress: { ...job.progress, done: job.progress.done + 1 },
    }));
  }

  /** Which symbols a job of all of them came to. */
  noteTickers(jobId: string, tickers: readonly string[]): void {
    this.#change(jobId, ({ progress }) => ({
      tickers,
      progress: { ...progress, total: tickers.length },
    }));
  }

  noteMessage(jobId: string, message: string): void {
    this.#change(jobId, () => ({ message }));
  }

  /** `error`: why the job as a whole could not be done. */
  finish(jobId: string, error?: string): void {
    this.#change(jobId, (job) => {
      const failed = (job.result ?? []).filter(
        ({ status }) => status === "error",
      );
      // Called off by somebody, or cut off with the service.
      const isCancelled =
        this.#entries.get(jobId)?.cancelled.signal.aborted === true ||
        job.result?.some(({ status }) => status === "cancelled") === true;
      return {
        state: isCancelled
          ? "cancelled"
          : error !== undefined || failed.length > 0
            ? "failed"
            : "completed",
        completed_at: this.#time(),
        error:
          error ??
          (failed.length === 0
            ? null
            : failed
                .map(({ symbol, error: why }) => `${symbol}: ${why}`)
                .join("; ")),
      };
    });
  }

  /** False when there is no such job, or it is over. */
  cancel(jobId: string): boolean {
    const entry = this.#entries.get(jobId);
    if (entry === undefined || isOver(entry.job)) return false;
    entry.cancelled.abort(new Error("cancelled"));
    if (entry.job.state === "pending")
      entry.job = {
        ...entry.job,
        state: "cancelled",
        completed_at: this.#time(),
      };
    this.changed.raise();
    return true;
  }

  find(jobId: string): Job | undefined {
    return this.#entries.get(jobId)?.job;
  }

  /** Newest first. */
  list(): Job[] {
    return [...this.#entries.values()].map(({ job }) => job).reverse();
  }

  #change(jobId: string, change: (job: Job) => Partial<Job>): void {
    const entry = this.#entries.get(jobId);
    if (entry !== undefined) entry.job = { ...entry.job, ...change(entry.job) };
  }

  #forgetOldest(): void {
    let finished = [...this.#entries.values()].filter(({ job }) => isOver(job));
    for (; finished.length > HISTORY_LENGTH_MAX; finished = finished.slice(1)) {
      const [oldest] = finished;
      if (oldest !== undefined) this.#entries.delete(oldest.job.job_id);
    }
  }

  #time(): string {
    return new Date(this.now()).toISOString();
  }
}

function isOver({ state }: Job): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}

/**
 * Works off the jobs: a run for each symbol, so many at a time, as children of the
 * supervisor beside it. Stale locks are cleared at the start and by a jittered
 * sweep; failed symbols are tried again when their time has come.
 */
import type { RegistryEntry, RunPhase } from "../../schema/registry.ts";
import { firstOf, MINUTE, SECOND, sleep } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import type { Job, JobBoard, SymbolResult } from "../../src/registry/jobs.ts";
import type { RegistryRun } from "../../src/registry/run.ts";
import { isAway } from "../../src/stores/postgres/database.ts";
import type { Child } from "../supervision/plan.ts";
import { fromTask } from "../supervision/task.ts";
import { symbolRun } from "./symbolRun.ts";

/** Symbols at one time: the venue's budget is shared by all of them anyhow. */
const PARALLEL_MAX = 4;
/** A run that was stopped hard tells nobody: whether it is still there is looked at. */
const LOOK_EVERY_MS = SECOND;
const SWEEP_EVERY_MS = MINUTE;

export interface ExecutorInput {
  readonly run: RegistryRun;
  readonly board: JobBoard;
  /** Starts a child beside the executor. */
  readonly start: (child: Child) => void;
  readonly stop: (id: string) => void;
  readonly isRunning: (id: string) => boolean;
}

const PHASES_OF_JOB: Readonly<
  Partial<Record<Job["kind"], readonly RunPhase[]>>
> = { backfill: ["flatpack"], snapshots: ["snapshot"], streams: ["stream"] };

export const executor = fromTask<ExecutorInput>(
  async ({ input, shutdown, report }) => {
    const { run, board } = input;
    let sweepAtMs = 0;
    report({ state: "idle" });
    while (!shutdown.aborted) {
      const seen = board.changed.raised;
      if (run.clock.now() >= sweepAtMs) {
        await sweep(input);
        // Half regular, half by chance: replicas must not sweep together.
        sweepAtMs = run.clock.now() + SWEEP_EVERY_MS * (0.5 + Math.random());
      }
      const taken = board.take();
      if (taken === undefined) {
        const waitMs = Math.max(SECOND, sweepAtMs - run.clock.now());
        await firstOf(shutdown, (signal) => [
          sleep(waitMs, signal),
          board.changed.after(seen, signal),
        ]);
        continue;
      }
      const { job } = taken;
      report({
        state: "executing",
        job: job.job_id,
        symbols: job.tickers.length,
      });
      await work(input, job, taken.cancelled, shutdown);
      report({ state: "idle" });
    }
  },
);

/** The store away is no failure: what could not be swept now is swept next time. */
async function sweep({ run, board }: ExecutorInput): Promise<void> {
  try {
    const cleared = await run.store.clearStaleLocks();
    for (const symbol of cleared)
      run.log.warn({ symbol }, "stale_lock_cleared");
    const waiting = new Set(
      board
        .list()
        .filter(({ state }) => state === "pending")
        .flatMap(({ tickers }) => tickers),
    );
    const due = (await run.store.retriesDue()).filter(
      (symbol) => !waiting.has(symbol),
    );
    if (due.length > 0) board.submit("execute", due);
  } catch (error) {
    if (!isAway(error)) throw error;
  }
}

async function work(
  input: ExecutorInput,
  job: Job,
  calledOff: AbortSignal,
  shutdown: AbortSignal,
): Promise<void> {
  const { run, board } = input;
  const cancelled = AbortSignal.any([calledOff, shutdown]);
  const startedMs = run.clock.now();
  try {
    const entries = await entriesOf(input, job);
    if (job.tickers.length === 0)
      board.noteTickers(
        job.job_id,
        entries.map(({ symbol }) => symbol),
      );
    run.log.info(
      { job: job.job_id, symbol_count: entries.length },
      "orchestration_cycle_started",
    );
    const waiting = entries.values();
    await Promise.all(
      Array.from(
        { length: Math.min(PARALLEL_MAX, entries.length) },
        async () => {
          for (const entry of waiting) {
            if (cancelled.aborted) return;
            const result = await runOne(
              input,
              entry,
              PHASES_OF_JOB[job.kind],
              calledOff,
              cancelled,
            );
            board.noteResult(job.job_id, result);
          }
        },
      ),
    );
    board.finish(job.job_id);
  } catch (error) {
    board.finish(job.job_id, describeError(error));
    if (!isAway(error)) throw error;
  }
  const results = board.find(job.job_id)?.result ?? [];
  const success = results.filter(({ status }) => status === "success").length;
  run.log.info(
    {
      job: job.job_id,
      total: results.length,
      success,
      errors: results.length - success,
      elapsed: (run.clock.now() - startedMs) / SECOND,
    },
    "cycle_completed",
  );
}

/** Symbols that nobody registered are told of, not passed over. */
async function entriesOf(
  { run, board }: ExecutorInput,
  job: Job,
): Promise<RegistryEntry[]> {
  if (job.tickers.length === 0)
    return (await run.store.list({ enabledOnly: true })).filter(
      ({ status }) => status !== "paused",
    );
  const entries: RegistryEntry[] = [];
  for (const symbol of job.tickers) {
    const entry = await run.store.find(symbol);
    if (entry !== undefined) entries.push(entry);
    else
      board.noteResult(job.job_id, {
        symbol,
        strategy: "",
        status: "error",
        phases: {},
        elapsed: 0,
        error: "is not in the registry",
      });
  }
  return entries;
}

async function runOne(
  { run, start, stop, isRunning }: ExecutorInput,
  entry: RegistryEntry,
  phases: readonly RunPhase[] | undefined,
  calledOff: AbortSignal,
  cancelled: AbortSignal,
): Promise<SymbolResult> {
  const { symbol, strategy } = entry;
  const id = `run/${symbol}`;
  const { promise, resolve } = Promise.withResolvers<SymbolResult>();
  run.log.info({ symbol, strategy }, "symbol_execution_started");
  start({
    id,
    logic: symbolRun,
    input: { run, entry, phases, cancelled: calledOff, onEnded: resolve },
    restart: "temporary",
    graceMs: 2 * SECOND,
  });
  const onCancelled = () => stop(id);
  cancelled.addEventListener("abort", onCancelled, { once: true });
  const watch = setInterval(() => {
    if (!isRunning(id))
      resolve({
        symbol,
        strategy,
        status: cancelled.aborted ? "cancelled" : "error",
        phases: {},
        elapsed: 0,
        error: "the run was ended",
      });
  }, LOOK_EVERY_MS);
  try {
    return await promise;
  } finally {
    clearInterval(watch);
    cancelled.removeEventListener("abort", onCancelled);
    stop(id);
  }
}

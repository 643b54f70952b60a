/**
 * One run of one symbol without a tree around it, for the command line: claimed,
 * renewed and given back as the service does it.
 */
import {
  type RegistryEntry,
  type RunPhase,
  STRATEGIES,
} from "../../schema/registry.ts";
import { backoffMs } from "../backoff.ts";
import { SECOND, sleep } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { Claim } from "../stores/postgres/registry.ts";
import type { SymbolResult } from "./jobs.ts";
import { runFlatpack, runSnapshot, runStream } from "./phases.ts";
import { type RegistryRun, RETRY } from "./run.ts";

export type OnProgress = (records: number, done: number) => void;

/** Never throws: what goes wrong is in the result, and in the registry. */
export async function runSymbolOnce(
  run: RegistryRun,
  entry: RegistryEntry,
  signal: AbortSignal,
  onProgress: OnProgress = () => {},
): Promise<SymbolResult> {
  const { symbol, strategy } = entry;
  const startedMs = run.clock.now();
  const phases: Record<string, { status: string; records?: number }> = {};
  const result = (status: SymbolResult["status"], error?: unknown) => ({
    symbol,
    strategy,
    status,
    phases,
    elapsed: Number(((run.clock.now() - startedMs) / SECOND).toFixed(2)),
    ...(error === undefined ? {} : { error: describeError(error) }),
  });
  run.log.info({ symbol, strategy }, "symbol_execution_started");
  let claim: Claim | undefined;
  try {
    claim = await run.store.claim(symbol);
    if (claim === undefined) {
      run.log.info({ symbol, strategy }, "symbol_locked");
      return result("locked");
    }
    await work(run, entry, claim, signal, phases, onProgress);
    await run.store.release(claim);
  } catch (error) {
    if (signal.aborted) {
      if (claim !== undefined) await run.store.interrupt(claim).catch(() => {});
      return result("cancelled");
    }
    if (claim !== undefined)
      await run.store
        .fail(claim, {
          message: describeError(error),
          retryMs: backoffMs(entry.failures + 1, RETRY),
        })
        // The lease lapses by itself.
        .catch(() => {});
    const failed = result("error", error);
    const { elapsed } = failed;
    run.log.error(
      { symbol, strategy, elapsed, error },
      "symbol_execution_failed",
    );
    return failed;
  }
  const done = result("success");
  run.log.info(
    {
      symbol,
      strategy,
      kafka: run.usesKafka,
      redis: run.usesRedis,
      elapsed: done.elapsed,
      records: Object.values(phases).reduce(
        (sum, { records = 0 }) => sum + records,
        0,
      ),
    },
    "symbol_execution_completed",
  );
  return done;
}

async function work(
  run: RegistryRun,
  entry: RegistryEntry,
  claim: Claim,
  signal: AbortSignal,
  phases: Record<string, { status: string; records?: number }>,
  onProgress: OnProgress,
): Promise<void> {
  const over = new AbortController();
  const lost = new AbortController();
  const renewing = renew(run, claim, over.signal).catch((error: unknown) =>
    lost.abort(error),
  );
  try {
    const either = AbortSignal.any([signal, lost.signal]);
    for (const phase of STRATEGIES[entry.strategy]) {
      either.throwIfAborted();
      const records = await perform(run, entry, phase, either, onProgress);
      phases[phase] =
        phase === "stream"
          ? { status: "activated" }
          : { status: "completed", records };
      await run.store.stamp(claim, phase);
    }
    either.throwIfAborted();
  } finally {
    over.abort();
    await renewing;
  }
}

async function perform(
  run: RegistryRun,
  entry: RegistryEntry,
  phase: RunPhase,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<number> {
  switch (phase) {
    case "flatpack":
      return (await runFlatpack(run, entry, signal, onProgress)).records;
    case "snapshot":
      return (await runSnapshot(run, entry.symbol, signal)).records;
    case "stream":
      return (await runStream(run, entry.symbol, signal)).records;
    default:
      return phase satisfies never;
  }
}

/** @throws Error when the claim is lost */
async function renew(
  run: RegistryRun,
  claim: Claim,
  over: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      await sleep(run.leaseMs / 3, over);
    } catch {
      return;
    }
    if (!(await run.store.renew(claim)))
      throw new Error("the lease was lost to another run");
  }
}

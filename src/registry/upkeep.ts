/** What the scheduled jobs do, beside the search for gaps. */
import { STRATEGIES } from "../../schema/registry.ts";
import { MINUTE } from "../clock.ts";
import type { FeedRun } from "../feeds/run.ts";
import type { JobBoard } from "./jobs.ts";
import type { RegistryRun } from "./run.ts";

/** A symbol that streams and was silent for longer, while its market is open, is told of. */
const STALE_MS = 5 * MINUTE;

/** Snapshots of the enabled symbols whose strategy has them, as one job. */
export async function refreshSnapshots(
  { store }: RegistryRun,
  board: JobBoard,
): Promise<void> {
  const due = (await store.list({ enabledOnly: true }))
    .filter(
      ({ strategy, status, last_snapshot }) =>
        includes(strategy, "snapshot") &&
        status !== "paused" &&
        // Before its first run a symbol has no snapshot to refresh.
        last_snapshot !== null,
    )
    .map(({ symbol }) => symbol);
  // One at a time: what is not done by now is not asked for twice.
  const isUnderWay = board
    .list()
    .some(
      ({ kind, state }) =>
        kind === "snapshots" && (state === "pending" || state === "running"),
    );
  if (due.length > 0 && !isUnderWay) board.submit("snapshots", due);
}

/**
 * Has every enabled symbol stream that was set streaming by a run, also one of
 * before the service was started, and lets go of those that are not enabled any
 * more; tells of symbols that have been silent for long.
 */
export async function watchStreams(
  { store, streams, clock, log }: RegistryRun,
  feeds: readonly FeedRun[],
): Promise<void> {
  const entries = await store.list({ enabledOnly: false });
  const known = new Set(entries.map(({ symbol }) => symbol));
  for (const symbol of streams.list())
    if (!known.has(symbol)) streams.remove(symbol);
  for (const entry of entries) {
    const { symbol, strategy, enabled, last_stream, status } = entry;
    // A run is about to say whether it streams.
    if (status === "running" && streams.has(symbol)) continue;
    const isWanted =
      enabled &&
      status !== "paused" &&
      includes(strategy, "stream") &&
      last_stream !== null;
    if (!isWanted) {
      streams.remove(symbol);
      continue;
    }
    streams.add(symbol);
    const nowMs = clock.now();
    for (const { activity, venue } of feeds) {
      const told = activity.toldTo(symbol);
      if (
        told !== undefined &&
        nowMs - told > STALE_MS &&
        venue.isOpen(nowMs) === true
      )
        log.warn(
          { symbol, silent_seconds: Math.round((nowMs - told) / 1000) },
          "stream_stale",
        );
    }
  }
}

function includes(
  strategy: keyof typeof STRATEGIES,
  phase: "flatpack" | "snapshot" | "stream",
): boolean {
  const phases: readonly string[] = STRATEGIES[strategy];
  return phases.includes(phase);
}

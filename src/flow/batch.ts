/** When a batch is due: size or time, whichever comes first. */
import { sleep } from "../clock.ts";
import type { BoundedQueue } from "./queue.ts";

export interface BatchBounds {
  /** Items at most. */
  readonly sizeMax: number;
  /** Longest that the first item of a batch waits for others; with 0 a batch is what came while the last one was written. */
  readonly waitMsMax: number;
}

/** Why a batch was closed: it was full, its first item had waited long enough, or the queue is being emptied. */
export type Trigger = "size" | "time" | "flush";

/**
 * Resolves when a batch is due in `queue`, which the caller then takes; with
 * `idle` when nothing came for `idleMsMax`. Rejects with the signal's reason
 * when aborted. It takes nothing itself: an item is never between two hands.
 */
export async function batchDue<Item>(
  queue: BoundedQueue<Item>,
  { sizeMax, waitMsMax }: BatchBounds,
  signal: AbortSignal,
  idleMsMax = Number.POSITIVE_INFINITY,
): Promise<Trigger | "idle"> {
  if (await isLate(queue, 1, idleMsMax, signal)) return "idle";
  return (await isLate(queue, sizeMax, waitMsMax, signal)) ? "time" : "size";
}

/** Whether `ms` passed before the queue held `count` items. */
async function isLate<Item>(
  queue: BoundedQueue<Item>,
  count: number,
  ms: number,
  signal: AbortSignal,
): Promise<boolean> {
  signal.throwIfAborted();
  if (queue.length >= count) return false;
  // A timer would still wait for its next turn.
  if (ms <= 0) return true;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const held = queue.whenHolding(count, either).then(() => false);
  const late = sleep(ms, either).then(() => true);
  // The loser of the race is aborted below; that is no failure of anything.
  held.catch(() => {});
  late.catch(() => {});
  try {
    return await Promise.race([held, late]);
  } finally {
    over.abort();
  }
}

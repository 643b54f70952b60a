/** Size-or-time batches: what sinks write. */
import { sleep } from "../clock.ts";
import type { BoundedQueue } from "./queue.ts";

export interface BatchBounds {
  /** Items at most. */
  readonly sizeMax: number;
  /** Longest that the first item of a batch waits for others. */
  readonly waitMsMax: number;
}

/** Why a batch was closed: it was full, its first item had waited long enough, or the queue is being emptied. */
export type Trigger = "size" | "time" | "flush";

export interface Batch<Item> {
  readonly items: readonly Item[];
  readonly trigger: Trigger;
}

/**
 * The next batch, as soon as it is full or its first item has waited
 * `waitMsMax`. With `idleMsMax` an empty batch comes after that long without
 * any item. Rejects with the signal's reason when aborted; nothing is taken then.
 */
export async function nextBatch<Item>(
  queue: BoundedQueue<Item>,
  { sizeMax, waitMsMax }: BatchBounds,
  signal: AbortSignal,
  idleMsMax = Number.POSITIVE_INFINITY,
): Promise<Batch<Item>> {
  if (await isLate(queue.whenHolding.bind(queue, 1), idleMsMax, signal))
    return { items: [], trigger: "time" };
  const late = await isLate(
    queue.whenHolding.bind(queue, sizeMax),
    waitMsMax,
    signal,
  );
  return {
    items: queue.takeUpTo(sizeMax),
    trigger: late ? "time" : "size",
  };
}

/** What waits now, without waiting for more. */
export function flushBatch<Item>(
  queue: BoundedQueue<Item>,
  sizeMax: number,
): Batch<Item> {
  return { items: queue.takeUpTo(sizeMax), trigger: "flush" };
}

/** Whether `ms` passed before `wait` was over. */
async function isLate(
  wait: (signal: AbortSignal) => Promise<void>,
  ms: number,
  signal: AbortSignal,
): Promise<boolean> {
  signal.throwIfAborted();
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  try {
    const waiting = wait(either).then(() => false);
    if (ms === Number.POSITIVE_INFINITY) return await waiting;
    return await Promise.race([waiting, sleep(ms, either).then(() => true)]);
  } finally {
    done.abort();
  }
}

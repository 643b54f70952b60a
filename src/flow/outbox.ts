/**
 * Everything on its way to one sink: the queue in memory, the batch the sink
 * holds in its hands, and the spool on disk. It belongs to the topology, so a
 * sink that dies in the middle of a write finds its batch again.
 */
import { SECOND, sleep } from "../clock.ts";
import { SpoolFullError } from "../errors.ts";
import type { BoundedQueue } from "./queue.ts";
import type { Spool } from "./spool.ts";

export interface Outbox<Item> {
  /** The sink's name: whose cursor of the spool it is. */
  readonly sink: string;
  readonly queue: BoundedQueue<Item>;
  readonly spool: Spool<Item>;
  /** Taken from the queue and not yet written anywhere. */
  inFlight: readonly Item[];
  /** The batch in hand was put into the spool while it was being written, and is the oldest there. */
  isInFlightSpooled?: boolean;
  /** A full spool is not tried before this time: each try writes the whole queue. */
  fullUntilMs?: number;
}

const FULL_MS = SECOND;
const LOOK_EVERY_MS = 20;

/** The batch that an earlier sink left in hand, else the oldest items of the queue. */
export function takeBatch<Item>(
  outbox: Outbox<Item>,
  countMax: number,
): readonly Item[] {
  if (outbox.inFlight.length === 0)
    outbox.inFlight = outbox.queue.takeUpTo(countMax);
  return outbox.inFlight;
}

/**
 * The first `count` of the batch, or all of it, are written; the others stay in
 * hand. Said late, by a sink that was given up, it changes nothing.
 */
export function releaseBatch<Item>(
  outbox: Outbox<Item>,
  batch: readonly Item[],
  count = batch.length,
): void {
  if (outbox.inFlight !== batch) return;
  if (outbox.isInFlightSpooled) passSpooled(outbox, count);
  outbox.inFlight = batch.slice(count);
  if (outbox.inFlight.length === 0) outbox.isInFlightSpooled = false;
}

/**
 * Moves what waits in memory to the disk, oldest first.
 * @throws SpoolFullError when it does not fit: what remains stays in memory.
 */
export function setAside<Item>(outbox: Outbox<Item>, countMax: number): void {
  if (outbox.isInFlightSpooled) letGo(outbox);
  for (;;) {
    const batch = takeBatch(outbox, countMax);
    if (batch.length === 0) return;
    outbox.spool.append(batch);
    releaseBatch(outbox, batch);
  }
}

/**
 * Takes an item for a sink that may be behind: into the queue, and where that is
 * full, after everything that waits in memory has gone to the spool, so that the
 * order stays. For the live stream, which cannot wait. False when the spool is
 * full too: the item was not taken.
 */
export function offerOrSetAside<Item>(
  outbox: Outbox<Item>,
  item: Item,
): boolean {
  if (outbox.queue.offer(item)) return true;
  if (Date.now() < (outbox.fullUntilMs ?? 0)) return false;
  try {
    spoolInFlight(outbox);
    spoolQueue(outbox);
  } catch (error) {
    if (!(error instanceof SpoolFullError)) throw error;
    outbox.fullUntilMs = Date.now() + FULL_MS;
    return false;
  }
  return outbox.queue.offer(item);
}

/** Items that have not reached the store: in memory and on disk. */
export function undeliveredCount<Item>(outbox: Outbox<Item>): {
  memory: number;
  disk: number;
} {
  const inHand = outbox.isInFlightSpooled ? 0 : outbox.inFlight.length;
  return {
    memory: outbox.queue.length + inHand,
    disk: outbox.spool.depth(outbox.sink),
  };
}

/**
 * Resolves once everything that the queue has taken so far is written or on the
 * disk: what is recorded of it from then on is true whatever becomes of the process.
 */
export async function whenKept<Item>(
  outbox: Outbox<Item>,
  signal: AbortSignal,
): Promise<void> {
  const { queue } = outbox;
  const { accepted } = queue;
  while (queue.accepted - undeliveredCount(outbox).memory < accepted)
    await sleep(LOOK_EVERY_MS, signal);
}

/**
 * The batch in hand is older than the queue and must be before it in the spool,
 * though it may be written this very moment. Then it is passed once it is.
 */
function spoolInFlight<Item>(outbox: Outbox<Item>): void {
  const { inFlight, sink, spool } = outbox;
  if (inFlight.length === 0 || outbox.isInFlightSpooled) return;
  // A sink writes from hand only while nothing is spooled: this one is not being written.
  const isWaiting = spool.depth(sink) > 0;
  spool.append(inFlight);
  if (isWaiting) return letGo(outbox);
  outbox.isInFlightSpooled = true;
  // Read, they are in hand there too, and do not give way to others.
  spool.read(sink, inFlight.length);
}

function spoolQueue<Item>({ queue, spool }: Outbox<Item>): void {
  const waiting = queue.takeUpTo(queue.length);
  try {
    spool.append(waiting);
  } catch (error) {
    // Nothing came in between: they go back to where they were.
    for (const item of waiting) queue.offer(item);
    throw error;
  }
}

function passSpooled<Item>({ sink, spool }: Outbox<Item>, count: number): void {
  const last = spool.read(sink, count).at(-1);
  if (last !== undefined) spool.advance(sink, last.sequence);
}

/** What is in hand is in the spool: from there it is written. */
function letGo<Item>(outbox: Outbox<Item>): void {
  outbox.inFlight = [];
  outbox.isInFlightSpooled = false;
}

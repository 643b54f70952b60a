/**
 * Everything on its way to one sink: the queue in memory, the batch the sink
 * holds in its hands, and the spool on disk. It belongs to the topology, so a
 * sink that dies in the middle of a write finds its batch again.
 */
import type { BoundedQueue } from "./queue.ts";
import type { Spool } from "./spool.ts";

export interface Outbox<Item> {
  /** The sink's name: whose cursor of the spool it is. */
  readonly sink: string;
  readonly queue: BoundedQueue<Item>;
  readonly spool: Spool<Item>;
  /** Taken from the queue and not yet written anywhere. */
  inFlight: readonly Item[];
}

/** The batch that an earlier sink left in hand, else the oldest items of the queue. */
export function takeBatch<Item>(
  outbox: Outbox<Item>,
  countMax: number,
): readonly Item[] {
  if (outbox.inFlight.length === 0)
    outbox.inFlight = outbox.queue.takeUpTo(countMax);
  return outbox.inFlight;
}

/** The batch is written. Said late, by a sink that was given up, it changes nothing. */
export function releaseBatch<Item>(
  outbox: Outbox<Item>,
  batch: readonly Item[],
): void {
  if (outbox.inFlight === batch) outbox.inFlight = [];
}

/**
 * Moves what waits in memory to the disk, oldest first.
 * @throws SpoolFullError when it does not fit: what remains stays in memory.
 */
export function setAside<Item>(outbox: Outbox<Item>, countMax: number): void {
  for (;;) {
    const batch = takeBatch(outbox, countMax);
    if (batch.length === 0) return;
    outbox.spool.append(batch);
    releaseBatch(outbox, batch);
  }
}

/** Items that have not reached the store: in memory and on disk. */
export function undeliveredCount<Item>(outbox: Outbox<Item>): {
  memory: number;
  disk: number;
} {
  return {
    memory: outbox.queue.length + outbox.inFlight.length,
    disk: outbox.spool.depth(outbox.sink),
  };
}

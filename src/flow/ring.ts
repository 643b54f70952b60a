/**
 * A spool in memory, for what is worth little once it is late: it has a bound,
 * and beyond it the oldest gives way and is counted. The other policy of a
 * market sink, to keep everything, is the spool on disk.
 */
import type { Spool, Spooled } from "./spool.ts";

export interface Ring<Item> extends Spool<Item> {
  /** Items that gave way so far, also those that {@link Spool.close} found. */
  readonly dropped: number;
}

/** For one sink: whatever name it is asked by, there is one cursor. */
export function openRing<Item>(settings: {
  /** Larger than a batch of the sink: what is being written does not give way. */
  lengthMax: number;
  /** Told of each item that gives way. */
  onDropped?: (item: Item) => void;
}): Ring<Item> {
  const { lengthMax, onDropped } = settings;
  /** Read and not yet passed: these are being written, and no longer give way. */
  let inHand: Spooled<Item>[] = [];
  let waiting: Item[] = [];
  /** Where the oldest of `waiting` stands, and its sequence number. */
  let head = 0;
  let sequence = 1;
  let dropped = 0;

  const depth = () => inHand.length + waiting.length - head;

  /** The oldest that waits; only asked while something does. */
  function take(): Spooled<Item> {
    // Callers look at the depth first; what stands at the head is an item.
    const taken = { sequence: sequence++, item: waiting[head++] as Item };
    if (head === waiting.length || head > lengthMax) {
      waiting = waiting.slice(head);
      head = 0;
    }
    return taken;
  }

  function drop({ item }: Spooled<Item>): void {
    dropped++;
    onDropped?.(item);
  }

  return {
    get dropped() {
      return dropped;
    },
    append(items) {
      for (const item of items) {
        waiting.push(item);
        if (depth() > lengthMax) drop(take());
      }
    },
    read(_sink, limit) {
      while (inHand.length < limit && waiting.length > head)
        inHand.push(take());
      return inHand.slice(0, limit);
    },
    advance(_sink, upTo) {
      inHand = inHand.filter((record) => record.sequence > upTo);
    },
    depth,
    status: () => ({
      path: ":memory:",
      records: depth(),
      bytes: 0,
      cursors: {},
      full: false,
    }),
    close() {
      inHand.forEach(drop);
      inHand = [];
      while (depth() > 0) drop(take());
    },
  };
}

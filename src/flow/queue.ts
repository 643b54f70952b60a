/**
 * The bounded queue between the sources and a sink. It belongs to the topology
 * and outlives both ends, so that a restart of either loses nothing.
 *
 * Two ways in: {@link BoundedQueue.offer} for the live stream, which cannot wait
 * and is told when there is no room; {@link BoundedQueue.put} for whoever reads
 * the past, which waits and leaves the last quarter of the room to the stream.
 */
export class BoundedQueue<Item> {
  readonly #roomForPast: number;
  #items: Item[] = [];
  #head = 0;
  #accepted = 0;
  #takers: Waiter[] = [];
  #givers: Waiter[] = [];

  constructor(readonly lengthMax: number) {
    this.#roomForPast = Math.ceil(lengthMax * 0.75);
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Items that were ever taken in. */
  get accepted(): number {
    return this.#accepted;
  }

  /** False when the queue is full: the item was not taken. */
  offer(item: Item): boolean {
    if (this.length >= this.lengthMax) return false;
    this.#items.push(item);
    this.#accepted++;
    // Asked at every item, so nothing is made anew unless somebody wakes.
    const { length } = this;
    if (this.#takers.some(({ count }) => count <= length))
      this.#takers = wake(this.#takers, length);
    return true;
  }

  /** Takes the item as soon as there is room; rejects with the signal's reason when aborted first. */
  async put(item: Item, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.length >= this.#roomForPast)
      await this.#wait(this.#givers, this.#roomForPast, signal);
    this.offer(item);
  }

  /** Oldest first; empty when there is nothing. */
  takeUpTo(count: number): Item[] {
    const end = Math.min(this.#head + count, this.#items.length);
    const taken = this.#items.slice(this.#head, end);
    this.#head = end;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > this.lengthMax) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (this.#givers.length > 0 && this.length < this.#roomForPast)
      this.#givers = wake(this.#givers, Number.POSITIVE_INFINITY);
    return taken;
  }

  /** Resolves once `count` items wait; rejects with the signal's reason when aborted first. */
  async whenHolding(count: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.length >= count) return;
    await this.#wait(this.#takers, count, signal);
  }

  /** Resolves once the queue is at most half full, so that a source that was turned away may come back. */
  async whenRelieved(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.length > this.lengthMax / 2)
      await this.#wait(this.#givers, this.lengthMax, signal);
  }

  #wait(list: Waiter[], count: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#takers = this.#takers.filter((other) => other !== waiter);
      this.#givers = this.#givers.filter((other) => other !== waiter);
      reject(signal.reason);
    };
    const waiter: Waiter = {
      count,
      resolve: () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      },
    };
    signal.addEventListener("abort", onAbort, { once: true });
    list.push(waiter);
    return promise;
  }
}

interface Waiter {
  readonly count: number;
  readonly resolve: () => void;
}

/** Wakes those whose count is reached; returns the others. */
function wake(waiters: readonly Waiter[], length: number): Waiter[] {
  return waiters.filter((waiter) => {
    if (waiter.count > length) return true;
    waiter.resolve();
    return false;
  });
}

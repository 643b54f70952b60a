/** Tells those who wait that something has happened; who looks later sees that it has. */
export class Notice {
  #raised = 0;
  #waiting = new Set<() => void>();

  /** How often it was raised so far. */
  get raised(): number {
    return this.#raised;
  }

  raise(): void {
    this.#raised++;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  /** Resolves once it was raised more than `seen` times; rejects with the signal's reason when aborted first. */
  after(seen: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#raised > seen) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onRaised = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
    const onAbort = () => {
      this.#waiting.delete(onRaised);
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(onRaised);
    return promise;
  }
}

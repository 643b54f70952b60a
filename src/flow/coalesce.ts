/**
 * Keeps the latest value of each key and says which may be written now: each key
 * not more often than its interval, all keys together within a budget with a
 * burst. Nothing waits here, and what is not due yet blocks nobody.
 */
import { SECOND } from "../clock.ts";

export interface CoalesceBounds {
  /** Shortest time between two writes of one key. */
  readonly perKeyMs: number;
  /** Writes of all keys together, in the long run. */
  readonly writesPerSecond: number;
  /** How many of them may come at once. */
  readonly burst: number;
}

interface Entry<Value> {
  value: Value;
  /** When it was last tried. */
  triedMs: number;
}

export class Coalescer<Value> {
  readonly #latest = new Map<string, Entry<Value>>();
  /** Keys with a value that is not written, those that wait longest first. */
  readonly #dirty = new Set<string>();
  #tokens: number;
  #refilledMs: number | undefined;

  constructor(readonly bounds: CoalesceBounds) {
    this.#tokens = bounds.burst;
  }

  /** Keys that wait to be written. */
  get waiting(): number {
    return this.#dirty.size;
  }

  set(key: string, value: Value): void {
    const entry = this.#latest.get(key);
    if (entry === undefined)
      this.#latest.set(key, { value, triedMs: Number.NEGATIVE_INFINITY });
    else entry.value = value;
    this.#dirty.add(key);
  }

  /** Values that may be written now, `countMax` at most; each takes a token and counts as written unless {@link failed}. */
  take(nowMs: number, countMax: number): Map<string, Value> {
    this.#refill(nowMs);
    const taken = new Map<string, Value>();
    for (const key of this.#dirty) {
      if (taken.size >= countMax || this.#tokens < 1) break;
      const entry = this.#latest.get(key);
      if (entry === undefined || nowMs - entry.triedMs < this.bounds.perKeyMs)
        continue;
      this.#tokens -= 1;
      entry.triedMs = nowMs;
      this.#dirty.delete(key);
      taken.set(key, entry.value);
    }
    return taken;
  }

  /** These were not written: they wait again, with whatever came meanwhile, and their tokens are given back. */
  failed(keys: readonly string[]): void {
    this.again(keys);
    this.#tokens = Math.min(this.bounds.burst, this.#tokens + keys.length);
  }

  /** The latest values of these are to be written once more. */
  again(keys: readonly string[]): void {
    for (const key of keys) if (this.#latest.has(key)) this.#dirty.add(key);
  }

  #refill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - (this.#refilledMs ?? nowMs));
    this.#refilledMs = nowMs;
    this.#tokens = Math.min(
      this.bounds.burst,
      this.#tokens + (passedMs / SECOND) * this.bounds.writesPerSecond,
    );
  }
}

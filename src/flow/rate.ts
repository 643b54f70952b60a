/**
 * The request budget of one API key, shared by all its callers: a token bucket
 * whose waiters are served by priority, then in the order they came.
 */
import { MINUTE, systemClock, type Clock } from "../clock.ts";

/** Highest first: what a live stream's verdict waits for, then healing, then history. */
export const PRIORITIES = ["live", "healing", "backfill"] as const;
export type Priority = (typeof PRIORITIES)[number];

interface Waiter {
  readonly serve: () => void;
}

export class RateBudget {
  readonly #clock: Clock;
  readonly #waiters: Record<Priority, Waiter[]> = {
    live: [],
    healing: [],
    backfill: [],
  };
  #perMinute: number;
  #tokens: number;
  #refilledAtMs: number;
  #pausedUntilMs = 0;
  #waitedMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: { perMinute: number; clock?: Clock }) {
    this.#clock = settings.clock ?? systemClock;
    this.#perMinute = settings.perMinute;
    this.#tokens = this.#burst;
    this.#refilledAtMs = this.#clock.now();
  }

  /** Callers that stand waiting. */
  get waiting(): number {
    return PRIORITIES.reduce(
      (sum, name) => sum + this.#waiters[name].length,
      0,
    );
  }

  /** How long all callers together have stood waiting, those that still stand not counted. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** Resolves when the caller may send one request; rejects with the signal's reason when aborted first. */
  acquire(priority: Priority, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sinceMs = this.#clock.now();
    const leave = () => {
      this.#waitedMs += this.#clock.now() - sinceMs;
      this.#waiters[priority] = this.#waiters[priority].filter(
        (other) => other !== waiter,
      );
      reject(signal?.reason);
    };
    const waiter: Waiter = {
      serve: () => {
        signal?.removeEventListener("abort", leave);
        this.#waitedMs += this.#clock.now() - sinceMs;
        resolve();
      },
    };
    signal?.addEventListener("abort", leave, { once: true });
    this.#waiters[priority].push(waiter);
    this.#serve();
    return promise;
  }

  /** Takes what the venue says of the budget: other programs may use the same key. */
  observe(told: {
    limit?: number | undefined;
    remaining?: number | undefined;
    resetAtMs?: number | undefined;
  }): void {
    if (told.limit !== undefined && told.limit > 0)
      this.#perMinute = Math.min(this.#perMinute, told.limit);
    if (told.remaining === 0 && told.resetAtMs !== undefined)
      this.pauseUntil(told.resetAtMs);
  }

  /** Nobody is served before `atMs` (the venue said 429); at most a minute from now. */
  pauseUntil(atMs: number): void {
    const latest = this.#clock.now() + MINUTE;
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, Math.min(atMs, latest));
  }

  /** A burst and a minute's refill together stay within the limit, wherever the venue's minute begins. */
  get #burst(): number {
    return Math.max(1, this.#perMinute / 10);
  }

  get #perMs(): number {
    return Math.max(this.#perMinute - this.#burst, 1) / MINUTE;
  }

  #serve(): void {
    const now = this.#clock.now();
    this.#tokens = Math.min(
      this.#burst,
      this.#tokens + (now - this.#refilledAtMs) * this.#perMs,
    );
    this.#refilledAtMs = now;
    while (now >= this.#pausedUntilMs && this.#tokens >= 1) {
      const name = PRIORITIES.find((each) => this.#waiters[each].length > 0);
      if (name === undefined) return;
      this.#tokens -= 1;
      this.#waiters[name].shift()?.serve();
    }
    if (this.waiting > 0) this.#serveLater(now);
  }

  #serveLater(now: number): void {
    if (this.#timer !== undefined) return;
    const untilToken = (1 - this.#tokens) / this.#perMs;
    const waitMs = Math.max(this.#pausedUntilMs - now, untilToken, 1);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#serve();
    }, Math.ceil(waitMs));
  }
}

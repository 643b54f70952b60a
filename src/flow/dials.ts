/**
 * When one API key may dial again. It belongs to the topology, so that neither a
 * restarted actor nor a peer that accepts and hangs up gets around the backoff.
 */
import { backoffMs, type BackoffBounds } from "../backoff.ts";
import { MINUTE } from "../clock.ts";

/** A refused key stays refused until somebody acts; asking often only gets the address blocked. */
const REFUSED: BackoffBounds = { baseMs: 5 * MINUTE, maxMs: 30 * MINUTE };

export class DialSchedule {
  #dials = 0;
  #failures = 0;
  #refusals = 0;
  #nextAtMs = 0;
  #refusedUntilMs = 0;

  constructor(
    readonly bounds: BackoffBounds,
    readonly random: () => number = Math.random,
  ) {}

  /** Dials of this schedule's whole life. */
  get dials(): number {
    return this.#dials;
  }

  /** Dials since the link was last settled. */
  get failures(): number {
    return this.#failures;
  }

  /** Milliseconds until the next dial is allowed; 0 when it is now. */
  waitMs(nowMs: number): number {
    return Math.max(0, Math.max(this.#nextAtMs, this.#refusedUntilMs) - nowMs);
  }

  /** A dial begins. It counts as failed until {@link settled} says otherwise. */
  began(nowMs: number): void {
    this.#dials++;
    this.#failures++;
    this.#nextAtMs = nowMs + this.#backoffMs(this.bounds);
  }

  /** The link was live long enough for its failures to be forgotten. */
  settled(): void {
    this.#failures = 0;
    this.#refusals = 0;
  }

  /**
   * The link is over. `retryAfterMs` is what the venue asked for; `waitMsMax`
   * shortens the wait where the venue's own slot frees itself after a known time.
   */
  ended(
    nowMs: number,
    hint: {
      retryAfterMs?: number | undefined;
      waitMsMax?: number | undefined;
    } = {},
  ): void {
    const { retryAfterMs = 0, waitMsMax = Number.POSITIVE_INFINITY } = hint;
    const maxMs = Math.min(this.bounds.maxMs, waitMsMax);
    const waitMs = this.#backoffMs({ ...this.bounds, maxMs });
    this.#nextAtMs =
      nowMs + Math.max(waitMs, Math.min(retryAfterMs, 30 * MINUTE));
  }

  /** The venue refused the key itself. */
  refused(nowMs: number): void {
    this.#refusals++;
    this.#refusedUntilMs =
      nowMs + backoffMs(this.#refusals, REFUSED, this.random);
  }

  #backoffMs(bounds: BackoffBounds): number {
    return backoffMs(Math.max(1, this.#failures), bounds, this.random);
  }
}

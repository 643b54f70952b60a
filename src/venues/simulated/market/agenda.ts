/**
 * What a connection is sent next. The tape knows what will happen, so it is worked
 * out a little ahead for all symbols at once: of ten thousand, few have anything to
 * say at a time, and asking each of them ten times a second would fill a core.
 */
import { SECOND } from "../../../clock.ts";
import type { SentChannel } from "./language.ts";
import type { WireMessage } from "./messages.ts";
import { type Sent, sentBetween } from "./schedule.ts";
import type { Tape } from "./tape.ts";

/** By symbol the channels that are wanted. */
export type Wishes = ReadonlyMap<string, ReadonlySet<SentChannel>>;

const AHEAD_MS = 2 * SECOND;

export class Agenda {
  #ahead: Sent[] = [];
  /** Of those, how many were sent. */
  #sent = 0;
  #knownToMs: number;

  /** Begins behind `fromMs`. */
  constructor(
    readonly tape: Tape,
    readonly wishes: Wishes,
    fromMs: number,
  ) {
    this.#knownToMs = fromMs;
  }

  /** Messages until `toMs` that were not taken before, in order of time. */
  take(toMs: number): WireMessage[] {
    if (toMs > this.#knownToMs) this.#lookAhead(toMs);
    const messages: WireMessage[] = [];
    for (; ; this.#sent++) {
      const next = this.#ahead[this.#sent];
      if (next === undefined || next.atMs > toMs) return messages;
      messages.push(next.message);
    }
  }

  #lookAhead(toMs: number): void {
    const fromMs = this.#knownToMs;
    this.#knownToMs = Math.max(toMs, fromMs + AHEAD_MS);
    const found: Sent[] = [];
    for (const [symbol, channels] of this.wishes)
      for (const sent of sentBetween(
        this.tape,
        symbol,
        fromMs,
        this.#knownToMs,
        channels,
      ))
        found.push(sent);
    found.sort((a, b) => a.atMs - b.atMs);
    this.#ahead = [...this.#ahead.slice(this.#sent), ...found];
    this.#sent = 0;
  }
}

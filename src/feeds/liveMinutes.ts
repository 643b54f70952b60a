/**
 * Claims minutes of bars as streamed live: from the minute in which a symbol was
 * granted to the last one that a pong proves, and nothing after it.
 */
import { MINUTE, SECOND } from "../clock.ts";
import type { FeedRun } from "./run.ts";

/** A bar is sent right after its minute; this long the minute counts as not yet told. */
const BAR_LAG_MS = 5 * SECOND;

export class LiveMinutes {
  /** By symbol: up to where its minutes are claimed. */
  readonly #claimedTo = new Map<string, number>();
  readonly #session: string;
  readonly #delayMs: number;

  constructor(
    readonly run: Pick<FeedRun, "venue" | "session" | "clock" | "keepNow">,
  ) {
    this.#session = `${run.session}/${run.venue.id}/${run.clock.now()}`;
    this.#delayMs = run.venue.delayMs ?? 0;
  }

  /** The symbols whose bars the venue sends from now on. The venue makes bars of whole minutes, whenever one began to listen. */
  granted(symbols: readonly string[], nowMs: number): void {
    const names = new Set(symbols);
    for (const symbol of this.#claimedTo.keys())
      if (!names.has(symbol)) this.#claimedTo.delete(symbol);
    for (const symbol of names)
      if (!this.#claimedTo.has(symbol))
        this.#claimedTo.set(symbol, minuteOf(nowMs - this.#delayMs));
  }

  /** The ping of `sentAtMs` was answered: what the venue had to say until then is here. */
  provenTo(sentAtMs: number): void {
    const to = toldMinutesTo(sentAtMs - this.#delayMs);
    for (const [symbol, from] of this.#claimedTo) {
      if (to <= from) continue;
      this.run.keepNow({
        kind: "fact",
        symbol,
        state: "live",
        from: new Date(from).toISOString(),
        to: new Date(to).toISOString(),
        session: this.#session,
      });
      this.#claimedTo.set(symbol, to);
    }
  }
}

/** Whoever has heard all that was said until `ms` has the bars of all minutes before this one. */
export function toldMinutesTo(ms: number): number {
  return minuteOf(ms - BAR_LAG_MS);
}

function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE) * MINUTE;
}

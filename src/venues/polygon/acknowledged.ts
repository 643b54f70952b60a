/**
 * What is subscribed on one connection. The venue acknowledges each parameter by
 * itself, in one frame or in many, says nothing of what it holds already, and does
 * not name what the plan lacks; the feed's machine wants the whole set.
 */
import { SECOND } from "../../clock.ts";
import type { Channel, ChannelSymbols } from "../feedVenue.ts";

/** What was not acknowledged by then is told as missing, until it is. */
const ANSWER_MS_MAX = 5 * SECOND;

export class AcknowledgedSet {
  readonly #held: ReadonlyMap<Channel, Set<string>>;
  /** Of the request under way: what has no answer yet. */
  #awaited: Set<string> | undefined;
  #awaitedSinceMs: number | undefined;
  #hasChanged = false;

  constructor(channels: readonly Channel[]) {
    this.#held = new Map(channels.map((channel) => [channel, new Set()]));
  }

  /** A connection begins: the venue remembers nothing of the last one. */
  clear(): void {
    for (const symbols of this.#held.values()) symbols.clear();
    this.#awaited = undefined;
    this.#hasChanged = false;
  }

  asked(action: "subscribe" | "unsubscribe", change: ChannelSymbols): void {
    const awaited = new Set<string>();
    for (const [channel, held] of this.#held)
      for (const symbol of change[channel] ?? [])
        // What is so already has no answer.
        if (held.has(symbol) !== (action === "subscribe"))
          awaited.add(nameOf(channel, symbol));
    this.#awaited = awaited;
    this.#awaitedSinceMs = undefined;
  }

  subscribed(channel: Channel, symbol: string): void {
    this.#held.get(channel)?.add(symbol);
    this.#answered(channel, symbol);
  }

  unsubscribed(channel: Channel, symbol: string): void {
    this.#held.get(channel)?.delete(symbol);
    this.#answered(channel, symbol);
  }

  /**
   * The plan lacks a channel of the request. Which one is not said, and what it
   * does not lack may be acknowledged before or after: nothing is waited for.
   */
  lacking(): void {
    this.#awaited?.clear();
  }

  /** The request was refused as a whole. */
  refused(): void {
    this.#awaited = undefined;
  }

  /** The whole set, once the request is answered and whenever it changes by itself. Asked behind each frame. */
  news(nowMs: number): ChannelSymbols | undefined {
    if (this.#awaited !== undefined) {
      const sinceMs = (this.#awaitedSinceMs ??= nowMs);
      if (this.#awaited.size > 0 && nowMs - sinceMs < ANSWER_MS_MAX)
        return undefined;
      this.#awaited = undefined;
    } else if (!this.#hasChanged) return undefined;
    this.#hasChanged = false;
    return Object.fromEntries(
      [...this.#held].map(([channel, symbols]) => [channel, [...symbols]]),
    );
  }

  #answered(channel: Channel, symbol: string): void {
    this.#awaited?.delete(nameOf(channel, symbol));
    this.#hasChanged = true;
  }
}

function nameOf(channel: Channel, symbol: string): string {
  return `${channel} ${symbol}`;
}

/**
 * What is subscribed on one connection, and the next thing to ask for: only
 * increments go over the wire, in chunks, one request at a time; what the venue
 * acknowledges is compared with what was asked. Pure: it sends nothing itself.
 */
import type { Channel, ChannelSymbols } from "../venues/feedVenue.ts";

export interface WireRequest {
  readonly action: "subscribe" | "unsubscribe";
  readonly change: ChannelSymbols;
}

/** One symbol on one channel. */
interface Pair {
  readonly channel: Channel;
  readonly symbol: string;
}

/** Why a pair is not subscribed though it is wanted. */
export type RefusalReason =
  /** Beyond the number of symbols that the plan allows. */
  | "limit"
  /** The venue took offence at it: an unknown or misspelt symbol, a channel that this feed does not offer. */
  | "request"
  /** Acknowledged without it. */
  | "not granted";

export class SubscriptionWire {
  readonly #granted = new Map<string, Pair>();
  readonly #refused = new Map<string, RefusalReason>();
  /** Pieces of a request that was refused as a whole, to be asked for apart. */
  #pieces: Pair[][] = [];
  #pending: { action: WireRequest["action"]; pairs: Pair[] } | undefined;
  #limitReached = false;

  constructor(readonly chunkLengthMax: number) {}

  /** The next request, or undefined while one is under way or nothing is left to ask. */
  next(wanted: ChannelSymbols): WireRequest | undefined {
    if (this.#pending !== undefined) return undefined;
    const pairs = pairsOf(wanted);
    const names = new Set(pairs.map(nameOf));
    const unwanted = [...this.#granted]
      .filter(([name]) => !names.has(name))
      .map(([, pair]) => pair);
    if (unwanted.length > 0) return this.#ask("unsubscribe", unwanted);
    if (this.#limitReached) return undefined;
    for (
      let piece = this.#pieces.shift();
      piece !== undefined;
      piece = this.#pieces.shift()
    ) {
      const still = piece.filter((pair) => names.has(nameOf(pair)));
      if (still.length > 0) return this.#ask("subscribe", still);
    }
    const missing = pairs.filter((pair) => {
      const name = nameOf(pair);
      return !this.#granted.has(name) && !this.#refused.has(name);
    });
    return missing.length === 0 ? undefined : this.#ask("subscribe", missing);
  }

  /** The venue told the whole set; it answers the pending request when there is one. */
  acknowledged(channels: ChannelSymbols): void {
    const told = pairsOf(channels);
    const before = this.#granted.size;
    this.#granted.clear();
    for (const pair of told) this.#granted.set(nameOf(pair), pair);
    const pending = this.#pending;
    this.#pending = undefined;
    for (const pair of pending?.action === "subscribe" ? pending.pairs : []) {
      const name = nameOf(pair);
      if (!this.#granted.has(name)) this.#refused.set(name, "not granted");
    }
    // What the venue keeps sending though it was told not to is not asked for again.
    for (const pair of pending?.action === "unsubscribe" ? pending.pairs : [])
      this.#granted.delete(nameOf(pair));
    if (this.#granted.size < before) this.#reconsiderLimit();
  }

  /** The venue refused the pending request as a whole; the old set stays. */
  refused(reason: "limit" | "request"): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    if (pending.action === "unsubscribe") {
      for (const pair of pending.pairs) this.#granted.delete(nameOf(pair));
      return;
    }
    if (pending.pairs.length > 1) {
      // Which of them it was is not said: halves are asked for apart.
      const middle = Math.ceil(pending.pairs.length / 2);
      this.#pieces.unshift(
        pending.pairs.slice(0, middle),
        pending.pairs.slice(middle),
      );
      return;
    }
    for (const pair of pending.pairs) this.#refused.set(nameOf(pair), reason);
    if (reason === "limit") {
      this.#limitReached = true;
      this.#pieces = [];
    }
  }

  /** A request is under way. */
  get isWaiting(): boolean {
    return this.#pending !== undefined;
  }

  /** What the venue sends now, on one channel. */
  granted(channel: Channel): string[] {
    return [...this.#granted.values()]
      .filter((pair) => pair.channel === channel)
      .map(({ symbol }) => symbol);
  }

  get grantedCount(): number {
    return this.#granted.size;
  }

  /** What is wanted and not subscribed, with the reason; beyond the limit without having been asked for. */
  notGranted(wanted: ChannelSymbols): {
    readonly channel: Channel;
    readonly symbol: string;
    readonly reason: RefusalReason;
  }[] {
    return pairsOf(wanted).flatMap((pair) => {
      const name = nameOf(pair);
      if (this.#granted.has(name)) return [];
      const reason =
        this.#refused.get(name) ?? (this.#limitReached ? "limit" : undefined);
      return reason === undefined ? [] : [{ ...pair, reason }];
    });
  }

  #ask(action: WireRequest["action"], pairs: readonly Pair[]): WireRequest {
    const chunk = pairs.slice(0, this.chunkLengthMax);
    this.#pending = { action, pairs: chunk };
    const change: Partial<Record<Channel, string[]>> = {};
    for (const { channel, symbol } of chunk)
      (change[channel] ??= []).push(symbol);
    return { action, change };
  }

  /** There is room again: what the limit kept out is asked for anew. */
  #reconsiderLimit(): void {
    this.#limitReached = false;
    for (const [name, reason] of this.#refused)
      if (reason === "limit") this.#refused.delete(name);
  }
}

function nameOf({ channel, symbol }: Pair): string {
  return `${channel} ${symbol}`;
}

/** Symbol by symbol, so that a plan's limit leaves whole symbols rather than one channel of many. */
function pairsOf(channels: ChannelSymbols): Pair[] {
  const lists = Object.entries(channels) as [Channel, readonly string[]][];
  const length = Math.max(0, ...lists.map(([, symbols]) => symbols.length));
  const pairs: Pair[] = [];
  for (let index = 0; index < length; index++)
    for (const [channel, symbols] of lists) {
      const symbol = symbols[index];
      if (symbol !== undefined) pairs.push({ channel, symbol });
    }
  return pairs;
}

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

/** Why a pair is not subscribed though it is wanted; it is not asked for again on this connection. */
export type RefusalReason =
  /** Beyond the number of symbols that the plan allows. */
  | "limit"
  /** The venue took offence at it: an unknown or misspelt symbol, a channel that this feed does not offer. */
  | "request"
  /** Acknowledged without it. */
  | "not granted";

/** Refused requests of one channel; each beyond them is refused whole. A venue that refuses everything is soon done with. */
const HALVINGS_MAX = 400;

export class SubscriptionWire {
  readonly #granted = new Map<string, Pair>();
  readonly #refused = new Map<string, RefusalReason>();
  /** Pieces of a request that was refused as a whole, to be asked for apart. */
  #pieces: Pair[][] = [];
  #pending: { action: WireRequest["action"]; pairs: Pair[] } | undefined;
  /** Channels on which one symbol more was beyond the limit: plans count some channels and not others. */
  readonly #full = new Set<Channel>();
  readonly #halvings = new Map<Channel, number>();

  constructor(readonly chunkLengthMax: number) {}

  /** The next request, or undefined while one is under way or nothing is left to ask. */
  next(wanted: ChannelSymbols): WireRequest | undefined {
    if (this.#pending !== undefined) return undefined;
    const pairs = new Map(pairsOf(wanted).map((pair) => [nameOf(pair), pair]));
    // Who lets go of a symbol and wants it again may ask again.
    for (const name of this.#refused.keys())
      if (!pairs.has(name)) this.#refused.delete(name);
    const unwanted = [...this.#granted]
      .filter(([name]) => !pairs.has(name))
      .map(([, pair]) => pair);
    if (unwanted.length > 0) return this.#ask("unsubscribe", unwanted);
    for (
      let piece = this.#pieces.shift();
      piece !== undefined;
      piece = this.#pieces.shift()
    ) {
      const still = piece.filter(
        (pair) => pairs.has(nameOf(pair)) && this.#isMissing(pair),
      );
      if (still.length > 0) return this.#ask("subscribe", still);
    }
    const missing = [...pairs.values()].filter((pair) => this.#isMissing(pair));
    return missing.length === 0 ? undefined : this.#ask("subscribe", missing);
  }

  /** The venue told the whole set; it answers the pending request when there is one. */
  acknowledged(channels: ChannelSymbols): void {
    const before = [...this.#granted.keys()];
    this.#granted.clear();
    for (const pair of pairsOf(channels)) this.#granted.set(nameOf(pair), pair);
    const pending = this.#pending;
    this.#pending = undefined;
    const asked = (pending?.pairs ?? []).map(nameOf);
    // What the venue keeps sending though it was told not to is not asked for again, in either direction.
    if (pending?.action === "unsubscribe")
      for (const name of asked) this.#granted.delete(name);
    else this.#noteNotGranted(asked);
    // To ask for what went away by itself might push out another, and so on for ever.
    const letGo = new Set(pending?.action === "unsubscribe" ? asked : []);
    this.#noteNotGranted(before.filter((name) => !letGo.has(name)));
    if (this.#granted.size < before.length) this.#reconsiderLimit();
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
    const { pairs } = pending;
    const parts = this.#partsOf(pairs, reason);
    if (parts.length > 1) return void this.#pieces.unshift(...parts);
    for (const pair of pairs) {
      this.#refused.set(nameOf(pair), reason);
      if (reason === "limit") this.#full.add(pair.channel);
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
      const beyond = this.#full.has(pair.channel) ? "limit" : undefined;
      const reason = this.#refused.get(name) ?? beyond;
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

  #isMissing(pair: Pair): boolean {
    const name = nameOf(pair);
    return !(
      this.#granted.has(name) ||
      this.#refused.has(name) ||
      this.#full.has(pair.channel)
    );
  }

  #noteNotGranted(names: readonly string[]): void {
    for (const name of names)
      if (!this.#granted.has(name)) this.#refused.set(name, "not granted");
  }

  /** Which pair a request was refused for is not said, so its parts are asked for apart; one part: it is refused whole. */
  #partsOf(pairs: readonly Pair[], reason: "limit" | "request"): Pair[][] {
    const byChannel = Map.groupBy(pairs, ({ channel }) => channel);
    const [first] = pairs;
    // A channel that is not offered must not cost the others.
    if (reason === "request" && byChannel.size > 1)
      return [...byChannel.values()];
    if (first === undefined || pairs.length === 1) return [[...pairs]];
    const halvings = (this.#halvings.get(first.channel) ?? 0) + 1;
    this.#halvings.set(first.channel, halvings);
    if (halvings > HALVINGS_MAX) return [[...pairs]];
    const middle = Math.ceil(pairs.length / 2);
    return [pairs.slice(0, middle), pairs.slice(middle)];
  }

  /** There is room again: what the limit kept out is asked for anew. */
  #reconsiderLimit(): void {
    this.#full.clear();
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

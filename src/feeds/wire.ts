/**
 * What is subscribed on one connection, and the next thing to ask for: only
 * increments go over the wire, in chunks, one request at a time; what the venue
 * acknowledges is compared with what was asked. Pure: it sends nothing itself.
 */
import type { Channel, ChannelSymbols } from "../venues/feedVenue.ts";
import { type Pair, pairMapOf, PairMap, pairsOf } from "./pairs.ts";

export interface WireRequest {
  readonly action: "subscribe" | "unsubscribe";
  readonly change: ChannelSymbols;
}

/** Why a pair is not subscribed though it is wanted; it is not asked for again on this connection. */
export type RefusalReason =
  /** Beyond the number of symbols that the plan allows. */
  | "limit"
  /** The venue took offence at it: an unknown or misspelt symbol, a channel that this feed does not offer. */
  | "request"
  /** Acknowledged without it. */
  | "not granted";

/** Requests of one channel that are asked for in halves; beyond them one is refused whole. A venue that refuses everything is soon done with. */
const HALVINGS_MAX = 400;

export class SubscriptionWire {
  #granted = new PairMap<true>();
  readonly #refused = new PairMap<RefusalReason>();
  /** Given back, and sent all the same. */
  readonly #kept = new PairMap<true>();
  /** Pieces of a request that was refused as a whole, to be asked for apart. */
  #pieces: Pair[][] = [];
  #pending: { action: WireRequest["action"]; pairs: Pair[] } | undefined;
  /** Channels on which one symbol more was beyond the limit: plans count some channels and not others. */
  readonly #full = new Set<Channel>();
  readonly #halvings = new Map<Channel, number>();

  constructor(readonly chunkLengthMax: number) {}

  /** The next request, or undefined while one is under way or nothing is left to ask. */
  next(channels: ChannelSymbols): WireRequest | undefined {
    if (this.#pending !== undefined) return undefined;
    const wanted = pairMapOf(pairsOf(channels));
    // Who lets go of a symbol and wants it again may ask again.
    for (const pair of this.#refused)
      if (!wanted.has(pair)) this.#refused.delete(pair);
    const unwanted = this.#chunkOf(this.#granted, (pair) => !wanted.has(pair));
    if (unwanted.length > 0) return this.#ask("unsubscribe", unwanted);
    for (
      let piece = this.#pieces.shift();
      piece !== undefined;
      piece = this.#pieces.shift()
    ) {
      const still = piece.filter(
        (pair) => wanted.has(pair) && this.#isMissing(pair),
      );
      if (still.length > 0) return this.#ask("subscribe", still);
    }
    const missing = this.#chunkOf(pairsOf(channels), (pair) =>
      this.#isMissing(pair),
    );
    return missing.length === 0 ? undefined : this.#ask("subscribe", missing);
  }

  /** The venue told the whole set; it answers the pending request when there is one. */
  acknowledged(channels: ChannelSymbols): void {
    const { action, pairs = [] } = this.#pending ?? {};
    this.#pending = undefined;
    const before = this.#granted;
    const told = pairMapOf(pairsOf(channels));
    if (action === "unsubscribe")
      for (const pair of pairs) {
        before.delete(pair);
        if (told.has(pair)) this.#kept.set(pair, true);
      }
    // Nobody argues with a venue that keeps sending what was given back.
    for (const pair of this.#kept) told.delete(pair);
    this.#granted = told;
    if (action === "subscribe") this.#noteNotGranted(pairs);
    // To ask for what went away by itself might push out another, and so on for ever.
    this.#noteNotGranted(before);
    const isLess = action === "unsubscribe" || told.size < before.size;
    if (isLess) this.#reconsiderLimit();
  }

  /** The venue refused the pending request as a whole; the old set stays. */
  refused(reason: "limit" | "request"): void {
    const { action, pairs = [] } = this.#pending ?? {};
    this.#pending = undefined;
    if (action === "unsubscribe") {
      for (const pair of pairs) {
        this.#granted.delete(pair);
        this.#kept.set(pair, true);
      }
      return;
    }
    const parts = this.#partsOf(pairs, reason);
    if (parts.length > 1) return void this.#pieces.unshift(...parts);
    for (const pair of pairs) {
      this.#refused.set(pair, reason);
      if (reason === "limit") this.#full.add(pair.channel);
    }
  }

  /** A request is under way. */
  get isWaiting(): boolean {
    return this.#pending !== undefined;
  }

  /** What the venue sends now, on one channel. */
  granted(channel: Channel): string[] {
    return this.#granted.symbols(channel);
  }

  get grantedCount(): number {
    return this.#granted.size;
  }

  /** What is wanted and not subscribed, with the reason; beyond the limit without having been asked for. */
  notGranted(
    wanted: ChannelSymbols,
  ): (Pair & { readonly reason: RefusalReason })[] {
    const missing: (Pair & { readonly reason: RefusalReason })[] = [];
    for (const pair of pairsOf(wanted)) {
      if (this.#granted.has(pair)) continue;
      const beyond = this.#full.has(pair.channel) ? "limit" : undefined;
      const reason = this.#refused.get(pair) ?? beyond;
      if (reason !== undefined) missing.push({ ...pair, reason });
    }
    return missing;
  }

  #ask(action: WireRequest["action"], pairs: Pair[]): WireRequest {
    this.#pending = { action, pairs };
    const change: Partial<Record<Channel, string[]>> = {};
    for (const pair of pairs) {
      if (action === "subscribe") this.#kept.delete(pair);
      (change[pair.channel] ??= []).push(pair.symbol);
    }
    return { action, change };
  }

  #chunkOf(pairs: Iterable<Pair>, isMeant: (pair: Pair) => boolean): Pair[] {
    const chunk: Pair[] = [];
    for (const pair of pairs) {
      if (isMeant(pair)) chunk.push(pair);
      if (chunk.length === this.chunkLengthMax) break;
    }
    return chunk;
  }

  #isMissing(pair: Pair): boolean {
    return !(
      this.#granted.has(pair) ||
      this.#refused.has(pair) ||
      this.#full.has(pair.channel)
    );
  }

  #noteNotGranted(pairs: Iterable<Pair>): void {
    for (const pair of pairs)
      if (!this.#granted.has(pair)) this.#refused.set(pair, "not granted");
  }

  /** Which pair a request was refused for is not said, so its parts are asked for apart; one part: it is refused whole. */
  #partsOf(pairs: Pair[], reason: "limit" | "request"): Pair[][] {
    const [first] = pairs;
    if (first === undefined || pairs.length === 1) return [pairs];
    const byChannel = Map.groupBy(pairs, ({ channel }) => channel);
    // A channel that is not offered must not cost the others.
    if (reason === "request" && byChannel.size > 1)
      return [...byChannel.values()];
    const halvings = (this.#halvings.get(first.channel) ?? 0) + 1;
    this.#halvings.set(first.channel, halvings);
    if (halvings > HALVINGS_MAX) return [pairs];
    const middle = Math.ceil(pairs.length / 2);
    return [pairs.slice(0, middle), pairs.slice(middle)];
  }

  /** There is room again: what the limit kept out is asked for anew. */
  #reconsiderLimit(): void {
    this.#full.clear();
    for (const pair of this.#refused)
      if (this.#refused.get(pair) === "limit") this.#refused.delete(pair);
  }
}

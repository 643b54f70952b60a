/** Symbols on channels, and what is known of each such pair. */
import type { Channel, ChannelSymbols } from "../venues/feedVenue.ts";

/** One symbol on one channel. */
export interface Pair {
  readonly channel: Channel;
  readonly symbol: string;
}

/** Nested, for a feed may have tens of thousands of pairs: a name for each would be made anew with every request. */
export class PairMap<Value> {
  readonly #channels = new Map<Channel, Map<string, Value>>();

  get size(): number {
    let size = 0;
    for (const symbols of this.#channels.values()) size += symbols.size;
    return size;
  }

  get({ channel, symbol }: Pair): Value | undefined {
    return this.#channels.get(channel)?.get(symbol);
  }

  has({ channel, symbol }: Pair): boolean {
    return this.#channels.get(channel)?.has(symbol) === true;
  }

  set({ channel, symbol }: Pair, value: Value): void {
    let symbols = this.#channels.get(channel);
    if (symbols === undefined)
      this.#channels.set(channel, (symbols = new Map()));
    symbols.set(symbol, value);
  }

  delete({ channel, symbol }: Pair): void {
    this.#channels.get(channel)?.delete(symbol);
  }

  symbols(channel: Channel): string[] {
    return [...(this.#channels.get(channel)?.keys() ?? [])];
  }

  *[Symbol.iterator](): Generator<Pair> {
    for (const [channel, symbols] of this.#channels)
      for (const symbol of symbols.keys()) yield { channel, symbol };
  }
}

/** Each once, symbol by symbol, so that a plan's limit leaves whole symbols rather than one channel of many. */
export function* pairsOf(channels: ChannelSymbols): Generator<Pair> {
  const lists = Object.entries(channels).map(
    ([channel, symbols]) => [channel, [...new Set(symbols)]] as const,
  );
  const length = Math.max(0, ...lists.map(([, symbols]) => symbols.length));
  for (let index = 0; index < length; index++)
    for (const [channel, symbols] of lists) {
      const symbol = symbols[index];
      if (symbol !== undefined) yield { channel: channel as Channel, symbol };
    }
}

export function pairMapOf(pairs: Iterable<Pair>): PairMap<true> {
  const map = new PairMap<true>();
  for (const pair of pairs) map.set(pair, true);
  return map;
}

/**
 * A market-data stream as data plus four functions. Whoever speaks to a venue is
 * the same machine for all of them (`actors/feeds/feed.ts`); what differs is here.
 */
import type { AssetClass, Bar, MarketMessage } from "../../schema/market.ts";

/** What is subscribed for a symbol. */
export type Channel = "bars" | "updatedBars" | "trades" | "quotes";

/** Symbols by channel; a channel that is absent is not touched. */
export type ChannelSymbols = Readonly<
  Partial<Record<Channel, readonly string[]>>
>;

/** A frame to send: text, or bytes where the venue's language is binary. */
export type OutgoingFrame = string | Uint8Array<ArrayBuffer>;

/**
 * What an error of the venue means for the link:
 *
 * - `refused`: key or plan; only somebody's action helps. The breaker opens.
 * - `slot`: another session holds the connection; asked again on the same socket.
 * - `limit`: the request went beyond the plan's number of symbols; the old set stays.
 * - `request`: the request was wrong (a symbol, a channel); the old set stays.
 * - `reconnect`: this connection is of no more use.
 * - `harmless`: nothing follows from it.
 */
export type FeedErrorKind =
  "refused" | "slot" | "limit" | "request" | "reconnect" | "harmless";

/** What the venue says about the connection itself. */
export type FeedControl =
  | { readonly type: "welcomed" }
  | { readonly type: "authorized" }
  /** The whole set that is now subscribed. */
  | { readonly type: "subscribed"; readonly channels: ChannelSymbols }
  | {
      readonly type: "error";
      readonly kind: FeedErrorKind;
      readonly code: number;
      readonly reason: string;
      /** The next dial waits so long at least. */
      readonly retryAfterMs?: number;
    };

/** A frame, read. What could not be read is kept whole, and the rest of the frame is good. */
export interface FeedReading {
  readonly controls: readonly FeedControl[];
  readonly messages: readonly MarketMessage[];
  readonly malformed: readonly {
    readonly raw: string;
    readonly reason: string;
  }[];
}

export interface FeedVenue {
  /** `stock`, `crypto`: name of the feed in tree, log and health. */
  readonly id: string;
  /** What bars of it are marked with, e.g. `alpaca:iex`. */
  readonly source: string;
  readonly assetClass: AssetClass;
  readonly url: string;
  /** What may be asked for here. */
  readonly channels: readonly Channel[];
  readonly headers?: Readonly<Record<string, string>>;
  /** So much later than it happens everything is told, here and by REST; absent: at once. */
  readonly delayMs?: number;
  /** Symbols in one subscribe message at most. */
  readonly chunkLengthMax: number;
  /** Whether the market is open at a time; undefined when that is not known. */
  readonly isOpen: (ms: number) => boolean | undefined;

  authenticate(): OutgoingFrame;
  subscribe(change: ChannelSymbols): OutgoingFrame;
  unsubscribe(change: ChannelSymbols): OutgoingFrame;
  /** Never throws: what is malformed is part of the reading. */
  read(frame: string | Uint8Array, receivedAtMs: number): FeedReading;
}

/** The REST side of the same data: for one cheap look before a reconnect, and for what was missed. */
export interface FeedHistory {
  /** Time (ms) of the newest trade of each symbol that has one. @throws VenueError */
  latestTrades(
    symbols: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, number>>;
  /** Minute bars of the symbols in [from, to), page by page, oldest first for each symbol. @throws VenueError */
  bars(
    symbols: readonly string[],
    range: { readonly from: number; readonly to: number },
    signal: AbortSignal,
  ): AsyncIterable<readonly Bar[]>;
  /** When an error says only that the plan holds back the newest minutes: how many ms of them. */
  heldBackMs?(error: unknown): number | undefined;
}

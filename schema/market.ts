/**
 * Market data on its way from a feed to the sinks. Numbers are the venue's JSON
 * numbers; times are the venue's text (RFC 3339, up to nanoseconds), cut only
 * where a consumer's format says so.
 */

export type AssetClass = "stock" | "crypto";

/** One execution on an exchange. */
export interface Trade {
  readonly kind: "trade";
  /** `AAPL`, `BTC/USD`. */
  readonly symbol: string;
  readonly price: number;
  readonly size: number;
  /** Venue time. */
  readonly timestamp: string;
  readonly receivedAtMs: number;
}

/** Best bid and offer; a side that nobody quotes is absent. */
export interface Quote {
  readonly kind: "quote";
  readonly symbol: string;
  readonly bid?: number;
  readonly ask?: number;
  readonly bidSize?: number;
  readonly askSize?: number;
  readonly timestamp: string;
  readonly receivedAtMs: number;
}

/**
 * - `minute`: sent right after its minute.
 * - `updated`: the same minute again, with trades that came late; replaces it.
 * - `history`: a minute read back by REST, the venue's last word.
 * - `daily`: the day so far.
 */
export type BarSpan = "minute" | "updated" | "history" | "daily";

/** One candle. */
export interface Bar {
  readonly kind: "bar";
  readonly span: BarSpan;
  readonly symbol: string;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly vwap?: number;
  /** Number of trades in it. */
  readonly trades?: number;
  /** Start of the span. */
  readonly timestamp: string;
  /** Which venue or feed it is of, e.g. `alpaca:iex`. */
  readonly source: string;
  readonly receivedAtMs: number;
}

/** Parsed, and of no sink yet: counted, so that it is not lost sight of. */
export interface Notice {
  readonly kind:
    | "correction"
    | "cancel"
    | "status"
    | "luld"
    | "imbalance"
    | "orderbook"
    | "news"
    /** A type that this version does not know. */
    | "unknown";
  /** Empty where the message is of no one symbol. */
  readonly symbol: string;
  readonly timestamp: string | undefined;
  /** The message as the venue sent it. */
  readonly value: Readonly<Record<string, unknown>>;
  readonly receivedAtMs: number;
}

export type MarketMessage = Trade | Quote | Bar | Notice;
export type MarketKind = MarketMessage["kind"];

/** What a bar's store is told besides bars: how completely a symbol's minutes are known. */
export interface BarFact {
  readonly kind: "fact";
  readonly symbol: string;
  /** As in account coverage: streamed live, read back, read back and nothing there, or revoked. */
  readonly state: "live" | "healed" | "confirmed_empty" | "deaf";
  /** ISO UTC, inclusive. */
  readonly from: string;
  /** ISO UTC, exclusive. */
  readonly to: string;
  readonly rows?: number;
  /** Feed session that learnt it. */
  readonly session: string;
}

/** A frame or message of a feed that could not be read, kept whole. */
export interface MalformedMarketData {
  readonly kind: "malformed";
  readonly feed: string;
  readonly raw: string;
  readonly reason: string;
  readonly receivedAtMs: number;
}

/** A venue's snapshot of a symbol, whole. */
export interface SnapshotRecord {
  readonly kind: "snapshot";
  readonly symbol: string;
  /** ISO UTC. */
  readonly timestamp: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What flows to the store of bars: facts travel behind the bars they vouch for. */
export type BarRecord = Bar | BarFact | SnapshotRecord | MalformedMarketData;

/**
 * The latest quote of a symbol as `live_quotes` shows it. A side that nobody
 * quotes at the moment is absent, and so then is the price, their mean.
 */
export interface LatestQuote {
  readonly symbol: string;
  readonly bid?: number;
  readonly ask?: number;
  readonly bidSize?: number;
  readonly askSize?: number;
  readonly price?: number;
  readonly timestamp: string;
}

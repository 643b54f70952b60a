/** What all actors of one feed work with. It belongs to the topology and outlives each of them. */
import type { BarRecord, MarketMessage } from "../../schema/market.ts";
import type { Clock } from "../clock.ts";
import type { DialSchedule } from "../flow/dials.ts";
import type { Notice } from "../flow/notice.ts";
import type {
  ChannelSymbols,
  FeedHistory,
  FeedVenue,
} from "../venues/feedVenue.ts";
import type { ActivityMemory } from "./activity.ts";
import type { RefusalReason } from "./wire.ts";

/** What a feed asks of the store that its bars end in. Rejects while the store is away. */
export interface FeedStore {
  /**
   * By symbol, the intervals of minutes after `from` that are known: streamed live or read back. An empty one at
   * `from` says that the symbol was known before.
   */
  knownMinutes(
    symbols: readonly string[],
    from: Date,
  ): Promise<ReadonlyMap<string, readonly KnownInterval[]>>;
}

/** The store of a dry run: it knows of nothing, so nothing is missed. */
export const emptyFeedStore: FeedStore = {
  knownMinutes: async () => new Map(),
};

export interface KnownInterval {
  /** ms since the epoch, inclusive. */
  readonly from: number;
  /** ms since the epoch, exclusive. */
  readonly to: number;
}

export interface FeedRun {
  readonly venue: FeedVenue;
  /** Absent where the data cannot be asked for by REST (the test feed). */
  readonly history: FeedHistory | undefined;
  /** This run of the process: what facts are recorded under. */
  readonly session: string;
  readonly clock: Clock;
  readonly dials: DialSchedule;
  readonly store: FeedStore;
  /** What should be subscribed at this moment. */
  readonly wanted: () => ChannelSymbols;
  /** Raised when {@link wanted} may have changed. */
  readonly wantedChanged: Notice;
  /** Hands messages to every sink that takes them; never waits. */
  readonly deliver: (messages: readonly MarketMessage[]) => void;
  /** To the store of bars alone: what was read back, and facts. Waits for room. */
  readonly keep: (record: BarRecord, signal: AbortSignal) => Promise<void>;
  /** The same for the live stream, which cannot wait. */
  readonly keepNow: (record: BarRecord) => void;
  /** Told of a message that could not be read, whole. */
  readonly setAside: (raw: string, reason: string) => void;
  /** What came when: the evidence for verdicts. */
  readonly activity: ActivityMemory;
  /** Raised each time the feed begins to stream. */
  readonly listening: Notice;
  /** Raised when the feed was found deaf. */
  readonly healingWanted: Notice;
  readonly healingIntervalMs: number;
  readonly board: FeedBoard;
}

/** What the status page shows of a feed that no actor's state says. */
export interface FeedBoard {
  lastMessageMs: number | undefined;
  messages: number;
  granted: number;
  notGranted: readonly {
    readonly symbol: string;
    readonly channel: string;
    readonly reason: RefusalReason;
  }[];
  gapSeconds: number;
  /** The newest minutes that the plan was found to hold back from REST. */
  heldBackMs: number;
}

export function emptyFeedBoard(): FeedBoard {
  return {
    lastMessageMs: undefined,
    messages: 0,
    granted: 0,
    notGranted: [],
    gapSeconds: 0,
    heldBackMs: 0,
  };
}

/**
 * What outlives every actor on the side of market data: feeds' runs, the book of
 * subscriptions, routes, and what is on its way to each sink.
 */
import { join } from "node:path";
import type {
  Bar,
  BarRecord,
  LatestQuote,
  MarketMessage,
  Quote,
} from "../schema/market.ts";
import type { RegistryMessage } from "../schema/registry.ts";
import { assetClassOf } from "../schema/symbol.ts";
import type { Config } from "./config.ts";
import type { FeedAccess, MarketConfig } from "./config/market.ts";
import {
  emptyQuoteBoard,
  latestOf,
  type QuoteBoard,
} from "./feeds/quoteBoard.ts";
import { createFeedRun } from "./feedRun.ts";
import type { FeedRun } from "./feeds/run.ts";
import { SubscriptionBook } from "./feeds/subscriptions.ts";
import { Coalescer } from "./flow/coalesce.ts";
import { Notice } from "./flow/notice.ts";
import { offerOrSetAside, type Outbox } from "./flow/outbox.ts";
import { BoundedQueue } from "./flow/queue.ts";
import { RateBudget } from "./flow/rate.ts";
import { openRing } from "./flow/ring.ts";
import { type Route, Router } from "./flow/route.ts";
import { openSpool } from "./flow/spool.ts";
import type { Metrics } from "./metrics.ts";
import { Database } from "./stores/postgres/database.ts";
import { isPublished, type PublishedMessage } from "./stores/redis/publish.ts";
import { alpacaFeed } from "./venues/alpaca/marketData.ts";
import { alpacaHistory } from "./venues/alpaca/marketRest.ts";
import { type AlpacaRest, createAlpacaRest } from "./venues/alpaca/rest.ts";
import type { Channel, ChannelSymbols, FeedVenue } from "./venues/feedVenue.ts";

/** Messages in memory before they go to the spool, or give way. */
const QUEUE_LENGTH_MAX = 20_000;
/** What the drop policy keeps while Redis is away: a minute of a busy feed. */
const RING_LENGTH_MAX = 200_000;
/** Alpaca's limit of the free plan; its headers correct it downwards only, so paid plans are not slowed by it for long. */
const REQUESTS_PER_MINUTE = 200;

/** All that the test feed has. */
const TEST_SYMBOLS: readonly string[] = ["FAKEPACA"];

/** One sink of latest quotes: its own coalescer, so that one that is away holds up no other. */
export interface QuoteLane {
  readonly sink: string;
  readonly coalescer: Coalescer<LatestQuote>;
  readonly tally: QuoteTally;
}

/** What became of the writes. */
export interface QuoteTally {
  written: number;
  failed: number;
  /** The last write did not succeed. */
  isFailing: boolean;
}

export const POSTGRES_LANE = "quotes-postgres";
export const FIRESTORE_LANE = "quotes-firestore";

export interface MarketTopology {
  /** Where bars and quotes are stored. */
  readonly database: Database;
  readonly book: SubscriptionBook;
  /** Raised when other symbols are wanted than before. */
  readonly wantedChanged: Notice;
  readonly feeds: readonly FeedRun[];
  readonly router: Router;
  readonly bars: Outbox<BarRecord>;
  /** Absent without Redis. */
  readonly redis: Outbox<PublishedMessage> | undefined;
  /** Bars, snapshots and markers of the registry; absent without Kafka. */
  readonly kafka: Outbox<RegistryMessage> | undefined;
  readonly lanes: readonly QuoteLane[];
  readonly quotes: QuoteBoard;
  /** Rows and messages that reached their store. */
  readonly written: { bars: number; redis: number; kafka: number };
  /** What gave way under the declared policy, or could not be taken by anything. */
  readonly dropped: { bars: number; redis: number; kafka: number };
  /** Heartbeats written to Firestore. */
  readonly beats: { count: number };
  close(): Promise<void>;
}

/** Paths of the spools on disk, by sink. */
export function marketSpools(directory: string): {
  bars: string;
  redis: string;
  kafka: string;
} {
  return {
    bars: join(directory, "spool-bars.sqlite"),
    redis: join(directory, "spool-redis.sqlite"),
    kafka: join(directory, "spool-kafka.sqlite"),
  };
}

export interface MarketTopologyInput {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly session: string;
  /** Also of market data, unless that has a database of its own. */
  readonly accountsDatabase: Database;
  /** What Alpaca's feeds are asked with; absent: none of them runs. */
  readonly access: FeedAccess | undefined;
}

export function createMarketTopology(
  input: MarketTopologyInput,
): MarketTopology {
  const { config, metrics, session, accountsDatabase, access } = input;
  const { market } = config;
  const database = ownDatabase(market) ?? accountsDatabase;
  const paths = marketSpools(config.directory);
  const book = new SubscriptionBook(market.defaults);
  const wantedChanged = new Notice();
  const quotes = emptyQuoteBoard();
  const dropped = { bars: 0, redis: 0, kafka: 0 };
  const drop = (sink: "bars" | "redis", kind: string) => {
    dropped[sink]++;
    metrics.sinkDropped.inc({ sink, kind });
  };
  const monitored = new Set([
    ...market.monitored,
    ...(market.feed === "test" ? TEST_SYMBOLS : []),
  ]);

  const bars: Outbox<BarRecord> = {
    sink: "bars",
    queue: new BoundedQueue(QUEUE_LENGTH_MAX),
    spool: openSpool({
      path: config.dryRun ? ":memory:" : paths.bars,
      sinks: ["bars"],
    }),
    inFlight: [],
  };
  const redis: Outbox<PublishedMessage> | undefined = market.redis && {
    sink: "redis",
    queue: new BoundedQueue(QUEUE_LENGTH_MAX),
    spool:
      market.redis.overflow === "keep" && !config.dryRun
        ? openSpool({ path: paths.redis, sinks: ["redis"] })
        : openRing({
            lengthMax: RING_LENGTH_MAX,
            onDropped: ({ kind }) => drop("redis", kind),
          }),
    inFlight: [],
  };
  const kafka: Outbox<RegistryMessage> | undefined = market.kafka && {
    sink: "kafka",
    queue: new BoundedQueue(QUEUE_LENGTH_MAX),
    spool: openSpool({
      path: config.dryRun ? ":memory:" : paths.kafka,
      sinks: ["kafka"],
    }),
    inFlight: [],
  };
  const lanes: QuoteLane[] = [
    POSTGRES_LANE,
    ...(market.firestore === undefined ? [] : [FIRESTORE_LANE]),
  ].map((sink) => ({
    sink,
    coalescer: new Coalescer({
      perKeyMs: market.quotes.perSymbolMs,
      writesPerSecond: market.quotes.writesPerSecond,
      burst: market.quotes.burst,
    }),
    tally: { written: 0, failed: 0, isFailing: false },
  }));

  function keepNow(record: BarRecord): void {
    if (!offerOrSetAside(bars, record)) drop("bars", record.kind);
  }

  // Which sink gets what: a row a sink.
  const router = new Router([
    ...(redis === undefined
      ? []
      : [redisRoute(redis, ({ kind }) => drop("redis", kind))]),
    {
      sink: "bars",
      takes: (message): message is Bar =>
        message.kind === "bar" && message.span !== "daily",
      take(bar: Bar) {
        keepNow(bar);
      },
    },
    {
      sink: "quotes",
      takes: (message): message is Quote =>
        message.kind === "quote" && monitored.has(message.symbol),
      take(quote: Quote) {
        takeQuote(quote);
      },
    },
  ] satisfies Route[]);

  function isTestFeed({ assetClass }: FeedVenue): boolean {
    return assetClass === "stock" && market.feed === "test";
  }

  function takeQuote(quote: Quote): void {
    quotes.seen++;
    quotes.lastSymbol = quote.symbol;
    quotes.lastQuoteMs = quote.receivedAtMs;
    const latest = latestOf(quote);
    for (const { coalescer } of lanes) coalescer.set(quote.symbol, latest);
  }

  function createRuns(access: FeedAccess): FeedRun[] {
    // All feeds of one key share its budget.
    const rest = createAlpacaRest({
      account: access,
      budget: new RateBudget({ perMinute: REQUESTS_PER_MINUTE }),
      onReply: (status) =>
        metrics.venueRequests.inc({
          account: "feeds",
          status: status === 0 ? "error" : String(status),
        }),
    });
    return venuesOf(config, access).map((venue) => createRun(venue, rest));
  }

  function createRun(venue: FeedVenue, rest: AlpacaRest): FeedRun {
    const { assetClass } = venue;
    const name = `feed/${venue.id}`;
    const setAside = (raw: string, reason: string) => {
      metrics.deadLetters.inc({ account: name });
      const receivedAtMs = Date.now();
      keepNow({ kind: "malformed", feed: name, raw, reason, receivedAtMs });
    };
    return createFeedRun(
      { config, session, database },
      {
        venue,
        history: isTestFeed(venue)
          ? undefined
          : alpacaHistory({
              rest,
              assetClass,
              feed: market.feed,
              onMalformed: ({ raw, reason }) => setAside(raw, reason),
            }),
        wanted: () => wantedOf(venue),
        wantedChanged,
        deliver: (messages: readonly MarketMessage[]) =>
          router.deliver(messages),
        keep: (record, signal) => bars.queue.put(record, signal),
        keepNow,
        setAside,
      },
    );
  }

  function wantedOf(venue: FeedVenue): ChannelSymbols {
    const { assetClass } = venue;
    const isTest = isTestFeed(venue);
    const symbols = isTest ? TEST_SYMBOLS : book.wanted(assetClass);
    const wanted: Record<Channel, readonly string[]> = {
      bars: symbols,
      updatedBars: symbols,
      // Trades have no other sink than Redis.
      trades: redis === undefined ? [] : symbols,
      quotes: isTest
        ? symbols
        : market.monitored.filter(
            (symbol) => assetClassOf(symbol) === assetClass,
          ),
    };
    return Object.fromEntries(
      venue.channels.map((channel) => [channel, wanted[channel]]),
    );
  }

  return {
    database,
    book,
    wantedChanged,
    feeds: access === undefined ? [] : createRuns(access),
    router,
    bars,
    redis,
    kafka,
    lanes,
    quotes,
    written: { bars: 0, redis: 0, kafka: 0 },
    dropped,
    beats: { count: 0 },
    async close() {
      bars.spool.close();
      redis?.spool.close();
      kafka?.spool.close();
      if (database !== accountsDatabase) await database.close();
    },
  };
}

function ownDatabase({ postgres }: MarketConfig): Database | undefined {
  if (postgres === undefined) return undefined;
  const database = new Database();
  database.use(postgres.url);
  return database;
}

/** Redis takes minute bars and trades. */
function redisRoute(
  outbox: Outbox<PublishedMessage>,
  onDropped: (message: PublishedMessage) => void,
): Route<PublishedMessage> {
  return {
    sink: "redis",
    takes: isPublished,
    take(message) {
      if (!offerOrSetAside(outbox, message)) onDropped(message);
    },
  };
}

function venuesOf(
  { market, venue }: Config,
  { keyId, secretKey, streamUrl }: FeedAccess,
): FeedVenue[] {
  return (["stock", "crypto"] as const).map((assetClass) => {
    const feed = alpacaFeed({
      assetClass,
      streamUrl,
      keyId,
      secretKey,
      feed: market.feed,
      encoding: market.encoding,
      quotes: true,
    });
    // The simulated market never rests.
    return venue === "simulated" ? { ...feed, isOpen: () => true } : feed;
  });
}

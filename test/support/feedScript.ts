/**
 * A market feed in memory: a network whose far end speaks Alpaca's language as a
 * test tells it to, a REST side that a test writes down, a store that takes what
 * the queue holds when it is told to commit, and the run that ties them together.
 */
import type {
  Bar,
  BarFact,
  BarRecord,
  MalformedMarketData,
  MarketMessage,
} from "../../schema/market.ts";
import { subtract, union } from "../../src/accounts/intervals.ts";
import { MINUTE, SECOND, systemClock } from "../../src/clock.ts";
import { ActivityMemory } from "../../src/feeds/activity.ts";
import {
  emptyFeedBoard,
  type FeedRun,
  type FeedStore,
  type KnownInterval,
} from "../../src/feeds/run.ts";
import { DialSchedule } from "../../src/flow/dials.ts";
import { Notice } from "../../src/flow/notice.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";
import { DatabaseAwayError } from "../../src/stores/postgres/database.ts";
import { alpacaFeed } from "../../src/venues/alpaca/marketData.ts";
import type {
  ChannelSymbols,
  FeedHistory,
  FeedVenue,
} from "../../src/venues/feedVenue.ts";
import {
  ERRORS,
  type MarketErrorCode,
} from "../../src/venues/simulated/market/language.ts";
import { iso, type Members, NOW } from "./accountScript.ts";
import { PeerSocket, ScriptedNetwork } from "./network.ts";

export const CONNECTED = { T: "success", msg: "connected" };
export const AUTHENTICATED = { T: "success", msg: "authenticated" };

export function errorOf(code: MarketErrorCode): Members {
  return { T: "error", code, msg: ERRORS[code] };
}

/** A trade as the stream tells it. */
export function tradeOf(symbol: string, at = Date.now()): Members {
  return { T: "t", S: symbol, p: 1.5, s: 2, t: iso(at), c: ["@"], z: "C" };
}

/** A minute bar as the stream tells it. */
export function barOf(symbol: string, startMs: number): Members {
  const [o, h, l, c] = [1, 4, 0.5, 2];
  return { T: "b", S: symbol, o, h, l, c, v: 100, t: iso(startMs), n: 3 };
}

/** A minute as REST shows it. */
export function pastBar(symbol: string, startMs: number): Bar {
  return {
    kind: "bar",
    span: "history",
    symbol,
    open: 1,
    high: 4,
    low: 0.5,
    close: 2,
    volume: 100,
    timestamp: iso(startMs),
    source: "alpaca:iex",
    receivedAtMs: Date.now(),
  };
}

/** The far end of one connection of a feed. */
export class FeedSocket extends PeerSocket {
  /** What it was told, read. */
  readonly sent: Members[] = [];
  /** Told of each of them, never in the moment of sending. */
  hears: (message: Members) => void = () => {};

  send(frame: string | Uint8Array): void {
    const message = JSON.parse(String(frame));
    this.sent.push(message);
    queueMicrotask(() => {
      if (this.isOpen) this.hears(message);
    });
  }

  /** Elements of one frame; a text is sent as it is. */
  says(...elements: readonly (object | string)[]): this {
    const [first] = elements;
    const frame = typeof first === "string" ? first : JSON.stringify(elements);
    if (this.isOpen) this.listener.frame(frame);
    return this;
  }
}

/** What a peer does otherwise than a venue that grants everything at once. */
export interface PeerSettings {
  /** Its answer to the credentials; nothing is said when there is none. */
  readonly onAuth?: (socket: FeedSocket) => object | undefined;
  /** Symbols over trades and quotes; beyond them a request is refused whole. */
  readonly symbolsMax?: number;
  /** A request that names one of these is refused whole. */
  readonly unknown?: readonly string[];
  /** Left out of every acknowledgement, as `trades AAPL`. */
  readonly withheld?: readonly string[];
  /** Whether a request is answered at all. */
  readonly answers?: (request: Members) => boolean;
}

/** A venue that opens, welcomes, lets in and acknowledges. */
export function peer(settings: PeerSettings = {}) {
  const { onAuth = () => AUTHENTICATED, answers = () => true } = settings;
  return (socket: FeedSocket): void => {
    const granted = new Map<string, Set<string>>();
    socket.hears = (message) => {
      if (message["action"] === "auth") {
        const answer = onAuth(socket);
        if (answer !== undefined) socket.says(answer);
      } else if (answers(message))
        socket.says(acknowledgementOf(granted, message, settings));
    };
    socket.opens().says(CONNECTED);
  };
}

function acknowledgementOf(
  granted: Map<string, Set<string>>,
  { action, ...channels }: Members,
  { symbolsMax = Infinity, unknown = [], withheld = [] }: PeerSettings,
): object {
  const lists = Object.entries(channels) as [string, string[]][];
  const isAdded = action === "subscribe";
  const added = isAdded ? lists : [];
  if (added.some(([, names]) => names.some((name) => unknown.includes(name))))
    return errorOf(400);
  const sizeOf = (channel: string) =>
    new Set([
      ...(granted.get(channel) ?? []),
      ...added.flatMap(([name, names]) => (name === channel ? names : [])),
    ]).size;
  if (sizeOf("trades") + sizeOf("quotes") > symbolsMax) return errorOf(405);
  for (const [channel, names] of lists) {
    const set = granted.get(channel) ?? new Set();
    granted.set(channel, set);
    for (const name of names)
      if (!isAdded) set.delete(name);
      else if (!withheld.includes(`${channel} ${name}`)) set.add(name);
  }
  const told = [...granted].map(([channel, names]) => [channel, [...names]]);
  return { T: "subscription", ...Object.fromEntries(told) };
}

/** The REST side: what a test has written down, answered at once. */
export class ScriptedHistory implements FeedHistory {
  heldBackMs?: (error: unknown) => number | undefined;
  /** The newest trade of a symbol, ms. */
  readonly trades = new Map<string, number>();
  minutes: Bar[] = [];
  /** `45 trades AAPL,SPY`, `75 bars AAPL 14:00..14:02`: the second, and what was asked. */
  readonly requests: string[] = [];
  /** Called before each answer: it may throw, or take its time. */
  interrupt: (signal: AbortSignal) => void | Promise<void> = () => {};
  /** Rows of a page. */
  pageLength = 2;

  async latestTrades(symbols: readonly string[], signal: AbortSignal) {
    this.#note(`trades ${symbols.join()}`);
    await this.interrupt(signal);
    const names = new Set(symbols);
    return new Map([...this.trades].filter(([name]) => names.has(name)));
  }

  async *bars(
    symbols: readonly string[],
    { from, to }: { readonly from: number; readonly to: number },
    signal: AbortSignal,
  ) {
    const clock = (ms: number) => iso(ms).slice(11, 16);
    this.#note(`bars ${symbols.join()} ${clock(from)}..${clock(to)}`);
    const rows = this.minutes.filter(({ symbol, timestamp }) => {
      const ms = Date.parse(timestamp);
      return symbols.includes(symbol) && from <= ms && ms < to;
    });
    for (let at = 0; at === 0 || at < rows.length; at += this.pageLength) {
      await this.interrupt(signal);
      yield rows.slice(at, at + this.pageLength);
    }
  }

  #note(what: string): void {
    this.requests.push(`${(Date.now() - NOW) / SECOND} ${what}`);
  }
}

/** What was committed. It learns of the queue only by {@link MemoryFeedStore.commit}. */
export class MemoryFeedStore implements FeedStore {
  readonly bars: Bar[] = [];
  readonly facts: BarFact[] = [];
  readonly malformed: MalformedMarketData[] = [];
  isAway = false;

  /** Writes what waits in the queue, in order. */
  commit(queue: BoundedQueue<BarRecord>): void {
    for (const record of queue.takeUpTo(queue.lengthMax))
      if (record.kind === "bar") this.bars.push(record);
      else if (record.kind === "fact") this.facts.push(record);
      else if (record.kind === "malformed") this.malformed.push(record);
  }

  async knownMinutes(symbols: readonly string[], from: Date) {
    if (this.isAway) throw new DatabaseAwayError("the database is away");
    return new Map(
      symbols
        .map((symbol) => [symbol, this.#known(symbol, +from)] as const)
        .filter(([, known]) => known.length > 0),
    );
  }

  #known(symbol: string, after: number): KnownInterval[] {
    const of = (...states: BarFact["state"][]) =>
      this.facts
        .filter((fact) => fact.symbol === symbol && states.includes(fact.state))
        .map((fact) => ({
          from: Date.parse(fact.from),
          to: Date.parse(fact.to),
        }))
        .filter(({ to }) => to >= after);
    const known: KnownInterval[] = union([
      ...subtract(of("live"), of("deaf")),
      ...of("healed", "confirmed_empty"),
    ]);
    const isOlder = this.facts.some(
      (fact) => fact.symbol === symbol && Date.parse(fact.from) < after,
    );
    return isOlder ? [...known, { from: after, to: after }] : known;
  }
}

export interface FeedScript {
  readonly run: FeedRun;
  readonly network: ScriptedNetwork<FeedSocket>;
  readonly history: ScriptedHistory;
  readonly store: MemoryFeedStore;
  readonly queue: BoundedQueue<BarRecord>;
  /** Every message that was handed on, in order. */
  readonly delivered: MarketMessage[];
  /** What could not be read, as `reason: raw`. */
  readonly setAside: string[];
  /** Other symbols are wanted from now on. */
  want(channels: ChannelSymbols): void;
}

/**
 * A feed that wants bars and trades of AAPL and SPY. Its dials wait a second,
 * doubled up to a minute, with the longest of their random waits.
 */
export function feedScript(
  settings: Partial<FeedRun> & {
    readonly wants?: ChannelSymbols;
    readonly queueLengthMax?: number;
  } = {},
): FeedScript {
  const { wants, queueLengthMax = 100_000, ...given } = settings;
  const symbols = ["AAPL", "SPY"];
  let wanted: ChannelSymbols = wants ?? { bars: symbols, trades: symbols };
  const wantedChanged = new Notice();
  const history = new ScriptedHistory();
  const store = new MemoryFeedStore();
  const queue = new BoundedQueue<BarRecord>(queueLengthMax);
  const delivered: MarketMessage[] = [];
  const setAside: string[] = [];
  const run: FeedRun = {
    venue: feedVenue(),
    history,
    session: "session-1",
    clock: systemClock,
    dials: new DialSchedule({ baseMs: SECOND, maxMs: MINUTE }, () => 1),
    store,
    wanted: () => wanted,
    wantedChanged,
    deliver: (messages) => void delivered.push(...messages),
    keep: (record, signal) => queue.put(record, signal),
    keepNow: (record) => void queue.offer(record),
    setAside: (raw, reason) => void setAside.push(`${reason}: ${raw}`),
    activity: new ActivityMemory(),
    listening: new Notice(),
    healingWanted: new Notice(),
    healingIntervalMs: 5 * MINUTE,
    board: emptyFeedBoard(),
    ...given,
  };
  return {
    run,
    network: new ScriptedNetwork(FeedSocket),
    history,
    store,
    queue,
    delivered,
    setAside,
    want(channels) {
      wanted = channels;
      wantedChanged.raise();
    },
  };
}

/** Alpaca's stock feed, of a market that is always open unless `more` says otherwise. */
export function feedVenue(more: Partial<FeedVenue> = {}): FeedVenue {
  return {
    ...alpacaFeed({
      assetClass: "stock",
      streamUrl: "ws://venue.test",
      feed: "iex",
      keyId: "key",
      secretKey: "secret",
      encoding: "json",
      quotes: true,
    }),
    isOpen: () => true,
    ...more,
  };
}

/** Facts in short: `AAPL live 14:00:00..14:01:00`, in the order they were told. */
export function factsInShort(records: readonly BarRecord[]): string[] {
  return records.flatMap((record) =>
    record.kind === "fact"
      ? `${record.symbol} ${record.state} ${record.from.slice(11, 19)}..${record.to.slice(11, 19)}`
      : [],
  );
}

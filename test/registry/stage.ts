/**
 * A symbol registry on a real Postgres with a venue in memory: its minutes, day
 * files, snapshots and splits are what a test writes down; what is asked of it,
 * published and logged is written down here.
 */
import type { Bar } from "../../schema/market.ts";
import type { RegistryMessage } from "../../schema/registry.ts";
import { MINUTE } from "../../src/clock.ts";
import { VenueError } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import { JobBoard } from "../../src/registry/jobs.ts";
import type { RegistryRun } from "../../src/registry/run.ts";
import { recordOf, Streams } from "../../src/registryTopology.ts";
import { Database } from "../../src/stores/postgres/database.ts";
import { writeBarRecords } from "../../src/stores/postgres/marketStore.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import {
  addSymbol,
  type NewEntry,
} from "../../src/stores/postgres/registry.ts";
import { registryStore } from "../../src/stores/postgres/registryStore.ts";
import type {
  AskOptions,
  RegistryVenue,
  Split,
} from "../../src/venues/registryVenue.ts";
import { type FreshDatabase, freshDatabase } from "../support/postgres.ts";

/** Friday noon in New York, the session being open. */
export const NOON = Date.parse("2026-09-18T16:00:00Z");

/** What of the venue a test tells otherwise, and what it was asked. */
export class ScriptedVenue implements RegistryVenue {
  readonly source = "polygon";
  /** Starts of the minutes that it has, by symbol. */
  readonly minutes = new Map<string, readonly number[]>();
  readonly splitsOf = new Map<string, readonly Split[]>();
  readonly snapshots = new Map<string, Record<string, unknown>>();
  /** Versions of the day files that are released, by day. */
  readonly released = new Map<string, string>();
  readonly unknown = new Set<string>();
  hasFiles = false;
  /** Asked before each answer: may throw, or wait. */
  before: (question: string, options: AskOptions) => Promise<void> =
    async () => {};
  readonly asked: string[] = [];
  /** Added to every price, to tell one reading from another. */
  offset = 0;
  readonly pageLength = 200;

  constructor(readonly now: () => number) {}

  bar(symbol: string, at: number, source = "polygon"): Bar {
    return {
      kind: "bar",
      span: "history",
      symbol,
      open: 10 + this.offset,
      high: 12 + this.offset,
      low: 9 + this.offset,
      close: 11 + this.offset,
      volume: 100,
      timestamp: new Date(at).toISOString(),
      source,
      receivedAtMs: this.now(),
    };
  }

  async *bars(
    symbol: string,
    { from, to }: { from: number; to: number },
    options: AskOptions,
  ): AsyncGenerator<readonly Bar[]> {
    await this.#note(
      `bars ${symbol} ${shortTime(from)} – ${shortTime(to)}`,
      options,
    );
    const minutes = (this.minutes.get(symbol) ?? []).filter(
      (at) => at >= from && at < to && at + MINUTE <= this.now(),
    );
    for (let start = 0; start < minutes.length; start += this.pageLength)
      yield minutes
        .slice(start, start + this.pageLength)
        .map((at) => this.bar(symbol, at));
  }

  async snapshot(symbol: string, options: AskOptions) {
    await this.#note(`snapshot ${symbol}`, options);
    const value = this.snapshots.get(symbol);
    if (value === undefined)
      throw new VenueError(`${symbol} is not known`, { failure: "absent" });
    return { raw: JSON.stringify(value), value };
  }

  async splits(
    symbol: string,
    _sinceDay: string,
    options: AskOptions,
  ): Promise<readonly Split[]> {
    await this.#note(`splits ${symbol}`, options);
    return this.splitsOf.get(symbol) ?? [];
  }

  async listing(symbol: string) {
    return this.unknown.has(symbol) ? undefined : {};
  }

  get files() {
    if (!this.hasFiles) return undefined;
    return {
      find: async (_assetClass: unknown, day: string) => {
        const etag = this.released.get(day);
        return etag === undefined ? undefined : { key: `day/${day}`, etag };
      },
      bars: (
        { key }: { key: string },
        wanted: { day: string; symbols?: ReadonlySet<string> },
        options: AskOptions,
      ) => this.#fileBars(key, wanted, options),
    };
  }

  async *#fileBars(
    key: string,
    { day, symbols }: { day: string; symbols?: ReadonlySet<string> },
    options: AskOptions,
  ): AsyncGenerator<readonly Bar[]> {
    await this.#note(`file ${key}`, options);
    for (const symbol of symbols ?? [])
      yield (this.minutes.get(symbol) ?? [])
        .filter((at) => new Date(at).toISOString().startsWith(day))
        .map((at) => this.bar(symbol, at, "polygon:flatfile"));
  }

  async #note(question: string, options: AskOptions): Promise<void> {
    options.signal.throwIfAborted();
    this.asked.push(question);
    await this.before(question, options);
  }
}

export interface Stage extends AsyncDisposable {
  readonly fresh: FreshDatabase;
  readonly database: Database;
  readonly venue: ScriptedVenue;
  readonly run: RegistryRun;
  readonly streams: Streams;
  readonly board: JobBoard;
  readonly published: RegistryMessage[];
  /** Log lines, without their time. */
  readonly lines: Record<string, unknown>[];
  /** Sets the hour that runs go by. */
  at(ms: number): void;
  add(symbol: string, entry?: Partial<NewEntry>): Promise<void>;
  /** The run of another replica. */
  runOf(owner: string, leaseMs?: number): RegistryRun;
  /** Starts of the stored minutes with their opening prices. */
  stored(symbol: string): Promise<[at: string, open: number][]>;
  /** Another test begins: everything empty again. */
  clear(): Promise<void>;
}

export async function openStage(leaseMs = 30_000): Promise<Stage> {
  const fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
  const database = new Database();
  database.use(fresh.url);
  let nowMs = NOON;
  const now = () => nowMs;
  const venue = new ScriptedVenue(now);
  const streams = new Streams();
  let board = new JobBoard(now);
  const published: RegistryMessage[] = [];
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    level: "DEBUG",
    destination: {
      write(line: string) {
        const { time: _, ...rest } = JSON.parse(line);
        lines.push(rest);
      },
    },
  });

  /** Rows are written when the marker behind them comes, as a sink would sometime. */
  let waiting: RegistryMessage[] = [];
  async function publish(message: RegistryMessage): Promise<void> {
    published.push(message);
    waiting.push(message);
    if (message.type === "bar") return;
    await keep();
  }
  async function keep(): Promise<void> {
    const records = waiting.map(recordOf).filter((each) => each !== undefined);
    waiting = [];
    if (records.length > 0) await writeBarRecords(database.sql, records);
  }

  const runOf = (owner: string, lease = leaseMs): RegistryRun => ({
    venue,
    store: registryStore(database, { owner, leaseMs: lease }),
    clock: { now },
    log,
    leaseMs: lease,
    backfillDays: 7,
    publish,
    kept: keep,
    setAside: () => {},
    streams,
    usesKafka: false,
    usesRedis: false,
  });

  return {
    fresh,
    database,
    venue,
    streams,
    published,
    lines,
    run: runOf("here"),
    runOf,
    get board() {
      return board;
    },
    at: (ms) => void (nowMs = ms),
    async add(symbol, entry = {}) {
      await addSymbol(fresh.sql, { symbol, strategy: "flatpack", ...entry });
    },
    async stored(symbol) {
      const rows = await fresh.sql<{ timestamp: Date; open: number }[]>`
        select timestamp, open from ohlcv_1m where symbol = ${symbol} order by 1`;
      return rows.map(({ timestamp, open }) => [shortTime(+timestamp), open]);
    },
    async clear() {
      await fresh.sql`
        truncate symbol_registry, ohlcv_1m, market_snapshots, feedkeeper.flat_files, feedkeeper.splits,
          feedkeeper.schedule_runs, feedkeeper.verified_empty, feedkeeper.sessions`;
      Object.assign(venue, {
        hasFiles: false,
        offset: 0,
        before: async () => {},
      });
      for (const each of [
        venue.minutes,
        venue.splitsOf,
        venue.snapshots,
        venue.released,
        venue.unknown,
      ])
        each.clear();
      for (const list of [venue.asked, published, lines]) list.length = 0;
      for (const symbol of streams.list()) streams.remove(symbol);
      board = new JobBoard(now);
      waiting = [];
      nowMs = NOON;
    },
    async [Symbol.asyncDispose]() {
      await database.close();
      await fresh.drop();
    },
  };
}

/** Starts of the minutes from one time to another. */
export function minutesBetween(from: string, to: string): number[] {
  const start = Date.parse(from);
  const length = (Date.parse(to) - start) / MINUTE;
  return Array.from({ length }, (_, index) => start + index * MINUTE);
}

export const shortTime = (ms: number): string =>
  new Date(ms).toISOString().slice(0, 16);

/** A snapshot of the venue that says something. */
export function snapshotOf(symbol: string): Record<string, unknown> {
  const values = { o: 10, h: 12, l: 9, c: 11, v: 1000 };
  return {
    status: "OK",
    ticker: { ticker: symbol, min: values, day: values, prevDay: values },
  };
}

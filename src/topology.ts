/**
 * What outlives every actor: queues, spool, budgets, schedules, the handle of
 * the database. Actors are given parts of it as input; none of them owns it.
 */
import { hostname } from "node:os";
import { join } from "node:path";
import type { Account } from "../schema/account.ts";
import type { AccountRecord } from "../schema/messages.ts";
import { DeliveredMemory } from "./accounts/delivered.ts";
import { type AccountRun, emptyBoard } from "./accounts/run.ts";
import { emptyStore } from "./accounts/store.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { FeedAccess, PolygonAccess } from "./config/market.ts";
import type { FeedRun } from "./feeds/run.ts";
import { DialSchedule } from "./flow/dials.ts";
import { Notice } from "./flow/notice.ts";
import type { Outbox } from "./flow/outbox.ts";
import { BoundedQueue } from "./flow/queue.ts";
import { RateBudget } from "./flow/rate.ts";
import { openSpool } from "./flow/spool.ts";
import { createMarketTopology, type MarketTopology } from "./marketTopology.ts";
import type { Metrics } from "./metrics.ts";
import {
  createRegistryTopology,
  type RegistryTopology,
} from "./registryTopology.ts";
import { accountStore } from "./stores/postgres/accountStore.ts";
import { Database } from "./stores/postgres/database.ts";
import { createAlpacaRest } from "./venues/alpaca/rest.ts";
import { SessionBook } from "./venues/sessionBook.ts";

/** Records in memory before sources wait: about 30 MB of order updates. */
const QUEUE_LENGTH_MAX = 10_000;
/** Alpaca's documented limit of one account; its headers correct it. */
const REQUESTS_PER_MINUTE = 200;

export interface Topology {
  readonly config: Config;
  readonly metrics: Metrics;
  /** Names this run of the process, in coverage facts and leases. */
  readonly session: string;
  /** The run before this one in the same directory: over, so that leases it could not give back are nobody's. */
  readonly predecessor?: string;
  readonly startedAtMs: number;
  readonly database: Database;
  readonly outbox: Outbox<AccountRecord>;
  readonly roster: Roster;
  /** Feeds and their sinks; absent where none can run. */
  readonly market: MarketTopology | undefined;
  /** The symbol registry; absent without a key of its venue. */
  readonly registry: RegistryTopology | undefined;
  /** Every feed there is, of whichever venue. */
  readonly feeds: readonly FeedRun[];
  /** The run of an account; the same one until its credentials or addresses change. */
  runOf(account: Account): AccountRun;
  close(): Promise<void>;
}

/** The accounts that the configuration names now. */
export interface Roster {
  accounts: readonly Account[];
  readonly changed: Notice;
}

export function spoolPath(directory: string): string {
  return join(directory, "spool.sqlite");
}

export interface TopologyOptions {
  readonly predecessor?: string | undefined;
  /** What market-data feeds are asked with; without it there are none. */
  readonly feedAccess?: FeedAccess | undefined;
  /** What the registry's venue is asked with; without it there is none. */
  readonly polygonAccess?: PolygonAccess | undefined;
}

export function createTopology(
  config: Config,
  accounts: readonly Account[],
  metrics: Metrics,
  { predecessor, feedAccess, polygonAccess }: TopologyOptions = {},
): Topology {
  const startedAtMs = systemClock.now();
  const session = `${hostname()}-${process.pid}-${startedAtMs}`;
  const database = new Database();
  if (config.postgres.url !== undefined) database.use(config.postgres.url);
  const outbox: Outbox<AccountRecord> = {
    sink: "postgres",
    queue: new BoundedQueue(QUEUE_LENGTH_MAX),
    spool: openSpool({
      path: config.dryRun ? ":memory:" : spoolPath(config.directory),
      sinks: ["postgres"],
    }),
    inFlight: [],
  };
  const runs = new Map<string, AccountRun>();
  const sessions = new SessionBook();
  const market =
    feedAccess === undefined && polygonAccess === undefined
      ? undefined
      : createMarketTopology({
          config,
          metrics,
          session,
          accountsDatabase: database,
          access: feedAccess,
        });
  const registry =
    market === undefined || polygonAccess === undefined
      ? undefined
      : createRegistryTopology({
          config,
          metrics,
          session,
          access: polygonAccess,
          market,
        });

  function createRun(account: Account): AccountRun {
    const budget = new RateBudget({ perMinute: REQUESTS_PER_MINUTE });
    return {
      account,
      budget,
      session,
      startedAtMs,
      rest: createAlpacaRest({
        account,
        budget,
        onReply: (status) =>
          metrics.venueRequests.inc({
            account: account.slug,
            status: status === 0 ? "error" : String(status),
          }),
      }),
      queue: outbox.queue,
      store: config.dryRun
        ? emptyStore
        : accountStore(database, config.schema, account.slug),
      clock: systemClock,
      dials: new DialSchedule(config.reconnect),
      delivered: new DeliveredMemory(),
      listening: new Notice(),
      healingWanted: new Notice(),
      healing: config.healing,
      backfillDays: config.backfillDays,
      sessions,
      board: emptyBoard(),
    };
  }

  return {
    config,
    metrics,
    session,
    ...(predecessor === undefined ? {} : { predecessor }),
    startedAtMs,
    database,
    outbox,
    roster: { accounts, changed: new Notice() },
    market,
    registry,
    feeds: [...(market?.feeds ?? []), ...(registry?.feeds ?? [])],
    runOf(account) {
      const known = runs.get(account.slug);
      if (known !== undefined && Bun.deepEquals(known.account, account))
        return known;
      const run = createRun(account);
      runs.set(account.slug, run);
      return run;
    },
    async close() {
      outbox.spool.close();
      await market?.close();
      await database.close();
    },
  };
}

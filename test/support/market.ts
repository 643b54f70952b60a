/**
 * A simulated venue in the test's own process, so that it outlives a service that
 * is killed: accounts that trade as briskly as a test has patience, the
 * configuration that points to it, and its books for comparing.
 */
import { SECOND, sleep } from "../../src/clock.ts";
import { Chance } from "../../src/venues/simulated/chance.ts";
import { OrderClosedError } from "../../src/venues/simulated/desk.ts";
import { anyLife, type Life } from "../../src/venues/simulated/lives.ts";
import {
  type SimulatedVenue,
  type SimulatedVenueOptions,
  startSimulatedVenue,
} from "../../src/venues/simulated/venue.ts";
import type { Environment } from "./service.ts";

export interface Market extends AsyncDisposable {
  readonly venue: SimulatedVenue;
  /** An entry of DESTINATIONS. */
  entry(name: string): Record<string, unknown>;
  /** The environment of a service for all accounts here (or those named), with quick healing. */
  environment(databaseUrl: string, names?: readonly string[]): Environment;
}

/** A market of these accounts, with little or no past unless `options` says otherwise. */
export async function openMarket(
  names: readonly string[],
  options: SimulatedVenueOptions = {},
): Promise<Market> {
  const venue = await startSimulatedVenue({
    accounts: names.map((name) => ({
      name,
      keyId: `PK${name.toUpperCase()}`,
      secretKey: `secret-of-${name}`,
    })),
    historyDays: 1,
    historyOrdersPerDay: 0,
    requestsPerMinute: 100_000,
    ...options,
  });
  const entry = (name: string) => {
    const account = venue.accounts.find((each) => each.name === name);
    return {
      name,
      base_url: venue.url,
      key_id: account?.keyId,
      secret_key: account?.secretKey,
    };
  };
  return {
    venue,
    entry,
    environment: (databaseUrl, some = names) => ({
      POSTGRESQL_LIVE_CONN_STRING: databaseUrl,
      DESTINATIONS: JSON.stringify(some.map(entry)),
      BACKFILL_DAYS: "30",
      HEALING_INTERVAL_SEC: "2",
      RECONNECT_BACKOFF_BASE_S: "0.1",
      RECONNECT_BACKOFF_MAX_S: "1",
    }),
    [Symbol.asyncDispose]: () => venue.stop(),
  };
}

/** Orders of an account whose lives take moments instead of minutes. */
export interface Trading extends AsyncDisposable {
  /** Ends where it stands, so that orders stay open; what they were is in the books. */
  stop(): Promise<void>;
}

export function tradeBriskly(
  { venue }: Market,
  account: string,
  options: {
    readonly seed?: number;
    /** Orders alive at a time. */
    readonly lanes?: number;
    /** The longest pause in an order's life, and between two of them. */
    readonly pauseMsMax?: number;
  } = {},
): Trading {
  const { seed = 1, lanes = 3, pauseMsMax = 60 } = options;
  const desk = venue.exchange.desk(account);
  const over = new AbortController();
  const running = Array.from({ length: lanes }, async (_, lane) => {
    const chance = new Chance(`${seed}/${account}/${lane}`);
    while (!over.signal.aborted) {
      const life = anyLife(desk, chance);
      for (;;) {
        const waitMs = nextWait(life);
        const pauseMs = Math.min(waitMs ?? pauseMsMax, pauseMsMax);
        await sleep(pauseMs, over.signal).catch(() => {});
        if (waitMs === undefined || over.signal.aborted) break;
      }
    }
  });
  const stop = async () => {
    over.abort();
    await Promise.all(running);
  };
  return { stop, [Symbol.asyncDispose]: stop };
}

/** Plays so many whole lives of orders in one go. */
export function tradeAtOnce(
  { venue }: Market,
  account: string,
  lives: number,
  seed = 1,
): void {
  const desk = venue.exchange.desk(account);
  const chance = new Chance(`${seed}/${account}`);
  for (let life = 0; life < lives; life++) {
    const played = anyLife(desk, chance);
    while (nextWait(played) !== undefined);
  }
}

/** Trades for a while. */
export async function tradeFor(
  ms: number,
  market: Market,
  account: string,
  options: Parameters<typeof tradeBriskly>[2] = {},
): Promise<void> {
  await using _trading = tradeBriskly(market, account, options);
  await sleep(ms);
}

/** REST shows what happened this long ago, whatever its lag: what healing waits for. */
export const REST_LAG_MS = 10 * SECOND;

/** Undefined when the life is over, be it that somebody else ended the order. */
function nextWait(life: Life): number | undefined {
  try {
    const { done, value } = life.next();
    return done === true ? undefined : value;
  } catch (error) {
    if (error instanceof OrderClosedError) return undefined;
    throw error;
  }
}

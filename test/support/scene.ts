/**
 * A market, a database and the services between them, all of which go when the
 * test is over. The database may be one of the shared server, or a server of the
 * test's own, which it may stop and start.
 */
import type { Sql } from "../../src/stores/postgres/connect.ts";
import { connect } from "../../src/stores/postgres/connect.ts";
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../src/stores/postgres/embedded.ts";
import { SECOND } from "../../src/clock.ts";
import type { SimulatedVenueOptions } from "../../src/venues/simulated/venue.ts";
import { differences, eventFinding } from "./books.ts";
import { type Market, openMarket } from "./market.ts";
import { freshDatabase } from "./postgres.ts";
import {
  type Environment,
  type Service,
  startService,
  temporaryDirectory,
  untilNothing,
} from "./service.ts";

export interface Scene {
  readonly market: Market;
  readonly sql: Sql;
  readonly databaseUrl: string;
  /** Starts the service for all accounts; it goes when the scene does. */
  start(options?: {
    readonly environment?: Environment;
    readonly directory?: string;
    readonly args?: readonly string[];
    readonly fileBytesMax?: number;
  }): Promise<Service>;
  /** A folder that outlives the services in it. */
  directory(): string;
  /** Waits until the tables of these accounts (all) equal the books. */
  equalsBooks(accounts?: readonly string[], withinMs?: number): Promise<void>;
  /** What is amiss with the events of all accounts, and how many were lost. */
  events(
    accounts?: readonly string[],
  ): Promise<{ lost: number; amiss: string[] }>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface OwnServer {
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function openScene(
  names: readonly string[],
  options: SimulatedVenueOptions = {},
): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const database = stack.adopt(await freshDatabase(), (each) => each.drop());
  const market = stack.use(await openMarket(names, options));
  const { url, sql } = database;
  return sceneOf(names, market, { url, sql }, stack.move());
}

/** The same, with a server of its own. It runs. */
export async function openSceneWithServer(
  names: readonly string[],
  options: SimulatedVenueOptions = {},
): Promise<Scene & { readonly server: OwnServer }> {
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(temporaryDirectory());
  let running: EmbeddedPostgres = await startEmbeddedPostgres({ directory });
  stack.defer(() => running.stop());
  const { url, port } = running;
  const sql = stack.adopt(connect(url, { connectionsMax: 2 }), (each) =>
    each.end({ timeout: 0 }),
  );
  const market = stack.use(await openMarket(names, options));
  const server: OwnServer = {
    stop: () => running.stop(),
    start: async () => {
      running = await startEmbeddedPostgres({ directory, port });
    },
  };
  return { ...sceneOf(names, market, { url, sql }, stack.move()), server };
}

function sceneOf(
  names: readonly string[],
  market: Market,
  { url, sql }: { url: string; sql: Sql },
  stack: AsyncDisposableStack,
): Scene {
  return {
    market,
    sql,
    databaseUrl: url,
    async start({ environment = {}, ...options } = {}) {
      const service = await startService({
        ...options,
        environment: { ...market.environment(url), ...environment },
      });
      return stack.use(service);
    },
    directory: () => stack.use(temporaryDirectory()).path,
    async equalsBooks(accounts = names, withinMs = 45 * SECOND) {
      for (const account of accounts)
        await untilNothing(
          `${account} equals its books`,
          () => differences(sql, market.venue, account),
          withinMs,
        );
    },
    async events(accounts = names) {
      let lost = 0;
      const amiss: string[] = [];
      for (const account of accounts) {
        const found = await eventFinding(sql, market.venue, account);
        lost += found.lost;
        amiss.push(...found.amiss.map((what) => `${account}: ${what}`));
      }
      return { lost, amiss };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

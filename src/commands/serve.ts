/** `serve`: the whole tree, from the configuration to the stop receipt. */
import { join } from "node:path";
import type { Account } from "../../schema/account.ts";
import type { TreeNode } from "../../schema/service.ts";
import { coverageReport } from "../accounts/report.ts";
import { SECOND, sleep } from "../clock.ts";
import {
  type Config,
  type Environment,
  readConfig,
  type ReadOptions,
} from "../config.ts";
import type { FeedAccess, PolygonAccess } from "../config/market.ts";
import { ConfigError } from "../errors.ts";
import { createApp } from "../http/app.ts";
import { freePort, requireFreePort } from "../http/listen.ts";
import type { ServiceView } from "../http/view.ts";
import { createLogger, type Logger } from "../log.ts";
import { createMetrics, type Metrics } from "../metrics.ts";
import { registryService } from "../registry/service.ts";
import { mirrorState } from "../scrape.ts";
import { HealthJudge, serviceStatus } from "../status.ts";
import { barFacts } from "../stores/postgres/marketStore.ts";
import { createTopology, type Topology } from "../topology.ts";
import type { SimulatedVenueOptions } from "../venues/simulated/venue.ts";
import {
  demoAccounts,
  demoFeedAccess,
  demoPolygonAccess,
} from "./demoAccounts.ts";
import { lockDirectory } from "./directoryLock.ts";
import { lastSession, noteSession } from "./lastSession.ts";
import { writeReceipt } from "./receipt.ts";
import { removeRunFile, writeRunFile } from "./runFile.ts";

/** The running tree as `serve` knows it; made by the composition root, since nothing in `src` knows an actor. */
export interface Tree {
  describe(): TreeNode;
  restart(path: string): boolean;
  stop(): void;
  readonly ended: Promise<Error | undefined>;
}

export interface TreeInput {
  readonly topology: Topology;
  readonly log: Logger;
  readonly http:
    | {
        readonly app: ReturnType<typeof createApp>;
        readonly host: string;
        readonly port: number;
      }
    | undefined;
  readonly embedded: {
    readonly postgres: boolean;
    readonly venue: SimulatedVenueOptions | undefined;
    readonly onPostgres: (url: string) => void;
  };
}

export type StartTree = (input: TreeInput) => Tree;

/** A stop is over after this, whatever hangs. */
const STOP_MS_MAX = 9 * SECOND;

/** Runs until it is told to stop; returns the exit code. @throws ConfigError */
export async function serve(
  startTree: StartTree,
  environment: Environment,
  flags: ReadOptions,
): Promise<number> {
  const config = readConfig(environment, flags);
  const { code } = await runService(startTree, config, () =>
    readConfig(environment, flags),
  );
  return code;
}

/**
 * The service from its start to the stop receipt. `reread` gives the configuration
 * as it is now, for SIGHUP. @throws ConfigError when the port or the directory is taken
 */
export async function runService(
  startTree: StartTree,
  config: Config,
  reread?: () => Config,
): Promise<{ readonly code: number; readonly topology: Topology }> {
  const log = createLogger({
    level: config.logLevel,
    format: config.logFormat,
  });
  const { host } = config.http;
  const hasHttp = config.roles.has("http");
  if (hasHttp) await requireFreePort(config.http);
  using _lock = lockDirectory(config.directory);

  const port =
    hasHttp && config.http.port === 0 ? await freePort(host) : config.http.port;
  const venue =
    config.venue === "simulated" ? await venueOptions(config, log) : undefined;
  const accounts = !config.roles.has("accounts")
    ? []
    : venue === undefined
      ? config.accounts
      : demoAccounts(`http://127.0.0.1:${venue.port}`);
  const metrics: Metrics = createMetrics({
    collect: () =>
      mirrorState(metrics, topology, tree.describe(), view.health().ready),
  });
  const predecessor = lastSession(config.directory);
  const topology = createTopology(config, accounts, metrics, {
    predecessor,
    feedAccess: config.roles.has("feeds")
      ? feedAccessOf(config, venue?.port)
      : undefined,
    polygonAccess: config.roles.has("registry")
      ? polygonAccessOf(config, venue?.port)
      : undefined,
  });
  if (!config.dryRun) noteSession(config.directory, topology.session);
  const run = {
    pid: process.pid,
    ...(hasHttp
      ? { httpUrl: `http://${host.includes(":") ? `[${host}]` : host}:${port}` }
      : {}),
    ...(venue === undefined
      ? {}
      : { venueUrl: `http://127.0.0.1:${venue.port}` }),
    ...(config.postgres.url === undefined
      ? {}
      : { postgresUrl: config.postgres.url }),
  };
  writeRunFile(config.directory, run);

  const view = serviceView(topology, () => tree);
  const tree: Tree = startTree({
    topology,
    log,
    http: hasHttp
      ? { app: createApp(view, { ...config.http, port, log }), host, port }
      : undefined,
    embedded: {
      postgres: config.postgres.url === undefined && !config.dryRun,
      venue,
      onPostgres: (postgresUrl) =>
        writeRunFile(config.directory, { ...run, postgresUrl }),
    },
  });
  const { postgresUrl: _password, ...shown } = run;
  log.info(
    {
      ...shown,
      accounts: accounts.map(({ slug }) => slug),
      directory: config.directory,
    },
    "service_started",
  );

  const failure = await untilEnded(tree, log, () =>
    reload(topology, reread, log),
  );
  const code = await writeReceipt(topology, failure, log);
  removeRunFile(config.directory);
  return { code, topology };
}

/** The simulated venue's keys are known; of the real one they are configured, or there is no feed. */
function feedAccessOf(
  { market }: Config,
  venuePort: number | undefined,
): FeedAccess | undefined {
  if (venuePort === undefined) return market.access;
  return demoFeedAccess(`http://127.0.0.1:${venuePort}`);
}

function polygonAccessOf(
  { market }: Config,
  venuePort: number | undefined,
): PolygonAccess | undefined {
  if (venuePort === undefined) return market.polygon;
  return demoPolygonAccess(`http://127.0.0.1:${venuePort}`);
}

/** Waits for the tree's end: by a signal, by the deadline, or because it gave up. */
async function untilEnded(
  tree: Tree,
  log: Logger,
  onHangup: () => void,
): Promise<Error | undefined> {
  const { promise: overdue, resolve: giveUp } =
    Promise.withResolvers<undefined>();
  const onStop = (signal: NodeJS.Signals) => {
    log.info({ signal }, "service_stopping");
    tree.stop();
    void sleep(STOP_MS_MAX).then(() => giveUp(undefined));
  };
  process.on("SIGTERM", onStop).on("SIGINT", onStop).on("SIGHUP", onHangup);
  try {
    return await Promise.race([tree.ended, overdue]);
  } finally {
    process
      .off("SIGTERM", onStop)
      .off("SIGINT", onStop)
      .off("SIGHUP", onHangup);
  }
}

/** SIGHUP: keys and accounts as the files have them now. A mistake changes nothing. */
function reload(
  topology: Topology,
  reread: (() => Config) | undefined,
  log: Logger,
): void {
  if (topology.config.venue === "simulated" || reread === undefined)
    return log.info({}, "configuration_unchanged");
  try {
    const { accounts } = reread();
    const before = topology.roster.accounts;
    topology.roster.accounts = accounts;
    topology.roster.changed.raise();
    log.info(
      {
        added: slugsNotIn(accounts, before),
        removed: slugsNotIn(before, accounts),
      },
      "configuration_reloaded",
    );
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log.error({ problems: error.problems }, "configuration_refused");
  }
}

function slugsNotIn(
  accounts: readonly Account[],
  others: readonly Account[],
): string[] {
  return accounts
    .filter(({ slug }) => !others.some((other) => other.slug === slug))
    .map(({ slug }) => slug);
}

function serviceView(topology: Topology, tree: () => Tree): ServiceView {
  const judge = new HealthJudge();
  const { registry } = topology;
  return {
    registry: registry && registryService(registry),
    health: () => judge.judge(topology, tree().describe()),
    status: () => serviceStatus(topology, tree().describe()),
    tree: () => tree().describe(),
    coverage: ({ account, symbol, ...range }) => {
      const { market, roster, runOf } = topology;
      if (symbol !== undefined && market !== undefined)
        return coverageReport(
          new Map([[symbol, barFacts(market.database, symbol)]]),
          range,
          Date.now(),
        );
      const wanted = roster.accounts.filter(
        ({ slug }) => account === undefined || slug === account,
      );
      const stores = new Map(
        wanted.map((each) => [each.slug, runOf(each).store]),
      );
      return coverageReport(stores, range, Date.now());
    },
    metrics: async () => ({
      contentType: topology.metrics.contentType,
      text: await topology.metrics.text(),
    }),
    restart: (path) => tree().restart(path),
  };
}

async function venueOptions(
  config: Config,
  log: Logger,
): Promise<SimulatedVenueOptions & { port: number }> {
  return {
    port: await freePort("127.0.0.1"),
    file: config.dryRun ? ":memory:" : join(config.directory, "venue.sqlite"),
    trading: true,
    log,
  };
}

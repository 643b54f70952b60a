/**
 * The configuration as one value: read once, validated whole, handed down. The
 * only file that looks at the process's environment.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Account } from "../schema/account.ts";
import { readDestinations } from "./config/destinations.ts";
import {
  readSettings,
  type Environment,
  type Sources,
} from "./config/environment.ts";
import {
  type MarketConfig,
  marketConfigOf,
  type PolygonAccess,
} from "./config/market.ts";
import { MASK, maskUrl } from "./config/mask.ts";
import { crossProblems } from "./config/rules.ts";
import type { Role, Settings } from "./config/variables.ts";
import { venueOf, venueProblems } from "./config/venue.ts";
import { ConfigError } from "./errors.ts";
import type { LogFormat, LogLevel } from "./log.ts";

export type { Environment, Role };

export interface Config {
  readonly venue: "simulated" | "live";
  /** Empty for the simulated venue: its accounts are known once it runs. */
  readonly accounts: readonly Account[];
  /** Read again on SIGHUP. */
  readonly destinationsFile?: string;
  /** A `postgres://` URL; absent means the embedded database. */
  readonly postgres: { readonly url?: string };
  /** Schema of the raw tables. */
  readonly schema: string;
  /** Schema of the manager's tables. */
  readonly managerSchema: string;
  readonly healing: {
    readonly intervalMs: number;
    readonly lookbackMs: number;
  };
  readonly market: MarketConfig;
  readonly backfillDays: number;
  readonly leaseMs: number;
  readonly reconnect: { readonly baseMs: number; readonly maxMs: number };
  readonly http: {
    readonly host: string;
    /** 0 takes any free port. */
    readonly port: number;
    readonly apiToken?: string;
  };
  /** Absolute path of what we keep on disk. */
  readonly directory: string;
  readonly roles: ReadonlySet<Role>;
  readonly dryRun: boolean;
  readonly stopAfterMs?: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** Flags of the command line that win over their variable. */
export interface ConfigFlags {
  readonly dryRun?: boolean;
  readonly logLevel?: LogLevel;
}

export interface ReadOptions {
  readonly flags?: ConfigFlags;
  readonly readFile?: (path: string) => string;
  /** Whether `serve` prints to a person. */
  readonly isTerminal?: boolean;
}

/**
 * With `VENUE=simulated` the destinations are not even read: who asks for the
 * simulated venue wants no real account touched, whatever else is set.
 *
 * @throws ConfigError with every problem, each naming its variable; secrets are never repeated
 */
export function readConfig(
  environment: Environment,
  options: ReadOptions = {},
): Config {
  const sources = sourcesOf(environment, options);
  const problems: string[] = [];
  const { settings, wrong } = readSettings(sources, problems);
  problems.push(
    ...crossProblems(settings, wrong),
    ...(wrong.has("VENUE") ? [] : venueProblems(settings, environment)),
  );
  const venue = venueOf(settings, environment);
  const accounts =
    venue === "live" ? accountsOf(settings, sources, problems) : [];
  if (problems.length > 0) throw new ConfigError(problems);

  const url = databaseOf(settings);
  return {
    venue,
    accounts,
    ...(venue === "live" && settings.DESTINATIONS_FILE !== undefined
      ? { destinationsFile: resolve(settings.DESTINATIONS_FILE) }
      : {}),
    postgres: url === undefined ? {} : { url },
    schema: settings.DB_SCHEMA,
    managerSchema: settings.ACCOUNT_SCHEMA,
    healing: {
      intervalMs: settings.HEALING_INTERVAL_SEC,
      lookbackMs: settings.HEALING_LOOKBACK_SEC,
    },
    market: marketConfigOf(settings),
    backfillDays: settings.BACKFILL_DAYS,
    leaseMs: settings.LEASE_SECONDS,
    reconnect: {
      baseMs: settings.RECONNECT_BACKOFF_BASE_S,
      maxMs: settings.RECONNECT_BACKOFF_MAX_S,
    },
    http: {
      host: settings.HOST,
      port: settings.PORT,
      ...(settings.API_TOKEN === undefined
        ? {}
        : { apiToken: settings.API_TOKEN }),
    },
    directory: resolve(settings.FEEDKEEPER_DIR),
    roles: settings.FEEDKEEPER_ROLES,
    dryRun: options.flags?.dryRun === true || settings.DRY_RUN,
    ...(settings.STOP_AFTER_SECONDS === undefined
      ? {}
      : { stopAfterMs: settings.STOP_AFTER_SECONDS }),
    logLevel: options.flags?.logLevel ?? settings.LOG_LEVEL,
    logFormat:
      settings.LOG_FORMAT ?? (options.isTerminal === true ? "pretty" : "json"),
  };
}

/** The one place that reads the process's environment. */
export function processEnvironment(): Environment {
  return process.env;
}

/**
 * The accounts of a destinations file as it is now, for SIGHUP.
 *
 * @throws ConfigError when the file or an entry cannot be used; what runs goes on then
 */
export function readDestinationsFile(
  path: string,
  environment: Environment,
  options: Pick<ReadOptions, "readFile"> = {},
): Account[] {
  const sources = sourcesOf(environment, options);
  const problems: string[] = [];
  const { settings } = readSettings(sources, problems);
  const accounts = accountsOf(
    { ...settings, DESTINATIONS: undefined, DESTINATIONS_FILE: path },
    sources,
    problems,
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return accounts;
}

/** The configuration for reading: what is secret masked, sets as lists. */
export function effectiveConfig(config: Config): Record<string, unknown> {
  return {
    ...config,
    accounts: config.accounts.map((account) => ({
      ...account,
      keyId: MASK,
      secretKey: MASK,
    })),
    postgres: {
      url:
        config.postgres.url === undefined
          ? "embedded"
          : maskUrl(config.postgres.url),
    },
    market: maskedMarket(config.market),
    http: {
      ...config.http,
      ...(config.http.apiToken === undefined ? {} : { apiToken: MASK }),
    },
    roles: [...config.roles],
  };
}

function maskedMarket(market: MarketConfig): Record<string, unknown> {
  const { access, kafka, polygon, redis, postgres } = market;
  return {
    ...market,
    ...(access === undefined
      ? {}
      : { access: { ...access, keyId: MASK, secretKey: MASK } }),
    ...(polygon === undefined ? {} : { polygon: maskedPolygon(polygon) }),
    ...(kafka?.sasl === undefined
      ? {}
      : { kafka: { ...kafka, sasl: { ...kafka.sasl, password: MASK } } }),
    ...(redis === undefined
      ? {}
      : { redis: { ...redis, url: maskUrl(redis.url) } }),
    ...(postgres === undefined
      ? {}
      : { postgres: { url: maskUrl(postgres.url) } }),
  };
}

function maskedPolygon(polygon: PolygonAccess): Record<string, unknown> {
  return {
    ...polygon,
    apiKey: MASK,
    ...(polygon.files === undefined
      ? {}
      : { files: { ...polygon.files, accessKey: MASK, secretKey: MASK } }),
  };
}

function sourcesOf(environment: Environment, options: ReadOptions): Sources {
  return {
    environment,
    readFile: options.readFile ?? ((path) => readFileSync(path, "utf8")),
  };
}

function databaseOf(settings: Settings): string | undefined {
  return (
    settings.POSTGRESQL_LIVE_LOCAL_CONN_STRING ??
    settings.POSTGRESQL_LIVE_CONN_STRING ??
    settings.POSTGRESQL_LIVE_SQLALCHEMY ??
    settings.DATABASE_URL
  );
}

function accountsOf(
  settings: Settings,
  sources: Sources,
  problems: string[],
): Account[] {
  const addresses = {
    restUrl: settings.ALPACA_TRADING_URL,
    streamUrl: settings.ALPACA_TRADING_STREAM_URL,
  };
  const path = settings.DESTINATIONS_FILE;
  if (path === undefined)
    return readDestinations(
      settings.DESTINATIONS ?? "",
      "DESTINATIONS",
      addresses,
      sources,
      problems,
    );
  if (settings.DESTINATIONS !== undefined) {
    problems.push(
      "DESTINATIONS and DESTINATIONS_FILE are both set: one of them only",
    );
    return [];
  }
  let text: string;
  try {
    text = sources.readFile(path);
  } catch {
    problems.push(
      `DESTINATIONS_FILE names a file that cannot be read: ${path}`,
    );
    return [];
  }
  return readDestinations(
    text,
    "DESTINATIONS_FILE",
    addresses,
    sources,
    problems,
  );
}

/** The part of the configuration that market feeds and their sinks run by. */
import { marketKeyOf } from "./rules.ts";
import type { Settings } from "./variables.ts";

export type StockFeed = Settings["ALPACA_DATA_FEED"];

/** What market-data feeds are asked with, and where. */
export interface FeedAccess {
  readonly keyId: string;
  readonly secretKey: string;
  readonly restUrl: string;
  readonly streamUrl: string;
}

export interface MarketConfig {
  /** Absent without a key: then no feed runs, unless the venue is the simulated one. */
  readonly access?: FeedAccess;
  readonly feed: StockFeed;
  readonly encoding: "json" | "msgpack";
  /** Subscribed from the start, and never dropped by a control event. */
  readonly defaults: {
    readonly stock: readonly string[];
    readonly crypto: readonly string[];
  };
  /** Whose quotes go to live_quotes. */
  readonly monitored: readonly string[];
  readonly redis?: {
    readonly url: string;
    /** What becomes of messages that Redis does not take in time. */
    readonly overflow: "drop" | "keep";
  };
  readonly firestore?: {
    /** Absent: the project of the credentials. */
    readonly projectId?: string;
    /** `host:port`. */
    readonly emulator?: string;
    readonly collection: string;
  };
  /** In whose name quotes are stored. */
  readonly tenant: string;
  readonly quotes: {
    readonly perSymbolMs: number;
    readonly writesPerSecond: number;
    readonly burst: number;
    readonly flushMs: number;
  };
  readonly heartbeatMs: number;
  /** Market database, where it is not the accounts'. */
  readonly postgres?: { readonly url: string };
}

/** Rows of live_quotes need a tenant also where nobody named one. */
const NO_TENANT = "default";

export function marketConfigOf(settings: Settings): MarketConfig {
  const access = accessOf(settings);
  const redis = redisUrlOf(settings);
  const firestore = firestoreOf(settings);
  const database = databaseOf(settings);
  return {
    ...(access === undefined ? {} : { access }),
    feed: settings.ALPACA_DATA_FEED,
    encoding: settings.ALPACA_DATA_ENCODING,
    defaults: { stock: settings.SYMBOLS, crypto: settings.CRYPTO_SYMBOLS },
    monitored: settings.MONITORED_SYMBOLS ?? settings.ALPACA_SYMBOLS ?? ["SPY"],
    ...(redis === undefined
      ? {}
      : { redis: { url: redis, overflow: settings.REDIS_OVERFLOW } }),
    ...(firestore === undefined ? {} : { firestore }),
    tenant: settings.TENANT_ID ?? settings.FIRESTORE_TENANT_ID ?? NO_TENANT,
    quotes: {
      perSymbolMs: settings.PER_SYMBOL_MIN_INTERVAL_MS,
      writesPerSecond: settings.GLOBAL_WRITES_PER_SEC,
      burst: settings.GLOBAL_BURST,
      flushMs: settings.FLUSH_INTERVAL_MS,
    },
    heartbeatMs: settings.HEARTBEAT_INTERVAL_S,
    ...(database === undefined ? {} : { postgres: { url: database } }),
  };
}

function accessOf(settings: Settings): FeedAccess | undefined {
  const keyId = marketKeyOf(settings);
  const secretKey = settings.ALPACA_SECRET_KEY ?? settings.APCA_API_SECRET_KEY;
  if (keyId === undefined || secretKey === undefined) return undefined;
  return {
    keyId,
    secretKey,
    restUrl: settings.ALPACA_DATA_URL,
    streamUrl: settings.ALPACA_DATA_STREAM_URL,
  };
}

function redisUrlOf(settings: Settings): string | undefined {
  if (settings.REDIS_URL !== undefined) return settings.REDIS_URL;
  if (settings.REDIS_HOST === undefined) return undefined;
  const password =
    settings.REDIS_PASSWORD === undefined
      ? ""
      : `:${encodeURIComponent(settings.REDIS_PASSWORD)}@`;
  return `redis://${password}${bracketed(settings.REDIS_HOST)}:${settings.REDIS_PORT}`;
}

function firestoreOf(settings: Settings): MarketConfig["firestore"] {
  const projectId = settings.FIRESTORE_PROJECT_ID;
  const [emulator] = settings.FIRESTORE_EMULATOR_HOST ?? [];
  if (projectId === undefined && emulator === undefined) return undefined;
  return {
    ...(projectId === undefined ? {} : { projectId }),
    ...(emulator === undefined ? {} : { emulator }),
    collection:
      settings.FIRESTORE_LIVE_QUOTES_COLLECTION ??
      settings.FIRESTORE_LATEST_COLLECTION ??
      "live_quotes",
  };
}

function databaseOf(settings: Settings): string | undefined {
  const host = settings.TIMESCALE_HOST;
  if (host === undefined) return undefined;
  const user = encodeURIComponent(settings.TIMESCALE_USER ?? "postgres");
  const password =
    settings.TIMESCALE_PASSWORD === undefined
      ? ""
      : `:${encodeURIComponent(settings.TIMESCALE_PASSWORD)}`;
  const name = encodeURIComponent(settings.TIMESCALE_DB ?? user);
  return `postgres://${user}${password}@${bracketed(host)}:${settings.TIMESCALE_PORT}/${name}`;
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

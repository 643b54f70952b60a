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

/** What Polygon is asked with, and where. */
export interface PolygonAccess {
  readonly apiKey: string;
  readonly restUrl: string;
  readonly streamUrl: string;
  /** Absent: what the answers allow. */
  readonly requestsPerMinute?: number;
  /** Day files; absent without keys for them. */
  readonly files?: {
    readonly endpoint: string;
    readonly bucket: string;
    readonly accessKey: string;
    readonly secretKey: string;
  };
}

export interface KafkaAddress {
  /** `host:port` each. */
  readonly brokers: readonly string[];
  readonly ssl: boolean;
  readonly sasl?: {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: string;
  };
  /** A topic for each phase and symbol, or one a phase, keyed by symbol. */
  readonly layout: "per-symbol" | "per-phase";
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
  /** Absent without a key: then the registry has no venue, unless it is the simulated one. */
  readonly polygon?: PolygonAccess;
  readonly kafka?: KafkaAddress;
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
  const polygon = polygonOf(settings);
  const kafka = kafkaOf(settings);
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
    ...(polygon === undefined ? {} : { polygon }),
    ...(kafka === undefined ? {} : { kafka }),
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

function polygonOf(settings: Settings): PolygonAccess | undefined {
  const apiKey = settings.POLYGON_API_KEY ?? settings.MASSIVE_API_KEY;
  if (apiKey === undefined) return undefined;
  const accessKey = settings.POLYGON_FLATFILES_ACCESS_KEY;
  const secretKey = settings.POLYGON_FLATFILES_SECRET_KEY;
  return {
    apiKey,
    restUrl: settings.POLYGON_URL,
    streamUrl: settings.POLYGON_STREAM_URL,
    ...(settings.POLYGON_REQUESTS_PER_MINUTE === undefined
      ? {}
      : { requestsPerMinute: settings.POLYGON_REQUESTS_PER_MINUTE }),
    ...(accessKey === undefined || secretKey === undefined
      ? {}
      : {
          files: {
            endpoint: settings.POLYGON_FLATFILES_ENDPOINT,
            bucket: settings.POLYGON_FLATFILES_BUCKET,
            accessKey,
            secretKey,
          },
        }),
  };
}

function kafkaOf(settings: Settings): KafkaAddress | undefined {
  const brokers = settings.KAFKA_BOOTSTRAP_SERVERS ?? settings.KAFKA_BROKERS;
  if (brokers === undefined) return undefined;
  const mechanism = settings.KAFKA_SASL_MECHANISM;
  const username = settings.KAFKA_SASL_USERNAME;
  const password = settings.KAFKA_SASL_PASSWORD;
  return {
    brokers,
    ssl: settings.KAFKA_SSL,
    layout: settings.KAFKA_TOPIC_LAYOUT,
    ...(mechanism === undefined ||
    username === undefined ||
    password === undefined
      ? {}
      : { sasl: { mechanism, username, password } }),
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

/**
 * Every environment variable there is: its kind, its default, its meaning. The
 * README's table says the same; what is not here is not a variable of ours.
 */
import { z } from "zod";
import {
  credential,
  flag,
  hostName,
  hostPorts,
  identifier,
  oneOf,
  postgresAddress,
  seconds,
  someOf,
  symbols,
  symbolsOf,
  text,
  url,
  whole,
} from "./kinds.ts";

export interface Variable {
  readonly name: string;
  /** As the README writes it: the text taken when the variable is absent, or what happens then. */
  readonly default: string | undefined;
  readonly meaning: string;
  /** Never printed; may also come from the file that `<NAME>_FILE` names. */
  readonly secret: boolean;
}

/** The actors a replica can be limited to. */
export const ROLES = [
  "accounts",
  "feeds",
  "registry",
  "candles",
  "ledger",
  "http",
] as const;
export type Role = (typeof ROLES)[number];

const documentation = z.registry<Omit<Variable, "name">>();

/** The whole environment as one value: defaults filled in, numbers in milliseconds where the name says seconds. */
export const settingsSchema = z.object({
  VENUE: preset(
    oneOf(["auto", "simulated", "live"]),
    "auto",
    "`auto`: the simulated venue only when nothing is configured; `simulated` (then `DESTINATIONS` is not read); `live`",
  ),

  POSTGRESQL_LIVE_CONN_STRING: secret(
    postgresAddress(),
    "accounts database: URL, SQLAlchemy URL or libpq key=value",
    "embedded",
  ),
  POSTGRESQL_LIVE_LOCAL_CONN_STRING: secret(
    postgresAddress(),
    "the same, and wins over the other three",
  ),
  POSTGRESQL_LIVE_SQLALCHEMY: secret(
    postgresAddress(),
    "the same, when the two above are absent",
  ),
  DATABASE_URL: secret(
    postgresAddress(),
    "the same, when the three above are absent",
  ),
  TIMESCALE_HOST: optional(
    hostName(),
    "market database",
    "the accounts database",
  ),
  TIMESCALE_PORT: preset(whole(1, 65_535), "5432", "its port"),
  TIMESCALE_DB: optional(text(), "its name"),
  TIMESCALE_USER: optional(text(), "its user"),
  TIMESCALE_PASSWORD: secret(text(), "its password"),

  DESTINATIONS: secret(
    text(),
    "accounts: a JSON array of entries, or names with commas between them; `[]` means none",
  ),
  DESTINATIONS_FILE: optional(
    text(),
    "path of a file with the same; read again on SIGHUP",
  ),
  DB_SCHEMA: preset(
    identifier(),
    "account_activities",
    "schema of the raw tables",
  ),
  ACCOUNT_SCHEMA: preset(
    identifier(),
    "accounts",
    "schema of the manager's tables",
  ),
  HEALING_INTERVAL_SEC: preset(
    seconds(0.1, 86_400),
    "300",
    "seconds between two healings of an account",
  ),
  HEALING_LOOKBACK_SEC: preset(
    seconds(1, 2_592_000),
    "600",
    "seconds a healing looks back; open orders and known gaps are healed whatever their age",
  ),
  BACKFILL_DAYS: preset(
    whole(1, 36_500),
    "365",
    "days the first run reads back",
  ),
  LEASE_SECONDS: preset(
    seconds(1, 3_600),
    "30",
    "seconds an owner that stopped renewing keeps what it owns",
  ),

  ALPACA_API_KEY: secret(credential(), "key of the market data"),
  ALPACA_KEY_ID: secret(credential(), "the same, when the one above is absent"),
  APCA_API_KEY_ID: secret(
    credential(),
    "the same, when the two above are absent",
  ),
  ALPACA_SECRET_KEY: secret(credential(), "its secret"),
  APCA_API_SECRET_KEY: secret(
    credential(),
    "the same, when the one above is absent",
  ),
  ALPACA_TRADING_URL: optional(
    url("https", "http"),
    "REST host of the trading API for accounts that name none",
    "by account",
  ),
  ALPACA_TRADING_STREAM_URL: optional(
    url("wss", "ws"),
    "stream of the trading API",
    "`<REST host>/stream`",
  ),
  ALPACA_DATA_URL: preset(
    url("https", "http"),
    "https://data.alpaca.markets",
    "REST host of the market data",
  ),
  ALPACA_DATA_STREAM_URL: preset(
    url("wss", "ws"),
    "wss://stream.data.alpaca.markets",
    "stream of the market data",
  ),
  ALPACA_DATA_FEED: preset(
    oneOf(["iex", "sip", "delayed_sip", "test"]),
    "iex",
    "`iex`, `sip`, `delayed_sip` or `test`",
  ),
  ALPACA_DATA_ENCODING: preset(
    oneOf(["json", "msgpack"]),
    "json",
    "`json` or `msgpack`: what the market data streams speak",
  ),
  SYMBOLS: preset(
    symbolsOf("stock"),
    "AAPL,SPY,QQQ",
    "stocks subscribed by default",
  ),
  CRYPTO_SYMBOLS: preset(
    symbolsOf("crypto"),
    "BTC/USD,ETH/USD",
    "crypto pairs subscribed by default",
  ),
  MONITORED_SYMBOLS: optional(
    symbols(),
    "symbols whose quotes go to live_quotes",
    "`SPY`",
  ),
  ALPACA_SYMBOLS: optional(symbols(), "the same, when the one above is absent"),

  REDIS_URL: secret(
    url("redis", "rediss"),
    "Redis sink and control plane",
    "off",
  ),
  REDIS_OVERFLOW: preset(
    oneOf(["drop", "keep"]),
    "drop",
    "what Redis cannot take in time: `drop` the oldest, counted; `keep` it on the disk until it can",
  ),
  REDIS_HOST: optional(hostName(), "the same by its parts"),
  REDIS_PORT: preset(whole(1, 65_535), "6379", "its port"),
  REDIS_PASSWORD: secret(text(), "its password"),

  KAFKA_BOOTSTRAP_SERVERS: optional(
    hostPorts(),
    "Kafka sink and candle consumer: host:port with commas between them",
    "off",
  ),
  KAFKA_BROKERS: optional(
    hostPorts(),
    "the same, when the one above is absent",
  ),
  KAFKA_SSL: preset(flag(), "off", "TLS to the brokers"),
  KAFKA_SASL_MECHANISM: optional(
    oneOf(["plain", "scram-sha-256", "scram-sha-512"]),
    "`plain`, `scram-sha-256` or `scram-sha-512`",
  ),
  KAFKA_SASL_USERNAME: optional(text(), "user at the brokers"),
  KAFKA_SASL_PASSWORD: secret(text(), "its password"),
  KAFKA_TOPIC_LAYOUT: preset(
    oneOf(["per-symbol", "per-phase"]),
    "per-symbol",
    "`per-symbol`: a topic each; `per-phase`: one a phase, keyed by symbol",
  ),

  POLYGON_API_KEY: secret(credential(), "key of Polygon"),
  MASSIVE_API_KEY: secret(
    credential(),
    "the same, when the one above is absent",
  ),
  POLYGON_URL: preset(
    url("https", "http"),
    "https://api.polygon.io",
    "its REST host",
  ),
  POLYGON_STREAM_URL: preset(
    url("wss", "ws"),
    "wss://socket.polygon.io",
    "its stream",
  ),
  POLYGON_FLATFILES_ENDPOINT: preset(
    url("https", "http"),
    "https://files.polygon.io",
    "S3 endpoint of its flat files",
  ),
  POLYGON_FLATFILES_BUCKET: preset(text(), "flatfiles", "their bucket"),
  POLYGON_FLATFILES_ACCESS_KEY: secret(credential(), "their access key"),
  POLYGON_FLATFILES_SECRET_KEY: secret(credential(), "its secret"),
  POLYGON_REQUESTS_PER_MINUTE: optional(
    whole(1, 1_000_000),
    "budget that all callers of the key share",
    "by plan",
  ),

  TENANT_ID: optional(text(), "tenant; needed by the Firestore sink"),
  FIRESTORE_TENANT_ID: optional(
    text(),
    "the same, when the one above is absent",
  ),
  FIRESTORE_PROJECT_ID: optional(text(), "Firestore sink", "off"),
  FIRESTORE_EMULATOR_HOST: optional(
    hostPorts(),
    "Firestore sink at the emulator (host:port)",
    "off",
  ),
  FIRESTORE_LIVE_QUOTES_COLLECTION: optional(
    text(),
    "collection of the quotes",
    "`live_quotes`",
  ),
  FIRESTORE_LATEST_COLLECTION: optional(
    text(),
    "the same, when the one above is absent",
  ),
  GOOGLE_APPLICATION_CREDENTIALS: optional(
    text(),
    "path of the service account's key",
  ),

  PER_SYMBOL_MIN_INTERVAL_MS: preset(
    whole(1, 3_600_000),
    "1000",
    "milliseconds between two quotes of a symbol in live_quotes",
  ),
  GLOBAL_WRITES_PER_SEC: preset(
    whole(1, 100_000),
    "20",
    "quotes a second in live_quotes, all symbols together",
  ),
  GLOBAL_BURST: preset(
    whole(1, 100_000),
    "40",
    "how many of them may come at once",
  ),
  FLUSH_INTERVAL_MS: preset(
    whole(1, 60_000),
    "200",
    "milliseconds between two writes of live_quotes",
  ),
  HEARTBEAT_INTERVAL_S: preset(
    seconds(0.1, 3_600),
    "15",
    "seconds between two heartbeats",
  ),
  RECONNECT_BACKOFF_BASE_S: preset(
    seconds(0.01, 3_600),
    "1",
    "first wait of every reconnect loop, in seconds",
  ),
  RECONNECT_BACKOFF_MAX_S: preset(
    seconds(0.01, 3_600),
    "60",
    "longest wait of every reconnect loop, in seconds",
  ),

  DRY_RUN: preset(
    flag(),
    "off",
    "nothing is written to any store; what would be is logged",
  ),
  STOP_AFTER_SECONDS: optional(
    seconds(0.1, 2_000_000),
    "stops by itself after so many seconds",
  ),
  LOG_LEVEL: preset(
    oneOf(["DEBUG", "INFO", "WARN", "ERROR"], { WARNING: "WARN" }),
    "INFO",
    "`DEBUG`, `INFO`, `WARN` or `ERROR`",
  ),
  LOG_FORMAT: optional(
    oneOf(["json", "pretty"]),
    "`json` or `pretty`",
    "pretty when `serve` runs on a terminal",
  ),
  HOST: preset(
    hostName(),
    "127.0.0.1",
    "HTTP: address to listen on; anything but loopback needs `API_TOKEN`",
  ),
  PORT: preset(
    whole(0, 65_535),
    "8000",
    "HTTP: port to listen on; 0 takes any free one",
  ),
  API_TOKEN: secret(
    credential(),
    "HTTP: bearer token of writes, and of reads when not on loopback",
  ),
  FEEDKEEPER_DIR: preset(
    text(),
    "./.feedkeeper",
    "directory of the embedded database and the spool",
  ),
  FEEDKEEPER_ROLES: preset(
    someOf(ROLES),
    "all",
    `some of \`${ROLES.join(",")}\`: replicas can split the work`,
  ),
});

export type Settings = z.output<typeof settingsSchema>;

/** What a bare name in `DESTINATIONS` stands for; `<NAME>` is the account's, in upper case, other characters as `_`. */
export const ACCOUNT_VARIABLES: readonly Variable[] = [
  {
    name: "ALPACA_API_KEY_<NAME>",
    default: undefined,
    meaning: "key of account NAME",
    secret: true,
  },
  {
    name: "ALPACA_SECRET_KEY_<NAME>",
    default: undefined,
    meaning: "its secret",
    secret: true,
  },
  {
    name: "ALPACA_BASE_URL_<NAME>",
    default:
      "`ALPACA_TRADING_URL`, else the live host for a key that starts with AK, else the paper host",
    meaning: "its REST host",
    secret: false,
  },
];

export const VARIABLES: readonly Variable[] = [
  ...Object.entries(settingsSchema.shape).map(([name, schema]) => {
    const described = documentation.get(schema);
    if (described === undefined) throw new Error(`${name} is not described`);
    return { name, ...described };
  }),
  ...ACCOUNT_VARIABLES,
];

/** A variable that has a value even when it is absent. */
function preset<Value>(
  kind: z.ZodType<Value, string>,
  value: string,
  meaning: string,
) {
  return described(z.prefault(kind, value), {
    default: value,
    meaning,
    secret: false,
  });
}

function optional<Kind extends z.ZodType>(
  kind: Kind,
  meaning: string,
  shown?: string,
) {
  return described(kind.optional(), { default: shown, meaning, secret: false });
}

function secret<Kind extends z.ZodType>(
  kind: Kind,
  meaning: string,
  shown?: string,
) {
  return described(kind.optional(), { default: shown, meaning, secret: true });
}

function described<Schema extends z.ZodType>(
  schema: Schema,
  variable: Omit<Variable, "name">,
): Schema {
  documentation.add(schema, variable);
  return schema;
}

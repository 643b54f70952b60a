import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { SLUG_LENGTH_MAX } from "../schema/account.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../src/clock.ts";
import {
  effectiveConfig,
  processEnvironment,
  readConfig,
  readDestinationsFile,
  type Config,
  type Environment,
  type ReadOptions,
} from "../src/config.ts";
import { ACCOUNTS_MAX } from "../src/config/destinations.ts";
import { ConfigError } from "../src/errors.ts";

/** Every problem of an environment; none when it is accepted. */
function problemsOf(
  environment: Environment,
  options: ReadOptions = {},
): readonly string[] {
  try {
    readConfig(environment, options);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

function files(
  contents: Record<string, string>,
): Required<Pick<ReadOptions, "readFile">> {
  return {
    readFile: (path) => {
      const content = contents[path];
      if (content === undefined) throw new Error(`ENOENT ${path}`);
      return content;
    },
  };
}

const PAPER = {
  DESTINATIONS: "paper",
  ALPACA_API_KEY_PAPER: "PK-TWIN",
  ALPACA_SECRET_KEY_PAPER: "twin-secret",
};

test("an empty environment is the simulated venue on the embedded database, all defaults", () => {
  expect(readConfig({})).toEqual({
    venue: "simulated",
    accounts: [],
    postgres: {},
    schema: "account_activities",
    managerSchema: "accounts",
    healing: { intervalMs: 5 * MINUTE, lookbackMs: 10 * MINUTE },
    market: {
      feed: "iex",
      encoding: "json",
      defaults: {
        stock: ["AAPL", "SPY", "QQQ"],
        crypto: ["BTC/USD", "ETH/USD"],
      },
      monitored: ["SPY"],
      tenant: "default",
      quotes: {
        perSymbolMs: 1000,
        writesPerSecond: 20,
        burst: 40,
        flushMs: 200,
      },
      heartbeatMs: 15_000,
    },
    backfillDays: 365,
    leaseMs: 30 * SECOND,
    reconnect: { baseMs: SECOND, maxMs: MINUTE },
    http: { host: "127.0.0.1", port: 8000 },
    directory: resolve(".feedkeeper"),
    roles: new Set([
      "accounts",
      "feeds",
      "registry",
      "candles",
      "ledger",
      "http",
    ]),
    dryRun: false,
    logLevel: "INFO",
    logFormat: "json",
  });
});

describe("a value", () => {
  const good: [
    name: string,
    value: string,
    read: (config: Config) => unknown,
    expected: unknown,
  ][] = [
    ["DB_SCHEMA", "raw_2", (config) => config.schema, "raw_2"],
    ["ACCOUNT_SCHEMA", "_m", (config) => config.managerSchema, "_m"],
    ["HEALING_INTERVAL_SEC", "0.5", (c) => c.healing.intervalMs, 500],
    ["HEALING_INTERVAL_SEC", "86400", (c) => c.healing.intervalMs, DAY],
    ["HEALING_LOOKBACK_SEC", "1", (c) => c.healing.lookbackMs, SECOND],
    ["BACKFILL_DAYS", "1", (c) => c.backfillDays, 1],
    ["LEASE_SECONDS", "3600", (c) => c.leaseMs, HOUR],
    ["RECONNECT_BACKOFF_BASE_S", "0.05", (c) => c.reconnect.baseMs, 50],
    ["RECONNECT_BACKOFF_MAX_S", "1", (c) => c.reconnect.maxMs, SECOND],
    ["HOST", "localhost", (c) => c.http.host, "localhost"],
    ["HOST", "::1", (c) => c.http.host, "::1"],
    ["PORT", "0", (c) => c.http.port, 0],
    ["PORT", " 65535 ", (c) => c.http.port, 65_535],
    ["API_TOKEN", "t0ken", (c) => c.http.apiToken, "t0ken"],
    ["FEEDKEEPER_DIR", "/srv/keep", (c) => c.directory, "/srv/keep"],
    ["FEEDKEEPER_DIR", "keep", (c) => c.directory, resolve("keep")],
    [
      "FEEDKEEPER_ROLES",
      "Accounts, http",
      (c) => [...c.roles],
      ["accounts", "http"],
    ],
    ["FEEDKEEPER_ROLES", "all", (c) => c.roles.size, 6],
    ["STOP_AFTER_SECONDS", "90", (c) => c.stopAfterMs, 90 * SECOND],
    ["LOG_LEVEL", "debug", (c) => c.logLevel, "DEBUG"],
    ["LOG_LEVEL", "WARNING", (c) => c.logLevel, "WARN"],
    ["LOG_FORMAT", "pretty", (c) => c.logFormat, "pretty"],
    ["VENUE", "Simulated", (c) => c.venue, "simulated"],
    ...["1", "true", "TRUE", "yes", "on"].map(
      (value): (typeof good)[number] => [
        "DRY_RUN",
        value,
        (c) => c.dryRun,
        true,
      ],
    ),
    ...["0", "false", "no", "Off"].map((value): (typeof good)[number] => [
      "DRY_RUN",
      value,
      (c) => c.dryRun,
      false,
    ]),
  ];
  test.each(good)("%s=%s is taken", (name, value, read, expected) => {
    expect(read(readConfig({ [name]: value }))).toEqual(expected);
  });

  const bad: [name: string, value: string][] = [
    ["VENUE", "paper"],
    ["DB_SCHEMA", "Raw"],
    ["DB_SCHEMA", "2raw"],
    ["DB_SCHEMA", 'a"; drop'],
    ["DB_SCHEMA", "s".repeat(64)],
    ["ACCOUNT_SCHEMA", "my-schema"],
    ["HEALING_INTERVAL_SEC", "0"],
    ["HEALING_INTERVAL_SEC", "-300"],
    ["HEALING_INTERVAL_SEC", "5m"],
    ["HEALING_INTERVAL_SEC", "86401"],
    ["HEALING_INTERVAL_SEC", "NaN"],
    ["HEALING_INTERVAL_SEC", "1e3"],
    ["HEALING_LOOKBACK_SEC", "0.5"],
    ["HEALING_LOOKBACK_SEC", "2592001"],
    ["BACKFILL_DAYS", "0"],
    ["BACKFILL_DAYS", "1.5"],
    ["BACKFILL_DAYS", "36501"],
    ["LEASE_SECONDS", "0"],
    ["LEASE_SECONDS", "3601"],
    ["RECONNECT_BACKOFF_BASE_S", "0"],
    ["RECONNECT_BACKOFF_MAX_S", "Infinity"],
    ["HOST", "http://localhost"],
    ["HOST", "a b"],
    ["PORT", "65536"],
    ["PORT", "-1"],
    ["PORT", "80a"],
    ["FEEDKEEPER_ROLES", "accounts,webs"],
    ["FEEDKEEPER_ROLES", ","],
    ["DRY_RUN", "maybe"],
    ["STOP_AFTER_SECONDS", "0"],
    ["STOP_AFTER_SECONDS", "2000001"],
    ["LOG_LEVEL", "LOUD"],
    ["LOG_FORMAT", "xml"],
    ["TIMESCALE_HOST", "a/b"],
    ["TIMESCALE_PORT", "0"],
    ["ALPACA_TRADING_URL", "paper-api.alpaca.markets"],
    ["ALPACA_TRADING_URL", "wss://paper-api.alpaca.markets"],
    ["ALPACA_TRADING_STREAM_URL", "https://paper-api.alpaca.markets/stream"],
    ["ALPACA_DATA_URL", "data"],
    ["ALPACA_DATA_STREAM_URL", "http://x"],
    ["ALPACA_DATA_FEED", "otc"],
    ["SYMBOLS", "AAPL;SPY"],
    ["SYMBOLS", '["AAPL", 5]'],
    ["SYMBOLS", '["AAPL"'],
    ["CRYPTO_SYMBOLS", "BTC USD"],
    ["MONITORED_SYMBOLS", "$SPY"],
    ["ALPACA_SYMBOLS", "-"],
    ["REDIS_HOST", "redis://x"],
    ["REDIS_PORT", "x"],
    ["KAFKA_BOOTSTRAP_SERVERS", "broker"],
    ["KAFKA_BOOTSTRAP_SERVERS", "broker:70000"],
    ["KAFKA_BROKERS", ","],
    ["KAFKA_SSL", "tls"],
    ["KAFKA_SASL_MECHANISM", "gssapi"],
    ["KAFKA_TOPIC_LAYOUT", "one"],
    ["POLYGON_URL", "ftp://x"],
    ["POLYGON_STREAM_URL", "https://x"],
    ["POLYGON_FLATFILES_ENDPOINT", "s3://x"],
    ["POLYGON_REQUESTS_PER_MINUTE", "0"],
    ["FIRESTORE_EMULATOR_HOST", "localhost"],
    ["PER_SYMBOL_MIN_INTERVAL_MS", "0"],
    ["GLOBAL_WRITES_PER_SEC", "-20"],
    ["GLOBAL_BURST", "many"],
    ["FLUSH_INTERVAL_MS", "60001"],
    ["HEARTBEAT_INTERVAL_S", "0"],
  ];
  test.each(bad)("%s=%s is one problem that names it", (name, value) => {
    const problems = problemsOf({ [name]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith(`${name} must be `);
    expect(problems[0]).toContain(JSON.stringify(value).slice(1, 50));
  });

  const badSecrets: [name: string, value: string][] = [
    ["POSTGRESQL_LIVE_CONN_STRING", "mysql://u:hush@h/d"],
    ["POSTGRESQL_LIVE_LOCAL_CONN_STRING", "postgres://u:hush@h:99999/d"],
    ["POSTGRESQL_LIVE_SQLALCHEMY", "hush"],
    ["DATABASE_URL", "host=h password='hush"],
    ["REDIS_URL", "http://:hush@h"],
    ["API_TOKEN", "hush hush"],
    ["ALPACA_API_KEY", "hush\nhush"],
    ["POLYGON_API_KEY", "hush hush"],
    ["POLYGON_FLATFILES_SECRET_KEY", "hush\thush"],
  ];
  test.each(badSecrets)(
    "%s, a secret, is named when wrong and never repeated",
    (name, value) => {
      const problems = problemsOf({ [name]: value });
      expect(problems).toHaveLength(1);
      expect(problems[0]).toStartWith(name);
      expect(problems.join()).not.toContain("hush");
    },
  );

  const later: Environment = {
    TIMESCALE_HOST: "db",
    SYMBOLS: '["aapl", "BRK.B"]',
    CRYPTO_SYMBOLS: "btc/usd, ETH/USD,",
    MONITORED_SYMBOLS: "[]",
    REDIS_URL: "rediss://user:pass@cache:6380/2",
    KAFKA_BOOTSTRAP_SERVERS: "a:9092,b.c:9093,[::1]:9094",
    KAFKA_SASL_MECHANISM: "SCRAM-SHA-256",
    KAFKA_SASL_USERNAME: "keeper",
    KAFKA_SASL_PASSWORD: "p",
    KAFKA_SSL: "yes",
    FIRESTORE_PROJECT_ID: "project",
    TENANT_ID: "tenant",
    ALPACA_DATA_FEED: "SIP",
  };
  test("values of every later part are accepted when they are right", () => {
    expect(problemsOf(later)).toEqual([]);
  });

  test("a wrong value with credentials in it is shown without them", () => {
    const [problem] = problemsOf({
      POLYGON_URL: "ftp://me:hush@host?token=hush",
    });
    expect(problem).toContain("ftp://me:***@host?token=***");
  });

  test("a long wrong value is shown by its beginning", () => {
    const [problem = ""] = problemsOf({ PORT: "8".repeat(1000) });
    expect(problem.length).toBeLessThan(200);
    expect(problem).toContain("…");
  });

  test("set to nothing is the same as absent", () => {
    expect(
      readConfig({
        PORT: "",
        DESTINATIONS: " ",
        API_TOKEN: "",
        API_TOKEN_FILE: "",
        VENUE: "",
        HEALING_INTERVL_SEC: "",
      }),
    ).toEqual(readConfig({}));
  });
});

describe("settings together", () => {
  test.each(["0.0.0.0", "::", "192.168.1.4", "feedkeeper.example"])(
    "HOST=%s needs an API_TOKEN, since others can reach it",
    (host) => {
      expect(problemsOf({ HOST: host })).toEqual([
        `HOST is ${host}, which others can reach: API_TOKEN must be set`,
      ]);
      expect(problemsOf({ HOST: host, API_TOKEN: "t" })).toEqual([]);
    },
  );

  test("a token that is wrong itself is not also called missing", () => {
    expect(problemsOf({ HOST: "0.0.0.0", API_TOKEN: "a b" })).toEqual([
      "API_TOKEN must have no blanks or control characters in it",
    ]);
  });

  test("the first wait of a reconnect is not longer than the longest", () => {
    expect(
      problemsOf({
        RECONNECT_BACKOFF_BASE_S: "2",
        RECONNECT_BACKOFF_MAX_S: "1",
      }),
    ).toEqual([
      "RECONNECT_BACKOFF_BASE_S must not be greater than RECONNECT_BACKOFF_MAX_S",
    ]);
  });

  test.each([
    { ALPACA_API_KEY: "k" },
    { APCA_API_KEY_ID: "k" },
    { APCA_API_SECRET_KEY: "s" },
  ])("half a market data key is a problem: %o", (environment) => {
    expect(problemsOf(environment)).toEqual([
      "ALPACA_API_KEY and ALPACA_SECRET_KEY belong together: one of them is missing",
    ]);
  });

  test("the Firestore sink needs a tenant", () => {
    expect(problemsOf({ FIRESTORE_EMULATOR_HOST: "localhost:8080" })).toEqual([
      "TENANT_ID must be set when the Firestore sink is on",
    ]);
  });

  test("all problems come at once, each naming its variable", () => {
    const problems = problemsOf({
      DESTINATIONS: "live",
      ALPACA_API_KEY_LIVE: "k",
      PORT: "x",
      LOG_LEVEL: "x",
      HOST: "0.0.0.0",
      HEALING_LOOKBAK_SEC: "1",
      DATABASE_URL: "x",
    });
    const named = problems.map((problem) => problem.split(" ")[0]);
    expect(named.toSorted()).toEqual([
      "DATABASE_URL",
      "DESTINATIONS",
      "HEALING_LOOKBAK_SEC",
      "HOST",
      "LOG_LEVEL",
      "PORT",
    ]);
  });
});

describe("a misspelt variable", () => {
  test.each([
    ["HEALING_INTERVAL_SECS", "HEALING_INTERVAL_SEC"],
    ["FEEDKEEPER_ROLE", "FEEDKEEPER_ROLES"],
    ["FEEDKEEPER_DIRECTORY", "FEEDKEEPER_DIR"],
    ["DESTINATION", "DESTINATIONS"],
    ["DESTINATIONS_FIEL", "DESTINATIONS_FILE"],
    ["POSTGRESQL_LIVE_CON_STRING", "POSTGRESQL_LIVE_CONN_STRING"],
  ])("%s is a problem that names %s", (name, meant) => {
    expect(problemsOf({ [name]: "1" })).toEqual([
      `${name} is not a variable of feedkeeper; did you mean ${meant}?`,
    ]);
  });

  test("is called unknown without a guess when nothing is near", () => {
    expect(problemsOf({ FEEDKEEPER_COLOUR_OF_THE_SKY: "blue" })).toEqual([
      "FEEDKEEPER_COLOUR_OF_THE_SKY is not a variable of feedkeeper",
    ]);
  });

  test("is not what an orchestrator names a service called feedkeeper by", () => {
    expect(
      problemsOf({
        FEEDKEEPER_SERVICE_HOST: "10.0.0.1",
        FEEDKEEPER_SERVICE_PORT: "8000",
        FEEDKEEPER_SERVICE_PORT_HTTP: "8000",
        FEEDKEEPER_PORT: "tcp://10.0.0.1:8000",
        FEEDKEEPER_PORT_8000_TCP: "tcp://10.0.0.1:8000",
        FEEDKEEPER_PORT_8000_TCP_ADDR: "10.0.0.1",
      }),
    ).toEqual([]);
  });

  test("is not anything else in an ordinary environment", () => {
    expect(
      problemsOf({ PATH: "/bin", HOME: "/root", POSTGRES_PASSWORD: "x" }),
    ).toEqual([]);
  });
});

describe("a secret from a file", () => {
  test("is its content without the line break at the end", () => {
    const config = readConfig(
      {
        API_TOKEN_FILE: "/run/token",
        POSTGRESQL_LIVE_CONN_STRING_FILE: "/run/database",
      },
      files({
        "/run/token": "t0ken\r\n",
        "/run/database": "host=db password=' x '\n",
      }),
    );
    expect(config.http.apiToken).toBe("t0ken");
    expect(config.postgres.url).toBe("postgres://:%20x%20@db/");
  });

  test("and from its variable at once is a problem", () => {
    expect(
      problemsOf(
        { API_TOKEN: "a", API_TOKEN_FILE: "/run/token" },
        files({ "/run/token": "b" }),
      ),
    ).toEqual(["API_TOKEN and API_TOKEN_FILE are both set: one of them only"]);
  });

  test("that cannot be read is a problem", () => {
    expect(problemsOf({ API_TOKEN_FILE: "/run/none" }, files({}))).toEqual([
      "API_TOKEN_FILE names a file that cannot be read: /run/none",
    ]);
  });

  test("that is empty is the same as absent", () => {
    const config = readConfig(
      { API_TOKEN_FILE: "/run/token" },
      files({ "/run/token": "\n" }),
    );
    expect(config.http.apiToken).toBeUndefined();
  });

  test("is read for the key of a bare name too", () => {
    const { accounts } = readConfig(
      {
        DESTINATIONS: "paper",
        ALPACA_API_KEY_PAPER_FILE: "/run/key",
        ALPACA_SECRET_KEY_PAPER_FILE: "/run/secret",
      },
      files({ "/run/key": "PK1\n", "/run/secret": "s1\n" }),
    );
    expect(accounts[0]).toMatchObject({ keyId: "PK1", secretKey: "s1" });
  });
});

describe("the venue", () => {
  test.each([
    ["nothing", {}, "simulated"],
    ["only a database", { DATABASE_URL: "postgres://h/d" }, "simulated"],
    ["no accounts on purpose", { DESTINATIONS: "[]" }, "live"],
    ["accounts", PAPER, "live"],
    [
      "a market data key",
      { APCA_API_KEY_ID: "k", APCA_API_SECRET_KEY: "s" },
      "live",
    ],
    ["a Polygon key", { MASSIVE_API_KEY: "k" }, "live"],
    ["VENUE over accounts", { ...PAPER, VENUE: "simulated" }, "simulated"],
    ["VENUE over nothing", { DESTINATIONS: "[]", VENUE: "live" }, "live"],
  ] as const)("with %s configured", (_what, environment, venue) => {
    expect(readConfig(environment).venue).toBe(venue);
  });

  test("VENUE=simulated does not read the destinations, nor need their keys", () => {
    const config = readConfig({
      VENUE: "simulated",
      DESTINATIONS_FILE: "/none",
      DESTINATIONS: "live",
    });
    expect(config.accounts).toEqual([]);
    expect(config.destinationsFile).toBeUndefined();
  });

  test("VENUE=live with nothing to capture is a problem", () => {
    expect(problemsOf({ VENUE: "live" })).toEqual([
      "VENUE is live, but neither DESTINATIONS nor a market data key says what to capture",
    ]);
  });

  test("the key of an account that no list names is a problem, not a silent nothing", () => {
    expect(problemsOf({ ALPACA_API_KEY_LIVE: "k" })).toEqual([
      "DESTINATIONS is not set, but ALPACA_API_KEY_LIVE is: name its account there",
    ]);
  });
});

describe("destinations", () => {
  test("as bare names take keys and hosts from the variables of their names", () => {
    const config = readConfig({
      DESTINATIONS: "live, cold-harbour_v1.0,",
      ALPACA_API_KEY_LIVE: "AK-TWIN",
      ALPACA_SECRET_KEY_LIVE: "one",
      ALPACA_API_KEY_COLD_HARBOUR_V1_0: "PK-TWIN",
      ALPACA_SECRET_KEY_COLD_HARBOUR_V1_0: "two",
      ALPACA_BASE_URL_COLD_HARBOUR_V1_0: "http://127.0.0.1:9000/",
    });
    expect(config.accounts).toEqual([
      {
        name: "live",
        slug: "live",
        restUrl: "https://api.alpaca.markets",
        streamUrl: "wss://api.alpaca.markets/stream",
        keyId: "AK-TWIN",
        secretKey: "one",
        allowTrading: false,
      },
      {
        name: "cold-harbour_v1.0",
        slug: "cold_harbour_v1_0",
        restUrl: "http://127.0.0.1:9000",
        streamUrl: "ws://127.0.0.1:9000/stream",
        keyId: "PK-TWIN",
        secretKey: "two",
        allowTrading: false,
      },
    ]);
  });

  test("as JSON say everything themselves, or leave keys to the variables", () => {
    const { accounts } = readConfig({
      DESTINATIONS: JSON.stringify([
        {
          name: "Main",
          base_url: "https://api.alpaca.markets/v2/",
          key_id: "k",
          secret_key: "s",
          allow_trading: true,
          initial_deposit: "1000.50",
        },
        { name: "2nd", key_id: "", initial_deposit: null },
        "paper",
      ]),
      ALPACA_API_KEY_2ND: "k2",
      ALPACA_SECRET_KEY_2ND: "s2",
      ALPACA_API_KEY_MAIN: "ignored",
      ALPACA_BASE_URL_MAIN: "http://ignored",
      ALPACA_API_KEY_PAPER: "k3",
      ALPACA_SECRET_KEY_PAPER: "s3",
    });
    expect(accounts).toEqual([
      {
        name: "Main",
        slug: "main",
        restUrl: "https://api.alpaca.markets",
        streamUrl: "wss://api.alpaca.markets/stream",
        keyId: "k",
        secretKey: "s",
        allowTrading: true,
        initialDeposit: 1000.5,
      },
      expect.objectContaining({
        slug: "d_2nd",
        keyId: "k2",
        secretKey: "s2",
        restUrl: "https://paper-api.alpaca.markets",
      }),
      expect.objectContaining({ slug: "paper", keyId: "k3" }),
    ]);
    expect(accounts[1]).not.toHaveProperty("initialDeposit");
  });

  test.each([
    ["https://host/", "https://host", "wss://host/stream"],
    ["https://host/v2", "https://host", "wss://host/stream"],
    ["https://host//v2//", "https://host", "wss://host/stream"],
    [
      "http://host:81/venue/v2",
      "http://host:81/venue",
      "ws://host:81/venue/stream",
    ],
    [" https://HOST ", "https://host", "wss://host/stream"],
  ])("base_url %s is the host %s", (url, restUrl, streamUrl) => {
    const [account] = readConfig({
      ...PAPER,
      ALPACA_BASE_URL_PAPER: url,
    }).accounts;
    expect(account).toMatchObject({ restUrl, streamUrl });
  });

  test("ALPACA_TRADING_URL is the host of accounts that name none", () => {
    const { accounts } = readConfig({
      ...PAPER,
      DESTINATIONS: '["paper", {"name": "b", "base_url": "http://b"}]',
      ALPACA_API_KEY_B: "k",
      ALPACA_SECRET_KEY_B: "s",
      ALPACA_TRADING_URL: "http://127.0.0.1:7000/v2",
    });
    expect(accounts.map(({ restUrl }) => restUrl)).toEqual([
      "http://127.0.0.1:7000",
      "http://b",
    ]);
  });

  test("ALPACA_TRADING_STREAM_URL is the stream of every account", () => {
    const [account] = readConfig({
      ...PAPER,
      ALPACA_TRADING_STREAM_URL: "ws://127.0.0.1:7001/stream/",
    }).accounts;
    expect(account?.streamUrl).toBe("ws://127.0.0.1:7001/stream");
  });

  test("one stream for accounts of different hosts is a problem", () => {
    expect(
      problemsOf({
        DESTINATIONS: JSON.stringify([
          { name: "a", base_url: "http://a", key_id: "k", secret_key: "s" },
          { name: "b", base_url: "http://b", key_id: "k", secret_key: "s" },
        ]),
        ALPACA_TRADING_STREAM_URL: "ws://a/stream",
      }),
    ).toEqual([
      "ALPACA_TRADING_STREAM_URL is one stream, but the accounts have different hosts: http://a, http://b",
    ]);
  });

  const entry = { name: "a", key_id: "hush-key", secret_key: "hush-secret" };
  test.each([
    ["no JSON", '[{"name": "a", "secret_key": "hush', /must be a JSON array/],
    ["an object alone", JSON.stringify(entry), /must be a JSON array/],
    ["a number in the array", "[5]", /^DESTINATIONS\[0\] must be an object/],
    ["no name", '[{"key_id": "hush"}]', /^DESTINATIONS\[0\] name must be/],
    ["an empty name", '[" "]', /^DESTINATIONS\[0\] name must be/],
    [
      "an unknown member",
      [{ ...entry, risk: "hush" }],
      /unknown member risk; known are name, base_url,/,
    ],
    [
      "a flag that is a text",
      [{ ...entry, allow_trading: "hush" }],
      /allow_trading must be true or false/,
    ],
    [
      "a deposit below nothing",
      [{ ...entry, initial_deposit: -1 }],
      /initial_deposit must be a number, 0 or more/,
    ],
    [
      "a key with a blank in it",
      [{ ...entry, secret_key: "hush hush" }],
      /secret_key \(or ALPACA_SECRET_KEY_A\) must have no blanks/,
    ],
    [
      "an address of another kind",
      [{ ...entry, base_url: "ws://x" }],
      /\(a\): base_url must be an https/,
    ],
    [
      "an address with credentials in it",
      [{ ...entry, base_url: "https://u:hush@x" }],
      /\(a\): base_url must be an https/,
    ],
    ["a name like a secret's file", "my-file", /cannot be told from the file/],
  ])("with %s are a problem that tells no secret", (_what, value, expected) => {
    const problems = problemsOf({
      DESTINATIONS: typeof value === "string" ? value : JSON.stringify(value),
      ALPACA_API_KEY_MY_FILE: "k",
      ALPACA_SECRET_KEY_MY_FILE: "s",
    });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(expected);
    expect(problems[0]).not.toContain("hush");
  });

  test("a wrong address names the variable it came from", () => {
    expect(
      problemsOf({ ...PAPER, ALPACA_BASE_URL_PAPER: "paper" })[0],
    ).toStartWith("DESTINATIONS (paper): ALPACA_BASE_URL_PAPER must be");
    expect(
      problemsOf({ ...PAPER, ALPACA_TRADING_URL: "https://x?y" })[0],
    ).toStartWith("DESTINATIONS (paper): ALPACA_TRADING_URL must be");
  });

  test("without keys name the variables that could give them", () => {
    expect(problemsOf({ DESTINATIONS: "live" })).toEqual([
      "DESTINATIONS (live) has no key_id: give it, or set ALPACA_API_KEY_LIVE",
      "DESTINATIONS (live) has no secret_key: give it, or set ALPACA_SECRET_KEY_LIVE",
    ]);
  });

  test("that would share tables are a problem", () => {
    const entries = ["my acct", "My-Acct"].map((name) => ({ ...entry, name }));
    expect(problemsOf({ DESTINATIONS: JSON.stringify(entries) })).toEqual([
      'DESTINATIONS: "my acct" and "My-Acct" would share the tables of my_acct',
    ]);
  });

  test("may be as long as a table name allows, and not a character longer", () => {
    const named = (length: number) => ({
      DESTINATIONS: JSON.stringify([{ ...entry, name: "a".repeat(length) }]),
    });
    expect(problemsOf(named(SLUG_LENGTH_MAX))).toEqual([]);
    expect(problemsOf(named(SLUG_LENGTH_MAX + 1))).toEqual([
      expect.stringContaining("too long for a table name by 1 characters"),
    ]);
  });

  test("are as many as one process takes, and not one more", () => {
    const many = (count: number) => ({
      DESTINATIONS: JSON.stringify(
        Array.from({ length: count }, (_, index) => ({
          ...entry,
          name: `a${index}`,
        })),
      ),
    });
    expect(readConfig(many(ACCOUNTS_MAX)).accounts).toHaveLength(ACCOUNTS_MAX);
    expect(problemsOf(many(ACCOUNTS_MAX + 1))).toEqual([
      "DESTINATIONS names 1001 accounts; one process takes at most 1000",
    ]);
  });
});

describe("the destinations file", () => {
  const text = JSON.stringify([{ name: "a", key_id: "k", secret_key: "s" }]);

  test("is read like DESTINATIONS, and its path kept for the next reading", () => {
    const config = readConfig(
      { DESTINATIONS_FILE: "accounts.json" },
      files({ "accounts.json": `${text}\n` }),
    );
    expect(config.accounts.map(({ slug }) => slug)).toEqual(["a"]);
    expect(config.destinationsFile).toBe(resolve("accounts.json"));
  });

  test("that cannot be read, or beside DESTINATIONS, is a problem", () => {
    expect(problemsOf({ DESTINATIONS_FILE: "/none" }, files({}))).toEqual([
      "DESTINATIONS_FILE names a file that cannot be read: /none",
    ]);
    expect(
      problemsOf(
        { DESTINATIONS_FILE: "/a", DESTINATIONS: "[]" },
        files({ "/a": text }),
      ),
    ).toEqual([
      "DESTINATIONS and DESTINATIONS_FILE are both set: one of them only",
    ]);
  });

  test("read again gives the accounts as they are now, keys from files included", () => {
    const contents: Record<string, string> = { "/a": '["x"]', "/key": "k1" };
    const environment = {
      DESTINATIONS_FILE: "/a",
      ALPACA_API_KEY_X_FILE: "/key",
      ALPACA_SECRET_KEY_X: "s",
      ALPACA_TRADING_URL: "http://venue",
    };
    const read = () => readDestinationsFile("/a", environment, files(contents));
    expect(read().map(({ keyId }) => keyId)).toEqual(["k1"]);
    contents["/key"] = "k2";
    expect(read()).toMatchObject([{ keyId: "k2", restUrl: "http://venue" }]);
    contents["/a"] = "[]";
    expect(read()).toEqual([]);
    contents["/a"] = "[{]";
    expect(read).toThrow(ConfigError);
    delete contents["/a"];
    expect(read).toThrow("DESTINATIONS_FILE names a file that cannot be read");
  });
});

describe("the database", () => {
  const order = [
    "POSTGRESQL_LIVE_LOCAL_CONN_STRING",
    "POSTGRESQL_LIVE_CONN_STRING",
    "POSTGRESQL_LIVE_SQLALCHEMY",
    "DATABASE_URL",
  ];
  test.each(order.map((name, index) => [name, index] as const))(
    "%s wins over those after it",
    (name, index) => {
      const environment = Object.fromEntries(
        order
          .slice(index)
          .map((variable) => [
            variable,
            `postgresql+asyncpg://me:p%40ss@${variable.toLowerCase()}/db?sslmode=require`,
          ]),
      );
      expect(readConfig(environment).postgres.url).toBe(
        `postgres://me:p%40ss@${name.toLowerCase()}/db?sslmode=require`,
      );
    },
  );
});

describe("flags and terminal", () => {
  test("a flag wins over its variable", () => {
    const config = readConfig(
      { DRY_RUN: "off", LOG_LEVEL: "ERROR" },
      { flags: { dryRun: true, logLevel: "DEBUG" } },
    );
    expect(config.dryRun).toBe(true);
    expect(config.logLevel).toBe("DEBUG");
  });

  test("a flag that is not given leaves the variable", () => {
    const config = readConfig({ DRY_RUN: "on" }, { flags: { dryRun: false } });
    expect(config.dryRun).toBe(true);
  });

  test("lines are readable on a terminal unless LOG_FORMAT says otherwise", () => {
    const isTerminal = true;
    expect(readConfig({}, { isTerminal }).logFormat).toBe("pretty");
    expect(readConfig({ LOG_FORMAT: "json" }, { isTerminal }).logFormat).toBe(
      "json",
    );
  });
});

test("the effective configuration shows every value and no secret", () => {
  const shown = effectiveConfig(
    readConfig({
      ...PAPER,
      API_TOKEN: "hush-token",
      DATABASE_URL: "postgres://me:hush-p%40ss@db:5433/keep?sslpassword=hush",
    }),
  );
  expect(shown).toMatchObject({
    venue: "live",
    accounts: [
      {
        name: "paper",
        keyId: "***",
        secretKey: "***",
        restUrl: "https://paper-api.alpaca.markets",
      },
    ],
    postgres: { url: "postgres://me:***@db:5433/keep?sslpassword=***" },
    http: { host: "127.0.0.1", port: 8000, apiToken: "***" },
    roles: ["accounts", "feeds", "registry", "candles", "ledger", "http"],
  });
  const text = JSON.stringify(shown);
  for (const secret of ["hush", "PK-TWIN", "twin-secret"])
    expect(text).not.toContain(secret);
});

test("the process's environment is what the process has", () => {
  expect(processEnvironment()["PATH"]).toBe(process.env["PATH"]);
});

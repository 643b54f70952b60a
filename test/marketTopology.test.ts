import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  Bar,
  BarSpan,
  MarketMessage,
  Notice,
  Quote,
  Trade,
} from "../schema/market.ts";
import { type Environment, readConfig } from "../src/config.ts";
import { undeliveredCount } from "../src/flow/outbox.ts";
import {
  createMarketTopology,
  marketSpools,
  type MarketTopology,
} from "../src/marketTopology.ts";
import { createMetrics, type Metrics } from "../src/metrics.ts";
import { Database } from "../src/stores/postgres/database.ts";

const REDIS = { REDIS_URL: "redis://127.0.0.1:1" };

const NOTICES: readonly Notice["kind"][] = [
  "correction",
  "cancel",
  "status",
  "luld",
  "imbalance",
  "orderbook",
  "news",
  "unknown",
];

let directory: string;
let market: MarketTopology | undefined;
let metrics: Metrics;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "market-topology-"));
});
afterEach(async () => {
  await market?.close();
  market = undefined;
  rmSync(directory, { recursive: true });
});

function create(
  environment: Environment = {},
  { dryRun = false, accountsDatabase = new Database() } = {},
): MarketTopology {
  const config = readConfig(
    {
      ALPACA_API_KEY: "key",
      ALPACA_SECRET_KEY: "secret",
      SYMBOLS: "AAPL,SPY",
      CRYPTO_SYMBOLS: "BTC/USD",
      MONITORED_SYMBOLS: "SPY,ETH/USD",
      FEEDKEEPER_DIR: directory,
      ...environment,
    },
    { flags: { dryRun } },
  );
  if (config.market.access === undefined) throw new Error("no access");
  metrics = createMetrics();
  market = createMarketTopology({
    config,
    metrics,
    session: "session-1",
    accountsDatabase,
    access: config.market.access,
  });
  return market;
}

const common = {
  symbol: "SPY",
  timestamp: "2026-09-16T14:00:00Z",
  receivedAtMs: 1,
};
const trade = (size = 1): Trade => ({
  kind: "trade",
  ...common,
  price: 1,
  size,
});
const quote = (symbol: string): Quote => ({
  kind: "quote",
  ...common,
  symbol,
  bid: 1,
  ask: 3,
});
const notice = (kind: Notice["kind"]): Notice => ({
  kind,
  ...common,
  value: {},
});
const bar = (span: BarSpan): Bar => ({
  kind: "bar",
  span,
  ...common,
  open: 1,
  high: 4,
  low: 0.5,
  close: 2,
  volume: 100,
  source: "alpaca:iex",
});

/** Where messages went: sinks with how many wait for them, and kinds that nobody took. */
function whereabouts({
  redis,
  bars,
  lanes,
  router,
}: MarketTopology): Record<string, unknown> {
  return {
    ...(redis === undefined ? {} : { redis: redis.queue.length }),
    bars: bars.queue.length,
    ...Object.fromEntries(
      lanes.map(({ sink, coalescer }) => [sink, coalescer.waiting]),
    ),
    untaken: Object.fromEntries(router.untaken),
  };
}

const droppedIn = async () =>
  (await metrics.text())
    .split("\n")
    .filter((line) => line.startsWith("feedkeeper_sink_dropped_total{"));

describe("a message goes to the sinks that take it:", () => {
  const nowhere = { redis: 0, bars: 0, "quotes-postgres": 0, untaken: {} };
  test.each<[what: string, message: MarketMessage, went: object]>([
    ["a trade to Redis", trade(), { redis: 1 }],
    [
      "a minute bar to Redis and the store",
      bar("minute"),
      { redis: 1, bars: 1 },
    ],
    ["an updated bar to the store alone", bar("updated"), { bars: 1 }],
    ["a daily bar nowhere, counted", bar("daily"), { untaken: { bar: 1 } }],
    ["a monitored quote to its lane", quote("SPY"), { "quotes-postgres": 1 }],
    [
      "any other quote nowhere, counted",
      quote("AAPL"),
      { untaken: { quote: 1 } },
    ],
    ...NOTICES.map((kind): [string, MarketMessage, object] => [
      `a ${kind} nowhere, counted`,
      notice(kind),
      { untaken: { [kind]: 1 } },
    ]),
  ])("%s", (_what, message, went) => {
    const made = create(REDIS);
    made.feeds[0]?.deliver([message]);
    expect(whereabouts(made)).toEqual({ ...nowhere, ...went });
  });

  test("without Redis a trade is counted, and a minute bar is stored all the same", () => {
    const made = create();
    made.feeds[0]?.deliver([trade(), bar("minute")]);
    expect(whereabouts(made)).toEqual({
      bars: 1,
      "quotes-postgres": 0,
      untaken: { trade: 1 },
    });
  });

  test("with Firestore a monitored quote goes to both lanes, and the board shows it", () => {
    const made = create({
      FIRESTORE_EMULATOR_HOST: "127.0.0.1:1",
      TENANT_ID: "tenant",
    });
    made.feeds[0]?.deliver([quote("SPY"), quote("AAPL"), quote("SPY")]);
    expect(whereabouts(made)).toMatchObject({
      "quotes-postgres": 1,
      "quotes-firestore": 1,
    });
    expect(made.quotes).toEqual({ seen: 2, lastSymbol: "SPY", lastQuoteMs: 1 });
    const due = made.lanes.map(({ coalescer }) => [
      ...coalescer.take(0, 10).values(),
    ]);
    const latest = {
      symbol: "SPY",
      timestamp: common.timestamp,
      bid: 1,
      ask: 3,
      price: 2,
    };
    expect(due).toEqual([[latest], [latest]]);
  });

  test("what can not be read is a dead letter of its feed", async () => {
    const made = create();
    made.feeds[1]?.setAside("{", "no JSON");
    expect(made.bars.queue.takeUpTo(10)).toEqual([
      {
        kind: "malformed",
        feed: "feed/crypto",
        raw: "{",
        reason: "no JSON",
        receivedAtMs: expect.any(Number),
      },
    ]);
    expect(await metrics.text()).toContain(
      'feedkeeper_dead_letters_total{account="feed/crypto"} 1',
    );
  });
});

describe("what is wanted", () => {
  const wanted = ({ feeds }: MarketTopology) =>
    Object.fromEntries(feeds.map((run) => [run.venue.id, run.wanted()]));

  test("of a feed are the symbols of its class, trades only where Redis takes them, quotes of the monitored", () => {
    const stock = ["AAPL", "SPY"];
    const crypto = ["BTC/USD"];
    expect(wanted(create())).toEqual({
      stock: { bars: stock, updatedBars: stock, trades: [], quotes: ["SPY"] },
      crypto: {
        bars: crypto,
        updatedBars: crypto,
        trades: [],
        quotes: ["ETH/USD"],
      },
    });
  });

  test("changes with the book of subscriptions", () => {
    const made = create(REDIS);
    made.book.apply({
      action: "subscribe",
      assetClass: "crypto",
      symbol: "SOL/USD",
      spellings: [],
    });
    const crypto = ["BTC/USD", "SOL/USD"];
    expect(wanted(made)["crypto"]).toEqual({
      bars: crypto,
      updatedBars: crypto,
      trades: crypto,
      quotes: ["ETH/USD"],
    });
  });

  test("of the test feed is its one symbol on the channels that it offers, and its quotes are taken", () => {
    const made = create({ ...REDIS, ALPACA_DATA_FEED: "test" });
    const symbols = ["FAKEPACA"];
    expect(wanted(made)["stock"]).toEqual({
      bars: symbols,
      trades: symbols,
      quotes: symbols,
    });
    made.feeds[0]?.deliver([quote("FAKEPACA")]);
    expect(whereabouts(made)).toMatchObject({
      "quotes-postgres": 1,
      untaken: {},
    });
  });
});

describe("a feed", () => {
  test.each([
    ["iex", "ws://data.test/v2/iex", true],
    ["sip", "ws://data.test/v2/sip", true],
    ["delayed_sip", "ws://data.test/v2/delayed_sip", true],
    // The history of its symbol is nowhere to be had.
    ["test", "ws://data.test/v2/test", false],
  ])(
    "%s has its own address, and REST behind it where there is one",
    (feed, url, hasHistory) => {
      const made = create({
        ALPACA_DATA_FEED: feed,
        ALPACA_DATA_STREAM_URL: "ws://data.test",
      });
      expect(
        made.feeds.map(({ venue, history }) => [
          venue.url,
          history !== undefined,
        ]),
      ).toEqual([
        [url, hasHistory],
        ["ws://data.test/v1beta3/crypto/us", true],
      ]);
    },
  );

  test("of the simulated venue never rests; one of the exchange does", () => {
    const sunday = Date.parse("2026-09-20T15:00:00Z");
    const open = (made: MarketTopology) =>
      made.feeds.map(({ venue }) => venue.isOpen(sunday));
    expect(open(create({ VENUE: "simulated" }))).toEqual([true, true]);
    expect(open(create())).toEqual([false, true]);
  });

  test("has a dial schedule of its own, which outlives its actors", () => {
    const [stock, crypto] = create().feeds;
    stock?.dials.refused(Date.now());
    expect(stock?.dials.waitMs(Date.now())).toBeGreaterThan(0);
    expect(crypto?.dials.waitMs(Date.now())).toBe(0);
  });
});

describe("what Redis does not take in time", () => {
  /** Trades numbered from 0 by their size, in frames. */
  function burst({ feeds }: MarketTopology, count: number): void {
    for (let from = 0; from < count; from += 500)
      feeds[0]?.deliver(
        Array.from({ length: Math.min(500, count - from) }, (_, index) =>
          trade(from + index),
        ),
      );
  }

  test("gives way when the policy is to drop, oldest first, and the counter is exact", async () => {
    const made = create({ ...REDIS, REDIS_OVERFLOW: "drop" });
    const { redis } = made;
    if (redis === undefined) throw new Error("no Redis");
    burst(made, 250_000);
    const { memory, disk } = undeliveredCount(redis);
    const dropped = 250_000 - memory - disk;
    // It holds 200,000, and 20,000 at most wait in front of it.
    expect(dropped).toBeGreaterThanOrEqual(30_000);
    expect(dropped).toBeLessThanOrEqual(50_000);
    expect(made.dropped).toMatchObject({ bars: 0, kafka: 0, redis: dropped });
    expect(await droppedIn()).toEqual([
      `feedkeeper_sink_dropped_total{sink="redis",kind="trade"} ${dropped}`,
    ]);
    const [oldest] = redis.spool.read("redis", 1);
    expect(oldest?.item).toMatchObject({ size: dropped });
    expect(readdirSync(directory)).not.toContain("spool-redis.sqlite");
    // A stop without Redis gives up the rest, and says so as well.
    redis.spool.close();
    expect(made.dropped.redis).toBe(250_000 - memory);
  });

  test("is kept on disk when the policy is to keep: none is dropped, and it is there again after a restart", async () => {
    const keep = { ...REDIS, REDIS_OVERFLOW: "keep" };
    const made = create(keep);
    const { redis } = made;
    if (redis === undefined) throw new Error("no Redis");
    burst(made, 50_000);
    const { memory, disk } = undeliveredCount(redis);
    expect(memory + disk).toBe(50_000);
    expect(disk).toBeGreaterThanOrEqual(30_000);
    expect(made.dropped).toMatchObject({ bars: 0, kafka: 0, redis: 0 });
    expect(await droppedIn()).toEqual([]);
    await made.close();
    const again = create(keep);
    expect(again.redis?.spool.depth("redis")).toBe(disk);
    const [oldest] = again.redis?.spool.read("redis", 1) ?? [];
    expect(oldest?.item).toEqual(trade(0));
  });

  test("does not touch the bars: the store has them, in order", () => {
    const made = create({ ...REDIS, REDIS_OVERFLOW: "drop" });
    for (let count = 0; count < 25_000; count++)
      made.feeds[0]?.deliver([{ ...bar("minute"), volume: count }]);
    const { memory, disk } = undeliveredCount(made.bars);
    expect([memory + disk, made.dropped.bars]).toEqual([25_000, 0]);
    const [oldest] = made.bars.spool.read("bars", 1);
    expect(oldest?.item).toMatchObject({ kind: "bar", volume: 0 });
  });
});

describe("on disk", () => {
  test("each sink that keeps has a spool of its own", () => {
    create({ ...REDIS, REDIS_OVERFLOW: "keep" });
    const files = readdirSync(directory).filter((name) => /sqlite$/.test(name));
    const paths = marketSpools(directory);
    expect(files.sort().map((name) => join(directory, name))).toEqual(
      [paths.bars, paths.redis].sort(),
    );
  });

  test("a dry run leaves nothing, whatever overflows", async () => {
    const made = create({ ...REDIS, REDIS_OVERFLOW: "keep" }, { dryRun: true });
    for (let frame = 0; frame < 60; frame++)
      made.feeds[0]?.deliver([
        ...Array.from({ length: 500 }, () => trade()),
        ...Array.from({ length: 500 }, () => bar("minute")),
      ]);
    await made.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("a dry run knows of no gaps, also where there is no database", async () => {
    const [run] = create({}, { dryRun: true }).feeds;
    expect(await run?.store.knownMinutes(["SPY"], new Date(0))).toEqual(
      new Map(),
    );
  });
});

describe("the database", () => {
  test("is the accounts' one, and is left open for them", async () => {
    const accountsDatabase = new Database();
    accountsDatabase.use("postgres://localhost:1/accounts");
    const made = create({}, { accountsDatabase });
    expect(made.database).toBe(accountsDatabase);
    await made.close();
    market = undefined;
    expect(() => accountsDatabase.sql).not.toThrow();
    await accountsDatabase.close();
  });

  test("is another one where it is configured, and goes with the market", async () => {
    const made = create({
      TIMESCALE_HOST: "localhost",
      TIMESCALE_PORT: "1",
      TIMESCALE_DB: "bars",
    });
    expect(made.database.url).toEndWith("@localhost:1/bars");
    await made.close();
    market = undefined;
    expect(() => made.database.sql).toThrow();
  });
});

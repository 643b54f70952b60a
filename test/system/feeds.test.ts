/** Market feeds of the real program, from a simulated market to Redis, Postgres and Firestore. */
import { expect, test } from "bun:test";
import { union } from "../../src/accounts/intervals.ts";
import { MINUTE, SECOND, sleep } from "../../src/clock.ts";
import {
  migrateMarket,
  migrateService,
} from "../../src/stores/postgres/migrate.ts";
import {
  newTenant,
  openFirestoreDoor,
  readDocument,
  readDocuments,
} from "../support/firestore.ts";
import type { Market } from "../support/market.ts";
import { hearAll, openRedisDoor, redisClient } from "../support/redis.ts";
import { openScene, type Scene } from "../support/scene.ts";
import type { Environment, Service } from "../support/service.ts";

/** Feeds with the key of this account; nothing else runs. */
function feedsOf({ venue, entry }: Market, account: string): Environment {
  const { key_id: keyId, secret_key: secretKey } = entry(account);
  return {
    DESTINATIONS: "[]",
    ALPACA_API_KEY: String(keyId),
    ALPACA_SECRET_KEY: String(secretKey),
    ALPACA_DATA_URL: venue.url,
    ALPACA_DATA_STREAM_URL: venue.url.replace(/^http/, "ws"),
    SYMBOLS: "AAPL,SPY",
    CRYPTO_SYMBOLS: "BTC/USD",
    MONITORED_SYMBOLS: "SPY,BTC/USD",
  };
}

const feedOf = async (service: Service, name: string) =>
  (await service.status()).feeds.find(({ feed }) => feed === name);

/** Waits until this feed streams so many symbols times channels. */
function subscribes(
  service: Service,
  name: string,
  count: number,
): Promise<void> {
  return service.until(`${count} subscriptions of ${name}`, async () => {
    const feed = await feedOf(service, name);
    return feed?.state === "streaming" && feed.subscribed === count;
  });
}

const isoMs = (ms: number) => new Date(Math.floor(ms)).toISOString();

/** What a consumer has to hear of a symbol's trades that happened in the time. */
function tradesIn({ venue }: Market, symbol: string, from: number, to: number) {
  const prompt: string[] = [];
  /** Told when they are reported, out of their order. */
  const late: string[] = [];
  const { tape } = venue.market;
  for (let minuteMs = minuteOf(from); minuteMs <= to; minuteMs += MINUTE)
    for (const trade of tape.minute(symbol, minuteMs).trades) {
      const { atMs, reportedMs, price, size } = trade;
      if (atMs < from || atMs >= to) continue;
      (reportedMs === atMs ? prompt : late).push(
        `market_trades:${symbol} {"symbol":"${symbol}","price":${price},"size":${size},"timestamp":"${isoMs(atMs)}","tickType":"trade"}`,
      );
    }
  return { prompt, late };
}

/** All trades of a symbol in the time came, as they happened and byte for byte, and nothing else. */
function expectTrades(
  heard: readonly string[],
  market: Market,
  symbol: string,
  from: number,
  to: number,
): void {
  const { prompt, late } = tradesIn(market, symbol, from, to);
  const came = linesOf(heard, `market_trades:${symbol}`, from, to);
  expect(came.filter((line) => !late.includes(line))).toEqual(prompt);
}

function barAt({ venue }: Market, symbol: string, minuteMs: number): string {
  const bar = venue.market.tape.bar(symbol, minuteMs, "prompt");
  if (bar === undefined) throw new Error(`no bar of ${symbol}`);
  const { o, h, l, c, v } = bar;
  return `market_data:${symbol} {"symbol":"${symbol}","timeframe":"1m","open":${o},"high":${h},"low":${l},"close":${c},"volume":${v},"timestamp":"${isoMs(minuteMs)}"}`;
}

function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE) * MINUTE;
}

/** Lines of this channel whose time lies in between, each once. */
function linesOf(
  heard: readonly string[],
  channel: string,
  from: number,
  to: number,
): string[] {
  const isIn = (line: string) => {
    const ms = Date.parse(/"timestamp":"([^"]+)"/.exec(line)?.[1] ?? "");
    return Math.floor(from) <= ms && ms < to;
  };
  return [
    ...new Set(
      heard.filter((line) => line.startsWith(`${channel} `) && isIn(line)),
    ),
  ];
}

/** Subscribed all along by {@link feedsOf}. */
const ALWAYS = ["AAPL", "SPY", "BTC/USD"];

/** Waits until later trades of each symbol were heard: then those before have been. */
function hearsBeyond(
  service: Service,
  heard: readonly string[],
  ms: number,
): Promise<void> {
  return service.until("later trades of each", () =>
    ALWAYS.every(
      (symbol) =>
        linesOf(heard, `market_trades:${symbol}`, ms, Infinity).length > 0,
    ),
  );
}

test.concurrent(
  "a consumer of the older ingestor hears bars and trades byte for byte, in both languages of the venue; symbols come and go by control events and sets, and an outage of Redis loses nothing",
  async () => {
    await using scene = await openScene(["alpha", "beta"]);
    const { market } = scene;
    await using redis = await redisClient();
    await redis.del(
      "active_subscriptions:stock",
      "active_subscriptions:crypto",
    );
    await using door = await openRedisDoor();
    await using consumer = await hearAll("market_data:*", "market_trades:*");
    const { heard } = consumer;
    const tell = (event: object) =>
      redis.publish("system:subscription_updates", JSON.stringify(event));

    const service = await scene.start({
      environment: { ...feedsOf(market, "alpha"), REDIS_URL: door.url },
    });
    // Bars, updated bars and trades of each, and quotes of one.
    await subscribes(service, "stock", 7);
    await subscribes(service, "crypto", 4);
    await service.ready();
    await service.logged("actor_state_changed", {
      actor: "pipeline/control/subscriptions",
      state: "listening",
    });
    const from = Date.now();

    await tell({ action: "subscribe", symbol: " nvda ", sessionId: "one" });
    await subscribes(service, "stock", 10);
    await tell({ action: "subscribe", symbol: "ETHUSD", type: "crypto" });
    await subscribes(service, "crypto", 7);
    await tell({ action: "subscribe", symbol: "NVDA", sessionId: "two" });
    await tell({ action: "unsubscribe", symbol: "NVDA", sessionId: "one" });
    await tell({ action: "unsubscribe", symbol: "AAPL" });
    await tell({ action: "explode" });
    await service.logged("control_event_refused", {
      event: '{"action":"explode"}',
    });
    const added = Date.now();
    await service.until("trades of the new ones", () =>
      ["NVDA", "ETH/USD"].every((symbol) =>
        heard.some((line) => line.startsWith(`market_trades:${symbol} `)),
      ),
    );
    const nvdaTo = Date.now() - SECOND;

    await door.shut();
    await redis.sadd("active_subscriptions:stock", "TSLA");
    await service.until("the outage on /health", async () => {
      const { checks } = await service.health();
      const amiss = checks.filter(({ ok }) => !ok).map(({ name }) => name);
      return amiss.includes("redis") && amiss.includes("subscriptions");
    });
    expect((await feedOf(service, "stock"))?.state).toBe("streaming");
    await tell({ action: "unsubscribe", symbol: "NVDA", sessionId: "two" });
    await door.reopen();
    // The word about NVDA was lost, and the sets do not know of sessions: it stays.
    await subscribes(service, "stock", 13);
    await tell({ action: "unsubscribe", symbol: "NVDA", sessionId: "two" });
    await subscribes(service, "stock", 10);
    const removed = Date.now() + SECOND;
    await redis.srem("active_subscriptions:stock", "TSLA");
    await tell({ action: "unsubscribe", symbol: "TSLA" });
    await subscribes(service, "stock", 7);

    const barMs = minuteOf(Date.now());
    await service.until(
      "a bar of each",
      () =>
        ["AAPL", "SPY", "BTC/USD", "ETH/USD"].every((symbol) =>
          heard.includes(barAt(market, symbol, barMs)),
        ),
      MINUTE + 10 * SECOND,
    );
    const to = Date.now();
    await hearsBeyond(service, heard, to);
    for (const symbol of ALWAYS) expectTrades(heard, market, symbol, from, to);
    expectTrades(heard, market, "NVDA", added, nvdaTo);
    expect(linesOf(heard, "market_trades:NVDA", removed, to)).toEqual([]);
    // What was published twice around the outage is a batch, no more.
    expect(heard.length - new Set(heard).size).toBeLessThan(20);
    const { sinks } = await service.status();
    expect(sinks.find(({ sink }) => sink === "redis")?.dropped).toBe(0);
    expect((await service.stop()).code).toBe(0);

    // Redis is not there when it starts; and another key, whose slot is free.
    await door.shut();
    const packed = await scene.start({
      environment: {
        ...feedsOf(market, "beta"),
        REDIS_URL: door.url,
        ALPACA_DATA_ENCODING: "msgpack",
      },
    });
    await subscribes(packed, "stock", 7);
    await subscribes(packed, "crypto", 4);
    const packedFrom = Date.now();
    await packed.until("messages that wait for Redis", async () => {
      const { sinks } = await packed.status();
      return (sinks.find(({ sink }) => sink === "redis")?.spooled ?? 0) > 0;
    });
    await door.reopen();
    await packed.ready();
    const packedTo = Date.now();
    await hearsBeyond(packed, heard, packedTo);
    for (const symbol of ALWAYS)
      expectTrades(heard, market, symbol, packedFrom, packedTo);
    expect((await packed.stop()).code).toBe(0);

    // Without any key the simulated venue is the service's own.
    const aloneFrom = Date.now();
    const alone = await scene.start({
      environment: { VENUE: "simulated", REDIS_URL: door.url },
    });
    await hearsBeyond(alone, heard, aloneFrom);
    expect((await alone.stop()).code).toBe(0);
  },
  4 * MINUTE,
);

/** The certificate of a symbol's bars: intervals that are known, joined, and what was healed. */
async function knownOf({ sql }: Scene, symbol: string) {
  const facts = await sql<{ state: string; from_at: Date; to_at: Date }[]>`
    select state, from_at, to_at from feedkeeper.coverage
    where stream = 'bars' and account = ${symbol} order by from_at, id`;
  const intervals = (states: readonly string[]) =>
    union(
      facts
        .filter(({ state }) => states.includes(state))
        .map(({ from_at, to_at }) => ({ from: +from_at, to: +to_at })),
    );
  return {
    known: intervals(["live", "healed", "confirmed_empty"]),
    healed: intervals(["healed"]),
  };
}

test.concurrent(
  "minutes that the service or the venue was away are read back, and the certificate has no hole",
  async () => {
    // The slots of links that broke stay taken for a while, as at the real venue.
    await using scene = await openScene(["alpha"], {
      market: { lingerMs: 5 * SECOND },
    });
    const { market, sql } = scene;
    const symbols = ["AAPL", "BTC/USD"];
    // What an earlier run left: all was streamed until six minutes ago.
    const earlierMs = minuteOf(Date.now()) - 6 * MINUTE;
    await migrateService(sql);
    await migrateMarket(sql);
    for (const symbol of symbols)
      await sql`
        insert into feedkeeper.coverage (account, stream, state, from_at, to_at, session)
        values (${symbol}, 'bars', 'live', ${new Date(earlierMs - MINUTE)}, ${new Date(earlierMs)}, 'earlier')`;

    const service = await scene.start({
      environment: { ...feedsOf(market, "alpha"), SYMBOLS: "AAPL" },
    });
    await subscribes(service, "stock", 3);
    await subscribes(service, "crypto", 3);
    await service.until("what the service missed", async () => {
      const { healed } = await knownOf(scene, "AAPL");
      return (healed[0]?.to ?? 0) >= earlierMs + 4 * MINUTE;
    });

    // The venue goes in the middle of a minute, and is back in the next one.
    if (Date.now() % MINUTE > 55 * SECOND) await sleep(6 * SECOND);
    const cutMs = minuteOf(Date.now());
    market.venue.inject({ kind: "outage" });
    await service.until("the end of the links", async () =>
      (await service.status()).feeds.every(
        ({ state }) => state !== "streaming",
      ),
    );
    await sleep(cutMs + MINUTE + 2 * SECOND - Date.now());
    market.venue.clear();
    await subscribes(service, "stock", 3);
    await subscribes(service, "crypto", 3);
    await service.until(
      "the minute of the outage",
      async () => {
        for (const symbol of symbols) {
          const { healed } = await knownOf(scene, symbol);
          if ((healed.at(-1)?.to ?? 0) < cutMs + MINUTE) return false;
        }
        return true;
      },
      MINUTE,
    );

    for (const symbol of symbols) {
      const { known, healed } = await knownOf(scene, symbol);
      expect(healed).toEqual([{ from: earlierMs, to: cutMs + MINUTE }]);
      expect(known).toHaveLength(1);
      expect(known[0]?.from).toBe(earlierMs - MINUTE);

      const rows = await sql<{ ms: string; close: number; volume: number }[]>`
        select (extract(epoch from timestamp) * 1000)::bigint as ms, close, volume from ohlcv_1m
        where symbol = ${symbol} and timestamp < ${new Date(cutMs + MINUTE)} order by timestamp`;
      const minutes = Array.from(
        { length: (cutMs + MINUTE - earlierMs) / MINUTE },
        (_, index) => earlierMs + index * MINUTE,
      );
      expect(rows.map(({ ms }) => Number(ms))).toEqual(minutes);
      // Late trades of these had been reported when they were read.
      const { tape } = market.venue.market;
      expect(
        rows.slice(0, 3).map(({ close, volume }) => ({ close, volume })),
      ).toEqual(
        minutes.slice(0, 3).map((ms) => {
          const bar = tape.bar(symbol, ms, "whole");
          return { close: bar?.c ?? 0, volume: bar?.v ?? 0 };
        }),
      );
    }
    expect((await service.stop()).code).toBe(0);
  },
  4 * MINUTE,
);

test.concurrent(
  "the latest quotes are in Postgres and Firestore, the heartbeat is running, and stopped after a clean stop",
  async () => {
    await using scene = await openScene(["alpha"]);
    const { market, sql } = scene;
    await using emulator = await openFirestoreDoor();
    const tenant = newTenant();
    const service = await scene.start({
      environment: {
        ...feedsOf(market, "alpha"),
        FIRESTORE_EMULATOR_HOST: emulator.host,
        TENANT_ID: tenant,
        HEARTBEAT_INTERVAL_S: "1",
        ALPACA_DATA_ENCODING: "msgpack",
      },
    });
    const documents = () => readDocuments(`tenants/${tenant}/live_quotes`);
    await service.until("both documents", async () =>
      Bun.deepEquals(Object.keys(await documents()).sort(), ["BTC-USD", "SPY"]),
    );
    const beat = () => readDocument(`tenants/${tenant}/ops/market_ingest`);
    await service.until("a beat that counts quotes", async () => {
      const counters = (await beat())?.["counters"] as
        { quotes_seen: number } | undefined;
      return (counters?.quotes_seen ?? 0) > 0;
    });
    expect(await beat()).toEqual({
      ts: expect.any(String),
      last_heartbeat_at: expect.any(String),
      status: "running",
      last_symbol: expect.stringMatching(/^(SPY|BTC\/USD)$/),
      dry_run: false,
      counters: {
        quotes_seen: expect.any(Number),
        writes_ok: expect.any(Number),
        writes_err: 0,
      },
    });

    expect((await service.stop()).code).toBe(0);
    expect((await beat())?.["status"]).toBe("stopped");
    const rows = await sql<Record<string, unknown>[]>`
      select tenant_id, symbol, bid, ask, bid_size, ask_size, price, ts from live_quotes order by symbol`;
    expect(rows.map(({ symbol }) => symbol)).toEqual(["BTC/USD", "SPY"]);
    const shown = await documents();
    for (const { symbol, bid, ask, bid_size, ask_size, price, ts } of rows) {
      const atMs = Number(ts);
      const quote = market.venue.market.tape
        .minute(String(symbol), minuteOf(atMs))
        .quotes.find((each) => Math.abs(each.atMs - atMs) < 1);
      expect([bid, ask, bid_size, ask_size]).toEqual([
        quote?.bid,
        quote?.ask,
        quote?.bidSize,
        quote?.askSize,
      ]);
      expect(price).toBe((Number(bid) + Number(ask)) / 2);
      // Stopped within a flush of each other, both have the same last word.
      expect(shown[String(symbol).replace("/", "-")]).toMatchObject({
        ...{ symbol, source: "alpaca", bid, ask, price },
        ...{ bid_price: bid, ask_price: ask, bid_size, ask_size },
      });
      const told = Date.parse(
        String(shown[String(symbol).replace("/", "-")]?.["ts"]),
      );
      expect(Math.abs(told - atMs)).toBeLessThanOrEqual(1);
    }
    expect(rows.map(({ tenant_id }) => tenant_id)).toEqual([tenant, tenant]);
  },
  2 * MINUTE,
);

test.concurrent(
  "a plan without the feed, and one with too few symbols, are shown on /health; everything else goes on",
  async () => {
    await using scene = await openScene(["alpha"], {
      market: { plan: "basic" },
    });
    const { market } = scene;
    const environment = feedsOf(market, "alpha");
    const refused = await scene.start({
      environment: { ...environment, ALPACA_DATA_FEED: "sip" },
    });
    await subscribes(refused, "crypto", 3);
    await refused.until("the refusal", async () => {
      return (await feedOf(refused, "stock"))?.state === "refused";
    });
    await refused.ready();
    const health = await refused.health();
    expect(health.status).toBe("degraded");
    expect(health.checks.filter(({ ok }) => !ok)).toMatchObject([
      {
        name: "feed/stock",
        state: "refused",
        required: false,
        detail: "dead: 409 insufficient subscription",
      },
    ]);
    expect((await refused.stop()).code).toBe(0);

    const many = Array.from({ length: 40 }, (_, index) =>
      [Math.floor(index / 26), index % 26]
        .map((letter) => String.fromCharCode(65 + letter))
        .join(""),
    );
    const limited = await scene.start({
      environment: {
        ...environment,
        SYMBOLS: "AAPL",
        MONITORED_SYMBOLS: many.join(),
      },
    });
    // Bars are not counted, quotes are.
    await subscribes(limited, "stock", 2 + 30);
    await limited.ready();
    const feed = await feedOf(limited, "stock");
    expect(feed?.notGranted).toEqual(
      many.slice(30).map((symbol) => `quotes ${symbol}: limit`),
    );
    const { checks } = await limited.health();
    expect(checks.find(({ name }) => name === "feed/stock")).toMatchObject({
      ok: true,
      state: "limited",
      detail: expect.stringMatching(/; 10 subscriptions not granted$/),
    });
    expect((await limited.stop()).code).toBe(0);
  },
  2 * MINUTE,
);

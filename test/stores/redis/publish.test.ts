import { afterEach, describe, expect, jest, test } from "bun:test";
import type { Bar, MarketMessage, Trade } from "../../../schema/market.ts";
import {
  isPublished,
  openPublisher,
  type Publication,
  publishedBar,
  publishedTrade,
  publicationOf,
} from "../../../src/stores/redis/publish.ts";
import {
  hearAll,
  openRedisDoor,
  redisClient,
  redisUrl,
  until,
} from "../../support/redis.ts";

afterEach(() => {
  jest.useRealTimers();
});

const trade = (members: Partial<Trade> = {}): Trade => ({
  kind: "trade",
  symbol: "AAPL",
  price: 172.42,
  size: 100,
  timestamp: "2026-09-18T13:30:00.123456789Z",
  receivedAtMs: 1,
  ...members,
});

const bar = (members: Partial<Bar> = {}): Bar => ({
  kind: "bar",
  span: "minute",
  symbol: "AAPL",
  open: 172.4,
  high: 172.5,
  low: 172,
  close: 172.42,
  volume: 12_345,
  vwap: 172.3,
  trades: 99,
  timestamp: "2026-09-18T13:30:00Z",
  source: "alpaca:iex",
  receivedAtMs: 1,
  ...members,
});

describe("what is published, byte for byte", () => {
  test.each<[string, Publication, channel: string, payload: string]>([
    [
      "a trade",
      publishedTrade(trade()),
      "market_trades:AAPL",
      '{"symbol":"AAPL","price":172.42,"size":100,"timestamp":"2026-09-18T13:30:00.123Z","tickType":"trade"}',
    ],
    [
      "a trade of a pair keeps the slash and every digit",
      publishedTrade(
        trade({ symbol: "SHIB/USD", price: 1e-7, size: 123_456_789.25 }),
      ),
      "market_trades:SHIB/USD",
      '{"symbol":"SHIB/USD","price":1e-7,"size":123456789.25,"timestamp":"2026-09-18T13:30:00.123Z","tickType":"trade"}',
    ],
    [
      "a bar",
      publishedBar(bar()),
      "market_data:AAPL",
      '{"symbol":"AAPL","timeframe":"1m","open":172.4,"high":172.5,"low":172,"close":172.42,"volume":12345,"timestamp":"2026-09-18T13:30:00.000Z"}',
    ],
    [
      "a bar of a pair in whose minute nobody traded",
      publishedBar(bar({ symbol: "BTC/USD", volume: 0 })),
      "market_data:BTC/USD",
      '{"symbol":"BTC/USD","timeframe":"1m","open":172.4,"high":172.5,"low":172,"close":172.42,"volume":0,"timestamp":"2026-09-18T13:30:00.000Z"}',
    ],
  ])("%s", (_what, publication, channel, payload) => {
    expect(publication).toEqual({ channel, payload });
  });

  test("the text is the one JSON.stringify makes", () => {
    const numbers = [0, -0, 1, 0.1, 1e21, 1e-7, 123_456_789.123_456_79, 5e-324];
    for (const price of numbers) {
      const { payload } = publishedTrade(trade({ price, symbol: 'A"\\é' }));
      expect(payload).toBe(
        JSON.stringify({
          symbol: 'A"\\é',
          price,
          size: 100,
          timestamp: "2026-09-18T13:30:00.123Z",
          tickType: "trade",
        }),
      );
    }
  });

  test.each<[venue: string, published: string]>([
    // Cut, never rounded: the last one would be of the next year.
    ["2026-09-18T13:30:00.1239Z", "2026-09-18T13:30:00.123Z"],
    ["2026-09-18T13:30:00.999999999Z", "2026-09-18T13:30:00.999Z"],
    ["2025-12-31T23:59:59.9999Z", "2025-12-31T23:59:59.999Z"],
    ["2026-09-18T13:30:00Z", "2026-09-18T13:30:00.000Z"],
    ["2026-09-18T13:30:00.2Z", "2026-09-18T13:30:00.200Z"],
    ["2026-09-18T13:30:00.29Z", "2026-09-18T13:30:00.290Z"],
    ["2026-09-18T13:30:00.208Z", "2026-09-18T13:30:00.208Z"],
    ["2026-09-18T09:30:00.9999999-04:00", "2026-09-18T13:30:00.999Z"],
    ["2026-09-18T13:30:00.5+00:00", "2026-09-18T13:30:00.500Z"],
  ])("the time %s is %s", (timestamp, published) => {
    expect(JSON.parse(publishedTrade(trade({ timestamp })).payload)).toEqual(
      expect.objectContaining({ timestamp: published }),
    );
  });

  test.each<[message: MarketMessage, isIt: boolean]>([
    [trade(), true],
    [bar(), true],
    [bar({ span: "updated" }), false],
    [bar({ span: "daily" }), false],
    [{ ...trade(), kind: "quote" }, false],
    [
      {
        kind: "correction",
        symbol: "AAPL",
        timestamp: undefined,
        value: {},
        receivedAtMs: 1,
      },
      false,
    ],
  ])("of %j is told: %p", (message, isIt) => {
    expect(isPublished(message)).toBe(isIt);
  });
});

const batch = (count: number, from = 0): Publication[] =>
  Array.from({ length: count }, (_, index) =>
    publicationOf(trade({ symbol: "TEST", size: from + index })),
  );

const sizes = (heard: readonly string[]) =>
  heard.map((line): number => JSON.parse(line.slice(line.indexOf("{"))).size);

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

describe("publishing", () => {
  test("a batch arrives whole and in order", async () => {
    await using ear = await hearAll("market_trades:TEST", "market_data:*");
    using publisher = await opened();
    const all = [...batch(5000), publicationOf(bar({ symbol: "BTC/USD" }))];
    expect(await publisher.publish(all)).toEqual({
      answered: 5001,
      refused: [],
    });
    expect(await publisher.publish([])).toEqual({ answered: 0, refused: [] });
    await until(() => ear.heard.length >= 5001);
    expect(sizes(ear.heard.slice(0, 5000))).toEqual(range(0, 5000));
    expect(ear.heard.slice(5000)).toEqual([
      'market_data:BTC/USD {"symbol":"BTC/USD","timeframe":"1m","open":172.4,"high":172.5,"low":172,"close":172.42,"volume":12345,"timestamp":"2026-09-18T13:30:00.000Z"}',
    ]);
  });

  test("a channel the user has no right to costs its neighbours nothing", async () => {
    await using admin = await redisClient();
    await admin.acl(
      "SETUSER",
      ...["half", "on", ">pass", "resetchannels", "&market_trades:*"],
      ...["+publish", "+ping", "+hello", "+client"],
    );
    await using ear = await hearAll("market_*");
    using publisher = await opened({ name: "half", password: "pass" });
    const messages = [
      ...batch(2),
      publicationOf(bar({ symbol: "TEST" })),
      ...batch(1, 2),
    ];
    const { answered, refused, failure } = await publisher.publish(messages);
    await admin.acl("DELUSER", "half");
    expect({ answered, failure }).toEqual({ answered: 4, failure: undefined });
    expect(refused).toEqual([
      { index: 2, reason: expect.stringMatching(/^NOPERM .*channel/) },
    ]);
    await until(() => ear.heard.length >= 3);
    expect(sizes(ear.heard)).toEqual([0, 1, 2]);
  });

  test("a user who may not publish at all fails the batch, and none of it is taken for refused", async () => {
    await using admin = await redisClient();
    await admin.acl("SETUSER", "none", "on", ">pass", "&*", "+ping", "+hello");
    using publisher = await opened({ name: "none", password: "pass" });
    const receipt = await publisher.publish(batch(3));
    await admin.acl("DELUSER", "none");
    expect(receipt).toEqual({
      answered: 0,
      refused: [],
      failure: expect.stringMatching(/^NOPERM .*publish/),
    });
    await expect(publisher.ping()).rejects.toThrow();
  });

  test("of a connection that breaks in the middle, the number of answers is known: they have arrived, and nothing is said of the rest", async () => {
    await using door = await openRedisDoor();
    await using ear = await hearAll("market_trades:TEST");
    using publisher = await openedAt(door.url);
    await publisher.publish(batch(1000));
    const publishing = publisher.publish(batch(100_000, 1000));
    await until(() => ear.heard.length > 5000);
    await door.shut();
    const { answered, refused, failure } = await publishing;
    expect(refused).toEqual([]);
    expect(failure).toBe("Connection closed");
    expect(answered).toBeLessThan(100_000);
    await until(() => ear.heard.length >= 1000 + answered);
    expect(sizes(ear.heard)).toEqual(range(0, ear.heard.length));
    // Of no more use, also when Redis is back.
    await door.reopen();
    expect(await publisher.publish(batch(2))).toMatchObject({ answered: 0 });
    await expect(publisher.ping()).rejects.toThrow();
  });

  test("a Redis that is frozen is given up after 5 s, and with it everything that has no answer", async () => {
    await using door = await openRedisDoor();
    using publisher = await openedAt(door.url);
    door.mute();
    jest.useFakeTimers();
    const publishing = publisher.publish(batch(10));
    jest.advanceTimersByTime(4999);
    const pinging = publisher.ping().catch((error: Error) => error.message);
    jest.advanceTimersByTime(1);
    jest.useRealTimers();
    expect(await publishing).toEqual({
      answered: 0,
      refused: [],
      failure: "Redis does not answer",
    });
    expect(await pinging).toBe("Connection closed");
  });
});

async function opened(user?: { name: string; password: string }) {
  const url = new URL(await redisUrl());
  if (user !== undefined) {
    url.username = user.name;
    url.password = user.password;
  }
  return openedAt(url.href);
}

async function openedAt(url: string) {
  const publisher = await openPublisher(url);
  return { ...publisher, [Symbol.dispose]: publisher.close };
}

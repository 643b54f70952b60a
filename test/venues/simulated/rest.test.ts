import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MINUTE } from "../../../src/clock.ts";
import type { Fault } from "../../../src/venues/simulated/faults.ts";
import {
  ALPHA,
  BETA,
  keysOf,
  liveOrder,
  openScene,
  type Scene,
} from "./wire.ts";

/** A Wednesday, 10:00 in New York. */
const NOW = Date.parse("2026-09-16T14:00:00.250Z");
const ACCOUNT = "/v2/account";

let scene: Scene;
let nowMs = NOW;
beforeAll(async () => {
  scene = await openScene({
    clock: { now: () => nowMs },
    requestsPerMinute: 10_000,
  });
});
afterAll(() => scene[Symbol.asyncDispose]());

describe("who asks", () => {
  const refused = { code: 40110000, message: "request is not authorized" };
  const basic = (text: string) => ({
    Authorization: `Basic ${Buffer.from(text).toString("base64")}`,
  });

  test.each<[string, Record<string, string>, string | undefined]>([
    ["by two headers", keysOf(ALPHA), "ALPHA"],
    ["by those of another account", keysOf(BETA), "BETA"],
    ["by Basic", basic(`${ALPHA.keyId}:${ALPHA.secretKey}`), "ALPHA"],
    ["without a key", {}, undefined],
    ["without a secret", { "APCA-API-KEY-ID": ALPHA.keyId }, undefined],
    [
      "with another account's secret",
      keysOf({ ...ALPHA, secretKey: BETA.secretKey }),
      undefined,
    ],
    ["with a wrong Basic", basic("nobody"), undefined],
    ["with a token", { Authorization: "Bearer token" }, undefined],
  ])("%s is known by it, or refused", async (_, headers, name) => {
    const { status, body } = await scene.call(
      "GET",
      ACCOUNT,
      undefined,
      headers,
    );
    const { body: own } = await scene.call(
      "GET",
      ACCOUNT,
      undefined,
      keysOf(name === "BETA" ? BETA : ALPHA),
    );
    expect({ status, body }).toEqual(
      name === undefined
        ? { status: 401, body: refused }
        : { status: 200, body: own },
    );
  });
});

describe("what is not there", () => {
  test.each([
    ["GET", "/v2/nothing"],
    ["GET", "/"],
    ["GET", "/v3/orders"],
    ["PUT", "/v2/orders"],
    ["GET", "/v2/orders/%zz"],
    ["POST", "/v2/account"],
    ["GET", "/simulated"],
  ])("%s %s", async (method, path) => {
    const { status, body } = await scene.call(method, path);
    expect([status, body]).toEqual([
      404,
      { code: 40410000, message: "endpoint not found" },
    ]);
  });

  test("a parameter that the venue does not know is passed over, and a slash at the end too", async () => {
    expect((await scene.get("/v2/orders/?colour=blue")) as unknown).toEqual([]);
  });
});

describe("the rate limit", () => {
  const limits = ({ headers }: { headers: Headers }) =>
    ["limit", "remaining", "reset"].map((name) =>
      Number(headers.get(`x-ratelimit-${name}`)),
    );

  test("is told with every answer, also with a refusal; one request too many is told when to come back, until the minute is over", async () => {
    let ownMs = NOW;
    await using own = await openScene({
      clock: { now: () => ownMs },
      requestsPerMinute: 3,
    });
    const resetS = Math.ceil((NOW + MINUTE) / 1000);
    expect(limits(await own.call("GET", ACCOUNT))).toEqual([3, 2, resetS]);
    expect(limits(await own.call("GET", "/v2/nothing"))).toEqual([
      3,
      1,
      resetS,
    ]);
    own.venue.inject({ kind: "auth-refused", count: 1 });
    const forbidden = await own.call("GET", ACCOUNT);
    expect([forbidden.status, forbidden.body]).toEqual([
      403,
      { message: "forbidden." },
    ]);
    expect(limits(forbidden)).toEqual([3, 0, resetS]);
    ownMs += MINUTE - 1500;
    const late = await own.call("GET", ACCOUNT);
    expect([late.status, late.body]).toEqual([
      429,
      { code: 42910000, message: "rate limit exceeded" },
    ]);
    expect(limits(late)).toEqual([3, 0, resetS]);
    expect(late.headers.get("retry-after")).toBe("2");
    const other = await own.call("GET", ACCOUNT, undefined, keysOf(BETA));
    expect(other.status).toBe(200);
    ownMs += 1500;
    expect((await own.call("GET", ACCOUNT)).status).toBe(200);
  });
});

describe("what goes wrong", () => {
  test.each<[Fault, number, unknown, string | null]>([
    [
      { kind: "rest-429", count: 1 },
      429,
      { code: 42910000, message: "rate limit exceeded" },
      null,
    ],
    [
      { kind: "rest-429", count: 1, retryAfterS: 7 },
      429,
      { code: 42910000, message: "rate limit exceeded" },
      "7",
    ],
    [
      { kind: "rest-429", count: 1, body: "text", retryAfterS: 0 },
      429,
      "too many requests",
      "0",
    ],
    [
      { kind: "auth-refused", count: 1, account: ALPHA.name },
      403,
      { message: "forbidden." },
      null,
    ],
  ])("%j answers %d, and the next request is served", async (...row) => {
    const [fault, status, body, retryAfter] = row;
    scene.venue.inject(fault);
    const answer = await scene.call("GET", ACCOUNT);
    expect([answer.status, answer.body]).toEqual([status, body]);
    expect(answer.headers.get("retry-after")).toBe(retryAfter);
    expect(answer.headers.get("x-ratelimit-limit")).toBe("10000");
    expect((await scene.call("GET", ACCOUNT)).status).toBe(200);
  });

  test("a gateway answers with a page of HTML, and knows no limits", async () => {
    scene.venue.inject({ kind: "rest-500", count: 1 });
    const { status, headers, body } = await scene.call("GET", ACCOUNT);
    expect([status, headers.get("content-type")]).toEqual([502, "text/html"]);
    expect(body).toStartWith("<html>");
    expect(headers.has("x-ratelimit-limit")).toBe(false);
  });

  test("an answer is cut in the middle, and no one can take it for whole", async () => {
    scene.venue.inject({ kind: "rest-cut", count: 1 });
    const answer = await fetch(`${scene.venue.url}/v2/assets`, {
      headers: keysOf(ALPHA),
    });
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow();
  });

  test("an answer takes longer", async () => {
    scene.venue.inject({ kind: "rest-latency", byMs: 150, count: 1 });
    const startedMs = performance.now();
    expect((await scene.call("GET", ACCOUNT)).status).toBe(200);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(140);
  });
});

test("an account shows its money in texts, and what it holds at the market's price", async () => {
  await using own = await openScene({ clock: { now: () => NOW } });
  const order = liveOrder(own.desk, { qty: "2" });
  own.desk.fill(order, 2e9, "150.25", { isLast: true });
  const [position] = await own.get("/v2/positions");
  expect(await own.get(ACCOUNT)).toMatchObject({
    account_number: expect.stringMatching(/^PA[0-9A-Z]{10}$/),
    status: "ACTIVE",
    currency: "USD",
    cash: "699.5",
    long_market_value: position.market_value,
    equity: String(Number((699.5 + Number(position.market_value)).toFixed(2))),
    created_at: "2026-09-15T14:00:00.250Z",
    balance_asof: "2026-09-15",
    trading_blocked: false,
    user_configurations: null,
  });
});

describe("a position", () => {
  test("says what is held, what it cost, and what open orders leave of it", async () => {
    await using own = await openScene({ clock: { now: () => NOW } });
    const bought = liveOrder(own.desk, { qty: "4" });
    own.desk.fill(bought, 4e9, "150.25", { isLast: true });
    liveOrder(own.desk, { side: "sell", qty: "3" });
    const { current_price, ...position } = await own.get("/v2/positions/AAPL");
    const value = Number((4 * current_price).toFixed(2));
    expect(position).toMatchObject({
      symbol: "AAPL",
      asset_class: "us_equity",
      side: "long",
      qty: "4",
      qty_available: "1",
      avg_entry_price: "150.25",
      cost_basis: "601",
      market_value: String(value),
      unrealized_pl: String(Number((value - 601).toFixed(2))),
    });
    expect(await own.get(`/v2/positions/${position.asset_id}`)).toEqual({
      ...position,
      current_price,
    });
  });

  test("of coins is found with and without the slash, and shown without", async () => {
    await using own = await openScene();
    const coins = liveOrder(own.desk, { symbol: "BTC/USD", qty: "0.5" });
    own.desk.fill(coins, 5e8, "90000", { isLast: true });
    for (const name of ["BTCUSD", "BTC%2FUSD"])
      expect(await own.get(`/v2/positions/${name}`)).toMatchObject({
        symbol: "BTCUSD",
        qty: "0.5",
      });
  });

  test("that is owed is short; one that was closed is gone", async () => {
    await using own = await openScene();
    for (const [side, qty] of [
      ["sell", "5"],
      ["buy", "3"],
    ] as const) {
      const order = liveOrder(own.desk, { side, qty });
      own.desk.fill(order, Number(qty) * 1e9, "100", { isLast: true });
    }
    expect(await own.get("/v2/positions")).toMatchObject([
      { side: "short", qty: "-2", cost_basis: "-200", avg_entry_price: "100" },
    ]);
    const rest = liveOrder(own.desk, { qty: "2" });
    own.desk.fill(rest, 2e9, "100", { isLast: true });
    expect(await own.get("/v2/positions")).toEqual([]);
    const gone = await own.call("GET", "/v2/positions/AAPL");
    expect([gone.status, gone.body]).toEqual([
      404,
      { code: 40410000, message: "position does not exist" },
    ]);
  });
});

test.each([
  [
    "2026-09-16T14:00:00.250Z",
    "2026-09-16T10:00:00.250-04:00",
    true,
    "2026-09-17T09:30:00-04:00",
    "2026-09-16T16:00:00-04:00",
  ],
  [
    "2026-11-26T12:00:00Z",
    "2026-11-26T07:00:00-05:00",
    false,
    "2026-11-27T09:30:00-05:00",
    "2026-11-27T13:00:00-05:00",
  ],
  // The night on which clocks go back: the hour after midnight comes twice.
  [
    "2026-11-01T06:30:00Z",
    "2026-11-01T01:30:00-05:00",
    false,
    "2026-11-02T09:30:00-05:00",
    "2026-11-02T16:00:00-05:00",
  ],
])("the clock at %s is New York's, with its offset", async (now, ...shown) => {
  const [timestamp, is_open, next_open, next_close] = shown;
  nowMs = Date.parse(now);
  expect(await scene.get("/v2/clock")).toEqual({
    timestamp,
    is_open,
    next_open,
    next_close,
  });
});

describe("the calendar", () => {
  test("has no row for a day on which nothing is traded, two forms of time in one row, and half days", async () => {
    expect(
      await scene.get("/v2/calendar?start=2026-11-25&end=2026-11-30"),
    ).toEqual([
      {
        date: "2026-11-25",
        open: "09:30",
        close: "16:00",
        session_open: "0400",
        session_close: "2000",
        settlement_date: "2026-11-27",
      },
      {
        date: "2026-11-27",
        open: "09:30",
        close: "13:00",
        session_open: "0400",
        session_close: "1700",
        settlement_date: "2026-11-30",
      },
      {
        date: "2026-11-30",
        open: "09:30",
        close: "16:00",
        session_open: "0400",
        session_close: "2000",
        settlement_date: "2026-12-01",
      },
    ]);
  });

  test("is empty between days that come in the wrong order, and beyond its years", async () => {
    for (const [start, end] of [
      ["2026-12-01", "2026-11-01"],
      ["2031-01-01", "2032-01-01"],
    ])
      expect(await scene.get(`/v2/calendar?start=${start}&end=${end}`)).toEqual(
        [],
      );
  });

  test("takes instants as well, and refuses what is none", async () => {
    const days = await scene.get(
      "/v2/calendar?start=2026-11-27T00:00:00Z&end=2026-11-27T23:00:00Z",
    );
    expect(days).toHaveLength(1);
    const { status, body } = await scene.call("GET", "/v2/calendar?end=soon");
    expect([status, body]).toEqual([
      422,
      { code: 40010001, message: "invalid end: soon" },
    ]);
  });
});

describe("the assets", () => {
  test("are those asked for; numbers and texts stand where the venue has them", async () => {
    const [first] = await scene.get(
      "/v2/assets?asset_class=crypto&status=active",
    );
    expect(first).toMatchObject({
      class: "crypto",
      symbol: "BTC/USD",
      maintenance_margin_requirement: 100,
      margin_requirement_long: "100",
      min_order_size: "0.0001",
    });
    expect(await scene.get("/v2/assets?status=inactive")).toEqual([]);
    const stocks = await scene.get("/v2/assets?exchange=NASDAQ");
    expect(
      new Set(stocks.map((asset: { class: string }) => asset.class)),
    ).toEqual(new Set(["us_equity"]));
  });

  test("are found by symbol, with or without slash, and by id", async () => {
    const bitcoin = await scene.get("/v2/assets/BTCUSD");
    expect(bitcoin.symbol).toBe("BTC/USD");
    expect(await scene.get("/v2/assets/BTC%2FUSD")).toEqual(bitcoin);
    expect(await scene.get(`/v2/assets/${bitcoin.id}`)).toEqual(bitcoin);
    const { status, body } = await scene.call("GET", "/v2/assets/NOPE");
    expect([status, body]).toEqual([
      404,
      { code: 40410000, message: "asset not found for NOPE" },
    ]);
  });
});

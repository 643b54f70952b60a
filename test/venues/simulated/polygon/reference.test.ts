/** Tickers, splits, and when the exchanges are open. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NOW, Place } from "./place.ts";

let place: Place;
beforeAll(async () => {
  place = await Place.open({
    listed: { NEWCO: "2025-03-10", "BRK.B": "2016-01-04" },
    splits: [
      { symbol: "AAPL", day: "2020-08-31", from: 1, to: 4 },
      { symbol: "NVDA", day: "2021-07-20", from: 1, to: 4 },
      { symbol: "NVDA", day: "2024-06-10", from: 1, to: 10 },
    ],
  });
});
afterAll(() => place[Symbol.asyncDispose]());

describe("a ticker", () => {
  test("tells since when it trades", async () => {
    expect(await place.get("/v3/reference/tickers/NEWCO")).toEqual({
      request_id: expect.any(String),
      status: "OK",
      results: {
        ticker: "NEWCO",
        name: "NEWCO Incorporated",
        market: "stocks",
        locale: "us",
        primary_exchange: "XNAS",
        type: "CS",
        active: true,
        currency_name: "usd",
        list_date: "2025-03-10",
      },
    });
  });

  test.each(["NOSUCH", "brk.b", "BTC-USD"])(
    "%s is not found",
    async (ticker) => {
      const { status, body } = await place.call(
        `/v3/reference/tickers/${ticker}`,
      );
      expect([status, body.status, body.message]).toEqual([
        404,
        "NOT_FOUND",
        "Ticker not found.",
      ]);
    },
  );
});

describe("tickers", () => {
  const names = async (query: string) => {
    const { rows } = await place.pages(`/v3/reference/tickers?${query}`);
    return rows.map((row) => (row as unknown as { ticker: string }).ticker);
  };
  const STOCKS = [
    "AAPL",
    "BRK.B",
    "MSFT",
    "NEWCO",
    "NVDA",
    "OCGN",
    "QQQ",
    "SPY",
    "TSLA",
  ];
  const COINS = ["X:BTCUSD", "X:DOGEUSD", "X:ETHUSD"];

  test.each([
    ["", [...STOCKS, ...COINS]],
    ["market=stocks&limit=2", STOCKS],
    ["market=crypto", COINS],
    ["market=stocks&order=desc&limit=4", STOCKS.toReversed()],
    ["ticker.gte=NVDA&ticker.lt=SPY", ["NVDA", "OCGN", "QQQ"]],
    ["search=btc", ["X:BTCUSD"]],
    ["active=false", []],
  ])("with %p are %p, on whatever pages", async (query, expected) => {
    expect(await names(query)).toEqual(expected);
  });
});

describe("splits", () => {
  test("are those of a ticker, newest first", async () => {
    expect(await place.get("/v3/reference/splits?ticker=NVDA")).toEqual({
      status: "OK",
      request_id: expect.any(String),
      results: [
        ["2024-06-10", 10],
        ["2021-07-20", 4],
      ].map(([day, to]) => ({
        id: expect.stringMatching(/^[0-9a-f]{64}$/),
        execution_date: day,
        split_from: 1,
        split_to: to,
        ticker: "NVDA",
      })),
    });
  });

  test("since a day, a page at a time", async () => {
    const { rows, urls } = await place.pages(
      "/v3/reference/splits?execution_date.gte=2021-01-01&order=asc&limit=1",
    );
    expect(
      rows.map(
        (row) => (row as unknown as { execution_date: string }).execution_date,
      ),
    ).toEqual(["2021-07-20", "2024-06-10"]);
    expect(urls.length).toBe(1);
  });
});

describe("the exchanges", () => {
  test.each([
    ["2026-09-16T10:00:00-04:00", "open", false, false],
    ["2026-09-16T07:00:00-04:00", "extended-hours", true, false],
    ["2026-09-16T17:00:00-04:00", "extended-hours", false, true],
    ["2026-09-13T12:00:00-04:00", "closed", false, false],
    ["2026-11-27T14:00:00-05:00", "extended-hours", false, true],
  ])("at %s are %s", async (serverTime, market, earlyHours, afterHours) => {
    place.nowMs = Date.parse(serverTime);
    expect(await place.get("/v1/marketstatus/now")).toEqual({
      afterHours,
      currencies: { crypto: "open", fx: "open" },
      earlyHours,
      exchanges: { nasdaq: market, nyse: market, otc: market },
      market,
      serverTime,
    });
  });

  test("have days off ahead, in a bare list with a row for each of them", async () => {
    place.nowMs = NOW;
    const rows: Record<string, string>[] = await place.get(
      "/v1/marketstatus/upcoming",
    );
    expect(rows.slice(0, 3).map(({ exchange }) => exchange)).toEqual([
      "NYSE",
      "NASDAQ",
      "OTC",
    ]);
    const ofNyse = rows.filter(({ exchange }) => exchange === "NYSE");
    expect(
      ofNyse.map(({ date, name, status }) => [date, name, status]),
    ).toEqual([
      ["2026-11-26", "Thanksgiving", "closed"],
      ["2026-11-27", "Thanksgiving", "early-close"],
      ["2026-12-24", "Christmas", "early-close"],
      ["2026-12-25", "Christmas", "closed"],
      ["2027-01-01", "New Years Day", "closed"],
      ["2027-01-18", "Martin Luther King, Jr. Day", "closed"],
      ["2027-02-15", "Washington's Birthday", "closed"],
      ["2027-03-26", "Good Friday", "closed"],
      ["2027-05-31", "Memorial Day", "closed"],
      ["2027-06-18", "Juneteenth", "closed"],
      ["2027-07-05", "Independence Day", "closed"],
      ["2027-09-06", "Labor Day", "closed"],
    ]);
    expect(ofNyse[1]).toMatchObject({
      open: "2026-11-27T14:30:00.000Z",
      close: "2026-11-27T18:00:00.000Z",
    });
  });
});

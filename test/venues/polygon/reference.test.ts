/** What changes the meaning of history: splits, and since when a symbol trades. */
import { describe, expect, test } from "bun:test";
import { listingOf } from "../../../src/venues/polygon/listing.ts";
import { splitsOf } from "../../../src/venues/polygon/splits.ts";
import { recorded } from "../../support/recorded.ts";
import { BACKFILL } from "./options.ts";
import { failureOf, openVenue, refusal } from "./server.ts";

const split = (
  ticker: string,
  execution_date: string,
  split_from: unknown,
  split_to: unknown,
) => ({ execution_date, split_from, split_to, ticker });

const answer = (results?: unknown, more: object = {}) => ({
  status: "OK",
  request_id: "b5",
  ...(results === undefined ? {} : { results }),
  ...more,
});

describe("splits", () => {
  test("are those of the symbol since a day, oldest first, from all pages", async () => {
    const { rest, asked } = openVenue((_url, request, host) =>
      request === 1
        ? answer([split("CTO", "2022-07-01", 1, 3)], {
            next_url: `${host}/v3/reference/splits?cursor=YXA9`,
          })
        : answer([
            split("CTO", "2020-11-20", 2, 1),
            split("CTOO", "2022-07-02", 1, 5),
            split("CTO", "2019-01-01", 1, 7),
          ]),
    );
    expect(await splitsOf(rest, "CTO", "2020-01-01", BACKFILL)).toEqual([
      { symbol: "CTO", day: "2020-11-20", from: 2, to: 1 },
      { symbol: "CTO", day: "2022-07-01", from: 1, to: 3 },
    ]);
    expect(asked).toEqual([
      "/v3/reference/splits?ticker=CTO&execution_date.gte=2020-01-01&sort=execution_date&order=asc&limit=1000",
      "/v3/reference/splits?cursor=YXA9",
    ]);
  });

  test.each<[string, object[], string[]]>([
    [
      "on the same day",
      [split("A", "2022-06-29", 1, 10), split("A", "2022-06-29", 1, 10)],
      ["2022-06-29 1:10"],
    ],
    [
      "on the day of the books and the day of trading",
      [split("A", "2022-06-29", 1, 10), split("A", "2022-06-22", 1, 10)],
      ["2022-06-29 1:10"],
    ],
    [
      "but not of another ratio",
      [split("A", "2022-06-22", 1, 10), split("A", "2022-06-29", 10, 1)],
      ["2022-06-22 1:10", "2022-06-29 10:1"],
    ],
    [
      "but not a year later",
      [split("A", "2021-06-22", 1, 2), split("A", "2022-06-22", 1, 2)],
      ["2021-06-22 1:2", "2022-06-22 1:2"],
    ],
  ])("that are listed twice count once: %s", async (_, rows, expected) => {
    const { rest } = openVenue(() => answer(rows));
    const splits = await splitsOf(rest, "A", "2020-01-01", BACKFILL);
    expect(splits.map(({ day, from, to }) => `${day} ${from}:${to}`)).toEqual(
      expected,
    );
  });

  test("of parts of a share are read as they are", async () => {
    const { rest } = openVenue(() =>
      answer([split("A", "2022-05-02", "3.0", 4.5)]),
    );
    expect(await splitsOf(rest, "A", "2020-01-01", BACKFILL)).toEqual([
      { symbol: "A", day: "2022-05-02", from: 3, to: 4.5 },
    ]);
  });

  test.each<[string, unknown, string]>([
    [
      "without a ratio",
      [split("A", "2022-05-02", 0, 4)],
      '{"execution_date":"2022-05-02","split_from":0,"split_to":4,"ticker":"A"}',
    ],
    [
      "of a negative ratio",
      [split("A", "2022-05-02", -1, 4)],
      '{"execution_date":"2022-05-02","split_from":-1,"split_to":4,"ticker":"A"}',
    ],
    [
      "without a day",
      [{ ticker: "A", split_from: 1, split_to: 2 }],
      '{"ticker":"A","split_from":1,"split_to":2}',
    ],
    ["that is none", [null], "not an object"],
    ["in no list", {}, "no list"],
  ])("one %s must not pass for none", async (_, rows, what) => {
    const { rest } = openVenue(() => answer(rows));
    expect(
      await failureOf(splitsOf(rest, "A", "2020-01-01", BACKFILL)),
    ).toEqual({
      failure: "rejected",
      message: `unreadable split: ${what}`,
    });
  });

  test("there are none where the venue has no list, and of pairs it is not even asked", async () => {
    const { rest, asked } = openVenue(() => answer());
    expect(await splitsOf(rest, "A", "2020-01-01", BACKFILL)).toEqual([]);
    expect(await splitsOf(rest, "BTC/USD", "2020-01-01", BACKFILL)).toEqual([]);
    expect(asked).toHaveLength(1);
  });

  const RECORDED = "polygon/rest/client-python_mocks/v3/reference/splits.json";
  test.each([
    [
      "built by hand",
      JSON.stringify(
        answer([
          split("SHOP", "2022-06-29", 1, 10),
          split("GOOG", "2022-07-18", 1, 20),
          split("SHOP", "2022-06-22", 1, 10),
        ]),
      ),
    ],
    ...[recorded(RECORDED)]
      .filter((text) => text !== undefined)
      .map((text) => ["recorded", text] as const),
  ])("in an answer %s are found", async (_, text) => {
    const { rest } = openVenue(() => String(text));
    expect(await splitsOf(rest, "SHOP", "2022-01-01", BACKFILL)).toEqual([
      { symbol: "SHOP", day: "2022-06-29", from: 1, to: 10 },
    ]);
  });
});

describe("a listing", () => {
  const unknown = () =>
    refusal(404, { status: "NOT_FOUND", message: "Ticker not found." });

  test("of what trades says since when", async () => {
    const { rest, asked } = openVenue(() =>
      answer({ ticker: "KIMpL", active: true, list_date: "2017-08-14" }),
    );
    expect(await listingOf(rest, "KIMpL", BACKFILL)).toEqual({
      from: "2017-08-14",
    });
    expect(asked).toEqual(["/v3/reference/tickers/KIMpL"]);
  });

  test("of a pair says nothing but that there is one", async () => {
    const { rest, asked } = openVenue(() =>
      answer({ ticker: "X:BTCUSD", market: "crypto", active: true }),
    );
    expect(await listingOf(rest, "BTC/USD", BACKFILL)).toEqual({});
    expect(asked).toEqual(["/v3/reference/tickers/X:BTCUSD"]);
  });

  test("of what went says until when; of several of one name the last is meant", async () => {
    const gone = (ticker: string, delisted_utc?: string) => ({
      ticker,
      active: false,
      delisted_utc,
    });
    const { rest, asked } = openVenue((_, request) =>
      request === 1
        ? unknown()
        : answer([
            gone("TWTR", "2013-10-08T00:00:00Z"),
            gone("TWTR", "2022-11-08T05:00:00Z"),
            gone("TWTRp", "2023-01-01T00:00:00Z"),
            gone("TWTR"),
            null,
          ]),
    );
    expect(await listingOf(rest, "TWTR", BACKFILL)).toEqual({
      to: "2022-11-08",
    });
    expect(asked).toEqual([
      "/v3/reference/tickers/TWTR",
      "/v3/reference/tickers?ticker=TWTR&market=stocks&active=false&limit=1000",
    ]);
  });

  test.each([
    ["an empty list", answer([])],
    ["no list", answer()],
  ])("of what never traded is undefined: %s", async (_, body) => {
    const { rest } = openVenue((_url, request) =>
      request === 1 ? unknown() : body,
    );
    expect(await listingOf(rest, "NONE", BACKFILL)).toBeUndefined();
  });

  test("is not taken for absent when the venue refuses", async () => {
    const { rest } = openVenue(() =>
      refusal(403, { status: "NOT_AUTHORIZED", message: "Upgrade" }),
    );
    expect(await failureOf(listingOf(rest, "A", BACKFILL))).toEqual({
      failure: "rejected",
      message: "403 from /v3/reference/tickers/A: Upgrade",
    });
  });

  const RECORDED =
    "polygon/rest/client-python_mocks/v3/reference/tickers/AAPL.json";
  test.each([
    [
      "built by hand",
      '{"results":{"ticker":"AAPL","list_date":"1980-12-12","active":true},"status":"OK"}',
    ],
    ...[recorded(RECORDED)]
      .filter((text) => text !== undefined)
      .map((text) => ["recorded", text] as const),
  ])("in an answer %s is found", async (_, text) => {
    const { rest } = openVenue(() => String(text));
    expect(await listingOf(rest, "AAPL", BACKFILL)).toEqual({
      from: "1980-12-12",
    });
  });
});

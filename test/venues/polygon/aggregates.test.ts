/** Minutes by REST, from a server that pages as the venue does: by base minutes, the position in the path. */
import { describe, expect, test } from "bun:test";
import type { Bar } from "../../../schema/market.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { minuteBars } from "../../../src/venues/polygon/aggregates.ts";
import { recorded } from "../../support/recorded.ts";
import { BACKFILL } from "./options.ts";
import { failureOf, openVenue, refusal, type Answer } from "./server.ts";

const FROM = Date.parse("2026-09-17T14:30:00Z");
const RANGE = { from: FROM, to: FROM + 10 * MINUTE };
/** Long after the range. */
const LATER = FROM + 60 * MINUTE;

function row(minute: number, more: object = {}) {
  const t = FROM + minute * MINUTE;
  return { v: 300, vw: 10.7, o: 10, c: 11, h: 12, l: 9.5, t, n: 4, ...more };
}

function page(results?: readonly unknown[], more: object = {}) {
  const resultsCount = results?.length ?? 0;
  return {
    ticker: "MSFT",
    queryCount: resultsCount + 2,
    resultsCount,
    adjusted: true,
    ...(results === undefined ? {} : { results }),
    status: "OK",
    request_id: "6a7e466379af0a71039d60cc78e72282",
    count: resultsCount,
    ...more,
  };
}

function history(
  script: (url: URL, request: number, host: string) => Answer,
  nowMs = LATER,
) {
  const venue = openVenue(script);
  const malformed: { raw: string; reason: string }[] = [];
  const read = (symbol = "MSFT", range = RANGE) =>
    minuteBars(
      {
        rest: venue.rest,
        onMalformed: (each) => malformed.push(each),
        clock: { now: () => nowMs },
      },
      symbol,
      range,
      BACKFILL,
    );
  return { ...venue, malformed, read };
}

/** Minutes of all pages. */
async function minutesOf(pages: AsyncIterable<readonly Bar[]>) {
  return Array.fromAsync(pages, (bars) =>
    bars.map(({ timestamp }) => (Date.parse(timestamp) - FROM) / MINUTE),
  );
}

test("a minute comes with its number of trades, on the scale of today", async () => {
  const { read, asked } = history(() => page([row(0)]));
  expect(await Array.fromAsync(read())).toEqual([
    [
      {
        kind: "bar",
        span: "history",
        symbol: "MSFT",
        open: 10,
        high: 12,
        low: 9.5,
        close: 11,
        volume: 300,
        vwap: 10.7,
        trades: 4,
        timestamp: "2026-09-17T14:30:00Z",
        source: "polygon",
        receivedAtMs: LATER,
      },
    ],
  ]);
  expect(asked).toEqual([
    `/v2/aggs/ticker/MSFT/range/1/minute/${FROM}/${RANGE.to - 1}?adjusted=true&sort=asc&limit=50000`,
  ]);
});

test.each([
  ["BRK.B", "BRK.B"],
  ["KIMpL", "KIMpL"],
  ["BTC/USD", "X:BTCUSD"],
])("%s is asked for as %s", async (symbol, ticker) => {
  const { read, asked } = history(() => page());
  await Array.fromAsync(read(symbol));
  expect(asked[0]).toStartWith(`/v2/aggs/ticker/${ticker}/range/`);
});

test("of an empty range nothing is asked", async () => {
  const { read, asked } = history(() => page([row(0)]));
  expect(await Array.fromAsync(read("MSFT", { from: FROM, to: FROM }))).toEqual(
    [],
  );
  expect(asked).toEqual([]);
});

describe("pages", () => {
  /** As the venue: the limit counts minutes, the next page has the position in its path and no key. */
  function paged(limit: number, traded: readonly number[]) {
    return (url: URL, _request: number, host: string) => {
      const [from = 0, to = 0] = url.pathname.split("/").slice(-2).map(Number);
      const left = traded.filter(
        (minute) =>
          FROM + minute * MINUTE >= from && FROM + minute * MINUTE <= to,
      );
      const results = left.slice(0, limit).map((minute) => row(minute));
      const last = results.at(-1);
      if (last === undefined) return page();
      const next_url = `${host}${url.pathname.replace(String(from), String(last.t + MINUTE))}?cursor=bGltaXQ9MiZzb3J0PWFzYw`;
      return page(results, left.length > limit ? { next_url } : {});
    };
  }
  const traded = [0, 1, 2, 5, 6, 8, 9];

  test.each([
    [1, [[0], [1], [2], [5], [6], [8], [9]]],
    [2, [[0, 1], [2, 5], [6, 8], [9]]],
    [7, [[0, 1, 2, 5, 6, 8, 9]]],
    [50_000, [[0, 1, 2, 5, 6, 8, 9]]],
  ])(
    "of %d minutes bring the same bars, each once",
    async (limit, expected) => {
      const { read, asked } = history(paged(limit, traded));
      expect(await minutesOf(read())).toEqual(expected);
      expect(asked).toHaveLength(expected.length);
    },
  );

  test("repeat nothing at their seams, go never back, and hold what is asked for", async () => {
    const { read } = history((url, request, host) => {
      const next_url = `${host}${url.pathname}?cursor=${request}`;
      if (request === 1) return page([row(-1), row(0), row(1)], { next_url });
      if (request === 2) return page(undefined, { next_url });
      return page([row(1), row(0), row(2), row(10)]);
    });
    expect(await minutesOf(read())).toEqual([[0, 1], [2]]);
  });

  test("out of order are put in order; of a minute told twice the later row counts", async () => {
    const { read } = history(() =>
      page([row(3), row(1, { c: 9.6 }), row(1, { c: 9.7 }), row(2), row(3)]),
    );
    const [bars = []] = await Array.fromAsync(read());
    expect(bars.map(({ timestamp, close }) => [timestamp, close])).toEqual([
      ["2026-09-17T14:31:00Z", 9.7],
      ["2026-09-17T14:32:00Z", 11],
      ["2026-09-17T14:33:00Z", 11],
    ]);
  });

  test("that were read stay read when a later one fails", async () => {
    const { read } = history((url, request, host) =>
      request === 1
        ? page([row(0)], { next_url: `${host}${url.pathname}?cursor=a` })
        : refusal(400, { status: "ERROR", error: "'to' lies before 'from'" }),
    );
    const read1: number[][] = [];
    const failure = await failureOf(
      (async () => {
        for await (const bars of read())
          read1.push(bars.map(({ close }) => close));
      })(),
    );
    expect(read1).toEqual([[11]]);
    expect(failure).toEqual({
      failure: "rejected",
      message: `400 from /v2/aggs/ticker/MSFT/range/1/minute/${FROM}/${RANGE.to - 1}: 'to' lies before 'from'`,
    });
  });

  test("on another scale than the first end with an error", async () => {
    const { read } = history((url, request, host) =>
      request === 1
        ? page([row(0)], { next_url: `${host}${url.pathname}?cursor=a` })
        : page([row(1)], { adjusted: false }),
    );
    expect(await failureOf(minutesOf(read()))).toEqual({
      failure: "rejected",
      message: `/v2/aggs/ticker/MSFT/range/1/minute/${FROM}/${RANGE.to - 1} is not adjusted, as it was asked to be`,
    });
  });
});

describe("the minute that runs", () => {
  const rows = [row(0), row(1), row(2)];
  test.each([
    ["is left out", 2 * MINUTE + 30 * SECOND, "OK", [[0, 1]]],
    [
      "is left out until it has settled",
      3 * MINUTE + 4 * SECOND,
      "OK",
      [[0, 1]],
    ],
    ["is there once it has", 3 * MINUTE + 5 * SECOND, "OK", [[0, 1, 2]]],
    [
      "is that of a quarter of an hour ago, where all is late",
      17 * MINUTE,
      "DELAYED",
      [[0]],
    ],
    ["is over there too some time", 19 * MINUTE, "DELAYED", [[0, 1, 2]]],
    ["may be the only one", SECOND, "OK", []],
  ])("%s", async (_, sinceFrom, status, expected) => {
    const { read } = history(() => page(rows, { status }), FROM + sinceFrom);
    expect(await minutesOf(read())).toEqual(expected);
  });
});

describe("a number", () => {
  test.each([
    ["with an exponent", "1.029145e+06", 1_029_145],
    ["with a fraction", "9099.618093", 9099.618093],
    ["as text", '"1748755.0"', 1_748_755],
    ["as text with an exponent", '"1.029145e+06"', 1_029_145],
    ["of nothing", "0", 0],
  ])("of volume is read: %s", async (_, text, volume) => {
    const body = JSON.stringify(page([row(0, { v: "VOLUME" })]));
    const { read } = history(() => body.replace('"VOLUME"', text));
    const [bars = []] = await Array.fromAsync(read());
    expect(bars.map((bar) => bar.volume)).toEqual([volume]);
  });

  test("of an average or of trades may be missing, or say nothing", async () => {
    const rows = [
      row(0, { vw: undefined, n: undefined }),
      row(1, { vw: 0, otc: true, a: 1, op: 2 }),
    ];
    const { read } = history(() => page(rows));
    const [bars = []] = await Array.fromAsync(read());
    expect(bars.map(({ vwap, trades }) => [vwap, trades])).toEqual([
      [undefined, undefined],
      [undefined, 4],
    ]);
  });
});

test("rows that cannot be read are set aside whole; their neighbours are good", async () => {
  const bad = [
    row(1, { o: 0 }),
    row(2, { v: "many" }),
    row(3, { v: -1 }),
    row(4, { t: FROM + 1 }),
    row(5, { t: "soon" }),
    row(6, { n: "x" }),
    null,
    "row",
  ];
  const { read, malformed } = history(() => page([row(0), ...bad, row(7)]));
  expect(await minutesOf(read())).toEqual([[0, 7]]);
  expect(malformed).toEqual([
    { raw: JSON.stringify(bad[0]), reason: "MSFT: o is no price: 0" },
    { raw: JSON.stringify(bad[1]), reason: "MSFT: v is no amount: many" },
    { raw: JSON.stringify(bad[2]), reason: "MSFT: v is no amount: -1" },
    { raw: JSON.stringify(bad[3]), reason: `MSFT: no minute: ${FROM + 1}` },
    { raw: JSON.stringify(bad[4]), reason: "MSFT: no minute: soon" },
    { raw: JSON.stringify(bad[5]), reason: "MSFT: n is no amount: x" },
    { raw: "null", reason: "MSFT: not an object" },
    { raw: '"row"', reason: "MSFT: not an object" },
  ]);
});

test("results that are no list are an error, not an empty range", async () => {
  const { read } = history(() => page([], { results: { error: "none" } }));
  expect(await failureOf(minutesOf(read()))).toEqual({
    failure: "rejected",
    message: "results are no list",
  });
});

test("days before the plan's history are refused without blame on the key", async () => {
  const message =
    "Your plan doesn't include this data timeframe. Please upgrade";
  const { read } = history(() =>
    refusal(403, { status: "NOT_AUTHORIZED", message }),
  );
  expect(await failureOf(minutesOf(read()))).toMatchObject({
    failure: "rejected",
  });
});

/** Rows of days, which begin at midnight in New York: on whole minutes as well. */
const RECORDED =
  "polygon/rest/client-python_mocks/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04.json";

test.each([
  [
    "built by hand",
    '{"ticker":"MSFT","queryCount":1,"resultsCount":1,"adjusted":true,"results":[{"v":642646396.0,"vw":1.469,"o":1.5032,"c":1.4604,"h":1.5064,"l":1.4489,"t":1112331600000,"n":82132}],"status":"OK","request_id":"12","count":1}',
    [["2005-04-01T05:00:00Z", 1.5032, 642_646_396, 82_132]],
  ],
  ...[recorded(RECORDED)]
    .filter((text) => text !== undefined)
    .map(
      (text) =>
        [
          "recorded",
          text,
          [
            ["2005-04-01T05:00:00Z", 1.5032, 642_646_396, 82_132],
            ["2005-04-04T04:00:00Z", 1.4639, 578_172_308, 65_543],
          ],
        ] as const,
    ),
])("a page %s is read", async (_, text, expected) => {
  const { read, malformed } = history(() => text);
  const range = { from: 1_112_331_600_000, to: 1_112_587_200_001 };
  const [bars = []] = await Array.fromAsync(read("AAPL", range));
  expect<unknown>(
    bars.map(({ timestamp, open, volume, trades }) => [
      timestamp,
      open,
      volume,
      trades,
    ]),
  ).toEqual(expected);
  expect(malformed).toEqual([]);
});

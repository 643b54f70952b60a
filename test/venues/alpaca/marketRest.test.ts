/** History of the market data, read from an HTTP server that pages, refuses and errs as the venue does. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import type { Bar } from "../../../schema/market.ts";
import { MINUTE } from "../../../src/clock.ts";
import { VenueError } from "../../../src/errors.ts";
import { RateBudget } from "../../../src/flow/rate.ts";
import {
  type AlpacaHistorySettings,
  alpacaHistory,
  isBeyondPlan,
} from "../../../src/venues/alpaca/marketRest.ts";
import { createAlpacaRest } from "../../../src/venues/alpaca/rest.ts";
import { recorded } from "../../support/recorded.ts";

const FROM = Date.parse("2026-09-17T14:30:00Z");
const RANGE = { from: FROM, to: FROM + 10 * MINUTE };
const RECEIVED_AT_MS = FROM + 20 * MINUTE;
const never = new AbortController().signal;

type Answer = string | object | Response;
type Parameters = Readonly<Record<string, string>>;

/** What the venue answers to the parameters of one request. */
type Script = (parameters: Parameters, request: number) => Answer;

const servers: Bun.Server<undefined>[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

function history(script: Script, more: Partial<AlpacaHistorySettings> = {}) {
  const requests: { path: string; parameters: Parameters; headers: Headers }[] =
    [];
  const addresses: string[] = [];
  const malformed: { raw: string; reason: string }[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch({ url, headers }) {
      const { pathname, searchParams } = new URL(url);
      const parameters = Object.fromEntries(searchParams);
      addresses.push(url);
      requests.push({ path: pathname, parameters, headers });
      const answer = script(parameters, requests.length);
      if (answer instanceof Response) return answer;
      return typeof answer === "string"
        ? new Response(answer)
        : Response.json(answer);
    },
  });
  servers.push(server);
  const budget = new RateBudget({ perMinute: 100_000 });
  const rest = createAlpacaRest({
    account: {
      restUrl: `http://127.0.0.1:${server.port}`,
      keyId: "key",
      secretKey: "hush",
    },
    budget,
  });
  const settings = {
    rest,
    assetClass: "stock",
    feed: "iex",
    onMalformed: (row) => malformed.push(row),
    clock: { now: () => RECEIVED_AT_MS },
    ...more,
  } satisfies AlpacaHistorySettings;
  return { ...alpacaHistory(settings), budget, requests, addresses, malformed };
}

/** All pages, and what ended them. */
async function pagesOf(pages: AsyncIterable<readonly Bar[]>) {
  const read: string[][] = [];
  try {
    for await (const page of pages)
      read.push(
        page.map(
          ({ symbol, timestamp }) => `${symbol} ${timestamp.slice(14, 16)}`,
        ),
      );
    return { read };
  } catch (error) {
    return { read, error };
  }
}

function row(minute: number, more: object = {}) {
  const t = new Date(FROM + minute * MINUTE).toISOString().replace(".000", "");
  return { t, o: 10, h: 12, l: 9.5, c: 11, v: 300, n: 4, vw: 10.7, ...more };
}

const refusal = (status: number, message: string) =>
  Response.json({ message }, { status });

/** What a failed call says. */
async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof VenueError)) throw error;
  return error;
}

describe("bars", () => {
  test("of a stock are asked for by minute, raw, oldest first, up to the last millisecond before the end", async () => {
    const { bars, requests } = history(() => ({
      bars: { MSFT: [row(0)] },
      next_page_token: null,
    }));
    const [page] = await Array.fromAsync(bars(["MSFT"], RANGE, never));
    expect(page).toEqual([
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
        source: "alpaca:iex",
        receivedAtMs: RECEIVED_AT_MS,
      },
    ]);
    expect(
      requests.map(({ path, parameters, headers }) => [
        path,
        parameters,
        headers.get("APCA-API-KEY-ID"),
        headers.get("APCA-API-SECRET-KEY"),
      ]),
    ).toEqual([
      [
        "/v2/stocks/bars",
        {
          symbols: "MSFT",
          timeframe: "1Min",
          start: "2026-09-17T14:30:00.000Z",
          end: "2026-09-17T14:39:59.999Z",
          limit: "10000",
          adjustment: "raw",
          feed: "iex",
          sort: "asc",
        },
        "key",
        "hush",
      ],
    ]);
  });

  test("of crypto are those of the one feed, the slash of a pair encoded", async () => {
    const { bars, requests, addresses } = history(
      () => ({
        bars: { "SOL/USD": [row(3, { v: 0, n: 0, vw: 0 })] },
        next_page_token: null,
      }),
      { assetClass: "crypto" },
    );
    const [page] = await Array.fromAsync(bars(["SOL/USD"], RANGE, never));
    expect(page?.map(({ symbol, source }) => [symbol, source])).toEqual([
      ["SOL/USD", "alpaca:crypto"],
    ]);
    expect(requests[0]?.path).toBe("/v1beta3/crypto/us/bars");
    for (const ofStocks of ["feed", "adjustment"])
      expect(requests[0]?.parameters).not.toHaveProperty(ofStocks);
    expect(addresses[0]).toContain("symbols=SOL%2FUSD&");
  });

  test("come from all pages, be they short, empty or of half a symbol, and all pages are asked for alike", async () => {
    const pages: Answer[] = [
      { bars: { GME: [row(0), row(1)] }, next_page_token: "R01F" },
      { bars: {}, next_page_token: "a+b/c==" },
      { bars: { GME: [row(2)], MSFT: [row(0)] }, next_page_token: "TVNG" },
      { bars: null, next_page_token: "VA==" },
      { bars: { MSFT: [row(1)], QQQ: null }, next_page_token: null },
    ];
    const { bars, requests } = history((_, request) => pages[request - 1]!);
    const { read } = await pagesOf(bars(["MSFT", "GME", "QQQ"], RANGE, never));
    expect(read).toEqual([
      ["GME 30", "GME 31"],
      ["GME 32", "MSFT 30"],
      ["MSFT 31"],
    ]);
    expect(requests.map(({ parameters }) => parameters["page_token"])).toEqual([
      undefined,
      "R01F",
      "a+b/c==",
      "TVNG",
      "VA==",
    ]);
    const fixed = requests.map(
      ({ parameters: { page_token: _, ...rest } }) => rest,
    );
    expect(new Set(fixed.map((each) => JSON.stringify(each))).size).toBe(1);
  });

  test.each<[string, Answer]>([
    ["null", { bars: null, next_page_token: null }],
    ["empty", { bars: {}, next_page_token: null }],
    ["not there", { symbol: "MSFT" }],
    ["none of the symbol", { bars: { MSFT: [] }, next_page_token: "" }],
    ["null of the symbol", { bars: { MSFT: null }, next_page_token: null }],
  ])("that are %s are none", async (_, answer) => {
    const { bars, requests, malformed } = history(() => answer);
    expect(await pagesOf(bars(["MSFT"], RANGE, never))).toEqual({ read: [] });
    expect([requests.length, malformed]).toEqual([1, []]);
  });

  test("begin within the interval: its first instant belongs to it, its end does not", async () => {
    const { bars } = history(() => ({
      bars: { MSFT: [-1, 0, 9, 10].map((minute) => row(minute)) },
      next_page_token: null,
    }));
    const { read } = await pagesOf(bars(["MSFT"], RANGE, never));
    expect(read).toEqual([["MSFT 30", "MSFT 39"]]);
  });

  test("of no time or no symbol cost no request", async () => {
    const { bars, latestTrades, requests } = history(() => ({}));
    const { from } = RANGE;
    for (const [symbols, range] of [
      [["MSFT"], { from, to: from }],
      [["MSFT"], { from, to: from - 1 }],
      [[], RANGE],
    ] as const)
      expect(await pagesOf(bars(symbols, range, never))).toEqual({ read: [] });
    expect(await latestTrades([], never)).toEqual(new Map());
    expect(requests).toEqual([]);
  });

  test("that cannot be read are told whole, and their neighbours are read", async () => {
    const text = `{"bars":{"GME":[7],"B\\u002FC":[${JSON.stringify(row(0))}, {"t" :"2026-09-17T14:31:00Z","o":"10.0"},null,${JSON.stringify(row(3))}],"MSFT":{"t":5}},"next_page_token":null}`;
    const { bars, malformed } = history(() => text);
    const { read } = await pagesOf(bars(["MSFT", "GME", "B/C"], RANGE, never));
    expect(read).toEqual([["B/C 30", "B/C 33"]]);
    expect(malformed).toEqual([
      { raw: "7", reason: "GME: not an object" },
      {
        raw: '{"t" :"2026-09-17T14:31:00Z","o":"10.0"}',
        reason: "B/C: o is no price: 10.0",
      },
      { raw: "null", reason: "B/C: not an object" },
      { raw: '{"t":5}', reason: "MSFT: o is no price: undefined" },
    ]);
  });

  test("of an answer in no known form fail, and so do pages that do not move on", async () => {
    const strange = history(() => ({ bars: [row(0)] }));
    expect(await pagesOf(strange.bars(["MSFT"], RANGE, never))).toEqual({
      read: [],
      error: new VenueError("bars are not told by symbol", {
        failure: "rejected",
      }),
    });
    const round = history((_, request) => ({
      bars: { MSFT: [row(request)] },
      next_page_token: request % 2 === 0 ? "a" : "b",
    }));
    expect(await pagesOf(round.bars(["MSFT"], RANGE, never))).toEqual({
      read: [["MSFT 31"], ["MSFT 32"], ["MSFT 33"]],
      error: new VenueError("the pages of /v2/stocks/bars do not move on", {
        failure: "rejected",
      }),
    });
  });

  test("of a page that failed are asked for again, and none comes twice", async () => {
    const { bars, requests } = history(({ page_token: token }, request) => {
      if (request === 2)
        return new Response("<html>", {
          status: 503,
          headers: { "Retry-After": "0.01" },
        });
      return token === undefined
        ? { bars: { MSFT: [row(0)] }, next_page_token: "next" }
        : { bars: { MSFT: [row(1)] }, next_page_token: null };
    });
    const { read } = await pagesOf(bars(["MSFT"], RANGE, never));
    expect(read).toEqual([["MSFT 30"], ["MSFT 31"]]);
    expect(requests.map(({ parameters }) => parameters["page_token"])).toEqual([
      undefined,
      "next",
      "next",
    ]);
  });

  test("are given up where their reader is called off", async () => {
    const { bars, requests } = history((_, request) => ({
      bars: { MSFT: [row(request)] },
      next_page_token: `${request}`,
    }));
    const off = new AbortController();
    const reason = new Error("enough");
    const pages = bars(["MSFT"], RANGE, off.signal);
    async function* first() {
      for await (const page of pages) {
        yield page;
        off.abort(reason);
      }
    }
    expect(await pagesOf(first())).toEqual({
      read: [["MSFT 31"]],
      error: reason,
    });
    expect(requests).toHaveLength(1);
  });
});

describe("latest trades", () => {
  test("are told by symbol, as the millisecond of each", async () => {
    const { latestTrades, requests } = history(() => ({
      trades: {
        MSFT: { t: "2026-09-17T14:31:02.118999999Z", x: "V", p: 412.3, s: 7 },
        GME: { t: "2026-09-16T19:59:59Z", x: "V", p: 24, s: 100 },
        QQQ: null,
      },
    }));
    const asked = ["MSFT", "GME", "QQQ", "NOSUCH", "MSFT"];
    expect(await latestTrades(asked, never)).toEqual(
      new Map([
        ["MSFT", Date.parse("2026-09-17T14:31:02.118Z")],
        ["GME", Date.parse("2026-09-16T19:59:59Z")],
      ]),
    );
    expect(requests.map(({ path, parameters }) => [path, parameters])).toEqual([
      [
        "/v2/stocks/trades/latest",
        { symbols: "MSFT,GME,QQQ,NOSUCH", feed: "iex" },
      ],
    ]);
  });

  test("of crypto have a path of their own", async () => {
    const { latestTrades, requests } = history(
      () => ({ trades: { "SOL/USD": { t: "2026-09-17T03:00:00.9Z" } } }),
      { assetClass: "crypto" },
    );
    expect(await latestTrades(["SOL/USD"], never)).toEqual(
      new Map([["SOL/USD", Date.parse("2026-09-17T03:00:00.900Z")]]),
    );
    expect(requests.map(({ path, parameters }) => [path, parameters])).toEqual([
      ["/v1beta3/crypto/us/latest/trades", { symbols: "SOL/USD" }],
    ]);
  });

  test("without a time are told whole", async () => {
    const { latestTrades, malformed } = history(
      () =>
        '{"trades":{"GME":{"t":"soon"},"MSFT":{"t":"2026-09-17T14:31:02Z"}}}',
    );
    expect([...(await latestTrades(["GME", "MSFT"], never)).keys()]).toEqual([
      "MSFT",
    ]);
    expect(malformed).toEqual([
      { raw: '{"t":"soon"}', reason: "GME: no time: soon" },
    ]);
  });
});

test.each([
  ["iex", "iex", "iex"],
  ["sip", "sip", "sip"],
  ["delayed_sip", "delayed_sip", "sip"],
  ["test", "iex", "iex"],
] as const)(
  "the stream %s has its latest trades in %s and its history in %s",
  async (feed, latest, past) => {
    const { latestTrades, bars, requests } = history(
      () => ({ bars: { MSFT: [row(0)] } }),
      { feed },
    );
    await latestTrades(["MSFT"], never);
    const [page] = await Array.fromAsync(bars(["MSFT"], RANGE, never));
    expect(requests.map(({ parameters }) => parameters["feed"])).toEqual([
      latest,
      past,
    ]);
    expect(page?.[0]?.source).toBe(`alpaca:${feed}`);
  },
);

test("a live stream's verdict goes before healing in the key's budget", async () => {
  const { budget, latestTrades, bars } = history(() => ({}));
  const acquire = spyOn(budget, "acquire");
  await latestTrades(["MSFT"], never);
  await pagesOf(bars(["MSFT"], RANGE, never));
  expect(acquire.mock.calls.map(([priority]) => priority)).toEqual([
    "live",
    "healing",
  ]);
});

test("ten thousand symbols go into addresses of less than 8 kB, each symbol into one", async () => {
  const symbols = Array.from(
    { length: 10_000 },
    (_, number) => `C${number}/USD`,
  );
  const { latestTrades, bars, requests, addresses } = history(
    ({ symbols: asked = "", timeframe, page_token: token }) => {
      const each = asked.split(",");
      if (timeframe === undefined)
        return {
          trades: Object.fromEntries(
            each.map((symbol) => [symbol, { t: "2026-09-17T14:31:02Z" }]),
          ),
        };
      return token === undefined
        ? { bars: { [each[0]!]: [row(0)] }, next_page_token: "next" }
        : { bars: { [each.at(-1)!]: [row(1)] }, next_page_token: null };
    },
    { assetClass: "crypto" },
  );
  const times = await latestTrades([...symbols, ...symbols], never);
  expect([...times.keys()]).toEqual(symbols);
  const asked = requests.map(({ parameters: { symbols: list = "" } }) =>
    list.split(","),
  );
  expect(asked.flat()).toEqual(symbols);
  const { read } = await pagesOf(bars(symbols, RANGE, never));
  expect(read).toEqual(
    asked.flatMap((list) => [[`${list[0]} 30`], [`${list.at(-1)} 31`]]),
  );
  const longest = Math.max(...addresses.map(({ length }) => length));
  expect(longest).toBeLessThan(8000);
});

describe("the venue refuses", () => {
  test.each([
    [403, "subscription does not permit querying recent SIP data"],
    // So it said in earlier years.
    [
      422,
      "your subscription does not permit querying data from the past 15 minutes",
    ],
  ])(
    "what the plan does not hold, by %d: the key is not to blame",
    async (status, message) => {
      const { bars, latestTrades } = history(() => refusal(status, message), {
        feed: "sip",
      });
      for (const work of [
        latestTrades(["MSFT"], never),
        Array.fromAsync(bars(["MSFT"], RANGE, never)),
      ]) {
        const error = await failureOf(work);
        expect([error.failure, error.status, isBeyondPlan(error)]).toEqual([
          "rejected",
          status,
          true,
        ]);
        expect(error.message).toEndWith(message);
      }
    },
  );

  test("a wrong key, which is another matter", async () => {
    const { latestTrades } = history(() => refusal(403, "forbidden."));
    const error = await failureOf(latestTrades(["MSFT"], never));
    expect([error.failure, error.status, isBeyondPlan(error)]).toEqual([
      "refused",
      403,
      false,
    ]);
    expect(isBeyondPlan(new Error("subscription does not permit"))).toBe(false);
  });

  test("a symbol of a wrong form: the others are asked for without it", async () => {
    const { bars, latestTrades, requests } = history(({ symbols = "" }) => {
      const wrong = symbols.split(",").find((each) => /\d/.test(each));
      if (wrong !== undefined) return refusal(400, `invalid symbol: ${wrong}`);
      return {
        bars: { GME: [row(0)] },
        trades: { GME: { t: "2026-09-17T14:31:02Z" } },
        next_page_token: null,
      };
    });
    const asked = ["CSP1", "GME", "0029900E0"];
    expect(await pagesOf(bars(asked, RANGE, never))).toEqual({
      read: [["GME 30"]],
    });
    expect([...(await latestTrades(asked, never)).keys()]).toEqual(["GME"]);
    expect(await pagesOf(bars(["CSP1"], RANGE, never))).toEqual({ read: [] });
    expect(requests.map(({ parameters }) => parameters["symbols"])).toEqual([
      ...["CSP1,GME,0029900E0", "GME,0029900E0", "GME"],
      ...["CSP1,GME,0029900E0", "GME,0029900E0", "GME"],
      "CSP1",
    ]);
  });

  test("more than fifty symbols of a request, which is its caller's problem", async () => {
    const { latestTrades, requests } = history(({ symbols = "" }) =>
      refusal(400, `invalid symbol: ${symbols.split(",")[0]}`),
    );
    const symbols = Array.from({ length: 60 }, (_, number) => `X${number}`);
    const error = await failureOf(latestTrades(symbols, never));
    expect([error.failure, error.status, requests.length]).toEqual([
      "rejected",
      400,
      51,
    ]);
  });

  test.each([
    [1, "invalid symbol: OTHER"],
    [1, "unexpected query parameter(s): sort"],
    // A later page has the symbols of the first: dropping one there would leave a hole.
    [2, "invalid symbol: MSFT"],
  ])("page %d with %j: told as it is", async (page, message) => {
    const { bars, requests } = history((_, request) =>
      request === page
        ? refusal(400, message)
        : { bars: { MSFT: [row(0)] }, next_page_token: "next" },
    );
    const { error } = await pagesOf(bars(["MSFT", "GME"], RANGE, never));
    expect(error).toEqual(
      new VenueError(`400 from /v2/stocks/bars: ${message}`, {
        failure: "rejected",
        status: 400,
      }),
    );
    expect(requests).toHaveLength(page);
  });
});

describe("an answer as the venue writes it", () => {
  const ALL_TIME = { from: 0, to: Date.parse("2100-01-01T00:00:00Z") };
  const stock = (name: string) => `alpaca/rest/alpaca-py_stock_data/${name}`;
  const crypto = (name: string) => `alpaca/rest/alpaca-py_crypto_data/${name}`;

  /** The recording of each row that is at hand. */
  function recordings<Expected>(
    rows: readonly (readonly ["stock" | "crypto", string, Expected])[],
  ) {
    return rows.flatMap(([assetClass, path, expected]) => {
      const text = recorded(path);
      return text === undefined
        ? []
        : ([[assetClass, path, text, expected]] as const);
    });
  }

  test.each([
    [
      "stock",
      "built by hand",
      `{"bars":{"GME":[{"t":"2026-09-16T04:00:00Z","o":24,"h":24.5,"l":23.9,"c":24.1,"v":9182733,"n":81233,"vw":24.172615}]},"next_page_token":"R01F"}`,
      ["GME"],
    ] as const,
    ...recordings([
      ["stock", stock("L0034_bars_AAPL.json"), ["AAPL", "AAPL"]],
      ["stock", stock("L0091_bars_TSLA.json"), ["TSLA", "TSLA", "TSLA"]],
      ["stock", stock("L0165_bars_AAPL.json"), ["AAPL", "TSLA"]],
      ["stock", stock("L0225_bars.json"), []],
      ["stock", stock("L1004_bars.json"), []],
      ["crypto", crypto("L0034_bars_BTCUSD.json"), ["BTC/USD", "ETH/USD"]],
      [
        "crypto",
        "alpaca/rest/ccxt_recorded/crypto_bars_1m_BTCUSD_2024-07-18.json",
        ["BTC/USD"],
      ],
    ]),
  ])("gives bars of %s: %s", async (assetClass, _, text, symbols) => {
    const { bars, malformed } = history(
      ({ page_token: token }) => (token === undefined ? text : { bars: {} }),
      { assetClass },
    );
    const pages = await Array.fromAsync(bars(["X"], ALL_TIME, never));
    expect(pages.flat().map(({ symbol }) => symbol)).toEqual([...symbols]);
    expect(malformed).toEqual([]);
  });

  test.each([
    [
      "stock",
      "built by hand",
      `{"trades":{"GME":{"t":"2026-09-16T19:59:59.104Z","x":"D","p":24.0901,"s":200,"c":["@"],"i":55120,"z":"A"}}}`,
      { GME: "2026-09-16T19:59:59.104Z" },
    ] as const,
    ...recordings<Record<string, string>>([
      [
        "stock",
        stock("L0661_trades_AAPL.json"),
        { AAPL: "2022-03-18T14:02:09.722Z", TSLA: "2022-07-15T19:59:59.405Z" },
      ],
      ["stock", stock("L0715_trades.json"), {}],
      [
        "crypto",
        crypto("L0189_trades_BTCUSD.json"),
        { "BTC/USD": "2022-03-18T14:03:31.960Z" },
      ],
    ]),
  ])("gives latest trades of %s: %s", async (assetClass, _, text, expected) => {
    const { latestTrades, malformed } = history(() => text, { assetClass });
    const times = await latestTrades(["X"], never);
    expect(
      Object.fromEntries(
        [...times].map(([symbol, ms]) => [symbol, new Date(ms).toISOString()]),
      ),
    ).toEqual({ ...expected });
    expect(malformed).toEqual([]);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DAY, HOUR, MINUTE, SECOND } from "../../../../src/clock.ts";
import { BETA, keysOf } from "../wire.ts";
import { CRYPTO, Feed, type Message, NOW } from "./feed.ts";

const STOCKS = "/v2/stocks";
const iso = (ms: number) => new Date(ms).toISOString();

let feed: Feed;
beforeAll(async () => (feed = await Feed.open()));
afterAll(() => feed[Symbol.asyncDispose]());

/** Every page, until there is no token. */
async function pagesOf(path: string, own = feed): Promise<Message[]> {
  const pages: Message[] = [];
  for (let token: unknown = ""; token !== null;) {
    const page = await own.get(
      token === ""
        ? path
        : `${path}&page_token=${encodeURIComponent(String(token))}`,
    );
    pages.push(page);
    token = page.next_page_token;
  }
  return pages;
}

/** Rows of all pages, by symbol. */
function merged(pages: readonly Message[], kind: string) {
  const rows: Record<string, Message[]> = {};
  for (const page of pages)
    for (const [symbol, more] of Object.entries(
      page[kind] as Record<string, Message[]>,
    ))
      (rows[symbol] ??= []).push(...more);
  return rows;
}

const times = (rows: readonly Message[] = []) => rows.map(({ t }) => t);

describe("bars", () => {
  test("of several symbols come by symbol and time, the limit counting all together", async () => {
    const path = `${STOCKS}/bars?symbols=SPY,AAPL&timeframe=1Min&start=${iso(NOW - 5 * MINUTE)}&end=${iso(NOW - MINUTE)}`;
    const whole = await feed.get(path);
    expect(whole.next_page_token).toBeNull();
    expect(Object.keys(whole.bars)).toEqual(["AAPL", "SPY"]);
    expect(Object.keys(whole.bars.AAPL[0])).toEqual([
      "o",
      "h",
      "l",
      "c",
      "v",
      "t",
      "n",
      "vw",
    ]);
    for (const symbol of ["AAPL", "SPY"])
      expect(times(whole.bars[symbol])).toEqual(
        // Both ends are included, but the bar of the last minute is not told yet.
        ["13:55", "13:56", "13:57", "13:58"].map(
          (minute) => `2026-09-16T${minute}:00Z`,
        ),
      );
    const pages = await pagesOf(`${path}&limit=3`);
    expect(
      pages.map(({ bars }) =>
        Object.entries(bars as Record<string, Message[]>).map(
          ([symbol, rows]) => [symbol, rows.length],
        ),
      ),
    ).toEqual([
      [["AAPL", 3]],
      [
        ["AAPL", 1],
        ["SPY", 2],
      ],
      [["SPY", 2]],
    ]);
    expect(merged(pages, "bars")).toEqual(whole.bars);
  });

  test("come backwards when asked to, page by page", async () => {
    const path = `${STOCKS}/bars?symbols=SPY,AAPL&timeframe=1Min&start=${iso(NOW - HOUR)}`;
    const forwards = merged(await pagesOf(`${path}&limit=7`), "bars");
    const backwards = merged(
      await pagesOf(`${path}&limit=7&sort=desc`),
      "bars",
    );
    expect(forwards["AAPL"]?.length).toBe(59);
    for (const symbol of ["AAPL", "SPY"])
      expect(backwards[symbol]).toEqual(forwards[symbol]!.toReversed());
  });

  test("of one symbol say which; of none are null, and of several absent", async () => {
    const old = `timeframe=1Min&start=2015-01-01&end=2015-02-01`;
    expect(await feed.get(`${STOCKS}/AAPL/bars?${old}`)).toEqual({
      bars: null,
      symbol: "AAPL",
      next_page_token: null,
    });
    expect(await feed.get(`${STOCKS}/bars?symbols=A,B&${old}`)).toEqual({
      bars: {},
      next_page_token: null,
    });
    const { bars, symbol } = await feed.get(
      `${STOCKS}/AAPL/bars?timeframe=1Min&limit=2`,
    );
    expect([symbol, times(bars)]).toEqual([
      "AAPL",
      // From the beginning of the day on, which is New York's.
      ["2026-09-16T04:00:00Z", "2026-09-16T04:01:00Z"],
    ]);
  });

  test.each([
    ["5Min", "2026-09-16T13:30:00Z", 5],
    ["1Hour", "2026-09-16T12:00:00Z", 60],
  ])("of %s are of the minutes in them", async (timeframe, from, length) => {
    const of = (frame: string) =>
      feed.get(
        `${STOCKS}/AAPL/bars?timeframe=${frame}&start=${from}&end=${iso(Date.parse(from) + length * MINUTE - 1)}`,
      );
    const { bars: minutes } = await of("1Min");
    const { bars: joined } = await of(timeframe);
    expect(minutes.length).toBe(length);
    const all = (name: string): number[] =>
      minutes.map((bar: Record<string, number>) => bar[name]);
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    expect(joined).toEqual([
      {
        o: minutes[0].o,
        h: Math.max(...all("h")),
        l: Math.min(...all("l")),
        c: minutes.at(-1).c,
        v: sum(all("v")),
        t: from,
        n: sum(all("n")),
        vw: expect.closeTo(
          sum(minutes.map(({ v, vw }: { v: number; vw: number }) => v * vw)) /
            sum(all("v")),
          6,
        ),
      },
    ]);
  });

  test("of a day begin at midnight, and the last one holds what is known by now", async () => {
    const { bars } = await feed.get(
      `${STOCKS}/AAPL/bars?timeframe=1Day&start=2026-09-14&end=2026-09-16`,
    );
    expect(times(bars)).toEqual(
      [14, 15, 16].map((day) => `2026-09-${day}T04:00:00Z`),
    );
    const { bars: minutes } = await feed.get(
      `${STOCKS}/AAPL/bars?timeframe=1Min&start=2026-09-16&limit=10000`,
    );
    expect(bars[2].c).toBe(minutes.at(-1).c);
    const { bars: coins } = await feed.get(
      `${CRYPTO}/bars?symbols=BTC/USD&timeframe=1Day&start=2026-09-15`,
    );
    expect(times(coins["BTC/USD"])).toEqual([
      "2026-09-15T05:00:00Z",
      "2026-09-16T05:00:00Z",
    ]);
  });

  test("of a long time come in pages of two weeks of minutes, and none is lost between them", async () => {
    const pages = await pagesOf(
      `${STOCKS}/bars?symbols=QUIET&timeframe=1Day&start=2026-08-01&end=2026-09-15`,
    );
    expect(pages.length).toBeGreaterThan(2);
    const days = Array.from({ length: 46 }, (_, day) =>
      iso(Date.parse("2026-08-01T04:00:00Z") + day * DAY),
    );
    expect(times(merged(pages, "bars")["QUIET"])).toEqual(
      days.map((day) => day.replace(".000Z", "Z")),
    );
  });

  test("of crypto are there without a key, for every minute, in short pages whatever the limit", async () => {
    const path = `${CRYPTO}/bars?symbols=SHIB/USD&timeframe=1Min&limit=10000&start=${iso(NOW - 10 * HOUR)}&end=${iso(NOW - 1)}`;
    const first = await feed.call(path, { headers: {} });
    expect(first.status).toBe(200);
    expect(first.body.bars["SHIB/USD"].length).toBe(400);
    expect(first.body.next_page_token).toBeString();
    const rows = merged(await pagesOf(path), "bars")["SHIB/USD"] ?? [];
    expect(rows.length).toBe(599);
    const quiet = rows.filter(({ n }) => n === 0);
    expect(quiet.length).toBeGreaterThan(300);
    for (const { v, vw, o } of quiet)
      expect([v, vw, typeof o]).toEqual([0, 0, "number"]);
    const wrong = await feed.call(path, {
      headers: keysOf({ ...BETA, secretKey: "wrong" }),
    });
    expect(wrong.status).toBe(401);
  });
});

describe("trades and quotes", () => {
  test.each(["trades", "quotes"])(
    "%s within an interval come with both its ends, page by page, forwards and backwards",
    async (kind) => {
      const all = `${STOCKS}/${kind}?symbols=SPY,QQQ&start=${iso(NOW - 5 * MINUTE)}&end=${iso(NOW - 2 * MINUTE)}`;
      const rows = merged([await feed.get(all)], kind);
      expect(rows["SPY"]!.length).toBeGreaterThan(100);
      const some = times(rows["SPY"]).slice(10, 40);
      const part = await feed.get(
        `${STOCKS}/SPY/${kind}?start=${some[0]}&end=${some.at(-1)}`,
      );
      expect([part.symbol, times(part[kind])]).toEqual(["SPY", some]);
      expect(merged(await pagesOf(`${all}&limit=17`), kind)).toEqual(rows);
      const backwards = merged(
        await pagesOf(`${all}&limit=17&sort=desc`),
        kind,
      );
      for (const symbol of ["SPY", "QQQ"])
        expect(backwards[symbol]).toEqual(rows[symbol]!.toReversed());
    },
  );

  test("pages do not shift when late trades come in between them", async () => {
    await using own = await Feed.open();
    const path = `${STOCKS}/trades?symbols=SPY&start=${iso(NOW)}&end=${iso(NOW + 10 * MINUTE)}&limit=50`;
    own.advance(10 * MINUTE);
    const before = merged(await pagesOf(path, own), "trades")["SPY"]!;
    const pages: Message[] = [];
    for (let token: unknown = ""; token !== null;) {
      const page = await own.get(
        token === "" ? path : `${path}&page_token=${token}`,
      );
      pages.push(page);
      token = page.next_page_token;
      own.advance(5 * SECOND);
    }
    const ids = (rows: readonly Message[]) => rows.map(({ i }) => i);
    const paged = ids(merged(pages, "trades")["SPY"]!);
    expect(new Set(paged).size).toBe(paged.length);
    for (const id of ids(before)) expect(paged).toContain(id);
  });

  test("have the members of the documents", async () => {
    const shown = async (path: string) => {
      const { trades, quotes } = await feed.get(path);
      const [row] = Object.values<Message[]>(trades ?? quotes)[0] ?? [];
      return Object.keys(row ?? {});
    };
    const query = `start=${iso(NOW - HOUR)}&limit=1`;
    expect(await shown(`${STOCKS}/trades?symbols=SPY&${query}`)).toEqual([
      "i",
      "x",
      "p",
      "s",
      "c",
      "t",
      "z",
    ]);
    expect(await shown(`${STOCKS}/quotes?symbols=SPY&${query}`)).toEqual([
      "bx",
      "bp",
      "bs",
      "ax",
      "ap",
      "as",
      "c",
      "t",
      "z",
    ]);
    expect(await shown(`${CRYPTO}/trades?symbols=BTC/USD&${query}`)).toEqual([
      "p",
      "s",
      "t",
      "i",
      "tks",
    ]);
    expect(await shown(`${CRYPTO}/quotes?symbols=BTC/USD&${query}`)).toEqual([
      "bp",
      "bs",
      "ap",
      "as",
      "t",
    ]);
  });
});

describe("the latest", () => {
  test.each([
    [
      `${STOCKS}/trades/latest?symbols=AAPL`,
      `${STOCKS}/AAPL/trades/latest`,
      "trades",
    ],
    [
      `${STOCKS}/quotes/latest?symbols=AAPL`,
      `${STOCKS}/AAPL/quotes/latest`,
      "quotes",
    ],
    [
      `${STOCKS}/bars/latest?symbols=AAPL`,
      `${STOCKS}/AAPL/bars/latest`,
      "bars",
    ],
  ])("%s and %s show the newest there is", async (many, one, kind) => {
    const found = await feed.get(many);
    const { symbol, ...single } = await feed.get(one);
    expect(symbol).toBe("AAPL");
    expect(single).toEqual({ [kind.slice(0, -1)]: found[kind].AAPL });
    const [newest] = (
      await feed.get(
        `${STOCKS}/AAPL/${kind}?sort=desc&limit=30${kind === "bars" ? "&timeframe=1Min" : ""}`,
      )
    )[kind].filter(
      // A handful of shares makes no price.
      ({ s }: Message) => kind !== "trades" || Number(s) >= 100,
    );
    expect(found[kind].AAPL).toEqual(newest);
  });

  test.each(["trades", "quotes", "bars", "orderbooks"])(
    "%s of crypto are shown by symbol",
    async (kind) => {
      const found = await feed.get(
        `${CRYPTO}/latest/${kind}?symbols=BTC/USD,ETH/USD`,
      );
      expect(Object.keys(found)).toEqual([kind]);
      expect(Object.keys(found[kind])).toEqual(["BTC/USD", "ETH/USD"]);
      for (const { t } of Object.values<Message>(found[kind])) {
        const age = NOW - Date.parse(`${t}`);
        expect(age > 0 && age < 5 * MINUTE).toBe(true);
      }
    },
  );

  test("of the delayed feed are a quarter of an hour old", async () => {
    const { quotes } = await feed.get(
      `${STOCKS}/quotes/latest?symbols=SPY&feed=delayed_sip`,
    );
    const [newest] = (
      await feed.get(
        `${STOCKS}/SPY/quotes?sort=desc&limit=1&end=${iso(NOW - 15 * MINUTE)}`,
      )
    ).quotes;
    expect(quotes.SPY).toEqual(newest);
  });

  test("are those of before the weekend while the exchange rests, and the bars of its days too", async () => {
    await using own = await Feed.open({ hours: "exchange" });
    // Easter Monday, an hour before the early session; Friday was no day of trading.
    own.nowMs = Date.parse("2026-04-06T07:00:00Z");
    const { trades } = await own.get(`${STOCKS}/trades/latest?symbols=SPY`);
    expect(trades.SPY.t).toStartWith("2026-04-02T23:59");
    const { SPY } = await own.get(`${STOCKS}/snapshots?symbols=SPY`);
    expect([SPY.dailyBar.t, SPY.prevDailyBar.t]).toEqual([
      "2026-04-02T04:00:00Z",
      "2026-04-01T04:00:00Z",
    ]);
    const { bars } = await own.get(
      `${STOCKS}/SPY/bars?timeframe=1Day&start=2026-04-01&end=2026-04-06`,
    );
    expect(times(bars)).toEqual([
      "2026-04-01T04:00:00Z",
      "2026-04-02T04:00:00Z",
    ]);
  });
});

describe("a snapshot", () => {
  const PARTS = [
    "latestTrade",
    "latestQuote",
    "minuteBar",
    "dailyBar",
    "prevDailyBar",
  ];

  test("is made of what the other paths show", async () => {
    const { AAPL } = await feed.get(`${STOCKS}/snapshots?symbols=AAPL`);
    expect(Object.keys(AAPL)).toEqual(PARTS);
    const latest = async (kind: string) =>
      (await feed.get(`${STOCKS}/${kind}/latest?symbols=AAPL`))[kind].AAPL;
    const { bars: days } = await feed.get(
      `${STOCKS}/AAPL/bars?timeframe=1Day&start=2026-09-15`,
    );
    expect(AAPL).toEqual({
      latestTrade: await latest("trades"),
      latestQuote: await latest("quotes"),
      minuteBar: await latest("bars"),
      dailyBar: days[1],
      prevDailyBar: days[0],
    });
    expect(await feed.get(`${STOCKS}/AAPL/snapshot`)).toEqual({
      symbol: "AAPL",
      ...AAPL,
    });
  });

  test("of crypto stands under a name", async () => {
    const { snapshots } = await feed.get(`${CRYPTO}/snapshots?symbols=BTC/USD`);
    expect(Object.keys(snapshots["BTC/USD"])).toEqual(PARTS);
  });
});

describe("a request that is wrong", () => {
  const bars = `${STOCKS}/bars?symbols=AAPL&timeframe=1Min`;
  test.each<[path: string, status: number, message: string]>([
    [
      `${bars}&colour=blue&size=1`,
      400,
      "unexpected query parameter(s): colour, size",
    ],
    [
      `${STOCKS}/AAPL/bars?timeframe=1Min&symbols=A`,
      400,
      "unexpected query parameter(s): symbols",
    ],
    [
      `${STOCKS}/trades?symbols=A&timeframe=1Min`,
      400,
      "unexpected query parameter(s): timeframe",
    ],
    [
      `${CRYPTO}/bars?symbols=BTC/USD&timeframe=1Min&feed=iex`,
      400,
      "unexpected query parameter(s): feed",
    ],
    [
      `${STOCKS}/snapshots?symbols=A&limit=1`,
      400,
      "unexpected query parameter(s): limit",
    ],
    [`${STOCKS}/bars?timeframe=1Min`, 400, "symbols is required"],
    [`${STOCKS}/bars?timeframe=1Min&symbols=,`, 400, "symbols is required"],
    [
      `${STOCKS}/bars?symbols=AAPL,aapl&timeframe=1Min`,
      400,
      "invalid symbol: aapl",
    ],
    [
      `${STOCKS}/bars?symbols=BTC/USD&timeframe=1Min`,
      400,
      "invalid symbol: BTC/USD",
    ],
    [`${STOCKS}/a%20b/trades`, 400, "invalid symbol: a b"],
    [
      `${CRYPTO}/bars?symbols=BTCUSD&timeframe=1Min`,
      400,
      "invalid symbol: BTCUSD",
    ],
    [`${STOCKS}/bars?symbols=AAPL`, 400, "timeframe is required"],
    [
      `${STOCKS}/bars?symbols=AAPL&timeframe=1min`,
      400,
      "invalid timeframe: 1min",
    ],
    [`${bars}&start=yesterday`, 400, "invalid start: yesterday"],
    [`${bars}&end=2026-02-30`, 400, "invalid end: 2026-02-30"],
    [`${bars}&limit=0`, 400, "invalid limit: 0"],
    [`${bars}&limit=10001`, 400, "invalid limit: 10001"],
    [`${bars}&limit=ten`, 400, "invalid limit: ten"],
    [`${bars}&sort=up`, 400, "invalid sort: up"],
    [`${bars}&feed=delayed_sip`, 400, "invalid feed: delayed_sip"],
    [`${bars}&adjustment=raw,odd`, 400, "invalid adjustment: raw,odd"],
    [`${bars}&page_token=abc`, 400, "invalid page_token"],
    [
      "/v1beta3/crypto/mars/bars?symbols=BTC/USD",
      400,
      "invalid location: mars",
    ],
    ["/v1beta1/news?limit=51", 400, "invalid limit: 51"],
    [`${STOCKS}/auctions?symbols=A`, 404, "endpoint not found."],
    [`${STOCKS}/AAPL`, 404, "endpoint not found."],
    [`${STOCKS}/AAPL/snapshots`, 404, "endpoint not found."],
    [`${STOCKS}/%zz/bars`, 404, "endpoint not found."],
    [`${CRYPTO}/bars/latest?symbols=BTC/USD`, 404, "endpoint not found."],
    [`${CRYPTO}/latest/snapshots?symbols=BTC/USD`, 404, "endpoint not found."],
  ])("%s: %d %s", async (path, status, message) => {
    const { status: told, body } = await feed.call(path);
    expect([told, body]).toEqual([status, { message }]);
  });

  test("is one that is no GET", async () => {
    const { status } = await feed.call(bars, { method: "POST" });
    expect(status).toBe(404);
  });

  test("is one without a key", async () => {
    const { status, body } = await feed.call(bars, { headers: {} });
    expect([status, body.code]).toEqual([401, 40110000]);
  });
});

test("parameters that change nothing here are taken, as are all feeds and a news page without news", async () => {
  const path = `${STOCKS}/AAPL/bars?timeframe=1Min&limit=1&start=${iso(NOW - HOUR)}`;
  const plain = await feed.get(path);
  for (const more of [
    "adjustment=split,dividend",
    "asof=-",
    "currency=USD",
    "feed=otc",
    "feed=boats",
  ])
    expect(await feed.get(`${path}&${more}`)).toEqual(plain);
  expect(await feed.get("/v1beta1/news?symbols=AAPL&limit=50")).toEqual({
    news: [],
    next_page_token: null,
  });
});

describe("on the basic plan", () => {
  let basic: Feed;
  beforeAll(async () => (basic = await Feed.open({ plan: "basic" })));
  afterAll(() => basic[Symbol.asyncDispose]());
  const refused = {
    message: "subscription does not permit querying recent SIP data",
  };

  test.each([
    [`${STOCKS}/bars?symbols=SPY&timeframe=1Min&end=${iso(NOW - 14 * MINUTE)}`],
    [`${STOCKS}/trades?symbols=SPY&feed=sip&end=${iso(NOW)}`],
    [`${STOCKS}/quotes/latest?symbols=SPY&feed=sip`],
    [`${STOCKS}/snapshots?symbols=SPY&feed=sip`],
  ])("the last minutes of all exchanges are not shown: %s", async (path) => {
    const { status, body } = await basic.call(path);
    expect([status, body]).toEqual([403, refused]);
  });

  test("what is older is, and so is a single exchange, and what is asked for without an end stops there", async () => {
    const path = `${STOCKS}/SPY/bars?timeframe=1Min&sort=desc&limit=1`;
    const newest = async (more: string) =>
      times((await basic.get(`${path}${more}`)).bars);
    expect(await newest(`&end=${iso(NOW - 20 * MINUTE)}`)).toEqual([
      "2026-09-16T13:40:00Z",
    ]);
    // The minute that ended a quarter of an hour ago is not told yet then.
    expect(await newest("")).toEqual(["2026-09-16T13:43:00Z"]);
    expect(await newest("&end=2026-09-16")).toEqual(["2026-09-16T13:43:00Z"]);
    expect(await newest("&feed=iex")).toEqual(["2026-09-16T13:58:00Z"]);
    const { quotes } = await basic.get(`${STOCKS}/quotes/latest?symbols=SPY`);
    expect(quotes.SPY.t).toStartWith("2026-09-16T13:59");
  });
});

describe("the rate limit", () => {
  const limits = (headers: Headers) =>
    ["limit", "remaining", "reset"].map((name) =>
      Number(headers.get(`x-ratelimit-${name}`)),
    );

  test.each<["basic" | "plus", number]>([
    ["basic", 200],
    ["plus", 10_000],
  ])(
    "of the plan %s is %d a minute, told with every answer, and apart from that of trading",
    async (plan, perMinute) => {
      await using own = await Feed.open({ plan }, {});
      const resetS = (NOW + MINUTE) / SECOND;
      const [good, bad] = [
        `${STOCKS}/AAPL/quotes/latest`,
        `${STOCKS}/AAPL/bars`,
      ];
      expect(limits((await own.call(good)).headers)).toEqual([
        perMinute,
        perMinute - 1,
        resetS,
      ]);
      const wrong = await own.call(bad);
      expect([wrong.status, ...limits(wrong.headers)]).toEqual([
        400,
        perMinute,
        perMinute - 2,
        resetS,
      ]);
      expect(limits((await own.call("/v2/clock")).headers)).toEqual([
        200,
        199,
        resetS,
      ]);
    },
  );

  test("is 429 for one request too many, until the minute is over", async () => {
    await using own = await Feed.open({}, { requestsPerMinute: 1 });
    const path = `${STOCKS}/AAPL/quotes/latest`;
    expect((await own.call(path)).status).toBe(200);
    const late = await own.call(path);
    expect([late.status, ...limits(late.headers)]).toEqual([
      429,
      1,
      0,
      (NOW + MINUTE) / SECOND,
    ]);
    own.advance(MINUTE);
    expect((await own.call(path)).status).toBe(200);
  });
});

/** Snapshots: what is known at which hour, digit by digit, and what a plan hides. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DAY, MINUTE } from "../../../../src/clock.ts";
import { NOW, Place, type Row } from "./place.ts";

const STOCKS = "/v2/snapshot/locale/us/markets/stocks/tickers";
const COINS = "/v2/snapshot/locale/global/markets/crypto/tickers";

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(() => place[Symbol.asyncDispose]());

/** The ticker of a snapshot at an hour in New York, on the Wednesday unless another day is named. */
async function at(clock: string, ticker = "AAPL", day = "2026-09-16") {
  place.nowMs = Date.parse(`${day}T${clock}:00-04:00`);
  return (await place.get(`${STOCKS}/${ticker}`)).ticker;
}

/** The bar of a day by REST. */
async function dayOf(day: string): Promise<Row> {
  const path = `/v2/aggs/ticker/AAPL/range/1/day/${day}/${day}`;
  return (await place.get(path)).results[0];
}

const prices = ({ o, h, l, c }: Row) => ({ o, h, l, c });
const NOTHING = { o: 0, h: 0, l: 0, c: 0, v: 0, vw: 0 };

describe("by the clock", () => {
  test("everything is wiped at 03:30, the day before stays as the previous one", async () => {
    const { v, vw, ...rest } = await dayOf("2026-09-15");
    expect(await at("03:45")).toEqual({
      ticker: "AAPL",
      todaysChangePerc: 0,
      todaysChange: 0,
      updated: 0,
      day: { ...NOTHING, dv: "0.0" },
      lastTrade: { c: null, i: "", p: 0, s: 0, t: 0, x: 0 },
      lastQuote: { P: 0, S: 0, p: 0, s: 0, t: 0 },
      min: { ...NOTHING, av: 0, t: 0, n: 0, dv: "0.0", dav: "0.0" },
      prevDay: { ...prices(rest as Row), v, vw },
    });
  });

  test("the evening's stays until then", async () => {
    const evening = await at("21:00", "AAPL", "2026-09-15");
    expect(await at("03:29")).toEqual(evening);
    expect(evening.day).toMatchObject(prices(await dayOf("2026-09-15")));
  });

  test("the weekend shows Friday, with Thursday before it", async () => {
    const sunday = await at("12:00", "AAPL", "2026-09-13");
    expect(sunday.day).toMatchObject(prices(await dayOf("2026-09-11")));
    expect(sunday.prevDay).toMatchObject(prices(await dayOf("2026-09-10")));
  });

  test("before 09:30 trades and minutes are live, the day has a volume and no prices", async () => {
    const { day, min, lastTrade, lastQuote, prevDay, todaysChange } =
      await at("09:00");
    expect(day).toMatchObject({ o: 0, h: 0, l: 0, c: 0 });
    expect(day.v).toBeGreaterThan(10_000);
    expect(min).toMatchObject({
      t: Date.parse("2026-09-16T08:59:00-04:00"),
      av: day.v,
    });
    expect(lastQuote.P).toBeGreaterThan(lastQuote.p);
    expect(todaysChange).toBeCloseTo(lastTrade.p - prevDay.c, 6);
  });

  test("after it the day has prices, those of the session", async () => {
    const { day, min } = await at("09:31");
    const open = place.row("AAPL", Date.parse("2026-09-16T09:30:00-04:00"));
    expect(day.o).toBe(open?.o);
    expect(day.v).toBeGreaterThan(min.v * 10);
  });
});

test("times of stocks are nanoseconds with all their digits", async () => {
  const { text } = await place.call(`${STOCKS}/AAPL`);
  for (const name of ["updated", "t"])
    expect(text).toMatch(new RegExp(`"${name}":\\d{19}[,}]`));
});

test("the market is all symbols, or those that are asked for, the unknown left out", async () => {
  place.nowMs = NOW;
  const tickers = async (query: string) => {
    const { tickers, ...rest } = await place.get(STOCKS + query);
    return [tickers.map(({ ticker }: { ticker: string }) => ticker), rest];
  };
  expect(await tickers("")).toEqual([
    ["AAPL", "MSFT", "NVDA", "OCGN", "QQQ", "SPY", "TSLA"],
    { count: 7, status: "OK" },
  ]);
  expect(await tickers("?tickers=SPY,NOSUCH,AAPL")).toEqual([
    ["AAPL", "SPY"],
    { count: 2, status: "OK" },
  ]);
});

test("crypto counts milliseconds, has no quote, and is wiped at five in UTC", async () => {
  place.nowMs = Date.parse("2026-09-16T05:10:00Z");
  const { ticker } = await place.get(`${COINS}/X:BTCUSD`);
  expect(Object.keys(ticker)).not.toContain("lastQuote");
  expect(Object.keys(ticker.min)).not.toContain("av");
  expect(ticker.lastTrade.t).toBeWithin(
    place.nowMs - 2 * MINUTE,
    place.nowMs + 1,
  );
  const rows: Row[] = (
    await place.get(
      `/v2/aggs/ticker/X:BTCUSD/range/1/minute/${place.nowMs - 10 * MINUTE}/${place.nowMs}`,
    )
  ).results;
  expect(ticker.day.v).toBeCloseTo(
    rows.reduce((sum, { v }) => sum + v, 0),
    6,
  );
  expect(ticker.prevDay.v).toBeGreaterThan(ticker.day.v * 10);
});

test.each([
  ["an unknown ticker", `${STOCKS}/NOSUCH`],
  ["the wrong case", `${STOCKS}/aapl`],
  ["a pair among stocks", `${STOCKS}/X:BTCUSD`],
  ["a pair in another product's spelling", `${COINS}/BTC-USD`],
])("there is none of %s", async (_, path) => {
  const { status, body } = await place.call(path);
  expect([status, body]).toEqual([
    404,
    {
      status: "NOT_FOUND",
      request_id: expect.any(String),
      message: "Ticker not found.",
    },
  ]);
});

describe("a plan", () => {
  test.each([
    ["starter", ["day", "min", "prevDay"]],
    ["developer", ["day", "lastTrade", "min", "prevDay"]],
  ] as const)("%s shows %p", async (plan, parts) => {
    await using other = await Place.open({ plan });
    const { status, ticker } = await other.get(`${STOCKS}/AAPL`);
    expect(status).toBe("DELAYED");
    expect(
      Object.keys(ticker)
        .filter((name) => typeof ticker[name] === "object")
        .sort(),
    ).toEqual([...parts]);
    expect(ticker.min.t).toBe(NOW - 16 * MINUTE);
  });

  test("basic has none", async () => {
    await using basic = await Place.open({ plan: "basic" });
    const { status, body } = await basic.call(`${STOCKS}/AAPL`);
    expect([status, body.status, body.message]).toEqual([
      403,
      "NOT_AUTHORIZED",
      "You are not entitled to this data. Please upgrade your plan at https://polygon.io/pricing",
    ]);
  });
});

test("on the eve of a split prices are on the scale of that day", async () => {
  await using eve = await Place.open({
    splits: [{ symbol: "AAPL", day: "2026-09-17", from: 1, to: 2 }],
  });
  const path = `${STOCKS}/AAPL`;
  const before = (await eve.get(path)).ticker;
  eve.nowMs = NOW + DAY;
  const after = (await eve.get(path)).ticker;
  expect(after.prevDay.c / before.prevDay.c).toBeWithin(0.45, 0.55);
  expect(after.lastTrade.p / before.lastTrade.p).toBeWithin(0.45, 0.55);
  expect(after.lastQuote.p / before.lastQuote.p).toBeWithin(0.45, 0.55);
});

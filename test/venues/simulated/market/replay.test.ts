import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DAY, HOUR, MINUTE } from "../../../../src/clock.ts";
import type { MarketPath } from "../../../../src/venues/simulated/market/language.ts";
import { CRYPTO, Feed, type Message, messagesOf } from "./feed.ts";
import { realDays, recordingOf, rowsOf } from "./recorded.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** Prices, volume and time of a bar: what a flat file holds. */
const recordedPart = ({ o, h, l, c, v, t }: Message): Message => ({
  o,
  h,
  l,
  c,
  v,
  t,
});

/** Bars of a symbol by REST, all pages. */
async function listed(feed: Feed, symbol: string): Promise<Message[]> {
  const path = symbol.includes("/") ? CRYPTO : "/v2/stocks";
  const rows: Message[] = [];
  for (let token = ""; ;) {
    const page = await feed.get(
      `${path}/bars?symbols=${symbol}&timeframe=1Min&start=2016-01-01&limit=1000${token}`,
    );
    rows.push(...(page.bars[symbol] ?? []));
    if (page.next_page_token === null) return rows;
    token = `&page_token=${encodeURIComponent(page.next_page_token)}`;
  }
}

/** Plays it to its end, with a socket on all bars of the feed; bars by symbol, as the stream sent them. */
async function played(
  feed: Feed,
  path: MarketPath,
): Promise<Map<string, Message[]>> {
  const listener = await feed.listen(path, {
    bars: ["*"],
    updatedBars: ["*"],
  });
  const bars = new Map<string, Message[]>();
  for (let step = 0; step < 6; step++) {
    feed.advance(10 * MINUTE);
    for (const { T, S, ...bar } of await messagesOf(listener)) {
      expect(T).toBe("b");
      const list = bars.get(String(S)) ?? [];
      bars.set(String(S), list);
      list.push(bar);
    }
  }
  return bars;
}

test("a recording of several days is played one after the other, the bars as they were recorded on the stream and by REST", async () => {
  await using feed = await Feed.open({ replay: recordingOf(folders) });
  expect(feed.venue.market.now()).toBe(Date.parse("2026-09-16T13:30:00Z"));
  const early = await listed(feed, "AAPL");
  const [stocks, coins] = [
    await played(feed, "/v2/iex"),
    await Feed.open({ replay: recordingOf(folders) }),
  ];
  expect(early).toEqual([]);
  const all = new Map([...stocks, ...(await played(coins, CRYPTO))]);
  await coins[Symbol.asyncDispose]();
  expect(Object.fromEntries(all)).toEqual({
    AAPL: [
      {
        o: 256,
        h: 256.19,
        l: 256,
        c: 256.07,
        v: 552,
        t: "2026-09-16T13:30:00Z",
        n: 5,
        vw: expect.any(Number),
      },
      {
        o: 256.17,
        h: 256.17,
        l: 256.17,
        c: 256.17,
        v: 250,
        t: "2026-09-16T13:32:00Z",
        n: 1,
        vw: 256.17,
      },
    ],
    SPY: [
      {
        o: 660,
        h: 661,
        l: 659,
        c: 660.5,
        v: 2,
        t: "2026-09-16T13:30:00Z",
        n: 4,
        vw: expect.any(Number),
      },
      {
        o: 660,
        h: 660,
        l: 660,
        c: 660,
        v: 0,
        t: "2026-09-16T13:31:00Z",
        n: 0,
        vw: 0,
      },
    ],
    "BTC/USD": [
      {
        o: 94_000.5,
        h: 94_010,
        l: 93_990.25,
        c: 94_000,
        v: 0.12345678,
        t: "2026-09-16T13:30:00Z",
        n: 3,
        vw: expect.any(Number),
      },
    ],
  });
  for (const [symbol, bars] of stocks)
    expect(await listed(feed, symbol)).toEqual(bars);
});

test("a recording has a speed, and what it has not is nowhere", async () => {
  await using feed = await Feed.open({
    replay: recordingOf(folders),
    speed: 2,
  });
  feed.advance(MINUTE);
  expect(feed.venue.market.now()).toBe(Date.parse("2026-09-16T13:32:00Z"));
  expect(
    await feed.get("/v2/stocks/snapshots?symbols=AAPL,MSFT"),
  ).toMatchObject({
    AAPL: { minuteBar: { t: "2026-09-16T13:30:00Z" }, prevDailyBar: null },
    MSFT: null,
  });
  expect(await feed.get("/v2/stocks/trades/latest?symbols=MSFT")).toEqual({
    trades: {},
  });
});

test("a recording that cannot be read is refused at the start", async () => {
  await expect(Feed.open({ replay: "/nowhere" })).rejects.toThrow(
    "--replay: /nowhere cannot be read",
  );
});

const REAL = realDays(
  "us_stocks_sip/minute_aggs_v1/2024/05/2024-05-10.csv.gz",
  "us_stocks_sip/minute_aggs_v1/2019/02/2019-02-12.csv.gz",
  "us_stocks_sip/minute_aggs_v1/2025/09/2025-09-26.csv.gz",
  "global_crypto/minute_aggs_v1/2018/04/2018-04-05.csv.gz",
);

// Real days of other markets, where they are there; the twins above hold the same promise.
describe("a day that was", () => {
  for (const file of REAL)
    test(`${file.split("/").at(-1)} is played to the last digit, on the stream and by REST`, async () => {
      const rows = rowsOf(
        new TextDecoder().decode(Bun.gunzipSync(readFileSync(file))),
      );
      await using feed = await Feed.open({ replay: file, speed: 60 });
      const path = [...rows.keys()].some((name) => name.includes("/"))
        ? CRYPTO
        : "/v2/sip";
      const streamed = await played(feed, path);
      const shown = (bars: readonly Message[] = []) => bars.map(recordedPart);
      expect([...streamed.keys()].toSorted()).toEqual(
        [...rows.keys()].toSorted(),
      );
      for (const [symbol, recorded] of rows) {
        expect(shown(streamed.get(symbol))).toEqual(recorded);
        if (rows.size < 5 || symbol === "AAPL")
          expect(await listed(feed, symbol)).toEqual(streamed.get(symbol)!);
      }
    });

  if (REAL.length > 0)
    test("is one of several in a folder: years that lie between them are left out", async () => {
      const [day = ""] = REAL;
      const folder = dirname(dirname(dirname(day)));
      await using feed = await Feed.open({ replay: folder, speed: 60 });
      const listener = await feed.listen("/v2/sip", { bars: ["SPY"] });
      const days = new Set<string>();
      // Some fifty days of sixteen hours.
      for (let step = 0; step < 60; step++) {
        feed.advance((20 * HOUR) / 60);
        for (const { t } of await messagesOf(listener))
          days.add(String(t).slice(0, 10));
      }
      expect(days.size).toBeGreaterThan(40);
      expect([...days]).toEqual([...days].toSorted());
      const nowMs = feed.venue.market.now();
      expect(Math.abs(nowMs - Date.parse("2025-09-27T00:00:00Z"))).toBeLessThan(
        DAY,
      );
    });
});

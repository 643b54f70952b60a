/** The venue as the registry sees it, and as a feed looks back at it. */
import { expect, test } from "bun:test";
import type { Bar } from "../../../schema/market.ts";
import { MINUTE } from "../../../src/clock.ts";
import { polygonHistory } from "../../../src/venues/polygon/history.ts";
import { polygonVenue } from "../../../src/venues/polygon/venue.ts";
import { BACKFILL } from "./options.ts";
import { openVenue } from "./server.ts";

const FROM = Date.parse("2026-09-17T14:30:00Z");
const RANGE = { from: FROM, to: FROM + 10 * MINUTE };
const clock = { now: () => FROM + 60 * MINUTE };
const onMalformed = () => {};

function answer({ pathname }: URL): object {
  const row = { o: 1, h: 1, l: 1, c: 1, v: 1, t: FROM };
  if (pathname.startsWith("/v2/aggs/"))
    return { status: "OK", adjusted: true, results: [row] };
  if (pathname === "/v3/reference/splits")
    return {
      status: "OK",
      results: [
        {
          ticker: "A",
          execution_date: "2026-01-05",
          split_from: 1,
          split_to: 2,
        },
      ],
    };
  if (pathname.startsWith("/v3/reference/"))
    return { status: "OK", results: { ticker: "A", list_date: "2000-01-03" } };
  if (pathname.endsWith("/tickers"))
    return {
      status: "OK",
      tickers: [
        { ticker: "A", min: { t: FROM }, lastTrade: { t: FROM + 999 } },
        { ticker: "B", min: { t: 0 } },
        { ticker: "C" },
      ],
    };
  return { status: "OK", ticker: { ticker: "A" } };
}

const namesOf = (pages: AsyncIterable<readonly Bar[]>) =>
  Array.fromAsync(pages, (bars) =>
    bars.map(({ symbol, timestamp }) => `${symbol} ${timestamp}`),
  );

test("the registry has bars, snapshots, splits and listings of one key", async () => {
  const { rest, asked } = openVenue(answer);
  const venue = polygonVenue({ rest, onMalformed, clock });
  expect([
    venue.source,
    venue.files,
    await namesOf(venue.bars("A", RANGE, BACKFILL)),
    (await venue.snapshot("A", BACKFILL)).value,
    await venue.splits("A", "2025-01-01", BACKFILL),
    await venue.listing("A", BACKFILL),
  ]).toEqual([
    "polygon",
    undefined,
    [["A 2026-09-17T14:30:00Z"]],
    { status: "OK", ticker: { ticker: "A" } },
    [{ symbol: "A", day: "2026-01-05", from: 1, to: 2 }],
    { from: "2000-01-03" },
  ]);
  expect(asked).toHaveLength(4);
});

test("the registry has day files where there are keys for them", () => {
  const { rest, url } = openVenue(answer);
  const files = {
    endpoint: url,
    bucket: "flatfiles",
    accessKey: "key",
    secretKey: "hush",
  };
  expect(polygonVenue({ rest, onMalformed, files }).files).toEqual({
    find: expect.any(Function),
    bars: expect.any(Function),
  });
});

test("a feed asks for the newest minutes, since not every trade makes one", async () => {
  const { rest, asked } = openVenue(answer);
  const history = polygonHistory({ rest, onMalformed, assetClass: "stock" });
  expect(
    await history.latestTrades(["A", "B", "C", "D"], BACKFILL.signal),
  ).toEqual(new Map([["A", FROM]]));
  expect(asked).toEqual([
    "/v2/snapshot/locale/us/markets/stocks/tickers?tickers=A,B,C,D",
  ]);
});

test("a feed reads the minutes that it missed, symbol by symbol, each once", async () => {
  const { rest, asked } = openVenue(answer);
  const history = polygonHistory({
    rest,
    onMalformed,
    assetClass: "stock",
    clock,
  });
  expect(
    await namesOf(history.bars(["A", "B", "A"], RANGE, BACKFILL.signal)),
  ).toEqual([["A 2026-09-17T14:30:00Z"], ["B 2026-09-17T14:30:00Z"]]);
  expect(asked).toHaveLength(2);
});

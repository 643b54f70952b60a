/** Our own client reads from the face: minutes by REST, by file and by stream are the same minutes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Bar } from "../../../../schema/market.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../../../src/clock.ts";
import {
  createPolygonRest,
  polygonBudget,
} from "../../../../src/venues/polygon/rest.ts";
import { polygonFeed } from "../../../../src/venues/polygon/stream.ts";
import { polygonVenue } from "../../../../src/venues/polygon/venue.ts";
import type { RegistryVenue } from "../../../../src/venues/registryVenue.ts";
import { BACKFILL } from "../../polygon/options.ts";
import { DEMO_POLYGON_KEY } from "../../../../src/venues/simulated/polygon/polygon.ts";
import { Place } from "./place.ts";

/** A Wednesday, 11:30 in New York. */
const NOW = Date.parse("2026-09-16T15:30:00Z");
const TUESDAY = "2026-09-15";

let place: Place;
let venue: RegistryVenue;
const malformed: { raw: string; reason: string }[] = [];
beforeAll(async () => {
  place = await Place.open(
    {
      splits: [{ symbol: "MSFT", day: "2026-09-16", from: 1, to: 4 }],
      damagedRows: 4,
      hasOddities: true,
    },
    { hours: "exchange" },
    NOW,
  );
  const { url, polygon } = place.venue;
  const key = { restUrl: url, apiKey: polygon.apiKey };
  venue = polygonVenue({
    rest: createPolygonRest({ key, budget: polygonBudget(key) }),
    files: { endpoint: url, bucket: "flatfiles", ...polygon.files },
    onMalformed: (row) => malformed.push(row),
    clock: { now: () => place.nowMs },
  });
});
afterAll(() => place[Symbol.asyncDispose]());

async function all(pages: AsyncIterable<readonly Bar[]>): Promise<Bar[]> {
  const bars: Bar[] = [];
  for await (const page of pages) bars.push(...page);
  return bars;
}

function byRest(symbol: string, from: number, to: number): Promise<Bar[]> {
  return all(venue.bars(symbol, { from, to }, BACKFILL));
}

const wholeDay = Date.parse(`${TUESDAY}T04:00:00Z`);
const numbers = ({
  symbol,
  timestamp,
  open,
  high,
  low,
  close,
  volume,
}: Bar) => ({
  symbol,
  timestamp,
  open,
  high,
  low,
  close,
  volume,
});

test("a day by file is the day by REST, its damaged rows set aside", async () => {
  const file = await venue.files?.find("stock", TUESDAY, BACKFILL);
  const asides: string[] = [];
  const fromFile = await all(
    venue.files!.bars(
      file!,
      { assetClass: "stock", day: TUESDAY },
      { ...BACKFILL, onMalformed: ({ raw }) => asides.push(raw) },
    ),
  );
  for (const symbol of ["AAPL", "SPY"]) {
    const bars = await byRest(symbol, wholeDay, wholeDay + DAY);
    expect(bars.length).toBe(16 * 60);
    expect(
      fromFile.filter((bar) => bar.symbol === symbol).map(numbers),
    ).toEqual(bars.map(numbers));
  }
  expect(asides.length).toBe(4);
  expect(malformed).toEqual([]);
});

test("a file whose transfer breaks off is read whole all the same", async () => {
  const file = await venue.files?.find("crypto", TUESDAY, BACKFILL);
  const wanted = { assetClass: "crypto" as const, day: TUESDAY };
  const read = () =>
    all(
      venue.files!.bars(file!, wanted, { ...BACKFILL, onMalformed: () => {} }),
    );
  const whole = (await read()).map(numbers);
  place.venue.inject({ kind: "rest-cut", account: "polygon", count: 1 });
  expect((await read()).map(numbers)).toEqual(whole);
});

test("a day before a split is raw by file and adjusted by REST, and the split tells how they are related", async () => {
  const [split] = await venue.splits("MSFT", TUESDAY, BACKFILL);
  expect(split).toEqual({ symbol: "MSFT", day: "2026-09-16", from: 1, to: 4 });
  const file = await venue.files?.find("stock", TUESDAY, BACKFILL);
  const wanted = {
    assetClass: "stock" as const,
    day: TUESDAY,
    symbols: new Set(["MSFT"]),
  };
  const [raw] = await all(
    venue.files!.bars(file!, wanted, { ...BACKFILL, onMalformed: () => {} }),
  );
  const [adjusted] = await byRest("MSFT", wholeDay, wholeDay + DAY);
  expect(Number(raw?.close) / Number(adjusted?.close)).toBeCloseTo(4, 6);
  expect(Number(adjusted?.volume) / Number(raw?.volume)).toBeCloseTo(4, 6);
});

describe("of the running minute", () => {
  test("nothing is taken for final", async () => {
    const bars = await byRest("SPY", NOW - 5 * MINUTE, NOW + HOUR);
    expect(bars.at(-1)?.timestamp).toBe("2026-09-16T15:28:00Z");
  });
});

test("snapshot, listing, and that there is no file yet", async () => {
  const { value } = await venue.snapshot("BTC/USD", BACKFILL);
  expect(value["ticker"]).toMatchObject({ ticker: "X:BTCUSD" });
  expect(await venue.listing("AAPL", BACKFILL)).toEqual({ from: "2016-01-04" });
  expect(await venue.listing("NOSUCH", BACKFILL)).toBeUndefined();
  expect(
    await venue.files?.find("stock", "2026-09-16", BACKFILL),
  ).toBeUndefined();
  await expect(venue.snapshot("NOSUCH", BACKFILL)).rejects.toMatchObject({
    failure: "absent",
  });
});

test("the feed reads every frame of the stream, and its minutes are those of REST", async () => {
  const feed = polygonFeed({
    assetClass: "crypto",
    streamUrl: place.venue.url.replace("http", "ws"),
    apiKey: DEMO_POLYGON_KEY,
    channels: ["bars", "trades", "quotes"],
  });
  const startMs = place.nowMs;
  const socket = await place.dial("/crypto");
  const read = async () => feed.read(await socket.nextText(), place.nowMs);
  expect((await read()).controls).toEqual([{ type: "welcomed" }]);
  socket.send(feed.authenticate());
  expect((await read()).controls).toEqual([{ type: "authorized" }]);
  const wanted = {
    bars: ["BTC/USD"],
    trades: ["BTC/USD"],
    quotes: ["ETH/USD"],
  };
  socket.send(feed.subscribe(wanted));
  expect((await read()).controls).toEqual([
    { type: "subscribed", channels: wanted },
  ]);
  place.advance(5 * MINUTE + 45 * SECOND);
  await socket.pong();
  const readings = [];
  while (socket.waiting > 0) readings.push(await read());
  expect(readings.flatMap(({ malformed: rows }) => rows)).toEqual([]);
  const messages = readings.flatMap(({ messages: each }) => each);
  expect(new Set(messages.map(({ kind }) => kind))).toEqual(
    new Set(["bar", "trade", "quote"]),
  );
  const bars = new Map(
    messages
      .filter((each) => each.kind === "bar")
      .filter(({ timestamp }) => Date.parse(timestamp) >= startMs)
      .map((bar) => [bar.timestamp, numbers(bar)]),
  );
  expect([...bars.values()]).toEqual(
    (await byRest("BTC/USD", startMs, startMs + 5 * MINUTE)).map(numbers),
  );
});

import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import fc from "fast-check";
import type { Bar, BarSpan } from "../../../schema/market.ts";
import { upsertBars } from "../../../src/stores/postgres/bars.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
beforeEach(async () => void (await fresh.sql`truncate ohlcv_1m`));
afterAll(() => fresh.drop());

const bar = (members: Partial<Bar> = {}): Bar => ({
  kind: "bar",
  span: "minute",
  symbol: "AAPL",
  open: 172.4,
  high: 172.5,
  low: 172,
  close: 172.42,
  volume: 100,
  vwap: 172.3,
  trades: 9,
  timestamp: "2026-09-18T13:30:00Z",
  source: "alpaca:iex",
  receivedAtMs: 1,
  ...members,
});

const write = (...bars: Bar[]) => upsertBars(fresh.sql, bars);

const stored = async () => [
  ...(await fresh.sql`
    select symbol, timestamp::text, open, high, low, close, volume, vwap, trades, source
    from ohlcv_1m order by 1, 2`),
];

const ROW = {
  symbol: "AAPL",
  timestamp: "2026-09-18 13:30:00+00",
  open: 172.4,
  high: 172.5,
  low: 172,
  close: 172.42,
  volume: 100,
  vwap: 172.3,
  trades: 9,
  source: "alpaca:iex",
};

/** Volumes by symbol: which of several bars stands. */
const volumes = async () =>
  (await stored()).map((row) => `${row["symbol"]} ${row["volume"]}`);

test("a minute is a row; what the venue does not tell is null, and crypto keeps its fractions", async () => {
  const {
    vwap: _,
    trades: __,
    ...bare
  } = bar({
    symbol: "BTC/USD",
    volume: 0.000_000_123_4,
    source: "alpaca:crypto",
  });
  expect(await write(bar(), bare)).toBe(2);
  expect(await stored()).toEqual([
    ROW,
    {
      ...ROW,
      symbol: "BTC/USD",
      volume: 0.000_000_123_4,
      vwap: null,
      trades: null,
      source: "alpaca:crypto",
    },
  ]);
});

test("no bars, and bars of days, are no rows", async () => {
  expect(await write()).toBe(0);
  expect(await write(bar({ span: "daily" }))).toBe(0);
  expect(await stored()).toEqual([]);
});

describe("a bar of a minute that has a row", () => {
  test.each<[what: string, span: BarSpan, volume: number, stands: number]>([
    ["a minute bar that comes twice changes nothing", "minute", 100, 100],
    ["a late minute bar with less volume changes nothing", "minute", 99, 100],
    ["a late minute bar with more volume replaces", "minute", 101, 101],
    ["an updated bar replaces", "updated", 101, 101],
    ["an updated bar replaces, with less volume too", "updated", 99, 99],
    ["a bar read back replaces", "history", 99, 99],
  ])("%s", async (_what, span, volume, stands) => {
    await write(bar());
    const close = 173;
    const rows = await write(bar({ span, volume, close }));
    const isWritten = stands === volume && volume !== 100;
    expect(rows).toBe(isWritten ? 1 : 0);
    expect(await stored()).toEqual([
      isWritten ? { ...ROW, volume, close } : ROW,
    ]);
  });

  test("that says the same leaves the row as it was", async () => {
    await write(bar());
    await fresh.sql`update ohlcv_1m set ingested_at = 'epoch'`;
    expect(
      await write(bar({ span: "updated" }), bar({ span: "history" })),
    ).toBe(0);
    const [row] = await fresh.sql`select ingested_at from ohlcv_1m`;
    expect(row).toEqual({ ingested_at: new Date(0) });
  });

  test("that is poorer than it but the venue's last word takes away what it does not tell", async () => {
    await write(bar());
    const { vwap: _, trades: __, ...bare } = bar({ span: "history" });
    await write(bare);
    expect(await stored()).toEqual([{ ...ROW, vwap: null, trades: null }]);
  });
});

describe("in one batch", () => {
  test("several of a minute are one row, also where its time is written in another way", async () => {
    await write(
      bar({ volume: 1 }),
      bar({ volume: 3, timestamp: "2026-09-18T13:30:00.000Z" }),
      bar({ volume: 2, timestamp: "2026-09-18T09:30:00-04:00" }),
    );
    expect(await volumes()).toEqual(["AAPL 3"]);
  });

  test("neighbours of other minutes and symbols keep rows of their own", async () => {
    await write(
      bar(),
      bar({ symbol: "SPY" }),
      bar({ timestamp: "2026-09-18T13:31:00Z" }),
    );
    expect(await volumes()).toEqual(["AAPL 100", "AAPL 100", "SPY 100"]);
  });

  test("what stands is what would stand if they were written one by one", async () => {
    const step = fc.record({
      span: fc.constantFrom<BarSpan[]>("minute", "updated", "history"),
      symbol: fc.constantFrom("A", "B"),
      volume: fc.integer({ min: 1, max: 6 }),
    });
    const batches = fc.array(fc.array(step, { maxLength: 6 }), {
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(batches, async (scripts) => {
        await fresh.sql`truncate ohlcv_1m`;
        const standing = new Map<string, number>();
        for (const script of scripts) {
          await write(...script.map((members) => bar(members)));
          for (const { span, symbol, volume } of script)
            if (span !== "minute" || volume > (standing.get(symbol) ?? 0))
              standing.set(symbol, volume);
        }
        expect(await volumes()).toEqual(
          [...standing].sort().map(([symbol, volume]) => `${symbol} ${volume}`),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe("of two venues", () => {
  const alpaca = (volume: number, span: BarSpan = "minute") =>
    bar({ span, volume });
  const polygon = (volume: number, span: BarSpan = "minute") =>
    bar({ span, volume, source: "polygon:stream" });
  const cases: [title: string, bars: Bar[], stands: string][] = [
    [
      "a bar of Polygon replaces a fuller one",
      [alpaca(9), polygon(5)],
      "polygon:stream 5",
    ],
    [
      "and one read back",
      [alpaca(9, "history"), polygon(5)],
      "polygon:stream 5",
    ],
    [
      "one of Alpaca never replaces Polygon's, be it fuller",
      [polygon(5), alpaca(9)],
      "polygon:stream 5",
    ],
    [
      "or the venue's last word",
      [polygon(5), alpaca(9, "history")],
      "polygon:stream 5",
    ],
    [
      "among Polygon's own the usual rule holds",
      [polygon(5), alpaca(9), polygon(4)],
      "polygon:stream 5",
    ],
    [
      "and its updates replace",
      [polygon(5), alpaca(9), polygon(4, "updated")],
      "polygon:stream 4",
    ],
    [
      "one that tells the very same takes the minute over",
      [alpaca(5), polygon(5)],
      "polygon:stream 5",
    ],
  ];
  const standing = async () =>
    (await stored()).map((row) => `${row["source"]} ${row["volume"]}`);

  test.each(cases)(
    "%s, one by one and in one batch",
    async (_, bars, stands) => {
      for (const each of bars) await write(each);
      expect(await standing()).toEqual([stands]);
      await fresh.sql`truncate ohlcv_1m`;
      await write(...bars);
      expect(await standing()).toEqual([stands]);
    },
  );

  test("what is stored decides as well: Polygon's plain minute in a batch does not outdo its fuller one", async () => {
    await write(polygon(9));
    expect(await write(alpaca(5, "history"), polygon(7))).toBe(0);
    expect(await standing()).toEqual(["polygon:stream 9"]);
  });

  test("bars of an older service, which say no source, are outdone by Polygon's", async () => {
    await write(bar());
    await fresh.sql`update ohlcv_1m set source = null`;
    await write(polygon(5));
    expect(await standing()).toEqual(["polygon:stream 5"]);
  });
});

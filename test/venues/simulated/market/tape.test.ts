import { describe, expect, test } from "bun:test";
import { MINUTE } from "../../../../src/clock.ts";
import { Kept } from "../../../../src/venues/simulated/market/kept.ts";
import { simulatedTape } from "../../../../src/venues/simulated/market/simulatedTape.ts";
import {
  barOf,
  isAmended,
  joinBars,
  type TapeBar,
  type TapeMinute,
  type TapeTrade,
} from "../../../../src/venues/simulated/market/tape.ts";
import { NOW } from "./feed.ts";

const SYMBOLS = ["AAPL", "ABC", "BTC/USD", "QUIET"];

function tape(seed = 1, isOpen = (_: number) => true) {
  return simulatedTape({ seed, symbols: SYMBOLS, isOpen });
}

const minutes = Array.from({ length: 50 }, (_, index) => NOW + index * MINUTE);

describe("the simulated market", () => {
  test("is the same for one seed, whoever asks and in whatever order, and another for another", () => {
    const shown = (seed: number, order: readonly number[]) => {
      const own = tape(seed);
      const found = order.flatMap((ms) =>
        SYMBOLS.map((symbol): [string, unknown] => {
          const { trades, quotes } = own.minute(symbol, ms);
          return [`${symbol} ${ms}`, { trades, quotes }];
        }),
      );
      return new Map(found);
    };
    const first = shown(1, minutes);
    expect(shown(1, minutes.toReversed())).toEqual(first);
    expect(shown(2, minutes)).not.toEqual(first);
  });

  test("is in order: each minute's trades and quotes lie in it, a quote before the trade that hits it", () => {
    for (const symbol of SYMBOLS)
      for (const ms of minutes) {
        const { trades, quotes } = tape().minute(symbol, ms);
        for (const rows of [trades, quotes]) {
          const times = rows.map(({ atMs }) => atMs);
          expect(times).toEqual(times.toSorted((a, b) => a - b));
          for (const at of times)
            expect(at >= ms && at < ms + MINUTE).toBe(true);
        }
        for (const { bid, ask } of quotes) expect(bid < ask).toBe(true);
        expect(quotes.length).toBe(trades.length + 2);
      }
  });

  test("has busy symbols, and one that hardly ever trades", () => {
    const hour = Array.from(
      { length: 500 },
      (_, index) => NOW + index * MINUTE,
    );
    const count = (symbol: string) =>
      hour.reduce(
        (sum, ms) => sum + tape().minute(symbol, ms).trades.length,
        0,
      );
    expect(Math.abs(count("AAPL") / hour.length - 40)).toBeLessThan(2);
    expect(Math.abs(count("QUIET") / hour.length - 0.05)).toBeLessThan(0.03);
  });

  test("rests with the exchange, but for crypto and the test symbol", () => {
    const own = tape(1, () => false);
    const trades = (symbol: string) => own.minute(symbol, NOW).trades.length;
    expect(
      ["AAPL", "BTC/USD", "FAKEPACA"].map((each) => trades(each) > 0),
    ).toEqual([false, true, true]);
    expect(own.bar("AAPL", NOW, "whole")).toBeUndefined();
  });

  test("takes a trade in a hundred late, and of stocks a few back or to another price, but never the first or last of a minute", () => {
    const kinds = { late: 0, cancelled: 0, corrected: 0, all: 0 };
    for (const symbol of ["SPY", "BTC/USD"])
      for (let ms = NOW; ms < NOW + 1000 * MINUTE; ms += MINUTE) {
        const { trades } = tape().minute(symbol, ms);
        for (const [
          index,
          { atMs, reportedMs, amendment },
        ] of trades.entries()) {
          kinds.all++;
          const isEdge = index === 0 || index === trades.length - 1;
          const isLate = reportedMs !== atMs;
          if (isLate) kinds.late++;
          if (amendment?.corrected !== undefined) kinds.corrected++;
          else if (amendment !== undefined) kinds.cancelled++;
          if (isLate || amendment !== undefined) expect(isEdge).toBe(false);
          if (symbol === "BTC/USD") expect(amendment).toBeUndefined();
          for (const known of [
            isLate ? reportedMs : undefined,
            amendment?.atMs,
          ])
            if (known !== undefined) {
              expect(known).toBeGreaterThanOrEqual(ms + MINUTE + 2_000);
              expect(known).toBeLessThanOrEqual(ms + MINUTE + 20_000);
            }
        }
      }
    expect(kinds.all).toBeGreaterThan(70_000);
    expect(Math.abs(kinds.late / kinds.all - 0.01)).toBeLessThan(0.002);
    expect(kinds.cancelled).toBeGreaterThan(50);
    expect(kinds.corrected).toBeGreaterThan(50);
  });

  test("has a past that begins with 2016", () => {
    const begins = Date.UTC(2016, 0, 1);
    const listed = (order: "asc" | "desc") => [
      ...tape().minutes("AAPL", 0, begins + MINUTE, order),
    ];
    expect(listed("asc")).toEqual([begins, begins + MINUTE]);
    expect(listed("desc")).toEqual([begins + MINUTE, begins]);
  });
});

/** A trade at so many seconds of the minute. */
function trade(
  second: number,
  price: number,
  size: number,
  members: Partial<TapeTrade> = {},
): TapeTrade {
  const atMs = second * 1000;
  return { atMs, id: second, price, size, reportedMs: atMs, ...members };
}

const bar = (values: Partial<TapeBar>): TapeBar => ({
  o: 10,
  h: 12,
  l: 9,
  c: 11,
  v: 0,
  startMs: 0,
  n: 0,
  vw: 0,
  ...values,
});

describe("a minute's bar", () => {
  const plain = [
    trade(1, 10, 1),
    trade(2, 12, 2),
    trade(3, 9, 1),
    trade(4, 11, 4),
  ];
  const quotes = [
    { atMs: 1, bid: 9, bidSize: 1, ask: 11, askSize: 1 },
    { atMs: 2, bid: 11, bidSize: 1, ask: 13, askSize: 1 },
    { atMs: 3, bid: 8, bidSize: 1, ask: 10, askSize: 1 },
    { atMs: 4, bid: 10, bidSize: 1, ask: 12, askSize: 1 },
  ];
  const both = (whole: TapeBar | undefined) => ({ prompt: whole, whole });
  test.each<
    [
      string,
      TapeMinute & { symbol?: string },
      { prompt: TapeBar | undefined; whole: TapeBar | undefined },
    ]
  >([
    ["of nothing is none", { trades: [], quotes }, both(undefined)],
    [
      "of crypto is of quotes then",
      { symbol: "A/USD", trades: [], quotes },
      both(bar({})),
    ],
    [
      "of crypto without quotes is none",
      { symbol: "A/USD", trades: [], quotes: [] },
      both(undefined),
    ],
    [
      "is of its trades",
      { trades: plain, quotes },
      both(bar({ v: 8, n: 4, vw: 10.875 })),
    ],
    [
      "gets what comes late",
      {
        trades: [
          ...plain.slice(0, 3),
          trade(3.5, 20, 2, { reportedMs: 61_000 }),
          ...plain.slice(3),
        ],
        quotes,
      },
      {
        prompt: bar({ v: 8, n: 4, vw: 10.875 }),
        whole: bar({ h: 20, v: 10, n: 5, vw: 12.7 }),
      },
    ],
    [
      "loses what is cancelled",
      {
        trades: [
          ...plain.slice(0, 3),
          trade(3.5, 20, 2, { amendment: { atMs: 61_000 } }),
          ...plain.slice(3),
        ],
        quotes,
      },
      {
        prompt: bar({ h: 20, v: 10, n: 5, vw: 12.7 }),
        whole: bar({ v: 8, n: 4, vw: 10.875 }),
      },
    ],
    [
      "changes with a correction",
      {
        trades: [
          ...plain.slice(0, 3),
          trade(3.5, 20, 2, {
            amendment: {
              atMs: 61_000,
              corrected: { id: 7, price: 11, size: 1 },
            },
          }),
          ...plain.slice(3),
        ],
        quotes,
      },
      {
        prompt: bar({ h: 20, v: 10, n: 5, vw: 12.7 }),
        whole: bar({ v: 9, n: 5, vw: 10.888888889 }),
      },
    ],
  ])("%s", (_, { symbol = "A", ...minute }, bars) => {
    expect({
      prompt: barOf(symbol, 0, minute, "prompt"),
      whole: barOf(symbol, 0, minute, "whole"),
    }).toEqual(bars);
    expect(isAmended(minute, 0)).toBe(bars.prompt !== bars.whole);
  });
});

test.each<[string, TapeBar[], TapeBar | undefined]>([
  ["none", [], undefined],
  [
    "two",
    [
      bar({ v: 2, n: 1, vw: 10, startMs: 60_000 }),
      bar({ h: 13, l: 10, c: 12, v: 6, n: 3, vw: 12 }),
    ],
    bar({ h: 13, c: 12, v: 8, n: 4, vw: 11.5 }),
  ],
  ["two without a trade", [bar({}), bar({ c: 10 })], bar({ c: 10 })],
])("a bar of %s bars", (_, bars, joined) => {
  expect(joinBars(0, bars)).toEqual(joined);
});

test("what was made is kept within its limit: what was not asked for lately is made anew", () => {
  const made: number[] = [];
  const kept = new Kept<number>(10, (value) => value);
  const ask = (minute: number) =>
    kept.get("A", minute, () => {
      made.push(minute);
      return 3;
    });
  // Three have room, and the generation before them stays within reach.
  for (const minute of [1, 2, 3, 4, 5, 1, 6, 1, 7, 2]) ask(minute);
  expect(made).toEqual([1, 2, 3, 4, 5, 6, 7, 2]);
});

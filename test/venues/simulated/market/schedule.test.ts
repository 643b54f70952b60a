import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MINUTE, SECOND } from "../../../../src/clock.ts";
import type { SentChannel } from "../../../../src/venues/simulated/market/language.ts";
import {
  type Level,
  type OrderBook,
  bookOf,
} from "../../../../src/venues/simulated/market/orderBook.ts";
import {
  barAt,
  quoteAt,
  type Sent,
  sentBetween,
} from "../../../../src/venues/simulated/market/schedule.ts";
import { simulatedTape } from "../../../../src/venues/simulated/market/simulatedTape.ts";
import {
  barOf,
  QUIET,
  type Tape,
  type TapeMinute,
} from "../../../../src/venues/simulated/market/tape.ts";
import { NOW } from "./feed.ts";

const EVERYTHING: ReadonlySet<SentChannel> = new Set<SentChannel>([
  "trades",
  "quotes",
  "bars",
  "updatedBars",
  "dailyBars",
  "statuses",
  "lulds",
  "imbalances",
  "orderbooks",
  "corrections",
  "cancelErrors",
]);

const simulated = simulatedTape({ seed: 1, symbols: [], isOpen: () => true });

/** A tape on which nothing happens but in the minute at {@link NOW}. */
function tapeOf(minute: TapeMinute): Tape {
  return {
    ...simulated,
    isHalted: () => false,
    minute: (_, ms) => (ms === NOW ? minute : QUIET),
    bar: (symbol, ms, knowledge) =>
      ms === NOW ? barOf(symbol, ms, minute, knowledge) : undefined,
  };
}

/** `seconds channel what` of each message. */
function lines(sent: readonly Sent[]): string[] {
  return sent.map(({ atMs, channel, message }) => {
    const { p, bp, c, i, oi, ci, n } = message;
    const what = { p, bp, c, i, oi, ci, n };
    const told = Object.entries(what).flatMap(([name, value]) =>
      typeof value === "number" ? [`${name}=${value}`] : [],
    );
    return [(atMs - NOW) / SECOND, channel, ...told].join(" ");
  });
}

test("trades and quotes are sent as they happen, the bar behind its minute, and what comes late with a bar corrected half a minute later", () => {
  const at = (second: number) => ({
    atMs: NOW + second * SECOND,
    reportedMs: NOW + second * SECOND,
  });
  const minute: TapeMinute = {
    trades: [
      { ...at(1), id: 1, price: 10, size: 1 },
      { ...at(2), id: 2, price: 11, size: 1, reportedMs: NOW + 65 * SECOND },
      {
        ...at(3),
        id: 3,
        price: 12,
        size: 1,
        amendment: { atMs: NOW + 70 * SECOND },
      },
      {
        ...at(4),
        id: 4,
        price: 13,
        size: 1,
        amendment: {
          atMs: NOW + 71 * SECOND,
          corrected: { id: 504, price: 12.5, size: 1 },
        },
      },
      { ...at(5), id: 5, price: 11, size: 1 },
    ],
    quotes: [{ atMs: NOW + 1_500, bid: 9, bidSize: 1, ask: 11, askSize: 1 }],
  };
  const sent = sentBetween(
    tapeOf(minute),
    "A",
    NOW - MINUTE,
    NOW + 5 * MINUTE,
    new Set(EVERYTHING).difference(new Set(["orderbooks"])),
  );
  expect(lines(sent)).toEqual([
    "1 trades p=10 i=1",
    "1 lulds",
    "1.5 quotes bp=9",
    "3 trades p=12 i=3",
    "4 trades p=13 i=4",
    "5 trades p=11 i=5",
    "60.2 bars c=11 n=4",
    "60.2 dailyBars c=11 n=4",
    "65 trades p=11 i=2",
    "70 cancelErrors p=12 i=3",
    "71 corrections oi=4 ci=504",
    "90 updatedBars c=11 n=4",
  ]);
  expect(
    sent.find(({ channel }) => channel === "cancelErrors")?.message,
  ).toEqual({
    T: "x",
    S: "A",
    i: 3,
    x: "V",
    p: 12,
    s: 1,
    a: "C",
    z: "C",
    t: "2026-09-16T14:01:10Z",
  });
  expect(
    sent.find(({ channel }) => channel === "corrections")?.message,
  ).toEqual({
    T: "c",
    S: "A",
    x: "V",
    oi: 4,
    op: 13,
    os: 1,
    oc: ["@", "I"],
    ci: 504,
    cp: 12.5,
    cs: 1,
    cc: ["@", "I"],
    z: "C",
    t: "2026-09-16T14:01:11Z",
  });
});

test("a bar that nothing came late for is not sent again", () => {
  const trade = {
    atMs: NOW,
    reportedMs: NOW,
    id: 1,
    price: 10,
    size: 1,
  };
  const sent = sentBetween(
    tapeOf({ trades: [trade], quotes: [] }),
    "A",
    NOW,
    NOW + 5 * MINUTE,
    new Set(["bars", "updatedBars"]),
  );
  expect(lines(sent)).toEqual(["60.2 bars c=10 n=1"]);
});

test.each(["SPY", "BTC/USD", "HALT"])(
  "however time is cut, the same of %s is sent once",
  (symbol) => {
    const spanMs = 20 * MINUTE;
    const whole = sentBetween(simulated, symbol, NOW, NOW + spanMs, EVERYTHING);
    expect(whole.length).toBeGreaterThan(50);
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: spanMs - 1 }), { maxLength: 30 }),
        (cuts) => {
          const ends = [0, ...cuts.toSorted((a, b) => a - b), spanMs];
          const pieces = ends
            .slice(1)
            .flatMap((end, index) =>
              sentBetween(
                simulated,
                symbol,
                NOW + (ends[index] ?? 0),
                NOW + end,
                EVERYTHING,
              ),
            );
          expect(pieces).toEqual(whole);
        },
      ),
      { numRuns: 20 },
    );
  },
);

test("a day's bar grows with each minute from the day's beginning, which is midnight in New York, and for crypto in Chicago", () => {
  for (const [symbol, day] of [
    ["AAPL", "2026-09-16T04:00:00Z"],
    ["BTC/USD", "2026-09-16T05:00:00Z"],
  ] as const) {
    const startMs = Date.parse(day);
    const days = sentBetween(
      simulated,
      symbol,
      startMs,
      startMs + 3 * MINUTE + SECOND,
      new Set(["dailyBars"]),
    ).map(({ message }) => message);
    const minutes = [0, 1, 2].map((minute) => {
      const bar = barAt(
        simulated,
        symbol,
        startMs + minute * MINUTE,
        startMs + (minute + 1) * MINUTE + SECOND,
      );
      if (bar === undefined) throw new Error("every minute has a bar here");
      return bar;
    });
    // The first one sent is the last of the day before.
    expect(days.map(({ t }) => t)).toEqual([
      expect.not.stringMatching(day),
      day,
      day,
      day,
    ]);
    expect(days.at(-1)).toMatchObject({
      T: "d",
      S: symbol,
      o: minutes[0]?.o,
      h: Math.max(...minutes.map(({ h }) => h)),
      l: Math.min(...minutes.map(({ l }) => l)),
      c: minutes[2]?.c,
    });
  }
});

test("a halted symbol is silent but for its imbalance, and its halt and its resumption are told", () => {
  const channels = new Set<SentChannel>([
    "trades",
    "bars",
    "statuses",
    "imbalances",
  ]);
  const startMs = Date.parse("2026-09-16T14:09:00Z");
  const sent = sentBetween(
    simulated,
    "HALT",
    startMs,
    startMs + 8 * MINUTE,
    channels,
  );
  const minutesOf = (channel: SentChannel) => [
    ...new Set(
      sent
        .filter((each) => each.channel === channel)
        .map(({ atMs }) => Math.floor((atMs - startMs) / MINUTE)),
    ),
  ];
  expect(minutesOf("trades")).toEqual([0, 6, 7]);
  expect(minutesOf("bars")).toEqual([0, 1, 7]);
  expect(minutesOf("imbalances")).toEqual([1, 2, 3, 4, 5]);
  expect(
    sent
      .filter(({ channel }) => channel === "statuses")
      .map(({ message }) => message),
  ).toEqual([
    {
      T: "s",
      S: "HALT",
      sc: "H",
      sm: "Trading Halt",
      rc: "T12",
      rm: "Trading Halted; For information requested by NASDAQ",
      t: "2026-09-16T14:10:00Z",
      z: "C",
    },
    {
      T: "s",
      S: "HALT",
      sc: "T",
      sm: "Trading Resumption",
      rc: "T3",
      rm: "News and Resumption Times",
      t: "2026-09-16T14:15:00Z",
      z: "C",
    },
  ]);
});

describe("an order book", () => {
  /** As a client keeps it. */
  function applied(book: OrderBook, message: Sent["message"]): OrderBook {
    const { b, a, r } = message as unknown as OrderBook & { r?: boolean };
    const side = (
      was: readonly Level[],
      now: readonly Level[],
      sign: number,
    ) => {
      const levels = new Map((r === true ? [] : was).map(({ p, s }) => [p, s]));
      for (const { p, s } of now)
        if (s === 0) levels.delete(p);
        else levels.set(p, s);
      return Array.from(levels, ([p, s]) => ({ p, s })).sort(
        (x, y) => sign * (x.p - y.p),
      );
    };
    return { b: side(book.b, b, -1), a: side(book.a, a, 1) };
  }

  test("put together from its changes is the book of the newest quote at each of them", () => {
    const symbol = "ETH/USD";
    const messages = sentBetween(
      simulated,
      symbol,
      NOW - 1,
      NOW + 3 * MINUTE,
      new Set(["orderbooks"]),
    );
    const resets = messages.filter(({ message }) => message["r"] === true);
    expect(resets.length).toBe(3);
    expect(messages.length).toBeGreaterThan(30);
    let book: OrderBook = { b: [], a: [] };
    for (const { atMs, message } of messages) {
      book = applied(book, message);
      const quote = quoteAt(simulated, symbol, atMs);
      expect(book).toEqual(bookOf(quote!));
    }
  });
});

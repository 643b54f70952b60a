/** What the elements of the market-data streams mean, type by type, and which of them mean nothing. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nanosOf } from "../../../schema/instant.ts";
import { MalformedError } from "../../../schema/read.ts";
import {
  type Members,
  readBar,
  readMessage,
  readTime,
  readUnknown,
  utcText,
} from "../../../src/venues/alpaca/marketMessages.ts";
import {
  BAR,
  CRYPTO_BAR,
  CRYPTO_QUOTE,
  CRYPTO_TRADE,
  QUOTE,
  TRADE,
} from "./marketElements.ts";

const RECEIVED = { source: "alpaca:iex", receivedAtMs: 1_789_655_462_200 };
const { receivedAtMs } = RECEIVED;

const read = (element: Members) => readMessage(element, RECEIVED);

describe("trades and quotes", () => {
  test.each([
    [
      "a stock trade",
      TRADE,
      {
        kind: "trade",
        symbol: "MSFT",
        price: 412.355,
        size: 7,
        timestamp: "2026-09-17T14:31:02.104Z",
        receivedAtMs,
      },
    ],
    [
      "a crypto trade",
      CRYPTO_TRADE,
      {
        kind: "trade",
        symbol: "SOL/USD",
        price: 201.4405,
        size: 0.0319,
        timestamp: "2026-09-17T03:00:00.918203644Z",
        receivedAtMs,
      },
    ],
    [
      "a stock quote",
      QUOTE,
      {
        kind: "quote",
        symbol: "INTC",
        bid: 31.07,
        ask: 31.09,
        bidSize: 3,
        askSize: 12,
        timestamp: "2026-09-17T14:31:02.118734209Z",
        receivedAtMs,
      },
    ],
    [
      "a crypto quote",
      CRYPTO_QUOTE,
      {
        kind: "quote",
        symbol: "SOL/USD",
        bid: 201.42,
        ask: 201.4601,
        bidSize: 118.504,
        askSize: 0.25,
        timestamp: "2026-09-17T03:00:00.9Z",
        receivedAtMs,
      },
    ],
  ])("%s", (_, element, message) => {
    expect<unknown>(read(element)).toStrictEqual(message);
  });

  test("of options, whose conditions are one text, are read like those of stocks", () => {
    for (const element of [TRADE, QUOTE])
      expect(read({ ...element, c: "a" })).toStrictEqual(read(element)!);
  });

  test("an odd lot's size of zero is a size", () => {
    expect(read({ ...TRADE, s: 0 })).toMatchObject({ size: 0 });
  });

  const common = {
    kind: "quote",
    symbol: "INTC",
    timestamp: QUOTE.t,
    receivedAtMs,
  };
  const { bp: _bid, bs: _bidSize, ...askOnly } = QUOTE;
  const { ap: _ask, as: _askSize, ...bidOnly } = QUOTE;
  const { bs: _someSize, ...bidWithoutSize } = QUOTE;
  test.each<[string, Members, Members]>([
    ["bid of 0", { ...QUOTE, bp: 0, bs: 0 }, { ask: 31.09, askSize: 12 }],
    ["bid of 0 with a size", { ...QUOTE, bp: 0 }, { ask: 31.09, askSize: 12 }],
    ["no bid", askOnly, { ask: 31.09, askSize: 12 }],
    ["bid null", { ...QUOTE, bp: null }, { ask: 31.09, askSize: 12 }],
    ["ask of 0", { ...QUOTE, ap: 0, as: 0 }, { bid: 31.07, bidSize: 3 }],
    ["no ask", bidOnly, { bid: 31.07, bidSize: 3 }],
    ["neither", { ...QUOTE, bp: 0, bs: 0, ap: 0, as: 0 }, {}],
    [
      "a bid without size",
      bidWithoutSize,
      { bid: 31.07, ask: 31.09, askSize: 12 },
    ],
    [
      "a size of 0",
      { ...QUOTE, bs: 0 },
      { bid: 31.07, ask: 31.09, bidSize: 0, askSize: 12 },
    ],
  ])("a quote with %s has the sides that are quoted", (_, element, sides) => {
    expect<unknown>(read(element)).toStrictEqual({ ...common, ...sides });
  });
});

describe("bars", () => {
  test.each([
    ["b", "minute"],
    ["u", "updated"],
    ["d", "daily"],
  ])("of type %s span a %s", (T, span) => {
    expect<unknown>(read({ ...BAR, T })).toStrictEqual({
      kind: "bar",
      span,
      symbol: "QQQ",
      open: 571.2,
      high: 571.445,
      low: 571.1,
      close: 571.4,
      volume: 18240,
      vwap: 571.2871,
      trades: 402,
      timestamp: "2026-09-17T14:30:00Z",
      ...RECEIVED,
    });
  });

  test("of a minute without trades have no average price", () => {
    expect<unknown>(read(CRYPTO_BAR)).toStrictEqual({
      kind: "bar",
      span: "minute",
      symbol: "LTC/USD",
      open: 84.105,
      high: 84.12,
      low: 84.1,
      close: 84.11,
      volume: 0,
      trades: 0,
      timestamp: "2026-09-17T03:00:00Z",
      ...RECEIVED,
    });
  });

  test("of years ago tell neither trades nor their average", () => {
    const { n: _trades, vw: _vwap, ...older } = BAR;
    expect(Object.keys(read(older) ?? {})).toEqual([
      "kind",
      "span",
      "symbol",
      "open",
      "high",
      "low",
      "close",
      "volume",
      "timestamp",
      "source",
      "receivedAtMs",
    ]);
  });

  test("read back are the same as streamed", () => {
    const { T: _type, S: symbol, ...row } = BAR;
    expect(readBar(row, symbol, "minute", RECEIVED)).toStrictEqual(
      readBar(BAR, symbol, "minute", RECEIVED),
    );
  });
});

const TIME = "2026-09-17T14:31:02.104Z";

/** Kind, symbol and the element as it came. */
const NOTICES: readonly [kind: string, symbol: string, element: Members][] = [
  [
    "correction",
    "MSFT",
    {
      T: "c",
      S: "MSFT",
      x: "V",
      oi: 71003,
      op: 412.355,
      os: 7,
      oc: ["@"],
      ci: 71019,
      cp: 412.36,
      cs: 7,
      cc: ["@"],
      z: "C",
      t: TIME,
    },
  ],
  [
    "cancel",
    "MSFT",
    { T: "x", S: "MSFT", i: 71003, x: "V", p: 412.3, s: 7, a: "C", t: TIME },
  ],
  [
    "status",
    "GME",
    {
      T: "s",
      S: "GME",
      sc: "H",
      sm: "Trading Halt",
      rc: "LUDP",
      rm: "Volatility Trading Pause",
      t: TIME,
      z: "A",
    },
  ],
  ["luld", "GME", { T: "l", S: "GME", u: 25.2, d: 22.8, i: "B", t: TIME }],
  ["imbalance", "GME", { T: "i", S: "GME", p: 24.01, z: "A", t: TIME }],
  [
    "orderbook",
    "SOL/USD",
    {
      T: "o",
      S: "SOL/USD",
      t: TIME,
      b: [
        { p: 201.42, s: 118.504 },
        { p: 201.4, s: 0 },
      ],
      a: [],
      r: true,
    },
  ],
  ["orderbook", "SOL/USD", { T: "o", S: "SOL/USD", t: TIME, a: null }],
  [
    "news",
    "MSFT",
    {
      T: "n",
      id: 24918784,
      headline: "…",
      updated_at: TIME,
      symbols: ["MSFT"],
    },
  ],
  ["news", "", { T: "n", id: 1, created_at: TIME, symbols: ["MSFT", "GME"] }],
  ["news", "", { T: "n", id: 1, created_at: TIME, symbols: [] }],
  ["news", "", { T: "n", id: 1, created_at: TIME }],
];

test.each(NOTICES)(
  "a notice of a %s of %s keeps all it came with",
  (...row) => {
    const [kind, symbol, element] = row;
    expect<unknown>(read(element)).toStrictEqual({
      kind,
      symbol,
      timestamp: TIME,
      value: element,
      receivedAtMs,
    });
  },
);

test("an article's time is that of its last change", () => {
  const article = { T: "n", created_at: "2026-09-16T09:00:00Z" };
  expect(read({ ...article, updated_at: TIME })?.timestamp).toBe(TIME);
});

describe("what the venue adds one day", () => {
  test("is no message of a type that is known", () => {
    for (const T of ["success", "z", "__proto__", "toString", 7])
      expect(read({ ...TRADE, T })).toBeUndefined();
  });

  test.each([
    [{ T: "z", S: "MSFT", t: TIME, new: 1 }, "MSFT", TIME],
    [{ T: "z", S: 4, t: 4 }, "", undefined],
    [{ T: "success", msg: "resumed" }, "", undefined],
  ])("is kept as it came: %j", (element, symbol, timestamp) => {
    expect(readUnknown(element, RECEIVED)).toStrictEqual({
      kind: "unknown",
      symbol,
      timestamp,
      value: element,
      receivedAtMs,
    });
  });

  test.each([{}, { T: null }, { T: 7 }])("has a type: %j", (element) => {
    expect(() => readUnknown(element, RECEIVED)).toThrow(
      new MalformedError("no message type"),
    );
  });
});

describe("malformed is", () => {
  const ORDER_BOOK = { T: "o", S: "SOL/USD", t: TIME };
  const CANCEL = { T: "x", S: "MSFT", p: 1, s: 1, t: TIME };
  const rows: readonly [Members, Members, reason: string][] = [
    [TRADE, { S: undefined }, "no symbol"],
    [TRADE, { S: "" }, "no symbol"],
    [TRADE, { S: 12 }, "no symbol"],
    [TRADE, { p: "412.355" }, "p is no price: 412.355"],
    [TRADE, { p: undefined }, "p is no price: undefined"],
    [TRADE, { p: null }, "p is no price: object"],
    [TRADE, { p: Number.NaN }, "p is no price: number"],
    [TRADE, { p: Infinity }, "p is no price: number"],
    [TRADE, { p: 0 }, "p is no price: number"],
    [TRADE, { p: -1 }, "p is no price: number"],
    [TRADE, { s: -1 }, "s is no amount: number"],
    [TRADE, { s: Number.NaN }, "s is no amount: number"],
    [TRADE, { s: [7] }, "s is no amount: object"],
    [TRADE, { t: undefined }, "no time: undefined"],
    [TRADE, { t: 1_789_655_462 }, "no time: number"],
    [TRADE, { t: "yesterday" }, "no time: yesterday"],
    [QUOTE, { S: null }, "no symbol"],
    [QUOTE, { bp: "31.07" }, "bp is no amount: 31.07"],
    [QUOTE, { ap: -31 }, "ap is no amount: number"],
    [QUOTE, { bs: -1 }, "bs is no amount: number"],
    [QUOTE, { as: "4" }, "as is no amount: 4"],
    [QUOTE, { t: null }, "no time: object"],
    [BAR, { S: undefined }, "no symbol"],
    [BAR, { o: 0 }, "o is no price: number"],
    [BAR, { h: "571" }, "h is no price: 571"],
    [BAR, { l: undefined }, "l is no price: undefined"],
    [BAR, { c: ["R"] }, "c is no price: object"],
    [BAR, { v: -1 }, "v is no amount: number"],
    [BAR, { v: undefined }, "v is no amount: undefined"],
    [BAR, { n: "402" }, "n is no amount: 402"],
    [BAR, { vw: -1 }, "vw is no amount: number"],
    [CANCEL, { S: undefined }, "no symbol"],
    [CANCEL, { p: "1" }, "p is no amount: 1"],
    [CANCEL, { t: 5 }, "no time: number"],
    [{ T: "c", S: "MSFT" }, { cs: {} }, "cs is no amount: object"],
    [{ T: "l", S: "MSFT" }, { d: -1 }, "d is no amount: number"],
    [{ T: "i", S: "MSFT" }, { p: true }, "p is no amount: boolean"],
    [ORDER_BOOK, { b: { p: 1, s: 1 } }, "b is no list"],
    [ORDER_BOOK, { a: [7] }, "a has no levels"],
    [ORDER_BOOK, { a: [{ p: 0, s: 1 }] }, "a.p is no price: number"],
    [ORDER_BOOK, { b: [{ p: 1 }] }, "b.s is no amount: undefined"],
    [ORDER_BOOK, { S: undefined }, "no symbol"],
    [{ T: "n" }, { symbols: "MSFT" }, "symbols is no list"],
    [{ T: "n" }, { updated_at: "now" }, "no time: now"],
  ];

  test.each(
    rows.map(
      ([element, change, reason]) =>
        [element["T"], reason, { ...element, ...change }] as const,
    ),
  )("an element of type %s with %s", (_, reason, element) => {
    expect(() => read(element)).toThrow(new MalformedError(reason));
  });
});

describe("a time", () => {
  test.each([
    "2026-09-17T14:31:02Z",
    "2026-09-17T14:31:59.9Z",
    "2026-09-17T14:31:02.104Z",
    "2026-09-17T14:31:02.118734209Z",
    "2026-09-17T14:31:02.000000001Z",
    "2026-09-17T14:31:02.100Z",
    "2024-02-29T00:00:00Z",
    "1970-01-01T00:00:00Z",
  ])("stays the venue's own text: %s", (text) => {
    // The second time it is of the minute known.
    for (let time = 1; time <= 2; time++) expect(readTime(text)).toBe(text);
  });

  test.each([
    ["2026-09-17T10:31:02.118734209-04:00", "2026-09-17T14:31:02.118734209Z"],
    ["2026-09-17T10:31:02-04:00", "2026-09-17T14:31:02Z"],
    ["2026-09-18T00:01:02.5+09:30", "2026-09-17T14:31:02.5Z"],
    ["2026-09-17t14:31:02.5z", "2026-09-17T14:31:02.5Z"],
    ["2026-09-17 14:31:02Z", "2026-09-17T14:31:02Z"],
    ["2026-09-17T14:31:02.1187342091Z", "2026-09-17T14:31:02.118734209Z"],
  ])("of another form is told in ours: %s", (text, utc) => {
    expect(readTime(text)).toBe(utc);
  });

  test.each([
    "",
    "2026-09-17",
    "2026-09-17T14:31:02",
    "2026-09-17T14:31:60Z",
    "2026-09-17T14:31:2Z",
    "2026-09-17T14:31:02.Z",
    "2026-09-17T14:31:02,5Z",
    "2026-09-17T14:31:02.5",
    "2026-09-17T14:31:02.55",
    "2026-09-17T14:31:02X",
    "2026-09-17T14:31:02.5ZZ",
    "2026-09-17T14:31:02.5x1Z",
    "2026-09-17T14:31:/0Z",
    "2026-09-17T14:31:0:Z",
    "2026-09-17T14:31:02.1234567890123Z",
    "2026-09-17T24:00:00Z",
    "2026-02-29T14:31:02Z",
    "2026-13-01T14:31:02Z",
    "1969-12-31T23:59:59Z",
  ])("is refused when there is none such: %p", (text) => {
    expect(readTime("2026-09-17T14:31:00Z")).toBe("2026-09-17T14:31:00Z");
    expect(() => readTime(text)).toThrow(MalformedError);
  });

  const seconds = fc.integer({ min: 0, max: 253_402_300_799 });
  const nanos = fc.oneof(
    fc.integer({ min: 0, max: 999_999_999 }),
    fc.integer({ min: 0, max: 999 }).map((ms) => ms * 1_000_000),
  );

  test("written and read again is the same instant, with no zero too many", () => {
    fc.assert(
      fc.property(seconds, nanos, (second, nano) => {
        const text = utcText(second, nano);
        expect(readTime(text)).toBe(text);
        expect(nanosOf(text)).toBe(
          BigInt(second) * 1_000_000_000n + BigInt(nano),
        );
        expect(text).not.toMatch(/\.Z|\.\d*0Z/);
      }),
    );
  });

  test.each([
    [1, -1],
    [1, 1_000_000_000],
    [1, Number.NaN],
    [1e15, 0],
    [Number.NaN, 0],
  ])("%d s and %d ns are none", (second, nano) => {
    expect(() => utcText(second, nano)).toThrow(RangeError);
    expect(utcText(1, 0)).toBe("1970-01-01T00:00:01Z");
  });
});

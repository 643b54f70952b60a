/** How we talk on the streams, what the venue says of the connection, and what its frames mean. */
import { describe, expect, test } from "bun:test";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import type {
  Channel,
  FeedReading,
  FeedVenue,
} from "../../../src/venues/feedVenue.ts";
import {
  polygonFeed,
  type PolygonFeedSettings,
} from "../../../src/venues/polygon/stream.ts";
import { recorded } from "../../support/recorded.ts";
import {
  MINUTE_BAR,
  PAIR_MINUTE,
  PAIR_QUOTE,
  PAIR_TRADE,
  QUOTE,
  TRADE,
} from "./streamElements.ts";

const RECEIVED_AT_MS = 1_651_684_193_000;
const ALL: readonly Channel[] = ["bars", "trades", "quotes"];

function feed(more: Partial<PolygonFeedSettings> = {}): FeedVenue {
  return polygonFeed({
    assetClass: "stock",
    streamUrl: "wss://socket.venue.test",
    apiKey: 'k"1',
    channels: ALL,
    ...more,
  });
}

const frame = (...elements: readonly unknown[]) => JSON.stringify(elements);
const status = (name: string, message: string) => ({
  ev: "status",
  status: name,
  message,
});
const subscribed = (...params: readonly string[]) =>
  params.map((param) => status("success", `subscribed to: ${param}`));
const unsubscribed = (...params: readonly string[]) =>
  params.map((param) => status("success", `unsubscribed to: ${param}`));

/** A reading in short: what each control and message is, and of which symbol. */
function inShort({ controls, messages, malformed }: FeedReading) {
  return [
    ...controls.map(({ type }) => type),
    ...messages.map(({ kind, symbol }) => `${kind} ${symbol}`.trim()),
    ...malformed.map(({ reason }) => `malformed: ${reason}`),
  ];
}

/** What a feed reads of frames one after the other, each a tenth of a second later. */
function controlsOf(venue: FeedVenue, ...frames: readonly unknown[][]) {
  return frames.map(
    (elements, index) =>
      venue.read(frame(...elements), RECEIVED_AT_MS + index * 100).controls,
  );
}

describe("a feed", () => {
  test.each([
    ["stock", "polygon-stocks", "wss://socket.venue.test/stocks"],
    ["crypto", "polygon-crypto", "wss://socket.venue.test/crypto"],
  ] as const)("of %s has its own name and address", (assetClass, name, url) => {
    const venue = feed({ assetClass, streamUrl: "wss://socket.venue.test/" });
    expect([venue.id, venue.url, venue.source, venue.assetClass]).toEqual([
      name,
      url,
      "polygon",
      assetClass,
    ]);
    expect([venue.delayMs, venue.headers]).toEqual([undefined, undefined]);
  });

  // A Thursday in summer: New York is four hours behind.
  test.each([
    ["wss://socket.venue.test", "2026-09-17T07:59:59Z", false],
    ["wss://socket.venue.test", "2026-09-17T08:00:00Z", true],
    ["wss://socket.venue.test", "2026-09-18T00:00:00Z", false],
    ["wss://delayed.venue.test", "2026-09-17T08:14:59Z", false],
    ["wss://delayed.venue.test", "2026-09-17T08:15:00Z", true],
    ["wss://delayed-business.venue.test", "2026-09-18T00:14:59Z", true],
  ])("at %s may speak at %s: %p", (streamUrl, at, expected) => {
    expect(feed({ streamUrl }).isOpen(Date.parse(at))).toBe(expected);
  });

  test("of pairs may always speak; where all is late, it says so", () => {
    const crypto = feed({
      assetClass: "crypto",
      streamUrl: "wss://delayed.venue.test",
    });
    expect(crypto.isOpen(Date.parse("2026-12-25T03:00:00Z"))).toBe(true);
    expect(crypto.delayMs).toBe(15 * MINUTE);
  });

  test("offers what is wanted of what there is", () => {
    expect(feed({ channels: ["bars"] }).channels).toEqual(["bars"]);
    expect(
      feed({ channels: ["updatedBars", "quotes", "bars"] }).channels,
    ).toEqual(["quotes", "bars"]);
  });
});

describe("what is sent", () => {
  test("names each symbol on each channel", () => {
    const stocks = feed();
    const pairs = feed({ assetClass: "crypto" });
    expect([
      stocks.authenticate(),
      stocks.subscribe({
        quotes: ["MSFT"],
        bars: ["BRK.B", "KIMpL"],
        updatedBars: ["MSFT"],
      }),
      stocks.unsubscribe({ trades: ["GME"] }),
      pairs.subscribe({
        bars: ["BTC/USD", "ETH/USD"],
        trades: ["BTC/USD"],
        quotes: ["BTC/USD"],
      }),
    ]).toEqual([
      '{"action":"auth","params":"k\\"1"}',
      '{"action":"subscribe","params":"AM.BRK.B,AM.KIMpL,Q.MSFT"}',
      '{"action":"unsubscribe","params":"T.GME"}',
      '{"action":"subscribe","params":"XA.BTC-USD,XA.ETH-USD,XT.BTC-USD,XQ.BTC-USD"}',
    ]);
  });

  test("stays below the number of parameters that was once refused", () => {
    expect(feed().chunkLengthMax).toBeLessThanOrEqual(43);
  });
});

describe("the venue says", () => {
  test.each([
    ["connected", "Connected Successfully", [{ type: "welcomed" }]],
    ["success", "Connected Successfully", [{ type: "welcomed" }]],
    ["auth_success", "authenticated", [{ type: "authorized" }]],
    ["success", "authenticated", [{ type: "authorized" }]],
    [
      "auth_failed",
      "authentication failed",
      [
        {
          type: "error",
          kind: "refused",
          code: 0,
          reason: "auth_failed: authentication failed",
        },
      ],
    ],
    [
      "auth_failed",
      "Your plan doesn't include websocket access. Visit https://polygon.io/pricing",
      [
        {
          type: "error",
          kind: "refused",
          code: 0,
          reason:
            "auth_failed: Your plan doesn't include websocket access. Visit https://polygon.io/pricing",
        },
      ],
    ],
    [
      "auth_timeout",
      "No authentication request received.",
      [
        {
          type: "error",
          kind: "reconnect",
          code: 0,
          reason: "auth_timeout: No authentication request received.",
        },
      ],
    ],
    [
      "auth_required",
      "first",
      [
        {
          type: "error",
          kind: "reconnect",
          code: 0,
          reason: "auth_required: first",
        },
      ],
    ],
    [
      // The blank at the end is the venue's.
      "max_connections",
      "Maximum number of websocket connections exceeded. ",
      [
        {
          type: "error",
          kind: "reconnect",
          code: 0,
          reason:
            "max_connections: Maximum number of websocket connections exceeded.",
          retryAfterMs: MINUTE,
        },
      ],
    ],
    [
      "slow_consumer",
      "too slow",
      [
        {
          type: "error",
          kind: "reconnect",
          code: 0,
          reason: "slow_consumer: too slow",
        },
      ],
    ],
    [
      "force_disconnect",
      "bye",
      [
        {
          type: "error",
          kind: "reconnect",
          code: 0,
          reason: "force_disconnect: bye",
        },
      ],
    ],
    [
      "error",
      "invalid params",
      [
        {
          type: "error",
          kind: "request",
          code: 0,
          reason: "error: invalid params",
        },
      ],
    ],
  ])("%s: %s", (name, message, controls) => {
    expect(feed().read(frame(status(name, message)), RECEIVED_AT_MS)).toEqual({
      controls,
      messages: [],
      malformed: [],
    } as never);
  });

  test.each([
    ["maintenance", "soon"],
    ["success", "well done"],
    ["success", "subscribed to: ZZ.AAPL"],
  ])(
    "what is not known is counted, and changes nothing: %s, %s",
    (name, message) => {
      expect(
        inShort(feed().read(frame(status(name, message)), RECEIVED_AT_MS)),
      ).toEqual(["unknown"]);
    },
  );
});

describe("what is subscribed", () => {
  const told = (
    bars: readonly string[],
    trades: readonly string[] = [],
    quotes: readonly string[] = [],
  ) => [{ type: "subscribed" as const, channels: { bars, trades, quotes } }];

  test("is told once all of a request is acknowledged, in however many frames", () => {
    const venue = feed();
    venue.subscribe({ bars: ["BRK.B", "KIMpL"], trades: ["MSFT"] });
    expect(
      controlsOf(
        venue,
        subscribed("AM.BRK.B"),
        [TRADE],
        subscribed("T.MSFT", "AM.KIMpL"),
        [TRADE],
      ),
    ).toEqual([[], [], told(["BRK.B", "KIMpL"], ["MSFT"]), []]);
  });

  test("is told as a whole each time", () => {
    const venue = feed({ assetClass: "crypto" });
    venue.subscribe({ bars: ["BTC/USD"] });
    const first = controlsOf(venue, subscribed("XA.BTC-USD"));
    venue.subscribe({ bars: ["ETH/USD"] });
    const second = controlsOf(venue, subscribed("XA.ETH-USD"));
    venue.unsubscribe({ bars: ["BTC/USD"] });
    const third = controlsOf(venue, unsubscribed("XA.BTC-USD"));
    expect([first, second, third]).toEqual([
      [told(["BTC/USD"])],
      [told(["BTC/USD", "ETH/USD"])],
      [told(["ETH/USD"])],
    ]);
  });

  test("has no second answer: what is held already is not waited for", () => {
    const venue = feed();
    venue.subscribe({ bars: ["A"] });
    controlsOf(venue, subscribed("AM.A"));
    venue.subscribe({ bars: ["A", "B"] });
    expect(controlsOf(venue, subscribed("AM.B"))).toEqual([told(["A", "B"])]);
    venue.unsubscribe({ bars: ["C"] });
    expect(controlsOf(venue, [TRADE])).toEqual([told(["A", "B"])]);
  });

  test("lacks what the plan lacks, which is not named, before the acknowledgements or behind", () => {
    const before = feed();
    before.subscribe({ bars: ["A"], trades: ["A"], quotes: ["A"] });
    expect(
      controlsOf(
        before,
        [status("error", "not authorized")],
        subscribed("AM.A"),
        subscribed("T.A"),
      ),
    ).toEqual([told([]), told(["A"]), told(["A"], ["A"])]);

    const behind = feed();
    behind.subscribe({ bars: ["A"], trades: ["A"] });
    expect(
      controlsOf(behind, [
        ...subscribed("AM.A"),
        status("error", "not authorized"),
        status("error", "not authorized"),
      ]),
    ).toEqual([told(["A"])]);
  });

  test("is told without what has no answer for five seconds, and with it when it comes", () => {
    const venue = feed();
    venue.subscribe({ bars: ["A", "B"] });
    const read = (elements: unknown[], afterMs: number) =>
      venue.read(frame(...elements), RECEIVED_AT_MS + afterMs).controls;
    expect([
      read(subscribed("AM.A"), 0),
      read([TRADE], 5 * SECOND - 1),
      read([TRADE], 5 * SECOND),
      read([TRADE], 6 * SECOND),
      read(subscribed("AM.B"), 7 * SECOND),
    ]).toEqual([[], [], told(["A"]), [], told(["A", "B"])]);
  });

  test("is not told of a request that is refused", () => {
    const venue = feed();
    venue.subscribe({ bars: ["A"] });
    const [controls = []] = controlsOf(venue, [
      status("error", "no such thing"),
    ]);
    expect(controls.map(({ type }) => type)).toEqual(["error"]);
    expect(controlsOf(venue, [TRADE])).toEqual([[]]);
  });

  test("is forgotten with the connection, however that ended", () => {
    const venue = feed();
    venue.subscribe({ bars: ["A"] });
    controlsOf(venue, subscribed("AM.A"));
    venue.subscribe({ bars: ["B"] });
    // Cut here, without a word; the next one begins.
    venue.authenticate();
    venue.subscribe({ bars: ["C"] });
    expect(controlsOf(venue, [TRADE], subscribed("AM.C"))).toEqual([
      [],
      told(["C"]),
    ]);
  });

  test("does not hold what is none of ours", () => {
    const venue = feed({ channels: ["bars"] });
    venue.subscribe({ bars: ["A"] });
    expect(
      controlsOf(venue, [...subscribed("T.A", "AM.*", "AM.A", "LULD.A")])
        .at(0)
        ?.at(-1),
    ).toEqual({ type: "subscribed", channels: { bars: ["A"] } });
  });
});

describe("a message", () => {
  const read = (...elements: readonly unknown[]) =>
    feed().read(frame(...elements), RECEIVED_AT_MS);

  test("of each type is read", () => {
    const { controls, messages, malformed } = read(
      TRADE,
      QUOTE,
      MINUTE_BAR,
      PAIR_TRADE,
      PAIR_QUOTE,
      PAIR_MINUTE,
    );
    expect([controls, malformed]).toEqual([[], []]);
    const receivedAtMs = RECEIVED_AT_MS;
    expect(messages).toEqual([
      {
        kind: "trade",
        symbol: "MSFT",
        price: 261.87,
        size: 300,
        timestamp: "2022-05-04T17:09:52.462Z",
        receivedAtMs,
      },
      {
        kind: "quote",
        symbol: "MSFT",
        bid: 114.125,
        ask: 114.128,
        bidSize: 100,
        askSize: 160,
        timestamp: "2022-05-04T17:09:52.784Z",
        receivedAtMs,
      },
      {
        kind: "bar",
        span: "minute",
        symbol: "GTE",
        open: 0.4488,
        high: 0.4489,
        low: 0.4486,
        close: 0.4486,
        volume: 4110,
        vwap: 0.4488,
        timestamp: "2021-01-08T22:24:00Z",
        source: "polygon",
        receivedAtMs,
      },
      {
        kind: "trade",
        symbol: "LTC/USD",
        price: 133.9,
        size: 0.01616617,
        timestamp: "2021-01-12T14:33:27.425Z",
        receivedAtMs,
      },
      {
        kind: "quote",
        symbol: "LTC/USD",
        bid: 133.79,
        ask: 133.81,
        bidSize: 0.48,
        askSize: 0.601,
        timestamp: "2021-01-12T14:40:11.115Z",
        receivedAtMs,
      },
      {
        kind: "bar",
        span: "minute",
        symbol: "LTC/USD",
        open: 0.772,
        high: 0.784,
        low: 0.771,
        close: 0.784,
        volume: 951.6112,
        vwap: 0.7756,
        timestamp: "2021-01-12T14:54:00Z",
        source: "polygon",
        receivedAtMs,
      },
    ]);
  });

  test.each<[string, object, object]>([
    ["codes of another type", { ...TRADE, c: 14, i: 5096, z: "B" }, {}],
    ["no codes", { ...TRADE, c: null, i: null }, {}],
    ["a size with a fraction", { ...TRADE, s: 0.25 }, { size: 0.25 }],
    ["a size as text", { ...TRADE, s: "3e2" }, { size: 300 }],
    [
      "microseconds",
      { ...TRADE, t: 1_651_684_192_462_123 },
      { timestamp: "2022-05-04T17:09:52.462123Z" },
    ],
  ])("of a trade with %s is a trade", (_, element, expected) => {
    const [usual] = read(TRADE).messages;
    expect(read(element).messages).toEqual([
      { ...usual, ...expected } as never,
    ]);
  });

  test.each<[string, object, object]>([
    ["no bid", { ...QUOTE, bp: 0, bs: 0 }, { ask: 114.128, askSize: 160 }],
    ["no ask", { ...QUOTE, ap: undefined }, { bid: 114.125, bidSize: 100 }],
    [
      "sizes with a fraction",
      { ...QUOTE, bs: 1.5, as: 2.5e3 },
      { bid: 114.125, ask: 114.128, bidSize: 1.5, askSize: 2500 },
    ],
    [
      "no sizes",
      { ...QUOTE, bs: undefined, as: null },
      { bid: 114.125, ask: 114.128 },
    ],
  ])("of a quote with %s is what there is", (_, element, sides) => {
    expect(read(element).messages).toEqual([
      {
        kind: "quote",
        symbol: "MSFT",
        ...sides,
        timestamp: "2022-05-04T17:09:52.784Z",
        receivedAtMs: RECEIVED_AT_MS,
      },
    ]);
  });

  test.each<[string, object, object]>([
    ["an exponent", { ...MINUTE_BAR, v: 1.029145e6 }, { volume: 1_029_145 }],
    ["a fraction", { ...MINUTE_BAR, v: 9099.618 }, { volume: 9099.618 }],
    ["a large average size", { ...MINUTE_BAR, z: 3.39566313e8 }, {}],
    ["no opening price", { ...MINUTE_BAR, op: 0, a: undefined }, {}],
    [
      "the name of a pair, as the business feed has it",
      { ...MINUTE_BAR, sym: "X:BTC-USD" },
      { symbol: "BTC/USD" },
    ],
  ])("of a minute with %s is a bar", (_, element, expected) => {
    const [usual] = read(MINUTE_BAR).messages;
    expect(read(element).messages).toEqual([
      { ...usual, ...expected } as never,
    ]);
  });

  test.each<[string, object, string]>([
    ["a price of 0", { ...TRADE, p: 0 }, "p is no price: 0"],
    ["a negative size", { ...TRADE, s: -1 }, "s is no amount: -1"],
    ["no symbol", { ...TRADE, sym: "" }, "no symbol"],
    ["no time", { ...TRADE, t: undefined }, "no time: undefined"],
    ["a time of 1970", { ...QUOTE, t: 5 }, "no time: 5"],
    ["words for a bid", { ...QUOTE, bp: "low" }, "bp is no amount: low"],
    ["no pair", { ...PAIR_TRADE, pair: undefined }, "no pair"],
    ["half a pair", { ...PAIR_QUOTE, pair: "BTC-" }, "no pair: BTC-"],
    ["no volume", { ...MINUTE_BAR, v: undefined }, "v is no amount: undefined"],
    [
      "half a minute",
      { ...MINUTE_BAR, s: 1_610_144_640_500 },
      "no minute: 1610144640500",
    ],
    ["no type", { sym: "A" }, "no event type"],
  ])("with %s costs itself alone", (_, element, reason) => {
    const { messages, malformed } = read(TRADE, element, QUOTE);
    expect(messages.map(({ kind }) => kind)).toEqual(["trade", "quote"]);
    expect(malformed).toEqual([{ raw: JSON.stringify(element), reason }]);
  });

  test("that comes alone, as bytes, or twice in one frame is read", () => {
    const venue = feed();
    const alone = venue.read(JSON.stringify(TRADE), RECEIVED_AT_MS);
    const bytes = venue.read(Buffer.from(frame(TRADE)), RECEIVED_AT_MS);
    expect([alone, bytes].map(inShort)).toEqual([
      ["trade MSFT"],
      ["trade MSFT"],
    ]);
    expect(inShort(read(TRADE, TRADE))).toEqual(["trade MSFT", "trade MSFT"]);
  });

  test.each([
    [
      "<html>",
      ["malformed: not JSON: JSON Parse error: Unrecognized token '<'"],
    ],
    ["", ["malformed: not JSON: JSON Parse error: Unexpected EOF"]],
    ["[", ["malformed: not JSON: JSON Parse error: Unexpected EOF"]],
    ["[]", []],
    ["7", ["malformed: not an object"]],
    ["[null]", ["malformed: not an object"]],
  ])("is none in the frame %p", (text, expected) => {
    expect(inShort(feed().read(text, RECEIVED_AT_MS))).toEqual(expected);
  });
});

describe("a minute that comes again", () => {
  const bar = (minute: number, more: object = {}) => ({
    ...MINUTE_BAR,
    s: MINUTE_BAR.s + minute * MINUTE,
    ...more,
  });
  const spans = (venue: FeedVenue, ...elements: readonly object[]) =>
    venue
      .read(frame(...elements), RECEIVED_AT_MS)
      .messages.map((message) => message.kind === "bar" && message.span);

  test("because trades came late is a correction, and so is one that is told late", () => {
    const venue = feed();
    expect(
      spans(venue, bar(0), bar(1), bar(1, { v: 9 }), bar(-3), bar(2)),
    ).toEqual(["minute", "minute", "updated", "updated", "minute"]);
  });

  test("on the next connection is one as well", () => {
    const venue = feed();
    spans(venue, bar(0));
    venue.authenticate();
    expect(spans(venue, bar(0), bar(1))).toEqual(["updated", "minute"]);
  });

  test("is none when it is another symbol's", () => {
    expect(spans(feed(), bar(1), bar(0, { sym: "OTHER" }))).toEqual([
      "minute",
      "minute",
    ]);
  });
});

describe("what no sink takes", () => {
  const read = (text: string) => feed().read(text, RECEIVED_AT_MS).messages;

  test.each([
    [
      '{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":1601316752683746,"q":290317}',
      "luld",
      "MSFT",
      "2020-09-28T18:12:32.683746Z",
    ],
    [
      '{"ev":"NOI","T":"NTEST.Q","t":1601318039,"at":930,"a":"M","i":44}',
      "imbalance",
      "NTEST.Q",
      "2020-09-28T18:33:59Z",
    ],
    [
      '{"ev":"XL2","pair":"BTC-USD","t":1610462411115,"b":[[1,2]],"a":[]}',
      "orderbook",
      "BTC/USD",
      "2021-01-12T14:40:11.115Z",
    ],
    [
      '{"ev":"FMV","fmv":1.5,"sym":"X:BTC-USD","t":1678220098130}',
      "unknown",
      "BTC/USD",
      "2023-03-07T20:14:58.13Z",
    ],
    [
      '{"ev":"A","sym":"SPCE","v":200,"o":25.39,"s":1610144868000}',
      "unknown",
      "SPCE",
      undefined,
    ],
    ['{"ev":"lagg"}', "unknown", "", undefined],
  ])("is counted, and kept as it came: %s", (text, kind, symbol, timestamp) => {
    expect(read(`[${text}]`)).toEqual([
      {
        kind,
        symbol,
        timestamp,
        value: JSON.parse(text),
        receivedAtMs: RECEIVED_AT_MS,
      } as never,
    ]);
  });

  test("keeps nanoseconds that a number would round", () => {
    const text = `[${JSON.stringify(TRADE)}, {"ev":"LULD","T":"MSFT","t":1788877046310003385}]`;
    expect(read(text).slice(1)).toEqual([
      {
        kind: "luld",
        symbol: "MSFT",
        timestamp: "2026-09-08T14:17:26.310003385Z",
        value: { ev: "LULD", T: "MSFT", t: "1788877046310003385" },
        receivedAtMs: RECEIVED_AT_MS,
      },
    ]);
  });
});

describe("what the venue really sent", () => {
  const lines = (path: string) =>
    recorded(path)
      ?.split("\n")
      .map((line): unknown => JSON.parse(line));

  const session = [
    [status("connected", "Connected Successfully")],
    [status("auth_success", "authenticated")],
    subscribed("T.AAPL"),
    [{ ...TRADE, sym: "AAPL" }],
    [
      { ...TRADE, sym: "AMZN" },
      { ...TRADE, sym: "AMZN" },
    ],
    unsubscribed("T.AAPL"),
  ];

  test.each([
    ["built by hand", session],
    ...[lines("polygon/ws/client-python_mock_server_frames.jsonl")]
      .filter((frames) => frames !== undefined)
      .map((frames) => ["recorded", frames] as const),
  ])("in a session %s is understood", (_, frames) => {
    const venue = feed();
    const read = (elements: unknown) =>
      inShort(venue.read(JSON.stringify(elements), RECEIVED_AT_MS));
    const told: string[][] = [];
    for (const [index, elements] of frames.entries()) {
      if (index === 1) venue.authenticate();
      if (index === 2) venue.subscribe({ trades: ["AAPL"] });
      if (index === 5) venue.unsubscribe({ trades: ["AAPL"] });
      told.push(read(elements));
    }
    expect(told).toEqual([
      ["welcomed"],
      ["authorized"],
      ["subscribed"],
      ["trade AAPL"],
      ["trade AMZN", "trade AMZN"],
      ["subscribed"],
    ]);
  });

  const examples = [
    TRADE,
    QUOTE,
    MINUTE_BAR,
    PAIR_TRADE,
    PAIR_QUOTE,
    PAIR_MINUTE,
  ];
  const documented = lines("polygon/ws/spec_examples.jsonl")?.flatMap(
    (line) => {
      const { channel, raw } = line as { channel: string; raw: string };
      return /^\/(stocks|crypto)\/(T|Q|AM|XT|XQ|XA)$/.test(channel)
        ? [raw]
        : [];
    },
  );

  test.each([
    ["built by hand", examples.map((each) => JSON.stringify(each))],
    ...[documented]
      .filter((each) => each !== undefined)
      .map((each) => ["of the venue's own", each] as const),
  ])("in examples %s is read", (_, texts) => {
    const { messages, malformed } = feed().read(
      `[${texts.join(",")}]`,
      RECEIVED_AT_MS,
    );
    expect(malformed).toEqual([]);
    expect(messages.map(({ kind }) => kind).toSorted()).toEqual([
      "bar",
      "bar",
      "quote",
      "quote",
      "trade",
      "trade",
    ]);
  });
});

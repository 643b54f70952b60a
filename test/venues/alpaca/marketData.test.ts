/** How we talk on the market-data streams, and what their frames say: text or MessagePack, whole or partly broken. */
import { describe, expect, test } from "bun:test";
import {
  decode,
  encode,
  encodeTimeSpecToTimestamp,
  ExtData,
  EXT_TIMESTAMP,
} from "@msgpack/msgpack";
import fc from "fast-check";
import type { FeedReading } from "../../../src/venues/feedVenue.ts";
import {
  alpacaFeed,
  type AlpacaFeedSettings,
  sourceOf,
  type StockFeed,
} from "../../../src/venues/alpaca/marketData.ts";
import { recorded } from "../../support/recorded.ts";
import {
  BAR,
  CRYPTO_BAR,
  CRYPTO_QUOTE,
  CRYPTO_TRADE,
  QUOTE,
  TRADE,
} from "./marketElements.ts";

const RECEIVED_AT_MS = 1_789_655_462_200;

function feed(more: Partial<AlpacaFeedSettings> = {}) {
  return alpacaFeed({
    assetClass: "stock",
    streamUrl: "wss://stream.test",
    feed: "iex",
    keyId: 'k"1',
    secretKey: "s\\2",
    encoding: "json",
    quotes: true,
    ...more,
  });
}

const json = feed();
const packed = feed({ encoding: "msgpack" });

const readJson = (frame: string | Uint8Array) =>
  json.read(frame, RECEIVED_AT_MS);
const readPacked = (frame: string | Uint8Array) =>
  packed.read(frame, RECEIVED_AT_MS);

/** A reading in short: what each control and message is, and of which symbol. */
function inShort({ controls, messages, malformed }: FeedReading) {
  return [
    ...controls.map(({ type }) => type),
    ...messages.map(({ kind, symbol }) => `${kind} ${symbol}`.trim()),
    ...malformed.map(({ reason }) => `malformed: ${reason}`),
  ];
}

describe("a feed", () => {
  test.each([
    ["iex", "wss://stream.test/v2/iex"],
    ["sip", "wss://stream.test/v2/sip"],
    ["delayed_sip", "wss://stream.test/v2/delayed_sip"],
    ["test", "wss://stream.test/v2/test"],
  ] as const)(
    "of stocks from %s has its own address and source",
    (name, url) => {
      const {
        id,
        source,
        assetClass,
        url: address,
        headers,
      } = feed({ feed: name });
      expect([id, source, assetClass, address, headers]).toEqual([
        "stock",
        `alpaca:${name}`,
        "stock",
        url,
        undefined,
      ]);
      expect(sourceOf("stock", name)).toBe(source);
    },
  );

  test("of crypto has one address, whatever the stocks' plan", () => {
    const { id, source, url, channels } = feed({
      assetClass: "crypto",
      feed: "test",
      streamUrl: "ws://127.0.0.1:1234/",
    });
    expect([id, source, url, channels]).toEqual([
      "crypto",
      "alpaca:crypto",
      "ws://127.0.0.1:1234/v1beta3/crypto/us",
      ["bars", "updatedBars", "trades", "quotes"],
    ]);
  });

  test("asks for MessagePack when it dials", () => {
    expect(packed.headers).toEqual({ "Content-Type": "application/msgpack" });
  });

  // A Thursday in summer: New York is four hours behind.
  test.each<[StockFeed, string, boolean]>([
    ["iex", "2026-09-17T07:59:59Z", false],
    ["iex", "2026-09-17T08:00:00Z", true],
    ["sip", "2026-09-17T23:59:59Z", true],
    ["sip", "2026-09-18T00:00:00Z", false],
    ["sip", "2026-09-19T15:00:00Z", false],
    ["delayed_sip", "2026-09-17T08:14:59Z", false],
    ["delayed_sip", "2026-09-17T08:15:00Z", true],
    ["delayed_sip", "2026-09-18T00:14:59Z", true],
    ["test", "2026-09-19T15:00:00Z", true],
  ])("%s at %s: may speak %p", (name, at, expected) => {
    expect(feed({ feed: name }).isOpen(Date.parse(at))).toBe(expected);
  });

  test("of crypto may always speak", () => {
    const { isOpen } = feed({ assetClass: "crypto" });
    expect(isOpen(Date.parse("2026-12-25T03:00:00Z"))).toBe(true);
  });
});

describe("what is sent", () => {
  const wanted = {
    quotes: ["MSFT"],
    trades: ["MSFT", "GME"],
    bars: ["MSFT"],
    updatedBars: ["MSFT"],
  };

  test("in JSON", () => {
    expect([
      json.authenticate(),
      json.subscribe(wanted),
      json.unsubscribe({ trades: ["GME"], bars: [] }),
    ]).toEqual([
      '{"action":"auth","key":"k\\"1","secret":"s\\\\2"}',
      '{"action":"subscribe","bars":["MSFT"],"updatedBars":["MSFT"],"trades":["MSFT","GME"],"quotes":["MSFT"]}',
      '{"action":"unsubscribe","bars":[],"trades":["GME"]}',
    ]);
  });

  test("in MessagePack", () => {
    const sent = [
      packed.authenticate(),
      packed.subscribe(wanted),
      packed.unsubscribe({ trades: ["GME"] }),
    ].map((frame) => (typeof frame === "string" ? frame : decode(frame)));
    expect(sent).toEqual([
      { action: "auth", key: 'k"1', secret: "s\\2" },
      { action: "subscribe", ...wanted },
      { action: "unsubscribe", trades: ["GME"] },
    ]);
  });

  test.each<[string, Partial<AlpacaFeedSettings>, string[]]>([
    [
      "no quotes where none are wanted",
      { quotes: false },
      ["bars", "updatedBars", "trades"],
    ],
    [
      "no updated bars of the test symbol",
      { feed: "test" },
      ["bars", "trades", "quotes"],
    ],
  ])("asks for %s", (_, more, channels) => {
    const venue = feed(more);
    expect<readonly string[]>(venue.channels).toEqual(channels);
    for (const frame of [venue.subscribe(wanted), venue.unsubscribe(wanted)])
      expect(Object.keys(JSON.parse(String(frame)))).toEqual([
        "action",
        ...channels,
      ]);
  });

  test("stays below 32,768 bytes, however long the symbols of a chunk are", () => {
    const symbols = Array.from(
      { length: json.chunkLengthMax },
      (_, number) => `SHIB${number}XXXX`.slice(0, 12) + "/USD",
    );
    const frame = json.subscribe({
      bars: symbols,
      updatedBars: symbols,
      trades: symbols,
      quotes: symbols,
    });
    expect(frame.length).toBeLessThan(32_768);
  });
});

describe("the venue says of the connection", () => {
  test.each<[string, unknown[]]>([
    ['[{"T":"success","msg":"connected"}]', [{ type: "welcomed" }]],
    ['{"T":"success","msg":"connected"}', [{ type: "welcomed" }]],
    ['[{"T":"success","msg":"authenticated"}]', [{ type: "authorized" }]],
    [
      '[{"T":"subscription","trades":["MSFT"],"quotes":[],"bars":["*"],"updatedBars":null,"dailyBars":["QQQ"],"statuses":["*"],"lulds":[],"corrections":["MSFT"],"cancelErrors":["MSFT"]}]',
      [
        {
          type: "subscribed",
          channels: {
            bars: ["*"],
            updatedBars: [],
            trades: ["MSFT"],
            quotes: [],
          },
        },
      ],
    ],
    [
      '[{"T":"subscription","trades":["FAKEPACA"],"quotes":[],"bars":[]}]',
      [
        {
          type: "subscribed",
          channels: { bars: [], trades: ["FAKEPACA"], quotes: [] },
        },
      ],
    ],
  ])("%s", (frame, controls) => {
    const reading = { controls, messages: [], malformed: [] };
    expect<unknown>(readJson(frame)).toStrictEqual(reading);
    const bytes = encode(JSON.parse(frame));
    expect<unknown>(readPacked(bytes)).toStrictEqual(reading);
  });

  test.each([
    [400, "invalid syntax", "request"],
    [401, "not authenticated", "reconnect"],
    [402, "auth failed", "refused"],
    [404, "auth timeout", "reconnect"],
    [405, "symbol limit exceeded", "limit"],
    [406, "connection limit exceeded", "slot"],
    [407, "slow client", "reconnect"],
    [408, "v2 not enabled", "refused"],
    [409, "insufficient subscription", "refused"],
    [410, "invalid subscribe action for this feed", "request"],
    [411, "insufficient scope", "refused"],
    [412, "option messages are only available in MsgPack format", "refused"],
    [413, "star subscription is not allowed for option quotes", "request"],
    [500, "internal error", "reconnect"],
    [499, "of a later version", "reconnect"],
  ])("error %d, %s: %s", (code, msg, kind) => {
    const elements = [{ T: "error", code, msg }];
    const reading = {
      controls: [{ type: "error", kind, code, reason: msg }],
      messages: [],
      malformed: [],
    };
    expect<unknown>(readJson(JSON.stringify(elements))).toStrictEqual(reading);
    expect<unknown>(readPacked(encode(elements))).toStrictEqual(reading);
  });

  test("that it knows us already: nothing is wrong, and we are in", () => {
    const frame = '[{"T":"error","code":403,"msg":"already authenticated"}]';
    expect<unknown>(readJson(frame).controls).toStrictEqual([
      {
        type: "error",
        kind: "harmless",
        code: 403,
        reason: "already authenticated",
      },
      { type: "authorized" },
    ]);
  });

  test("an error without a code or a text: it is one all the same", () => {
    expect<unknown>(readJson('[{"T":"error"}]').controls).toStrictEqual([
      { type: "error", kind: "reconnect", code: 0, reason: "" },
    ]);
  });

  test.each([
    ['{"T":"subscription","bars":"MSFT"}', "bars is no list"],
    ['{"T":"subscription","quotes":[7]}', "quotes has no symbols"],
  ])("nothing by %s, which is malformed", (raw, reason) => {
    expect<unknown>(readJson(`[${raw}]`)).toStrictEqual({
      controls: [],
      messages: [],
      malformed: [{ raw, reason }],
    });
  });

  test("what this version does not know: it is counted", () => {
    const frame = '[{"T":"success","msg":"resumed"},{"T":"zz","S":"MSFT"}]';
    expect(inShort(readJson(frame))).toEqual(["unknown", "unknown MSFT"]);
  });
});

describe("a frame", () => {
  const MIXED = [
    TRADE,
    QUOTE,
    BAR,
    { ...BAR, T: "u" },
    { ...BAR, T: "d" },
    { T: "s", S: "GME", t: TRADE.t },
    { T: "success", msg: "authenticated" },
    { T: "n", symbols: ["MSFT"] },
    CRYPTO_TRADE,
    CRYPTO_QUOTE,
    CRYPTO_BAR,
  ];
  const MIXED_IN_SHORT = [
    "authorized",
    "trade MSFT",
    "quote INTC",
    "bar QQQ",
    "bar QQQ",
    "bar QQQ",
    "status GME",
    "news MSFT",
    "trade SOL/USD",
    "quote SOL/USD",
    "bar LTC/USD",
  ];

  test("holds several types and symbols, and they stay in order", () => {
    const text = JSON.stringify(MIXED);
    expect(inShort(readJson(text))).toEqual(MIXED_IN_SHORT);
  });

  test("says the same as text, as bytes of text and as MessagePack", () => {
    const text = JSON.stringify(MIXED);
    const reading = readJson(text);
    expect(readJson(Buffer.from(text))).toStrictEqual(reading);
    expect(readPacked(encode(MIXED))).toStrictEqual(reading);
    // A venue that could not agree on MessagePack goes on in text.
    expect(readPacked(text)).toStrictEqual(reading);
  });

  test("of one object needs no list around it", () => {
    const reading = readJson(JSON.stringify([TRADE]));
    expect(readJson(JSON.stringify(TRADE))).toStrictEqual(reading);
    expect(readPacked(encode(TRADE))).toStrictEqual(reading);
  });

  test("may be empty", () => {
    const nothing = { controls: [], messages: [], malformed: [] };
    expect<unknown>(readJson("[]")).toStrictEqual(nothing);
    expect<unknown>(readPacked(encode([]))).toStrictEqual(nothing);
  });

  test("marks all of it with the moment it came and its bars with the feed", () => {
    const { messages } = readJson(JSON.stringify(MIXED));
    expect(new Set(messages.map((each) => each.receivedAtMs))).toEqual(
      new Set([RECEIVED_AT_MS]),
    );
    expect(
      messages.flatMap((each) => (each.kind === "bar" ? [each.source] : [])),
    ).toEqual(Array(4).fill("alpaca:iex"));
  });

  // Spaces, an escaped letter and a number of many digits: all of it has to be kept.
  const broken = `{ "T":"t", "S":"\\u0041", "i":12345678901234567890, "p":"1.50" , "s":[1,{"]":"}"}] }`;
  test.each<[string, string]>([
    [broken, "p is no price: 1.50"],
    [
      '{"T":"t","S":"A","p":1e999,"s":1,"t":"2026-09-17T14:31:02Z"}',
      "p is no price: number",
    ],
    ['{"T":"q","bp":1,"ap":2,"t":"2026-09-17T14:31:02Z"}', "no symbol"],
    ['{"S":"MSFT"}', "no message type"],
    ['{"T":null}', "no message type"],
    ["null", "not an object"],
    ["17.50", "not an object"],
    ['"t"', "not an object"],
    ['[{"T":"t"}]', "not an object"],
    ["{}", "no message type"],
  ])(
    "with %s in its middle keeps that as it stood, and reads the rest",
    (raw, reason) => {
      const [before, after] = [JSON.stringify(TRADE), JSON.stringify(QUOTE)];
      const reading = readJson(` [${before}, ${raw},\n${after}]`);
      expect(reading).toStrictEqual({
        ...readJson(`[${before},${after}]`),
        malformed: [{ raw, reason }],
      });
    },
  );

  test("that is broken in many places keeps each of them", () => {
    const { messages, malformed } = readJson(
      `[1,${JSON.stringify(TRADE)},{"T":"t"},null]`,
    );
    expect(messages).toHaveLength(1);
    expect(malformed).toEqual([
      { raw: "1", reason: "not an object" },
      { raw: '{"T":"t"}', reason: "no symbol" },
      { raw: "null", reason: "not an object" },
    ]);
  });

  test.each(["", "pong", '[{"T":"t"', "<html>", "\u0000"])(
    "that is no JSON is kept whole: %j",
    (raw) => {
      const { malformed, ...rest } = readJson(raw);
      expect<unknown>(rest).toStrictEqual({ controls: [], messages: [] });
      expect(malformed).toEqual([
        { raw, reason: expect.stringMatching(/^not JSON: ./) },
      ]);
    },
  );

  test("of bytes that are no text is kept whole, in base64", () => {
    const bytes = Uint8Array.from([0x5b, 0xff, 0x5d]);
    expect(readJson(bytes).malformed).toEqual([
      {
        raw: "base64:W/9d",
        reason: expect.stringContaining("frame is no UTF-8"),
      },
    ]);
  });

  test("whatever it holds, never throws and loses no element", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (elements) => {
        for (const { controls, messages, malformed } of [
          readJson(JSON.stringify(elements)),
          readPacked(encode(elements)),
        ])
          expect(controls.length + messages.length + malformed.length).toBe(
            elements.length,
          );
      }),
    );
    fc.assert(
      fc.property(fc.string(), fc.uint8Array(), (text, bytes) => {
        for (const reading of [
          readJson(text),
          readJson(bytes),
          readPacked(bytes),
        ])
          expect(Object.keys(reading)).toEqual([
            "controls",
            "messages",
            "malformed",
          ]);
      }),
    );
  });
});

describe("MessagePack", () => {
  /** An element whose time is the timestamp extension with these bytes. */
  const timed = (data: Uint8Array) => ({
    ...TRADE,
    t: new ExtData(EXT_TIMESTAMP, data),
  });
  const time = (sec: number, nsec: number) =>
    timed(encodeTimeSpecToTimestamp({ sec, nsec }));
  const timesOf = (elements: object[]) =>
    readPacked(encode(elements)).messages.map(({ timestamp }) => timestamp);

  // Four, eight and twelve bytes, by what must fit in.
  test.each([
    [1_789_655_462, 0, "2026-09-17T14:31:02Z"],
    [1_789_655_462, 118_734_209, "2026-09-17T14:31:02.118734209Z"],
    [1_789_655_462, 1, "2026-09-17T14:31:02.000000001Z"],
    [1_789_655_462, 100_000_000, "2026-09-17T14:31:02.1Z"],
    [1_789_655_462, 999_999_999, "2026-09-17T14:31:02.999999999Z"],
    [4_294_967_296, 0, "2106-02-07T06:28:16Z"],
    [17_179_869_184, 5_000, "2514-05-30T01:53:04.000005Z"],
  ])("keeps the nanoseconds of a time: %d s %d ns", (sec, nsec, text) => {
    expect(timesOf([time(sec, nsec), time(sec, nsec)])).toEqual([text, text]);
  });

  const twelveBytes = Buffer.alloc(12);
  twelveBytes.writeUInt32BE(1_000_000_000, 0);
  test.each<[string, Uint8Array]>([
    ["a second's worth of nanoseconds", twelveBytes],
    ["five bytes", new Uint8Array(5)],
    ["the year 300,000,000,000", Buffer.alloc(12, 0x7f).fill(0, 0, 4)],
  ])("a time of %s costs its element, not the frame", (_, data) => {
    const { messages, malformed } = readPacked(
      encode([time(1, 0), timed(data), time(2, 0)]),
    );
    expect(messages.map(({ timestamp }) => timestamp)).toEqual([
      "1970-01-01T00:00:01Z",
      "1970-01-01T00:00:02Z",
    ]);
    const text = `timestamp ${Buffer.from(data).toString("hex")}`;
    expect(malformed).toEqual([
      {
        raw: JSON.stringify({ ...TRADE, t: text }),
        reason: `no time: ${text.slice(0, 40)}`,
      },
    ]);
  });

  test("may write times as text, and numbers as wide as it likes", () => {
    const element = { ...TRADE, s: 7n, i: 71003n };
    const [expected] = readJson(JSON.stringify([TRADE])).messages;
    expect(
      readPacked(encode([element], { useBigInt64: true })).messages,
    ).toStrictEqual([expected!]);
  });

  test("has numbers that JSON has not: they are malformed, and told by name", () => {
    const { malformed } = readPacked(
      encode([
        { ...TRADE, p: Number.NaN },
        { ...TRADE, s: -Infinity },
      ]),
    );
    expect(malformed).toEqual([
      {
        raw: JSON.stringify({ ...TRADE, p: "NaN" }),
        reason: "p is no price: number",
      },
      {
        raw: JSON.stringify({ ...TRADE, s: "-Infinity" }),
        reason: "s is no amount: number",
      },
    ]);
  });

  test("that is cut short or has too much is kept whole, and the next frame is read", () => {
    const whole = encode([TRADE, QUOTE]);
    for (const frame of [
      whole.subarray(0, -1),
      Buffer.concat([whole, whole]),
      Uint8Array.from([0xc1]),
      new Uint8Array(),
    ]) {
      const { messages, malformed } = readPacked(frame);
      expect(messages).toEqual([]);
      expect(malformed).toEqual([
        {
          raw: `base64:${Buffer.from(frame).toString("base64")}`,
          reason: expect.stringMatching(/^not MessagePack: ./),
        },
      ]);
      expect(inShort(readPacked(whole))).toEqual(["trade MSFT", "quote INTC"]);
    }
  });

  test("nested deeper than one can follow is kept whole", () => {
    const frame = Buffer.concat([Buffer.alloc(200_000, 0x91), Buffer.of(0xc0)]);
    expect(readPacked(frame).malformed).toEqual([
      {
        raw: `base64:${frame.toString("base64")}`,
        reason: "not an object",
      },
    ]);
  });
});

describe("a session as the venue writes it", () => {
  interface Session {
    readonly assetClass: "stock" | "crypto";
    readonly name: string;
    readonly frames: readonly string[];
    /** What is read, in short, and how often. */
    readonly expected: Readonly<Record<string, number>>;
  }

  const builtByHand: Session = {
    assetClass: "stock",
    name: "built by hand",
    frames: [
      '[{"T":"success","msg":"connected"}]',
      '[{"T":"success","msg":"authenticated"}]',
      '[{"T":"subscription","trades":["MSFT"],"quotes":["INTC"],"bars":["*"]}]',
      JSON.stringify(TRADE),
      JSON.stringify([QUOTE, QUOTE, BAR]),
      '[{"T":"error","code":407,"msg":"slow client"}]',
    ],
    expected: {
      welcomed: 1,
      authorized: 1,
      subscribed: 1,
      "trade MSFT": 1,
      "quote INTC": 2,
      "bar QQQ": 1,
      error: 1,
    },
  };

  function recording(
    assetClass: Session["assetClass"],
    expected: Session["expected"],
  ): Session[] {
    const text = recorded(
      `alpaca/marketdata_stream/docs_${assetClass}_realtime.jsonl`,
    );
    if (text === undefined) return [];
    const frames = text
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ from }) => from === "server")
      .map(({ raw }): string => raw);
    return [{ assetClass, name: "recorded", frames, expected }];
  }

  test.each([
    builtByHand,
    ...recording("stock", {
      welcomed: 1,
      authorized: 2,
      error: 11,
      subscribed: 3,
      "trade AAPL": 2,
      "quote AMD": 4,
      "bar SPY": 2,
      "status AAPL": 1,
    }),
    ...recording("crypto", {
      welcomed: 1,
      authorized: 2,
      error: 10,
      subscribed: 3,
    }),
  ])("$name, $assetClass, is read whole, in both languages", (session) => {
    const { assetClass, frames, expected } = session;
    const text = feed({ assetClass });
    const binary = feed({ assetClass, encoding: "msgpack" });
    const found: Record<string, number> = {};
    for (const frame of frames) {
      const reading = text.read(frame, RECEIVED_AT_MS);
      const bytes = encode(JSON.parse(frame));
      expect(binary.read(bytes, RECEIVED_AT_MS)).toStrictEqual(reading);
      for (const name of inShort(reading)) found[name] = (found[name] ?? 0) + 1;
    }
    expect(found).toEqual({ ...expected });
  });
});

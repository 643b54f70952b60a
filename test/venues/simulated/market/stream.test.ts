import { decode, encode, ExtensionCodec } from "@msgpack/msgpack";
import { afterEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect } from "node:net";
import { constants, inflateRawSync } from "node:zlib";
import WebSocket from "ws";
import { HOUR, MINUTE, SECOND, within } from "../../../../src/clock.ts";
import {
  ERRORS,
  isMarketErrorCode,
  type MarketPath,
} from "../../../../src/venues/simulated/market/language.ts";
import type { MarketOptions } from "../../../../src/venues/simulated/market/market.ts";
import { ALPHA, BETA, keysOf, type Listener } from "../wire.ts";
import {
  AUTH,
  CRYPTO,
  Feed,
  framesOf,
  type Message,
  messagesOf,
  PACKED,
} from "./feed.ts";

const CONNECTED = [{ T: "success", msg: "connected" }];
const AUTHENTICATED = [{ T: "success", msg: "authenticated" }];
const BETA_AUTH = { action: "auth", key: BETA.keyId, secret: BETA.secretKey };

function errorOf(code: number) {
  if (!isMarketErrorCode(code)) throw new Error(`no code: ${code}`);
  return [{ T: "error", code, msg: ERRORS[code] }];
}

const feeds: Feed[] = [];
afterEach(async () => {
  for (const feed of feeds.splice(0)) await feed[Symbol.asyncDispose]();
});

async function open(market: MarketOptions = {}): Promise<Feed> {
  const feed = await Feed.open(market);
  feeds.push(feed);
  return feed;
}

/** What the venue answers to a message. */
async function answer(listener: Listener, message: unknown) {
  listener.send(message);
  return await listener.next();
}

describe("the handshake", () => {
  test("is begun by the venue, in text frames of arrays, and granted to who says who he is", async () => {
    const listener = await (await open()).dial("/v2/iex");
    expect(await listener.nextText()).toBe(
      '[{"T":"success","msg":"connected"}]',
    );
    listener.send(AUTH);
    expect(await listener.nextText()).toBe(
      '[{"T":"success","msg":"authenticated"}]',
    );
    expect(listener.kinds).toEqual(["text", "text"]);
  });

  test.each<[string, unknown, number]>([
    ["no JSON", "{", 400],
    ["no object", "[]", 400],
    ["no action", "{}", 400],
    ["an action that is none", { action: "sing" }, 400],
    ["a packed message", encode(AUTH), 400],
    ["a subscription", { action: "subscribe", trades: ["AAPL"] }, 401],
    ["the end of one", { action: "unsubscribe", trades: ["AAPL"] }, 401],
  ])("that begins with %s is refused with %d, and goes on", async (...row) => {
    const [, message, code] = row;
    const listener = await (await open()).dial("/v2/iex");
    await listener.next();
    expect(await answer(listener, message)).toEqual(errorOf(code));
    expect(await answer(listener, AUTH)).toEqual(AUTHENTICATED);
  });

  test.each<[string, Message]>([
    ["a wrong key", { ...AUTH, key: "PKNOBODY" }],
    ["another account's secret", { ...AUTH, secret: BETA.secretKey }],
    ["no key at all", { action: "auth" }],
  ])("ends with 402 for %s", async (_, auth) => {
    const listener = await (await open()).dial("/v2/iex");
    await listener.next();
    expect(await answer(listener, auth)).toEqual(errorOf(402));
    expect(await listener.closed).toBe(1000);
  });

  test("said twice is 403, and harmless", async () => {
    const listener = await (await open()).enter("/v2/iex");
    expect(await answer(listener, AUTH)).toEqual(errorOf(403));
    expect(
      await answer(listener, { action: "subscribe", bars: ["A"] }),
    ).toMatchObject([{ T: "subscription", bars: ["A"] }]);
  });

  const basic = Buffer.from(`${ALPHA.keyId}:${ALPHA.secretKey}`);
  test.each<[string, Record<string, string>]>([
    ["two headers", keysOf(ALPHA)],
    ["Basic", { Authorization: `Basic ${basic.toString("base64")}` }],
  ])("is over at once for who introduces himself by %s", async (_, headers) => {
    const listener = await (await open()).dial("/v2/iex", headers);
    expect(await listener.next()).toEqual(CONNECTED);
    expect(await listener.next()).toEqual(AUTHENTICATED);
    expect(await answer(listener, AUTH)).toEqual(errorOf(403));
  });

  test.each<[string, Record<string, string>]>([
    ["a wrong secret", keysOf({ ...ALPHA, secretKey: "wrong" })],
    ["a token", { Authorization: "Bearer token" }],
  ])("ends with 402 for headers with %s", async (_, headers) => {
    const listener = await (await open()).dial("/v2/iex", headers);
    expect(await listener.next()).toEqual(CONNECTED);
    expect(await listener.next()).toEqual(errorOf(402));
    await listener.closed;
  });

  test("ends with 404 for who says nothing for ten seconds", async () => {
    const feed = await open();
    const silent = await feed.dial("/v2/iex");
    const known = await feed.enter("/v2/iex");
    await silent.next();
    feed.advance(10 * SECOND - 1);
    await silent.pong();
    expect(silent.waiting).toBe(0);
    feed.advance(1);
    expect(await silent.next()).toEqual(errorOf(404));
    expect(await silent.closed).toBe(1000);
    await known.pong();
    expect(known.waiting).toBe(0);
  });

  test("of a feed that the plan does not hold is refused with 409", async () => {
    const feed = await open({ plan: "basic" });
    const listener = await feed.dial("/v2/sip");
    await listener.next();
    expect(await answer(listener, AUTH)).toEqual(errorOf(409));
    for (const path of ["/v2/iex", "/v2/test", CRYPTO] as const)
      await feed.enter(path);
  });

  test("that is none is told what is expected", async () => {
    const { venue } = await open();
    const response = await fetch(`${venue.url}/v2/iex`);
    expect([response.status, await response.text()]).toEqual([
      426,
      "a WebSocket is expected",
    ]);
  });
});

describe("the one connection for a key and a feed", () => {
  test("is refused to a second with 406, which may ask again on its socket until it is free", async () => {
    const feed = await open();
    const first = await feed.enter("/v2/iex");
    const second = await feed.dial("/v2/iex");
    await second.next();
    for (const _ of [1, 2, 3]) {
      // Each try begins the ten seconds anew.
      feed.advance(6 * SECOND);
      expect(await answer(second, AUTH)).toEqual(errorOf(406));
    }
    await feed.enter("/v2/test");
    await feed.enter("/v2/iex", BETA_AUTH);
    first.close();
    await first.closed;
    expect(await answer(second, AUTH)).toEqual(AUTHENTICATED);
  });

  test("is refused to headers too", async () => {
    const feed = await open();
    await feed.enter("/v2/iex");
    const second = await feed.dial("/v2/iex", keysOf(ALPHA));
    expect(await second.next()).toEqual(CONNECTED);
    expect(await second.next()).toEqual(errorOf(406));
    feed.advance(10 * SECOND);
    expect(await second.next()).toEqual(errorOf(404));
  });

  type Ending = (feed: Feed, listener: Listener) => Promise<unknown>;
  const hangingUp: Ending = async (_, listener) => {
    listener.hangUp();
    await listener.closed;
  };
  const dropped: Ending = async ({ venue }, listener) => {
    venue.inject({ kind: "drop", account: "/v2/iex" });
    await listener.closed;
  };
  const deaf: Ending = async ({ venue }) =>
    venue.inject({ kind: "half-open", account: "/v2/iex" });
  const expelled: Ending = async ({ venue }, listener) => {
    venue.inject({ kind: "feed-error", code: 407 });
    await listener.closed;
  };
  test.each<[string, Ending, MarketOptions, heldMs: number]>([
    [
      "nobody stays for who said goodbye",
      async (_, listener) => listener.close(),
      {},
      0,
    ],
    ["nobody stays for whom the venue hung up on", expelled, {}, 0],
    ["stays taken for 90 seconds after a hard end", hangingUp, {}, 90_000],
    ["stays taken for 90 seconds after a drop", dropped, {}, 90_000],
    [
      "stays taken for 90 seconds by a peer that is not heard any more",
      deaf,
      {},
      90_000,
    ],
    [
      "stays taken for as long as the venue is set up",
      dropped,
      { lingerMs: 5_000 },
      5_000,
    ],
    [
      "stays taken for as long as a fault says",
      async (feed, listener) => {
        feed.venue.inject({ kind: "slot-held", byMs: 7_000 });
        await dropped(feed, listener);
      },
      {},
      7_000,
    ],
  ])("%s", async (_, end, options, heldMs) => {
    const feed = await open(options);
    await end(feed, await feed.enter("/v2/iex"));
    const tryAgain = async () => {
      const listener = await feed.dial("/v2/iex");
      await listener.next();
      return (await answer(listener, AUTH))[0].code ?? "in";
    };
    if (heldMs > 0) {
      // The venue hears of an end a moment later than its peer.
      await untilIt(async () => (await tryAgain()) === 406);
      feed.advance(heldMs - 1);
      expect(await tryAgain()).toBe(406);
      feed.advance(1);
    }
    await untilIt(async () => (await tryAgain()) === "in");
  });

  async function untilIt(happens: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + 2 * SECOND;
    while (!(await happens()))
      if (performance.now() > deadlineMs) throw new Error("it never happened");
  }
});

describe("a subscription", () => {
  test("that is refused leaves what is held as it was, and its data coming", async () => {
    const feed = await open({ plan: "basic" });
    const listener = await feed.listen("/v2/iex", { trades: ["SPY"] });
    const many = Array.from({ length: 30 }, (_, index) => `A${index}`);
    for (const [wanted, code] of [
      [{ quotes: many }, 405],
      [{ trades: ["*"] }, 405],
      [{ orderbooks: ["SPY"] }, 410],
      [{ trades: ["spy"] }, 400],
    ] as const)
      expect(
        await answer(listener, { action: "subscribe", ...wanted }),
      ).toEqual(errorOf(code));
    feed.advance(MINUTE);
    const messages = await messagesOf(listener);
    expect(new Set(messages.map(({ T, S }) => `${T} ${S}`))).toEqual(
      new Set(["t SPY"]),
    );
    expect(
      await answer(listener, { action: "subscribe", bars: ["A"] }),
    ).toMatchObject([{ trades: ["SPY"], quotes: [], bars: ["A"] }]);
  });

  test("that has ended brings nothing more", async () => {
    const feed = await open();
    const listener = await feed.listen("/v2/iex", { trades: ["SPY", "QQQ"] });
    await answer(listener, { action: "unsubscribe", trades: ["SPY"] });
    feed.advance(MINUTE);
    const symbols = (await messagesOf(listener)).map(({ S }) => S);
    expect(new Set(symbols)).toEqual(new Set(["QQQ"]));
  });

  test.each<[MarketPath, symbols: RegExp]>([
    ["/v2/iex", /^(AAPL|SPY|QQQ|MSFT|NVDA|TSLA|OCGN)$/],
    ["/v2/test", /^FAKEPACA$/],
    [CRYPTO, /^(BTC|ETH|DOGE)\/USD$/],
  ])("to everything on %s brings what fits the feed", async (path, symbols) => {
    const feed = await open();
    const listener = await feed.listen(path, { bars: ["*"], trades: ["*"] });
    feed.advance(MINUTE + SECOND);
    const found = new Set((await messagesOf(listener)).map(({ S }) => S));
    expect(found.size).toBe(path === "/v2/iex" ? 7 : path === CRYPTO ? 3 : 1);
    for (const symbol of found) expect(symbol).toMatch(symbols);
  });

  test("brings several types and symbols in one frame, in order of time, in pieces of a thousand", async () => {
    const feed = await open();
    const listener = await feed.listen("/v2/iex", {
      trades: ["SPY", "QQQ"],
      quotes: ["SPY", "AAPL"],
      bars: ["*"],
    });
    feed.advance(2 * SECOND);
    const [frame = []] = await framesOf(listener);
    expect(new Set(frame.map(({ T }) => T)).size).toBeGreaterThan(1);
    expect(new Set(frame.map(({ S }) => S)).size).toBeGreaterThan(1);
    const times = frame.filter(({ T }) => T !== "b").map(({ t }) => `${t}`);
    expect(times).toEqual(times.toSorted());
    feed.advance(20 * MINUTE);
    const sizes = (await framesOf(listener)).map(({ length }) => length);
    expect(sizes.length).toBeGreaterThan(2);
    expect(sizes.slice(0, -1)).toEqual(sizes.slice(0, -1).fill(1000));
  });

  test("of the delayed feed brings what happened a quarter of an hour ago", async () => {
    const feed = await open();
    const [now, delayed] = [
      await feed.listen("/v2/sip", { trades: ["SPY"] }),
      await feed.listen("/v2/delayed_sip", { trades: ["SPY"] }),
    ];
    feed.advance(MINUTE);
    const first = await messagesOf(now);
    expect(await messagesOf(delayed)).not.toEqual(first);
    feed.advance(14 * MINUTE);
    await messagesOf(delayed);
    feed.advance(MINUTE);
    expect(await messagesOf(delayed)).toEqual(first);
  });

  test("to an order book brings the whole of it first, once, and then its changes", async () => {
    const feed = await open();
    const listener = await feed.enter(CRYPTO);
    const book = { action: "subscribe", orderbooks: ["BTC/USD"] };
    await answer(listener, book);
    const [whole, ...more] = await messagesOf(listener);
    expect(more).toEqual([]);
    expect(whole).toMatchObject({ T: "o", S: "BTC/USD", r: true });
    await answer(listener, book);
    feed.advance(20 * SECOND);
    const types = (await messagesOf(listener)).map(({ r }) => r);
    expect(types.length).toBeGreaterThan(3);
    expect(types.slice(0, 2)).toEqual([true, undefined]);
    const { orderbooks } = await feed.get(
      `${CRYPTO}/latest/orderbooks?symbols=BTC/USD`,
    );
    expect(Object.keys(orderbooks["BTC/USD"])).toEqual(["t", "b", "a"]);
  });
});

describe("MessagePack", () => {
  const codec = new ExtensionCodec();
  codec.register({
    type: -1,
    encode: () => null,
    decode: (data) => ({ timestamp: Buffer.from(data).toString("hex") }),
  });
  /** Seconds and nanoseconds as the format writes them in eight bytes. */
  const stampOf = (text: string) => {
    const [seconds = "", fraction = ""] = text.replace("Z", "").split(".");
    const nanos = BigInt(fraction.padEnd(9, "0"));
    const whole = BigInt(Date.parse(`${seconds}Z`) / 1000);
    return nanos === 0n
      ? whole.toString(16).padStart(8, "0")
      : ((nanos << 34n) | whole).toString(16).padStart(16, "0");
  };
  const nextOf = async (listener: Listener): Promise<unknown> =>
    decode(await listener.nextBytes(), { extensionCodec: codec });

  test("is spoken with who asks for it at the upgrade: the same messages, the type first, times to the nanosecond", async () => {
    const feed = await open();
    const wanted = { trades: ["SPY"], quotes: ["SPY"], bars: ["SPY"] };
    const plain = await feed.enter("/v2/iex", BETA_AUTH);
    await answer(plain, { action: "subscribe", ...wanted });
    const packed = await feed.dial("/v2/iex", PACKED);
    expect(await nextOf(packed)).toEqual(CONNECTED);
    packed.send(encode(AUTH));
    expect(await nextOf(packed)).toEqual(AUTHENTICATED);
    packed.send(encode({ action: "subscribe", ...wanted }));
    expect(await nextOf(packed)).toMatchObject([wanted]);
    feed.advance(61 * SECOND);
    const messages = await messagesOf(plain);
    expect(new Set(messages.map(({ T }) => T))).toEqual(
      new Set(["t", "q", "b"]),
    );
    const same = await nextOf(packed);
    expect<unknown>(same).toEqual(
      messages.map((message) => ({
        ...message,
        t: { timestamp: stampOf(`${message["t"]}`) },
      })),
    );
    expect(
      Array.isArray(same) && same.map((each) => Object.keys(each)[0]),
    ).toEqual(messages.map(() => "T"));
    expect(new Set(packed.kinds)).toEqual(new Set(["binary"]));
  });

  test.each<[string, string | Uint8Array]>([
    ["text", JSON.stringify(AUTH)],
    ["JSON in a binary frame", new TextEncoder().encode(JSON.stringify(AUTH))],
    ["bytes that are none", new Uint8Array([0xc1])],
  ])("has to be spoken back: %s is 400", async (_, message) => {
    const listener = await (await open()).dial("/v2/iex", PACKED);
    await listener.nextBytes();
    listener.send(message);
    expect(await nextOf(listener)).toEqual(errorOf(400));
    listener.send(encode(AUTH));
    expect(await nextOf(listener)).toEqual(AUTHENTICATED);
  });
});

test("permessage-deflate is agreed to, and used", async () => {
  const { venue } = await open();
  const { port, host } = new URL(venue.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(
    [
      "GET /v2/iex HTTP/1.1",
      `Host: ${host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Extensions: permessage-deflate",
      "\r\n",
    ].join("\r\n"),
  );
  let received = Buffer.alloc(0);
  const { promise: framed, resolve } = Promise.withResolvers<Buffer>();
  socket.on("data", (data) => {
    received = Buffer.concat([received, Buffer.from(data)]);
    const head = received.indexOf("\r\n\r\n") + 4;
    const frame = received.subarray(head);
    if (head >= 4 && frame.length >= 2 && frame.length >= 2 + frame[1]!)
      resolve(frame);
  });
  const frame = await within(5 * SECOND, framed, "no frame came");
  socket.destroy();
  expect(received.toString("latin1")).toMatch(
    /sec-websocket-extensions: permessage-deflate/i,
  );
  // The last frame of a text, compressed.
  expect(frame[0]).toBe(0xc1);
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  expect(
    inflateRawSync(Buffer.concat([frame.subarray(2), tail]), {
      finishFlush: constants.Z_SYNC_FLUSH,
    }).toString(),
  ).toBe(JSON.stringify(CONNECTED));
});

test("a client that does not read is told 407 and cut, and its place is free at once", async () => {
  const feed = await open();
  const wanted = { trades: ["*"], quotes: ["*"] };
  const slow = new WebSocket(feed.venue.url.replace("http", "ws") + "/v2/iex", {
    perMessageDeflate: false,
    headers: keysOf(ALPHA),
  });
  const closed = new Promise((done) => slow.once("close", done));
  slow.on("error", () => undefined);
  let told = "";
  const hears = async (word: string) => {
    while (!told.includes(word)) await once(slow, "message");
  };
  slow.on("message", (data) => (told += String(data)));
  await hears("authenticated");
  slow.send(JSON.stringify({ action: "subscribe", ...wanted }));
  await hears("subscription");
  slow.pause();
  // Some thirty megabytes, which is more than what lies between can take.
  feed.venue.inject({ kind: "duplicate" });
  feed.advance(2.5 * HOUR);
  await feed.enter("/v2/iex");
  await Bun.sleep(1200);
  slow.resume();
  // It had no time to read on until the goodbye.
  expect(await within(5 * SECOND, closed, "not cut")).toBe(1006);
}, 20_000);

describe("an error out of the blue", () => {
  test.each(Object.keys(ERRORS).map(Number))(
    "%d comes with its words",
    async (code) => {
      const feed = await open();
      const listener = await feed.enter("/v2/iex");
      const other = await feed.enter("/v2/test");
      if (!isMarketErrorCode(code)) throw new Error(`no code: ${code}`);
      feed.venue.inject({ kind: "feed-error", code, account: "/v2/iex" });
      expect(await listener.next()).toEqual(errorOf(code));
      await other.pong();
      expect(other.waiting).toBe(0);
      if ([402, 404, 407, 500].includes(code)) await listener.closed;
      else await listener.pong();
    },
  );
});

describe("a feed under a fault", () => {
  /** Two frames of five seconds each: a word for each that comes. */
  async function wordsUnder(inject: (feed: Feed) => void): Promise<string[]> {
    const feed = await open();
    const listener = await feed.listen("/v2/iex", { quotes: ["SPY"] });
    inject(feed);
    feed.advance(5 * SECOND);
    feed.advance(5 * SECOND);
    await listener.pong();
    const words: string[] = [];
    while (listener.waiting > 0) words.push(wordFor(await listener.nextText()));
    return words;
  }

  function wordFor(text: string): string {
    try {
      const [{ T, t }] = JSON.parse(text);
      if (T !== "q") return String(T);
      return t < "2026-09-16T14:00:05" ? "one" : "two";
    } catch {
      return "unreadable";
    }
  }

  test.each<[Parameters<Feed["venue"]["inject"]>[0], string[]]>([
    [{ kind: "mute" }, []],
    [{ kind: "mute", account: CRYPTO }, ["one", "two"]],
    [{ kind: "mute", account: ALPHA.name }, ["one", "two"]],
    [{ kind: "lose", count: 1 }, ["two"]],
    [{ kind: "duplicate", account: "/v2/iex" }, ["one", "one", "two", "two"]],
    [{ kind: "reorder" }, ["two", "one"]],
    [{ kind: "malformed", count: 1 }, ["unreadable", "two"]],
    [{ kind: "unknown-event", count: 1 }, ["reconsidered", "one", "two"]],
    [{ kind: "delay", byMs: 60_000, count: 1 }, ["two"]],
  ])("%j", async (fault, words) => {
    expect(await wordsUnder((feed) => feed.venue.inject(fault))).toEqual(words);
  });

  test("is late by as much as it says", async () => {
    const feed = await open();
    const listener = await feed.listen("/v2/iex", { quotes: ["SPY"] });
    feed.venue.inject({ kind: "delay", byMs: 60 });
    const startedMs = performance.now();
    feed.advance(5 * SECOND);
    await listener.next();
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(55);
  });

  test("does not answer, refuses right keys, and leaves trades out, as often as it is told to", async () => {
    const feed = await open();
    const listener = await feed.dial("/v2/iex");
    await listener.next();
    feed.venue.inject({ kind: "no-answer", count: 1, account: "/v2/iex" });
    listener.send(AUTH);
    await listener.pong();
    expect(listener.waiting).toBe(0);
    expect(await answer(listener, AUTH)).toEqual(AUTHENTICATED);
    feed.venue.inject({ kind: "partial-grant", count: 1, account: "/v2/iex" });
    const wanted = { action: "subscribe", trades: ["A"], bars: ["A"] };
    expect(await answer(listener, wanted)).toMatchObject([
      { trades: [], bars: ["A"], corrections: [] },
    ]);
    expect(await answer(listener, wanted)).toMatchObject([
      { trades: ["A"], bars: ["A"], corrections: ["A"] },
    ]);
    for (const account of ["/v2/test", ALPHA.name]) {
      feed.venue.inject({ kind: "auth-refused", count: 1, account });
      await expect(feed.enter("/v2/test")).rejects.toThrow("auth failed");
    }
    await feed.enter("/v2/test");
  });

  test.each([
    [{ kind: "upgrade-429", count: 1, account: "/v2/iex" }, 429],
    [{ kind: "upgrade-406", count: 1, account: "/v2/iex" }, 406],
  ] as const)("is refused at the door: %j", async (fault, status) => {
    const feed = await open();
    feed.venue.inject(fault);
    await feed.dial("/v2/test");
    expect((await fetch(`${feed.venue.url}/v2/iex`)).status).toBe(status);
    await feed.dial("/v2/iex");
    feed.venue.inject(fault);
    await expect(feed.dial("/v2/iex")).rejects.toThrow();
  });

  test("is cut, alone", async () => {
    const feed = await open();
    const [stocks, coins] = [
      await feed.enter("/v2/iex"),
      await feed.enter(CRYPTO),
    ];
    feed.venue.inject({ kind: "drop", account: CRYPTO });
    expect(await coins.closed).toBe(1006);
    await stocks.pong();
  });

  test.each<[Parameters<Feed["venue"]["inject"]>[0], string]>([
    [
      { kind: "data-null", account: "/v2/iex" },
      "fault data-null: it does not strike streams of market data",
    ],
    [
      { kind: "feed-error", code: 500, account: ALPHA.name },
      "fault feed-error: it strikes streams of market data, not an account",
    ],
    [{ kind: "mute", account: "/v2/eix" }, "there is no account /v2/eix"],
  ])("that could never strike is refused: %j", async (fault, reason) => {
    const { venue } = await open();
    expect(() => venue.inject(fault)).toThrow(reason);
  });
});

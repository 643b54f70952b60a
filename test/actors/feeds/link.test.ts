import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor, setup } from "xstate";
import { createFeedLink, type LinkEvent } from "../../../actors/feeds/link.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { NOW } from "../../support/accountScript.ts";
import {
  AUTHENTICATED,
  barOf,
  CONNECTED,
  errorOf,
  factsInShort,
  type FeedScript,
  feedScript,
  feedVenue,
  peer,
  type PeerSettings,
  tradeOf,
} from "../../support/feedScript.ts";
import { elapse, fakeTime, settled } from "../accounts/stage.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** A link under a parent that writes down what it is told, and changes nothing. */
function startLink(script: FeedScript) {
  const told: LinkEvent[] = [];
  const errors: unknown[] = [];
  const types: readonly LinkEvent["type"][] = [
    "opened",
    "welcomed",
    "authorized",
    "subscribed",
    "slotTaken",
    "refused",
    "closed",
  ];
  const note = { actions: "note" } as const;
  const parent = setup({
    types: { events: {} as LinkEvent },
    actors: { link: createFeedLink(script.network.dial) },
    actions: { note: ({ event }) => void told.push(event) },
  }).createMachine({
    invoke: { src: "link", input: script.run },
    on: Object.fromEntries(types.map((type) => [type, note])),
  });
  const actor = createActor(parent);
  actor.subscribe({ error: (error) => errors.push(error) });
  actor.start();
  return { actor, told, errors, socket: script.network.last };
}

/** A link whose first request was answered, and nothing told of the way there. */
async function streamingLink(script: FeedScript, settings: PeerSettings = {}) {
  script.network.peer = peer(settings);
  const link = startLink(script);
  await settled();
  expect(link.told.at(-1)?.type).toBe("subscribed");
  link.told.length = 0;
  link.socket.sent.length = 0;
  return link;
}

test("what the machine is told of the handshake, and where it is dialled", () => {
  const script = feedScript();
  const { actor, told, socket } = startLink(script);
  socket.opens().says(CONNECTED).says(AUTHENTICATED);
  jest.advanceTimersByTime(3 * SECOND);
  socket.says({ T: "subscription", bars: ["AAPL"], trades: ["SPY"] });
  expect(told).toEqual([
    { type: "opened" },
    { type: "welcomed" },
    { type: "authorized" },
    { type: "subscribed", sinceMs: NOW + 3 * SECOND },
  ]);
  expect(script.network.addresses).toEqual([["ws://venue.test/v2/iex", {}]]);
  actor.stop();
});

test("headers of the venue go with the dial", () => {
  const headers = { "Content-Type": "application/msgpack" };
  const script = feedScript({ venue: feedVenue({ headers }) });
  const { actor } = startLink(script);
  expect(script.network.addresses).toEqual([
    ["ws://venue.test/v2/iex", { headers }],
  ]);
  actor.stop();
});

test("who is told that he is authenticated already (403) is, and once is enough", async () => {
  const script = feedScript();
  const { actor, told, socket } = startLink(script);
  socket.opens().says(CONNECTED, errorOf(403)).says(errorOf(403));
  expect(told.map(({ type }) => type)).toEqual([
    "opened",
    "welcomed",
    "authorized",
  ]);
  expect(socket.sent.map(({ action }) => action)).toEqual([
    "auth",
    "subscribe",
  ]);
  // The request is still waited for.
  await elapse(10 * SECOND);
  expect(told.at(-1)).toEqual({
    type: "closed",
    reason: "a request was not answered",
  });
  actor.stop();
});

test("a slot that the venue gives of its own accord is not asked for again", async () => {
  const { actor, socket } = startLink(feedScript());
  socket.opens().says(CONNECTED).says(errorOf(406)).says(AUTHENTICATED);
  await elapse(5 * SECOND);
  expect(socket.sent.map(({ action }) => action)).toEqual([
    "auth",
    "subscribe",
  ]);
  actor.stop();
});

describe("subscriptions", () => {
  const AAPL = { bars: ["AAPL"], trades: ["AAPL"] };

  test("that change while it streams go out as increments: what goes first, then what comes", async () => {
    const script = feedScript({ wants: AAPL });
    const { actor, socket, told } = await streamingLink(script);
    script.want({ bars: ["AAPL", "SPY"], trades: ["SPY"] });
    await settled();
    expect(socket.sent).toEqual([
      { action: "unsubscribe", trades: ["AAPL"] },
      { action: "subscribe", bars: ["SPY"], trades: ["SPY"] },
    ]);
    expect(script.run.board).toMatchObject({ granted: 3, notGranted: [] });
    expect(told.map(({ type }) => type)).toEqual(["subscribed"]);
    actor.stop();
  });

  test("that change while a request is under way go out when it is answered", async () => {
    const script = feedScript({ wants: AAPL });
    const { actor, socket, told } = startLink(script);
    socket.opens().says(CONNECTED, AUTHENTICATED);
    socket.sent.length = 0;
    script.want({ bars: ["SPY"] });
    script.want({ bars: ["QQQ"] });
    await settled();
    expect(socket.sent).toEqual([]);
    expect(told.at(-1)?.type).toBe("authorized");
    socket.says({ T: "subscription", bars: ["AAPL"], trades: ["AAPL"] });
    socket.says({ T: "subscription", bars: [], trades: [] });
    expect(socket.sent).toEqual([
      { action: "unsubscribe", bars: ["AAPL"], trades: ["AAPL"] },
      { action: "subscribe", bars: ["QQQ"] },
    ]);
    actor.stop();
  });

  test("that do not change are not sent again", async () => {
    const script = feedScript({ wants: AAPL });
    const { actor, socket } = await streamingLink(script);
    for (let time = 0; time < 3; time++) {
      script.want({ bars: ["AAPL"], trades: ["AAPL"] });
      await settled();
    }
    expect(socket.sent).toEqual([]);
    actor.stop();
  });

  test("ten thousand of them are asked for in chunks, each once, and then it streams", async () => {
    const symbols = Array.from({ length: 10_000 }, (_, index) => `S${index}`);
    const script = feedScript({ wants: { bars: symbols, trades: symbols } });
    script.network.peer = peer();
    const { actor, told, socket } = startLink(script);
    await settled();
    expect(told.at(-1)?.type).toBe("subscribed");
    const requests = socket.sent.slice(1);
    expect(requests).toHaveLength(20_000 / 400);
    for (const channel of ["bars", "trades"])
      expect(requests.flatMap((request) => request[channel])).toEqual(symbols);
    expect(script.run.board).toMatchObject({ granted: 20_000, notGranted: [] });
    actor.stop();
  });

  test("acknowledged in part are reported, and not asked for again on this connection", async () => {
    const script = feedScript();
    const { actor, socket } = await streamingLink(script, {
      withheld: ["trades SPY"],
    });
    script.want({ bars: ["AAPL", "SPY", "QQQ"], trades: ["AAPL", "SPY"] });
    await settled();
    expect(socket.sent).toEqual([{ action: "subscribe", bars: ["QQQ"] }]);
    expect(script.run.board).toMatchObject({
      granted: 4,
      notGranted: [{ channel: "trades", symbol: "SPY", reason: "not granted" }],
    });
    actor.stop();
  });

  test("of a symbol that the venue calls invalid (400) cost its neighbours nothing", async () => {
    const symbols = ["A", "B", "C", "D", "NOPE", "E", "F"];
    const script = feedScript({ wants: { bars: symbols } });
    const { actor } = await streamingLink(script, { unknown: ["NOPE"] });
    expect(script.run.board).toMatchObject({
      granted: 6,
      notGranted: [{ channel: "bars", symbol: "NOPE", reason: "request" }],
    });
    actor.stop();
  });

  test("beyond the plan's number (405) are reported, and asked for when there is room again", async () => {
    const wants = { trades: ["A", "B", "C", "D"] };
    const script = feedScript({ wants });
    const { actor, socket } = await streamingLink(script, { symbolsMax: 2 });
    const notGranted = ["C", "D"].map((symbol) => ({
      channel: "trades",
      symbol,
      reason: "limit",
    }));
    expect(script.run.board).toMatchObject({ granted: 2, notGranted });
    script.want({ trades: ["A", "B", "C", "D", "E"] });
    await settled();
    expect(socket.sent).toEqual([]);
    script.want({ trades: ["A", "C"] });
    await settled();
    expect(socket.sent).toEqual([
      { action: "unsubscribe", trades: ["B"] },
      { action: "subscribe", trades: ["C"] },
    ]);
    expect(script.run.board).toMatchObject({ granted: 2, notGranted: [] });
    actor.stop();
  });

  test.each([405, 400, 410] as const)(
    "a refusal (%d) that answers nothing is a word about the connection",
    async (code) => {
      const { actor, told, socket } = await streamingLink(feedScript());
      socket.says(errorOf(code));
      expect(told).toEqual([
        { type: "closed", reason: `${code} ${errorOf(code)["msg"]}` },
      ]);
      actor.stop();
    },
  );

  test("a request that nobody answers within 10 s ends the link, also one in the middle of the stream", async () => {
    const script = feedScript({ wants: AAPL });
    const { actor, told } = await streamingLink(script, {
      answers: ({ bars }) => !Bun.deepEquals(bars, ["SPY"]),
    });
    await elapse(MINUTE);
    script.want({ bars: ["AAPL", "SPY"], trades: ["AAPL"] });
    await elapse(10 * SECOND - 1);
    expect(told).toEqual([]);
    await elapse(1);
    expect(told).toEqual([
      { type: "closed", reason: "a request was not answered" },
    ]);
    actor.stop();
  });

  test("are none once the link has ended", async () => {
    const script = feedScript();
    const { actor, socket } = await streamingLink(script);
    actor.stop();
    expect(script.run.board.granted).toBe(0);
    script.want({ bars: ["QQQ"] });
    await settled();
    expect(socket.sent).toEqual([]);
  });
});

describe("a frame", () => {
  test("of several messages and types is handed on whole, in order, with the time it came", async () => {
    const script = feedScript();
    const { actor, told, socket } = await streamingLink(script);
    jest.advanceTimersByTime(SECOND);
    socket.says(
      tradeOf("AAPL"),
      barOf("SPY", NOW),
      {
        T: "q",
        S: "SPY",
        bp: 1,
        ap: 2,
        bs: 1,
        as: 1,
        t: "2026-09-16T14:00:00Z",
      },
      { T: "o", S: "SPY", b: [], a: [], t: "2026-09-16T14:00:00Z" },
    );
    expect(
      script.delivered.map(({ kind, symbol, receivedAtMs }) => [
        kind,
        symbol,
        receivedAtMs - NOW,
      ]),
    ).toEqual([
      ["trade", "AAPL", SECOND],
      ["bar", "SPY", SECOND],
      ["quote", "SPY", SECOND],
      ["orderbook", "SPY", SECOND],
    ]);
    expect(script.run.board).toMatchObject({
      messages: 4,
      lastMessageMs: NOW + SECOND,
    });
    expect(told).toEqual([]);
    actor.stop();
  });

  test("that can not be read is set aside whole, and its neighbours are handed on", async () => {
    const script = feedScript();
    const { actor, told, socket } = await streamingLink(script);
    socket
      .says('[{"T":"t","S":"AAPL"')
      .says('{"T":"t"}')
      .says({ T: "t", S: "AAPL", p: "much" }, tradeOf("SPY"));
    expect(script.setAside).toHaveLength(3);
    expect(script.setAside[0]).toEndWith(': [{"T":"t","S":"AAPL"');
    expect(script.setAside[2]).toEndWith(': {"T":"t","S":"AAPL","p":"much"}');
    expect(script.delivered.map(({ symbol }) => symbol)).toEqual(["SPY"]);
    expect(told).toEqual([]);
    actor.stop();
  });

  test("that is no news leaves the board as it is", async () => {
    const script = feedScript();
    const { actor, socket } = await streamingLink(script);
    socket.says("[]").says(CONNECTED);
    expect(script.run.board).toMatchObject({
      messages: 0,
      lastMessageMs: undefined,
    });
    actor.stop();
  });
});

describe("minutes of bars", () => {
  const facts = ({ queue }: FeedScript) => factsInShort(queue.takeUpTo(100));
  const wants = { bars: ["AAPL"], trades: ["SPY"] };

  test("are claimed as live by pongs alone, up to the last minute that was over 5 s before the ping", async () => {
    const script = feedScript({ wants });
    const { actor, socket } = await streamingLink(script);
    jest.advanceTimersByTime(3 * MINUTE);
    socket.says(barOf("AAPL", NOW), barOf("AAPL", NOW + MINUTE));
    expect(facts(script)).toEqual([]);
    for (const sentAtS of [20, 64, 65, 100, 185]) {
      socket.pongs(NOW + sentAtS * SECOND);
      script.queue.offer({
        kind: "malformed",
        feed: "",
        raw: "",
        reason: `${sentAtS}`,
        receivedAtMs: 0,
      });
    }
    const told = script.queue
      .takeUpTo(100)
      .map((record) =>
        record.kind === "malformed"
          ? record.reason
          : factsInShort([record]).join(),
      );
    expect(told).toEqual([
      "20",
      "64",
      "AAPL live 14:00:00..14:01:00",
      "65",
      "100",
      "AAPL live 14:01:00..14:03:00",
      "185",
    ]);
    actor.stop();
  });

  test("of a symbol that came later are claimed from its own first minute, of one that went no more", async () => {
    const script = feedScript({ wants });
    const { actor, socket } = await streamingLink(script);
    jest.advanceTimersByTime(90 * SECOND);
    script.want({ bars: ["AAPL", "QQQ"] });
    await settled();
    socket.pongs(NOW + 125 * SECOND);
    expect(facts(script)).toEqual([
      "AAPL live 14:00:00..14:02:00",
      "QQQ live 14:01:00..14:02:00",
    ]);
    script.want({ bars: ["QQQ"] });
    await settled();
    socket.pongs(NOW + 190 * SECOND);
    expect(facts(script)).toEqual(["QQQ live 14:02:00..14:03:00"]);
    actor.stop();
  });

  test("that are not granted are not claimed", async () => {
    const script = feedScript({ wants: { bars: ["AAPL", "SPY"] } });
    const { actor, socket } = await streamingLink(script, {
      withheld: ["bars SPY"],
    });
    socket.pongs(NOW + 65 * SECOND);
    expect(facts(script)).toEqual(["AAPL live 14:00:00..14:01:00"]);
    actor.stop();
  });

  test("before the first request was answered are not claimed", () => {
    const script = feedScript();
    const { actor, socket } = startLink(script);
    socket
      .opens()
      .says(CONNECTED, AUTHENTICATED)
      .pongs(NOW + 5 * MINUTE);
    expect(facts(script)).toEqual([]);
    actor.stop();
  });

  test("of another connection are another session", async () => {
    const script = feedScript({ wants });
    for (let connection = 0; connection < 2; connection++) {
      const { actor, socket } = await streamingLink(script);
      socket.pongs(Date.now() + 65 * SECOND);
      actor.stop();
      jest.advanceTimersByTime(2 * MINUTE);
    }
    const sessions = script.queue
      .takeUpTo(100)
      .map((record) => (record.kind === "fact" ? record.session : ""));
    expect(sessions).toEqual([
      `session-1/stock/${NOW}`,
      `session-1/stock/${NOW + 2 * MINUTE}`,
    ]);
  });
});

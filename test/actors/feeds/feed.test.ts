import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { DialSchedule } from "../../../src/flow/dials.ts";
import type { MarketErrorCode } from "../../../src/venues/simulated/market/language.ts";
import {
  AUTHENTICATED,
  barOf,
  BROKEN,
  CONNECTED,
  errorOf,
  factsInShort,
  type FeedScript,
  feedScript,
  type FeedSocket,
  feedVenue,
  peer,
  tradeOf,
} from "../../support/feedScript.ts";
import { elapse, fakeTime, seconds, settled } from "../accounts/stage.ts";
import { elapseAlive, type FeedActor, shown, startFeed } from "./stage.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

type Plays = (socket: FeedSocket) => void;

const AUTH = { action: "auth", key: "key", secret: "secret" };
const SUBSCRIBE = {
  action: "subscribe",
  bars: ["AAPL", "SPY"],
  trades: ["AAPL", "SPY"],
};
const GRANTED = { T: "subscription", bars: ["AAPL", "SPY"], trades: ["AAPL", "SPY"] };

/** Welcomes, hears the credentials, and answers with this error. */
const answersAuth = (code: MarketErrorCode) =>
  peer({ onAuth: () => errorOf(code) });

/** A feed that streams at once, unless the script's network was told otherwise. */
async function streaming(
  settings: Parameters<typeof feedScript>[0] = {},
): Promise<{ script: FeedScript; actor: FeedActor }> {
  const script = feedScript(settings);
  script.network.peer = peer();
  const actor = startFeed(script);
  await settled();
  return { script, actor };
}

describe("the handshake", () => {
  test("goes from step to step, each with its answer, and ends streaming", async () => {
    const script = feedScript();
    const feed = startFeed(script);
    await settled();
    const socket = script.network.last;
    socket.opens();
    expect(socket.sent).toEqual([]);
    socket.says(CONNECTED);
    expect(socket.sent).toEqual([AUTH]);
    socket.says(AUTHENTICATED);
    expect(socket.sent).toEqual([AUTH, SUBSCRIBE]);
    expect(script.run.listening.raised).toBe(0);
    socket.says(GRANTED);
    expect(feed.states).toEqual([
      "waiting",
      "linked.connecting",
      "linked.greeting",
      "linked.authenticating",
      "linked.subscribing",
      "linked.streaming",
    ]);
    expect(script.run.listening.raised).toBe(1);
    expect(script.network.log).toEqual(["0 dial"]);
    expect(shown(feed)).toEqual({
      state: "linked.streaming",
      dials: 1,
      verdict: {
        verdict: "live",
        reason: "the feed has just begun to stream",
      },
    });
    feed.actor.stop();
  });

  test.each<[step: string, plays: Plays, reason: string]>([
    ["connecting", () => {}, "the venue did not answer within 10 s"],
    [
      "greeting",
      (socket) => socket.opens(),
      "the venue did not answer within 10 s",
    ],
    [
      "authenticating",
      peer({ onAuth: () => undefined }),
      "the venue did not answer within 10 s",
    ],
    [
      "subscribing",
      peer({ answers: () => false }),
      "a request was not answered",
    ],
  ])(
    "is given up when the peer leaves it %s for 10 s, and begun again after the backoff",
    async (step, plays, reason) => {
      const script = feedScript();
      script.network.peer = plays;
      const feed = startFeed(script);
      await elapse(10 * SECOND - 1);
      expect(shown(feed)).toEqual({ state: `linked.${step}`, dials: 1 });
      await elapse(1);
      expect(shown(feed)).toEqual({
        state: "waiting",
        dials: 1,
        reason,
        verdict: { verdict: "dead", reason },
      });
      script.network.peer = peer();
      await elapse(SECOND);
      expect(script.network.log).toEqual(["0 dial", "10 hang up", "11 dial"]);
      expect(shown(feed)).toEqual({
        state: "linked.streaming",
        dials: 2,
        verdict: { verdict: "live", reason: expect.any(String) },
      });
      feed.actor.stop();
    },
  );

  test("each step has its own 10 s", async () => {
    const script = feedScript();
    const feed = startFeed(script);
    await settled();
    const { last: socket } = script.network;
    for (const step of [
      () => socket.opens(),
      () => socket.says(CONNECTED),
      () => socket.says(AUTHENTICATED),
      () => socket.says(GRANTED),
    ]) {
      await elapse(9 * SECOND);
      step();
    }
    expect(shown(feed)["state"]).toBe("linked.streaming");
    expect(script.network.log).toEqual(["0 dial"]);
    feed.actor.stop();
  });

  test("of a feed that is wanted for nothing ends streaming, and nothing is asked for", async () => {
    const { script, actor } = await streaming({ wants: { bars: [] } });
    expect(shown(actor)["state"]).toBe("linked.streaming");
    expect(script.network.last.sent).toEqual([AUTH]);
    actor.actor.stop();
  });

  test.each<MarketErrorCode>([400, 401, 404, 410, 500])(
    "that is answered with %d ends, and is begun again after the backoff",
    async (code) => {
      const script = feedScript();
      script.network.peer = answersAuth(code);
      const feed = startFeed(script);
      await elapse(500);
      const { reason } = shown(feed);
      expect(reason).toStartWith(`${code} `);
      expect(shown(feed)).toEqual({
        state: "waiting",
        dials: 1,
        reason,
        verdict: { verdict: "dead", reason },
      });
      await elapse(2500);
      expect(script.network.log).toEqual([
        "0 dial",
        "0 hang up",
        "1 dial",
        "1 hang up",
        "3 dial",
        "3 hang up",
      ]);
      feed.actor.stop();
    },
  );
});

describe("a live link", () => {
  test.each<[end: string, ends: Plays, reason: string]>([
    [
      "the venue closes it",
      (socket) => socket.cuts({ code: 1011, reason: "bye" }),
      "closed with 1011: bye",
    ],
    [
      "the connection breaks",
      (socket) => socket.cuts({ code: 1006, reason: "" }),
      "closed with 1006",
    ],
    [
      "the client is too slow (407)",
      (socket) => socket.says(errorOf(407)),
      "407 slow client",
    ],
    [
      "the venue has an error of its own (500)",
      (socket) => socket.says(errorOf(500)),
      "500 internal error",
    ],
  ])(
    "is dead when %s; it comes back with all its symbols, and the healer is called",
    async (_end, ends, reason) => {
      const { script, actor } = await streaming();
      await elapse(5 * SECOND);
      ends(script.network.last);
      expect(shown(actor)).toEqual({
        state: "waiting",
        dials: 1,
        reason,
        verdict: { verdict: "dead", reason },
      });
      await elapse(SECOND);
      expect(script.network.dials).toEqual([0, 6]);
      expect(script.network.last.sent).toEqual([AUTH, SUBSCRIBE]);
      expect(shown(actor)["state"]).toBe("linked.streaming");
      expect(script.run.listening.raised).toBe(2);
      actor.actor.stop();
    },
  );

  test("outlives frames that can not be read; each is set aside whole", async () => {
    const { script, actor } = await streaming();
    const { last: socket } = script.network;
    socket.says("{").says(tradeOf("AAPL"), { T: "t", S: "SPY" }).says("[7]");
    await elapse(SECOND);
    expect(script.setAside).toEqual([
      expect.stringMatching(/^.+: \{$/),
      expect.stringMatching(/^.+: \{"T":"t","S":"SPY"\}$/),
      expect.stringMatching(/^.+: 7$/),
    ]);
    expect(script.delivered.map(({ symbol }) => symbol)).toEqual(["AAPL"]);
    expect(shown(actor)["state"]).toBe("linked.streaming");
    expect(script.network.log).toEqual(["0 dial"]);
    actor.actor.stop();
  });

  test("says so when the plan's number of symbols is reached (405), and streams the others", async () => {
    const script = feedScript({
      wants: { trades: ["AAPL", "MSFT", "NVDA", "QQQ", "SPY"] },
    });
    script.network.peer = peer({ symbolsMax: 3 });
    const feed = startFeed(script);
    await elapse(MINUTE);
    expect(shown(feed)["state"]).toBe("linked.streaming");
    expect(script.network.log).toEqual(["0 dial"]);
    expect(script.run.board).toMatchObject({
      granted: 3,
      notGranted: [
        { channel: "trades", symbol: "QQQ", reason: "limit" },
        { channel: "trades", symbol: "SPY", reason: "limit" },
      ],
    });
    feed.actor.stop();
  });

  test("of a quiet feed is left alone: hours of silence, one dial, and the verdict says quiet", async () => {
    const { script, actor } = await streaming();
    await elapseAlive(script, 3 * HOUR);
    expect(script.network.log).toEqual(["0 dial"]);
    expect(shown(actor)).toEqual({
      state: "linked.streaming",
      dials: 1,
      verdict: {
        verdict: "quiet",
        reason: expect.stringMatching(
          /^silent for 10\d{3} s; REST shows nothing missing \d\d? s ago$/,
        ),
      },
    });
    expect(script.run.healingWanted.raised).toBe(0);
    // A quiet feed costs a question a minute.
    expect(script.history.requests.length).toBeLessThanOrEqual(180);
    actor.actor.stop();
  });

  test("whose data can not be asked for by REST is never called deaf", async () => {
    const { script, actor } = await streaming({ history: undefined });
    await elapseAlive(script, HOUR);
    expect(script.network.log).toEqual(["0 dial"]);
    expect(shown(actor)["verdict"]).toEqual({
      verdict: "quiet",
      reason: "silent for 3600 s; REST was not asked",
    });
    actor.actor.stop();
  });

  test("in a closed market is closed, and REST is hardly asked", async () => {
    const venue = feedVenue({ isOpen: () => false });
    const { script, actor } = await streaming({ venue });
    await elapseAlive(script, HOUR);
    expect(script.network.log).toEqual(["0 dial"]);
    expect(shown(actor)["verdict"]).toEqual({
      verdict: "closed",
      reason: expect.stringMatching(
        /^no session is open; REST shows nothing missing \d+ s ago$/,
      ),
    });
    expect(script.history.requests.length).toBeLessThanOrEqual(6);
    actor.actor.stop();
  });
});

describe("a mute link that answers pings", () => {
  /** Streams until it falls silent at 14:10:07; from then on only REST shows the trades, one every 20 s. */
  async function muted(settings: Parameters<typeof feedScript>[0] = {}) {
    const { script, actor } = await streaming(settings);
    const { history, network } = script;
    await elapseAlive(script, 10 * MINUTE + 7 * SECOND, () => {
      if (Date.now() % 20_000 !== 7_000) return;
      history.trades.set("AAPL", Date.now());
      network.last.says(tradeOf("AAPL"));
      const minute = Math.floor(Date.now() / MINUTE) * MINUTE - MINUTE;
      if (Date.now() % MINUTE === 7_000)
        network.last.says(barOf("AAPL", minute), barOf("SPY", minute));
    });
    expect(actor.states.at(-1)).toBe("linked.streaming");
    let foundMs = 0;
    await elapseAlive(script, 2 * MINUTE, () => {
      if (Date.now() % 20_000 === 7_000 && foundMs === 0)
        history.trades.set("AAPL", Date.now());
      if (foundMs === 0 && actor.states.includes("deaf")) foundMs = seconds();
    });
    return { script, actor, foundAfter: foundMs - 607 };
  }

  test.each([
    ["with trades", {}],
    ["with bars alone", { wants: { bars: ["AAPL", "SPY"] } }],
  ])(
    "%s is found deaf within 120 s, dialled again, and the healer is called",
    async (_what, settings) => {
      const { script, actor, foundAfter } = await muted(settings);
      expect(foundAfter).toBeGreaterThan(0);
      expect(foundAfter).toBeLessThan(120);
      expect(script.run.healingWanted.raised).toBe(1);
      expect(script.network.open).toBe(1);
      expect(script.network.dials).toHaveLength(2);
      expect(actor.states.slice(actor.states.indexOf("deaf"))).toEqual([
        "deaf",
        "waiting",
        "linked.connecting",
        "linked.greeting",
        "linked.authenticating",
        "linked.subscribing",
        "linked.streaming",
      ]);
      expect(script.run.listening.raised).toBe(2);
      actor.actor.stop();
    },
  );

  test("takes back its claims from the last minute that it told whole", async () => {
    const { script, actor, foundAfter } = await muted();
    const deaf = script.store.facts.filter(({ state }) => state === "deaf");
    const found = new Date(Date.parse("2026-09-16T14:10:07Z") + foundAfter * SECOND)
      .toISOString()
      .slice(11, 19);
    // The last message came at 14:10:07, so the bar of 14:09 was told, and that of 14:10 was not.
    expect(factsInShort(deaf)).toEqual([
      `AAPL deaf 14:10:00..${found}`,
      `SPY deaf 14:10:00..${found}`,
    ]);
    const known = await script.store.knownMinutes(["AAPL"], new Date(0));
    expect(known.get("AAPL")?.[0]?.to).toBe(Date.parse("2026-09-16T14:10:00Z"));
    actor.actor.stop();
  });

  test("is not believed while REST is away, and left alone", async () => {
    const { script, actor } = await streaming();
    script.history.interrupt = () => {
      throw unavailable();
    };
    await elapseAlive(script, 30 * MINUTE);
    expect(script.network.log).toEqual(["0 dial"]);
    expect(shown(actor)["verdict"]).toEqual({
      verdict: "quiet",
      reason: "silent for 1800 s; REST was not asked",
    });
    actor.actor.stop();
  });

  test("on one symbol alone takes back that symbol's claims since it was last heard", async () => {
    const { script, actor } = await streaming();
    const { history, network } = script;
    const tell = (symbol: string) => {
      history.trades.set(symbol, Date.now());
      network.last.says(tradeOf(symbol));
    };
    await elapseAlive(script, 20 * MINUTE, () => {
      tell("AAPL");
      tell("SPY");
    });
    // From 14:20:00 on SPY is told no more, and AAPL as before.
    await elapseAlive(script, 2 * MINUTE, () => {
      if (!actor.states.includes("deaf")) tell("AAPL");
      history.trades.set("SPY", Date.now());
    });
    expect(actor.states).toContain("deaf");
    const known = await script.store.knownMinutes(["SPY"], new Date(0));
    expect(known.get("SPY")?.[0]?.to).toBeLessThanOrEqual(
      Date.parse("2026-09-16T14:20:00Z"),
    );
    actor.actor.stop();
  });
});

import { VenueError } from "../../../src/errors.ts";
const unavailable = () => new VenueError("away", { failure: "unavailable" });

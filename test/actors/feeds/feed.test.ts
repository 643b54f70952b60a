import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { VenueError } from "../../../src/errors.ts";
import { DialSchedule } from "../../../src/flow/dials.ts";
import type { MarketErrorCode } from "../../../src/venues/simulated/market/language.ts";
import {
  AUTHENTICATED,
  barOf,
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
import { elapse, fakeTime, settled } from "../accounts/stage.ts";
import { elapseAlive, type FeedActor, shown, startFeed } from "./stage.ts";
import { BROKEN, seconds } from "../../support/network.ts";

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
const GRANTED = {
  T: "subscription",
  bars: ["AAPL", "SPY"],
  trades: ["AAPL", "SPY"],
};

/** Welcomes, hears the credentials, and answers with this error. */
const answersAuth = (code: MarketErrorCode) =>
  peer({ onAuth: () => errorOf(code) });

/** The handshake is over, and no time has passed. */
async function soon(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

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
        reason: "message or link 0 s ago",
      },
    });
    feed.actor.stop();
  });

  test.each<[step: string, plays: Plays, reason: string]>([
    ["connecting", () => {}, "the venue did not answer in time"],
    [
      "greeting",
      (socket) => socket.opens(),
      "the venue did not answer in time",
    ],
    [
      "authenticating",
      peer({ onAuth: () => undefined }),
      "the venue did not answer in time",
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

test("what stands behind the end of a link in the same frame is for nobody", async () => {
  const script = feedScript();
  const feed = startFeed(script);
  await settled();
  const { last: socket } = script.network;
  socket.opens().says(CONNECTED, errorOf(500), AUTHENTICATED);
  expect(shown(feed)["state"]).toBe("waiting");
  expect(socket.sent).toEqual([AUTH]);
  // Of the next dial.
  expect(jest.getTimerCount()).toBe(1);
  feed.actor.stop();
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
    const found = new Date(
      Date.parse("2026-09-16T14:10:07Z") + foundAfter * SECOND,
    )
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
      throw new VenueError("away", { failure: "unavailable" });
    };
    await elapseAlive(script, 30 * MINUTE);
    expect(script.network.log).toEqual(["0 dial"]);
    expect(shown(actor)["verdict"]).toEqual({
      verdict: "quiet",
      reason: "silent for 1800 s; REST was not asked",
    });
    actor.actor.stop();
  });

  test("on one symbol alone takes back claims since that symbol was last told, whatever came of others", async () => {
    const { script, actor } = await streaming();
    const { history, network } = script;
    const trade = (...symbols: readonly string[]) => {
      if (Date.now() % 4_000 !== 0) return;
      for (const symbol of symbols) history.trades.set(symbol, Date.now());
      network.last.says(...symbols.map((symbol) => tradeOf(symbol)));
    };
    await elapseAlive(script, 20 * MINUTE, () => trade("AAPL", "SPY"));
    await elapseAlive(script, 5 * MINUTE, () => {
      if (actor.states.includes("deaf")) return;
      trade("AAPL");
      history.trades.set("SPY", Date.now());
    });
    expect(actor.states).toContain("deaf");
    const known = await script.store.knownMinutes(["SPY"], new Date(0));
    // Told at 14:20:00 for the last time, when the bar of 14:19 may not have come.
    expect(known.get("SPY")?.[0]?.to).toBe(Date.parse("2026-09-16T14:19:00Z"));
    actor.actor.stop();
  });
});

describe("a deaf feed", () => {
  /** Deaf, with a queue that has no room for the revocation. */
  async function deafAndFull() {
    const { script, actor } = await streaming({ queueLengthMax: 4 });
    await becomeDeafAndFull(script);
    return { script, actor };
  }

  test("waits with its next dial until the revocation is in the queue", async () => {
    const { script, actor } = await deafAndFull();
    await elapse(10 * MINUTE, SECOND);
    expect(shown(actor)["state"]).toBe("deaf");
    expect(script.network.open).toBe(0);
    expect(script.run.healingWanted.raised).toBe(0);
    script.queue.takeUpTo(4);
    await elapse(SECOND);
    expect(factsInShort(script.queue.takeUpTo(4))).toEqual([
      expect.stringMatching(/^AAPL deaf 13:59:00\.\./),
      expect.stringMatching(/^SPY deaf 13:59:00\.\./),
    ]);
    expect(script.run.healingWanted.raised).toBe(1);
    expect(shown(actor)["state"]).toBe("linked.streaming");
    actor.actor.stop();
  });

  test("shows why until it has dialled again", async () => {
    const { script, actor } = await deafAndFull();
    expect(shown(actor)).toEqual({
      state: "deaf",
      dials: 1,
      verdict: {
        verdict: "deaf",
        reason:
          "REST shows trades of 1 symbols that the feed never delivered, first AAPL",
      },
    });
    script.queue.takeUpTo(4);
    await elapse(SECOND);
    expect(shown(actor)["verdict"]).toMatchObject({ verdict: "live" });
    actor.actor.stop();
  });
});

/** Only REST shows a trade, and nothing more fits into the queue. */
async function becomeDeafAndFull({ queue, history }: FeedScript) {
  for (let count = 0; count < 4; count++)
    queue.offer({
      kind: "malformed",
      feed: "feed/stock",
      raw: "",
      reason: "filler",
      receivedAtMs: 0,
    });
  await elapse(10 * SECOND);
  history.trades.set("AAPL", Date.now());
  await elapse(MINUTE);
}

describe("a refused key or plan", () => {
  const refusals: [how: string, plays: Plays, reason: string][] = [
    ...([402, 408, 409, 411, 412] as const).map(
      (code): [string, Plays, string] => [
        `told by ${code}`,
        answersAuth(code),
        `${code} ${errorOf(code)["msg"]}`,
      ],
    ),
    [
      "told by 402, and hung up on",
      (socket) => {
        peer({ onAuth: () => errorOf(402) })(socket);
        setTimeout(() => socket.cuts(), 1);
      },
      "402 auth failed",
    ],
    [
      "told by the upgrade (401)",
      (socket) => socket.cuts({ ...BROKEN, status: 401 }),
      "upgrade refused with 401",
    ],
    [
      "told by the upgrade (403)",
      (socket) => socket.cuts({ ...BROKEN, status: 403 }),
      "upgrade refused with 403",
    ],
    [
      "told in the middle of the stream (409)",
      (socket) => {
        peer()(socket);
        setTimeout(() => socket.says(errorOf(409)), 1);
      },
      "409 insufficient subscription",
    ],
  ];

  test.each(refusals)(
    "%s, is asked again slowly, and slower each time",
    async (_how, plays, reason) => {
      const script = feedScript();
      script.network.peer = plays;
      const feed = startFeed(script);
      await elapse(2 * HOUR, SECOND);
      expect(
        script.network.dials.map((second) => Math.round(second / 60)),
      ).toEqual([0, 5, 15, 35, 65, 95]);
      expect(shown(feed)).toEqual({
        state: "refused",
        dials: 6,
        reason,
        verdict: { verdict: "dead", reason },
      });
      expect(script.network.open).toBe(0);
      feed.actor.stop();
    },
  );

  test("is this feed's alone: the other one streams meanwhile", async () => {
    const [refused, accepted] = [feedScript(), feedScript()];
    refused.network.peer = answersAuth(409);
    accepted.network.peer = peer();
    const feeds = [startFeed(refused), startFeed(accepted)];
    await elapse(4 * MINUTE);
    expect(feeds.map((feed) => shown(feed)["state"])).toEqual([
      "refused",
      "linked.streaming",
    ]);
    expect(accepted.network.log).toEqual(["0 dial"]);
    for (const { actor } of feeds) actor.stop();
  });

  test("that is accepted later streams; the refusals are forgotten once the link has lived", async () => {
    const script = feedScript();
    script.network.peer = answersAuth(402);
    const feed = startFeed(script);
    await elapse(6 * MINUTE);
    script.network.peer = peer();
    await elapse(9 * MINUTE);
    expect(shown(feed)["state"]).toBe("linked.streaming");
    await elapse(3 * MINUTE);
    script.network.peer = answersAuth(402);
    script.network.last.cuts();
    await elapse(6 * MINUTE + SECOND);
    expect(script.network.dials).toEqual([0, 300, 900, 1081, 1381]);
    feed.actor.stop();
  });

  test("is not asked more often because the actor was restarted", async () => {
    const script = feedScript();
    script.network.peer = answersAuth(402);
    for (let life = 0; life < 5; life++) {
      const { actor } = startFeed(script);
      await elapse(MINUTE - SECOND);
      actor.stop();
    }
    expect(script.network.dials).toEqual([0]);
  });
});

describe("a slot that another session holds (406)", () => {
  /** Second of each try, until the slot is free. */
  function holding(freeAtS: number): { tries: number[]; plays: Plays } {
    const tries: number[] = [];
    const onAuth = () => {
      tries.push(seconds());
      return seconds() < freeAtS ? errorOf(406) : AUTHENTICATED;
    };
    return { tries, plays: peer({ onAuth }) };
  }

  test("is asked for on the same socket, after a growing wait of 20 s at most", async () => {
    const script = feedScript();
    const { tries, plays } = holding(95);
    script.network.peer = plays;
    const feed = startFeed(script);
    await elapse(MINUTE);
    const reason = "406 connection limit exceeded";
    expect(shown(feed)).toEqual({
      state: "linked.slotTaken",
      dials: 1,
      reason,
      verdict: { verdict: "dead", reason },
    });
    await elapse(MINUTE);
    expect(tries).toEqual([0, 2, 6, 14, 30, 50, 70, 90, 110]);
    expect(script.network.log).toEqual(["0 dial"]);
    expect(shown(feed)).toEqual({
      state: "linked.streaming",
      dials: 1,
      verdict: { verdict: "live", reason: expect.any(String) },
    });
    feed.actor.stop();
  });

  const ways: [how: string, plays: (freeAtS: number) => Plays][] = [
    ["the venue keeps the socket", (freeAtS) => holding(freeAtS).plays],
    [
      "the venue says so and closes",
      (freeAtS) => (socket) => {
        holding(freeAtS).plays(socket);
        if (seconds() < freeAtS) void soon().then(() => socket.cuts());
      },
    ],
    [
      "the venue refuses the upgrade",
      (freeAtS) => (socket) => {
        if (seconds() < freeAtS) socket.cuts({ ...BROKEN, status: 406 });
        else peer()(socket);
      },
    ],
    [
      "the venue says so and no more",
      (freeAtS) => {
        let answers = 0;
        const onAuth = () =>
          seconds() >= freeAtS
            ? AUTHENTICATED
            : answers++ === 0
              ? errorOf(406)
              : undefined;
        return (socket) => {
          answers = 0;
          peer({ onAuth })(socket);
        };
      },
    ],
  ];
  test.each(
    ways.flatMap(([how, plays]) =>
      [3, 40, 124, 245].map((freeAtS) => [how, freeAtS, plays] as const),
    ),
  )(
    "where %s, is live within 30 s of its being free, %d s later",
    async (_how, freeAtS, plays) => {
      const script = feedScript();
      script.network.peer = plays(freeAtS);
      const feed = startFeed(script);
      await elapse(freeAtS * SECOND - 1);
      expect(feed.states).not.toContain("linked.streaming");
      await elapse(30 * SECOND);
      expect(shown(feed)["state"]).toBe("linked.streaming");
      feed.actor.stop();
    },
  );

  test("in the middle of the stream ends the link: with the slot the subscriptions are lost", async () => {
    const { script, actor } = await streaming();
    await elapse(MINUTE);
    script.network.last.says(errorOf(406));
    expect(shown(actor)["state"]).toBe("waiting");
    await elapse(SECOND);
    expect(script.network.log).toEqual(["0 dial", "60 hang up", "61 dial"]);
    expect(script.network.last.sent).toEqual([AUTH, SUBSCRIBE]);
    actor.actor.stop();
  });

  test("is asked for quickly, and what comes after it as slowly as ever", async () => {
    const script = feedScript();
    let turn = 0;
    const refuses = peer({ onAuth: () => errorOf(406) });
    script.network.peer = (socket) => {
      turn++;
      if (turn < 7) socket.cuts();
      else if (turn < 9) {
        refuses(socket);
        void soon().then(() => socket.cuts());
      } else holding(130).plays(socket);
    };
    const feed = startFeed(script);
    await elapse(150 * SECOND);
    expect(shown(feed)["state"]).toBe("linked.streaming");
    script.network.last.cuts();
    await elapse(2 * MINUTE);
    expect(script.network.dials).toEqual([
      // Cannot be reached, then the slot is taken.
      0, 1, 3, 7, 15, 31, 63, 83, 103,
      // Streamed, and was cut at 150 s.
      210,
    ]);
    feed.actor.stop();
  });

  test("and then refuses the key is refused", async () => {
    const script = feedScript();
    let tries = 0;
    const onAuth = () => errorOf(tries++ === 0 ? 406 : 402);
    script.network.peer = peer({ onAuth });
    const feed = startFeed(script);
    await elapse(4 * MINUTE);
    expect(shown(feed)["state"]).toBe("refused");
    expect(script.network.log).toEqual(["0 dial", "2 hang up"]);
    feed.actor.stop();
  });
});

describe("dials", () => {
  const refusing = (more: object): Plays => {
    return (socket) => socket.cuts({ ...BROKEN, ...more });
  };
  const doubling = [0, 1, 3, 7, 15, 31, 63, 123, 183, 243];
  const table: [how: string, plays: Plays, dials: number[]][] = [
    ["cannot be reached", refusing({}), doubling],
    ["accepts and closes", (socket) => socket.opens().cuts(), doubling],
    [
      "lets the feed stream and closes",
      (socket) => {
        peer()(socket);
        void soon().then(() => socket.cuts());
      },
      doubling,
    ],
    [
      "accepts and says nothing",
      (socket) => socket.opens(),
      [0, 11, 23, 37, 55, 81, 123, 193, 263],
    ],
    [
      "closes what it has let live for a minute",
      (socket) => {
        peer()(socket);
        setTimeout(() => socket.cuts(), MINUTE);
      },
      [0, 61, 123, 187, 255],
    ],
    [
      "refuses too many dials (429) without a word on when to come back",
      refusing({ status: 429 }),
      doubling,
    ],
    [
      "refuses too many dials (429) and says when to come back",
      refusing({ status: 429, retryAfterMs: 45 * SECOND }),
      [0, 45, 90, 135, 180, 225, 270],
    ],
    [
      "has its slot taken (406): asked at least every 20 s",
      refusing({ status: 406 }),
      [
        0, 1, 3, 7, 15, 31, 51, 71, 91, 111, 131, 151, 171, 191, 211, 231, 251,
        271, 291,
      ],
    ],
    ["fails by itself (503)", refusing({ status: 503 }), doubling],
  ];

  test.each(table)("to a peer that %s", async (_how, plays, dials) => {
    const script = feedScript();
    script.network.peer = plays;
    const feed = startFeed(script);
    await elapse(5 * MINUTE - SECOND);
    expect(script.network.dials).toEqual(dials);
    feed.actor.stop();
  });

  test("the failures before are forgotten once a link has streamed for three minutes, not earlier", async () => {
    const script = feedScript();
    const livesS = [0, 0, 0, 0, 179, 181, 0, 0];
    script.network.peer = (socket) => {
      const forS = livesS.shift() ?? 0;
      peer()(socket);
      if (forS === 0) void soon().then(() => socket.cuts());
      else setTimeout(() => socket.cuts(), forS * SECOND);
    };
    const feed = startFeed(script);
    await elapse(7 * MINUTE);
    expect(script.network.dials).toEqual([
      0, 1, 3, 7, 15,
      // 179 s alive, then the wait of the fifth failure.
      210,
      // 181 s alive, then as at the beginning.
      392, 393, 395, 399, 407,
    ]);
    feed.actor.stop();
  });

  test("are no more when the actor dies and is started again each second", async () => {
    const script = feedScript();
    script.network.peer = (socket) => socket.opens();
    const lives: number[] = [];
    for (let second = 0; second < 120; second++) {
      const feed = startFeed(script);
      await elapse(SECOND);
      lives.push(script.network.open);
      feed.actor.stop();
    }
    expect(script.network.dials).toEqual([0, 2, 4, 8, 16, 32, 64]);
    expect(lives.filter((open) => open > 1)).toEqual([]);
    expect(script.network.open).toBe(0);
  });

  const later = (ms: number, work: Plays): Plays => {
    return (socket) => {
      peer()(socket);
      setTimeout(() => work(socket), ms);
    };
  };
  const turns: Readonly<Record<string, Plays>> = {
    unreachable: refusing({}),
    closes: (socket) => socket.opens().cuts(),
    mute: (socket) => socket.opens(),
    streamsAndCloses: later(0, (socket) => socket.cuts()),
    livesAWhile: later(50 * SECOND, (socket) => socket.cuts()),
    tooSlow: later(5 * SECOND, (socket) => socket.says(errorOf(407))),
    losesItsSlot: later(5 * SECOND, (socket) => socket.says(errorOf(406))),
    refuses: answersAuth(402),
    slotTaken: answersAuth(406),
    acknowledgesNothing: peer({ answers: () => false }),
    tooMany: refusing({ status: 429, retryAfterMs: SECOND }),
    slotTakenAtTheDoor: refusing({ status: 406 }),
    nonsense: (socket) => socket.opens().says("{").says("[]").says("[{}]"),
  };

  test("never come faster than the schedule's shortest waits, whatever the peer does and however often the actor dies", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.keys(turns)), { minLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 90 }), {
          minLength: 1,
          maxLength: 20,
        }),
        async (plays, livesS) => {
          fakeTime();
          const dials = new DialSchedule(
            { baseMs: SECOND, maxMs: MINUTE },
            () => 0,
          );
          const script = feedScript({ dials });
          const waitMsMax: number[] = [];
          script.network.peer = (socket) => {
            const turn = plays[waitMsMax.length % plays.length] ?? "mute";
            waitMsMax.push(/slot/i.test(turn) ? 20 * SECOND : MINUTE);
            turns[turn]?.(socket);
          };
          for (const alive of livesS) {
            const { actor } = startFeed(script);
            await elapse(alive * SECOND, SECOND);
            actor.stop();
          }
          const at = script.network.dials;
          for (const [index, second] of at.slice(1).entries()) {
            const shortestMs =
              Math.min(SECOND * 2 ** index, waitMsMax[index] ?? MINUTE) / 2;
            expect((second - (at[index] ?? 0)) * SECOND).toBeGreaterThanOrEqual(
              shortestMs,
            );
          }
        },
      ),
      { numRuns: 40 },
    ));
});

test("a bug in the way of a message fails the feed, and leaves nothing open", async () => {
  const bug = new TypeError("no such thing");
  const { script, actor } = await streaming({
    deliver: () => {
      throw bug;
    },
  });
  script.network.last.says(tradeOf("AAPL"));
  expect(actor.errors).toEqual([bug]);
  expect(script.network.log).toEqual(["0 dial", "0 hang up"]);
});

describe("in every state", () => {
  const states: [state: string, plays: Plays][] = [
    ["waiting", (socket) => socket.cuts()],
    ["linked.connecting", () => {}],
    ["linked.greeting", (socket) => socket.opens()],
    ["linked.authenticating", peer({ onAuth: () => undefined })],
    ["linked.slotTaken", answersAuth(406)],
    ["linked.subscribing", peer({ answers: () => false })],
    ["linked.streaming", peer()],
    ["deaf", peer()],
    ["refused", answersAuth(402)],
  ];

  async function in_(state: string, plays: Plays) {
    const script = feedScript({ queueLengthMax: 4 });
    script.network.peer = plays;
    const feed = startFeed(script);
    await elapse(500);
    if (state === "deaf") await becomeDeafAndFull(script);
    expect(shown(feed)["state"]).toBe(state);
    return { script, feed };
  }

  /** Hung up as often as dialled, no timer left, and nobody dials or asks later. */
  async function leavesNothing({ network, history, queue }: FeedScript) {
    await settled();
    const asked = [network.dials.length, history.requests.length];
    expect(network.open).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
    queue.takeUpTo(10);
    await elapse(HOUR, MINUTE);
    expect([network.dials.length, history.requests.length]).toEqual(asked);
    expect(queue.length).toBe(0);
  }

  test.each(states)("shutdown: %s", async (state, plays) => {
    const { script, feed } = await in_(state, plays);
    feed.actor.send({ type: "shutdown" });
    expect(feed.actor.getSnapshot()).toMatchObject({
      status: "done",
      value: "stopped",
    });
    await leavesNothing(script);
  });

  test.each(states)("a hard stop: %s", async (state, plays) => {
    const { script, feed } = await in_(state, plays);
    feed.actor.stop();
    await leavesNothing(script);
  });
});

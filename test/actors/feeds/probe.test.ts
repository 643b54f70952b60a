import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor, setup } from "xstate";
import { feedProbe, type Judged } from "../../../actors/feeds/probe.ts";
import type { Trade } from "../../../schema/market.ts";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { VenueError } from "../../../src/errors.ts";
import { iso, NOW } from "../../support/accountScript.ts";
import {
  type FeedScript,
  feedScript,
  feedVenue,
} from "../../support/feedScript.ts";
import { elapse, fakeTime, settled } from "../accounts/stage.ts";
import { seconds } from "../../support/network.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** A probe of a feed that streams trades of AAPL and SPY since `NOW`, and each of its verdicts with the second. */
function startProbe(script: FeedScript) {
  const { run } = script;
  run.activity.began(NOW);
  run.activity.expect({ trades: ["AAPL", "SPY"], bars: [] }, NOW);
  const verdicts: string[] = [];
  const judged: Judged[] = [];
  const errors: unknown[] = [];
  const parent = setup({
    types: { events: {} as Judged },
    actors: { probe: feedProbe },
    actions: {
      note: ({ event }) => {
        judged.push(event);
        const { verdict } = event.verdict;
        if (!verdicts.at(-1)?.endsWith(` ${verdict}`))
          verdicts.push(`${seconds()} ${verdict}`);
      },
    },
  }).createMachine({
    invoke: { src: "probe", input: { run, liveSinceMs: NOW } },
    on: { judged: { actions: "note" } },
  });
  const actor = createActor(parent);
  actor.subscribe({ error: (error) => errors.push(error) });
  actor.start();
  return { actor, verdicts, judged, errors };
}

/** A trade happens: REST shows it, and the feed tells of it unless it is deaf to it. */
function trade(
  { run, history }: FeedScript,
  symbol: string,
  { isTold = true, at = Date.now() } = {},
): void {
  history.trades.set(symbol, at);
  const told: Trade = {
    kind: "trade",
    symbol,
    price: 1,
    size: 1,
    timestamp: iso(at),
    receivedAtMs: Date.now(),
  };
  if (isTold) run.activity.note([told], Date.now());
}

test("tells its verdict every 5 s, and asks REST nothing while messages come as usual", async () => {
  const script = feedScript();
  const { actor, judged, verdicts } = startProbe(script);
  for (let turn = 0; turn < 60; turn++) {
    trade(script, "AAPL");
    trade(script, "SPY");
    await elapse(5 * SECOND, SECOND);
  }
  expect(judged).toHaveLength(61);
  expect(verdicts).toEqual(["0 live"]);
  expect(script.history.requests).toEqual([]);
  actor.stop();
});

describe("silence", () => {
  test("that is longer than the habits explain is looked into at once, then once a minute", async () => {
    const script = feedScript();
    const { actor, verdicts } = startProbe(script);
    for (let second = 0; second < 300; second++) {
      trade(script, "AAPL");
      await elapse(SECOND, SECOND);
    }
    await elapse(2 * MINUTE, SECOND);
    // One a second: when ten are missing that is no chance any more.
    expect(script.history.requests).toEqual([
      "310 trades AAPL,SPY",
      "370 trades AAPL,SPY",
    ]);
    expect(verdicts).toEqual(["0 live", "360 quiet"]);
    actor.stop();
  });

  test("of which no habit is known is looked into after 45 s", async () => {
    const script = feedScript();
    const { actor, verdicts } = startProbe(script);
    await elapse(3 * MINUTE, SECOND);
    expect(script.history.requests).toEqual([
      "45 trades AAPL,SPY",
      "105 trades AAPL,SPY",
      "165 trades AAPL,SPY",
    ]);
    expect(verdicts).toEqual(["0 live", "60 quiet"]);
    actor.stop();
  });

  test.each([
    ["while no session is open is closed", false, "closed", 3],
    ["without a calendar is quiet", undefined, "quiet", 30],
  ] as const)("%s", async (_what, isOpen, verdict, asked) => {
    const venue = feedVenue({ isOpen: () => isOpen });
    const script = feedScript({ venue });
    const { actor, judged } = startProbe(script);
    await elapse(30 * MINUTE + SECOND, SECOND);
    expect(judged.at(-1)?.verdict.verdict).toBe(verdict);
    expect(script.history.requests).toHaveLength(asked);
    actor.stop();
  });

  test("right after the close counts as that of an open market: the last trades may be missing", async () => {
    const venue = feedVenue({ isOpen: (ms) => ms < NOW });
    const script = feedScript({ venue });
    const { actor, verdicts } = startProbe(script);
    await elapse(10 * MINUTE, SECOND);
    expect(script.history.requests[0]).toBe("45 trades AAPL,SPY");
    expect(verdicts).toEqual(["0 live", "60 quiet", "300 closed"]);
    actor.stop();
  });

  test("is broken by a message: the feed is live for a minute", async () => {
    const script = feedScript();
    const { actor, verdicts } = startProbe(script);
    await elapse(100 * SECOND, SECOND);
    trade(script, "SPY");
    await elapse(100 * SECOND, SECOND);
    expect(verdicts).toEqual(["0 live", "60 quiet", "105 live", "160 quiet"]);
    actor.stop();
  });
});

describe("a trade that only REST shows", () => {
  test("makes the feed deaf when it stays untold, since everything was told last", async () => {
    const script = feedScript();
    const { actor, judged, verdicts } = startProbe(script);
    await elapse(20 * SECOND, SECOND);
    trade(script, "AAPL");
    await elapse(10 * SECOND, SECOND);
    trade(script, "AAPL", { isTold: false });
    await elapse(MINUTE, SECOND);
    expect(script.history.requests.slice(0, 2)).toEqual([
      "65 trades SPY,AAPL",
      "75 trades AAPL,SPY",
    ]);
    expect(verdicts).toEqual(["0 live", "75 deaf"]);
    expect(judged.at(-1)).toEqual({
      type: "judged",
      verdict: {
        verdict: "deaf",
        reason:
          "REST shows trades of 1 symbols that the feed never delivered, first AAPL",
      },
      deafFromMs: NOW + 20 * SECOND,
    });
    actor.stop();
  });

  test("and that the feed tells of some seconds later makes it nothing", async () => {
    const script = feedScript();
    const { actor, verdicts } = startProbe(script);
    await elapse(44 * SECOND, SECOND);
    trade(script, "AAPL", { isTold: false });
    await elapse(5 * SECOND, SECOND);
    expect(script.history.requests).toHaveLength(1);
    trade(script, "AAPL", { at: NOW + 44 * SECOND });
    await elapse(5 * MINUTE, SECOND);
    expect(verdicts).toEqual(["0 live", "110 quiet"]);
    actor.stop();
  });

  test("and that is of the time before the feed streamed makes it nothing", async () => {
    const script = feedScript();
    script.history.trades.set("AAPL", NOW - SECOND);
    script.history.trades.set("SPY", NOW + 4 * SECOND);
    const { actor, verdicts } = startProbe(script);
    await elapse(HOUR, SECOND);
    expect(verdicts).toEqual(["0 live", "60 quiet"]);
    actor.stop();
  });
});

describe("when REST", () => {
  test.each(["unavailable", "throttled", "refused", "rejected"] as const)(
    "can not be asked (%s) the verdict rests on the stream, and it is asked again a minute later",
    async (failure) => {
      const script = feedScript();
      script.history.interrupt = () => {
        throw new VenueError("no", { failure });
      };
      const { actor, judged, errors } = startProbe(script);
      trade(script, "AAPL", { isTold: false, at: NOW + 20 * SECOND });
      await elapse(4 * MINUTE, SECOND);
      expect(judged.at(-1)?.verdict).toEqual({
        verdict: "quiet",
        reason: "silent for 240 s; REST was not asked",
      });
      expect(script.history.requests).toHaveLength(4);
      expect(errors).toEqual([]);
      actor.stop();
    },
  );

  test("hangs, the question ends with the probe", async () => {
    const script = feedScript();
    const aborted: unknown[] = [];
    script.history.interrupt = (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted.push(seconds());
          reject(signal.reason);
        });
      });
    const { actor, errors } = startProbe(script);
    await elapse(MINUTE, SECOND);
    expect(script.history.requests).toHaveLength(1);
    actor.stop();
    await settled();
    expect(aborted).toEqual([60]);
    expect(errors).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("has nothing of this feed it is not asked", async () => {
    const script = feedScript({ history: undefined });
    const { actor, verdicts } = startProbe(script);
    await elapse(HOUR, SECOND);
    expect(verdicts).toEqual(["0 live", "60 quiet"]);
    actor.stop();
  });

  test("is asked by code with a bug, the probe fails", async () => {
    const script = feedScript();
    const bug = new TypeError("no such thing");
    script.history.interrupt = () => {
      throw bug;
    };
    const { errors } = startProbe(script);
    await elapse(MINUTE, SECOND);
    expect(errors).toEqual([bug]);
    expect(jest.getTimerCount()).toBe(0);
  });
});

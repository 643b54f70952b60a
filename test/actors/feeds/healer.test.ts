import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor } from "xstate";
import { feedHealer } from "../../../actors/feeds/healer.ts";
import type { Report } from "../../../actors/supervision/resource.ts";
import { reportOf } from "../../../actors/supervision/state.ts";
import type { BarFact } from "../../../schema/market.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { VenueError } from "../../../src/errors.ts";
import { iso, NOW } from "../../support/accountScript.ts";
import {
  factsInShort,
  type FeedScript,
  feedScript,
  pastBar,
} from "../../support/feedScript.ts";
import { elapse, fakeTime, settled } from "../accounts/stage.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

function startHealer({ run }: FeedScript) {
  const actor = createActor(feedHealer, { input: run });
  const reports: Report[] = [];
  const errors: unknown[] = [];
  actor.subscribe({
    next: () => {
      const report = reportOf(actor);
      if (report !== undefined && report !== reports.at(-1))
        reports.push(report);
    },
    error: (error) => errors.push(error),
  });
  actor.start();
  return { actor, reports, errors };
}

/** Time passes; what the healer puts into the queue is committed each second. */
async function elapseCommitting(
  { store, queue }: FeedScript,
  ms: number,
  each: () => void = () => {},
): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= SECOND) {
    await elapse(Math.min(SECOND, leftMs), SECOND);
    each();
    store.commit(queue);
  }
}

function fact(
  state: BarFact["state"],
  from: number,
  to: number,
  symbol = "AAPL",
): BarFact {
  return {
    kind: "fact",
    symbol,
    state,
    from: iso(from),
    to: iso(to),
    session: "session-0",
  };
}

/** AAPL streamed until 13:50, when the link broke; REST has a bar of every minute but 13:52. */
function brokenAt1350(settings: Parameters<typeof feedScript>[0] = {}) {
  const script = feedScript({ wants: { bars: ["AAPL"] }, ...settings });
  script.store.facts.push(fact("live", NOW - HOUR, NOW - 10 * MINUTE));
  for (let minute = 30; minute >= 0; minute--)
    if (minute !== 8)
      script.history.minutes.push(pastBar("AAPL", NOW - minute * MINUTE));
  return script;
}

const barTimes = ({ store }: FeedScript) =>
  store.bars.map(({ timestamp }) => timestamp.slice(11, 16));

describe("what a reconnect missed", () => {
  test("is read back at once, and the late minute as soon as REST is sure to show it", async () => {
    const script = brokenAt1350();
    const { actor, reports } = startHealer(script);
    await elapseCommitting(script, 5 * SECOND);
    expect(script.history.requests).toEqual([]);
    expect(reports).toEqual([{ state: "waiting" }]);

    // It streams again from 14:00:05 on; pongs prove the minutes from 14:00.
    script.run.listening.raise();
    await elapseCommitting(script, 3 * MINUTE, () => {
      if (Date.now() === NOW + 65 * SECOND)
        script.store.facts.push(fact("live", NOW, NOW + 30 * MINUTE));
    });
    expect(script.history.requests).toEqual([
      "5 bars AAPL 13:50..13:59",
      "65 bars AAPL 13:59..14:00",
    ]);
    expect(barTimes(script)).toEqual([
      ...["13:50", "13:51", "13:53", "13:54", "13:55", "13:56", "13:57"],
      ...["13:58", "13:59"],
    ]);
    expect(factsInShort(script.store.facts.slice(1))).toEqual([
      "AAPL healed 13:50:00..13:59:00",
      "AAPL live 14:00:00..14:30:00",
      "AAPL healed 13:59:00..14:00:00",
    ]);
    expect(script.run.board.gapSeconds).toBe(0);
    expect(reports.slice(1, 3)).toEqual([
      { state: "resting", pass: 1, lastPass: { bars: 8, symbols: 1 } },
      { state: "resting", pass: 2, lastPass: { bars: 1, symbols: 1 } },
    ]);
    actor.stop();
  });

  test("and of which REST has nothing is confirmed empty, and not asked for again", async () => {
    const script = brokenAt1350();
    script.history.minutes = [];
    script.run.listening.raise();
    const { actor } = startHealer(script);
    await elapseCommitting(script, 10 * SECOND);
    expect(factsInShort(script.store.facts.slice(1))).toEqual([
      "AAPL confirmed_empty 13:50:00..13:59:00",
    ]);
    expect(script.history.requests).toEqual(["0 bars AAPL 13:50..13:59"]);
    actor.stop();
  });

  test("of a symbol that was never streamed is nothing", async () => {
    const script = feedScript({ wants: { bars: ["NEW"] } });
    script.run.listening.raise();
    const { actor, reports } = startHealer(script);
    await elapseCommitting(script, 10 * MINUTE);
    expect(script.history.requests).toEqual([]);
    expect(reports.at(-1)).toMatchObject({
      state: "resting",
      lastPass: { bars: 0, symbols: 0 },
    });
    actor.stop();
  });

  test("longer than a week ago is left to a backfill by hand", async () => {
    const script = feedScript({ wants: { bars: ["AAPL"] } });
    script.store.facts.push(
      fact("live", NOW - 30 * DAY, NOW - 29 * DAY),
      fact("live", NOW - DAY, NOW - HOUR),
    );
    script.run.listening.raise();
    const { actor } = startHealer(script);
    await settled();
    await elapseCommitting(script, 30 * SECOND);
    expect(script.history.requests[0]).toBe("0 bars AAPL 14:00..13:59");
    expect(script.store.facts.slice(2).map(({ from }) => from)).toEqual([
      iso(NOW - 7 * DAY),
      iso(NOW - HOUR),
    ]);
    actor.stop();
  });

  test("by deafness is read back when it is revoked, though it was claimed as live", async () => {
    const script = brokenAt1350();
    script.store.facts.push(fact("live", NOW - 10 * MINUTE, NOW));
    script.run.listening.raise();
    const { actor } = startHealer(script);
    await elapseCommitting(script, 30 * SECOND);
    expect(script.history.requests).toEqual([]);
    script.store.facts.push(fact("deaf", NOW - 4 * MINUTE, NOW + 30 * SECOND));
    script.run.healingWanted.raise();
    await elapseCommitting(script, SECOND);
    expect(script.history.requests).toEqual(["30 bars AAPL 13:56..13:59"]);
    expect(factsInShort(script.store.facts).at(-1)).toBe(
      "AAPL healed 13:56:00..13:59:00",
    );
    actor.stop();
  });

  test("of several symbols is asked for together, and each has its own fact", async () => {
    const script = feedScript({ wants: { bars: ["AAPL", "SPY", "QQQ"] } });
    const { store, history } = script;
    store.facts.push(
      fact("live", NOW - HOUR, NOW - 5 * MINUTE, "AAPL"),
      fact("live", NOW - HOUR, NOW - 3 * MINUTE, "SPY"),
      fact("live", NOW - HOUR, NOW + MINUTE, "QQQ"),
    );
    history.minutes.push(pastBar("AAPL", NOW - 4 * MINUTE));
    script.run.listening.raise();
    const { actor, reports } = startHealer(script);
    await settled();
    expect(reports.at(-1)).toMatchObject({ lastPass: { bars: 1, symbols: 2 } });
    await elapseCommitting(script, SECOND);
    expect(history.requests).toEqual(["0 bars AAPL,SPY 13:55..13:59"]);
    expect(factsInShort(store.facts.slice(3))).toEqual([
      "AAPL healed 13:55:00..13:59:00",
      "SPY confirmed_empty 13:57:00..13:59:00",
    ]);
    actor.stop();
  });
});

describe("a pass", () => {
  test("waits for the feed to stream, then comes every minute", async () => {
    const script = feedScript();
    const asked: number[] = [];
    const knownMinutes = script.store.knownMinutes.bind(script.store);
    script.store.knownMinutes = (...given) => {
      asked.push((Date.now() - NOW) / SECOND);
      return knownMinutes(...given);
    };
    const { actor } = startHealer(script);
    await elapse(90 * SECOND, SECOND);
    script.run.listening.raise();
    await elapse(3 * MINUTE, SECOND);
    expect(asked).toEqual([90, 150, 210, 270]);
    actor.stop();
  });

  test("that is called for while one is under way follows it, and only one", async () => {
    const script = brokenAt1350();
    const gate = Promise.withResolvers<void>();
    script.history.interrupt = () => gate.promise;
    script.run.listening.raise();
    const { actor, reports } = startHealer(script);
    await elapse(SECOND);
    script.run.listening.raise();
    script.run.listening.raise();
    script.run.healingWanted.raise();
    gate.resolve();
    await elapse(30 * SECOND);
    expect(reports.at(-1)).toMatchObject({ state: "resting", pass: 2 });
    actor.stop();
  });

  test("leaves no wait of its rest behind when it is called for", async () => {
    const script = feedScript();
    script.run.listening.raise();
    const { actor } = startHealer(script);
    for (let call = 0; call < 5; call++) {
      await settled();
      script.run.listening.raise();
    }
    await settled();
    expect(jest.getTimerCount()).toBe(1);
    actor.stop();
  });

  test("waits for room in the queue, and its fact comes behind its bars", async () => {
    const script = brokenAt1350({ queueLengthMax: 4 });
    script.run.listening.raise();
    const { actor } = startHealer(script);
    await elapse(10 * SECOND);
    expect(script.queue.length).toBe(3);
    const kinds: string[] = [];
    for (let turn = 0; turn < 10; turn++) {
      kinds.push(...script.queue.takeUpTo(2).map(({ kind }) => kind));
      await settled();
    }
    expect(kinds).toEqual([...Array.from({ length: 8 }, () => "bar"), "fact"]);
    actor.stop();
  });
});

describe("a pass that fails", () => {
  test("because the plan has no recent data (403) says refused, is tried again ever more slowly, and keeps nothing as read", async () => {
    const script = brokenAt1350();
    script.history.interrupt = () => {
      throw new VenueError("subscription does not permit", {
        failure: "rejected",
        status: 403,
      });
    };
    script.run.listening.raise();
    const { actor, reports, errors } = startHealer(script);
    await elapseCommitting(script, 10 * MINUTE);
    expect(reports.at(-1)).toEqual({
      state: "refused",
      failures: expect.any(Number),
      lastError: "subscription does not permit",
    });
    expect(errors).toEqual([]);
    expect(script.history.requests.length).toBeLessThan(25);
    expect(script.store.facts).toHaveLength(1);
    expect(script.run.board.gapSeconds).toBeGreaterThanOrEqual(9 * 60);
    actor.stop();
  });

  test.each<[who: string, fail: (script: FeedScript, isAway: boolean) => void]>(
    [
      [
        "the venue is away",
        ({ history }, isAway) => {
          history.interrupt = () => {
            if (isAway)
              throw new VenueError("away", { failure: "unavailable" });
          };
        },
      ],
      [
        "the store is away",
        ({ store }, isAway) => {
          store.isAway = isAway;
        },
      ],
    ],
  )("because %s is tried until it succeeds", async (_who, fail) => {
    const script = brokenAt1350();
    fail(script, true);
    script.run.listening.raise();
    const { actor, reports } = startHealer(script);
    await elapseCommitting(script, 3 * MINUTE);
    expect(reports.at(-1)).toMatchObject({ state: "retrying" });
    expect(script.store.bars).toEqual([]);
    fail(script, false);
    await elapseCommitting(script, MINUTE);
    expect(reports.at(-1)).toMatchObject({ state: "resting" });
    expect(barTimes(script)).toContain("13:50");
    expect(script.run.board.gapSeconds).toBe(0);
    actor.stop();
  });

  test("in the middle of its pages is begun again; only the whole is called healed", async () => {
    const script = brokenAt1350();
    let pages = 0;
    script.history.interrupt = () => {
      if (++pages === 3) throw new VenueError("away", { failure: "throttled" });
    };
    script.run.listening.raise();
    const { actor } = startHealer(script);
    await elapseCommitting(script, SECOND / 4);
    expect(barTimes(script)).toEqual(["13:50", "13:51", "13:53", "13:54"]);
    expect(script.store.facts).toHaveLength(1);
    await elapseCommitting(script, 5 * SECOND);
    expect(factsInShort(script.store.facts).at(-1)).toBe(
      "AAPL healed 13:50:00..13:59:00",
    );
    expect(new Set(barTimes(script))).toHaveProperty("size", 8);
    actor.stop();
  });

  test("by a bug fails the actor", async () => {
    const script = feedScript();
    const bug = new TypeError("no such thing");
    script.store.knownMinutes = () => Promise.reject(bug);
    script.run.listening.raise();
    const { errors } = startHealer(script);
    await settled();
    expect(errors).toEqual([bug]);
    expect(jest.getTimerCount()).toBe(0);
  });
});

test("where REST has nothing of the feed the gap is shown, and stays", async () => {
  const script = brokenAt1350({ history: undefined });
  script.run.listening.raise();
  const { actor, reports } = startHealer(script);
  await settled();
  expect(reports.at(-1)).toMatchObject({ lastPass: { bars: 0, symbols: 1 } });
  expect(script.run.board.gapSeconds).toBe(9 * 60);
  actor.stop();
});

describe("shutdown", () => {
  test.each<[state: string, arrange: (script: FeedScript) => void]>([
    ["waiting", () => {}],
    [
      "resting",
      ({ run, history }) => {
        history.minutes = [];
        run.listening.raise();
      },
    ],
    [
      "retrying",
      ({ run, store }) => {
        store.isAway = true;
        run.listening.raise();
      },
    ],
    [
      "refused",
      ({ run, history }) => {
        history.interrupt = () => {
          throw new VenueError("no", { failure: "rejected", status: 403 });
        };
        run.listening.raise();
      },
    ],
    // No news of a pass: it stands still because the queue has no room, or because REST hangs.
    ["waiting", ({ run }) => run.listening.raise()],
    [
      "waiting",
      ({ run, history }) => {
        history.interrupt = (signal) =>
          new Promise((_, reject) =>
            signal.addEventListener("abort", () => reject(signal.reason)),
          );
        run.listening.raise();
      },
    ],
  ])("while it is %s finishes it at once", async (state, arrange) => {
    const script = brokenAt1350({ queueLengthMax: 4 });
    arrange(script);
    const { actor, reports, errors } = startHealer(script);
    await settled();
    expect(reports.at(-1)).toMatchObject({ state });
    actor.send({ type: "shutdown" });
    await settled();
    expect(actor.getSnapshot().status).toBe("done");
    expect(errors).toEqual([]);
    const asked = script.history.requests.length;
    await elapse(HOUR, MINUTE);
    expect(script.history.requests).toHaveLength(asked);
    expect(jest.getTimerCount()).toBe(0);
  });
});

import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { MINUTE, SECOND } from "../../src/clock.ts";
import { LiveMinutes, toldMinutesTo } from "../../src/feeds/liveMinutes.ts";
import { fakeTime } from "../actors/accounts/stage.ts";
import { NOW } from "../support/accountScript.ts";
import { factsInShort, feedScript, feedVenue } from "../support/feedScript.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** Of a connection that begins at a whole hour; times are minutes and seconds behind it. */
function sceneOf(settings: Parameters<typeof feedScript>[0] = {}) {
  const { run, queue } = feedScript(settings);
  const live = new LiveMinutes(run);
  const at = (minute: number, second = 0) =>
    NOW + minute * MINUTE + second * SECOND;
  return {
    live,
    at,
    /** What was claimed since the last look. */
    claimed: () => factsInShort(queue.takeUpTo(1_000)),
    records: () => queue.takeUpTo(1_000),
  };
}

test("the minutes since a symbol was granted are claimed once a pong proves them, each once", () => {
  const { live, at, claimed } = sceneOf();
  live.granted(["AAPL", "SPY"], at(0, 30));
  live.provenTo(at(1, 4.9));
  expect(claimed()).toEqual([]);
  live.provenTo(at(1, 5));
  expect(claimed()).toEqual([
    "AAPL live 14:00:00..14:01:00",
    "SPY live 14:00:00..14:01:00",
  ]);
  live.provenTo(at(1, 30));
  expect(claimed()).toEqual([]);
  live.provenTo(at(4, 10));
  expect(claimed()).toEqual([
    "AAPL live 14:01:00..14:04:00",
    "SPY live 14:01:00..14:04:00",
  ]);
});

test("a fact names the session and the connection that learnt it", () => {
  const { live, at, records } = sceneOf();
  live.granted(["AAPL"], at(0));
  live.provenTo(at(1, 5));
  expect(records()).toEqual([
    {
      kind: "fact",
      symbol: "AAPL",
      state: "live",
      from: "2026-09-16T14:00:00.000Z",
      to: "2026-09-16T14:01:00.000Z",
      session: `session-1/stock/${NOW}`,
    },
  ]);
});

describe("symbols that come and go", () => {
  test("are claimed from the minute in which they came to the last one that was proven", () => {
    const { live, at, claimed } = sceneOf();
    live.granted(["AAPL"], at(0));
    live.granted(["AAPL", "SPY"], at(2, 59));
    live.provenTo(at(4, 5));
    expect(claimed()).toEqual([
      "AAPL live 14:00:00..14:04:00",
      "SPY live 14:02:00..14:04:00",
    ]);
    live.granted(["SPY"], at(5, 30));
    live.provenTo(at(6, 5));
    expect(claimed()).toEqual(["SPY live 14:04:00..14:06:00"]);
    // What lies between is not claimed.
    live.granted(["AAPL", "SPY"], at(8));
    live.provenTo(at(9, 5));
    expect(claimed().toSorted()).toEqual([
      "AAPL live 14:08:00..14:09:00",
      "SPY live 14:06:00..14:09:00",
    ]);
  });

  test("are not claimed by the pong of a ping that is older than they are", () => {
    const { live, at, claimed } = sceneOf();
    live.granted(["AAPL"], at(3, 1));
    live.provenTo(at(2, 59));
    live.provenTo(at(3, 30));
    expect(claimed()).toEqual([]);
  });

  test("are none, and nothing is claimed", () => {
    const { live, at, claimed } = sceneOf();
    live.provenTo(at(5));
    expect(claimed()).toEqual([]);
  });
});

test("of a feed that is delayed only what it has told by then is claimed", () => {
  const venue = feedVenue({ delayMs: 15 * MINUTE });
  const { live, at, claimed } = sceneOf({ venue });
  live.granted(["AAPL"], at(20, 30));
  live.provenTo(at(21, 5));
  expect(claimed()).toEqual(["AAPL live 14:05:00..14:06:00"]);
});

test.each([
  ["14:05:05.000", "14:05:00.000"],
  ["14:05:04.999", "14:04:00.000"],
  ["14:05:59.999", "14:05:00.000"],
])(
  "who has heard everything until %s has all bars of the minutes before %s",
  (heard, told) => {
    const ms = (time: string) => Date.parse(`2026-09-16T${time}Z`);
    expect(toldMinutesTo(ms(heard))).toBe(ms(told));
  },
);

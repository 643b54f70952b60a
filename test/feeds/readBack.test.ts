import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { BarFact } from "../../schema/market.ts";
import { DAY, MINUTE, SECOND } from "../../src/clock.ts";
import { VenueError } from "../../src/errors.ts";
import { readMissedBars } from "../../src/feeds/readBack.ts";
import { DatabaseAwayError } from "../../src/stores/postgres/database.ts";
import { fakeTime, settled } from "../actors/accounts/stage.ts";
import { iso, NOW } from "../support/accountScript.ts";
import {
  factsInShort,
  type FeedScript,
  feedScript,
  feedVenue,
  pastBar,
} from "../support/feedScript.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

const minute = (count: number) => NOW + count * MINUTE;

/** What a session recorded, in minutes before now. */
function fact(
  symbol: string,
  from: number,
  to: number,
  members: Partial<BarFact> = {},
): BarFact {
  return {
    kind: "fact",
    symbol,
    state: "live",
    from: iso(minute(-from)),
    to: iso(minute(-to)),
    session: "session-0/stock/1",
    ...members,
  };
}

function scriptOf(
  facts: readonly BarFact[],
  settings: Parameters<typeof feedScript>[0] = {},
): FeedScript {
  const script = feedScript(settings);
  script.store.facts.push(...facts);
  return script;
}

/** One pass; everything it kept is committed. */
async function pass(script: FeedScript) {
  const { run, store, queue } = script;
  const before = store.facts.length;
  try {
    return await readMissedBars(run, new AbortController().signal);
  } finally {
    store.commit(queue);
    news = factsInShort(store.facts.slice(before));
  }
}
/** The facts of the last pass. */
let news: string[] = [];

/** `AAPL 13:50`: what was committed. */
const barsOf = ({ store }: FeedScript) =>
  store.bars.map(
    ({ symbol, timestamp }) => `${symbol} ${timestamp.slice(11, 16)}`,
  );

const requestsOf = ({ history }: FeedScript) =>
  history.requests.map((request) => request.split(" ").slice(1).join(" "));

describe("a gap", () => {
  test("between two sessions is read back, and vouched for behind its bars", async () => {
    const script = scriptOf([fact("AAPL", 30, 20), fact("AAPL", 10, 0)]);
    script.history.minutes = [21, 20, 15, 11, 10].map((before) =>
      pastBar("AAPL", minute(-before)),
    );
    expect(await pass(script)).toEqual({ bars: 3, symbols: 1 });
    expect(requestsOf(script)).toEqual(["bars AAPL 13:40..13:50"]);
    expect(barsOf(script)).toEqual(["AAPL 13:40", "AAPL 13:45", "AAPL 13:49"]);
    expect(news).toEqual(["AAPL healed 13:40:00..13:50:00"]);
    expect(script.store.facts.at(-1)).toMatchObject({
      rows: 3,
      session: "session-1",
    });
    expect(script.run.board.gapSeconds).toBe(0);
    // And is none afterwards.
    expect(await pass(script)).toEqual({ bars: 0, symbols: 0 });
    expect(requestsOf(script)).toHaveLength(1);
  });

  test("in which the venue has nothing is confirmed as empty", async () => {
    const script = scriptOf([fact("AAPL", 30, 20), fact("AAPL", 10, 0)]);
    expect(await pass(script)).toEqual({ bars: 0, symbols: 1 });
    expect(news).toEqual(["AAPL confirmed_empty 13:40:00..13:50:00"]);
  });

  test("that is still open is read up to the minute that REST is sure to show", async () => {
    const script = scriptOf([fact("AAPL", 30, 20)]);
    jest.setSystemTime(new Date(NOW + 39 * SECOND));
    await pass(script);
    expect(news).toEqual(["AAPL confirmed_empty 13:40:00..13:59:00"]);
    jest.setSystemTime(new Date(NOW + 40 * SECOND));
    await pass(script);
    expect(news).toEqual(["AAPL confirmed_empty 13:59:00..14:00:00"]);
  });

  test("of a feed that is delayed is read up to what it would have told", async () => {
    const venue = feedVenue({ delayMs: 15 * MINUTE });
    const script = scriptOf([fact("AAPL", 30, 20)], { venue });
    await pass(script);
    expect(news).toEqual(["AAPL confirmed_empty 13:40:00..13:44:00"]);
  });

  test("that begins in the middle of a minute is read from its beginning: its bar was not told", async () => {
    const script = scriptOf([
      fact("AAPL", 30, 0),
      fact("AAPL", 20, 10, {
        state: "deaf",
        from: iso(minute(-20) + 23 * SECOND),
        session: "b",
      }),
    ]);
    script.history.minutes = [pastBar("AAPL", minute(-20))];
    expect(await pass(script)).toEqual({ bars: 1, symbols: 1 });
    expect(news).toEqual(["AAPL healed 13:40:00..13:50:00"]);
    expect(await pass(script)).toEqual({ bars: 0, symbols: 0 });
  });

  test("each is vouched for by itself; what lies between is read along, and does no harm", async () => {
    const script = scriptOf([
      fact("AAPL", 60, 50),
      fact("AAPL", 40, 30),
      fact("AAPL", 20, 0),
    ]);
    script.history.minutes = [45, 35].map((before) =>
      pastBar("AAPL", minute(-before)),
    );
    expect(await pass(script)).toEqual({ bars: 2, symbols: 1 });
    expect(requestsOf(script)).toEqual(["bars AAPL 13:10..13:40"]);
    expect(news).toEqual([
      "AAPL healed 13:10:00..13:20:00",
      "AAPL confirmed_empty 13:30:00..13:40:00",
    ]);
  });
});

describe("of a symbol", () => {
  test("that no fact tells of nothing was missed yet", async () => {
    const script = scriptOf([]);
    expect(await pass(script)).toEqual({ bars: 0, symbols: 0 });
    expect(requestsOf(script)).toEqual([]);
  });

  test("that nobody wants any more nothing is read", async () => {
    const script = scriptOf([fact("OLD", 30, 20), fact("OLD", 10, 0)]);
    expect(await pass(script)).toEqual({ bars: 0, symbols: 0 });
  });

  test("last known more than a week ago a week is read", async () => {
    const script = scriptOf([fact("AAPL", 20 * 1440, 19 * 1440)]);
    await pass(script);
    expect(script.store.facts.at(-1)).toMatchObject({
      state: "confirmed_empty",
      from: iso(NOW - 7 * DAY),
      to: iso(NOW - MINUTE),
    });
  });

  test("the bars of its siblings in one reading are told apart", async () => {
    const symbols = ["AAPL", "SPY"];
    const script = scriptOf(
      symbols.flatMap((each) => [fact(each, 30, 20), fact(each, 10, 0)]),
    );
    script.history.minutes = [pastBar("SPY", minute(-15))];
    expect(await pass(script)).toEqual({ bars: 1, symbols: 2 });
    expect(requestsOf(script)).toEqual(["bars AAPL,SPY 13:40..13:50"]);
    expect(news).toEqual([
      "AAPL confirmed_empty 13:40:00..13:50:00",
      "SPY healed 13:40:00..13:50:00",
    ]);
  });
});

test("hundreds of symbols are read a hundred at a time", async () => {
  const symbols = Array.from({ length: 250 }, (_, index) => `S${index}`);
  const script = scriptOf(
    symbols.map((symbol) => fact(symbol, 30, 20)),
    { wants: { bars: symbols } },
  );
  expect(await pass(script)).toEqual({ bars: 0, symbols: 250 });
  expect(
    requestsOf(script).map((line) => line.split(" ")[1]?.split(",").length),
  ).toEqual([100, 100, 50]);
  expect(news).toHaveLength(250);
});

describe("a REST side", () => {
  const gap = [fact("AAPL", 30, 20), fact("AAPL", 10, 0)];

  test("that fails half-way keeps what was read, vouches for nothing, and is asked again", async () => {
    const script = scriptOf(gap);
    script.history.minutes = [20, 18, 16, 14].map((before) =>
      pastBar("AAPL", minute(-before)),
    );
    let pages = 0;
    script.history.interrupt = () => {
      if (++pages === 2)
        throw new VenueError("bars page", { failure: "unavailable" });
    };
    const failure = await pass(script).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(VenueError);
    expect(barsOf(script)).toEqual(["AAPL 13:40", "AAPL 13:42"]);
    expect(news).toEqual([]);
    expect(script.run.board.gapSeconds).toBe(600);
    expect(await pass(script)).toEqual({ bars: 4, symbols: 1 });
    expect(news).toEqual(["AAPL healed 13:40:00..13:50:00"]);
    expect(script.run.board.gapSeconds).toBe(0);
  });

  test("that takes offence at one symbol gives the others theirs; that one stays a gap and is told", async () => {
    const symbols = Array.from({ length: 120 }, (_, index) => `S${index}`);
    const script = scriptOf(
      symbols.flatMap((each) => [fact(each, 30, 20), fact(each, 10, 0)]),
      { wants: { bars: symbols } },
    );
    script.history.minutes = symbols.map((each) => pastBar(each, minute(-15)));
    script.history.interrupt = () => {
      const [, names = ""] =
        /bars (\S+)/.exec(script.history.requests.at(-1) ?? "") ?? [];
      if (names.split(",").includes("S7"))
        throw new VenueError("invalid symbol: S7", { failure: "rejected" });
    };
    const failure = await pass(script).catch((error: unknown) => error);
    expect(failure).toMatchObject({ message: "invalid symbol: S7" });
    expect(new Set(barsOf(script)).size).toBe(119);
    expect(news).toHaveLength(119);
    expect(script.history.requests.length).toBeLessThan(25);
  });

  test("that refuses everything is asked once a pass", async () => {
    const script = scriptOf(gap);
    script.history.interrupt = () => {
      throw new VenueError("recent SIP data", { failure: "refused" });
    };
    await pass(script).catch(() => {});
    expect(script.history.requests).toHaveLength(1);
    expect(script.run.board.gapSeconds).toBe(600);
  });

  test("that holds back the newest minutes is asked once, and then for older ones only", async () => {
    const script = scriptOf([fact("AAPL", 40, 30), fact("AAPL", 10, 0)]);
    script.history.minutes = [28, 17, 12].map((before) =>
      pastBar("AAPL", minute(-before)),
    );
    script.history.heldBackMs = () => 15 * MINUTE;
    script.history.interrupt = () => {
      throw new VenueError("subscription does not permit", {
        failure: "rejected",
      });
    };
    expect(await pass(script).catch(String)).toContain("does not permit");
    expect(script.history.requests).toHaveLength(1);
    script.history.interrupt = () => {};
    await pass(script);
    expect(barsOf(script)).toEqual(["AAPL 13:32", "AAPL 13:43"]);
    expect(news).toHaveLength(1);
  });

  test("that there is none of leaves the gap shown as what it is", async () => {
    const script = scriptOf(gap, { history: undefined });
    expect(await pass(script)).toEqual({ bars: 0, symbols: 1 });
    expect(script.run.board.gapSeconds).toBe(600);
    expect(news).toEqual([]);
  });
});

test("a store that is away is not guessed at: nothing is read", async () => {
  const script = scriptOf([fact("AAPL", 30, 20)]);
  script.store.isAway = true;
  expect(await pass(script).catch((error: unknown) => error)).toBeInstanceOf(
    DatabaseAwayError,
  );
  expect(requestsOf(script)).toEqual([]);
});

test("a full queue is waited for, and the wait ends with the stop", async () => {
  const script = scriptOf([fact("AAPL", 30, 20), fact("AAPL", 10, 0)], {
    queueLengthMax: 1,
  });
  script.history.minutes = [18, 16, 14].map((before) =>
    pastBar("AAPL", minute(-before)),
  );
  const stop = new AbortController();
  let told: unknown = "waiting";
  void readMissedBars(script.run, stop.signal).catch((error: unknown) => {
    told = error;
  });
  await settled();
  expect([told, script.queue.length]).toEqual(["waiting", 1]);
  stop.abort(new Error("stopping"));
  await settled();
  expect(told).toEqual(new Error("stopping"));
});

import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { quoteSink, type QuoteWriter } from "../../../actors/sinks/quotes.ts";
import { stateOf } from "../../../actors/supervision/state.ts";
import type { LatestQuote } from "../../../schema/market.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { Coalescer } from "../../../src/flow/coalesce.ts";
import { startLoneTask } from "../../support/task.ts";
import { elapse, fakeTime, settled } from "../accounts/stage.ts";
import { seconds } from "../../support/network.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

const away = async () => {
  throw new Error("connection refused");
};
const never = () => new Promise<void>(() => {});

/** A store that is as the test wants it. */
class ScriptedStore implements QuoteWriter {
  countMax = 100;
  /** `1.5 open`, `2 write A1 B2`, `3 close`: the second, and what it was asked. */
  readonly log: string[] = [];
  /** What a reader sees: the bid by symbol. */
  readonly shown: Record<string, number> = {};
  opens: () => Promise<void> = async () => {};
  takes: () => Promise<void> = async () => {};

  async open(): Promise<void> {
    this.log.push(`${seconds()} open`);
    await this.opens();
  }

  async write(quotes: readonly LatestQuote[]): Promise<void> {
    const told = quotes.map(({ symbol, bid }) => `${symbol}${bid}`).join(" ");
    this.log.push(`${seconds()} write ${told}`);
    await this.takes();
    for (const { symbol, bid } of quotes) this.shown[symbol] = bid ?? 0;
  }

  close(): void {
    this.log.push(`${seconds()} close`);
  }

  /** Seconds at which it was asked to. */
  times(what: "open" | "write"): number[] {
    return this.log
      .filter((line) => line.includes(` ${what}`))
      .map((line) => Number(line.split(" ")[0]));
  }
}

/** A sink that flushes every 200 ms: a quote a second and symbol, twenty a second of all, forty at once. */
function stageOf() {
  const coalescer = new Coalescer<LatestQuote>({
    perKeyMs: SECOND,
    writesPerSecond: 20,
    burst: 40,
  });
  const tally = { written: 0, failed: 0, isFailing: false };
  const store = new ScriptedStore();
  return {
    store,
    tally,
    coalescer,
    quote: (symbol: string, bid: number) =>
      coalescer.set(symbol, { symbol, bid, timestamp: "2026-09-16T14:00:00Z" }),
    start: () =>
      startLoneTask(quoteSink, {
        coalescer,
        flushMs: 200,
        tally,
        writer: store,
      }),
  };
}

describe("a store that is well", () => {
  test("gets the latest quotes every flush interval, and hears nothing when there are none", async () => {
    const { store, quote, tally, start } = stageOf();
    quote("A", 1);
    quote("A", 2);
    quote("B", 1);
    const { actor, reports } = start();
    await elapse(1.1 * SECOND, 50);
    quote("A", 3);
    await elapse(SECOND, 50);
    expect(store.log).toEqual(["0 open", "0 write A2 B1", "1.2 write A3"]);
    expect(tally).toEqual({ written: 3, failed: 0, isFailing: false });
    expect(reports).toEqual([{ state: "opening" }, { state: "writing" }]);
    actor.stop();
  });

  test("is written to within the rate, in portions it takes", async () => {
    const { store, quote, start } = stageOf();
    store.countMax = 30;
    for (let index = 0; index < 500; index++) quote(`S${index}-`, 1);
    const { actor } = start();
    await elapse(4 * SECOND, 50);
    const sizes = store.log.slice(1).map((line) => line.split(" ").length - 2);
    expect(sizes.slice(0, 4)).toEqual([30, 14, 4, 4]);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(40 + 4 * 20);
    actor.stop();
  });

  test("whose write takes long gets no second one meanwhile, and nothing piles up", async () => {
    const { store, quote, start } = stageOf();
    const slow = Promise.withResolvers<void>();
    store.takes = () => slow.promise;
    quote("A", 1);
    const { actor } = start();
    for (let bid = 2; bid <= 100; bid++) {
      await elapse(50, 50);
      quote("A", bid);
    }
    expect(store.log).toEqual(["0 open", "0 write A1"]);
    slow.resolve();
    await elapse(200, 50);
    expect(store.log.slice(2)).toEqual(["5.15 write A100"]);
    actor.stop();
  });
});

describe("a store that is away", () => {
  test("at the start is asked again with growing waits up to 15 s, and gets the latest when it is there", async () => {
    const { store, quote, tally, start } = stageOf();
    store.opens = away;
    const { actor, reports } = start();
    for (let bid = 1; bid <= 120; bid++) {
      quote("A", bid);
      await elapse(SECOND, 100);
    }
    const tries = store.times("open");
    const waits = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
    expect(Math.max(...waits)).toBeLessThanOrEqual(15.2);
    expect(tries.length).toBeGreaterThan(10);
    expect(tries.length).toBeLessThan(30);
    expect(tally).toEqual({ written: 0, failed: 0, isFailing: true });
    expect(reports.at(-1)).toEqual({
      state: "opening",
      failures: tries.length,
      lastError: "connection refused",
    });

    store.opens = async () => {};
    await elapse(16 * SECOND, 100);
    expect(store.shown).toEqual({ A: 120 });
    expect(tally).toEqual({ written: 1, failed: 0, isFailing: false });
    expect(reports.at(-1)).toEqual({ state: "writing" });
    actor.stop();
  });

  test("in between costs no token and no quote: it is asked ever more seldom, then gets what is newest", async () => {
    const { store, quote, tally, start } = stageOf();
    quote("A", 1);
    const { actor, reports } = start();
    await settled();
    store.takes = away;
    for (let bid = 2; bid <= 60; bid++) {
      quote("A", bid);
      quote("B", bid);
      await elapse(SECOND, 100);
    }
    // Not even while the interval of a symbol leaves nothing to write does the wait begin anew.
    const tries = store.times("write").slice(1);
    expect(tries.length).toBeLessThan(15);
    expect(reports.at(-1)).toEqual({
      state: "retrying",
      failures: tries.length,
      lastError: "connection refused",
    });
    expect(tally).toMatchObject({ written: 1, isFailing: true });

    store.takes = async () => {};
    await elapse(16 * SECOND, 100);
    expect(store.shown).toEqual({ A: 60, B: 60 });
    expect(tally).toMatchObject({ written: 3, isFailing: false });
    expect(reports.at(-1)).toEqual({ state: "writing" });
    actor.stop();
  });

  test("and comes back empty is set up anew before the next write", async () => {
    const { store, quote, start } = stageOf();
    quote("A", 1);
    const { actor } = start();
    await settled();
    let isSetUp = false;
    store.opens = async () => void (isSetUp = true);
    store.takes = async () => {
      if (!isSetUp) throw new Error("no such table");
    };
    quote("B", 1);
    await elapse(5 * SECOND, 100);
    expect(store.shown).toEqual({ A: 1, B: 1 });
    expect(store.times("open")).toHaveLength(2);
    actor.stop();
  });

  test("and says nothing is given up after 10 s; a write that lands after all stands for a minute at most", async () => {
    const { store, quote, tally, start } = stageOf();
    const late = Promise.withResolvers<void>();
    store.takes = () => late.promise;
    quote("A", 1);
    const { actor, reports } = start();
    await elapse(9.9 * SECOND, 100);
    expect(tally.failed).toBe(0);
    await elapse(0.2 * SECOND, 100);
    expect(reports.at(-1)).toEqual({
      state: "retrying",
      failures: 1,
      lastError: "the store does not answer",
    });
    store.takes = async () => {};
    quote("A", 2);
    await elapse(SECOND, 100);
    expect(store.shown).toEqual({ A: 2 });
    late.resolve();
    await settled();
    expect(store.shown).toEqual({ A: 1 });
    await elapse(MINUTE, 100);
    expect(store.shown).toEqual({ A: 2 });
    expect(tally).toEqual({ written: 2, failed: 1, isFailing: false });
    actor.stop();
  });
});

describe("a shutdown", () => {
  test("writes what may be written, hangs up and is over", async () => {
    const { store, quote, start } = stageOf();
    const { actor, errors } = start();
    await elapse(100, 50);
    quote("A", 1);
    actor.send({ type: "shutdown" });
    await settled();
    expect(stateOf(actor)).toBe("finished");
    expect(store.log).toEqual(["0 open", "0.1 write A1", "0.1 close"]);
    expect(errors).toEqual([]);
  });

  test("lets the write in hand end, and writes what came meanwhile", async () => {
    const { store, quote, start } = stageOf();
    const slow = Promise.withResolvers<void>();
    store.takes = () => slow.promise;
    quote("A", 1);
    const { actor } = start();
    await settled();
    quote("B", 1);
    actor.send({ type: "shutdown" });
    slow.resolve();
    await settled();
    expect(stateOf(actor)).toBe("finished");
    expect(store.log).toEqual([
      "0 open",
      "0 write A1",
      "0 write B1",
      "0 close",
    ]);
  });

  test.each<[what: string, arrange: (store: ScriptedStore) => void]>([
    [
      "a store that does not open",
      (store) => {
        store.opens = never;
      },
    ],
    [
      "a write that hangs",
      (store) => {
        store.takes = never;
      },
    ],
  ])(
    "is not held up by %s: over within 0.7 s, without another try",
    async (_what, arrange) => {
      const { store, quote, start } = stageOf();
      arrange(store);
      quote("A", 1);
      const { actor, errors } = start();
      await elapse(100, 50);
      const asked = store.log.length;
      actor.send({ type: "shutdown" });
      await elapse(600, 50);
      expect(stateOf(actor)).not.toBe("finished");
      await elapse(100, 50);
      expect(stateOf(actor)).toBe("finished");
      expect(store.log.slice(asked)).toEqual(["0.8 close"]);
      expect(errors).toEqual([]);
    },
  );

  test("between two tries of a store that is away is over at once", async () => {
    const { store, quote, start } = stageOf();
    store.takes = away;
    quote("A", 1);
    const { actor } = start();
    await elapse(20 * SECOND, 100);
    const asked = store.log.length;
    actor.send({ type: "shutdown" });
    await settled();
    expect(stateOf(actor)).toBe("finished");
    expect(store.log.slice(asked)).toEqual(["20 close"]);
  });
});

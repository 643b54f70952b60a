import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { patiently } from "../../../actors/accounts/patience.ts";
import { firstOf, MINUTE, SECOND, sleep } from "../../../src/clock.ts";
import { VenueError, type VenueFailure } from "../../../src/errors.ts";
import { DatabaseAwayError } from "../../../src/stores/postgres/database.ts";
import {
  accountStage,
  elapse,
  fakeTime,
  settled,
  type Stage,
} from "./stage.ts";
import { seconds } from "../../support/network.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** Work that fails with `failure` until it is told to succeed, done patiently. */
function start({ run }: Pick<Stage, "run">, failure: unknown) {
  const stopping = new AbortController();
  const reports: Record<string, unknown>[] = [];
  /** Seconds of each try. */
  const tries: number[] = [];
  const work = { failure };
  const result = patiently(
    run,
    {
      report: (detail) => void reports.push(detail),
      stop: stopping.signal,
    },
    async () => {
      tries.push(seconds());
      if (work.failure !== undefined) throw work.failure;
      return "done";
    },
  ).catch((error: unknown) => ({ error }));
  return { result, reports, tries, work, stopping };
}

const venue = (failure: VenueFailure) =>
  new VenueError("orders page", { failure });
const coded = (code: string) => Object.assign(new Error("no"), { code });

test("what succeeds is not repeated", async () => {
  const { result, tries, reports } = start(accountStage(), undefined);
  expect(await result).toBe("done");
  expect([tries, reports]).toEqual([[0], []]);
});

describe("what passes is waited for", () => {
  test.each<[what: string, failure: Error]>([
    ["a venue that does not answer", venue("unavailable")],
    ["a venue that is asked too much", venue("throttled")],
    ["a database that has not been started", new DatabaseAwayError("away")],
    ["a database that refuses connections", coded("ECONNREFUSED")],
    ["a database that has no tables yet", coded("42P01")],
  ])("%s", async (_what, failure) => {
    const { result, reports, tries, work } = start(accountStage(), failure);
    await elapse(3 * MINUTE);
    // A second, doubled up to a minute, each half fixed and half random.
    const waits = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
    expect(waits.length).toBeGreaterThan(6);
    for (const [index, wait] of waits.entries()) {
      const longest = Math.min(2 ** index, 60);
      expect(wait).toBeGreaterThanOrEqual(longest / 2);
      expect(wait).toBeLessThanOrEqual(longest + 0.25);
    }
    expect(reports.slice(0, 2)).toEqual([
      { state: "retrying", failures: 1, lastError: failure.message },
      { state: "retrying", failures: 2, lastError: failure.message },
    ]);
    work.failure = undefined;
    await elapse(MINUTE);
    expect(await result).toBe("done");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("but not longer than until the stream listens again", async () => {
    const stage = accountStage();
    const { result, tries, work } = start(stage, venue("unavailable"));
    await elapse(40 * SECOND);
    const before = tries.length;
    work.failure = undefined;
    stage.run.listening.raise();
    await settled();
    expect(tries).toHaveLength(before + 1);
    expect(tries.at(-1)).toBe(40);
    expect(await result).toBe("done");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("and the stream that has listened all along is no reason to hurry", async () => {
    const stage = accountStage();
    stage.run.listening.raise();
    const { tries, stopping } = start(stage, venue("unavailable"));
    await settled();
    expect(tries).toEqual([0]);
    stopping.abort();
  });
});

describe("a refused key", () => {
  test("is left alone for half an hour", async () => {
    const { reports, tries, stopping } = start(
      accountStage(),
      venue("refused"),
    );
    await elapse(61 * MINUTE, SECOND);
    expect(tries.map((at) => at / 60)).toEqual([0, 30, 60]);
    expect(reports.at(-1)).toEqual({
      state: "refused",
      failures: 3,
      lastError: "orders page",
    });
    stopping.abort();
  });

  test("is asked again the moment the stream finds it accepted", async () => {
    const stage = accountStage();
    const { result, tries, work } = start(stage, venue("refused"));
    await elapse(5 * MINUTE);
    work.failure = undefined;
    stage.run.listening.raise();
    expect(await result).toBe("done");
    expect(tries).toEqual([0, 300]);
    expect(jest.getTimerCount()).toBe(0);
  });
});

test.each<[what: string, failure: unknown]>([
  ["a request the venue rejects", venue("rejected")],
  ["what the venue does not have", venue("absent")],
  ["a bug", new TypeError("no such thing")],
  ["a statement that is wrong", coded("42601")],
])("%s is thrown at once", async (_what, failure) => {
  const { result, tries, reports } = start(accountStage(), failure);
  expect(await result).toEqual({ error: failure });
  expect([tries, reports]).toEqual([[0], []]);
});

describe("a stop", () => {
  test.each([venue("unavailable"), venue("refused")])(
    "while it waits ends the wait with the stop's own reason (%s)",
    async (failure) => {
      const { result, tries, stopping } = start(accountStage(), failure);
      await elapse(100);
      stopping.abort();
      expect(await result).toEqual({ error: stopping.signal.reason });
      expect(tries).toEqual([0]);
      expect(jest.getTimerCount()).toBe(0);
    },
  );

  test("while it works: what the work then fails with is no news", async () => {
    const { run } = accountStage();
    const stopping = new AbortController();
    const { promise, reject } = Promise.withResolvers<never>();
    const reports: unknown[] = [];
    const result = patiently(
      run,
      { report: (detail) => reports.push(detail), stop: stopping.signal },
      () => promise,
    ).catch((error: unknown) => error);
    stopping.abort();
    reject(venue("unavailable"));
    expect(await result).toBe(stopping.signal.reason);
    expect(reports).toEqual([]);
  });
});

describe("the first of several waits", () => {
  test("ends them all", async () => {
    const { run } = accountStage();
    const ended: string[] = [];
    const waiting = firstOf(new AbortController().signal, (signal) => [
      sleep(MINUTE, signal).finally(() => ended.push("sleep")),
      run.listening.after(0, signal).finally(() => ended.push("listening")),
    ]);
    run.listening.raise();
    await waiting;
    await settled();
    expect(ended.sort()).toEqual(["listening", "sleep"]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("that fails fails the wait", async () => {
    const failed = firstOf(new AbortController().signal, () => [
      Promise.reject(new Error("no")),
      sleep(MINUTE),
    ]);
    expect(await failed.catch(String)).toBe("Error: no");
    jest.clearAllTimers();
  });
});

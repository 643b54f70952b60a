import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { type Priority, RateBudget } from "../../src/flow/rate.ts";

beforeEach(() => void jest.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void jest.useRealTimers());

async function settle() {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

function callers(budget: RateBudget, log: string[]) {
  return (priority: Priority, name: string, signal?: AbortSignal) =>
    void budget.acquire(priority, signal).then(
      () => log.push(name),
      (error: unknown) => log.push(`${name}: ${String(error)}`),
    );
}

test("whoever has the higher priority is served first, among equals the first who came", async () => {
  const budget = new RateBudget({ perMinute: 10 });
  const log: string[] = [];
  const call = callers(budget, log);
  call("backfill", "burst");
  call("backfill", "b1");
  call("healing", "h1");
  call("backfill", "b2");
  call("live", "l1");
  call("healing", "h2");
  expect(budget.waiting).toBe(5);
  jest.advanceTimersByTime(60_000);
  await settle();
  expect(log).toEqual(["burst", "l1", "h1", "h2", "b1", "b2"]);
});

test("no minute, wherever it begins, sees more than the limit", async () => {
  const budget = new RateBudget({ perMinute: 200 });
  const at: number[] = [];
  for (let call = 0; call < 1000; call++)
    void budget.acquire("backfill").then(() => at.push(Date.now()));
  for (let step = 0; step < 6000; step++) {
    jest.advanceTimersByTime(100);
    await settle();
  }
  expect(at.length).toBe(1000);
  for (const start of at)
    expect(
      at.filter((time) => time >= start && time < start + 60_000).length,
    ).toBeLessThanOrEqual(200);
});

test("a 429 holds everybody back until the time it names, at most a minute", async () => {
  const budget = new RateBudget({ perMinute: 600 });
  const log: string[] = [];
  const call = callers(budget, log);
  budget.pauseUntil(Date.now() + 5000);
  call("live", "first");
  jest.advanceTimersByTime(4999);
  await settle();
  expect(log).toEqual([]);
  jest.advanceTimersByTime(2);
  await settle();
  expect(log).toEqual(["first"]);
  budget.pauseUntil(Date.now() + 86_400_000);
  call("live", "second");
  jest.advanceTimersByTime(60_001);
  await settle();
  expect(log).toEqual(["first", "second"]);
});

test("the venue's own count is believed: a lower limit slows, a spent budget waits for its reset", async () => {
  const budget = new RateBudget({ perMinute: 600 });
  const log: string[] = [];
  const call = callers(budget, log);
  budget.observe({ limit: 600, remaining: 0, resetAtMs: Date.now() + 3000 });
  call("live", "after reset");
  jest.advanceTimersByTime(2900);
  await settle();
  expect(log).toEqual([]);
  jest.advanceTimersByTime(200);
  await settle();
  expect(log).toEqual(["after reset"]);
});

test("who is aborted leaves the line and costs nobody a turn", async () => {
  const budget = new RateBudget({ perMinute: 10 });
  const log: string[] = [];
  const call = callers(budget, log);
  const stop = new AbortController();
  call("live", "burst");
  call("live", "gone", stop.signal);
  call("backfill", "next");
  stop.abort(new Error("enough"));
  jest.advanceTimersByTime(7000);
  await settle();
  expect(log).toEqual(["burst", "gone: Error: enough", "next"]);
  expect(budget.waiting).toBe(0);
});

import { expect, test } from "bun:test";
import { JobBoard, type SymbolResult } from "../../src/registry/jobs.ts";

const board = () => new JobBoard(() => Date.parse("2026-09-18T16:00:00Z"));
const AT = "2026-09-18T16:00:00.000Z";
const result = (
  symbol: string,
  more: Partial<SymbolResult> = {},
): SymbolResult => ({
  symbol,
  strategy: "flatpack",
  status: "success",
  phases: {},
  elapsed: 1,
  ...more,
});
const idOf = (jobs: JobBoard, ...symbols: string[]) =>
  jobs.submit("execute", symbols)?.job_id ?? "none";

test("a job waits, runs, tells its progress and is completed; a symbol that is named twice is one", () => {
  const jobs = board();
  const id = idOf(jobs, "AAPL", "SPY", "AAPL");
  const pending = {
    job_id: id,
    kind: "execute",
    tickers: ["AAPL", "SPY"],
    state: "pending",
    submitted_at: AT,
    started_at: null,
    completed_at: null,
    message: null,
    progress: { done: 0, total: 2 },
    result: null,
    error: null,
  };
  expect<unknown>(jobs.list()).toEqual([pending]);
  expect(jobs.take()?.job.job_id).toBe(id);
  expect(jobs.take()).toBe(undefined);
  jobs.noteResult(id, result("AAPL"));
  expect<unknown>(jobs.find(id)).toEqual({
    ...pending,
    state: "running",
    started_at: AT,
    progress: { done: 1, total: 2 },
    result: [result("AAPL")],
  });
  jobs.noteResult(id, result("SPY", { status: "locked" }));
  jobs.finish(id);
  expect(jobs.find(id)).toMatchObject({
    state: "completed",
    completed_at: AT,
    error: null,
  });
});

test("a job fails with its symbols, each by name, or as a whole", () => {
  const jobs = board();
  const [first, second] = [idOf(jobs, "AAPL", "SPY"), idOf(jobs, "QQQ")];
  jobs.take();
  jobs.noteResult(first, result("AAPL", { status: "error", error: "no" }));
  jobs.noteResult(first, result("SPY"));
  jobs.finish(first);
  jobs.take();
  jobs.finish(second, "the store is away");
  expect(jobs.list().map(({ state, error }) => [state, error])).toEqual([
    ["failed", "the store is away"],
    ["failed", "AAPL: no"],
  ]);
});

test("a job that waits is cancelled at once, one that runs by its signal, one that is over not at all", () => {
  const jobs = board();
  const [running, waiting] = [idOf(jobs, "AAPL"), idOf(jobs, "SPY")];
  const taken = jobs.take();
  expect([
    jobs.cancel(waiting),
    jobs.cancel(running),
    jobs.cancel("none"),
  ]).toEqual([true, true, false]);
  expect(taken?.cancelled.aborted).toBe(true);
  jobs.finish(running);
  expect(jobs.list().map(({ state }) => state)).toEqual([
    "cancelled",
    "cancelled",
  ]);
  expect([jobs.take(), jobs.cancel(waiting), jobs.cancel(running)]).toEqual([
    undefined,
    false,
    false,
  ]);
});

test("no more than a thousand wait, and two hundred that are over are remembered", () => {
  const jobs = board();
  for (let count = 0; count < 1000; count++) idOf(jobs, "AAPL");
  expect(jobs.submit("execute", ["SPY"])).toBe(undefined);
  for (let taken = jobs.take(); taken !== undefined; taken = jobs.take())
    jobs.finish(taken.job.job_id);
  const last = idOf(jobs, "SPY");
  expect(jobs.list()).toHaveLength(201);
  expect(jobs.list()[0]?.job_id).toBe(last);
});

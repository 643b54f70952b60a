import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { batchDue } from "../../src/flow/batch.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";

const bounds = { sizeMax: 3, waitMsMax: 50 };

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function watch(
  queue: BoundedQueue<number>,
  signal: AbortSignal,
  idleMs?: number,
) {
  const log: string[] = [];
  void batchDue(queue, bounds, signal, idleMs).then(
    (trigger) => log.push(trigger),
    (error: unknown) => log.push(String(error)),
  );
  return log;
}

/** Lets promises run; no time passes. */
async function settle() {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

test("a full batch is due at once, by size", async () => {
  const queue = new BoundedQueue<number>(10);
  const log = watch(queue, new AbortController().signal);
  for (const item of [1, 2, 3]) queue.offer(item);
  await settle();
  expect(log).toEqual(["size"]);
  expect(queue.length).toBe(3);
});

test("the first item waits no longer than the limit, then time closes the batch", async () => {
  const queue = new BoundedQueue<number>(10);
  const log = watch(queue, new AbortController().signal);
  jest.advanceTimersByTime(1000);
  await settle();
  queue.offer(1);
  await settle();
  jest.advanceTimersByTime(49);
  await settle();
  expect(log).toEqual([]);
  jest.advanceTimersByTime(1);
  await settle();
  expect(log).toEqual(["time"]);
});

test("without a wait whatever is there is due at once, and nothing is not", async () => {
  const queue = new BoundedQueue<number>(10);
  const log: string[] = [];
  const hurried = { sizeMax: 3, waitMsMax: 0 };
  const due = () =>
    batchDue(queue, hurried, new AbortController().signal, 500).then(
      (trigger) => log.push(`${trigger} ${queue.takeUpTo(3).join(" ")}`),
    );
  void due();
  await settle();
  expect(log).toEqual([]);
  // A frame of two: the first does not go alone.
  queue.offer(1);
  queue.offer(2);
  await settle();
  for (const item of [3, 4, 5, 6]) queue.offer(item);
  await due();
  await due();
  expect(log).toEqual(["time 1 2", "size 3 4 5", "time 6"]);
  expect(jest.getTimerCount()).toBe(0);
});

test("with nothing to do it says so after the idle time", async () => {
  const queue = new BoundedQueue<number>(10);
  const log = watch(queue, new AbortController().signal, 500);
  jest.advanceTimersByTime(500);
  await settle();
  expect(log).toEqual(["idle"]);
});

test("aborted, it rejects, leaves the items and leaves no timer", async () => {
  const queue = new BoundedQueue<number>(10);
  const stop = new AbortController();
  const log = watch(queue, stop.signal, 500);
  queue.offer(1);
  await settle();
  stop.abort(new Error("stopped"));
  await settle();
  expect(log).toEqual(["Error: stopped"]);
  expect(queue.length).toBe(1);
  expect(jest.getTimerCount()).toBe(0);
});

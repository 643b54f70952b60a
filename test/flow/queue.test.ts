import { expect, test } from "bun:test";
import { BoundedQueue } from "../../src/flow/queue.ts";

const never = new AbortController().signal;

test("items come out in the order they went in, however they are taken", () => {
  const queue = new BoundedQueue<number>(10);
  for (let item = 0; item < 7; item++) queue.offer(item);
  expect([queue.takeUpTo(3), queue.takeUpTo(100), queue.takeUpTo(1)]).toEqual([
    [0, 1, 2],
    [3, 4, 5, 6],
    [],
  ]);
});

test("a full queue refuses an offer and keeps what it has", () => {
  const queue = new BoundedQueue<number>(2);
  expect([queue.offer(1), queue.offer(2), queue.offer(3)]).toEqual([
    true,
    true,
    false,
  ]);
  expect(queue.takeUpTo(5)).toEqual([1, 2]);
});

test("put leaves the last quarter to offers and goes on when there is room", async () => {
  const queue = new BoundedQueue<string>(4);
  await queue.put("a", never);
  await queue.put("b", never);
  await queue.put("c", never);
  const log: string[] = [];
  const putting = queue.put("d", never).then(() => log.push("put"));
  await Bun.sleep(0);
  expect(log).toEqual([]);
  expect(queue.offer("live")).toBe(true);
  expect(queue.takeUpTo(1)).toEqual(["a"]);
  await Bun.sleep(0);
  expect(log).toEqual([]);
  expect(queue.takeUpTo(1)).toEqual(["b"]);
  await putting;
  expect(queue.takeUpTo(9)).toEqual(["c", "live", "d"]);
});

test("many that wait to put never overfill it", async () => {
  const queue = new BoundedQueue<number>(8);
  let put = 0;
  const puts = Array.from({ length: 100 }, (_, item) =>
    queue.put(item, never).then(() => put++),
  );
  const taken: number[] = [];
  while (taken.length < 100) {
    await Bun.sleep(0);
    expect(queue.length).toBeLessThanOrEqual(6);
    taken.push(...queue.takeUpTo(3));
  }
  await Promise.all(puts);
  expect(taken.sort((a, b) => a - b)).toEqual(
    Array.from({ length: 100 }, (_, item) => item),
  );
});

test("an aborted wait rejects with the reason and takes nothing", async () => {
  const queue = new BoundedQueue<number>(1);
  queue.offer(1);
  const stop = new AbortController();
  const putting = queue.put(2, stop.signal);
  const holding = queue.whenHolding(5, stop.signal);
  const reason = new Error("enough");
  stop.abort(reason);
  expect(await putting.catch((error) => error)).toBe(reason);
  expect(await holding.catch((error) => error)).toBe(reason);
  expect(queue.takeUpTo(5)).toEqual([1]);
});

test("relief comes when it is half empty", async () => {
  const queue = new BoundedQueue<number>(4);
  for (let item = 0; item < 4; item++) queue.offer(item);
  const log: string[] = [];
  const relieved = queue.whenRelieved(never).then(() => log.push("relieved"));
  queue.takeUpTo(1);
  await Bun.sleep(0);
  expect(log).toEqual([]);
  queue.takeUpTo(1);
  await relieved;
  expect(log).toEqual(["relieved"]);
});

test("a queue that is never quite empty does not grow", () => {
  const queue = new BoundedQueue<number>(4);
  queue.offer(-1);
  for (let item = 0; item < 10_000; item++) {
    queue.offer(item);
    expect(queue.takeUpTo(1)).toEqual([item - 1]);
  }
  expect(queue.length).toBe(1);
});

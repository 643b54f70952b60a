import { expect, test } from "bun:test";
import fc from "fast-check";
import { openRing } from "../../src/flow/ring.ts";

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

function ringOf(lengthMax: number) {
  const gone: number[] = [];
  const ring = openRing<number>({
    lengthMax,
    onDropped: (item) => gone.push(item),
  });
  /** What a sink does: reads, and has delivered all of it. */
  const deliver = (limit: number) => {
    const records = ring.read("sink", limit);
    const last = records.at(-1);
    if (last !== undefined) ring.advance("sink", last.sequence);
    return records.map(({ item }) => item);
  };
  return { ring, gone, deliver };
}

test("what is within the bound comes back in order, and is read again until it was delivered", () => {
  const { ring, deliver } = ringOf(10);
  ring.append(range(0, 7));
  const items = (limit: number) =>
    ring.read("sink", limit).map(({ item }) => item);
  expect([items(3), items(5), items(2)]).toEqual([
    [0, 1, 2],
    [0, 1, 2, 3, 4],
    [0, 1],
  ]);
  expect(ring.depth("sink")).toBe(7);
  expect([deliver(4), deliver(100), deliver(1)]).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6],
    [],
  ]);
  expect([ring.depth("sink"), ring.dropped]).toEqual([0, 0]);
});

test("beyond the bound the oldest gives way and is counted", () => {
  const { ring, gone, deliver } = ringOf(5);
  ring.append(range(0, 4));
  ring.append(range(4, 12));
  expect(gone).toEqual(range(0, 7));
  expect([ring.dropped, ring.depth("sink")]).toEqual([7, 5]);
  expect(deliver(10)).toEqual(range(7, 12));
});

test("what is being written does not give way: the next oldest does", () => {
  const { ring, gone } = ringOf(5);
  ring.append(range(0, 5));
  const [first, second] = ring.read("sink", 2);
  ring.append(range(5, 9));
  expect(gone).toEqual([2, 3, 4, 5]);
  ring.advance("sink", first?.sequence ?? 0);
  expect(ring.read("sink", 9)).toEqual([
    { sequence: second?.sequence ?? 0, item: 1 },
    ...[6, 7, 8].map((item) => ({ sequence: item + 1, item })),
  ]);
});

test("the end counts what is still there, in hand or not", () => {
  const { ring, gone } = ringOf(5);
  ring.append(range(0, 4));
  ring.read("sink", 1);
  ring.close();
  expect(gone).toEqual([0, 1, 2, 3]);
  expect([ring.dropped, ring.depth("sink")]).toEqual([4, 0]);
});

test("it says of itself what a spool says, and is never full", () => {
  const { ring } = ringOf(2);
  ring.append(range(0, 3));
  expect(ring.status()).toEqual({
    path: ":memory:",
    records: 2,
    bytes: 0,
    cursors: {},
    full: false,
  });
});

test("whatever is appended, read and delivered when: each item is delivered or dropped, once, in order", () => {
  const step = fc.oneof(
    fc.record({ append: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ read: fc.integer({ min: 1, max: 6 }), delivered: fc.nat(6) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { ring, gone } = ringOf(8);
      const delivered: number[] = [];
      let made = 0;
      for (const each of steps) {
        if ("append" in each) {
          ring.append(range(made, made + each.append));
          made += each.append;
          expect(ring.depth("sink")).toBeLessThanOrEqual(8);
        } else {
          const records = ring.read("sink", each.read);
          const taken = records.slice(0, each.delivered);
          delivered.push(...taken.map(({ item }) => item));
          const last = taken.at(-1);
          if (last !== undefined) ring.advance("sink", last.sequence);
        }
      }
      expect(delivered).toEqual(delivered.toSorted((a, b) => a - b));
      ring.close();
      expect([...delivered, ...gone].sort((a, b) => a - b)).toEqual(
        range(0, made),
      );
      expect(ring.dropped).toBe(gone.length);
    }),
  );
});

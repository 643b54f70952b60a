import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  clip,
  type Interval,
  subtract,
  union,
} from "../../src/accounts/intervals.ts";

const LENGTH = 40;
const intervals = fc.array(
  fc
    .tuple(
      fc.integer({ min: 0, max: LENGTH }),
      fc.integer({ min: -3, max: 12 }),
    )
    .map(([from, length]) => ({ from, to: Math.min(from + length, LENGTH) })),
  { maxLength: 12 },
);

/** The same as a set of points: what interval arithmetic is held against. */
function points(list: readonly Interval[]): Set<number> {
  const set = new Set<number>();
  for (const { from, to } of list)
    for (let at = from; at < to; at++) set.add(at);
  return set;
}

function isTidy(list: readonly Interval[]): boolean {
  return list.every(
    ({ from, to }, index) =>
      from < to && from > (list[index - 1]?.to ?? Number.NEGATIVE_INFINITY),
  );
}

test("a union has the points of all, in order, and no two of it touch", () => {
  fc.assert(
    fc.property(intervals, (list) => {
      const joined = union(list);
      expect(points(joined)).toEqual(points(list));
      expect(isTidy(joined)).toBe(true);
    }),
  );
});

test("a difference has the points of the first that no other holds", () => {
  fc.assert(
    fc.property(intervals, intervals, (list, taken) => {
      const rest = subtract(list, taken);
      expect(points(rest)).toEqual(points(list).difference(points(taken)));
      expect(isTidy(rest)).toBe(true);
    }),
  );
});

test("a clip has the points inside the range", () => {
  fc.assert(
    fc.property(intervals, intervals, (list, [range]) => {
      fc.pre(range !== undefined);
      expect(points(clip(list, range))).toEqual(
        points(list).intersection(points([range])),
      );
    }),
  );
});

test("arguments are left as they were, and times that are none vanish", () => {
  const list = [
    { from: 5, to: 9 },
    { from: 1, to: 6 },
    { from: Number.NaN, to: 8 },
  ];
  const before = structuredClone(list);
  expect(union(list)).toEqual([{ from: 1, to: 9 }]);
  expect(subtract(list, [{ from: Number.NaN, to: 4 }])).toEqual([
    { from: 1, to: 9 },
  ]);
  expect(list).toEqual(before);
});

test("a month of a link that flaps every minute is subtracted piece by piece", () => {
  const sessions = Array.from({ length: 43_200 }, (_, minute) => ({
    from: minute * 60,
    to: minute * 60 + 50,
  }));
  const rest = subtract([{ from: 0, to: 43_200 * 60 }], sessions);
  expect(rest.length).toBe(43_200);
  expect(rest.at(-1)).toEqual({ from: 43_199 * 60 + 50, to: 43_200 * 60 });
});

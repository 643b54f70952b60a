import { expect, test } from "bun:test";
import fc from "fast-check";
import { backoffMs } from "../src/backoff.ts";

const BOUNDS = { baseMs: 1000, maxMs: 60_000 };

test.each([
  [1, 1000],
  [2, 2000],
  [3, 4000],
  [6, 32_000],
  [7, 60_000],
  [8, 60_000],
  [1e9, 60_000],
  // Nobody has failed yet, or counts wrongly: it is the first wait.
  [0, 1000],
  [-3, 1000],
])(
  "after %i failures the wait is from half of %i ms to all of it",
  (failures, ceilingMs) => {
    expect(backoffMs(failures, BOUNDS, () => 0)).toBe(ceilingMs / 2);
    expect(backoffMs(failures, BOUNDS, () => 0.5)).toBe(ceilingMs * 0.75);
    expect(backoffMs(failures, BOUNDS, () => 1)).toBe(ceilingMs);
  },
);

test("a base beyond the longest wait waits no longer than that", () => {
  expect(backoffMs(1, { baseMs: 5000, maxMs: 100 }, () => 1)).toBe(100);
});

test("whatever the failures and the bounds, it is whole milliseconds within them", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5, max: 2 ** 31 }),
      fc.integer({ min: 0, max: 120_000 }),
      fc.integer({ min: 0, max: 24 * 3_600_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (failures, baseMs, maxMs, chance) => {
        const waitMs = backoffMs(failures, { baseMs, maxMs }, () => chance);
        expect(Number.isInteger(waitMs)).toBe(true);
        expect(waitMs).toBeGreaterThanOrEqual(Math.min(baseMs, maxMs) / 2 - 1);
        expect(waitMs).toBeLessThanOrEqual(maxMs);
      },
    ),
  );
});

test("without a dice of its own it is spread", () => {
  const waits = new Set(Array.from({ length: 50 }, () => backoffMs(7, BOUNDS)));
  expect(waits.size).toBeGreaterThan(20);
});

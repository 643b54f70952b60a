import { expect, test } from "bun:test";
import { DAY, HOUR, MINUTE } from "../../../src/clock.ts";
import { Chance } from "../../../src/venues/simulated/chance.ts";
import type { Life } from "../../../src/venues/simulated/lives.ts";
import { playPast } from "../../../src/venues/simulated/past.ts";

/** A Monday, midnight in New York. */
const MONDAY = Date.parse("2026-09-14T04:00:00Z");

function play(
  ordersPerDay: number,
  days: number,
  lifeOf: (number: number) => Life,
  seed = 1,
) {
  const moments: { ms: number; word: string }[] = [];
  let nowMs = 0;
  let begun = 0;
  const unfinished = playPast({
    fromMs: MONDAY,
    toMs: MONDAY + days * DAY,
    ordersPerDay,
    chance: new Chance(seed),
    at: (ms) => (nowMs = ms),
    begin: () => lifeOf(++begun),
    step: (life) => {
      const { done, value } = life.next();
      moments.push({ ms: nowMs, word: done === true ? "over" : `${value}` });
      return done === true ? undefined : value;
    },
  });
  return { moments, unfinished, begun };
}

test("lives are played into one another, each moment after the one before", () => {
  const { moments, begun } = play(200, 2, function* (number) {
    yield number % 3 === 0 ? 2 * HOUR : MINUTE;
    yield MINUTE;
  });
  const times = moments.map(({ ms }) => ms);
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
  expect(begun).toBeGreaterThan(200);
  // Some began while the slow ones waited.
  expect(moments.findIndex(({ word }) => word === "over")).toBeLessThan(
    moments.length / 10,
  );
});

test("what reaches into the present is handed over with its moment, and nothing is played there", () => {
  const { moments, unfinished, begun } = play(10, 1, function* () {
    yield 3 * DAY;
  });
  expect(moments.map(({ word }) => word)).toEqual(
    Array(begun).fill(String(3 * DAY)),
  );
  expect(unfinished.map(({ atMs }) => atMs)).toEqual(
    moments.map(({ ms }) => ms + 3 * DAY),
  );
});

test("a life that does not wait is over before the next one begins", () => {
  const words: number[] = [];
  const { begun } = play(20, 2, function* (number) {
    yield 0;
    words.push(number);
    yield 0;
    words.push(number);
  });
  expect(words).toEqual(
    Array.from({ length: begun }, (_, index) => [index + 1, index + 1]).flat(),
  );
});

test("orders are placed mostly while the exchange is open, and fewest on days without a session", () => {
  const { moments } = play(1000, 7, function* () {});
  const day = (ms: number) => new Date(ms - 4 * HOUR).getUTCDay();
  const perDay = [0, 1, 2, 3, 4, 5, 6].map(
    (wanted) => moments.filter(({ ms }) => day(ms) === wanted).length,
  );
  for (const working of perDay.slice(1, 6))
    expect(working).toBeGreaterThan(600);
  for (const weekend of [perDay[0] ?? 0, perDay[6] ?? 0]) {
    expect(weekend).toBeGreaterThan(50);
    expect(weekend).toBeLessThan(150);
  }
});

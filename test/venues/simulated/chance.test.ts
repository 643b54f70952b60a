import { expect, test } from "bun:test";
import { Chance } from "../../../src/venues/simulated/chance.ts";

function draws(chance: Chance, count: number): number[] {
  return Array.from({ length: count }, () => chance.next());
}

test("one seed, one course of events; another seed, another one", () => {
  const seeds = [7, 8, "7/alpha/0", "7/alpha/1", "7/beta/0"];
  const courses = seeds.map((seed) => draws(new Chance(seed), 50));
  expect(seeds.map((seed) => draws(new Chance(seed), 50))).toEqual(courses);
  expect(new Set(courses.map(String)).size).toBe(seeds.length);
});

test("numbers stay in their bounds, reach both, and are spread evenly", () => {
  const chance = new Chance(1);
  const counts = new Map<number, number>();
  for (let draw = 0; draw < 6000; draw++) {
    const number = chance.between(3, 8);
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual([3, 4, 5, 6, 7, 8]);
  for (const count of counts.values())
    expect(Math.abs(count - 1000)).toBeLessThan(150);
});

test("what is weighed comes as often as its weight says", () => {
  const chance = new Chance(2);
  const items = [
    { name: "often", weight: 90 },
    { name: "seldom", weight: 10 },
    { name: "never", weight: 0 },
  ];
  const names = Array.from({ length: 2000 }, () => chance.weighed(items).name);
  const seldom = names.filter((name) => name === "seldom").length;
  expect(new Set(names)).toEqual(new Set(["often", "seldom"]));
  expect(Math.abs(seldom - 200)).toBeLessThan(60);
});

test("its uuids are of version 4, and no two are the same", () => {
  const chance = new Chance(3);
  const uuids = Array.from({ length: 1000 }, () => chance.uuid());
  for (const uuid of uuids)
    expect(uuid).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  expect(new Set(uuids).size).toBe(uuids.length);
});

test("there is nothing to pick from nothing", () => {
  expect(() => new Chance(1).pick([])).toThrow(RangeError);
});

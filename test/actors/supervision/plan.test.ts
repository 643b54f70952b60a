import { expect, test } from "bun:test";
import { fallout, isRestarted } from "../../../actors/supervision/plan.ts";

test.each([
  ["one_for_one", 1, []],
  ["rest_for_one", 1, [2, 3]],
  ["rest_for_one", 3, []],
  ["one_for_all", 1, [0, 2, 3]],
] as const)(
  "%s: of four, number %d takes down %p",
  (strategy, position, fallen) => {
    expect(fallout(strategy, position, 4)).toEqual([...fallen]);
  },
);

test.each([
  ["permanent", true, true],
  ["permanent", false, true],
  ["transient", true, true],
  ["transient", false, false],
  ["temporary", true, false],
  ["temporary", false, false],
] as const)("%s, failed %p: restarted %p", (restart, failed, restarted) => {
  expect(isRestarted(restart, failed)).toBe(restarted);
});

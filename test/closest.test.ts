import { expect, test } from "bun:test";
import { closest } from "../src/closest.ts";

test.each([
  ["audt", "audit"],
  ["stauts", "status"],
  ["tre", "tree"],
  ["tree", "tree"],
  ["TREE", undefined],
  ["spools", "spool"],
  ["backup everything", undefined],
  ["", undefined],
])("%p is nearest to %p", (name, expected) => {
  const names = ["audit", "status", "tree", "spool", "serve"];
  expect(closest(name, names)).toBe(expected);
});

test("nothing is near when there is nothing", () => {
  expect(closest("audit", [])).toBeUndefined();
});

/** Times that the venue counts in three units, as text without a lost digit. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { nanosOf } from "../../../schema/instant.ts";
import { timeOfCount, timeOfMs } from "../../../src/venues/polygon/instants.ts";

test.each([
  [1_651_684_192_462, "2022-05-04T17:09:52.462Z"],
  [1_651_684_192_007, "2022-05-04T17:09:52.007Z"],
  [1_651_684_192_000, "2022-05-04T17:09:52Z"],
  [1_651_684_193_010, "2022-05-04T17:09:53.010Z"],
])("%d ms are %s", (ms, text) => {
  expect(timeOfMs(ms)).toBe(text);
});

test.each([
  ["1651251948", "2022-04-29T17:05:48Z"],
  ["1651251948294", "2022-04-29T17:05:48.294Z"],
  ["1601316752683746", "2020-09-28T18:12:32.683746Z"],
  ["1651251948294080343", "2022-04-29T17:05:48.294080343Z"],
  ["1605195918306274000", "2020-11-12T15:45:18.306274Z"],
  ["1651251948000000000", "2022-04-29T17:05:48Z"],
])("%s is %s, by its magnitude", (count, text) => {
  expect(timeOfCount(count)).toBe(text);
});

test.each(["0", "", "-68400000000000", "165125194829", "1.65e18", "null"])(
  "%p is no time",
  (count) => {
    expect(timeOfCount(count)).toBeUndefined();
  },
);

test("no nanosecond is lost", () => {
  const nanos = fc.bigInt({ min: 10n ** 18n, max: 2n * 10n ** 18n });
  fc.assert(
    fc.property(nanos, (count) => {
      expect(nanosOf(timeOfCount(String(count)) ?? "")).toBe(count);
    }),
  );
});

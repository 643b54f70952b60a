/** The venue's name for a fill, held against what was measured: nearest microsecond, then milliseconds cut, New York's clock. */
import { expect, test } from "bun:test";
import { microsOf } from "../../../schema/instant.ts";
import { activityId } from "../../../src/venues/alpaca/activityId.ts";
import { uuid } from "../../support/accountScript.ts";

test.each([
  // Stream time of a fill, or REST's where no other is known, and the prefix of its id.
  ["2026-10-08T15:10:18.097464903Z", "20261008111018097"],
  ["2026-10-08T15:10:19.061298673Z", "20261008111019061"],
  ["2026-10-08T15:10:40.503140928Z", "20261008111040503"],
  ["2026-10-08T15:10:42.191100621Z", "20261008111042191"],
  ["2026-10-08T15:10:19.730663084Z", "20261008111019730"],
  ["2026-10-08T15:10:24.01080215Z", "20261008111024010"],
  ["2024-06-24T13:30:04.214535Z", "20240624093004214"],
  ["2022-02-02T18:55:09.981482Z", "20220202135509981"],
  // Half a microsecond below the next millisecond is the next millisecond.
  ["2026-10-08T15:10:18.097999499Z", "20261008111018097"],
  ["2026-10-08T15:10:18.0979995Z", "20261008111018098"],
  ["2026-10-08T15:10:18.9999995Z", "20261008111019000"],
  ["2026-10-09T03:59:59.9999995Z", "20261009000000000"],
  // One night a year two instants share a name's first half: only the second tells them apart.
  ["2026-11-01T05:30:00.123456789Z", "20261101013000123"],
  ["2026-11-01T06:30:00.123456789Z", "20261101013000123"],
  ["2026-03-08T07:00:00.123456789Z", "20260308030000123"],
])("a fill at %s is named %s", (timestamp, stamp) => {
  expect(activityId(microsOf(timestamp) ?? Number.NaN, uuid(1))).toBe(
    `${stamp}::${uuid(1)}`,
  );
});

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { insertActivities } from "../../../src/stores/postgres/activities.ts";
import { dayDigests } from "../../../src/stores/postgres/digests.ts";
import { insertOrderEvents } from "../../../src/stores/postgres/events.ts";
import { recordHistoryStart } from "../../../src/stores/postgres/history.ts";
import type { FreshDatabase } from "../../support/postgres.ts";
import {
  accountDatabase,
  emptyTables,
  restFill,
  SLUG,
  streamFill,
  tables,
  uuid,
} from "./account.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await accountDatabase();
});
beforeEach(() => emptyTables(fresh));
afterAll(() => fresh.drop());

const LATER = new Date("2026-11-01");
const digests = (table: "events" | "activities", before = LATER) =>
  dayDigests(fresh.sql, tables, table, before);

const second = restFill({
  id: "20261009110001123::second",
  execution_id: uuid(102),
  order_id: uuid(2),
  transaction_time: "2026-10-09T15:00:00.000000Z",
});
const undated = restFill({
  id: "undated",
  execution_id: uuid(103),
  order_id: uuid(3),
  transaction_time: null,
});

const write = (rows = [streamFill(), second, undated]) =>
  insertActivities(fresh.sql, tables, SLUG, rows);

test("no rows have no digests", async () => {
  expect([...(await digests("activities"))]).toEqual([]);
});

test("each day has one, whatever the order of writing; rows without a time have one of their own", async () => {
  await write();
  const first = await digests("activities");
  expect(first.map(({ day, rows }) => `${day} ${rows}`)).toEqual([
    "2026-10-08 1",
    "2026-10-09 1",
    "none 1",
  ]);
  expect(first[0]?.digest).toMatch(/^[0-9a-f]{64}$/);
  await emptyTables(fresh);
  await write([undated]);
  await write([second]);
  await write([streamFill()]);
  expect(await digests("activities")).toEqual(first);
});

test("a digest is the same whatever the connection's own settings", async () => {
  await write();
  const before = await digests("activities");
  using connection = await reserved();
  await connection.sql`set timezone = 'Asia/Tokyo'`;
  await connection.sql`set datestyle = 'German'`;
  const after = await dayDigests(connection.sql, tables, "activities", LATER);
  expect(after).toEqual(before);
  await connection.sql`discard all`;
});

async function reserved() {
  const sql = await fresh.sql.reserve();
  return { sql, [Symbol.dispose]: () => sql.release() };
}

test("rows of the bound or later are left out", async () => {
  await write();
  const days = await digests(
    "activities",
    new Date("2026-10-09T15:00:00.000Z"),
  );
  expect(days.map(({ day }) => day)).toEqual(["2026-10-08", "none"]);
});

test("a number that was tampered with changes the day's digest; the venue's own name for a fill does not", async () => {
  const { sql } = fresh;
  await write();
  const before = await digests("activities");
  await insertActivities(sql, tables, SLUG, [
    restFill({ id: "20261008110001124::renamed" }),
  ]);
  expect(await digests("activities")).toEqual(before);
  await sql`update ${sql(tables.activities)} set price = price + 0.01 where execution_id = ${uuid(101)}`;
  const after = await digests("activities");
  expect(after[0]?.digest).not.toBe(before[0]?.digest);
  expect(after.slice(1)).toEqual(before.slice(1));
});

test("an event that was taken out changes the day's digest", async () => {
  const { sql } = fresh;
  const event = (number: number) => ({
    event_key: `event-${number}`,
    order_id: uuid(number),
    event: "new",
    execution_id: null,
    event_at: "2026-10-08T15:00:00.000000Z",
    raw_json: "{}",
  });
  expect(
    await insertOrderEvents(sql, tables, [event(1), event(2), event(2)]),
  ).toBe(2);
  expect(await insertOrderEvents(sql, tables, [event(2)])).toBe(0);
  const [before] = await digests("events");
  await sql`delete from ${sql(tables.events)} where event_key = 'event-1'`;
  const [after] = await digests("events");
  expect([before?.rows, after?.rows]).toEqual([2, 1]);
  expect(after?.digest).not.toBe(before?.digest);
});

test("the beginning of the history only moves back", async () => {
  const { sql } = fresh;
  const begin = (day: string) =>
    recordHistoryStart(sql, tables, "earliest_order", new Date(day));
  await begin("2026-02-01");
  await begin("2026-03-01");
  await begin("2026-01-01");
  await begin("2026-01-15");
  await recordHistoryStart(sql, tables, "earliest_activity", LATER);
  expect([
    ...(await sql`select metric_key, metric_value from ${sql(tables.history)} order by 1`),
  ]).toEqual([
    { metric_key: "earliest_activity", metric_value: LATER },
    { metric_key: "earliest_order", metric_value: new Date("2026-01-01") },
  ]);
});

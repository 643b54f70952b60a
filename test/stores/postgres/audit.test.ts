import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { ActivityRow, OrderRow } from "../../../schema/rows.ts";
import { insertActivities } from "../../../src/stores/postgres/activities.ts";
import {
  addVenueActivities,
  addVenueOrders,
  compareActivities,
  compareOrders,
  createAuditTables,
} from "../../../src/stores/postgres/audit.ts";
import { Database } from "../../../src/stores/postgres/database.ts";
import { upsertOrders } from "../../../src/stores/postgres/orders.ts";
import type { FreshDatabase } from "../../support/postgres.ts";
import {
  accountDatabase,
  emptyTables,
  order,
  restFill,
  SLUG,
  streamFill,
  tables,
  uuid,
} from "./account.ts";

let fresh: FreshDatabase;
const database = new Database();

beforeAll(async () => {
  fresh = await accountDatabase();
  database.use(fresh.url);
});
beforeEach(() => emptyTables(fresh));
afterAll(async () => {
  await database.close();
  await fresh.drop();
});

const RANGE = { from: new Date("2026-10-01"), to: new Date("2026-11-01") };
const AT = "2026-10-08T15:00:01Z";
const CLEAN = { missing: 0, duplicate: 0, differing: 0, examples: [] };

async function auditOrders(...pages: OrderRow[][]) {
  using connection = await database.reserve();
  await createAuditTables(connection.sql);
  for (const page of pages) await addVenueOrders(connection.sql, page);
  return compareOrders(connection.sql, tables);
}

async function auditActivities(...pages: ActivityRow[][]) {
  using connection = await database.reserve();
  const begun = await createAuditTables(connection.sql);
  for (const page of pages) await addVenueActivities(connection.sql, page);
  return compareActivities(connection.sql, tables, RANGE, begun);
}

const writeOrders = (...rows: OrderRow[]) =>
  upsertOrders(fresh.sql, tables, rows);
const writeActivities = (...rows: ActivityRow[]) =>
  insertActivities(fresh.sql, tables, SLUG, rows);

function fill(number: number, members: Partial<ActivityRow> = {}): ActivityRow {
  return restFill({
    id: `20261008110001123::${uuid(number)}`,
    execution_id: uuid(number),
    order_id: uuid(number),
    ...members,
  });
}

test("a store that holds what the venue tells passes, and an earlier audit leaves nothing behind", async () => {
  const orders = [order(AT), order(AT, { id: uuid(2) })];
  const activities = [fill(101), fill(102)];
  await writeOrders(...orders);
  await writeActivities(...activities);
  expect(await auditOrders([order(AT, { id: uuid(3) })])).toMatchObject({
    missing: 1,
  });
  // The venue's pages may overlap.
  expect(await auditOrders(orders, orders.slice(1))).toEqual({
    ...CLEAN,
    compared: 2,
  });
  expect(await auditActivities(activities, activities.slice(1))).toEqual({
    ...CLEAN,
    compared: 2,
  });
});

test("an empty venue and an empty store agree", async () => {
  expect(await auditOrders()).toEqual({ ...CLEAN, compared: 0 });
  expect(await auditActivities([])).toEqual({ ...CLEAN, compared: 0 });
});

test("orders that are missing, behind or different are told with what differs", async () => {
  await writeOrders(
    order(AT, { id: uuid(1), status: "new" }),
    order(AT, { id: uuid(2), limit_price: "1.5" }),
    order("2026-10-08T15:00:09Z", { id: uuid(3), status: "filled" }),
  );
  const finding = await auditOrders([
    order("2026-10-08T15:00:09Z", { id: uuid(1), status: "filled" }),
    order(AT, { id: uuid(2), limit_price: "1.50" }),
    // Written by the service while the venue was being read.
    order(AT, { id: uuid(3), status: "new" }),
    order(AT, { id: uuid(4) }),
  ]);
  expect(finding).toEqual({
    compared: 4,
    missing: 1,
    duplicate: 0,
    differing: 1,
    examples: expect.arrayContaining([
      `missing ${uuid(4)}`,
      `differing ${uuid(1)}: status, updated_at`,
    ]),
  });
});

test("an activity that is missing, double or different is told", async () => {
  await writeActivities(fill(101), fill(102, { price: "1" }));
  await fresh.sql`
    insert into ${fresh.sql(tables.activities)} (id, activity_type, transaction_time)
    values ('second', 'FILL', ${AT}), ('outside', 'FILL', '2026-11-01T00:00:00Z')`;
  const finding = await auditActivities([fill(101), fill(102), fill(103)]);
  expect(finding).toMatchObject({
    compared: 3,
    missing: 1,
    duplicate: 1,
    differing: 1,
  });
  expect(finding.examples.toSorted()).toEqual([
    `differing ${fill(102).id}: price`,
    "duplicate second",
    `missing ${fill(103).id}`,
  ]);
});

test("a fill that only the stream has told is found under the name the stream gave it", async () => {
  await writeActivities(
    streamFill({ id: "20261008110001124::of-the-stream", execution_id: null }),
  );
  expect(await auditActivities([restFill()])).toMatchObject(CLEAN);
});

test("an activity that is stored while the venue is read is nobody's duplicate", async () => {
  using connection = await database.reserve();
  const begun = await createAuditTables(connection.sql);
  await addVenueActivities(connection.sql, []);
  await writeActivities(fill(101));
  expect(
    await compareActivities(connection.sql, tables, RANGE, begun),
  ).toMatchObject(CLEAN);
  expect(await auditActivities([])).toMatchObject({ duplicate: 1 });
});

test("two rows of one event under one id are found", async () => {
  const exercise = fill(101, { activity_type: "OPEXC", execution_id: null });
  const trade = { ...exercise, activity_type: "OPTRD" };
  await writeActivities(exercise, trade);
  expect(await auditActivities([exercise, trade])).toEqual({
    ...CLEAN,
    compared: 2,
  });
});

test("of many findings the first twenty are shown, all are counted", async () => {
  const { missing, examples } = await auditActivities(
    Array.from({ length: 30 }, (_, number) => fill(number)),
  );
  expect([missing, examples.length]).toEqual([30, 20]);
});

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import fc from "fast-check";
import type { OrderRow } from "../../../schema/rows.ts";
import {
  latestStates,
  openOrderIds,
  ordersTouchedBetween,
  upsertOrders,
} from "../../../src/stores/postgres/orders.ts";
import type { FreshDatabase } from "../../support/postgres.ts";
import {
  accountDatabase,
  emptyTables,
  order,
  tables,
  uuid,
} from "./account.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await accountDatabase();
});
beforeEach(() => emptyTables(fresh));
afterAll(() => fresh.drop());

const write = (...rows: OrderRow[]) => upsertOrders(fresh.sql, tables, rows);

async function stored(id = uuid(1)) {
  const { sql } = fresh;
  const [row] = await sql`select * from ${sql(tables.orders)} where id = ${id}`;
  return row;
}

const EARLY = "2026-10-08T15:00:01Z";
const LATE = "2026-10-08T15:00:02Z";

test("no rows are no statement", async () => {
  expect(await write()).toEqual({ inserted: 0, updated: 0 });
});

test("an order is inserted once and then moves forward", async () => {
  expect(await write(order(EARLY))).toEqual({ inserted: 1, updated: 0 });
  expect(
    await write(order(LATE, { status: "filled", filled_qty: "10" })),
  ).toEqual({ inserted: 0, updated: 1 });
  expect(await stored()).toMatchObject({
    status: "filled",
    filled_qty: "10",
    order_type: "limit",
    type: "limit",
    symbol: "AAPL",
    limit_price: "100.50",
    updated_at: new Date(LATE),
    raw_json: { id: uuid(1), updated_at: LATE },
  });
});

test("the same state twice, or an older one, changes nothing", async () => {
  await write(order(LATE, { status: "filled", filled_qty: "10" }));
  const before = await stored();
  expect(
    await write(order(LATE, { status: "filled", filled_qty: "10" })),
  ).toEqual({ inserted: 0, updated: 0 });
  expect(await write(order(EARLY, { status: "canceled" }))).toEqual({
    inserted: 0,
    updated: 0,
  });
  expect(
    await write(order(EARLY, { updated_at: null, version: 0n, status: "new" })),
  ).toEqual({ inserted: 0, updated: 0 });
  expect(await stored()).toEqual(before);
});

test("states of one microsecond are told apart by their nanoseconds", async () => {
  const at = (nanos: string) => `2026-10-08T15:00:01.123456${nanos}Z`;
  await write(order(at("2"), { status: "accepted" }));
  await write(order(at("4"), { status: "filled" }));
  await write(order(at("3"), { status: "new" }));
  await write(order(at(""), { status: "pending_new" }));
  expect(await stored()).toMatchObject({ status: "filled" });
});

test("a quantity never falls, unless it was busted or corrected", async () => {
  await write(order(EARLY, { filled_qty: "7" }));
  await write(order(LATE, { filled_qty: "5", status: "canceled" }));
  expect(await stored()).toMatchObject({ filled_qty: "7", status: "canceled" });
  await write(
    order("2026-10-08T15:00:03Z", { filled_qty: "5", mayLower: true }),
  );
  expect(await stored()).toMatchObject({ filled_qty: "5" });
});

test("an old bust does not lower a later state", async () => {
  await write(order(LATE, { filled_qty: "7" }));
  await write(order(EARLY, { filled_qty: "5", mayLower: true }));
  expect(await stored()).toMatchObject({ filled_qty: "7" });
});

test("what a later state leaves out stays", async () => {
  const told = {
    client_order_id: "mine",
    parent_id: uuid(9),
    replaced_by: uuid(8),
    replaces: uuid(7),
    legs: '[{"id":"leg"}]',
    filled_avg_price: "100.123456789012345678901",
    submitted_at: "2026-10-08T15:00:00.500000Z",
    expires_at: "2026-12-08T15:00:00.000000Z",
  };
  await write(order(EARLY, told));
  await write(order(LATE, { symbol: "", side: "", order_type: "", qty: null }));
  expect(await stored()).toMatchObject({
    ...told,
    legs: [{ id: "leg" }],
    submitted_at: new Date(told.submitted_at),
    expires_at: new Date(told.expires_at),
    symbol: "AAPL",
    side: "buy",
    order_type: "limit",
    type: "limit",
    qty: "10",
  });
});

test("a state of the same age fills what was not known, and takes nothing away", async () => {
  await write(order(EARLY, { note: "stream" }));
  await write(order(EARLY, { legs: '[{"id":"leg"}]', note: "rest" }));
  expect(await stored()).toMatchObject({
    legs: [{ id: "leg" }],
    raw_json: { note: "rest" },
  });
  await write(order(EARLY, { note: "stream again" }));
  expect(await stored()).toMatchObject({
    legs: [{ id: "leg" }],
    raw_json: { note: "rest" },
  });
});

test("a parent learnt from a state of the same age does not cost the richer payload", async () => {
  await write(order(EARLY, { legs: '[{"id":"leg"}]', note: "with legs" }));
  await write(order(EARLY, { parent_id: uuid(9), note: "as a leg" }));
  expect(await stored()).toMatchObject({
    parent_id: uuid(9),
    legs: [{ id: "leg" }],
    raw_json: { note: "with legs" },
  });
});

test("a row of an older service without payload is filled by the first state read again", async () => {
  const { sql } = fresh;
  await sql`
    insert into ${sql(tables.orders)} (id, status, filled_qty, updated_at)
    values (${uuid(1)}, 'filled', null, ${EARLY}), (${uuid(2)}, 'new', 3, null)`;
  await write(order(EARLY, { status: "filled", filled_qty: "10" }));
  await write(order(EARLY, { id: uuid(2), filled_qty: "4" }));
  expect(await stored()).toMatchObject({
    filled_qty: "10",
    raw_json: { id: uuid(1) },
  });
  expect(await stored(uuid(2))).toMatchObject({ filled_qty: "4" });
});

test("the payload keeps every digit, null and member", async () => {
  const raw =
    '{"id":"x","big":12345678901234567890.123456789,"zeros":1.500,"none":null,"text":"1.500","empty":{},"updated_at":"2026-10-08T15:00:01Z","ü":"\\u00fc\\ud83d\\ude00"}';
  await write(order(EARLY, { raw_json: raw }));
  const { sql } = fresh;
  const [row] = await sql<[{ text: string }]>`
    select raw_json::text as text from ${sql(tables.orders)}`;
  for (const piece of [
    "12345678901234567890.123456789",
    "1.500,",
    '"none": null',
    '"1.500"',
    '"empty": {}',
    '"ü": "ü😀"',
  ])
    expect(`${row.text},`).toContain(piece);
});

test("several states of one order in one batch are one row, the latest with what the others knew", async () => {
  expect(
    await write(
      order(LATE, { status: "canceled", filled_qty: "3" }),
      order(EARLY, {
        status: "partially_filled",
        filled_qty: "4",
        parent_id: uuid(9),
        filled_avg_price: "100.25",
      }),
      order(EARLY, { id: uuid(2) }),
    ),
  ).toEqual({ inserted: 2, updated: 0 });
  expect(await stored()).toMatchObject({
    status: "canceled",
    filled_qty: "4",
    parent_id: uuid(9),
    filled_avg_price: "100.25",
  });
});

test("a bust and a later state in one batch lower what is stored", async () => {
  await write(order(EARLY, { filled_qty: "7" }));
  await write(
    order("2026-10-08T15:00:02Z", { filled_qty: "5", mayLower: true }),
    order("2026-10-08T15:00:03Z", { filled_qty: "5", status: "canceled" }),
  );
  expect(await stored()).toMatchObject({ filled_qty: "5", status: "canceled" });
});

test("whatever the order of arrival and the batches, the same state remains", async () => {
  const states = ["1", "2", "3", "4"].map((second, index) =>
    order(`2026-10-08T15:00:0${second}Z`, {
      status: ["new", "partially_filled", "partially_filled", "filled"][index]!,
      filled_qty: ["0", "2", "6", "10"][index]!,
      client_order_id: index === 1 ? "mine" : null,
    }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray([...states, ...states], { minLength: 8 }),
      fc.integer({ min: 1, max: 8 }),
      async (arrivals, size) => {
        await emptyTables(fresh);
        for (let at = 0; at < arrivals.length; at += size)
          await write(...arrivals.slice(at, at + size));
        expect(await stored()).toMatchObject({
          status: "filled",
          filled_qty: "10",
        });
      },
    ),
    { numRuns: 25 },
  );
});

test("merging states needs no order between them", () => {
  const early = order(EARLY, { legs: "[1]", filled_qty: "2" });
  const late = order(LATE, { filled_qty: "10" });
  expect(latestStates([early, late])).toEqual(latestStates([late, early]));
});

test("open orders are asked for by their parents", async () => {
  await write(
    order(EARLY, { id: uuid(1), status: "held", parent_id: uuid(9) }),
    order(EARLY, { id: uuid(2), status: "new", parent_id: uuid(9) }),
    order(EARLY, { id: uuid(3), status: "accepted" }),
    ...["filled", "canceled", "expired", "replaced", "rejected"].map(
      (status, index) => order(EARLY, { id: uuid(20 + index), status }),
    ),
  );
  expect((await openOrderIds(fresh.sql, tables)).sort()).toEqual([
    uuid(3),
    uuid(9),
  ]);
});

test("an order counts as touched between its creation and its last change", async () => {
  const touched = (from: string, to: string) =>
    ordersTouchedBetween(fresh.sql, tables, new Date(from), new Date(to));
  expect(await touched("2026-01-01", "2027-01-01")).toBe(false);
  await write(order(LATE));
  expect(await touched("2026-10-08T14:00:00Z", "2026-10-08T15:00:00Z")).toBe(
    false,
  );
  expect(await touched("2026-10-08T14:00:00Z", "2026-10-08T15:00:01Z")).toBe(
    true,
  );
  expect(await touched("2026-10-08T15:00:02Z", "2026-10-08T15:00:03Z")).toBe(
    true,
  );
  expect(
    await touched("2026-10-08T15:00:02.001Z", "2026-10-08T15:00:03Z"),
  ).toBe(false);
});

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { ActivityRow } from "../../../schema/rows.ts";
import { insertActivities } from "../../../src/stores/postgres/activities.ts";
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

const write = (...rows: ActivityRow[]) =>
  insertActivities(fresh.sql, tables, SLUG, rows);

async function stored(): Promise<Record<string, unknown>[]> {
  const { sql } = fresh;
  return [
    ...(await sql`select * from ${sql(tables.activities)} order by id collate "C"`),
  ];
}

async function storedIds(): Promise<unknown[]> {
  return (await stored()).map(({ id }) => id);
}

const DIVIDEND: ActivityRow = {
  id: "20261008000000000::div",
  activity_type: "DIV",
  transaction_time: "2026-10-08T00:00:00.000000Z",
  symbol: "AAPL",
  side: null,
  qty: null,
  price: null,
  net_amount: "1.02",
  execution_id: null,
  order_id: null,
  cum_qty: null,
  raw_json: '{"activity_type":"DIV","net_amount":"1.02"}',
  path: "rest",
};

test("rows are inserted whole, and numbers nobody told stay unknown", async () => {
  expect(await write(streamFill(), DIVIDEND)).toBe(2);
  const [dividend, fill] = await stored();
  expect(dividend).toMatchObject({
    activity_type: "DIV",
    qty: null,
    price: null,
    net_amount: "1.02",
    order_id: null,
  });
  expect(fill).toMatchObject({
    qty: "2",
    price: "100.5",
    net_amount: "-201.0",
    execution_id: uuid(101),
    transaction_time: new Date("2026-10-08T15:00:01.123Z"),
  });
});

test("a row without a time is kept", async () => {
  expect(await write(streamFill({ transaction_time: null }))).toBe(1);
});

test("an activity that comes again, alone or twice in a batch, is one row", async () => {
  expect(await write(restFill(), restFill(), DIVIDEND, DIVIDEND)).toBe(2);
  expect(await write(restFill(), DIVIDEND)).toBe(0);
  expect(await stored()).toHaveLength(2);
});

test.each([
  ["in one batch", true],
  ["in two batches", false],
])(
  "an execution is one row whichever path comes first, %s",
  async (_, isOneBatch) => {
    for (const [first, second] of [
      [streamFill(), restFill()],
      [restFill(), streamFill()],
    ] as const) {
      await emptyTables(fresh);
      if (isOneBatch) await write(first, second);
      else {
        await write(first);
        await write(second);
      }
      expect(await storedIds()).toEqual([streamFill().id]);
    }
  },
);

test.each(["stream", "rest"])(
  "ids that differ by a millisecond are one row, with the venue's id; %s first",
  async (first) => {
    const told = streamFill({
      id: `20261008110001124::${uuid(101)}`,
      transaction_time: "2026-10-08T15:00:01.124000Z",
    });
    const rows = [told, restFill()];
    for (const row of first === "stream" ? rows : rows.reverse())
      await write(row);
    expect(await storedIds()).toEqual([restFill().id]);
  },
);

test.each(["stream", "rest"])(
  "without an execution id a fill is known by its order and cumulative quantity; %s first",
  async (first) => {
    const rows = [
      streamFill({
        id: "20261008110001124::nameless",
        execution_id: null,
        cum_qty: "2.0",
      }),
      restFill(),
    ];
    for (const row of first === "stream" ? rows : rows.reverse())
      await write(row);
    expect(await storedIds()).toEqual([restFill().id]);
  },
);

test("a message that comes twice under two names, without execution id, is one row in one batch too", async () => {
  await write(
    streamFill({ id: "20261008110001123::nameless", execution_id: null }),
    streamFill({ id: "20261008110001124::nameless", execution_id: null }),
    streamFill(),
  );
  expect(await stored()).toHaveLength(1);
  expect((await stored())[0]).toMatchObject({ execution_id: uuid(101) });
});

test("paths that name an execution differently agree by order, quantities, price and time", async () => {
  await write(streamFill());
  await write(
    restFill({
      id: `20261008110001123::${uuid(201)}`,
      execution_id: uuid(201),
      transaction_time: "2026-10-08T15:00:01.123457Z",
    }),
  );
  expect(await storedIds()).toEqual([`20261008110001123::${uuid(201)}`]);
  // The next stream message of it is still the same execution.
  await write(streamFill());
  expect(await stored()).toHaveLength(1);
});

test("fills of one order, quantity and price are two rows when they are two executions", async () => {
  const second = {
    id: `20261008110001123::${uuid(102)}`,
    execution_id: uuid(102),
  };
  expect(
    await write(
      streamFill(),
      streamFill({ ...second, cum_qty: "4" }),
      restFill({ id: "other", execution_id: uuid(103), order_id: uuid(2) }),
    ),
  ).toBe(3);
});

test("once a venue is known to share execution ids, another id is another execution", async () => {
  await write(streamFill());
  await write(restFill());
  const busted = {
    id: `20261008110001123::${uuid(102)}`,
    execution_id: uuid(102),
  };
  expect(await write(restFill(busted))).toBe(1);
});

test("a fill of several legs, whose cumulative quantity nobody tells, keeps a row for each leg", async () => {
  const leg = (number: number) =>
    streamFill({
      id: `20261008110001123::${uuid(number)}`,
      execution_id: uuid(number),
      cum_qty: null,
    });
  expect(await write(leg(101), leg(102))).toBe(2);
  await write(restFill({ cum_qty: "2" }));
  const rows = await stored();
  expect(rows.map(({ cum_qty }) => cum_qty)).toEqual(["2", null]);
});

test("two rows of one option event under one id are both kept, however often and in whatever order they come", async () => {
  const exercise = { ...DIVIDEND, id: "event", activity_type: "OPEXC" };
  const trade = { ...DIVIDEND, id: "event", activity_type: "OPTRD" };
  for (const batches of [
    [[exercise, trade]],
    [[trade, exercise]],
    [[trade], [exercise]],
    [[exercise], [trade]],
  ]) {
    await emptyTables(fresh);
    for (const batch of [...batches, [trade, exercise], [exercise]])
      await write(...batch);
    const rows = await stored();
    expect(rows.map(({ activity_type }) => activity_type).sort()).toEqual([
      "OPEXC",
      "OPTRD",
    ]);
  }
});

test("a payload is never replaced, whatever comes later", async () => {
  await write(streamFill());
  await write(restFill({ raw_json: "{}" }));
  expect((await stored())[0]?.["raw_json"]).toEqual({
    event: "partial_fill",
    order: { filled_qty: "2" },
  });
});

test("a fill of an older service without payload or execution id is recognised", async () => {
  const { sql } = fresh;
  await sql`
    insert into ${sql(tables.activities)} (id, activity_type, transaction_time, execution_id)
    values (${restFill().id}, 'FILL', '2026-10-08T15:00:01.123Z', ${uuid(101)})`;
  expect(await write(restFill(), streamFill())).toBe(0);
  expect(await stored()).toHaveLength(1);
});

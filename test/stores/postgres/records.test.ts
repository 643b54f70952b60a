import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { AccountRecord } from "../../../schema/messages.ts";
import { MalformedError } from "../../../schema/read.ts";
import type { AccountRows } from "../../../schema/rows.ts";
import { connect } from "../../../src/stores/postgres/connect.ts";
import {
  redriveLetters,
  writeAccountRecords,
} from "../../../src/stores/postgres/records.ts";
import type { FreshDatabase } from "../../support/postgres.ts";
import {
  accountDatabase,
  emptyTables,
  order,
  SCHEMA,
  SLUG,
  tables,
  uuid,
} from "./account.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await accountDatabase();
});
beforeEach(() => emptyTables(fresh));
afterAll(() => fresh.drop());

/** A message of the order `number`. */
function message(number: number, members: object = {}): AccountRecord {
  return {
    account: SLUG,
    kind: "trade_update",
    raw: JSON.stringify({ number, ...members }),
    receivedAtMs: Date.parse("2026-10-08T15:00:00Z"),
  };
}

/** An order and an event a message; `qty`, `key` and `mayLower` as the message says. */
function readRows(record: AccountRecord): AccountRows {
  if (record.kind === "coverage")
    return { orders: [], events: [], activities: [] };
  const { number, qty, key, mayLower, unreadable } = JSON.parse(record.raw) as {
    number: number;
    qty?: string;
    key?: string;
    mayLower?: boolean;
    unreadable?: boolean;
  };
  if (unreadable === true) throw new MalformedError("unreadable on purpose");
  return {
    orders: [
      order("2026-10-08T15:00:01Z", {
        id: uuid(number),
        qty: qty ?? "1",
        mayLower: mayLower ?? false,
      }),
    ],
    events: [
      {
        event_key: key ?? `event-${number}`,
        order_id: uuid(number),
        event: "new",
        execution_id: null,
        event_at: "2026-10-08T15:00:01.000000Z",
        raw_json: record.raw,
      },
    ],
    activities: [],
  };
}

const write = (...records: AccountRecord[]) =>
  writeAccountRecords(fresh.sql, SCHEMA, SLUG, records, readRows);

async function count(table: string): Promise<number> {
  const { sql } = fresh;
  const [row] = await sql<[{ count: number }]>`
    select count(*)::int as count from ${sql(table)}`;
  return row.count;
}

async function letters(): Promise<Record<string, unknown>[]> {
  return [
    ...(await fresh.sql`
      select kind, reason, raw, encoding, redriven_at is null as is_open from feedkeeper.dead_letters order by id`),
  ];
}

test("a batch is written, and written again changes nothing", async () => {
  expect(await write(message(1), message(2))).toEqual({
    ordersInserted: 2,
    ordersUpdated: 0,
    events: 2,
    activities: 0,
    deadLetters: [],
  });
  expect(await write(message(1), message(2), message(2))).toMatchObject({
    ordersInserted: 0,
    ordersUpdated: 0,
    events: 0,
  });
});

test("an empty batch asks the store nothing", async () => {
  const nowhere = connect("postgres://127.0.0.1:1/none");
  expect(
    await writeAccountRecords(nowhere, SCHEMA, SLUG, [], readRows),
  ).toMatchObject({ events: 0, deadLetters: [] });
});

test("one message under one key twice in a batch is one event", async () => {
  expect(
    await write(message(1, { key: "same" }), message(2, { key: "same" })),
  ).toMatchObject({ events: 1 });
});

test("rows the database refuses are set aside with the reason, their neighbours are written", async () => {
  const records = Array.from({ length: 50 }, (_, number) =>
    message(number, {
      qty: number === 7 ? "seven" : number === 31 ? "1e200000" : undefined,
    }),
  );
  const receipt = await write(...records);
  expect(receipt).toMatchObject({ ordersInserted: 48, events: 48 });
  expect(receipt.deadLetters.map(({ record }) => record)).toEqual([
    message(7, { qty: "seven" }),
    message(31, { qty: "1e200000" }),
  ]);
  expect(await count(tables.orders)).toBe(48);
  expect(await letters()).toEqual([
    {
      kind: "trade_update",
      reason: expect.stringContaining("refused by Postgres"),
      raw: message(7, { qty: "seven" }).raw,
      encoding: "utf8",
      is_open: true,
    },
    expect.objectContaining({ raw: message(31, { qty: "1e200000" }).raw }),
  ]);
});

test("a row that only the second of its statements refuses leaves nothing of the first behind", async () => {
  // The order can be written, the event's own text not. The amended order's statement
  // is sent behind the one that fails, so it must not outlive its transaction.
  const refused = message(2, { note: "\0" });
  const receipt = await write(
    message(1),
    refused,
    message(3, { mayLower: true }),
  );
  expect(receipt.deadLetters).toEqual([
    {
      record: refused,
      reason: expect.stringMatching(/refused by Postgres: .*unicode/i),
    },
  ]);
  expect(receipt).toMatchObject({ ordersInserted: 2, events: 2 });
  const { sql } = fresh;
  expect([
    ...(await sql`select id from ${sql(tables.orders)} order by id`),
  ]).toEqual([{ id: uuid(1) }, { id: uuid(3) }]);
  expect(await count(tables.events)).toBe(2);
});

test("a text that Postgres cannot hold is kept byte for byte", async () => {
  const record = message(1, { note: "a\0b" });
  const nul = { ...message(2), kind: "malformed" as const, raw: "\0raw" };
  await write(record, nul, message(3));
  expect(await count(tables.orders)).toBe(1);
  const [first, second] = await letters();
  expect(first).toMatchObject({ raw: "AHJhdw==", encoding: "base64" });
  expect(second).toMatchObject({ raw: record.raw, encoding: "utf8" });
});

test("a reason that tells of a character Postgres cannot hold costs no neighbour", async () => {
  const reason = "no UUID: \0";
  await write({ ...message(1), kind: "malformed", reason }, message(2));
  expect(await letters()).toEqual([
    expect.objectContaining({ kind: "malformed", reason: "no UUID: \\0" }),
  ]);
  expect(await count(tables.orders)).toBe(1);
});

test("a payload nested beyond what the database can read is set aside", async () => {
  const deep = `{"number":1,"deep":${"[".repeat(50_000)}${"]".repeat(50_000)}}`;
  const receipt = await writeAccountRecords(
    fresh.sql,
    SCHEMA,
    SLUG,
    [{ ...message(1), raw: deep }, message(2)],
    (record) => {
      const rows = readRows(record.raw === deep ? message(1) : record);
      return {
        ...rows,
        orders: rows.orders.map((row) => ({ ...row, raw_json: record.raw })),
      };
    },
  );
  expect(receipt).toMatchObject({ ordersInserted: 1 });
  expect(receipt.deadLetters).toHaveLength(1);
});

test("what cannot be read is set aside once, however often it comes", async () => {
  const malformed: AccountRecord = {
    ...message(0),
    kind: "malformed",
    raw: "<html>",
    reason: "not JSON",
  };
  const unreadable = message(1, { unreadable: true });
  await write(malformed, unreadable, malformed, message(2));
  await write(malformed, unreadable);
  expect(await letters()).toEqual([
    expect.objectContaining({ kind: "malformed", reason: "not JSON" }),
    expect.objectContaining({ reason: "unreadable on purpose" }),
  ]);
  expect(await count(tables.orders)).toBe(1);
});

test("a fault of our own is no dead letter", async () => {
  const bug = writeAccountRecords(fresh.sql, SCHEMA, SLUG, [message(1)], () => {
    throw new TypeError("a bug");
  });
  await expect(bug.then(() => "written")).rejects.toThrow("a bug");
});

test("a store that is away fails the batch, which is written when it is back", async () => {
  const nowhere = connect("postgres://127.0.0.1:1/none");
  await expect(
    writeAccountRecords(nowhere, SCHEMA, SLUG, [message(1)], readRows).then(
      () => "written",
    ),
  ).rejects.toThrow();
  expect(await write(message(1))).toMatchObject({ ordersInserted: 1 });
  expect(await letters()).toEqual([]);
});

test("coverage is committed with the rows it vouches for, or not at all", async () => {
  const fact: AccountRecord = {
    ...message(0),
    kind: "coverage",
    raw: JSON.stringify({
      stream: "trade_updates",
      state: "live",
      from: "2026-10-08T15:00:00Z",
      to: "2026-10-08T15:01:00Z",
      session: "one",
    }),
  };
  await fresh.sql`alter table ${fresh.sql(tables.events)} rename to hidden`;
  try {
    await expect(
      write(message(1), fact).then(() => "written"),
    ).rejects.toThrow();
  } finally {
    await fresh.sql`alter table ${fresh.sql(`${SCHEMA}.hidden`)} rename to ${fresh.sql(tables.events.split(".")[1] ?? "")}`;
  }
  expect(await count("feedkeeper.coverage")).toBe(0);
  expect(await count(tables.orders)).toBe(0);
  await write(message(1), fact);
  expect(await count("feedkeeper.coverage")).toBe(1);
});

test("letters that can be written by now become rows, the others stay", async () => {
  await write(
    message(1, { unreadable: true }),
    message(2, { qty: "two" }),
    message(3, { unreadable: true }),
  );
  const mended = (record: AccountRecord) =>
    readRows(record.raw.includes("1") ? message(1) : record);
  expect(await redriveLetters(fresh.sql, SCHEMA, SLUG, mended)).toBe(1);
  expect(await redriveLetters(fresh.sql, SCHEMA, SLUG, mended)).toBe(0);
  expect((await letters()).map(({ is_open }) => is_open)).toEqual([
    false,
    true,
    true,
  ]);
  expect(await count(tables.orders)).toBe(1);
});

test("a letter that was written once and is refused again is open again", async () => {
  await write(message(1, { unreadable: true }));
  await redriveLetters(fresh.sql, SCHEMA, SLUG, () => readRows(message(1)));
  await write(
    message(1, { unreadable: true }),
    message(1, { unreadable: true }),
  );
  expect((await letters()).map(({ is_open }) => is_open)).toEqual([true]);
});

test("more letters than are tried in one go are all tried", async () => {
  await write(
    ...Array.from({ length: 501 }, (_, number) =>
      message(number, { unreadable: true }),
    ),
  );
  const last = message(500, { unreadable: true }).raw;
  expect(
    await redriveLetters(fresh.sql, SCHEMA, SLUG, (record) =>
      readRows(record.raw === last ? message(500) : record),
    ),
  ).toBe(1);
});

test("two writers of one account write the same batch once", async () => {
  const batch = Array.from({ length: 100 }, (_, number) => message(number));
  const receipts = await Promise.all([
    write(...batch),
    write(...batch.toReversed()),
  ]);
  expect(receipts[0].ordersInserted + receipts[1].ordersInserted).toBe(100);
  expect(receipts[0].events + receipts[1].events).toBe(100);
});

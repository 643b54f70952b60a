/**
 * Writes account records: all rows of a batch in one transaction an account. A
 * row that the database refuses is found by halving and set aside; its
 * neighbours are written.
 */
import type { AccountRecord, CoverageFact } from "../../../schema/messages.ts";
import { MalformedError } from "../../../schema/read.ts";
import type { AccountRows } from "../../../schema/rows.ts";
import { describeError } from "../../errors.ts";
import { accountTables } from "./accountTables.ts";
import { insertActivities } from "./activities.ts";
import { failureOf, type Sql, transact } from "./connect.ts";
import { recordCoverage } from "./coverage.ts";
import {
  type DeadLetter,
  insertDeadLetters,
  markRedriven,
  openLetters,
} from "./deadLetters.ts";
import { insertOrderEvents } from "./events.ts";
import { upsertOrders } from "./orders.ts";

/** What a batch changed in the store. */
export interface WriteReceipt {
  readonly ordersInserted: number;
  readonly ordersUpdated: number;
  readonly events: number;
  readonly activities: number;
  readonly deadLetters: readonly DeadLetter[];
}

/** Reads the rows that a record stands for. @throws MalformedError when it can not be read. */
export type ReadRows = (record: AccountRecord) => AccountRows;

const NOTHING: WriteReceipt = {
  ordersInserted: 0,
  ordersUpdated: 0,
  events: 0,
  activities: 0,
  deadLetters: [],
};

interface ReadRecord {
  readonly record: AccountRecord;
  readonly rows: AccountRows;
}

/**
 * Writes the records of one account, in order. When it returns they are
 * committed: as rows, or as dead letters with the reason.
 * @throws what the store failed with, when it was not the rows' fault; then nothing or a part is written and the batch may be written again.
 */
export async function writeAccountRecords(
  sql: Sql,
  schema: string,
  account: string,
  records: readonly AccountRecord[],
  readRows: ReadRows,
): Promise<WriteReceipt> {
  const readable: ReadRecord[] = [];
  const letters: DeadLetter[] = [];
  for (const record of records) {
    if (record.kind === "malformed") {
      letters.push({ record, reason: record.reason ?? "unreadable" });
      continue;
    }
    try {
      readable.push({ record, rows: readRows(record) });
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      letters.push({ record, reason: describeError(error) });
    }
  }
  return writeHalving(sql, schema, account, readable, letters);
}

/** Letters tried again in one go. */
const LETTERS_MAX = 500;

/**
 * Writes what was set aside once more, for whatever refused it may be mended by
 * now; returns how many letters became rows. The others stay.
 */
export async function redriveLetters(
  sql: Sql,
  schema: string,
  account: string,
  readRows: ReadRows,
): Promise<number> {
  let redriven = 0;
  for (let after = 0; ;) {
    const letters = await openLetters(sql, account, after, LETTERS_MAX);
    const { deadLetters } = await writeAccountRecords(
      sql,
      schema,
      account,
      letters.map(({ record }) => record),
      readRows,
    );
    const refused = new Set(deadLetters.map(({ record }) => record));
    const written = letters.filter(({ record }) => !refused.has(record));
    await markRedriven(
      sql,
      written.map(({ id }) => id),
    );
    redriven += written.length;
    const last = letters.at(-1);
    if (last === undefined || letters.length < LETTERS_MAX) return redriven;
    after = last.id;
  }
}

async function writeHalving(
  sql: Sql,
  schema: string,
  account: string,
  records: readonly ReadRecord[],
  letters: readonly DeadLetter[],
): Promise<WriteReceipt> {
  try {
    return await writeTransaction(sql, schema, account, records, letters);
  } catch (error) {
    if (failureOf(error) === "store" || records.length === 0) throw error;
    const [only] = records;
    if (records.length === 1 && only !== undefined) {
      const letter = {
        record: only.record,
        reason: `refused by Postgres: ${describeError(error)}`,
      };
      return writeTransaction(sql, schema, account, [], [...letters, letter]);
    }
    const middle = records.length >> 1;
    const first = await writeHalving(
      sql,
      schema,
      account,
      records.slice(0, middle),
      letters,
    );
    const second = await writeHalving(
      sql,
      schema,
      account,
      records.slice(middle),
      [],
    );
    return sum(first, second);
  }
}

async function writeTransaction(
  sql: Sql,
  schema: string,
  account: string,
  records: readonly ReadRecord[],
  letters: readonly DeadLetter[],
): Promise<WriteReceipt> {
  if (records.length + letters.length === 0) return NOTHING;
  const tables = accountTables(schema, account);
  const facts = records.flatMap(({ record }) =>
    record.kind === "coverage" ? [{ account, ...factOf(record) }] : [],
  );
  return transact(sql, async (transaction) => {
    // One writer an account at a time: a hand-run backfill and the service may both be at it,
    // and whether a fill is known already is asked before it is inserted. Rows are looked up by
    // index whatever the planner thinks: a plan made for an empty table is kept while it grows.
    const locked = transaction`
      select pg_advisory_xact_lock(hashtextextended(${`${schema}.${account}`}, 0)),
        set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
        set_config('enable_mergejoin', 'off', true)`.execute();
    // Sent one behind the other without waiting for answers, which a busy process reads late;
    // the server works them off in this order.
    const writing = [
      upsertOrders(
        transaction,
        tables,
        records.flatMap(({ rows }) => rows.orders),
      ),
      insertOrderEvents(
        transaction,
        tables,
        records.flatMap(({ rows }) => rows.events),
      ),
      insertActivities(
        transaction,
        tables,
        account,
        records.flatMap(({ rows }) => rows.activities),
      ),
      recordCoverage(transaction, facts),
      insertDeadLetters(transaction, letters),
      locked,
    ] as const;
    // Each is over, well or not, before the transaction is: one that came after it would be on its own.
    await Promise.allSettled(writing);
    const [orders, events, activities] = await Promise.all(writing);
    return {
      ordersInserted: orders.inserted,
      ordersUpdated: orders.updated,
      events,
      activities,
      deadLetters: letters,
    };
  });
}

function factOf(record: AccountRecord): CoverageFact {
  // Written by this service and kept in its own spool, never by a venue.
  return JSON.parse(record.raw) as CoverageFact;
}

function sum(a: WriteReceipt, b: WriteReceipt): WriteReceipt {
  return {
    ordersInserted: a.ordersInserted + b.ordersInserted,
    ordersUpdated: a.ordersUpdated + b.ordersUpdated,
    events: a.events + b.events,
    activities: a.activities + b.activities,
    deadLetters: [...a.deadLetters, ...b.deadLetters],
  };
}

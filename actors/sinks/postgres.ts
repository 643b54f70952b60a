/** The account sink's writer for Postgres: all accounts' records, a transaction an account and batch. */
import type { AccountRecord, CoverageFact } from "../../schema/messages.ts";
import type { Account } from "../../schema/account.ts";
import { SECOND, within } from "../../src/clock.ts";
import type { Trigger } from "../../src/flow/batch.ts";
import { ping } from "../../src/stores/postgres/connect.ts";
import { recordCoverage } from "../../src/stores/postgres/coverage.ts";
import { type Database, isAway } from "../../src/stores/postgres/database.ts";
import {
  migrateAccount,
  migrateService,
} from "../../src/stores/postgres/migrate.ts";
import {
  redriveLetters,
  type WriteReceipt,
  writeAccountRecords,
} from "../../src/stores/postgres/records.ts";
import { rowsOfRecord } from "../../src/venues/alpaca/normalise.ts";
import type { Writer } from "./sink.ts";

/** Measured (`bun run bench`): beyond this, larger batches bring no more rows a second. */
const BOUNDS = { sizeMax: 500, waitMsMax: 50 };
/** Accounts written at one time; a connection each. */
const PARALLEL_MAX = 4;
/** An idle check that takes longer says that the store is away. */
const PING_MS_MAX = 5 * SECOND;
/** A batch takes tens of milliseconds; a store that is this slow is frozen. */
const WRITE_MS_MAX = 15 * SECOND;
const SILENT = "the database does not answer";

export interface PostgresWriterInput {
  readonly database: Database;
  readonly schema: string;
  /** Accounts whose tables have to be there; asked anew at each opening. */
  readonly accounts: () => readonly Pick<Account, "slug" | "name">[];
  /** Told what was committed, an account at a time. */
  readonly onWritten: (written: Written) => void;
  readonly onBatch: (trigger: Trigger) => void;
}

export interface Written {
  readonly account: string;
  readonly records: readonly AccountRecord[];
  readonly receipt: WriteReceipt;
}

export function postgresWriter(
  input: PostgresWriterInput,
): Writer<AccountRecord> {
  const { database, schema } = input;
  const migrated = new Set<string>();

  async function answered(ms: number, work: Promise<void>): Promise<void> {
    try {
      await within(ms, work, SILENT);
    } catch (error) {
      // Connections that hang in a statement would be handed out again, and so
      // would those that the library does not get to work again after a loss.
      if (isSilence(error) || isAway(error)) database.reset();
      throw error;
    }
  }

  async function ensureTables(account: Pick<Account, "slug" | "name">) {
    if (migrated.has(account.slug)) return;
    await migrateAccount(database.sql, schema, account);
    migrated.add(account.slug);
  }

  /** An account that comes while the sink runs is read of before anything of it is written: its tables have to be there. */
  async function ensureAllTables() {
    for (const account of input.accounts()) await ensureTables(account);
  }

  async function writeOne(slug: string, records: readonly AccountRecord[]) {
    // What is left of an account that was removed is written, too.
    await ensureTables(
      input.accounts().find((account) => account.slug === slug) ?? {
        slug,
        name: slug,
      },
    );
    const receipt = await writeAccountRecords(
      database.sql,
      schema,
      slug,
      records,
      rowsOfRecord,
    );
    input.onWritten({ account: slug, records, receipt });
  }

  async function writeAll(items: readonly AccountRecord[]) {
    const byAccount = Map.groupBy(items, (record) => record.account);
    const factsOnly = [...byAccount].filter(([, records]) =>
      records.every(({ kind }) => kind === "coverage"),
    );
    // The pongs of two hundred idle accounts are one statement, not two hundred transactions.
    await recordCoverage(
      database.sql,
      factsOnly.flatMap(([account, records]) =>
        records.map(({ raw }) => ({
          account,
          // Written by this service, never by a venue.
          ...(JSON.parse(raw) as CoverageFact),
        })),
      ),
    );
    for (const [slug] of factsOnly) byAccount.delete(slug);
    await inParallel([...byAccount], PARALLEL_MAX, ([slug, records]) =>
      writeOne(slug, records),
    );
  }

  return {
    bounds: BOUNDS,
    async open() {
      migrated.clear();
      // Setting up may take its time; a server that says nothing at all is given up.
      await answered(PING_MS_MAX, ping(database.sql));
      await migrateService(database.sql);
      for (const account of input.accounts()) {
        await ensureTables(account);
        // What a version before this one could not read or write.
        await redriveLetters(database.sql, schema, account.slug, rowsOfRecord);
      }
    },
    async write(items, trigger) {
      await answered(
        WRITE_MS_MAX,
        ensureAllTables().then(() => writeAll(items)),
      );
      input.onBatch(trigger);
    },
    ping: async () =>
      answered(
        PING_MS_MAX,
        ping(database.sql).then(() => ensureAllTables()),
      ),
  };
}

function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === SILENT;
}

/** Runs `work` on each item, `count` at a time; waits for all that were begun, then throws the first failure. */
async function inParallel<Item>(
  items: readonly Item[],
  count: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const lanes = Array.from(
    { length: Math.min(count, items.length) },
    async () => {
      for (const item of waiting) await work(item);
    },
  );
  const results = await Promise.allSettled(lanes);
  for (const result of results)
    if (result.status === "rejected") throw result.reason;
}

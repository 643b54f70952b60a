/** `backfill accounts`: reads the past of accounts by hand, straight into the store. */
import type { AccountRecord } from "../../schema/messages.ts";
import type { Account } from "../../schema/account.ts";
import { REST_LAG_MS } from "../accounts/heal.ts";
import { readBack } from "../accounts/readBack.ts";
import type { BackfillAccountsFlags, Output } from "../cli.ts";
import { DAY, systemClock } from "../clock.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { BoundedQueue } from "../flow/queue.ts";
import { RateBudget } from "../flow/rate.ts";
import { migrateAccount, migrateService } from "../stores/postgres/migrate.ts";
import { writeAccountRecords } from "../stores/postgres/records.ts";
import type { Database } from "../stores/postgres/database.ts";
import { rowsOfRecord } from "../venues/alpaca/normalise.ts";
import { createAlpacaRest } from "../venues/alpaca/rest.ts";
import { openStores } from "./stores.ts";

const BATCH_LENGTH = 500;
const REQUESTS_PER_MINUTE = 150;

/** Idempotent: what is there already stays as it is. A running service may be at it as well. */
export async function backfillAccounts(
  config: Config,
  flags: BackfillAccountsFlags,
  io: Output & { readonly isTerminal: boolean },
): Promise<number> {
  const { from, to } = rangeOf(config, flags);
  await using stores = await openStores(config, flags.slugs);
  if (!config.dryRun) await migrateService(stores.database.sql);
  for (const account of stores.accounts) {
    if (!config.dryRun)
      await migrateAccount(stores.database.sql, config.schema, account);
    for (const stream of ["orders", "activities"] as const) {
      const progress = progressLine(
        `${account.slug} ${stream}`,
        { from, to },
        io,
      );
      const rows = await fill(
        config,
        stores.database,
        account,
        stream,
        { from, to },
        progress,
      );
      io.stdout(
        `${account.slug} ${stream}: ${rows} rows read${config.dryRun ? ", nothing written (dry run)" : ""}\n`,
      );
    }
  }
  return 0;
}

/**
 * What is read counts as complete, and the service does not read it again: so it
 * ends before now, whatever was asked for.
 */
function rangeOf(
  { backfillDays }: Config,
  flags: BackfillAccountsFlags,
): { from: number; to: number } {
  const to = Math.min(
    +(flags.to ?? Number.POSITIVE_INFINITY),
    Date.now() - REST_LAG_MS,
  );
  const from = +(flags.from ?? to - backfillDays * DAY);
  if (from >= to)
    throw new ConfigError([
      `--from: there is nothing to read between ${new Date(from).toISOString()} and ${new Date(to).toISOString()}`,
    ]);
  return { from, to };
}

/** Reads and writes side by side: the reader waits when the queue is full, the writer when it is empty. */
async function fill(
  config: Config,
  database: Database,
  account: Account,
  stream: "orders" | "activities",
  range: { from: number; to: number },
  onPage: (progress: { rows: number; completeToMs: number }) => void,
): Promise<number> {
  const queue = new BoundedQueue<AccountRecord>(4 * BATCH_LENGTH);
  const failed = new AbortController();
  const { signal } = failed;
  let isRead = false;

  async function write(): Promise<void> {
    for (;;) {
      const records = queue.takeUpTo(BATCH_LENGTH);
      if (records.length > 0 && !config.dryRun)
        await writeAccountRecords(
          database.sql,
          config.schema,
          account.slug,
          records,
          rowsOfRecord,
        );
      if (records.length > 0) continue;
      if (isRead) return;
      await Promise.race([
        queue.whenHolding(1, signal),
        reading.catch(() => {}),
      ]);
    }
  }

  const reading = readBack(
    {
      account,
      queue,
      clock: systemClock,
      session: `backfill-${process.pid}-${Date.now()}`,
      rest: createAlpacaRest({
        account,
        budget: new RateBudget({ perMinute: REQUESTS_PER_MINUTE }),
      }),
    },
    stream,
    range,
    { priority: "backfill", signal, onPage },
  ).finally(() => (isRead = true));
  try {
    const [rows] = await Promise.all([reading, write()]);
    return rows;
  } finally {
    failed.abort();
  }
}

/** A line that is drawn over itself; nothing where nobody watches. */
function progressLine(
  name: string,
  { from, to }: { from: number; to: number },
  io: { stderr: (text: string) => void; isTerminal: boolean },
) {
  return ({
    rows,
    completeToMs,
  }: {
    rows: number;
    completeToMs: number;
  }): void => {
    if (!io.isTerminal) return;
    const done = Math.min(
      1,
      Math.max(0, (completeToMs - from) / Math.max(1, to - from)),
    );
    const bar = "█".repeat(Math.round(done * 30)).padEnd(30, "░");
    io.stderr(
      `\r${bar} ${(done * 100).toFixed(0).padStart(3)} % ${name} ${rows} rows${done === 1 ? "\n" : ""}`,
    );
  };
}

/**
 * Reads the activities of the venue's account into a store, an interval at a
 * time as its parent says. Arguments: `real` or `bare`, the venue's address, the
 * database's. `real` is the way of the service: pages, queue, sink, writer.
 */
import { createActor } from "xstate";
import type { AccountRecord } from "../../schema/messages.ts";
import { postgresWriter } from "../../actors/sinks/postgres.ts";
import { sink } from "../../actors/sinks/sink.ts";
import { readBack } from "../../src/accounts/readBack.ts";
import type { Interval } from "../../src/accounts/intervals.ts";
import { sleep, systemClock } from "../../src/clock.ts";
import type { Outbox } from "../../src/flow/outbox.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";
import { RateBudget } from "../../src/flow/rate.ts";
import { openSpool } from "../../src/flow/spool.ts";
import { accountTables } from "../../src/stores/postgres/accountTables.ts";
import { insertActivities } from "../../src/stores/postgres/activities.ts";
import { Database } from "../../src/stores/postgres/database.ts";
import {
  migrateAccount,
  migrateService,
} from "../../src/stores/postgres/migrate.ts";
import { createAlpacaRest } from "../../src/venues/alpaca/rest.ts";
import { rowOfActivity } from "./bareRows.ts";
import type { Round } from "./rounds.ts";
import { accountAt } from "./venueAccount.ts";

export interface Reading extends Round {
  readonly rssBytes: number;
}

const SCHEMA = "account_activities";
const PAGE_LENGTH = 100;
const BATCH_LENGTH = 500;
/** As in the service. */
const QUEUE_LENGTH_MAX = 10_000;

const [way = "real", venueUrl = "", databaseUrl = ""] = process.argv.slice(2);
const account = { ...accountAt(venueUrl, 1), slug: way };
const database = new Database();
database.use(databaseUrl);
await migrateService(database.sql);
await migrateAccount(database.sql, SCHEMA, account);
const read = way === "real" ? realReader() : bareReader;

process.on("message", async (interval: Interval) => {
  const startMs = performance.now();
  const rows = await read(interval);
  tell({ rows, ms: performance.now() - startMs });
});
tell({ rows: 0, ms: 0 });

function tell(round: Round): void {
  const reading: Reading = { ...round, rssBytes: process.memoryUsage.rss() };
  process.send?.(reading);
}

function realReader() {
  const outbox: Outbox<AccountRecord> = {
    sink: "postgres",
    queue: new BoundedQueue(QUEUE_LENGTH_MAX),
    spool: openSpool({ path: ":memory:", sinks: ["postgres"] }),
    inFlight: [],
  };
  let committed = 0;
  const writer = postgresWriter({
    database,
    schema: SCHEMA,
    accounts: () => [account],
    onBatch: () => {},
    onWritten: ({ receipt }) => (committed += receipt.activities),
  });
  createActor(sink, { input: { outbox, writer } }).start();
  const run = {
    account,
    queue: outbox.queue,
    clock: systemClock,
    session: "bench",
    rest: createAlpacaRest({
      account,
      budget: new RateBudget({ perMinute: 1_000_000_000 }),
    }),
  };
  let wanted = 0;
  return async (interval: Interval): Promise<number> => {
    const rows = await readBack(run, "activities", interval, {
      priority: "backfill",
      signal: new AbortController().signal,
    });
    wanted += rows;
    while (committed < wanted) await sleep(1);
    return rows;
  };
}

async function bareReader({ from, to }: Interval): Promise<number> {
  const tables = accountTables(SCHEMA, account.slug);
  const headers = {
    "APCA-API-KEY-ID": account.keyId,
    "APCA-API-SECRET-KEY": account.secretKey,
  };
  const range = `direction=asc&page_size=${PAGE_LENGTH}&after=${new Date(from - 1).toISOString()}&until=${new Date(to).toISOString()}`;
  let rows = 0;
  let batch = [];
  for (let token = ""; ;) {
    const answer = await fetch(
      `${account.restUrl}/v2/account/activities?${range}${token}`,
      { headers },
    );
    const page = JSON.parse(await answer.text());
    batch.push(...page.map(rowOfActivity));
    rows += page.length;
    const isLast = page.length < PAGE_LENGTH;
    if (batch.length >= BATCH_LENGTH || (isLast && batch.length > 0)) {
      const incoming = batch;
      batch = [];
      await database.sql.begin((transaction) =>
        insertActivities(transaction, tables, account.slug, incoming),
      );
    }
    if (isLast) return rows;
    token = `&page_token=${page.at(-1).id}`;
  }
}

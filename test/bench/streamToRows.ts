/**
 * Frames of `trade_updates` to committed rows, sent over a socket by another
 * process: to the whole tree, and to a loop that parses each frame once and
 * issues the same statements, 500 frames a transaction, and nothing else.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTree } from "../../actors/root.ts";
import { sleep } from "../../src/clock.ts";
import { readConfig } from "../../src/config.ts";
import { silentLogger } from "../../src/log.ts";
import { createMetrics } from "../../src/metrics.ts";
import {
  type AccountTables,
  accountTables,
} from "../../src/stores/postgres/accountTables.ts";
import { insertActivities } from "../../src/stores/postgres/activities.ts";
import { insertOrderEvents } from "../../src/stores/postgres/events.ts";
import {
  migrateAccount,
  migrateService,
} from "../../src/stores/postgres/migrate.ts";
import { upsertOrders } from "../../src/stores/postgres/orders.ts";
import { createTopology } from "../../src/topology.ts";
import { startSimulatedVenue } from "../../src/venues/simulated/venue.ts";
import { rowsOfFrame } from "./bareRows.ts";
import { openPlace } from "./place.ts";
import { compare, type Round, whole } from "./rounds.ts";
import { spawnChild } from "./spawn.ts";

/** Even, so that each way comes first as often as the other. */
const ROUNDS = 6;
const SCHEMA = "account_activities";
const BATCH_LENGTH = 500;
/** Frames on their way at most: the queue holds 10,000, so the venue is never turned away. */
const UNDER_WAY_MAX = 6_000;

await using place = await openPlace();
const frames = await makeFrames();
const path = join(place.directory, "frames");
writeFileSync(path, frames.join("\n"));
await migrateService(place.sql);
await using venue = await spawnChild<number>("frameVenue.ts", [path]);

console.log(
  `streamToRows: ${whole(frames.length)} frames of trade_updates a round`,
);
await compare({
  title: "streamToRows",
  rounds: ROUNDS,
  ratioMin: 0.7,
  isWarmedUp: true,
  bare: bareRound,
  real: realRound,
});

/** Two weeks of an account's orders, as the simulated venue tells them. */
async function makeFrames(): Promise<string[]> {
  const made = await startSimulatedVenue({
    accounts: [{ name: "bench", keyId: "key", secretKey: "secret" }],
    historyDays: 14,
    historyOrdersPerDay: 700,
  });
  const events = [...made.exchange.books.all("bench", "events")];
  await made.stop();
  return events;
}

async function bareRound(round: number): Promise<Round> {
  const slug = `bare_${round}`;
  const tables = accountTables(SCHEMA, slug);
  await migrateAccount(place.sql, SCHEMA, { slug, name: slug });
  const arrived: Uint8Array[] = [];
  const socket = await listen(`ws://127.0.0.1:${venue.told}/stream`, arrived);

  const startMs = performance.now();
  let written = 0;
  const fed = feed(() => written);
  while (written < frames.length) {
    const isLast = written + arrived.length === frames.length;
    if (arrived.length < BATCH_LENGTH && !isLast) {
      await sleep(1);
      continue;
    }
    const batch = arrived.splice(0, BATCH_LENGTH);
    const rows = batch.map(rowsOfFrame);
    await place.sql.begin(async (transaction) => {
      await upsertOrders(
        transaction,
        tables,
        rows.flatMap(({ orders }) => orders),
      );
      await insertOrderEvents(
        transaction,
        tables,
        rows.flatMap(({ events }) => events),
      );
      await insertActivities(
        transaction,
        tables,
        slug,
        rows.flatMap(({ activities }) => activities),
      );
    });
    written += batch.length;
  }
  await fed;
  const ms = performance.now() - startMs;
  socket.close();
  return { rows: await countRows(tables), ms };
}

/** The least that listens to `trade_updates`. */
async function listen(url: string, arrived: Uint8Array[]): Promise<WebSocket> {
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send('{"action":"auth"}');
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) arrived.push(new Uint8Array(data));
    else if (String(data).includes("authorized"))
      socket.send('{"action":"listen"}');
    else resolve();
  };
  socket.onerror = () => reject(new Error("the bare loop's socket failed"));
  await listening;
  return socket;
}

/** Has the venue send everything, as fast as it is written. */
async function feed(written: () => number): Promise<void> {
  let sent = 0;
  while (written() < frames.length) {
    const allowed = written() + UNDER_WAY_MAX - sent;
    if (allowed >= BATCH_LENGTH && sent < frames.length) {
      venue.send(allowed);
      sent += allowed;
    }
    await sleep(2);
  }
}

async function realRound(round: number): Promise<Round> {
  const slug = `real_${round}`;
  const config = readConfig({
    DESTINATIONS: JSON.stringify([
      {
        name: slug,
        base_url: `http://127.0.0.1:${venue.told}`,
        key_id: "key",
        secret_key: "secret",
      },
    ]),
    POSTGRESQL_LIVE_CONN_STRING: place.url,
    FEEDKEEPER_DIR: join(place.directory, slug),
    FEEDKEEPER_ROLES: "accounts",
  });
  const [account] = config.accounts;
  if (account === undefined) throw new Error("no account");
  const topology = createTopology(config, config.accounts, createMetrics());
  const run = topology.runOf(account);
  const tree = startTree({
    topology,
    log: silentLogger,
    http: undefined,
    embedded: { postgres: false, venue: undefined, onPostgres: () => {} },
  });
  await run.listening.after(0, AbortSignal.timeout(30_000));
  // What the first minutes of a service do besides (leases, empty history) is over by then.
  await sleep(1_000);

  const startMs = performance.now();
  await feed(() => run.board.rows.events);
  const ms = performance.now() - startMs;
  tree.stop();
  await tree.ended;
  await topology.close();
  return { rows: await countRows(accountTables(SCHEMA, slug)), ms };
}

async function countRows({
  orders,
  events,
  activities,
}: AccountTables): Promise<number> {
  const { sql } = place;
  const [row] = await sql<[{ rows: number }]>`
    select ((select count(*) from ${sql(orders)}) + (select count(*) from ${sql(events)})
      + (select count(*) from ${sql(activities)}))::int as rows`;
  return row.rows;
}

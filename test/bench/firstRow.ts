/**
 * The default set-up in an empty directory: seconds from the command to the
 * first committed row, as another connection to its Postgres sees it. Beside
 * it, how long the bare parts take: an embedded Postgres made and started, and
 * one row in it.
 */
import { join } from "node:path";
import { SECOND, sleep } from "../../src/clock.ts";
import { demoAccounts } from "../../src/commands/demoAccounts.ts";
import { readRunFile } from "../../src/commands/runFile.ts";
import { accountTables } from "../../src/stores/postgres/accountTables.ts";
import { connect } from "../../src/stores/postgres/connect.ts";
import { openPlace, scratchDirectory } from "./place.ts";
import { hundredths, sayTarget, spread } from "./rounds.ts";

const ROUNDS = 3;
const SECONDS_MAX = 15;
const GIVEN_UP_MS = 2 * 60 * SECOND;
const TABLES = demoAccounts("http://127.0.0.1").flatMap(({ slug }) => {
  const { orders, events, activities } = accountTables(
    "account_activities",
    slug,
  );
  return [orders, events, activities];
});

const bare: number[] = [];
const real: number[] = [];
for (let round = 1; round <= ROUNDS; round++) {
  bare.push(await bareStart());
  real.push(await realStart());
}
console.log("firstRow: the default set-up in an empty directory");
console.log(spread("  bare seconds", bare, hundredths));
console.log(spread("  real seconds", real, hundredths));
sayTarget(
  `first row after ${hundredths(Math.max(...real))} s at most`,
  `within ${SECONDS_MAX} s`,
  Math.max(...real) <= SECONDS_MAX,
);

async function bareStart(): Promise<number> {
  const startMs = performance.now();
  await using place = await openPlace();
  await place.sql`create table kept (number integer)`;
  await place.sql`insert into kept values (1)`;
  return (performance.now() - startMs) / SECOND;
}

async function realStart(): Promise<number> {
  using directory = scratchDirectory();
  const startMs = performance.now();
  const service = Bun.spawn(
    [process.execPath, join(import.meta.dir, "../../src/main.ts")],
    {
      env: {
        PATH: process.env["PATH"],
        FEEDKEEPER_DIR: directory.path,
        PORT: "0",
        LOG_LEVEL: "ERROR",
      },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  try {
    await whenThereIsARow(directory.path, service);
    return (performance.now() - startMs) / SECOND;
  } finally {
    service.kill("SIGTERM");
    await service.exited;
  }
}

async function whenThereIsARow(
  directory: string,
  service: Bun.Subprocess,
): Promise<void> {
  for (const deadline = Date.now() + GIVEN_UP_MS; Date.now() < deadline;) {
    await sleep(50);
    const url = readRunFile(directory)?.postgresUrl;
    if (url !== undefined && (await hasRow(url))) return;
    if (service.exitCode !== null)
      throw new Error(`the service ended with ${service.exitCode}`);
  }
  throw new Error("no row was committed");
}

/** False as long as the server, or the tables, are not there. */
async function hasRow(url: string): Promise<boolean> {
  const sql = connect(url, { connectionsMax: 1 });
  try {
    for (const table of TABLES) {
      const rows = await sql`select 1 from ${sql(table)} limit 1`;
      if (rows.length > 0) return true;
    }
  } catch {
    // Not yet.
  } finally {
    await sql.end({ timeout: 1 });
  }
  return false;
}

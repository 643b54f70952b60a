/**
 * What commands look at: a simulated venue with a short past, an empty database,
 * a configuration that names both, and the command line over it.
 */
import { spyOn } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Commands, runCli } from "../../src/cli.ts";
import { auditAccounts } from "../../src/commands/audit.ts";
import { backfillAccounts } from "../../src/commands/backfill.ts";
import {
  coverage,
  coverageExport,
  coverageVerify,
} from "../../src/commands/coverage.ts";
import { readConfig } from "../../src/config.ts";
import { accountTables } from "../../src/stores/postgres/accountTables.ts";
import {
  DEMO_ACCOUNTS,
  type SimulatedVenue,
  startSimulatedVenue,
} from "../../src/venues/simulated/venue.ts";
import { type FreshDatabase, freshDatabase } from "../support/postgres.ts";

export const SCHEMA = "account_activities";

export interface Captured extends AsyncDisposable {
  readonly venue: SimulatedVenue;
  readonly database: FreshDatabase;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs a command line, in the given environment instead of {@link environment} where there is one. */
  run(line: string, options?: RunOptions): Promise<Ran>;
  /** Rows that the venue's own books have of the demo account `paper` or `growth`. */
  booked(account: string): Promise<{ orders: number; activities: number }>;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly isTerminal?: boolean;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Two accounts, `paper` and `growth`, each with a few dozen rows of the last twelve days; nothing trades. */
export async function captured(): Promise<Captured> {
  await using stack = new AsyncDisposableStack();
  const venue = stack.adopt(
    await startSimulatedVenue({ historyDays: 12, historyOrdersPerDay: 4 }),
    (each) => each.stop(),
  );
  const database = stack.adopt(await freshDatabase(), (each) => each.drop());
  const directory = stack.adopt(
    mkdtempSync(join(tmpdir(), "feedkeeper-command-")),
    (each) => rmSync(each, { recursive: true }),
  );
  const environment = {
    FEEDKEEPER_DIR: directory,
    POSTGRESQL_LIVE_CONN_STRING: database.url,
    DESTINATIONS: destinations(venue.url),
    BACKFILL_DAYS: "14",
  };
  const rest = stack.move();
  return {
    venue,
    database,
    environment,
    run: (
      line,
      { environment: given = environment, isTerminal = false } = {},
    ) => runLine(line, given, isTerminal),
    booked: async (account) => {
      const books = await fetch(`${venue.url}/sim/books/${account}`);
      const { orders, activities } = JSON.parse(await books.text());
      return { orders, activities };
    },
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}

/** Every table of ours with its number of rows and the transaction that wrote last: the same as long as nobody writes. */
export async function stateOf({ sql }: FreshDatabase): Promise<string[]> {
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema') order by 1`;
  const states: string[] = [];
  for (const { name } of tables) {
    const [row] = await sql.unsafe<[{ state: string }]>(
      `select count(*) || ' ' || coalesce(max(xmin::text::bigint), 0) as state from ${name}`,
    );
    states.push(`${name} ${row.state}`);
  }
  return states;
}

/** The demo accounts as `DESTINATIONS` names them. */
export function destinations(url: string, secretKey?: string): string {
  return JSON.stringify(
    DEMO_ACCOUNTS.map((account) => ({
      name: account.name,
      base_url: url,
      key_id: account.keyId,
      secret_key: secretKey ?? account.secretKey,
    })),
  );
}

export const tablesOf = (account: string) => accountTables(SCHEMA, account);

async function runLine(
  line: string,
  environment: Readonly<Record<string, string>>,
  isTerminal: boolean,
): Promise<Ran> {
  let stdout = "";
  let stderr = "";
  const io = {
    stdout: (text: string) => void (stdout += text),
    stderr: (text: string) => void (stderr += text),
    isTerminal,
  };
  const configOf = (flags: { dryRun: boolean }) =>
    readConfig(environment, { flags });
  const unexpected = () => Promise.reject(new Error(`not here: ${line}`));
  const commands: Commands = {
    backfillAccounts: async (flags) =>
      backfillAccounts(configOf(flags), flags, io),
    auditAccounts: async (flags) => auditAccounts(configOf(flags), flags, io),
    coverage: async (flags) => coverage(configOf(flags), flags, io),
    coverageExport: async (flags) => coverageExport(configOf(flags), flags, io),
    coverageVerify: async (flags) => coverageVerify(configOf(flags), flags, io),
    serve: unexpected,
    spool: unexpected,
    sim: unexpected,
    smoke: unexpected,
    status: unexpected,
    tree: unexpected,
    configCheck: unexpected,
    backfillBars: unexpected,
    auditBars: unexpected,
    registryRun: unexpected,
    symbolsList: unexpected,
    symbolsAdd: unexpected,
    symbolsSet: unexpected,
    symbolsRemove: unexpected,
    snapshot: unexpected,
    gaps: unexpected,
  };
  const code = await runCli(line.split(" "), commands, io);
  return { code, stdout, stderr };
}

/**
 * Pauses between two tries (a quarter of a second to eight seconds) are over at
 * once; `meanwhile` happens in each of those of `ms`. Deadlines keep their length.
 */
export function withoutPauses(
  meanwhile:
    { ms: number; work: () => Promise<unknown> } | undefined = undefined,
): Disposable {
  const setTimer = globalThis.setTimeout;
  // The driver's limit for connecting, which has to hold.
  const isPause = (ms: number) => ms >= 250 && ms <= 8000 && ms !== 5000;
  const timer = (
    handler: (...values: unknown[]) => void,
    ms = 0,
    ...values: unknown[]
  ) => {
    if (meanwhile?.ms !== ms)
      return setTimer(handler, isPause(ms) ? 0 : ms, ...values);
    void meanwhile.work().then(() => handler(...values));
    return setTimer(() => {}, 0);
  };
  const spy = spyOn(globalThis, "setTimeout").mockImplementation(
    timer as typeof setTimeout,
  );
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

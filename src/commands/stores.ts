/**
 * What a command needs to look at accounts and their store from outside: those
 * of the running service, or, in the default set-up with none running, the
 * embedded parts brought up for as long as the command lasts.
 */
import { join } from "node:path";
import type { Account } from "../../schema/account.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../errors.ts";
import type { Database } from "../stores/postgres/database.ts";
import { hasAccountTables } from "../stores/postgres/migrate.ts";
import { startSimulatedVenue } from "../venues/simulated/venue.ts";
import { demoAccounts } from "./demoAccounts.ts";
import { lockDirectory } from "./directoryLock.ts";
import { openDatabase } from "./openDatabase.ts";
import { readRunFile } from "./runFile.ts";

export interface Stores extends AsyncDisposable {
  readonly database: Database;
  /** Those asked for, or all. */
  readonly accounts: readonly Account[];
}

/**
 * @throws ConfigError when an account that was asked for is not configured, or
 * when the service that runs here is of another configuration
 */
export async function openStores(
  config: Config,
  slugs: readonly string[] = [],
): Promise<Stores> {
  await using stack = new AsyncDisposableStack();
  const running = readRunFile(config.directory);
  const isEmbedded = config.postgres.url === undefined;
  const isSimulated = config.venue === "simulated";
  requireKnown(slugs, isSimulated ? demoAccounts("") : config.accounts);
  // From a terminal without the service's variables a backfill would write the simulated past into the real store.
  if (isSimulated && running !== undefined && running.venueUrl === undefined)
    throw new ConfigError([
      `VENUE: the service in ${config.directory} runs with accounts of its own; give this command the same configuration`,
    ]);
  // Brought up here, the embedded parts must have no other owner meanwhile.
  if (running === undefined && (isEmbedded || isSimulated))
    stack.use(lockDirectory(config.directory));

  const database = await openDatabase(
    stack,
    config.directory,
    config.postgres.url ?? running?.postgresUrl,
  );
  const accounts = isSimulated
    ? demoAccounts(
        running?.venueUrl ??
          stack.adopt(
            await startSimulatedVenue({
              file: join(config.directory, "venue.sqlite"),
              trading: false,
            }),
            (venue) => venue.stop(),
          ).url,
      )
    : config.accounts;
  const rest = stack.move();
  return {
    database,
    accounts: accounts.filter(
      ({ slug }) => slugs.length === 0 || slugs.includes(slug),
    ),
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}

/** For commands that only look. @throws Error naming the accounts of which there is nothing to look at */
export async function requireCaptured(
  { database, accounts }: Stores,
  schema: string,
): Promise<void> {
  const present = await Promise.all(
    accounts.map(({ slug }) => hasAccountTables(database.sql, schema, slug)),
  );
  const absent = accounts.filter((_, index) => present[index] === false);
  if (absent.length > 0)
    throw new Error(
      `nothing has been captured yet of ${absent.map(({ slug }) => slug).join(", ")}: start the service, or run backfill accounts`,
    );
}

function requireKnown(
  slugs: readonly string[],
  accounts: readonly Account[],
): void {
  const unknown = slugs.filter(
    (slug) => !accounts.some((account) => account.slug === slug),
  );
  if (unknown.length > 0)
    throw new ConfigError(
      unknown.map(
        (slug) =>
          `${slug}: no such account; there are ${accounts.map((account) => account.slug).join(", ") || "none"}`,
      ),
    );
}

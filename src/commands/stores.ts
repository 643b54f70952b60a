/**
 * What a command needs to look at accounts and their store from outside: those
 * of the running service, or, in the default set-up with none running, the
 * embedded parts brought up for as long as the command lasts.
 */
import { join } from "node:path";
import type { Account } from "../../schema/account.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { Database } from "../stores/postgres/database.ts";
import { startEmbeddedPostgres } from "../stores/postgres/embedded.ts";
import { startSimulatedVenue } from "../venues/simulated/venue.ts";
import { demoAccounts } from "./demoAccounts.ts";
import { lockDirectory } from "./directoryLock.ts";
import { readRunFile } from "./runFile.ts";

export interface Stores extends AsyncDisposable {
  readonly database: Database;
  /** Those asked for, or all. */
  readonly accounts: readonly Account[];
}

/** @throws ConfigError when an account that was asked for is not configured. */
export async function openStores(
  config: Config,
  slugs: readonly string[] = [],
): Promise<Stores> {
  await using stack = new AsyncDisposableStack();
  const running = readRunFile(config.directory);
  const isEmbedded = config.postgres.url === undefined;
  const isSimulated = config.venue === "simulated";
  // Brought up here, the embedded parts must have no other owner meanwhile.
  if (running === undefined && (isEmbedded || isSimulated))
    stack.use(lockDirectory(config.directory));

  const database = stack.adopt(new Database(), (each) => each.close());
  database.use(
    config.postgres.url ??
      running?.postgresUrl ??
      stack.adopt(
        await startEmbeddedPostgres({
          directory: join(config.directory, "postgres"),
        }),
        (server) => server.stop(),
      ).url,
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
  const rest = stack.move();
  return {
    database,
    accounts: accounts.filter(
      ({ slug }) => slugs.length === 0 || slugs.includes(slug),
    ),
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}

/** The one door to Postgres: a pool of connections with the settings every statement relies on. */
import postgres from "postgres";
import { type Address, type Host, readAddress } from "./address.ts";
import { dialler, isSocketDirectory } from "./dial.ts";

export type Sql = postgres.Sql;
export type Transaction = postgres.TransactionSql;

/** Seconds to wait for a connection before the store counts as down, unless the URL says otherwise. */
const CONNECT_SECONDS_MAX = 5;
/** A statement that takes longer is given up by the server: a hung store must not hang the sink. */
const STATEMENT_MS_MAX = 60_000;

/**
 * Opens no connection until the first statement. Ends with `sql.end({ timeout })`.
 * @throws ConfigError when the URL cannot be read.
 */
export function connect(
  url: string,
  options: { connectionsMax?: number } = {},
): Sql {
  const address = readAddress(url);
  const secondsMax = address.connectSecondsMax ?? CONNECT_SECONDS_MAX;
  const known: postgres.Options<Record<never, never>> = {
    max: options.connectionsMax ?? 10,
    ...named(address.hosts),
    ssl: encryptionFor(address),
    target_session_attrs: address.targetSession,
    keep_alive: address.keepAliveSeconds ?? 60,
    connect_timeout: secondsMax,
    // The library waits up to its backoff before it tries again; our own actors pace that.
    backoff: () => 0.2,
    idle_timeout: 60,
    onnotice: () => {},
    connection: {
      statement_timeout: STATEMENT_MS_MAX,
      ...address.settings,
      TimeZone: "UTC",
    },
    ...(address.user === undefined ? {} : { user: address.user }),
    ...(address.password === undefined ? {} : { password: address.password }),
    ...(address.database === undefined ? {} : { database: address.database }),
  };
  // The library takes these two, its types do not know them.
  const unknown = {
    socket: dialler(address, secondsMax),
    sslnegotiation: address.isDirect ? "direct" : null,
  };
  return postgres({ ...known, ...unknown });
}

/** Host and port for the library's error messages; the sockets are dialled here. */
function named([first]: readonly Host[]): { host?: string; port?: number } {
  return first === undefined ? {} : { host: first.name, port: first.port };
}

function encryptionFor({ hosts, encryption }: Address): Address["encryption"] {
  // As in libpq: nobody listens in on a socket of this machine.
  return hosts.every(isSocketDirectory) ? false : encryption;
}

/**
 * Runs `work` in a transaction: committed when it resolves, undone when it rejects.
 *
 * When the connection itself is lost, the library would send its rollback to a
 * socket that is gone: an error that nobody can catch, after which that connection
 * is of no use. So the work's own failure is withheld then, and what rejects is
 * the library's news of the loss.
 */
export async function transact<Result>(
  sql: Sql,
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> {
  const result = await sql.begin(async (transaction) => {
    try {
      return { value: await work(transaction) };
    } catch (error) {
      if (!isLoss(error)) throw error;
      return new Promise<never>(() => {});
    }
  });
  return result.value;
}

/** Whether the connection went with the statement: told by the network, by the library, or by the server as its last word. */
function isLoss(error: unknown): boolean {
  if (error instanceof postgres.PostgresError)
    return /^(FATAL|PANIC)$/.test(error.severity);
  return (
    error instanceof Error &&
    "code" in error &&
    /^(CONNECTION_|E[A-Z])/.test(String(error.code))
  );
}

/** Whether the server answers a query now. Throws what went wrong. */
export async function ping(sql: Sql): Promise<void> {
  await sql`select 1`;
}

/**
 * What a failed statement means: `row` = this data can never be written
 * (SQLSTATE classes 21, 22 and 23, and a value too large or too deep for its
 * place, 54); `store` = the server is away, busy or full, the same statement may
 * succeed later.
 */
export function failureOf(error: unknown): "row" | "store" {
  const code = error instanceof postgres.PostgresError ? error.code : "";
  return /^(21|22|23|54)/.test(code) ? "row" : "store";
}

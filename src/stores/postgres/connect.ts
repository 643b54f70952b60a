/** The one door to Postgres: a pool of connections with the settings every statement relies on. */
import postgres from "postgres";

export type Sql = postgres.Sql;
export type Transaction = postgres.TransactionSql;

/** Seconds to wait for a connection before the store counts as down. */
const CONNECT_SECONDS_MAX = 5;
/** A statement that takes longer is given up by the server: a hung store must not hang the sink. */
const STATEMENT_MS_MAX = 60_000;

/** Opens no connection until the first statement. Ends with `sql.end({ timeout })`. */
export function connect(
  url: string,
  options: { connectionsMax?: number } = {},
): Sql {
  return postgres(url, {
    max: options.connectionsMax ?? 10,
    connect_timeout: CONNECT_SECONDS_MAX,
    // The library waits up to its backoff before it tries again; our own actors pace that.
    backoff: () => 0.2,
    idle_timeout: 60,
    onnotice: () => {},
    connection: {
      application_name: "feedkeeper",
      TimeZone: "UTC",
      statement_timeout: STATEMENT_MS_MAX,
    },
  });
}

/** Whether the server answers a query now. Throws what went wrong. */
export async function ping(sql: Sql): Promise<void> {
  await sql`select 1`;
}

/**
 * What a failed statement means: `row` = this data can never be written
 * (SQLSTATE classes 21, 22 and 23, and a value too large for its place);
 * `store` = the server is away, busy or full, the same statement may succeed later.
 */
export function failureOf(error: unknown): "row" | "store" {
  const code = error instanceof postgres.PostgresError ? error.code : "";
  return /^(21|22|23)/.test(code) || code === "54000" ? "row" : "store";
}

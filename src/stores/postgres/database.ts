/**
 * The connection pool of the accounts database, as long-lived parts hold it. The
 * embedded server may come up late and on another port after a restart, so where
 * the database is can change while everybody keeps the same handle.
 */
import { connect, type Sql } from "./connect.ts";

/** The database is not known yet or was given up; asking again later may help. */
export class DatabaseAwayError extends Error {
  override readonly name = "DatabaseAwayError";
}

export class Database {
  #url: string | undefined;
  #sql: Sql | undefined;

  /** Address in use; it holds a password. */
  get url(): string | undefined {
    return this.#url;
  }

  /** From now on the database is at `url`; statements under way on the old pool fail or end. */
  use(url: string): void {
    if (url === this.#url && this.#sql !== undefined) return;
    const sql = connect(url);
    void this.#sql?.end({ timeout: 1 });
    this.#url = url;
    this.#sql = sql;
  }

  /** @throws DatabaseAwayError before the first {@link use} and after {@link close}. */
  get sql(): Sql {
    if (this.#sql === undefined)
      throw new DatabaseAwayError("the database has not been started yet");
    return this.#sql;
  }

  /** One connection for statements that belong together (temporary tables); given back when disposed. */
  async reserve(): Promise<{ readonly sql: Sql } & Disposable> {
    const sql = await this.sql.reserve();
    return { sql, [Symbol.dispose]: () => sql.release() };
  }

  /** Drops every connection, also those that hang in a statement nobody answers. */
  reset(): void {
    const url = this.#url;
    if (url === undefined || this.#sql === undefined) return;
    void this.#sql.end({ timeout: 0 });
    this.#sql = connect(url);
  }

  async close(): Promise<void> {
    const sql = this.#sql;
    this.#sql = undefined;
    await sql?.end({ timeout: 1 });
  }
}

/** Codes of the driver, of the network and of TLS, and SQLSTATEs, by their beginnings. */
const AWAY = new RegExp(
  `^(${[
    "CONNECT|ECONN|EPIPE|ENOTFOUND|ENOENT|EACCES|EAI_|EHOST|ENETUNREACH|ETIMEDOUT",
    // A certificate that ran out is renewed, a password is changed in two places one after the other.
    "CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|SASL_|28",
    "08|40|53|57|58",
    // The server that was written to has become the standby.
    "25006$",
    // Database, schema or table that are yet to be made.
    "3D000$|3F000$|42P01$",
  ].join("|")})`,
);

/**
 * Whether a failed statement is the database being away, busy, out of reach or
 * not yet set up, which passes, rather than a fault of ours.
 */
export function isAway(error: unknown): boolean {
  if (error instanceof DatabaseAwayError) return true;
  if (!(error instanceof Error) || !("code" in error)) return false;
  return AWAY.test(String(error.code));
}

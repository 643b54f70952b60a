/** Waiting for a database: one that says nothing is given up, and its connections with it. */
import { within } from "../../clock.ts";
import type { Sql } from "./connect.ts";
import type { Database } from "./database.ts";

const SILENT = "the database does not answer";

export async function answered<Result>(
  database: Database,
  ms: number,
  work: (sql: Sql) => Promise<Result>,
): Promise<Result> {
  const { sql } = database;
  try {
    return await within(ms, work(sql), SILENT);
  } catch (error) {
    // Connections that hang in a statement would be handed out again; those of somebody else's new pool do not hang.
    if (isSilence(error) && database.sql === sql) database.reset();
    throw error;
  }
}

function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === SILENT;
}

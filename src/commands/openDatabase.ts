/** The database of a command: the configured one, the running service's, or the embedded one brought up for as long as the command lasts. */
import { join } from "node:path";
import { SECOND, within } from "../clock.ts";
import { ping } from "../stores/postgres/connect.ts";
import { Database } from "../stores/postgres/database.ts";
import { startEmbeddedPostgres } from "../stores/postgres/embedded.ts";

/** A database that takes longer to answer the first statement is away. */
const PING_MS_MAX = 10 * SECOND;

/**
 * `stack` closes what is opened. The embedded one must have no other owner
 * meanwhile: its directory is to be locked before.
 * @throws Error when it does not answer
 */
export async function openDatabase(
  stack: AsyncDisposableStack,
  directory: string,
  given: string | undefined,
): Promise<Database> {
  const database = stack.adopt(new Database(), (each) => each.close());
  database.use(
    given ??
      stack.adopt(
        await startEmbeddedPostgres({ directory: join(directory, "postgres") }),
        (server) => server.stop(),
      ).url,
  );
  try {
    await within(PING_MS_MAX, ping(database.sql), "no answer in time");
  } catch (cause) {
    throw new Error("the database does not answer", { cause });
  }
  return database;
}

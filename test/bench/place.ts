/** Where a benchmark works: a directory and an embedded Postgres of its own, with the settings that users get. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Sql } from "../../src/stores/postgres/connect.ts";
import { startEmbeddedPostgres } from "../../src/stores/postgres/embedded.ts";

export interface Place extends AsyncDisposable {
  readonly directory: string;
  readonly url: string;
  readonly sql: Sql;
}

export function scratchDirectory(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "feedkeeper-bench-"));
  const remove = () => rmSync(path, { recursive: true, force: true });
  // Also when the benchmark fails or is interrupted.
  process.once("exit", remove);
  return { path, [Symbol.dispose]: remove };
}

export async function openPlace(): Promise<Place> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(scratchDirectory());
  const server = stack.adopt(
    await startEmbeddedPostgres({ directory: join(path, "postgres") }),
    (each) => each.stop(),
  );
  const sql = stack.adopt(connect(server.url), (each) =>
    each.end({ timeout: 1 }),
  );
  const all = stack.move();
  // The server is in a session of its own: Ctrl-C does not reach it.
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      void server.stop().finally(() => process.exit(1));
    });
  return {
    directory: path,
    url: server.url,
    sql,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

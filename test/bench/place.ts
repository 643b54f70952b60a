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
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
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
  return {
    directory: path,
    url: server.url,
    sql,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

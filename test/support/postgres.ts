/**
 * One Postgres for the whole test run, started when the first test asks for it,
 * and an empty database for each test file.
 */
import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Sql } from "../../src/stores/postgres/connect.ts";
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../src/stores/postgres/embedded.ts";

export interface FreshDatabase {
  readonly url: string;
  readonly sql: Sql;
  /** Closes `sql` and removes the database, whoever is still connected to it. */
  drop(): Promise<void>;
}

interface Shared {
  readonly server: EmbeddedPostgres;
  readonly admin: Sql;
  readonly directory: string;
}

let starting: Promise<Shared> | undefined;
let made = 0;

export async function freshDatabase(): Promise<FreshDatabase> {
  starting ??= start();
  const { server, admin } = await starting;
  const name = `test_${++made}`;
  await admin`create database ${admin(name)}`;
  const url = server.url.replace(/[^/]+$/, name);
  const sql = connect(url);
  return {
    url,
    sql,
    async drop() {
      await sql.end({ timeout: 1 });
      await admin`drop database if exists ${admin(name)} with (force)`;
    },
  };
}

async function start(): Promise<Shared> {
  const directory = mkdtempSync(join(tmpdir(), "feedkeeper-test-postgres-"));
  const server = await startEmbeddedPostgres({ directory });
  const admin = connect(server.url, { connectionsMax: 1 });
  // These databases need not outlive a power cut, and tests make many.
  await admin`alter system set fsync = off`;
  await admin`select pg_reload_conf()`;
  return { server, admin, directory };
}

/** Preloaded by bunfig.toml, so this runs once, behind the last test file. */
afterAll(async () => {
  if (starting === undefined) return;
  const { server, admin, directory } = await starting;
  starting = undefined;
  await admin.end({ timeout: 1 });
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

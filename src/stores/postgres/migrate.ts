/**
 * Numbered migrations: `schema/sql/service` and `schema/sql/market` once a database,
 * `schema/sql/account` once an account. Several replicas may start at one time: whoever has the
 * advisory lock works, the others wait and find it done.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../errors.ts";
import { accountTables } from "./accountTables.ts";
import { type Sql, transact, type Transaction } from "./connect.ts";

const DIRECTORY = join(import.meta.dir, "../../../schema/sql");
/** Any number, as long as every replica uses the same one. */
const LOCK = 5_318_008_153;

interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
}

/** Brings the tables of the service up to date. @throws ConfigError when a newer feedkeeper made them. */
export async function migrateService(sql: Sql): Promise<void> {
  await transact(sql, async (transaction) => {
    await transaction`select pg_advisory_xact_lock(${LOCK})`;
    await transaction`create schema if not exists feedkeeper`;
    await transaction`
      create table if not exists feedkeeper.schema_migrations (
        scope text not null,
        version integer not null,
        name text not null,
        applied_at timestamptz not null default now(),
        primary key (scope, version)
      )`;
    await applyMissing(
      transaction,
      "service",
      migrationsIn("service"),
      (text) => text,
    );
  });
}

/** Creates the tables of market data, or brings those of an older service forward. */
export async function migrateMarket(sql: Sql): Promise<void> {
  await migrateService(sql);
  await transact(sql, async (transaction) => {
    await transaction`set local statement_timeout = 0`;
    await transaction`select pg_advisory_xact_lock(${LOCK})`;
    // A user called feedkeeper would have them made in the schema of his name, which is the service's own.
    await transaction`
      select set_config('search_path', string_agg(quote_ident(name), ',' order by place), true)
      from unnest(current_schemas(false)) with ordinality as schemas (name, place)
      where name <> 'feedkeeper'`;
    await applyMissing(
      transaction,
      "market",
      migrationsIn("market"),
      (text) => text,
    );
  });
}

/** Creates the tables of an account, or brings those of an older service forward. */
export async function migrateAccount(
  sql: Sql,
  schema: string,
  account: { readonly slug: string; readonly name: string },
): Promise<void> {
  const tables = accountTables(schema, account.slug);
  await transact(sql, async (transaction) => {
    // Tables of an older service may be large; the usual limit is for the running sink.
    await transaction`set local statement_timeout = 0`;
    await transaction`select pg_advisory_xact_lock(${LOCK})`;
    await transaction`create schema if not exists ${transaction(schema)}`;
    await transaction`
      insert into feedkeeper.accounts (slug, name) values (${account.slug}, ${account.name})
      on conflict (slug) do nothing`;
    const names: Record<string, string> = { ...tables, slug: account.slug };
    await applyMissing(
      transaction,
      `${schema}.${account.slug}`,
      migrationsIn("account"),
      (text) =>
        text.replace(
          /\{\{(\w+)\}\}/g,
          (_, name: string) => names[name] ?? name,
        ),
    );
  });
}

/** Whether {@link migrateService} and {@link migrateAccount} have been here. */
export async function hasAccountTables(
  sql: Sql,
  schema: string,
  slug: string,
): Promise<boolean> {
  const { activities } = accountTables(schema, slug);
  const [row] = await sql<[{ present: boolean }]>`
    select to_regclass('feedkeeper.coverage') is not null
      and to_regclass(${activities}) is not null as present`;
  return row.present;
}

async function applyMissing(
  transaction: Transaction,
  scope: string,
  migrations: readonly Migration[],
  complete: (text: string) => string,
): Promise<void> {
  const rows = await transaction<{ version: number }[]>`
    select version from feedkeeper.schema_migrations where scope = ${scope}`;
  const applied = new Set(rows.map(({ version }) => version));
  const newest = migrations.at(-1)?.version ?? 0;
  const beyond = [...applied].filter((version) => version > newest);
  if (beyond.length > 0) {
    throw new ConfigError([
      `the database has migration ${Math.max(...beyond)} of ${scope}, this feedkeeper knows ${newest}: it was made by a newer version`,
    ]);
  }
  for (const { version, name, text } of migrations.filter(
    (migration) => !applied.has(migration.version),
  )) {
    await transaction.unsafe(complete(text));
    await transaction`
      insert into feedkeeper.schema_migrations (scope, version, name) values (${scope}, ${version}, ${name})`;
  }
}

function migrationsIn(folder: "service" | "account" | "market"): Migration[] {
  const directory = join(DIRECTORY, folder);
  return readdirSync(directory)
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .sort()
    .map((file) => ({
      version: Number(file.slice(0, 4)),
      name: file.slice(5, -4),
      text: readFileSync(join(directory, file), "utf8"),
    }));
}

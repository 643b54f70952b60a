/** `coverage`, `coverage export`, `coverage verify`: the completeness certificate, shown, written and checked. */
import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { CoverageReport } from "../../schema/service.ts";
import { coverageReport } from "../accounts/report.ts";
import type {
  CoverageExportFlags,
  CoverageFlags,
  CoverageVerifyFlags,
  Output,
} from "../cli.ts";
import { accountSlug } from "../../schema/account.ts";
import { assetClassOf, symbolOf } from "../../schema/symbol.ts";
import { DAY } from "../clock.ts";
import type { Config } from "../config.ts";
import { ConfigError, describeError } from "../errors.ts";
import { accountStore } from "../stores/postgres/accountStore.ts";
import { accountTables } from "../stores/postgres/accountTables.ts";
import type { Sql } from "../stores/postgres/connect.ts";
import { Database } from "../stores/postgres/database.ts";
import { barFacts } from "../stores/postgres/marketStore.ts";
import { dayDigests } from "../stores/postgres/digests.ts";
import { demoAccounts } from "./demoAccounts.ts";
import { openStores, requireCaptured, type Stores } from "./stores.ts";

export async function coverage(
  config: Config,
  flags: CoverageFlags,
  io: Output,
): Promise<number> {
  const { account, symbol } = meantBy(config, flags.name);
  await using stores = await openStores(
    config,
    account === undefined ? [] : [account],
  );
  if (symbol === undefined) await requireCaptured(stores, config.schema);
  const report =
    symbol === undefined
      ? await reportOf(stores, config.schema, flags)
      : await reportOfSymbol(config, stores, symbol, flags);
  io.stdout(
    flags.json ? `${JSON.stringify(report, undefined, 2)}\n` : textOf(report),
  );
  return 0;
}

/** An account of the configuration goes before a symbol that is spelt like it. */
function meantBy(
  config: Config,
  name: string | undefined,
): { account?: string; symbol?: string } {
  if (name === undefined) return {};
  const account = accountSlug(name);
  const known =
    config.venue === "simulated" ? demoAccounts("") : config.accounts;
  if (known.some(({ slug }) => slug === account)) return { account };
  const symbol = symbolOf(name, assetClassOf(name));
  return symbol === undefined || symbol !== name.trim()
    ? { account }
    : { symbol };
}

async function reportOfSymbol(
  config: Config,
  { database }: Stores,
  symbol: string,
  range: { from?: Date; to?: Date },
): Promise<CoverageReport> {
  await using own = marketDatabase(config, database);
  const source = barFacts(own.database, symbol);
  if ((await source.facts()).length === 0)
    throw new Error(`nothing has been captured yet of ${symbol}`);
  return coverageReport(new Map([[symbol, source]]), range, Date.now());
}

/** Market data may have a database of its own. */
function marketDatabase(
  { market }: Config,
  accounts: Database,
): { readonly database: Database } & AsyncDisposable {
  const url = market.postgres?.url;
  const database = url === undefined ? accounts : new Database();
  if (url !== undefined) database.use(url);
  return {
    database,
    async [Symbol.asyncDispose]() {
      if (url !== undefined) await database.close();
    },
  };
}

const link = z.strictObject({
  account: z.string(),
  table: z.enum(["events", "activities"]),
  day: z.string(),
  rows: z.int(),
  digest: z.string(),
  /** Over the link before it (of the same table and account) and this one: a day cannot be taken out unseen. */
  chain: z.string(),
});

/** The file that `coverage export` writes. */
const certificateFile = z.object({
  version: z.literal(1),
  exportedAt: z.iso.datetime(),
  /** Rows of this instant or later are not in it. */
  before: z.iso.datetime(),
  report: z.custom<CoverageReport>(
    (value) => typeof value === "object" && value !== null,
  ),
  chain: z.array(link),
  /** Over all of the above as it is written, so that no line of it is changed and no day cut off unseen. */
  seal: z.string(),
});
type Certificate = z.infer<typeof certificateFile>;
type Link = z.infer<typeof link>;

export async function coverageExport(
  config: Config,
  flags: CoverageExportFlags,
  io: Output,
): Promise<number> {
  await using stores = await openStores(config);
  await requireCaptured(stores, config.schema);
  const nowMs = Date.now();
  // Whole days only: today's would differ a minute later.
  const before = new Date(Math.floor(nowMs / DAY) * DAY);
  const content: Omit<Certificate, "seal"> = {
    version: 1,
    exportedAt: new Date(nowMs).toISOString(),
    before: before.toISOString(),
    report: await reportOf(stores, config.schema, {}),
    chain: await chainOf(stores, config.schema, before),
  };
  const certificate: Certificate = { ...content, seal: sealOf(content) };
  const text = `${JSON.stringify(certificate, undefined, 2)}\n`;
  if (flags.out === undefined) io.stdout(text);
  else {
    writeFileSync(flags.out, text);
    io.stderr(
      `${certificate.chain.length} days of ${stores.accounts.length} accounts in ${flags.out}\n`,
    );
  }
  return 0;
}

/** Exit code 0 when every digest can be recomputed from the rows, else 1 with each day that cannot. */
export async function coverageVerify(
  config: Config,
  flags: CoverageVerifyFlags,
  io: Output,
): Promise<number> {
  const certificate = readCertificate(flags.file);
  await using stores = await openStores(config);
  await requireCaptured(stores, config.schema);
  const problems = [
    ...brokenLinks(certificate.chain),
    ...(sealOf(certificate) === certificate.seal
      ? []
      : ["the certificate was changed after it was written"]),
    ...changedDays(
      certificate.chain,
      await chainOf(stores, config.schema, new Date(certificate.before)),
    ),
  ];
  if (flags.json)
    io.stdout(
      `${JSON.stringify({ days: certificate.chain.length, problems }, undefined, 2)}\n`,
    );
  else
    io.stdout(
      problems.length === 0
        ? `${certificate.chain.length} days verified\n`
        : problems.map((problem) => `${problem}\n`).join(""),
    );
  return problems.length === 0 ? 0 : 1;
}

function readCertificate(file: string): Certificate {
  const problem = (what: string) =>
    new ConfigError([`${file} is no certificate of this program (${what})`]);
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw problem(describeError(error));
  }
  const { data, error } = certificateFile.safeParse(content);
  if (data !== undefined) return data;
  const [issue] = error.issues;
  throw problem(`${issue?.path.join(".")}: ${issue?.message}`);
}

async function reportOf(
  stores: Stores,
  schema: string,
  range: { from?: Date; to?: Date },
): Promise<CoverageReport> {
  return coverageReport(
    new Map(
      stores.accounts.map(({ slug }) => [
        slug,
        accountStore(stores.database, schema, slug),
      ]),
    ),
    range,
    Date.now(),
  );
}

async function chainOf(
  { accounts, database }: Stores,
  schema: string,
  before: Date,
): Promise<Link[]> {
  const chain: Link[] = [];
  for (const { slug } of accounts)
    for (const table of ["events", "activities"] as const)
      chain.push(...(await linksOf(database.sql, schema, slug, table, before)));
  return chain;
}

async function linksOf(
  sql: Sql,
  schema: string,
  account: string,
  table: Link["table"],
  before: Date,
): Promise<Link[]> {
  const days = await dayDigests(
    sql,
    accountTables(schema, account),
    table,
    before,
  );
  let previous = "";
  return days.map(({ day, rows, digest }) => {
    previous = chained(previous, { account, table, day, rows, digest });
    return { account, table, day, rows, digest, chain: previous };
  });
}

function chained(
  previous: string,
  { account, table, day, rows, digest }: Omit<Link, "chain">,
): string {
  return new Bun.CryptoHasher("sha256")
    .update([previous, account, table, day, rows, digest].join("\n"))
    .digest("hex");
}

function sealOf(certificate: Omit<Certificate, "seal">): string {
  const { version, exportedAt, before, report, chain } = certificate;
  return new Bun.CryptoHasher("sha256")
    .update(JSON.stringify({ version, exportedAt, before, report, chain }))
    .digest("hex");
}

/** Links that do not follow from the one before: the file itself was changed. */
function brokenLinks(chain: readonly Link[]): string[] {
  const last = new Map<string, string>();
  return chain.flatMap((each) => {
    const name = `${each.account} ${each.table}`;
    const expected = chained(last.get(name) ?? "", each);
    last.set(name, each.chain);
    return expected === each.chain
      ? []
      : [`${name} ${each.day}: the certificate was changed`];
  });
}

function changedDays(
  certified: readonly Link[],
  found: readonly Link[],
): string[] {
  const nameOf = (each: Link) => `${each.account} ${each.table} ${each.day}`;
  const now = new Map(found.map((each) => [nameOf(each), each]));
  const before = new Set(certified.map(nameOf));
  return [
    ...certified.flatMap((each) => {
      const other = now.get(nameOf(each));
      if (other?.digest === each.digest) return [];
      return [
        `${nameOf(each)}: ${each.rows} rows were certified, ${other?.rows ?? 0} are there now${other?.rows === each.rows ? ", not the same" : ""}`,
      ];
    }),
    ...found
      .filter((each) => !before.has(nameOf(each)))
      .map((each) => `${nameOf(each)}: ${each.rows} rows came later`),
  ];
}

function textOf({ from, to, intervals, delivery }: CoverageReport): string {
  const rows = intervals.map(
    ({ account, stream, state, from: start, to: end }) =>
      [
        account,
        stream,
        state.toUpperCase() === "UNKNOWN" ? "UNKNOWN" : state,
        start,
        end,
        lengthOf(start, end),
      ].join("\t"),
  );
  const shares = delivery.map(({ account, day, fills, undelivered, share }) =>
    [
      account,
      day,
      `${undelivered} of ${fills} fills never delivered by the stream`,
      `${(share * 100).toFixed(1)} %`,
    ].join("\t"),
  );
  return [`coverage from ${from} to ${to}`, ...rows, ...shares, ""].join("\n");
}

function lengthOf(from: string, to: string): string {
  const seconds = (Date.parse(to) - Date.parse(from)) / 1000;
  return seconds < 120
    ? `${seconds.toFixed(1)} s`
    : seconds < 7200
      ? `${(seconds / 60).toFixed(1)} min`
      : `${(seconds / 3600).toFixed(1)} h`;
}

/** `audit accounts`: reads the venue again, whole, and holds it against the store. */
import { DAY, SECOND, sleep } from "../clock.ts";
import type { AuditAccountsFlags, Output } from "../cli.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { RateBudget } from "../flow/rate.ts";
import { accountTables } from "../stores/postgres/accountTables.ts";
import {
  addVenueActivities,
  addVenueOrders,
  type AuditFinding,
  compareActivities,
  compareOrders,
  createAuditTables,
} from "../stores/postgres/audit.ts";
import type { Sql } from "../stores/postgres/connect.ts";
import { rowsOfRecord } from "../venues/alpaca/normalise.ts";
import {
  activityPages,
  orderPages,
  type Page,
} from "../venues/alpaca/pages.ts";
import { createAlpacaRest } from "../venues/alpaca/rest.ts";
import type { Account } from "../../schema/account.ts";
import type { AccountRows } from "../../schema/rows.ts";
import { openStores, requireCaptured } from "./stores.ts";

/** What is younger may still be on its way: nothing is held against the store for it. */
const SETTLING_MS = 20 * SECOND;
/** A running service may be about to write what seems to be missing: compared again after this. */
const AGAIN_MS = 6 * SECOND;
const TRIES = 3;

export interface AccountAudit {
  readonly account: string;
  readonly orders: AuditFinding;
  readonly activities: AuditFinding;
}

/** Exit code 0 when nothing is missing, double or different, else 1. */
export async function auditAccounts(
  config: Config,
  flags: AuditAccountsFlags,
  io: Output,
): Promise<number> {
  const range = rangeOf(config, flags);
  await using stores = await openStores(
    config,
    flags.account === undefined ? [] : [flags.account],
  );
  await requireCaptured(stores, config.schema);
  const audits: AccountAudit[] = [];
  for (const account of stores.accounts) {
    using connection = await stores.database.reserve();
    const audit = await auditAccount(
      connection.sql,
      config.schema,
      account,
      range,
    );
    audits.push(audit);
    if (!flags.json) io.stdout(textOf(audit));
  }
  const bad = audits.filter(
    ({ orders, activities }) => !isClean(orders) || !isClean(activities),
  );
  if (flags.json)
    io.stdout(
      `${JSON.stringify({ range, accounts: audits, ok: bad.length === 0 }, undefined, 2)}\n`,
    );
  else
    io.stdout(
      bad.length === 0
        ? "audit passed\n"
        : `audit failed: ${bad.map(({ account }) => account).join(", ")}\n`,
    );
  return bad.length === 0 ? 0 : 1;
}

function rangeOf(
  { backfillDays }: Config,
  flags: AuditAccountsFlags,
): { from: Date; to: Date } {
  const nowMs = Date.now();
  const from = flags.from ?? new Date(nowMs - backfillDays * DAY);
  const to = new Date(
    Math.min(+(flags.to ?? Number.POSITIVE_INFINITY), nowMs - SETTLING_MS),
  );
  // An empty time would pass, and prove nothing.
  if (from >= to)
    throw new ConfigError([
      `--from: there is nothing to compare between ${from.toISOString()} and ${to.toISOString()}`,
    ]);
  return { from, to };
}

async function auditAccount(
  sql: Sql,
  schema: string,
  account: Account,
  range: { from: Date; to: Date },
): Promise<AccountAudit> {
  const tables = accountTables(schema, account.slug);
  const rest = createAlpacaRest({
    account,
    budget: new RateBudget({ perMinute: 150 }),
  });
  const options = { priority: "backfill" } as const;
  // The venue's bounds are exclusive.
  const asked = { from: new Date(+range.from - 1), until: range.to };
  for (let tried = 1; ; tried++) {
    const begun = await createAuditTables(sql);
    for await (const page of orderPages(rest, asked, options)) {
      const orders = rowsOf(account, "order", page).flatMap(
        (rows) => rows.orders,
      );
      const settled = orders.filter(
        ({ updated_at }) =>
          updated_at === null || Date.parse(updated_at) < +range.to,
      );
      await addVenueOrders(sql, settled);
    }
    for await (const page of activityPages(rest, asked, options)) {
      const activities = rowsOf(account, "activity", page).flatMap(
        (rows) => rows.activities,
      );
      await addVenueActivities(sql, activities);
    }
    const orders = await compareOrders(sql, tables);
    const activities = await compareActivities(sql, tables, range, begun);
    if (tried === TRIES || (isClean(orders) && isClean(activities)))
      return { account: account.slug, orders, activities };
    await sleep(AGAIN_MS);
  }
}

function rowsOf(
  account: Account,
  kind: "order" | "activity",
  page: Page,
): AccountRows[] {
  return page.rows.map(({ raw }) =>
    rowsOfRecord({ account: account.slug, kind, raw, receivedAtMs: 0 }),
  );
}

function isClean({ missing, duplicate, differing }: AuditFinding): boolean {
  return missing + duplicate + differing === 0;
}

function textOf({ account, ...streams }: AccountAudit): string {
  return (["orders", "activities"] as const)
    .map((stream) => {
      const { compared, missing, duplicate, differing, examples } =
        streams[stream];
      const line = `${account} ${stream}: ${compared} compared, ${missing} missing, ${duplicate} duplicate, ${differing} differing\n`;
      return line + examples.map((example) => `  ${example}\n`).join("");
    })
    .join("");
}

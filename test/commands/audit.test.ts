import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type Captured,
  captured,
  destinations,
  type RunOptions,
  stateOf,
  tablesOf,
  withoutPauses,
} from "./captured.ts";

const paper = tablesOf("paper");
/** After which a comparison that failed is made again. */
const AGAIN_MS = 6000;

let captive: Captured;
let counts: Record<"paper" | "growth", { orders: number; activities: number }>;

beforeAll(async () => {
  captive = await captured();
  counts = {
    paper: await captive.booked("paper"),
    growth: await captive.booked("growth"),
  };
});
afterAll(async () => {
  await captive[Symbol.asyncDispose]();
});

const audit = (words = "", options?: RunOptions) =>
  captive.run(`audit accounts ${words}`.trim(), options);

/** Runs `work` on a broken store and mends it afterwards: the rows are as they were. */
async function broken(
  statements: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  const { sql } = captive.database;
  const tables = [paper.orders, paper.activities];
  for (const [index, table] of tables.entries())
    await sql.unsafe(`create table kept_${index} as table ${table}`);
  try {
    for (const statement of statements) await sql.unsafe(statement);
    await work();
  } finally {
    for (const [index, table] of tables.entries()) {
      await sql.unsafe(`truncate ${table}`);
      await sql.unsafe(`insert into ${table} table kept_${index}`);
      await sql.unsafe(`drop table kept_${index}`);
    }
  }
}

test("before anything was captured is one clear line, and no pass", async () => {
  expect(await audit()).toEqual({
    code: 1,
    stdout: "",
    stderr:
      "nothing has been captured yet of paper, growth: start the service, or run backfill accounts\n",
  });
});

describe("of a store that holds what the venue has", () => {
  beforeAll(async () => {
    expect((await captive.run("backfill accounts")).code).toBe(0);
  });

  test("passes with nothing missing, double or different, in each stream of each account", async () => {
    expect(await audit()).toEqual({
      code: 0,
      stderr: "",
      stdout: [
        ...(["paper", "growth"] as const).flatMap((account) => [
          // Legs are counted within their parents by the venue's books as by us.
          `${account} orders: ${counts[account].orders} compared, 0 missing, 0 duplicate, 0 differing`,
          `${account} activities: ${counts[account].activities} compared, 0 missing, 0 duplicate, 0 differing`,
        ]),
        "audit passed",
        "",
      ].join("\n"),
    });
  });

  test("says the same as JSON, of the account and the time that were asked for", async () => {
    const { code, stdout } = await audit(
      "--json --account Growth --from 2026-01-01",
    );
    expect(code).toBe(0);
    const clean = { missing: 0, duplicate: 0, differing: 0, examples: [] };
    expect(JSON.parse(stdout)).toEqual({
      range: { from: "2026-01-01T00:00:00.000Z", to: expect.any(String) },
      accounts: [
        {
          account: "growth",
          orders: { ...clean, compared: counts.growth.orders },
          activities: { ...clean, compared: counts.growth.activities },
        },
      ],
      ok: true,
    });
  });

  test("writes nothing", async () => {
    const before = await stateOf(captive.database);
    expect(before.length).toBeGreaterThan(8);
    expect((await audit()).code).toBe(0);
    expect((await audit("--dry-run")).code).toBe(0);
    expect(await stateOf(captive.database)).toEqual(before);
  });
});

describe("of a store that was broken on purpose", () => {
  test("counts what is missing, double and different, names it, and does not pass", async () => {
    const { sql } = captive.database;
    const [lostOrder, changedOrder] = await sql<{ id: string }[]>`
      select id from ${sql(paper.orders)} where parent_id is null order by id limit 2`;
    const [lost, changed, renamed] = await sql<{ id: string }[]>`
      select id from ${sql(paper.activities)} where activity_type = 'FILL' order by id limit 3`;
    await broken(
      [
        `delete from ${paper.orders} where id = '${lostOrder?.id}'`,
        `update ${paper.orders} set status = 'lost', qty = qty + 1 where id = '${changedOrder?.id}'`,
        `delete from ${paper.activities} where id = '${lost?.id}'`,
        `update ${paper.activities} set price = price + 0.01 where id = '${changed?.id}'`,
        // One execution in two rows: what a second identity would make of it.
        `insert into ${paper.activities} (id, activity_type, transaction_time, symbol, side, qty, price, order_id, cum_qty, raw_json)
         select 'double', activity_type, transaction_time, symbol, side, qty, price, order_id, cum_qty, raw_json
         from ${paper.activities} where id = '${renamed?.id}'`,
      ],
      async () => {
        using _ = withoutPauses();
        const { code, stdout } = await audit("--json");
        expect(code).toBe(1);
        const { accounts, ok } = JSON.parse(stdout);
        expect(ok).toBe(false);
        expect(accounts[0]).toEqual({
          account: "paper",
          orders: {
            compared: counts.paper.orders,
            missing: 1,
            duplicate: 0,
            differing: 1,
            examples: expect.arrayContaining([
              `missing ${lostOrder?.id}`,
              `differing ${changedOrder?.id}: status, qty`,
            ]),
          },
          activities: {
            compared: counts.paper.activities,
            missing: 1,
            duplicate: 1,
            differing: 1,
            examples: expect.arrayContaining([
              `missing ${lost?.id}`,
              `differing ${changed?.id}: price`,
              "duplicate double",
            ]),
          },
        });
        expect(
          accounts[1].orders.missing + accounts[1].activities.missing,
        ).toBe(0);
        const text = await audit("--account paper");
        expect(text.code).toBe(1);
        expect(text.stdout).toStartWith(
          `paper orders: ${counts.paper.orders} compared, 1 missing, 0 duplicate, 1 differing\n`,
        );
        expect(text.stdout).toContain(`\n  missing ${lost?.id}\n`);
        expect(text.stdout).toEndWith("audit failed: paper\n");
      },
    );
  });

  test("an empty one misses everything, and shows the first few", async () => {
    await broken([`truncate ${paper.activities}`], async () => {
      using _ = withoutPauses();
      const { code, stdout } = await audit("--json --account paper");
      const [{ activities }] = JSON.parse(stdout).accounts;
      expect(code).toBe(1);
      expect(activities.missing).toBe(counts.paper.activities);
      expect(activities.examples).toHaveLength(
        Math.min(20, counts.paper.activities),
      );
    });
  });

  test("outside the time that was asked for passes", async () => {
    const { sql } = captive.database;
    const [first] = await sql<{ id: string; at: Date }[]>`
      select id, transaction_time as at from ${sql(paper.activities)}
      where activity_type = 'FILL' order by transaction_time limit 1`;
    const after = new Date(+(first?.at ?? 0) + 1000).toISOString();
    await broken(
      [`delete from ${paper.activities} where id = '${first?.id}'`],
      async () => {
        expect((await audit(`--account paper --from ${after}`)).code).toBe(0);
        using _ = withoutPauses();
        expect((await audit("--account paper")).code).toBe(1);
      },
    );
  });

  test("is looked at again before it is called broken: a service may be about to write", async () => {
    const { sql } = captive.database;
    await sql.unsafe(`create table late as
      with gone as (delete from ${paper.orders} where parent_id is null returning *) select * from gone`);
    let looked = 0;
    using _ = withoutPauses({
      ms: AGAIN_MS,
      work: async () => {
        // The first time nothing has come yet.
        if (++looked === 2)
          await sql.unsafe(`insert into ${paper.orders} table late`);
      },
    });
    const { code, stdout } = await audit("--account paper");
    expect(stdout).toEndWith("audit passed\n");
    expect({ code, looked }).toEqual({ code: 0, looked: 2 });
    await sql`drop table late`;
  });
});

describe("what cannot be compared is one clear line:", () => {
  test("an account that there is not", async () => {
    expect(await audit("--account nobody")).toEqual({
      code: 2,
      stdout: "",
      stderr: "nobody: no such account; there are paper, growth\n",
    });
  });

  test("a time that has not come yet", async () => {
    const { code, stdout, stderr } = await audit("--from 2999-01-01");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(
      /^--from: there is nothing to compare between 2999-01-01T00:00:00\.000Z and \S+\n$/,
    );
  });

  test("a database that does not answer", async () => {
    const { code, stdout, stderr } = await audit("", {
      environment: {
        ...captive.environment,
        POSTGRESQL_LIVE_CONN_STRING: "postgres://me:hush@127.0.0.1:1/keep",
      },
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^the database does not answer: [^\n]+\n$/);
    expect(stderr).not.toContain("hush");
  });

  test("a venue that refuses the key", async () => {
    const { code, stdout, stderr } = await audit("", {
      environment: {
        ...captive.environment,
        DESTINATIONS: destinations(captive.venue.url, "wrong-secret"),
      },
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^40[13] from \/v2\/orders: [^\n]+\n$/);
    expect(stderr).not.toContain("wrong-secret");
  });

  test("a venue that does not answer", async () => {
    using _ = withoutPauses();
    const { code, stdout, stderr } = await audit("", {
      environment: {
        ...captive.environment,
        DESTINATIONS: destinations("http://127.0.0.1:1"),
      },
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^no answer from \/v2\/orders: [^\n]+\n$/);
  });
});

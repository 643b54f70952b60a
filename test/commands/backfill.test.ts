import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { DAY, HOUR } from "../../src/clock.ts";
import {
  iso,
  orderOf,
  fillOf,
  ScriptedVenue,
} from "../support/accountScript.ts";
import { listen } from "../../src/http/listen.ts";
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
const growth = tablesOf("growth");

let captive: Captured;

beforeEach(async () => {
  captive = await captured();
});
afterEach(async () => {
  await captive[Symbol.asyncDispose]();
});

const backfill = (words = "", options?: RunOptions) =>
  captive.run(`backfill accounts ${words}`.trim(), options);

/** Rows in the store, of orders with those inside their parents. */
async function stored(tables: typeof paper) {
  const { sql } = captive.database;
  const [row] = await sql<[{ orders: number; activities: number }]>`
    select (select count(*)::int from ${sql(tables.orders)}) as orders,
      (select count(*)::int from ${sql(tables.activities)}) as activities`;
  return { ...row };
}

/** Facts of an account: `stream state from..to`. */
async function facts(account = "paper"): Promise<string[]> {
  const { sql } = captive.database;
  const rows = await sql<
    { stream: string; state: string; from_at: Date; to_at: Date }[]
  >`select stream, state, from_at, to_at from feedkeeper.coverage where account = ${account} order by id`;
  return rows.map(
    ({ stream, state, from_at, to_at }) =>
      `${stream} ${state} ${iso(+from_at)}..${iso(+to_at)}`,
  );
}

test("fills an empty database with everything the venue has, and says how much it read", async () => {
  const { code, stdout, stderr } = await backfill();
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.split("\n")).toEqual([
    expect.stringMatching(/^paper orders: \d+ rows read$/),
    expect.stringMatching(/^paper activities: \d+ rows read$/),
    expect.stringMatching(/^growth orders: \d+ rows read$/),
    expect.stringMatching(/^growth activities: \d+ rows read$/),
    "",
  ]);
  expect(await stored(paper)).toEqual(await captive.booked("paper"));
  expect(await stored(growth)).toEqual(await captive.booked("growth"));
});

test("said twice changes no row", async () => {
  const rows = async () =>
    (await stateOf(captive.database)).filter((state) =>
      state.includes(".raw_"),
    );
  await backfill();
  const before = await rows();
  expect((await backfill()).code).toBe(0);
  expect(await rows()).toEqual(before);
});

test("with --dry-run reads the same and makes neither a row nor a table", async () => {
  const { code, stdout } = await backfill("--dry-run");
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^paper orders: \d+ rows read, nothing written \(dry run\)\n/,
  );
  expect(await stateOf(captive.database)).toEqual([]);
  const wet = await backfill();
  expect(stdout.replaceAll(", nothing written (dry run)", "")).toBe(wet.stdout);
});

describe("of what was asked for", () => {
  test("only the account is read", async () => {
    expect((await backfill("Growth")).code).toBe(0);
    expect(await stored(growth)).toEqual(await captive.booked("growth"));
    expect(await stateOf(captive.database)).not.toContainEqual(
      expect.stringContaining("_paper"),
    );
  });

  test("only the time is read, and only that is called complete", async () => {
    const books = await fetch(`${captive.venue.url}/sim/books/paper/orders`);
    const orders = (await books.text()).trimEnd().split("\n");
    const middle = JSON.parse(orders[orders.length >> 1] ?? "");
    const middleMs = Date.parse(middle.submitted_at);
    const [from, to] = [iso(middleMs - HOUR), iso(middleMs + HOUR)];
    await backfill(`paper --from ${from} --to ${to}`);
    const { sql } = captive.database;
    const roots = await sql<{ id: string; submitted_at: Date }[]>`
      select id, submitted_at from ${sql(paper.orders)} where parent_id is null`;
    expect(roots.map(({ id }) => id)).toContain(middle.id);
    expect(
      roots.filter(
        ({ submitted_at }) =>
          iso(+submitted_at) < from || iso(+submitted_at) >= to,
      ),
    ).toEqual([]);
    const [ordersFact, activitiesFact] = await facts();
    expect(ordersFact).toBe(`orders healed ${from}..${to}`);
    expect(activitiesFact).toEndWith(` ${from}..${to}`);
  });

  test("nothing is called complete that has not come yet", async () => {
    await backfill("paper --from 2026-01-01 --to 2999-12-31");
    const ends = (await facts()).map((fact) =>
      Date.parse(fact.split("..")[1] ?? ""),
    );
    expect(ends).toHaveLength(2);
    for (const endMs of ends) {
      expect(endMs).toBeLessThan(Date.now());
      expect(endMs).toBeGreaterThan(Date.now() - HOUR);
    }
  });
});

describe("progress", () => {
  test("is drawn over itself on a terminal, up to the end of each stream", async () => {
    const { stderr } = await backfill("paper", { isTerminal: true });
    const drawn = stderr.split("\r").slice(1);
    for (const line of drawn)
      expect(line).toMatch(
        /^[█░]{30} [ \d]{2}\d % paper (orders|activities) \d+ rows\n?$/,
      );
    expect(
      drawn
        .filter((line) => line.endsWith("\n"))
        .map((line) => line.slice(30, 50)),
    ).toEqual([" 100 % paper orders ", " 100 % paper activit"]);
  });

  test("is not where nobody watches", async () => {
    expect((await backfill()).stderr).toBe("");
  });
});

describe("a venue that fails in the middle", () => {
  /** 1200 orders of ten days: three pages; a fill each: twelve. */
  function longPast(): ScriptedVenue {
    const venue = new ScriptedVenue();
    for (let number = 0; number < 1200; number++) {
      const at = Date.now() - 5 * DAY + number * 5 * 60_000;
      venue.orders.push(orderOf(number, at));
      venue.activities.push(fillOf(number, at));
    }
    return venue;
  }

  test("is told in one line; what was read is kept, and the next time it ends with everything", async () => {
    const venue = longPast();
    const server = await listen(
      { fetch: async (request) => venue.fetch(request.url) },
      { host: "127.0.0.1", port: 0 },
    );
    const environment = {
      ...captive.environment,
      DESTINATIONS: destinations(server.url),
    };
    let asked = 0;
    venue.interrupt = ({ pathname }) =>
      pathname.endsWith("activities") && ++asked > 4
        ? Response.json({ message: "out of order" }, { status: 500 })
        : undefined;
    try {
      using _ = withoutPauses();
      const { code, stdout, stderr } = await backfill("paper", { environment });
      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: "paper orders: 1200 rows read\n",
        stderr: "500 from /v2/account/activities: out of order\n",
      });
      expect((await stored(paper)).orders).toBe(1200);

      venue.interrupt = () => undefined;
      expect((await backfill("paper", { environment })).code).toBe(0);
      expect(await stored(paper)).toEqual({ orders: 1200, activities: 1200 });
    } finally {
      await server.stop();
    }
  });

  test("a row that cannot be read is set aside, and costs no other", async () => {
    const venue = longPast();
    venue.orders.push({ ...orderOf(5000, Date.now() - DAY), qty: "a dozen" });
    const server = await listen(
      { fetch: async (request) => venue.fetch(request.url) },
      { host: "127.0.0.1", port: 0 },
    );
    try {
      const { code } = await backfill("paper", {
        environment: {
          ...captive.environment,
          DESTINATIONS: destinations(server.url),
        },
      });
      expect(code).toBe(0);
      expect((await stored(paper)).orders).toBe(1200);
      const letters = await captive.database
        .sql`select kind, raw from feedkeeper.dead_letters`;
      expect(letters).toHaveLength(1);
      expect(letters[0]?.["raw"]).toContain("a dozen");
    } finally {
      await server.stop();
    }
  });
});

describe("what cannot be done is one clear line:", () => {
  const cases: [
    what: string,
    words: string,
    environment: (given: Captured) => Record<string, string>,
    code: number,
    stderr: RegExp,
  ][] = [
    [
      "accounts that there are not, each",
      "nobody paper noone",
      () => ({}),
      2,
      /^nobody: no such account; there are paper, growth\nnoone: no such account; there are paper, growth\n$/,
    ],
    [
      "a time that has not come yet",
      "--from 2999-01-01",
      () => ({}),
      2,
      /^--from: there is nothing to read between 2999-01-01T00:00:00\.000Z and \S+\n$/,
    ],
    [
      "a database that does not answer",
      "",
      () => ({
        POSTGRESQL_LIVE_CONN_STRING: "postgres://me:hush@127.0.0.1:1/keep",
      }),
      1,
      /^the database does not answer: (?!.*hush)[^\n]+\n$/,
    ],
    [
      "a venue that refuses the key",
      "",
      ({ venue }) => ({ DESTINATIONS: destinations(venue.url, "wrong") }),
      1,
      /^40[13] from \/v2\/orders: [^\n]+\n$/,
    ],
  ];
  test.each(cases)("%s", async (_what, words, environment, code, expected) => {
    const ran = await backfill(words, {
      environment: { ...captive.environment, ...environment(captive) },
    });
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({
      code,
      stdout: "",
    });
    expect(ran.stderr).toMatch(expected);
  });
});

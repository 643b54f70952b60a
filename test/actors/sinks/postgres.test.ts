import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from "bun:test";
import { connect as dialTcp, createServer, type Socket } from "node:net";
import {
  postgresWriter,
  type Written,
} from "../../../actors/sinks/postgres.ts";
import type { AccountRecord, CoverageFact } from "../../../schema/messages.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { accountTables } from "../../../src/stores/postgres/accountTables.ts";
import {
  Database,
  DatabaseAwayError,
} from "../../../src/stores/postgres/database.ts";
import { insertDeadLetters } from "../../../src/stores/postgres/deadLetters.ts";
import { fillOf, NOW, orderOf, uuid } from "../../support/accountScript.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

const SCHEMA = "account_activities";

let fresh: FreshDatabase;
let proxy: Awaited<ReturnType<typeof startProxy>>;
let database: Database;

beforeAll(async () => {
  fresh = await freshDatabase();
  proxy = await startProxy(new URL(fresh.url));
}, MINUTE);
beforeEach(() => {
  database = new Database();
  database.use(proxy.url);
});
afterEach(async () => {
  jest.useRealTimers();
  await database.close();
});
afterAll(async () => {
  await proxy.stop();
  await fresh.drop();
});

/** A way to the server that can swallow everything, as a network does that has gone. */
async function startProxy(server: URL) {
  let isFrozen = false;
  const open = new Set<Socket>();
  const listener = createServer((client) => {
    const upstream = dialTcp(Number(server.port), server.hostname);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.on("data", (bytes) => {
        if (!isFrozen) to.write(bytes);
      });
      from.on("error", () => {});
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) =>
    listener.listen(0, "127.0.0.1", resolve),
  );
  const address = listener.address();
  if (address === null || typeof address === "string")
    throw new Error("no port");
  const url = new URL(server);
  url.port = String(address.port);
  return {
    url: url.href,
    freeze: () => (isFrozen = true),
    thaw: () => (isFrozen = false),
    stop: () =>
      new Promise<unknown>((resolve) => {
        listener.close(resolve);
        for (const socket of open) socket.destroy();
      }),
  };
}

let accounts = 0;
/** An account nobody has had before. */
function newAccount() {
  const slug = `account_${++accounts}`;
  return { slug, name: slug.toUpperCase() };
}

function writerFor(...roster: { slug: string; name: string }[]) {
  const written: Written[] = [];
  const triggers: string[] = [];
  const writer = postgresWriter({
    database,
    schema: SCHEMA,
    accounts: () => roster,
    onWritten: (each) => written.push(each),
    onBatch: (trigger) => triggers.push(trigger),
  });
  return { writer, written, triggers, roster };
}

function record(
  account: string,
  kind: AccountRecord["kind"],
  value: object,
): AccountRecord {
  return {
    account,
    kind,
    raw: JSON.stringify(value),
    receivedAtMs: NOW,
  };
}
const order = (account: string, number: number, members: object = {}) =>
  record(account, "order", { ...orderOf(number, NOW), ...members });
const fill = (account: string, number: number) =>
  record(account, "activity", fillOf(number, NOW));
const fact = (account: string, minute: number) =>
  record(account, "coverage", {
    stream: "trade_updates",
    state: "live",
    from: `2026-09-16T14:${String(minute).padStart(2, "0")}:00.000Z`,
    to: `2026-09-16T14:${String(minute + 1).padStart(2, "0")}:00.000Z`,
    session: "session-1",
  } satisfies CoverageFact);

async function orderIds(slug: string): Promise<string[]> {
  const { sql } = fresh;
  const rows = await sql<{ id: string }[]>`
    select id from ${sql(accountTables(SCHEMA, slug).orders)} order by id`;
  return rows.map(({ id }) => id);
}

const isThere = async (table: string) => {
  const [row] = await fresh.sql<[{ present: boolean }]>`
    select to_regclass(${table}) is not null as present`;
  return row.present;
};

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: unknown) => error,
  );

describe("opening", () => {
  test("makes the tables of every account on the roster, and twice is once", async () => {
    const [first, second] = [newAccount(), newAccount()];
    const { writer } = writerFor(first, second);
    await writer.open();
    await writer.open();
    for (const { slug } of [first, second])
      expect(await orderIds(slug)).toEqual([]);
    await writer.ping();
  });

  test("asks for the roster anew", async () => {
    const { writer, roster } = writerFor();
    await writer.open();
    const late = newAccount();
    roster.push(late);
    await writer.open();
    expect(await orderIds(late.slug)).toEqual([]);
  });

  test("writes what was set aside and can be read now", async () => {
    const account = newAccount();
    const { writer } = writerFor(account);
    await writer.open();
    await insertDeadLetters(fresh.sql, [
      { record: order(account.slug, 1), reason: "an older version" },
    ]);
    await writer.open();
    expect(await orderIds(account.slug)).toEqual([uuid(1)]);
  });
});

describe("a batch", () => {
  test("of several accounts is written and told account by account, with what closed it", async () => {
    const [first, second] = [newAccount(), newAccount()];
    const { writer, written, triggers } = writerFor(first, second);
    await writer.open();
    await writer.write(
      [
        order(first.slug, 1),
        order(second.slug, 2),
        fill(first.slug, 1),
        fact(first.slug, 1),
      ],
      "time",
    );
    expect(await orderIds(first.slug)).toEqual([uuid(1)]);
    expect(await orderIds(second.slug)).toEqual([uuid(2)]);
    expect(
      written
        .map(({ account, records, receipt }) => [
          account,
          records.length,
          receipt.ordersInserted,
          receipt.activities,
        ])
        .sort(),
    ).toEqual([
      [first.slug, 3, 1, 1],
      [second.slug, 1, 1, 0],
    ]);
    expect(triggers).toEqual(["time"]);
  });

  test("of an account that came while the sink runs makes its tables, under the name the roster has", async () => {
    const { writer, roster } = writerFor();
    await writer.open();
    const [listed, unlisted] = [newAccount(), newAccount()];
    roster.push(listed);
    await writer.write(
      [order(listed.slug, 1), order(unlisted.slug, 2)],
      "size",
    );
    expect(await orderIds(listed.slug)).toEqual([uuid(1)]);
    expect(await orderIds(unlisted.slug)).toEqual([uuid(2)]);
    const { sql } = fresh;
    const names = await sql<{ name: string }[]>`
      select name from feedkeeper.accounts
      where slug in ${sql([listed.slug, unlisted.slug])} order by slug`;
    expect(names.map(({ name }) => name)).toEqual([listed.name, unlisted.slug]);
  });

  test("looks at the tables of an account once an opening, not each time", async () => {
    const account = newAccount();
    const { writer } = writerFor(account);
    await writer.open();
    const { sql } = fresh;
    const isKnown = async () => {
      const rows = await sql`
        select from feedkeeper.accounts where slug = ${account.slug}`;
      return rows.length === 1;
    };
    await sql`delete from feedkeeper.accounts where slug = ${account.slug}`;
    await writer.write([order(account.slug, 1)], "time");
    expect(await isKnown()).toBe(false);
    await writer.open();
    expect(await isKnown()).toBe(true);
  });

  test("of coverage alone is one statement, however many accounts, and makes no tables", async () => {
    const { writer, written } = writerFor();
    await writer.open();
    const slugs = Array.from({ length: 200 }, () => newAccount().slug);
    await writer.write(
      slugs.map((slug) => fact(slug, 1)),
      "time",
    );
    const { sql } = fresh;
    const [row] = await sql<[{ facts: number; transactions: number }]>`
      select count(*)::int as facts, count(distinct xmin::text)::int as transactions
      from feedkeeper.coverage where account in ${sql(slugs)}`;
    expect(row).toEqual({ facts: 200, transactions: 1 });
    expect(await isThere(accountTables(SCHEMA, slugs[0] ?? "").orders)).toBe(
      false,
    );
    expect(written).toEqual([]);
  });

  test("never commits a fact before the rows it vouches for: both are one transaction", async () => {
    const account = newAccount();
    const { writer } = writerFor(account);
    await writer.open();
    await writer.write([order(account.slug, 1), fact(account.slug, 1)], "time");
    const { sql } = fresh;
    const [row] = await sql<[{ together: boolean }]>`
      select (select xmin::text from feedkeeper.coverage where account = ${account.slug})
        = (select xmin::text from ${sql(accountTables(SCHEMA, account.slug).orders)}) as together`;
    expect(row.together).toBe(true);
  });

  test("with a row the database refuses loses that row alone, and says which", async () => {
    const account = newAccount();
    const { writer, written } = writerFor(account);
    await writer.open();
    const refused = order(account.slug, 2, { id: "no uuid" });
    await writer.write(
      [order(account.slug, 1), refused, order(account.slug, 3)],
      "size",
    );
    expect(await orderIds(account.slug)).toEqual([uuid(1), uuid(3)]);
    expect(
      written.flatMap(({ receipt }) =>
        receipt.deadLetters.map((letter) => letter.record),
      ),
    ).toEqual([refused]);
  });

  test("that fails for one account is told, keeps the others' rows, and written again doubles nothing", async () => {
    const [well, ill] = [newAccount(), newAccount()];
    const { writer, triggers } = writerFor(well, ill);
    await writer.open();
    const { sql } = fresh;
    const table = accountTables(SCHEMA, ill.slug).orders;
    await sql`alter table ${sql(table)} rename to away`;
    const batch = [order(ill.slug, 1), order(well.slug, 2), fill(well.slug, 2)];
    expect(await outcome(writer.write(batch, "size"))).toMatchObject({
      code: "42P01",
    });
    expect(await orderIds(well.slug)).toEqual([uuid(2)]);
    expect(triggers).toEqual([]);
    await sql`alter table ${sql(`${SCHEMA}.away`)} rename to ${sql(table.split(".")[1] ?? "")}`;
    await writer.write(batch, "size");
    expect(await orderIds(ill.slug)).toEqual([uuid(1)]);
    expect(await orderIds(well.slug)).toEqual([uuid(2)]);
    expect(triggers).toEqual(["size"]);
  });
});

test("a database that is not known yet is away, whatever it is asked", async () => {
  database = new Database();
  const { writer } = writerFor();
  for (const work of [
    writer.open(),
    writer.ping(),
    writer.write([fact("nobody", 1)], "time"),
  ])
    expect(await outcome(work)).toBeInstanceOf(DatabaseAwayError);
});

describe("a database that hangs", () => {
  /** Starts `work` into the silence, and lets `ms` pass. */
  async function inSilence(work: () => Promise<unknown>, ms: number) {
    proxy.freeze();
    jest.useFakeTimers();
    let result: unknown = "pending";
    void outcome(work()).then((told) => (result = told));
    jest.advanceTimersByTime(ms - 1);
    await new Promise((resolve) => setImmediate(resolve));
    const early = result;
    jest.advanceTimersByTime(1);
    await new Promise((resolve) => setImmediate(resolve));
    jest.useRealTimers();
    proxy.thaw();
    return { early, result };
  }
  const GIVEN_UP = {
    early: "pending",
    result: new Error("the database does not answer"),
  };

  test("in a write is given up after 15 s, and the next write has connections of its own", async () => {
    const account = newAccount();
    const { writer, triggers } = writerFor(account);
    await writer.open();
    const before = database.sql;
    const batch = [order(account.slug, 1), fact(account.slug, 1)];
    expect(
      await inSilence(() => writer.write(batch, "size"), 15 * SECOND),
    ).toEqual(GIVEN_UP);
    expect(database.sql).not.toBe(before);
    await writer.write(batch, "size");
    expect(await orderIds(account.slug)).toEqual([uuid(1)]);
    expect(triggers).toEqual(["size"]);
  });

  test.each(["ping", "open"] as const)(
    "in the answer to %s is given up after 5 s, and its connections with it",
    async (question) => {
      const account = newAccount();
      const { writer } = writerFor(account);
      await writer.open();
      const before = database.sql;
      expect(await inSilence(() => writer[question](), 5 * SECOND)).toEqual(
        GIVEN_UP,
      );
      expect(database.sql).not.toBe(before);
      await writer[question]();
      await writer.write([order(account.slug, 1)], "size");
      expect(await orderIds(account.slug)).toEqual([uuid(1)]);
    },
  );
});

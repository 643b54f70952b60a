import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockDirectory } from "../../src/commands/directoryLock.ts";
import { writeRunFile } from "../../src/commands/runFile.ts";
import { openStores, requireCaptured } from "../../src/commands/stores.ts";
import { type Config, readConfig } from "../../src/config.ts";
import { ConfigError, describeError } from "../../src/errors.ts";
import { connect } from "../../src/stores/postgres/connect.ts";
import {
  migrateAccount,
  migrateService,
} from "../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../support/postgres.ts";
import { SCHEMA } from "./captured.ts";

const NOWHERE = "postgres://me:hush@127.0.0.1:1/keep";

let directory: string;
let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh.drop());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-stores-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const LIVE = {
  DESTINATIONS: "one,two",
  ALPACA_API_KEY_ONE: "AK1",
  ALPACA_SECRET_KEY_ONE: "one",
  ALPACA_API_KEY_TWO: "PK2",
  ALPACA_SECRET_KEY_TWO: "two",
};

function configOf(environment: Record<string, string>): Config {
  return readConfig({ FEEDKEEPER_DIR: directory, ...environment });
}

/** What opening failed with, in a line; a wrong use begins with its exit code. */
async function failure(
  config: Config,
  slugs: readonly string[] = [],
): Promise<string> {
  try {
    await using _ = await openStores(config, slugs);
    return "opened";
  } catch (error) {
    return error instanceof ConfigError
      ? `2: ${error.problems.join("; ")}`
      : describeError(error);
  }
}

/** A service that runs in the directory, with its parts where `parts` say. */
const running = (parts: { postgresUrl?: string; venueUrl?: string }) =>
  writeRunFile(directory, { pid: process.ppid, ...parts });

/** What lies in the directory beside its lock. */
const kept = () =>
  readdirSync(directory).filter((name) => !name.startsWith("lock.sqlite"));

describe("accounts of one's own in a database of one's own", () => {
  const config = () =>
    configOf({ ...LIVE, POSTGRESQL_LIVE_CONN_STRING: fresh.url });

  test("are opened, all or those asked for, whether a service runs or not, and nothing is left on the disk", async () => {
    for (const [asked, slugs] of [
      [[], ["one", "two"]],
      [["two"], ["two"]],
    ] as const) {
      await using stores = await openStores(config(), asked);
      expect(stores.accounts.map(({ slug }) => slug)).toEqual([...slugs]);
      const [row] = await stores.database.sql`select 1 as answer`;
      expect(row).toEqual({ answer: 1 });
    }
    using _running = lockDirectory(directory);
    expect(await failure(config())).toBe("opened");
    expect(kept()).toEqual([]);
  });

  test("are let go of at the end: no connection stays", async () => {
    const { sql } = fresh;
    const connections = async () => {
      const [row] = await sql<[{ count: number }]>`
        select count(*)::int as count from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`;
      return row.count;
    };
    const before = await connections();
    {
      await using stores = await openStores(config());
      await stores.database.sql`select 1`;
      expect(await connections()).toBeGreaterThan(before);
    }
    const deadline = Date.now() + 5000;
    while ((await connections()) > before && Date.now() < deadline)
      await Bun.sleep(20);
    expect(await connections()).toBe(before);
  });

  test("that are not configured are named, before anything is asked", async () => {
    const away = configOf({ ...LIVE, POSTGRESQL_LIVE_CONN_STRING: NOWHERE });
    expect(await failure(away, ["one", "three"])).toBe(
      "2: three: no such account; there are one, two",
    );
    const none = configOf({
      DESTINATIONS: "[]",
      POSTGRESQL_LIVE_CONN_STRING: NOWHERE,
    });
    expect(await failure(none, ["one"])).toBe(
      "2: one: no such account; there are none",
    );
  });

  test("behind a database that does not answer are not opened", async () => {
    const away = configOf({ ...LIVE, POSTGRESQL_LIVE_CONN_STRING: NOWHERE });
    expect(await failure(away)).toMatch(
      /^the database does not answer: (?!.*hush).*ECONNREFUSED/,
    );
  });
});

describe("beside a running service", () => {
  test("its own database and venue are used, and no other is brought up", async () => {
    running({ postgresUrl: fresh.url, venueUrl: "http://127.0.0.1:2" });
    using _service = lockDirectory(directory);
    await using stores = await openStores(configOf({}), ["growth"]);
    expect(stores.database.url).toBe(fresh.url);
    expect(
      stores.accounts.map(({ slug, restUrl, streamUrl }) => ({
        slug,
        restUrl,
        streamUrl,
      })),
    ).toEqual([
      {
        slug: "growth",
        restUrl: "http://127.0.0.1:2",
        streamUrl: "ws://127.0.0.1:2/stream",
      },
    ]);
    expect(existsSync(join(directory, "postgres"))).toBe(false);
    expect(existsSync(join(directory, "venue.sqlite"))).toBe(false);
  });

  test("with real accounts, a terminal without its variables does not mix the simulated venue into them", async () => {
    running({ postgresUrl: fresh.url });
    expect(await failure(configOf({}))).toBe(
      `2: VENUE: the service in ${directory} runs with accounts of its own; give this command the same configuration`,
    );
    expect(kept()).toEqual(["run.json"]);
  });

  test("that has not said yet where its parts are, none is brought up either", async () => {
    using _starting = lockDirectory(directory);
    expect(await failure(configOf({}))).toBe(
      `2: FEEDKEEPER_DIR: another feedkeeper runs in ${directory}; stop it or choose another directory`,
    );
    expect(kept()).toEqual([]);
  });
});

describe("with nothing configured and nothing running", () => {
  test("Postgres and venue are brought up for as long as they are looked at, and found again the next time", async () => {
    const config = configOf({});
    let url: string;
    {
      await using stores = await openStores(config);
      url = stores.database.url ?? "";
      const { sql } = stores.database;
      await sql`create table kept as select 1 as answer`;
      expect(stores.accounts.map(({ slug }) => slug)).toEqual([
        "paper",
        "growth",
      ]);
      const [account] = stores.accounts;
      if (account === undefined) throw new Error("no account");
      const answer = await fetch(`${account.restUrl}/v2/account`, {
        headers: {
          "APCA-API-KEY-ID": account.keyId,
          "APCA-API-SECRET-KEY": account.secretKey,
        },
      });
      expect(answer.status).toBe(200);
      expect(() => lockDirectory(directory)).toThrow("another feedkeeper");
    }
    const gone = connect(url, { connectionsMax: 1 });
    expect(await gone`select 1`.catch(() => "gone")).toBe("gone");
    await gone.end({ timeout: 1 });

    await using stores = await openStores(config);
    const [row] = await stores.database.sql`select answer from kept`;
    expect(row).toEqual({ answer: 1 });
  });

  test("what was brought up goes again when the opening fails", async () => {
    // The venue cannot keep its books where a directory is.
    const config = configOf({ POSTGRESQL_LIVE_CONN_STRING: fresh.url });
    mkdirSync(join(directory, "venue.sqlite"));
    expect(await failure(config)).not.toBe("opened");
    using _free = lockDirectory(directory);
  });
});

describe("what was captured", () => {
  test("is looked for by account, and what is not there is named", async () => {
    const config = configOf({
      ...LIVE,
      POSTGRESQL_LIVE_CONN_STRING: fresh.url,
    });
    await using stores = await openStores(config);
    const complaint = () =>
      requireCaptured(stores, SCHEMA).then(() => "all there", describeError);
    const missing = (slugs: string) =>
      `nothing has been captured yet of ${slugs}: start the service, or run backfill accounts`;
    expect(await complaint()).toBe(missing("one, two"));
    await migrateService(fresh.sql);
    await migrateAccount(fresh.sql, SCHEMA, { slug: "one", name: "One" });
    expect(await complaint()).toBe(missing("two"));
    await migrateAccount(fresh.sql, SCHEMA, { slug: "two", name: "Two" });
    expect(await complaint()).toBe("all there");
  });
});

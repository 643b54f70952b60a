import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, within } from "../../../src/clock.ts";
import {
  Database,
  DatabaseAwayError,
  isAway,
} from "../../../src/stores/postgres/database.ts";
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../../src/stores/postgres/embedded.ts";

let directory: string;
let server: EmbeddedPostgres;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-database-"));
  server = await startEmbeddedPostgres({ directory });
});

afterAll(async () => {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function outcome(statement: Promise<unknown>): Promise<unknown> {
  return statement.then(
    () => "done",
    (error: unknown) => error,
  );
}

test("before it is known and after it is closed the database is away", async () => {
  const database = new Database();
  expect(() => database.sql).toThrow(DatabaseAwayError);
  expect(isAway(await outcome(database.reserve()))).toBe(true);
  database.reset();
  expect(() => database.sql).toThrow(DatabaseAwayError);
  database.use(server.url);
  await database.sql`select 1`;
  await database.close();
  expect(() => database.sql).toThrow(DatabaseAwayError);
  database.reset();
  expect(() => database.sql).toThrow(DatabaseAwayError);
  database.use(server.url);
  await database.sql`select 1`;
  await database.close();
  await database.close();
});

test("a statement is away while the server is stopped, also one under way, and the same handle works after", async () => {
  const database = new Database();
  database.use(server.url);
  const held = database.sql;
  await held`select 1`;
  const underWay = outcome(held`select pg_sleep(30)`);
  await sleep(50);
  await server.stop();
  expect(isAway(await underWay)).toBe(true);
  const whileStopped = await Promise.all(
    Array.from({ length: 20 }, () => outcome(database.sql`select 1`)),
  );
  expect(whileStopped.every(isAway)).toBe(true);

  server = await startEmbeddedPostgres({ directory });
  database.use(server.url);
  expect(await outcome(database.sql`select 1`)).toBe("done");
  await database.close();
});

test("a server that moved to another address is found there by whoever holds the database", async () => {
  const database = new Database();
  database.use("postgres://127.0.0.1:1/none");
  expect(isAway(await outcome(database.sql`select 1`))).toBe(true);
  database.use(server.url);
  expect(database.url).toBe(server.url);
  expect(await outcome(database.sql`select 1`)).toBe("done");
  await database.close();
});

test("a reset ends statements that nobody answers", async () => {
  const mute = createServer(() => {});
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  const address = mute.address();
  if (address === null || typeof address === "string") throw new Error();
  const database = new Database();
  database.use(`postgres://127.0.0.1:${address.port}/none`);
  const hanging = outcome(database.sql`select 1`);
  await sleep(50);
  database.reset();
  expect(isAway(await within(2000, hanging, "still hanging"))).toBe(true);
  await database.close();
  mute.close();
});

test("a reset in the middle of statements leaves a database that works", async () => {
  const database = new Database();
  database.use(server.url);
  const hanging = outcome(database.sql`select pg_sleep(30)`);
  await sleep(50);
  database.reset();
  expect(isAway(await within(2000, hanging, "still hanging"))).toBe(true);
  expect(await outcome(database.sql`select 1`)).toBe("done");
  await database.close();
});

test("a reserved connection keeps its temporary tables and goes back when it is done with", async () => {
  const database = new Database();
  database.use(server.url);
  for (let time = 0; time < 12; time++) {
    using connection = await database.reserve();
    await connection.sql`create temporary table if not exists mine (id int)`;
    await connection.sql`select * from mine`;
  }
  await database.close();
});

test.each([
  ["a password that is not the server's yet", /:[^:@]+@/, ":other@"],
  ["a database that is not made yet", /[^/]+$/, "absent"],
])("%s is the database being away", async (_, part, instead) => {
  const database = new Database();
  database.use(server.url.replace(part, instead));
  expect(isAway(await outcome(database.sql`select 1`))).toBe(true);
  await database.close();
});

test("an address that cannot be read leaves the database where it was", async () => {
  const database = new Database();
  database.use(server.url);
  expect(() => database.use("mysql://elsewhere")).toThrow("postgres://");
  expect(database.url).toBe(server.url);
  expect(await outcome(database.sql`select 1`)).toBe("done");
  await database.close();
});

test("a fault of ours is not the database being away", async () => {
  const database = new Database();
  database.use(server.url);
  expect(isAway(await outcome(database.sql`select nonsense`))).toBe(false);
  expect(isAway(await outcome(database.sql`select * from absent`))).toBe(true);
  expect(isAway(undefined)).toBe(false);
  await database.close();
});

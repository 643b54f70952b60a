import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import {
  claimLeases,
  releaseLeases,
} from "../../../src/stores/postgres/leases.ts";
import type { FreshDatabase } from "../../support/postgres.ts";
import { accountDatabase, emptyTables } from "./account.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await accountDatabase();
});
beforeEach(() => emptyTables(fresh));
afterAll(() => fresh.drop());

const LEASE_MS = 30_000;

async function claim(owner: string, ...names: string[]) {
  return Object.fromEntries(
    await claimLeases(fresh.sql, owner, names, LEASE_MS),
  );
}

/** As if the owner had not renewed it for its whole term. */
async function lapse(name: string): Promise<void> {
  await fresh.sql`update feedkeeper.leases set expires_at = now() - interval '1 ms' where name = ${name}`;
}

test("nothing asked for is nothing held", async () => {
  expect(await claim("a")).toEqual({});
});

test("a lease has one owner, who may renew it under the same token", async () => {
  expect(await claim("a", "x", "y")).toEqual({ x: 1, y: 1 });
  expect(await claim("b", "x", "y", "z")).toEqual({ z: 1 });
  expect(await claim("a", "x", "y", "z")).toEqual({ x: 1, y: 1 });
});

test("a lapsed lease is taken over under a higher token, and not given back to the former owner", async () => {
  await claim("a", "x");
  await lapse("x");
  expect(await claim("b", "x")).toEqual({ x: 2 });
  expect(await claim("a", "x")).toEqual({});
});

test("an owner that is late but was not replaced keeps its token", async () => {
  await claim("a", "x");
  await lapse("x");
  expect(await claim("a", "x")).toEqual({ x: 1 });
});

test("a renewal lasts for the whole term", async () => {
  await claim("a", "x");
  const [row] = await fresh.sql<[{ seconds: number }]>`
    select extract(epoch from expires_at - now())::int as seconds from feedkeeper.leases`;
  expect(row.seconds).toBeGreaterThan(25);
  expect(row.seconds).toBeLessThanOrEqual(30);
});

test("a lease given back is free at once; nobody gives back another's", async () => {
  await claim("a", "x", "y");
  await releaseLeases(fresh.sql, "b", ["x", "y"]);
  expect(await claim("b", "x", "y")).toEqual({});
  await releaseLeases(fresh.sql, "a", ["x"]);
  expect(await claim("b", "x", "y")).toEqual({ x: 2 });
});

test("of many who claim the same leases at one time each lease goes to one", async () => {
  const names = ["p", "q", "r", "s"];
  const held = await Promise.all(
    ["a", "b", "c", "d", "e"].map((owner, index) =>
      claim(owner, ...(index % 2 === 0 ? names : names.toReversed())),
    ),
  );
  expect(held.flatMap((each) => Object.keys(each)).sort()).toEqual(names);
});

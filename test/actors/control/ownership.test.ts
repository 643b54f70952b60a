import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  jest,
  setDefaultTimeout,
  test,
} from "bun:test";
import { createServer, type Socket } from "node:net";
import { createActor } from "xstate";
import { ownership } from "../../../actors/control/ownership.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { claimLeases } from "../../../src/stores/postgres/leases.ts";
import { migrateService } from "../../../src/stores/postgres/migrate.ts";
import type { Topology } from "../../../src/topology.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";
import { until } from "../../support/service.ts";
import { topologyOf } from "./stage.ts";

// Leases lapse by the database's clock.
setDefaultTimeout(MINUTE);

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateService(fresh.sql);
}, MINUTE);
afterAll(() => fresh.drop());
afterEach(() => {
  jest.useRealTimers();
});

/** The actor, and which accounts it has had run, without repeats. */
function start(topology: Topology) {
  const errors: unknown[] = [];
  const log: string[] = [];
  const actor = createActor(ownership, {
    input: {
      topology,
      assign: (isHeld) => {
        const run = topology.roster.accounts
          .map(({ slug }) => slug)
          .filter((slug) => isHeld(`account/${slug}`));
        const names = run.join(" ") || "nobody";
        if (log.at(-1) !== names) log.push(names);
      },
    },
  });
  actor.subscribe({ error: (error) => errors.push(error) });
  actor.start();
  return {
    actor,
    errors,
    log,
    report: () => actor.getSnapshot().report,
    status: () => actor.getSnapshot().status,
  };
}

/** Leases of a minute, which no test sees lapse. */
function leased(session: string, ...names: string[]): Topology {
  const environment = { DATABASE_URL: fresh.url, LEASE_SECONDS: "60" };
  return topologyOf(session, names, environment);
}

/** One that looks each second whether it may have them. */
function waiting(session: string, ...names: string[]): Topology {
  const environment = { DATABASE_URL: fresh.url, LEASE_SECONDS: "3" };
  return topologyOf(session, names, environment);
}
const noLeases = () => fresh.sql`truncate feedkeeper.leases`;

describe("two owners", () => {
  test("run each account once: the second waits, and takes over at once what the first gives back", async () => {
    await noLeases();
    const first = start(leased("first", "alpha", "beta"));
    await until("the first owns", () => first.log.length > 0);
    const second = start(waiting("second", "alpha", "beta", "gamma"));
    await until("the second stands by", () => second.log.length > 0);
    expect(first.report()).toEqual({ state: "owning", held: 2, standby: [] });
    expect(second.report()).toEqual({
      state: "standby",
      held: 1,
      standby: ["account/alpha", "account/beta"],
    });

    first.actor.send({ type: "shutdown" });
    await until("the first is done", () => first.status() === "done");
    await until("the second owns all", () => second.log.length > 1, 5 * SECOND);
    expect([first.log, second.log]).toEqual([
      ["alpha beta"],
      ["gamma", "alpha beta gamma"],
    ]);
    second.actor.send({ type: "shutdown" });
    await until("the second is done", () => second.status() === "done");
  });

  test("of which one was killed: the other takes over when the lease has lapsed, not earlier", async () => {
    await noLeases();
    await claimLeases(fresh.sql, "killed", ["account/alpha"], 2 * SECOND);
    const [lease] = await fresh.sql<[{ until: Date }]>`
      select expires_at as until from feedkeeper.leases`;
    const other = start(waiting("other", "alpha"));
    await until("it owns", () => other.log.length > 1);
    expect(Date.now()).toBeGreaterThanOrEqual(+lease.until);
    expect(other.log).toEqual(["nobody", "alpha"]);
    other.actor.stop();
  });

  test("of which one was killed and is this one's own predecessor: it takes over at once", async () => {
    await noLeases();
    const names = ["account/alpha", "account/beta"];
    await claimLeases(fresh.sql, "killed", names.slice(0, 1), MINUTE);
    await claimLeases(fresh.sql, "alive", names.slice(1), MINUTE);
    const topology = leased("next", "alpha", "beta");
    const next = start({ ...topology, predecessor: "killed" });
    await until("it owns", () => next.log.length > 0);
    expect(next.log).toEqual(["alpha"]);
    next.actor.stop();
  });

  test("one of which is asked to stop while it only stands by takes nothing from the other", async () => {
    await noLeases();
    const first = start(leased("first", "alpha"));
    await until("the first owns", () => first.log.length > 0);
    const second = start(waiting("second", "alpha"));
    await until("the second stands by", () => second.log.length > 0);
    second.actor.send({ type: "shutdown" });
    await until("the second is done", () => second.status() === "done");
    const [lease] = await fresh.sql<[{ owner: string; live: boolean }]>`
      select owner, expires_at > now() as live from feedkeeper.leases`;
    expect(lease).toEqual({ owner: "first", live: true });
    first.actor.stop();
  });
});

test("accounts that come and go are run and no longer run", async () => {
  await noLeases();
  const topology = leased("only", "alpha", "beta");
  const [alpha, beta] = topology.roster.accounts;
  if (alpha === undefined || beta === undefined) throw new Error("no accounts");
  topology.roster.accounts = [alpha];
  const only = start(topology);
  await until("alpha runs", () => only.log.length === 1);
  for (const accounts of [[alpha, beta], [beta], []]) {
    const before = only.log.length;
    topology.roster.accounts = accounts;
    topology.roster.changed.raise();
    await until("it is as the roster", () => only.log.length > before);
  }
  expect(only.log).toEqual(["alpha", "alpha beta", "beta", "nobody"]);
  expect(only.report()).toEqual({ state: "owning", held: 0, standby: [] });
  only.actor.stop();
});

test("a database that goes away later changes nothing for who runs", async () => {
  await noLeases();
  const topology = waiting("only", "alpha");
  const only = start(topology);
  await until("alpha runs", () => only.log.length === 1);
  await topology.database.close();
  await until("it is known", () => only.report()?.["state"] === "unleased");
  expect(only.report()).toEqual({
    state: "unleased",
    held: 1,
    standby: [],
    lastError: "the database has not been started yet",
  });
  topology.database.use(fresh.url);
  await until("it is back", () => only.report()?.["state"] === "owning");
  expect(only.log).toEqual(["alpha"]);
  only.actor.stop();
});

describe("without a database at the start", () => {
  async function elapse(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= 50) {
      await new Promise((resolve) => setImmediate(resolve));
      jest.advanceTimersByTime(Math.min(50, leftMs));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  test("nobody is run for 5 s, for another may own them; then all are, leased or not", async () => {
    jest.useFakeTimers();
    const only = start(topologyOf("only", ["alpha", "beta"]));
    await elapse(4900);
    expect([only.log, only.report()]).toEqual([
      [],
      {
        state: "unleased",
        held: 2,
        standby: [],
        lastError: "the database has not been started yet",
      },
    ]);
    await elapse(500);
    expect(only.log).toEqual(["alpha beta"]);
    await elapse(MINUTE);
    expect(only.log).toEqual(["alpha beta"]);
    only.actor.stop();
  });

  test("the leases are taken as soon as it is there", async () => {
    await noLeases();
    const topology = topologyOf("only", ["alpha"]);
    const only = start(topology);
    await until("it was asked", () => only.report() !== undefined);
    topology.database.use(fresh.url);
    await until("alpha is owned", () => only.report()?.["state"] === "owning");
    expect(only.log).toEqual(["alpha"]);
    const [lease] = await fresh.sql<[{ owner: string }]>`
      select owner from feedkeeper.leases`;
    expect(lease.owner).toBe("only");
    only.actor.stop();
  });

  test("one that takes the call and says nothing holds up nobody either", async () => {
    const open = new Set<Socket>();
    const silent = createServer((socket) => void open.add(socket));
    await new Promise<void>((resolve) =>
      silent.listen(0, "127.0.0.1", resolve),
    );
    const address = silent.address();
    if (address === null || typeof address === "string")
      throw new Error("no port");
    jest.useFakeTimers();
    const only = start(
      topologyOf("only", ["alpha"], {
        DATABASE_URL: `postgres://user@127.0.0.1:${address.port}/none`,
      }),
    );
    await elapse(6 * SECOND);
    expect(only.log).toEqual(["alpha"]);
    only.actor.stop();
    jest.useRealTimers();
    silent.close();
    for (const socket of open) socket.destroy();
  });

  test.each(["shutdown", "xstate.stop"] as const)(
    "a stop in that time (%s) is one: nobody is run later",
    async (type) => {
      jest.useFakeTimers();
      const only = start(topologyOf("only", ["alpha"]));
      await elapse(SECOND);
      only.actor.send({ type });
      await elapse(MINUTE);
      expect(only.status()).toBe(type === "shutdown" ? "done" : "stopped");
      expect([only.log, only.errors]).toEqual([[], []]);
    },
  );
});

test("a dry run owns nothing and runs everything", async () => {
  await noLeases();
  const topology = topologyOf("dry", ["alpha", "beta"], {
    DATABASE_URL: fresh.url,
    DRY_RUN: "true",
  });
  const only = start(topology);
  await until("all run", () => only.log.length > 0);
  expect(only.log).toEqual(["alpha beta"]);
  expect(only.report()).toEqual({ state: "owning", held: 2, standby: [] });
  only.actor.send({ type: "shutdown" });
  await until("it is done", () => only.status() === "done");
  expect(await fresh.sql`select name from feedkeeper.leases`).toHaveLength(0);
});

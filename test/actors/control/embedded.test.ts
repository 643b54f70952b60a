import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createActor } from "xstate";
import {
  embeddedPostgres,
  simulatedVenue,
} from "../../../actors/control/embedded.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { describeTree } from "../../../actors/supervision/tree.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { silentLogger } from "../../../src/log.ts";
import { Database } from "../../../src/stores/postgres/database.ts";
import { until } from "../../support/service.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-embedded-actor-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** The actor alone, or what became of it. */
function start(path = join(directory, "postgres-of-its-own")) {
  const database = new Database();
  const urls: string[] = [];
  const input = {
    directory: path,
    database,
    log: silentLogger,
    onStarted: (url: string) => void urls.push(url),
  };
  return { input, database, urls };
}

function serverPid(path: string): number {
  const file = readFileSync(join(path, "postgres/data/postmaster.pid"), "utf8");
  return Number(file.split("\n")[0]);
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe("the embedded Postgres", () => {
  test(
    "is told to all, started again with its data when it dies, and gone after the stop",
    async () => {
      const { input, database, urls } = start();
      const root = createActor(supervisor, {
        input: {
          strategy: "one_for_one",
          children: [
            {
              id: "postgres",
              logic: embeddedPostgres,
              input,
              restart: "permanent",
              graceMs: 20 * SECOND,
            },
          ],
          maxRestarts: 6,
          withinMs: MINUTE,
          backoffMs: () => 10,
        },
      });
      root.start();
      const node = () => describeTree(root).children?.[0];
      expect(node()).toMatchObject({ state: "starting", restarts: 0 });
      await until("it runs", () => node()?.state === "running", MINUTE);
      expect(urls).toEqual([String(database.url)]);
      expect(node()?.detail).toEqual({
        state: "running",
        port: Number(new URL(urls[0] ?? "").port),
      });
      await database.sql`create table kept (id integer)`;
      await database.sql`insert into kept values (7)`;

      const first = serverPid(input.directory);
      process.kill(first, "SIGKILL");
      await until(
        "it runs again",
        () => node()?.restarts === 1 && node()?.state === "running",
        MINUTE,
      );
      expect(node()?.lastError).toMatch(/^the embedded Postgres exited with /);
      expect(urls).toHaveLength(2);
      await until("its data is there", async () => {
        const rows = await database.sql`select id from kept`;
        return rows.length === 1;
      });

      const second = serverPid(input.directory);
      expect(second).not.toBe(first);
      root.send({ type: "shutdown" });
      await until("all is over", () => root.getSnapshot().status === "done");
      expect(isAlive(second)).toBe(false);
      await database.close();
    },
    2 * MINUTE,
  );

  test(
    "that is asked to stop finishes: its end is no failure",
    async () => {
      const { input, database } = start();
      const errors: unknown[] = [];
      const actor = createActor(embeddedPostgres, { input });
      actor.subscribe({ error: (error) => errors.push(error) });
      actor.start();
      const state = () => actor.getSnapshot().report?.["state"];
      await until("it runs", () => state() === "running", MINUTE);
      actor.send({ type: "shutdown" });
      await until("it is done", () => actor.getSnapshot().status === "done");
      expect(errors).toEqual([]);
      await database.close();
    },
    2 * MINUTE,
  );

  test(
    "that is asked to stop while it starts is not started, and leaves no process",
    async () => {
      const path = join(directory, "never-ready");
      const { input, urls } = start(path);
      const errors: unknown[] = [];
      const actor = createActor(embeddedPostgres, { input });
      actor.subscribe({ error: (error) => errors.push(error) });
      actor.start();
      actor.send({ type: "shutdown" });
      expect(actor.getSnapshot().status).toBe("done");
      expect(errors).toEqual([]);
      // The same directory can be had at once, so nobody else holds it.
      const next = start(path);
      const again = createActor(embeddedPostgres, { input: next.input });
      const failures: unknown[] = [];
      again.subscribe({ error: (error) => failures.push(error) });
      again.start();
      await until(
        "it runs",
        () => again.getSnapshot().report?.["state"] === "running",
        MINUTE,
      );
      expect([urls, failures]).toEqual([[], []]);
      again.send({ type: "shutdown" });
      await until("it is done", () => again.getSnapshot().status === "done");
      await next.database.close();
    },
    2 * MINUTE,
  );

  test("that cannot be started fails with the reason", async () => {
    // A file where the directory should be.
    const path = join(directory, "file");
    await Bun.write(path, "");
    const { input } = start(path);
    const errors: unknown[] = [];
    const actor = createActor(embeddedPostgres, { input });
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    await until("it has failed", () => errors.length > 0);
    expect(String(errors[0])).toMatch(/ENOTDIR|EEXIST/);
  });
});

describe("the simulated venue", () => {
  test("runs until it is asked to stop", async () => {
    const errors: unknown[] = [];
    const actor = createActor(simulatedVenue, {
      input: { port: 0, file: ":memory:", trading: false, log: silentLogger },
    });
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    const report = () => actor.getSnapshot().report;
    expect(report()).toEqual({ state: "starting" });
    await until("it runs", () => report()?.["state"] === "running");
    const url = String(report()?.["url"]);
    expect((await fetch(`${url}/v2/clock`)).status).toBe(401);
    actor.send({ type: "shutdown" });
    await until("it is done", () => actor.getSnapshot().status === "done");
    expect(await fetch(url).catch(() => "nobody")).toBe("nobody");
    expect(errors).toEqual([]);
  });

  test("fails when its port is taken", async () => {
    const other = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response("another program"),
    });
    const errors: unknown[] = [];
    const actor = createActor(simulatedVenue, {
      input: {
        port: other.port ?? 0,
        file: ":memory:",
        trading: false,
        log: silentLogger,
      },
    });
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    await until("it has failed", () => errors.length > 0);
    expect(String(errors[0])).toContain("EADDRINUSE");
    await other.stop(true);
  });
});

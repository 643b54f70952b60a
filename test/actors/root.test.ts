import { afterEach, describe, expect, jest, test } from "bun:test";
import { startTree } from "../../actors/root.ts";
import type { TreeNode } from "../../schema/service.ts";
import { MINUTE, SECOND } from "../../src/clock.ts";
import type { TreeInput } from "../../src/commands/serve.ts";
import { createApp } from "../../src/http/app.ts";
import { freePort } from "../../src/http/listen.ts";
import { createLogger, silentLogger } from "../../src/log.ts";
import { serviceView } from "../http/view.ts";
import { until } from "../support/service.ts";
import { topologyOf } from "./control/stage.ts";

const HOST = "127.0.0.1";

afterEach(() => {
  jest.useRealTimers();
});

/** A tree that writes to no store, of accounts whose venue nobody plays. */
function start(
  names: readonly string[],
  {
    port = 0,
    environment = {},
    embedded = { postgres: false, venue: undefined },
  }: {
    port?: number;
    environment?: Record<string, string>;
    embedded?: Omit<TreeInput["embedded"], "onPostgres">;
  } = {},
) {
  const lines: { message: string; actor?: string }[] = [];
  const log = createLogger({
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  });
  const topology = topologyOf("root", names, {
    DRY_RUN: "true",
    ...environment,
  });
  const tree = startTree({
    topology,
    log,
    http: {
      app: createApp(serviceView(), { host: HOST, port }),
      host: HOST,
      port,
    },
    embedded: { ...embedded, onPostgres: () => {} },
  });
  const finished = () =>
    lines
      .filter(({ message }) => message === "actor_finished")
      .map(({ actor }) => actor);
  return { tree, topology, lines, finished };
}

/** Strategies and ids, in the order of the tree: `accounts (one_for_one)` above what is in it. */
function shapeOf({ id, strategy, children = [] }: TreeNode): unknown {
  if (strategy === undefined) return id;
  return { [`${id} (${strategy})`]: children.map(shapeOf) };
}

function find(node: TreeNode, path: string): TreeNode | undefined {
  if (node.path === path) return node;
  return node.children
    ?.map((child) => find(child, path))
    .find((found) => found !== undefined);
}

const ACCOUNT = ["stream", "backfill", "healer"];

test("the tree is what the file says it is: http first, then the embedded parts, then sinks, control, accounts", async () => {
  const { tree } = start(["Alpha", "Beta"], {
    environment: { STOP_AFTER_SECONDS: "3600" },
    embedded: {
      postgres: true,
      venue: { port: 0, file: ":memory:", trading: false, log: silentLogger },
    },
  });
  await until(
    "the accounts are there",
    () => find(tree.describe(), "pipeline/accounts")?.children?.length === 2,
  );
  expect(shapeOf(tree.describe())).toEqual({
    "root (one_for_one)": [
      "http",
      { "embedded (one_for_one)": ["postgres", "venue"] },
      {
        "pipeline (rest_for_one)": [
          { "sinks (one_for_one)": ["postgres"] },
          { "control (one_for_one)": ["ownership", "calendar", "deadline"] },
          {
            "accounts (one_for_one)": [
              { "account/alpha (one_for_one)": ACCOUNT },
              { "account/beta (one_for_one)": ACCOUNT },
            ],
          },
        ],
      },
    ],
  });
  tree.stop();
  expect(await tree.ended).toBeUndefined();
}, 60_000);

test("without what is not configured it is smaller", async () => {
  const { tree } = start([]);
  expect(shapeOf(tree.describe())).toEqual({
    "root (one_for_one)": [
      "http",
      {
        "pipeline (rest_for_one)": [
          { "sinks (one_for_one)": ["postgres"] },
          { "control (one_for_one)": ["ownership", "calendar"] },
          { "accounts (one_for_one)": [] },
        ],
      },
    ],
  });
  tree.stop();
  expect(await tree.ended).toBeUndefined();
});

test("a stop ends the sources, then the control, then the sinks, and http last of all", async () => {
  const { tree, finished } = start(["Alpha"]);
  await until("the account is there", () =>
    find(tree.describe(), "pipeline/accounts/account/alpha/healer"),
  );
  await until(
    "the sink is open",
    () =>
      find(tree.describe(), "pipeline/sinks/postgres")?.state ===
      "direct.taking",
  );
  tree.stop();
  expect(find(tree.describe(), "")?.state).toBe("stopping");
  expect(await tree.ended).toBeUndefined();
  expect(finished()).toEqual([
    "pipeline/accounts/account/alpha/healer",
    "pipeline/accounts/account/alpha/backfill",
    "pipeline/accounts/account/alpha/stream",
    "pipeline/accounts/account/alpha",
    "pipeline/accounts",
    "pipeline/control/calendar",
    "pipeline/control/ownership",
    "pipeline/control",
    "pipeline/sinks/postgres",
    "pipeline/sinks",
    "pipeline",
    "http",
    "root",
  ]);
});

describe("while it runs", () => {
  test("accounts come, go, and are begun anew when their key changes; the others are left alone", async () => {
    const { tree, topology, lines } = start(["Alpha", "Beta"]);
    const ids = () =>
      find(tree.describe(), "pipeline/accounts")?.children?.map(({ id }) => id);
    await until("both run", () => ids()?.length === 2);
    const [alpha, beta] = topology.roster.accounts;
    if (alpha === undefined || beta === undefined)
      throw new Error("no accounts");
    const renewed = { ...beta, keyId: "another key" };
    const gamma = { ...alpha, name: "Gamma", slug: "gamma" };

    lines.length = 0;
    topology.roster.accounts = [alpha, renewed, gamma];
    topology.roster.changed.raise();
    await until("all run", () => ids()?.length === 3);
    // The renewed one comes back after it has left, behind those that were there.
    expect(ids()).toEqual(["account/alpha", "account/gamma", "account/beta"]);
    const touched = lines
      .filter(({ message }) => /^actor_(started|finished)$/.test(message))
      .map(({ message, actor = "" }) => `${message} ${actor.split("/")[3]}`);
    expect([...new Set(touched)].sort()).toEqual([
      "actor_finished beta",
      "actor_started beta",
      "actor_started gamma",
    ]);

    topology.roster.accounts = [gamma];
    topology.roster.changed.raise();
    await until("one runs", () => ids()?.length === 1);
    expect(ids()).toEqual(["account/gamma"]);
    tree.stop();
    expect(await tree.ended).toBeUndefined();
  }, 60_000);

  test("any actor can be restarted by its path, and no other is", async () => {
    const { tree } = start(["Alpha"]);
    const path = "pipeline/accounts/account/alpha/healer";
    await until("the healer is there", () => find(tree.describe(), path));
    expect(tree.restart(path)).toBe(true);
    await until(
      "it is another one",
      () => find(tree.describe(), path)?.restarts,
    );
    expect(
      find(tree.describe(), "pipeline/accounts/account/alpha/stream")?.restarts,
    ).toBe(0);
    expect(tree.restart("pipeline/accounts/account/nobody")).toBe(false);
    tree.stop();
    expect(await tree.ended).toBeUndefined();
  });

  test("a sink that is restarted takes with it what depends on it, and all is up again", async () => {
    const { tree } = start(["Alpha"]);
    const stream = "pipeline/accounts/account/alpha/stream";
    await until("the stream is there", () => find(tree.describe(), stream));
    expect(tree.restart("pipeline/sinks")).toBe(true);
    await until(
      "accounts are begun anew",
      () => find(tree.describe(), "pipeline/accounts")?.restarts === 1,
    );
    await until("the stream is back", () => find(tree.describe(), stream));
    expect(find(tree.describe(), "http")?.restarts).toBe(0);
    tree.stop();
    expect(await tree.ended).toBeUndefined();
  });
});

describe("it ends", () => {
  async function elapse(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= 100) {
      await new Promise((resolve) => setImmediate(resolve));
      jest.advanceTimersByTime(Math.min(100, leftMs));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  test("by itself when its time is over", async () => {
    jest.useFakeTimers();
    const { tree } = start(["Alpha"], {
      environment: { STOP_AFTER_SECONDS: "90" },
    });
    let ended = false;
    void tree.ended.then(() => (ended = true));
    await elapse(89 * SECOND);
    expect(ended).toBe(false);
    await elapse(2 * SECOND);
    expect(await tree.ended).toBeUndefined();
  });

  test("with the reason when it gives up: a part that fails again and again", async () => {
    const port = await freePort(HOST);
    const other = Bun.serve({
      hostname: HOST,
      port,
      fetch: () => new Response("another program"),
    });
    jest.useFakeTimers();
    const { tree, finished } = start(["Alpha"], { port });
    await elapse(MINUTE);
    const error = await tree.ended;
    expect(error?.message).toMatch(
      /^gave up after 7 failures within 60000 ms, the last of http$/,
    );
    // Whatever else runs is stopped in order first.
    expect(finished()).toContain("pipeline/sinks/postgres");
    jest.useRealTimers();
    await other.stop(true);
  });
});

import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor, setup } from "xstate";
import { watchLifecycle } from "../../../actors/supervision/lifecycle.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import {
  describeTree,
  findActor,
  pathOf,
  requestRestart,
} from "../../../actors/supervision/tree.ts";
import { silentLogger } from "../../../src/log.ts";
import { phases, plan, Stage } from "./stage.ts";

beforeEach(() => {
  jest.useFakeTimers();
  jest.setSystemTime(Date.parse("2026-03-02T14:30:00Z"));
});
afterEach(() => {
  jest.useRealTimers();
});

const stream = setup({
  types: {} as { events: { type: "subscribed" } | { type: "split" } },
}).createMachine({
  context: { report: { verdict: "quiet" } },
  initial: "connecting",
  states: {
    connecting: { on: { subscribed: "streaming.live" } },
    streaming: {
      initial: "live",
      states: { live: {} },
      on: { split: "both" },
    },
    both: {
      type: "parallel",
      states: { left: { initial: "one", states: { one: {} } }, right: {} },
    },
  },
});

/** root: http, accounts (account/live (stream, backfill)). */
function start() {
  const stage = new Stage();
  const account = plan(
    [
      { id: "stream", logic: stream, restart: "permanent", graceMs: 100 },
      stage.child("backfill", { restart: "transient" }),
    ],
    { strategy: "rest_for_one" },
  );
  const nested = {
    logic: supervisor,
    restart: "permanent",
    graceMs: 1000,
  } as const;
  const accounts = plan([{ ...nested, id: "account/live", input: account }]);
  const root = createActor(supervisor, {
    input: plan([
      stage.child("http"),
      { ...nested, id: "accounts", input: accounts },
    ]),
    inspect: watchLifecycle(silentLogger),
  });
  root.subscribe({ error: () => {} });
  root.start();
  return { root, stage };
}

describe("the tree", () => {
  test("shows who runs, in what state and since when", () => {
    const { root, stage } = start();
    jest.advanceTimersByTime(1000);
    findActor(root, "accounts/account/live/stream")?.send({
      type: "subscribed",
    });
    jest.advanceTimersByTime(1000);
    stage.scope("backfill").report({ state: "backfilling", pages: 2 });
    stage.fail("http");
    expect(describeTree(root)).toEqual({
      id: "root",
      path: "",
      type: "supervisor",
      state: "running",
      since: "2026-03-02T14:30:00.000Z",
      restarts: 0,
      strategy: "one_for_one",
      children: [
        {
          id: "http",
          path: "http",
          type: "worker",
          state: "waiting",
          since: "2026-03-02T14:30:02.000Z",
          restarts: 0,
          lastError: "http broke",
        },
        {
          id: "accounts",
          path: "accounts",
          type: "supervisor",
          state: "running",
          since: "2026-03-02T14:30:00.000Z",
          restarts: 0,
          strategy: "one_for_one",
          children: [
            {
              id: "account/live",
              path: "accounts/account/live",
              type: "supervisor",
              state: "running",
              since: "2026-03-02T14:30:00.000Z",
              restarts: 0,
              strategy: "rest_for_one",
              children: [
                {
                  id: "stream",
                  path: "accounts/account/live/stream",
                  type: "worker",
                  state: "streaming.live",
                  since: "2026-03-02T14:30:01.000Z",
                  restarts: 0,
                  detail: { verdict: "quiet" },
                },
                {
                  id: "backfill",
                  path: "accounts/account/live/backfill",
                  type: "worker",
                  state: "backfilling",
                  since: "2026-03-02T14:30:02.000Z",
                  restarts: 0,
                  detail: { state: "backfilling", pages: 2 },
                },
              ],
            },
          ],
        },
      ],
    });
  });

  test("counts restarts and remembers the last error", () => {
    const { root, stage } = start();
    stage.fail("http");
    jest.advanceTimersByTime(10);
    expect(describeTree(root).children?.[0]).toEqual({
      id: "http",
      path: "http",
      type: "worker",
      state: "running",
      since: "2026-03-02T14:30:00.010Z",
      restarts: 1,
      lastError: "http broke",
    });
  });

  test("keeps showing a transient child that has finished", () => {
    const { root, stage } = start();
    stage.finish("backfill");
    const accounts = describeTree(root).children?.[1];
    expect(accounts?.children?.[0]?.children?.[1]).toMatchObject({
      id: "backfill",
      type: "worker",
      state: "finished",
    });
  });

  test("joins the regions of a parallel state", () => {
    const { root } = start();
    const actor = findActor(root, "accounts/account/live/stream");
    actor?.send({ type: "subscribed" });
    actor?.send({ type: "split" });
    const accounts = describeTree(root).children?.[1];
    expect(accounts?.children?.[0]?.children?.[0]?.state).toBe(
      "both.left.one+right",
    );
  });

  test("says how a root that ended ended", () => {
    const { root } = start();
    root.send({ type: "shutdown" });
    jest.advanceTimersByTime(100);
    expect(describeTree(root)).toMatchObject({
      state: "finished",
      children: [],
    });
  });

  test("shows a supervisor that is shutting down as stopping", () => {
    const { root } = start();
    jest.advanceTimersByTime(1000);
    root.send({ type: "shutdown" }); // the stream does not know the word and uses up its grace
    expect(describeTree(root)).toMatchObject({
      state: "stopping",
      since: "2026-03-02T14:30:01.000Z",
    });
  });
});

describe("finding an actor by its path", () => {
  test.each([
    "http",
    "accounts",
    "accounts/account/live",
    "accounts/account/live/stream",
  ])("%s", (path) => {
    const { root } = start();
    const actor = findActor(root, path);
    expect(actor === undefined ? undefined : pathOf(actor)).toBe(path);
  });

  test("the empty path is the root", () => {
    const { root } = start();
    expect(findActor(root, "")).toBe(root);
  });

  test.each(["nobody", "http/nobody", "accounts/account", "/http", "http/"])(
    "%s is nobody",
    (path) => {
      const { root } = start();
      expect(findActor(root, path)).toBeUndefined();
    },
  );

  test("one that waits for its restart is nobody", () => {
    const { root, stage } = start();
    stage.fail("http");
    expect(findActor(root, "http")).toBeUndefined();
  });
});

describe("requesting a restart by path", () => {
  test("reaches the supervisor that answers for it", () => {
    const { root, stage } = start();
    stage.take();
    expect(requestRestart(root, "accounts/account/live/backfill")).toBe(true);
    expect(stage.take()).toEqual([
      "ask backfill",
      "close backfill",
      "start backfill",
    ]);
  });

  test("works for one that waits", () => {
    const { root, stage } = start();
    stage.fail("http");
    expect(requestRestart(root, "http")).toBe(true);
    expect(phases(root)).toEqual(["http:living", "accounts:living"]);
  });

  test.each(["", "nobody", "http/nobody", "accounts/", "accounts/account"])(
    "'%s' has no supervisor",
    (path) => {
      const { root } = start();
      expect(requestRestart(root, path)).toBe(false);
    },
  );
});

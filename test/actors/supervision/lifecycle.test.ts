import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { createActor, setup } from "xstate";
import { watchLifecycle } from "../../../actors/supervision/lifecycle.ts";
import type { Child, Plan } from "../../../actors/supervision/plan.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { createLogger } from "../../../src/log.ts";
import { plan, Stage } from "./stage.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Starts a watched tree; `take` returns the lines written since the last look, without their time. */
function start(input: Plan) {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    destination: {
      write: (line) => {
        const { time, ...rest } = JSON.parse(line);
        lines.push(time === undefined ? {} : rest);
      },
    },
  });
  const root = createActor(supervisor, { input, inspect: watchLifecycle(log) });
  root.subscribe({ error: () => {} });
  root.start();
  return { root, take: () => lines.splice(0) };
}

const info = (message: string, fields: object) => ({
  level: "INFO",
  message,
  ...fields,
});

const stream = setup({
  types: {} as { events: { type: "subscribed" } | { type: "shutdown" } },
}).createMachine({
  context: { report: {} },
  initial: "connecting",
  states: {
    connecting: { on: { subscribed: "streaming" } },
    streaming: { on: { shutdown: "left" } },
    left: { type: "final" },
  },
});
const streamChild: Child = {
  id: "stream",
  logic: stream,
  restart: "permanent",
  graceMs: 100,
};

test("a life is told in one line for each start, change of state and exit", () => {
  const stage = new Stage();
  const { root, take } = start(
    plan([
      {
        id: "account/live",
        logic: supervisor,
        input: plan([
          streamChild,
          stage.child("ledger", { leavesAfterMs: 50 }),
        ]),
        restart: "permanent",
        graceMs: 1000,
      },
    ]),
  );
  expect(take()).toEqual([
    info("actor_started", { actor: "root", state: "running" }),
    info("actor_started", { actor: "account/live", state: "running" }),
    info("actor_started", {
      actor: "account/live/stream",
      state: "connecting",
    }),
    info("actor_started", { actor: "account/live/ledger", state: "running" }),
  ]);
  const account = root.getSnapshot().children["account/live"];
  account?.getSnapshot().children.stream.send({ type: "subscribed" });
  expect(take()).toEqual([
    info("actor_state_changed", {
      actor: "account/live/stream",
      from: "connecting",
      state: "streaming",
    }),
  ]);
  root.send({ type: "shutdown" });
  jest.advanceTimersByTime(50);
  expect(
    take().map(({ actor, message, state }) => [message, actor, state]),
  ).toEqual([
    ["actor_state_changed", "account/live", "stopping"],
    ["actor_state_changed", "root", "stopping"],
    ["actor_finished", "account/live/ledger", undefined],
    ["actor_finished", "account/live/stream", undefined],
    ["actor_finished", "account/live", undefined],
    ["actor_finished", "root", undefined],
  ]);
});

test("a failure is a warning with its error, and its restart says how many failures and what wait", () => {
  const stage = new Stage();
  const { take } = start(
    plan([stage.child("other"), stage.child("http")], { backoffMs: () => 250 }),
  );
  stage.fail("other");
  jest.advanceTimersByTime(250);
  take();
  stage.fail("http");
  jest.advanceTimersByTime(250);
  expect(take()).toEqual([
    {
      level: "WARN",
      message: "actor_failed",
      actor: "http",
      error: expect.objectContaining({ message: "http broke" }),
    },
    info("actor_restarting", { actor: "http", failures: 1, delayMs: 250 }),
    info("actor_started", { actor: "http", state: "running" }),
  ]);
});

test("a supervisor that gives up leaves its cause in the log, the root's too", () => {
  const stage = new Stage();
  const { take } = start(plan([stage.child("http")], { maxRestarts: 0 }));
  take();
  stage.fail("http");
  expect(take().filter(({ level }) => level === "WARN")).toEqual([
    expect.objectContaining({ message: "actor_failed", actor: "http" }),
    expect.objectContaining({
      message: "actor_failed",
      actor: "root",
      error: expect.objectContaining({
        message: "gave up after 1 failures within 60000 ms, the last of http",
        cause: expect.objectContaining({ message: "http broke" }),
      }),
    }),
  ]);
});

test("who is stopped hard and who is refused is a warning", () => {
  const stage = new Stage();
  const { root, take } = start(
    plan([stage.child("a", { leavesAfterMs: undefined, graceMs: 100 })]),
  );
  take();
  root.send({ type: "child.added", child: stage.child("a") });
  root.send({ type: "child.removed", id: "a" });
  jest.advanceTimersByTime(100);
  expect(take()).toEqual([
    { level: "WARN", message: "actor_refused", actor: "a" },
    { level: "WARN", message: "actor_killed", actor: "a" },
  ]);
});

test("who leaves in time is not said to have been killed when its grace would have ended", () => {
  const stage = new Stage();
  const { root, take } = start(plan([stage.child("a", { graceMs: 100 })]));
  root.send({ type: "child.restartRequested", id: "a" });
  take();
  jest.advanceTimersByTime(1000);
  expect(take()).toEqual([]);
});

test("messages, reports of the same state and the parts of a machine are not told", () => {
  const stage = new Stage();
  const machine = setup({
    actors: { part: stage.logic("part") },
  }).createMachine({
    invoke: { src: "part", onError: {} },
  });
  const { root, take } = start(
    plan([
      stage.child("http"),
      { id: "m", logic: machine, restart: "permanent", graceMs: 100 },
    ]),
  );
  stage.scope("http").report({ state: "live", requests: 1 });
  take();
  stage.scope("http").report({ state: "live", requests: 2 });
  for (let frames = 0; frames < 100; frames += 1)
    root.getSnapshot().children["http"]?.send({ type: "frame" });
  stage.fail("part");
  expect(take()).toEqual([]);
});

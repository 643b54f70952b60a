import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { type AnyActorLogic, setup } from "xstate";
import { escalate } from "../../../actors/supervision/escalate.ts";
import type { Child, Plan } from "../../../actors/supervision/plan.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { phases, plan, run, Stage } from "./stage.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

function worker(id: string, logic: AnyActorLogic, input?: unknown): Child {
  return { id, logic, input, restart: "permanent", graceMs: 1000 };
}

function inner(id: string, input: Plan): Child {
  return worker(id, supervisor, input);
}

test("an inner supervisor that gives up is restarted by the outer with all its children", () => {
  const stage = new Stage();
  const { root, errors } = run(
    plan([
      stage.child("a"),
      inner(
        "inner",
        plan([stage.child("x"), stage.child("y")], { maxRestarts: 0 }),
      ),
    ]),
  );
  stage.take();
  stage.fail("x");
  expect(stage.take()).toEqual(["close x", "ask y", "close y"]);
  expect(phases(root)).toEqual(["a:living", "inner:waiting"]);
  jest.advanceTimersByTime(10);
  expect(stage.take()).toEqual(["start x", "start y"]);
  expect(root.getSnapshot().context.members[1]).toMatchObject({
    starts: 2,
    lastError:
      "gave up after 1 failures within 60000 ms, the last of x: x broke",
  });
  expect(errors).toEqual([]);
});

test("failures climb level by level until the root fails with the whole story", () => {
  const stage = new Stage();
  const limits = { maxRestarts: 0, withinMs: 1000 };
  const { root, errors } = run(
    plan(
      [
        inner(
          "middle",
          plan([inner("low", plan([stage.child("x")], limits))], limits),
        ),
      ],
      limits,
    ),
  );
  stage.fail("x");
  expect(root.getSnapshot().status).toBe("error");
  expect(stage.open).toBe(0);
  const story: string[] = [];
  for (let error = errors[0]; error instanceof Error; error = error.cause)
    story.push(error.message);
  expect(story).toEqual([
    "gave up after 1 failures within 1000 ms, the last of middle",
    "gave up after 1 failures within 1000 ms, the last of low",
    "gave up after 1 failures within 1000 ms, the last of x",
    "x broke",
  ]);
});

test("an inner supervisor that overstays its grace is stopped hard with everything below", () => {
  const stage = new Stage();
  const slow = stage.child("x", { leavesAfterMs: undefined, graceMs: 60_000 });
  const { root } = run(plan([inner("inner", plan([slow, stage.child("y")]))]));
  root.send({ type: "shutdown" });
  stage.take();
  jest.advanceTimersByTime(1000);
  expect(stage.take()).toEqual(["close x"]);
  expect(root.getSnapshot().status).toBe("done");
});

test("a machine that escalates fails with the error it was given, its other children are closed, and it is restarted", () => {
  const stage = new Stage();
  const machine = setup({
    types: {} as { events: { type: "broke" } },
    actors: { escalate, part: stage.logic("part") },
  }).createMachine({
    invoke: { src: "part" },
    initial: "working",
    states: {
      working: { on: { broke: "failing" } },
      failing: {
        invoke: { src: "escalate", input: () => new Error("keys refused") },
      },
    },
  });
  const { root, errors } = run(plan([worker("m", machine)]));
  stage.take();
  root.getSnapshot().children["m"]?.send({ type: "broke" });
  expect(stage.take()).toEqual(["close part"]);
  expect(root.getSnapshot().context.members[0]).toMatchObject({
    phase: "waiting",
    lastError: "keys refused",
  });
  jest.advanceTimersByTime(10);
  expect(stage.take()).toEqual(["start part"]);
  expect(errors).toEqual([]);
});

test("a machine leaves by its final state when it is asked to shut down", () => {
  const stage = new Stage();
  const machine = setup({
    actors: { part: stage.logic("part") },
  }).createMachine({
    initial: "working",
    states: {
      working: { invoke: { src: "part" }, on: { shutdown: "done" } },
      done: { type: "final" },
    },
  });
  const { root } = run(plan([stage.child("a"), worker("m", machine)]));
  stage.take();
  root.send({ type: "shutdown" });
  expect(stage.take()).toEqual(["close part", "ask a", "close a"]);
  expect(root.getSnapshot().status).toBe("done");
});

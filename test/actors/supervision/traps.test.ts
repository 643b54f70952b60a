/** What XState does that a careful supervisor must not let happen: one test for each remedy. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { EventEmitter } from "node:events";
import { Glob } from "bun";
import { type AnyActorLogic, assign, createActor, setup } from "xstate";
import { fromResource } from "../../../actors/supervision/resource.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { phases, plan, run, Stage } from "./stage.ts";

const uncaught: unknown[] = [];
const catchIt = (error: unknown) => uncaught.push(error);

beforeEach(() => {
  jest.useFakeTimers();
  uncaught.length = 0;
  process.on("uncaughtException", catchIt);
  process.on("unhandledRejection", catchIt);
});
afterEach(() => {
  process.off("uncaughtException", catchIt);
  process.off("unhandledRejection", catchIt);
  jest.useRealTimers();
});

/** A machine with one part, that throws when told to explode. */
function bomb(part: AnyActorLogic) {
  return setup({
    types: {} as { events: { type: "explode" } },
    actors: { part },
  }).createMachine({
    invoke: { src: "part", id: "part" },
    on: {
      explode: {
        actions: assign(() => {
          throw new Error("bug");
        }),
      },
    },
  });
}

const permanent = { restart: "permanent", graceMs: 100 } as const;

describe("a machine that throws", () => {
  test("leaves no child running: its parts are closed before it is started again", () => {
    const stage = new Stage();
    const logic = bomb(stage.logic("part"));
    const { root } = run(plan([{ id: "m", logic, ...permanent }]));
    root.getSnapshot().children["m"]?.send({ type: "explode" });
    expect(stage.take()).toEqual(["start part", "close part"]);
    jest.advanceTimersByTime(10);
    expect(stage.take()).toEqual(["start part"]);
    expect(stage.open).toBe(1);
  });

  test("leaves no grandchild running either", () => {
    const stage = new Stage();
    const logic = bomb(bomb(stage.logic("part")));
    const { root } = run(plan([{ id: "m", logic, ...permanent }]));
    root.getSnapshot().children["m"]?.send({ type: "explode" });
    expect(stage.open).toBe(0);
  });

  test("and takes its parent machine with it leaves nothing two levels down", () => {
    const stage = new Stage();
    const logic = bomb(bomb(stage.logic("part")));
    const { root } = run(plan([{ id: "m", logic, ...permanent }]));
    const middle = root.getSnapshot().children["m"]?.getSnapshot()
      .children.part;
    middle.send({ type: "explode" });
    expect(phases(root)).toEqual(["m:waiting"]);
    expect(stage.open).toBe(0);
  });

  test("inside a machine that lives on leaves nothing running there", () => {
    const stage = new Stage();
    const logic = setup({
      actors: { fragile: bomb(stage.logic("part")) },
    }).createMachine({
      invoke: { src: "fragile", id: "fragile", onError: {} },
    });
    const { root } = run(plan([{ id: "m", logic, ...permanent }]));
    const machine = root.getSnapshot().children["m"];
    machine?.getSnapshot().children.fragile.send({ type: "explode" });
    expect(phases(root)).toEqual(["m:living"]);
    expect(stage.open).toBe(0);
  });

  test("has its youngest part closed first", () => {
    const stage = new Stage();
    const logic = setup({
      types: {} as { events: { type: "explode" } },
      actors: { one: stage.logic("one"), two: stage.logic("two") },
    }).createMachine({
      invoke: [{ src: "one" }, { src: "two" }],
      on: {
        explode: {
          actions: assign(() => {
            throw new Error("bug");
          }),
        },
      },
    });
    const { root } = run(plan([{ id: "m", logic, ...permanent }]));
    stage.take();
    root.getSnapshot().children["m"]?.send({ type: "explode" });
    expect(stage.take()).toEqual(["close two", "close one"]);
  });

  test("does not stop a part that is in the middle of telling it", () => {
    const log: string[] = [];
    const part = fromResource<unknown>(({ receive, tell, stack }) => {
      stack.defer(() => log.push("closed"));
      receive(() => {
        tell({ type: "explode" });
        log.push("told");
      });
    });
    const { root } = run(plan([{ id: "m", logic: bomb(part), ...permanent }]));
    const machine = root.getSnapshot().children["m"];
    machine?.getSnapshot().children.part.send({ type: "frame" });
    expect(log).toEqual(["told", "closed"]);
  });
});

test("a throw in receive closes what the resource had opened", () => {
  const stage = new Stage();
  const { root } = run(plan([stage.child("a")]));
  stage.scope("a").receive(() => {
    throw new Error("bug");
  });
  root.getSnapshot().children["a"]?.send({ type: "frame" });
  expect(stage.take()).toEqual(["start a", "close a"]);
  expect(phases(root)).toEqual(["a:waiting"]);
});

test("a throw in a guarded foreign listener is the actor's failure, not the process's", () => {
  const emitter = new EventEmitter();
  const stage = new Stage();
  const { root } = run(plan([stage.child("a")]));
  emitter.on(
    "message",
    stage.scope("a").guard(() => {
      throw new Error("bug");
    }),
  );
  setTimeout(() => emitter.emit("message"), 5);
  jest.advanceTimersByTime(5);
  expect(phases(root)).toEqual(["a:waiting"]);
  expect(uncaught).toEqual([]);
});

test("a rejected open is the actor's failure, not an unhandled rejection", async () => {
  const logic = fromResource<unknown>(async () => {
    throw new Error("no route");
  });
  const { root } = run(plan([{ id: "a", logic, ...permanent }]));
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  expect(phases(root)).toEqual(["a:waiting"]);
  jest.useRealTimers();
  await new Promise((resolve) => setImmediate(resolve)); // when the process would have been told
  expect(uncaught).toEqual([]);
  root.stop();
});

test("no machine of ours has a bare '*' transition, which would swallow its children's errors", async () => {
  const offenders: string[] = [];
  for await (const path of new Glob("**/*.ts").scan("actors"))
    if (/["']\*["']\s*:/.test(await Bun.file(`actors/${path}`).text()))
      offenders.push(path);
  expect(offenders).toEqual([]);
});

test("the tests run on XState's development build, which warns of messages to the dead", () => {
  const warned = jest.spyOn(console, "warn").mockImplementation(() => {});
  const { root } = run(plan([]));
  root.stop();
  root.send({ type: "shutdown" });
  expect(warned).toHaveBeenCalledTimes(1);
  warned.mockRestore();
});

test("failures and restarts never surface as uncaught exceptions", async () => {
  const stage = new Stage();
  const inner = plan([stage.child("x")], { maxRestarts: 0 });
  const { root, errors } = run(
    plan(
      [
        stage.child("a"),
        { id: "inner", logic: supervisor, input: inner, ...permanent },
      ],
      { maxRestarts: 3 },
    ),
  );
  for (let failures = 0; failures < 4; failures += 1) {
    stage.fail(failures % 2 === 0 ? "a" : "x");
    jest.advanceTimersByTime(10); // XState rethrows what nobody observes from a timer
  }
  expect(errors).toHaveLength(1);
  expect(root.getSnapshot().status).toBe("error");
  jest.useRealTimers();
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(uncaught).toEqual([]);
});

test("a delay id that is scheduled anew forgets the earlier delay", () => {
  const stage = new Stage();
  const waits = [1000, 1000];
  const { root } = run(
    plan([stage.child("a")], { backoffMs: () => waits.shift() ?? 0 }),
  );
  stage.fail("a");
  jest.advanceTimersByTime(500);
  root.send({ type: "child.restartRequested", id: "a" });
  stage.fail("a"); // the first wait would end in 500 ms
  jest.advanceTimersByTime(999);
  expect(phases(root)).toEqual(["a:waiting"]);
  jest.advanceTimersByTime(1);
  expect(phases(root)).toEqual(["a:living"]);
});

test.each(["backoffMs", "withinMs", "graceMs"] as const)(
  "%s beyond what a timer takes does not end at once",
  (which) => {
    const stage = new Stage();
    const endless = 2 ** 40;
    const graceMs = which === "graceMs" ? endless : 100;
    const { root } = run(
      plan([stage.child("a", { graceMs, leavesAfterMs: undefined })], {
        ...(which === "withinMs" ? { withinMs: endless } : {}),
        ...(which === "backoffMs" ? { backoffMs: () => endless } : {}),
      }),
    );
    if (which === "graceMs") root.send({ type: "shutdown" });
    else stage.fail("a");
    jest.advanceTimersByTime(60_000);
    const { failures } = root.getSnapshot().context;
    const phase = {
      backoffMs: "a:waiting",
      withinMs: "a:living",
      graceMs: "a:asked",
    };
    expect(phases(root)).toEqual([phase[which]]);
    expect(failures).toEqual(which === "withinMs" ? ["a"] : []);
  },
);

test("one jump of the faked clock walks every timer that hangs on another", () => {
  const logic = fromResource<unknown>(({ fail, stack }) => {
    const timer = setTimeout(() => fail(new Error("again")), 40);
    stack.defer(() => clearTimeout(timer));
  });
  const { root } = run(plan([{ id: "a", logic, ...permanent }]));
  jest.advanceTimersByTime(1000); // 40 ms of life and 10 ms of backoff, twenty times
  expect(root.getSnapshot().context.failures).toHaveLength(20);
  root.stop();
});

test("an input that is a function is handed over, not called", () => {
  const seen: unknown[] = [];
  const logic = fromResource<unknown>(({ input }) => void seen.push(input));
  const input = () => "called";
  run(plan([{ id: "a", logic, input, ...permanent }]));
  expect(seen).toEqual([input]);
});

test("an exit told late by an earlier life does not bury the present one", () => {
  const stage = new Stage();
  const root = createActor(supervisor, { input: plan([stage.child("a")]) });
  root.start();
  root.send({
    type: "xstate.error.actor.a",
    actorId: "a",
    error: new Error("old news"),
  });
  expect(phases(root)).toEqual(["a:living"]);
  expect(stage.log).toEqual(["start a"]);
  root.stop();
});

import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { phases, plan, run, Stage } from "./stage.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe("shutdown", () => {
  test("asks the children one by one, last first, and finishes", () => {
    const stage = new Stage();
    const { root, errors } = run(
      plan([
        stage.child("a"),
        stage.child("b", { leavesAfterMs: 50 }),
        stage.child("c", { leavesAfterMs: 30 }),
      ]),
    );
    stage.take();
    root.send({ type: "shutdown" });
    expect(stage.take()).toEqual(["ask c"]);
    jest.advanceTimersByTime(30);
    expect(stage.take()).toEqual(["close c", "ask b"]);
    expect(root.getSnapshot().status).toBe("active");
    jest.advanceTimersByTime(50);
    expect(stage.take()).toEqual(["close b", "ask a", "close a"]);
    expect(root.getSnapshot()).toMatchObject({
      status: "done",
      value: "finished",
    });
    expect(errors).toEqual([]);
  });

  test("stops hard who does not leave within its grace period, and goes on", () => {
    const stage = new Stage();
    const { root } = run(
      plan([
        stage.child("a"),
        stage.child("b", { leavesAfterMs: undefined, graceMs: 500 }),
      ]),
    );
    stage.take();
    root.send({ type: "shutdown" });
    jest.advanceTimersByTime(499);
    expect(stage.take()).toEqual(["ask b"]);
    jest.advanceTimersByTime(1);
    expect(stage.take()).toEqual(["close b", "ask a", "close a"]);
    expect(root.getSnapshot().status).toBe("done");
  });

  test("without children finishes at once", () => {
    const { root } = run(plan([]));
    root.send({ type: "shutdown" });
    expect(root.getSnapshot().status).toBe("done");
  });

  test("said twice is said once", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a", { leavesAfterMs: 50 })]));
    root.send({ type: "shutdown" });
    root.send({ type: "shutdown" });
    jest.advanceTimersByTime(50);
    expect(stage.log).toEqual(["start a", "ask a", "close a"]);
    expect(root.getSnapshot().status).toBe("done");
  });

  test("while a child waits for its restart does not wait for it", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a"), stage.child("b")], { backoffMs: () => 5000 }),
    );
    stage.fail("b");
    stage.take();
    root.send({ type: "shutdown" });
    expect(stage.take()).toEqual(["ask a", "close a"]);
    expect(root.getSnapshot().status).toBe("done");
    jest.advanceTimersByTime(10_000);
    expect(stage.take()).toEqual([]);
  });

  test("while siblings are being restarted lets the asked one finish and starts nobody", () => {
    const stage = new Stage();
    const { root } = run(
      plan(
        [
          stage.child("a"),
          stage.child("b"),
          stage.child("c", { leavesAfterMs: 50 }),
        ],
        { strategy: "one_for_all" },
      ),
    );
    stage.fail("b");
    stage.take();
    root.send({ type: "shutdown" });
    expect(stage.take()).toEqual([]); // c was asked by the restart and is not asked again
    jest.advanceTimersByTime(50);
    expect(stage.take()).toEqual(["close c", "ask a", "close a"]);
    expect(root.getSnapshot().status).toBe("done");
    jest.advanceTimersByTime(10_000);
    expect(stage.take()).toEqual([]);
  });

  test("does not prolong the grace of one that is leaving already", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a", { leavesAfterMs: undefined, graceMs: 500 })]),
    );
    root.send({ type: "child.restartRequested", id: "a" });
    jest.advanceTimersByTime(400);
    root.send({ type: "shutdown" });
    jest.advanceTimersByTime(99);
    expect(root.getSnapshot().status).toBe("active");
    jest.advanceTimersByTime(1);
    expect(root.getSnapshot().status).toBe("done");
    expect(stage.log).toEqual(["start a", "ask a", "close a"]);
  });

  test("a removal does not prolong it either", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a", { leavesAfterMs: undefined, graceMs: 500 })]),
    );
    root.send({ type: "child.restartRequested", id: "a" });
    jest.advanceTimersByTime(300);
    root.send({ type: "child.removed", id: "a" });
    jest.advanceTimersByTime(200);
    expect(phases(root)).toEqual([]);
    expect(stage.open).toBe(0);
  });

  test("while the supervisor is giving up does not make it a success", () => {
    const stage = new Stage();
    const { root, errors } = run(
      plan([stage.child("a", { leavesAfterMs: 50 }), stage.child("b")], {
        maxRestarts: 0,
      }),
    );
    stage.fail("b");
    root.send({ type: "shutdown" });
    jest.advanceTimersByTime(50);
    expect(root.getSnapshot().status).toBe("error");
    expect(errors).toHaveLength(1);
  });

  test("does not restart or count what fails on the way out", () => {
    const stage = new Stage();
    const { root, errors } = run(
      plan([
        stage.child("a", { leavesAfterMs: 50 }),
        stage.child("b", { leavesAfterMs: 50 }),
      ]),
    );
    root.send({ type: "shutdown" });
    stage.take();
    stage.fail("a"); // not asked yet
    stage.fail("b"); // asked
    expect(stage.take()).toEqual(["close a", "close b"]);
    expect(root.getSnapshot().status).toBe("done");
    expect(errors).toEqual([]);
  });

  test("one that dies before its turn does not shorten the grace of the one that was asked", () => {
    const stage = new Stage();
    const { root } = run(
      plan([
        stage.child("a"),
        stage.child("b", { leavesAfterMs: undefined, graceMs: 500 }),
      ]),
    );
    root.send({ type: "shutdown" });
    stage.take();
    jest.advanceTimersByTime(400);
    stage.fail("a");
    jest.advanceTimersByTime(99);
    expect(stage.take()).toEqual(["close a"]);
    jest.advanceTimersByTime(1);
    expect(stage.take()).toEqual(["close b"]);
    expect(root.getSnapshot().status).toBe("done");
  });

  test("goes down the tree: an inner supervisor shuts its own children down before it leaves", () => {
    const stage = new Stage();
    const inner = plan([stage.child("x"), stage.child("y")]);
    const { root } = run(
      plan([
        stage.child("a"),
        {
          id: "inner",
          logic: supervisor,
          input: inner,
          restart: "permanent",
          graceMs: 1000,
        },
        stage.child("b"),
      ]),
    );
    stage.take();
    root.send({ type: "shutdown" });
    expect(stage.take()).toEqual([
      "ask b",
      "close b",
      "ask y",
      "close y",
      "ask x",
      "close x",
      "ask a",
      "close a",
    ]);
    expect(root.getSnapshot().status).toBe("done");
  });
});

test("a hard stop of the root closes everything below", () => {
  const stage = new Stage();
  const { root } = run(
    plan([
      stage.child("a"),
      {
        id: "inner",
        logic: supervisor,
        input: plan([stage.child("x")]),
        restart: "permanent",
        graceMs: 1000,
      },
    ]),
  );
  root.stop();
  expect(stage.open).toBe(0);
  jest.advanceTimersByTime(10_000);
  expect(stage.log).toEqual(["start a", "start x", "close a", "close x"]);
});

test("the end of a grace period that belongs to an earlier life does not touch the present one", () => {
  const stage = new Stage();
  const { root } = run(
    plan([stage.child("a", { leavesAfterMs: 50, graceMs: 60 })]),
  );
  root.send({ type: "child.restartRequested", id: "a" });
  jest.advanceTimersByTime(50);
  root.send({ type: "child.restartRequested", id: "a" });
  stage.take();
  jest.advanceTimersByTime(49); // 99 ms: the first grace would have ended at 60
  expect(stage.take()).toEqual([]);
  jest.advanceTimersByTime(1);
  expect(stage.take()).toEqual(["close a", "start a"]);
  expect(phases(root)).toEqual(["a:living"]);
});

import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { phases, plan, run, Stage } from "./stage.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe("adding a child", () => {
  test("starts it, and from then on it is one like the others, the last in order", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a")]));
    root.send({ type: "child.added", child: stage.child("b") });
    stage.fail("b");
    jest.advanceTimersByTime(10);
    root.send({ type: "shutdown" });
    expect(stage.log).toEqual([
      "start a",
      "start b",
      "close b",
      "start b",
      "ask b",
      "close b",
      "ask a",
      "close a",
    ]);
  });

  test("whose id is taken is refused, whether the other runs or waits", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a")]));
    root.send({ type: "child.added", child: stage.child("a") });
    stage.fail("a");
    root.send({ type: "child.added", child: stage.child("a") });
    jest.advanceTimersByTime(1000);
    expect(stage.log).toEqual(["start a", "close a", "start a"]);
    expect(phases(root)).toEqual(["a:living"]);
  });

  test("while siblings it depends on wait for their restart, waits with them", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a")], { strategy: "rest_for_one" }),
    );
    stage.fail("a");
    root.send({ type: "child.added", child: stage.child("b") });
    expect(phases(root)).toEqual(["a:waiting", "b:due"]);
    jest.advanceTimersByTime(10);
    expect(stage.log).toEqual(["start a", "close a", "start a", "start b"]);
  });

  test("during shutdown starts nothing", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a", { leavesAfterMs: 50 })]));
    root.send({ type: "shutdown" });
    root.send({ type: "child.added", child: stage.child("b") });
    jest.advanceTimersByTime(50);
    expect(stage.log).toEqual(["start a", "ask a", "close a"]);
    expect(root.getSnapshot().status).toBe("done");
  });
});

describe("removing a child", () => {
  test("asks it to shut down and forgets it", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a", { leavesAfterMs: 50 }), stage.child("b")]),
    );
    stage.take();
    root.send({ type: "child.removed", id: "a" });
    expect(phases(root)).toEqual(["a:asked", "b:living"]);
    jest.advanceTimersByTime(50);
    expect(stage.take()).toEqual(["ask a", "close a"]);
    expect(phases(root)).toEqual(["b:living"]);
    expect(root.getSnapshot().children).not.toHaveProperty("a");
    jest.advanceTimersByTime(1000);
    expect(stage.take()).toEqual([]);
  });

  test("that does not leave is stopped hard after its grace", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a", { leavesAfterMs: undefined, graceMs: 100 })]),
    );
    root.send({ type: "child.removed", id: "a" });
    jest.advanceTimersByTime(100);
    expect(stage.log).toEqual(["start a", "ask a", "close a"]);
    expect(phases(root)).toEqual([]);
  });

  test("that waits for its restart cancels the restart", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a"), stage.child("b")]));
    stage.fail("a");
    root.send({ type: "child.removed", id: "a" });
    expect(phases(root)).toEqual(["b:living"]);
    stage.take();
    jest.advanceTimersByTime(1000);
    expect(stage.take()).toEqual([]);
  });

  test("and adding one of the same name while the first still waits does not inherit its restart", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a")], { backoffMs: () => 1000 }));
    stage.fail("a");
    root.send({ type: "child.removed", id: "a" });
    root.send({ type: "child.added", child: stage.child("a") });
    jest.advanceTimersByTime(500);
    stage.fail("a");
    stage.take();
    jest.advanceTimersByTime(999);
    expect(stage.take()).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(stage.take()).toEqual(["start a"]);
  });

  test("while it is being restarted with its group turns the restart into a farewell", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a"), stage.child("b", { leavesAfterMs: 50 })], {
        strategy: "one_for_all",
      }),
    );
    stage.fail("a");
    root.send({ type: "child.removed", id: "b" });
    stage.take();
    jest.advanceTimersByTime(50);
    expect(stage.take()).toEqual(["close b", "start a"]);
    expect(phases(root)).toEqual(["a:living"]);
  });

  test("a finished one is simply struck off; an unknown one is no matter", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a", { restart: "transient" })]));
    stage.finish("a");
    root.send({ type: "child.removed", id: "a" });
    root.send({ type: "child.removed", id: "nobody" });
    expect(phases(root)).toEqual([]);
    expect(root.getSnapshot().status).toBe("active");
  });

  test("two at once leave one after the other, the last first", () => {
    const stage = new Stage();
    const { root } = run(
      plan([
        stage.child("a", { leavesAfterMs: 10 }),
        stage.child("b", { leavesAfterMs: 10 }),
        stage.child("c", { leavesAfterMs: 10 }),
      ]),
    );
    stage.take();
    root.send({ type: "child.removed", id: "b" });
    root.send({ type: "child.removed", id: "a" });
    jest.advanceTimersByTime(20);
    expect(stage.take()).toEqual(["ask b", "close b", "ask a", "close a"]);
    expect(phases(root)).toEqual(["c:living"]);
  });
});

describe("a requested restart", () => {
  test("lets the child finish, starts it at once and counts no failure", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a", { leavesAfterMs: 50 })], { maxRestarts: 0 }),
    );
    root.send({ type: "child.restartRequested", id: "a" });
    jest.advanceTimersByTime(50);
    expect(stage.log).toEqual(["start a", "ask a", "close a", "start a"]);
    expect(root.getSnapshot().context.failures).toEqual([]);
  });

  test("takes along the siblings that share its fate", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a"), stage.child("b"), stage.child("c")], {
        strategy: "rest_for_one",
      }),
    );
    stage.take();
    root.send({ type: "child.restartRequested", id: "b" });
    expect(stage.take()).toEqual([
      "ask c",
      "close c",
      "ask b",
      "close b",
      "start b",
      "start c",
    ]);
  });

  test("ends the wait of one that is backing off, once", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a")], { backoffMs: () => 60_000 }));
    stage.fail("a");
    stage.take();
    root.send({ type: "child.restartRequested", id: "a" });
    expect(stage.take()).toEqual(["start a"]);
    expect(phases(root)).toEqual(["a:living"]);
    jest.advanceTimersByTime(120_000);
    expect(stage.take()).toEqual([]);
  });

  test("brings back one that has finished", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a", { restart: "transient" })]));
    stage.finish("a");
    root.send({ type: "child.restartRequested", id: "a" });
    expect(phases(root)).toEqual(["a:living"]);
  });

  test("of one that is being removed does not bring it back; of an unknown one is no matter", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a", { leavesAfterMs: 50 })]));
    root.send({ type: "child.removed", id: "a" });
    root.send({ type: "child.restartRequested", id: "a" });
    root.send({ type: "child.restartRequested", id: "nobody" });
    jest.advanceTimersByTime(1000);
    expect(phases(root)).toEqual([]);
    expect(root.getSnapshot().status).toBe("active");
  });
});

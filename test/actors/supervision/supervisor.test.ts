import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { phases, plan, run, Stage } from "./stage.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Three children, the second of which fails; until every restart is over. */
function failTheSecond(
  strategy: "one_for_one" | "rest_for_one" | "one_for_all",
) {
  const stage = new Stage();
  const { root } = run(
    plan([stage.child("a"), stage.child("b"), stage.child("c")], { strategy }),
  );
  const started = stage.take();
  stage.fail("b");
  jest.advanceTimersByTime(10);
  root.stop();
  return { started, log: stage.take().slice(0, -3), open: stage.open };
}

describe("a failing child", () => {
  test("one_for_one restarts only the child", () => {
    const { started, log, open } = failTheSecond("one_for_one");
    expect(started).toEqual(["start a", "start b", "start c"]);
    expect(log).toEqual(["close b", "start b"]);
    expect(open).toBe(0);
  });

  test("rest_for_one takes down the later siblings and restarts left to right", () => {
    const { log, open } = failTheSecond("rest_for_one");
    expect(log).toEqual(["close b", "ask c", "close c", "start b", "start c"]);
    expect(open).toBe(0);
  });

  test("one_for_all takes down every sibling, last first, and restarts left to right", () => {
    const { log, open } = failTheSecond("one_for_all");
    expect(log).toEqual([
      "close b",
      "ask c",
      "close c",
      "ask a",
      "close a",
      "start a",
      "start b",
      "start c",
    ]);
    expect(open).toBe(0);
  });

  test("waits out its backoff, and siblings that needed it wait with it", () => {
    const stage = new Stage();
    run(
      plan([stage.child("a"), stage.child("b")], {
        strategy: "rest_for_one",
        backoffMs: () => 1000,
      }),
    );
    stage.take();
    stage.fail("a");
    jest.advanceTimersByTime(999);
    expect(stage.take()).toEqual(["close a", "ask b", "close b"]);
    jest.advanceTimersByTime(1);
    expect(stage.take()).toEqual(["start a", "start b"]);
  });

  test("an earlier sibling that fails meanwhile holds back the later ones", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a"), stage.child("b"), stage.child("c")], {
        strategy: "rest_for_one",
        backoffMs: () => 100,
      }),
    );
    stage.fail("b");
    jest.advanceTimersByTime(60);
    stage.fail("a");
    stage.take();
    jest.advanceTimersByTime(40);
    expect(stage.take()).toEqual([]);
    expect(phases(root)).toEqual(["a:waiting", "b:due", "c:due"]);
    jest.advanceTimersByTime(60);
    expect(stage.take()).toEqual(["start a", "start b", "start c"]);
  });

  test("a later sibling in its own backoff does not hold back an earlier one", () => {
    const stage = new Stage();
    run(
      plan([stage.child("a"), stage.child("b"), stage.child("c")], {
        strategy: "rest_for_one",
        backoffMs: () => 100,
      }),
    );
    stage.fail("c");
    jest.advanceTimersByTime(10);
    stage.fail("a");
    stage.take();
    jest.advanceTimersByTime(90);
    expect(stage.take()).toEqual([]);
    jest.advanceTimersByTime(10);
    expect(stage.take()).toEqual(["start a", "start b", "start c"]);
  });

  test("does not stop a slow sibling from finishing its grace before the restart", () => {
    const stage = new Stage();
    run(
      plan([stage.child("a"), stage.child("b", { leavesAfterMs: 50 })], {
        strategy: "one_for_all",
        backoffMs: () => 10,
      }),
    );
    stage.take();
    stage.fail("a");
    jest.advanceTimersByTime(49);
    expect(stage.take()).toEqual(["close a", "ask b"]);
    jest.advanceTimersByTime(1);
    expect(stage.take()).toEqual(["close b", "start a", "start b"]);
  });

  test("a sibling that fails while it is asked to leave is restarted once and not counted", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a"), stage.child("b", { leavesAfterMs: 50 })], {
        strategy: "one_for_all",
        maxRestarts: 1,
      }),
    );
    stage.take();
    stage.fail("a");
    stage.fail("b");
    jest.advanceTimersByTime(1000);
    expect(stage.take()).toEqual([
      "close a",
      "ask b",
      "close b",
      "start a",
      "start b",
    ]);
    expect(root.getSnapshot().context.failures).toEqual(["a"]);
  });

  test("that fails the moment it starts is restarted like any other", () => {
    let starts = 0;
    const stage = new Stage();
    const { root, errors } = run(
      plan([
        {
          ...stage.child("a"),
          logic: {
            ...stage.logic("a"),
            getInitialSnapshot: () => {
              starts += 1;
              throw new Error("stillborn");
            },
          },
        },
      ]),
    );
    jest.advanceTimersByTime(35);
    expect(starts).toBe(4);
    expect(errors).toEqual([]);
    expect(phases(root)).toEqual(["a:waiting"]);
    root.stop();
  });
});

describe("restart", () => {
  test.each([
    ["permanent", "fail", ["a:living", "b:living"], ["start a"]],
    ["permanent", "finish", ["a:living", "b:living"], ["start a"]],
    ["transient", "fail", ["a:living", "b:living"], ["start a"]],
    ["transient", "finish", ["a:finished", "b:living"], []],
    ["temporary", "fail", ["b:living"], []],
    ["temporary", "finish", ["b:living"], []],
  ] as const)("%s, when it is made to %s", (restart, end, after, log) => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a", { restart }), stage.child("b")]),
    );
    stage[end]("a");
    stage.take();
    jest.advanceTimersByTime(1000);
    expect(stage.take()).toEqual([...log]);
    expect(phases(root)).toEqual([...after]);
  });

  test("of a group revives finished transient siblings and forgets temporary ones", () => {
    const stage = new Stage();
    const { root } = run(
      plan(
        [
          stage.child("a"),
          stage.child("b", { restart: "transient" }),
          stage.child("c", { restart: "temporary" }),
        ],
        { strategy: "one_for_all" },
      ),
    );
    stage.finish("b");
    stage.take();
    stage.fail("a");
    jest.advanceTimersByTime(10);
    expect(stage.take()).toEqual([
      "close a",
      "ask c",
      "close c",
      "start a",
      "start b",
    ]);
    expect(phases(root)).toEqual(["a:living", "b:living"]);
  });
});

describe("the window", () => {
  test("one failure more than allowed and the supervisor stops everyone in reverse and fails", () => {
    const stage = new Stage();
    const { root, errors } = run(
      plan([stage.child("a"), stage.child("b"), stage.child("c")], {
        maxRestarts: 2,
        withinMs: 1000,
      }),
    );
    for (let failures = 0; failures < 2; failures += 1) {
      stage.fail("b");
      jest.advanceTimersByTime(10);
    }
    expect(root.getSnapshot().status).toBe("active");
    stage.take();
    stage.fail("b");
    expect(stage.take()).toEqual([
      "close b",
      "ask c",
      "close c",
      "ask a",
      "close a",
    ]);
    expect(root.getSnapshot().status).toBe("error");
    expect(root.getSnapshot().value).toBe("failed");
    expect(errors).toEqual([
      new Error("gave up after 3 failures within 1000 ms, the last of b", {
        cause: new Error("b broke"),
      }),
    ]);
    jest.advanceTimersByTime(10_000);
    expect(stage.take()).toEqual([]);
  });

  test("counts the failures of all children together", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a"), stage.child("b")], { maxRestarts: 1 }),
    );
    stage.fail("a");
    stage.fail("b");
    expect(root.getSnapshot().status).toBe("error");
  });

  test("each failure is forgiven when its own time is up", () => {
    const stage = new Stage();
    const { root } = run(
      plan([stage.child("a")], { maxRestarts: 2, withinMs: 1000 }),
    );
    stage.fail("a");
    jest.advanceTimersByTime(600);
    stage.fail("a");
    jest.advanceTimersByTime(400); // the first is forgiven, the second is not
    expect(root.getSnapshot().context.failures).toEqual(["a"]);
    stage.fail("a");
    jest.advanceTimersByTime(100);
    expect(root.getSnapshot().status).toBe("active");
    stage.fail("a"); // three within the last second
    expect(root.getSnapshot().status).toBe("error");
  });

  test("with no restarts allowed the first failure is the last", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a")], { maxRestarts: 0 }));
    stage.fail("a");
    expect(root.getSnapshot().status).toBe("error");
    expect(stage.log).toEqual(["start a", "close a"]);
  });

  test("a permanent child that keeps finishing uses it up as well", () => {
    const stage = new Stage();
    const { root } = run(plan([stage.child("a")], { maxRestarts: 1 }));
    stage.finish("a");
    jest.advanceTimersByTime(10);
    stage.finish("a");
    expect(root.getSnapshot().status).toBe("error");
  });
});

test("backoff grows with the child's own failures in the window, and shrinks as they are forgiven", () => {
  const stage = new Stage();
  const waits: number[] = [];
  run(
    plan([stage.child("a"), stage.child("b")], {
      withinMs: 1000,
      backoffMs: (failures) => {
        waits.push(failures);
        return 10 * failures;
      },
    }),
  );
  stage.fail("a");
  jest.advanceTimersByTime(10);
  stage.fail("a");
  stage.fail("b");
  jest.advanceTimersByTime(19);
  expect(stage.take().filter((line) => line === "start a")).toHaveLength(2);
  jest.advanceTimersByTime(1);
  expect(stage.take()).toEqual(["start a"]);
  jest.advanceTimersByTime(2000);
  stage.fail("a");
  expect(waits).toEqual([1, 2, 1, 1]);
});

test("two children of one name are refused before anything is started", () => {
  const stage = new Stage();
  const { errors } = run(plan([stage.child("a"), stage.child("a")]));
  expect(errors).toEqual([new Error("two children are called a")]);
  expect(stage.log).toEqual([]);
});

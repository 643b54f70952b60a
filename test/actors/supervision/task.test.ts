import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor } from "xstate";
import { sleep } from "../../../src/clock.ts";
import { fromTask, type TaskScope } from "../../../actors/supervision/task.ts";

function start(run: (scope: TaskScope<number>) => Promise<unknown>) {
  const errors: unknown[] = [];
  const actor = createActor(fromTask<number>(run), { input: 7 });
  actor.subscribe({ error: (error) => errors.push(error) });
  actor.start();
  return { actor, errors };
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test("a task that resolves is finished with its result", async () => {
  const { actor } = start(async ({ input }) => input * 6);
  await flush();
  expect(actor.getSnapshot()).toMatchObject({ status: "done", output: 42 });
});

test("a task that throws has failed", async () => {
  const { errors } = start(async () => {
    throw new Error("page 3 refused");
  });
  await flush();
  expect(errors).toEqual([new Error("page 3 refused")]);
});

test("what it reports is seen while it works", async () => {
  const { actor } = start(async ({ report, shutdown }) => {
    report({ state: "backfilling", pages: 2 });
    await sleep(1000, shutdown);
  });
  await flush();
  expect(actor.getSnapshot().report).toEqual({
    state: "backfilling",
    pages: 2,
  });
  actor.stop();
  await flush();
});

describe("shutdown", () => {
  test("lets it finish what it has in hand; only a kill aborts the signal", async () => {
    const log: string[] = [];
    const { actor } = start(async ({ shutdown, signal }) => {
      while (!shutdown.aborted) {
        await sleep(100);
        log.push(`page, killed ${signal.aborted}`);
      }
      return "drained";
    });
    jest.advanceTimersByTime(50);
    actor.send({ type: "shutdown" });
    await flush();
    expect(actor.getSnapshot().status).toBe("active");
    jest.advanceTimersByTime(50);
    await flush();
    expect(log).toEqual(["page, killed false"]);
    expect(actor.getSnapshot()).toMatchObject({
      status: "done",
      output: "drained",
    });
  });

  test("may be left by throwing its reason", async () => {
    const { actor, errors } = start(({ shutdown }) => sleep(60_000, shutdown));
    actor.send({ type: "shutdown" });
    await flush();
    expect(actor.getSnapshot().status).toBe("done");
    expect(errors).toEqual([]);
  });

  test("does not excuse another error", async () => {
    const { actor, errors } = start(async ({ shutdown }) => {
      await sleep(60_000, shutdown).catch(() => {});
      throw new Error("disk full");
    });
    actor.send({ type: "shutdown" });
    await flush();
    expect(errors).toEqual([new Error("disk full")]);
  });
});

test("a kill aborts both signals, and what the task does later concerns nobody", async () => {
  const seen: boolean[] = [];
  const { actor, errors } = start(async ({ signal, shutdown }) => {
    await sleep(60_000, signal).catch(() => {});
    seen.push(signal.aborted, shutdown.aborted);
    throw new Error("too late");
  });
  actor.stop();
  await flush();
  expect(seen).toEqual([true, true]);
  expect(errors).toEqual([]);
  expect(actor.getSnapshot().status).toBe("stopped");
});

describe("wake", () => {
  /** A loop that notes when it looked, in milliseconds since the start. */
  function startLoop(withinMs?: number) {
    const looks: number[] = [];
    const startedAt = Date.now();
    const { actor } = start(async ({ shutdown, wake }) => {
      while (!shutdown.aborted) {
        looks.push(Date.now() - startedAt);
        await wake(withinMs);
      }
    });
    return { actor, looks };
  }

  test("returns after its time", async () => {
    const { actor, looks } = startLoop(1000);
    for (let step = 0; step < 3; step += 1) {
      jest.advanceTimersByTime(1000);
      await flush();
    }
    expect(looks).toEqual([0, 1000, 2000, 3000]);
    actor.stop();
    await flush();
  });

  test("returns early when woken, and sleeps again after that", async () => {
    const { actor, looks } = startLoop(1000);
    jest.advanceTimersByTime(300);
    actor.send({ type: "woken" });
    await flush();
    jest.advanceTimersByTime(999);
    await flush();
    expect(looks).toEqual([0, 300]);
    jest.advanceTimersByTime(1);
    await flush();
    expect(looks).toEqual([0, 300, 1300]);
    actor.stop();
    await flush();
  });

  test("returns at once when it was woken while it worked, however often, but once", async () => {
    let looks = 0;
    const { actor } = start(async ({ shutdown, wake }) => {
      while (!shutdown.aborted) {
        looks += 1;
        await sleep(100);
        await wake();
      }
    });
    actor.send({ type: "woken" });
    actor.send({ type: "woken" });
    jest.advanceTimersByTime(100);
    await flush();
    expect(looks).toBe(2);
    jest.advanceTimersByTime(60_000);
    await flush();
    expect(looks).toBe(2);
    actor.stop();
    await flush();
  });

  test("returns at once, every time, after shutdown", async () => {
    const { actor } = start(async ({ wake }) => {
      await wake();
      await wake();
      await wake();
      return "drained";
    });
    actor.send({ type: "shutdown" });
    await flush();
    expect(actor.getSnapshot()).toMatchObject({ output: "drained" });
  });

  test.each(["shutdown", "kill"] as const)("returns on %s", async (end) => {
    const { actor, looks } = startLoop();
    if (end === "kill") actor.stop();
    else actor.send({ type: "shutdown" });
    await flush();
    expect(looks).toEqual([0]);
    expect(actor.getSnapshot().status).toBe(
      end === "kill" ? "stopped" : "done",
    );
    expect(jest.getTimerCount()).toBe(0);
  });
});

/** Lets every promise that is ready run. */
async function flush(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

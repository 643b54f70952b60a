import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { createActor } from "xstate";
import { deadline } from "../../../actors/control/deadline.ts";
import { MINUTE } from "../../../src/clock.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

function start(afterMs: number) {
  let stops = 0;
  const actor = createActor(deadline, {
    input: { afterMs, stop: () => void stops++ },
  });
  actor.start();
  return { actor, stops: () => stops };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("the service is told to stop when its time is over, not earlier, and once", async () => {
  const { actor, stops } = start(MINUTE);
  jest.advanceTimersByTime(MINUTE - 1);
  await settled();
  expect(stops()).toBe(0);
  jest.advanceTimersByTime(1);
  await settled();
  expect([stops(), actor.getSnapshot().status]).toEqual([1, "done"]);
  jest.advanceTimersByTime(MINUTE);
  await settled();
  expect(stops()).toBe(1);
});

test.each(["shutdown", "xstate.stop"] as const)(
  "a service that stops before (%s) is not told again, and no timer is left",
  async (type) => {
    const { actor, stops } = start(MINUTE);
    await settled();
    actor.send({ type });
    await settled();
    expect(actor.getSnapshot().status).toBe(
      type === "shutdown" ? "done" : "stopped",
    );
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(MINUTE);
    await settled();
    expect(stops()).toBe(0);
  },
);

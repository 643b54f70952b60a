import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { DAY, sleep, systemClock, within } from "../src/clock.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** What has become of a promise by now. */
async function fateOf(promise: Promise<unknown>): Promise<string> {
  let fate = "pending";
  promise.then(
    (value) => (fate = `resolved ${String(value)}`),
    (error) => (fate = `rejected ${String(error)}`),
  );
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  return fate;
}

test("the system's clock tells the system's time", () => {
  jest.setSystemTime(12_345);
  expect(systemClock.now()).toBe(12_345);
});

describe("a sleep", () => {
  test.each([
    [1000, 1000],
    [0.4, 1],
    [0, 0],
    [-5, 0],
    // A timer of 2^31 ms would fire at once.
    [2 ** 31, 2 ** 31 - 1],
    [Number.POSITIVE_INFINITY, 2 ** 31 - 1],
    [30 * DAY, 2 ** 31 - 1],
  ])("of %d ms ends after %i", async (ms, endsAfterMs) => {
    const sleeping = sleep(ms);
    if (endsAfterMs > 1) {
      jest.advanceTimersByTime(endsAfterMs - 1);
      expect(await fateOf(sleeping)).toBe("pending");
    }
    jest.advanceTimersByTime(1);
    expect(await fateOf(sleeping)).toBe("resolved undefined");
  });

  test("ends with the signal's reason, and leaves no timer", async () => {
    const waking = new AbortController();
    const sleeping = sleep(1000, waking.signal);
    waking.abort(new Error("woken"));
    expect(await fateOf(sleeping)).toBe("rejected Error: woken");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("does not begin when the signal came first", async () => {
    const sleeping = sleep(1000, AbortSignal.abort("too late"));
    expect(await fateOf(sleeping)).toBe("rejected too late");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("that is over hears no signal any more", async () => {
    const waking = new AbortController();
    const removed: string[] = [];
    const { signal } = waking;
    const remove = signal.removeEventListener.bind(signal);
    signal.removeEventListener = (
      ...[type, listener]: Parameters<typeof remove>
    ) => {
      removed.push(type);
      remove(type, listener);
    };
    const sleeping = sleep(1, signal);
    jest.advanceTimersByTime(1);
    waking.abort(new Error("late"));
    expect(await fateOf(sleeping)).toBe("resolved undefined");
    expect(removed).toEqual(["abort"]);
  });
});

describe("work within a time", () => {
  test("gives its result, or its own failure, and leaves no timer", async () => {
    expect(await within(1000, Promise.resolve("done"), "late")).toBe("done");
    const failing = within(1000, Promise.reject(new Error("own")), "late");
    expect(await fateOf(failing)).toBe("rejected Error: own");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("is given up with the complaint, not a moment sooner", async () => {
    const never = within(1000, new Promise(() => {}), "no answer in time");
    jest.advanceTimersByTime(999);
    expect(await fateOf(never)).toBe("pending");
    jest.advanceTimersByTime(1);
    expect(await fateOf(never)).toBe("rejected Error: no answer in time");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("that fails after it was given up disturbs nobody", async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const givenUp = within(1000, promise, "late");
    jest.advanceTimersByTime(1000);
    expect(await fateOf(givenUp)).toBe("rejected Error: late");
    reject(new Error("after all"));
    expect(await fateOf(promise)).toBe("rejected Error: after all");
  });
});

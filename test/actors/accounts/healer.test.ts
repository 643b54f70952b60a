import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { healer } from "../../../actors/accounts/healer.ts";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { fillOf, NOW, orderOf } from "../../support/accountScript.ts";
import {
  accountStage,
  elapse,
  fakeTime,
  settled,
  type Stage,
  startTask,
  wordsOf,
} from "./stage.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** Minute at which each pass read the orders' window, and how many minutes back it read. */
function passes({ venue }: Stage): string[] {
  return venue.requests
    .map((request) => new URL(request, "http://venue.test"))
    .filter(
      ({ pathname, searchParams }) =>
        pathname === "/v2/orders" && searchParams.has("until"),
    )
    .map(({ searchParams }) => {
      const [from, until] = ["after", "until"].map((bound) =>
        Date.parse(searchParams.get(bound) ?? ""),
      );
      // A reading ends ten seconds before the pass, for what REST shows late.
      const at = (until ?? 0) + 10 * SECOND;
      const backMinutes = Math.round((at - (from ?? 0)) / MINUTE);
      return `${(at - NOW) / MINUTE}: ${backMinutes} back`;
    });
}

/** Rows and facts reach the store as soon as they are in the queue. */
async function elapseCommitting(stage: Stage, ms: number): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= MINUTE) {
    await elapse(Math.min(MINUTE, leftMs), SECOND);
    stage.store.commit(stage.queue);
  }
}

test("the first pass waits for the stream to listen, and the next ones for the interval", async () => {
  const stage = accountStage();
  const task = startTask(healer, stage);
  await elapseCommitting(stage, 2 * MINUTE);
  expect(task.reports).toEqual([{ state: "waiting" }]);
  stage.run.listening.raise();
  await elapseCommitting(stage, 11 * MINUTE);
  expect(passes(stage)).toEqual(["2: 5 back", "7: 5 back", "12: 5 back"]);
  expect(task.reports.at(-1)).toEqual({
    state: "resting",
    pass: 3,
    lastPass: { orders: 0, activities: 0, askedById: 0 },
  });
  task.actor.stop();
});

test("a stream that never listens is healed all the same, by the interval", async () => {
  const stage = accountStage();
  const task = startTask(healer, stage);
  await elapseCommitting(stage, 10 * MINUTE);
  expect(passes(stage)).toEqual(["5: 8 back", "10: 5 back"]);
  task.actor.stop();
});

describe("a pass is called for", () => {
  test.each<[by: string, calls: (stage: Stage) => void]>([
    ["a stream that listens again", ({ run }) => run.listening.raise()],
    ["a stream that was deaf", ({ run }) => run.healingWanted.raise()],
  ])("by %s, at once", async (_by, calls) => {
    const stage = accountStage();
    stage.run.listening.raise();
    const task = startTask(healer, stage);
    await elapseCommitting(stage, MINUTE);
    calls(stage);
    await elapseCommitting(stage, 7 * MINUTE);
    expect(passes(stage).map((pass) => pass.split(":")[0])).toEqual([
      "0",
      "1",
      "6",
    ]);
    task.actor.stop();
  });

  test("while one is under way: another follows it, and only one", async () => {
    const stage = accountStage();
    stage.run.listening.raise();
    const gate = Promise.withResolvers<void>();
    const facts = stage.store.facts.bind(stage.store);
    stage.store.facts = async (range) => {
      await gate.promise;
      return facts(range);
    };
    const task = startTask(healer, stage);
    await elapse(SECOND);
    stage.run.listening.raise();
    stage.run.listening.raise();
    stage.run.healingWanted.raise();
    gate.resolve();
    await elapse(MINUTE);
    expect(task.reports.at(-1)).toMatchObject({ state: "resting", pass: 2 });
    task.actor.stop();
  });
});

test("once an hour a pass reads two days back", async () => {
  const stage = accountStage();
  stage.run.listening.raise();
  const task = startTask(healer, stage);
  await elapseCommitting(stage, 2 * HOUR + 10 * MINUTE);
  const deep = passes(stage).filter((pass) => pass.endsWith("2880 back"));
  expect(deep).toEqual(["60: 2880 back", "120: 2880 back"]);
  expect(passes(stage)).toHaveLength(27);
  task.actor.stop();
});

test("a deep pass that could not be done is done as soon as it can", async () => {
  const stage = accountStage();
  stage.run.listening.raise();
  const task = startTask(healer, stage);
  await elapseCommitting(stage, 59 * MINUTE);
  stage.venue.interrupt = () => Response.json({}, { status: 401 });
  await elapseCommitting(stage, 30 * MINUTE);
  expect(task.reports.at(-1)).toMatchObject({ state: "refused" });
  stage.venue.interrupt = () => undefined;
  stage.venue.requests.length = 0;
  stage.run.listening.raise();
  await elapseCommitting(stage, 6 * MINUTE);
  expect(passes(stage)[0]).toEndWith("2880 back");
  expect(passes(stage).slice(1).join()).not.toContain("2880");
  task.actor.stop();
});

test("what a pass found is shown, and on the board", async () => {
  const stage = accountStage();
  stage.venue.orders.push(orderOf(1, NOW - 2 * MINUTE));
  stage.venue.activities.push(fillOf(1, NOW - 2 * MINUTE));
  stage.run.listening.raise();
  const task = startTask(healer, stage);
  await settled();
  expect(task.reports).toEqual([
    { state: "waiting" },
    { state: "healing", pass: 1 },
    {
      state: "resting",
      pass: 1,
      lastPass: { orders: 1, activities: 1, askedById: 0 },
    },
  ]);
  stage.store.commit(stage.queue);
  await elapse(5 * MINUTE + SECOND);
  expect(stage.run.board.undeliveredToday).toBe(1);
  task.actor.stop();
});

describe("a pass that fails", () => {
  test("because the venue is away is tried until it succeeds, and the next ones come by the interval", async () => {
    const stage = accountStage();
    stage.venue.interrupt = () => Response.json({}, { status: 503 });
    stage.run.listening.raise();
    const task = startTask(healer, stage);
    await elapseCommitting(stage, 3 * MINUTE);
    expect(task.reports.at(-1)).toMatchObject({ state: "retrying" });
    stage.venue.interrupt = () => undefined;
    await elapseCommitting(stage, 2 * MINUTE);
    expect(wordsOf(task)).toEqual([
      "waiting",
      "healing",
      "retrying",
      "resting",
    ]);
    task.actor.stop();
  });

  test("because the key is refused is left until the stream listens", async () => {
    const stage = accountStage();
    stage.venue.interrupt = () => Response.json({}, { status: 401 });
    stage.run.listening.raise();
    const task = startTask(healer, stage);
    await elapse(20 * MINUTE, SECOND);
    expect(stage.venue.requests).toHaveLength(1);
    stage.venue.interrupt = () => undefined;
    stage.run.listening.raise();
    await settled();
    // The call that ended the wait came after the pass began: another follows.
    expect(task.reports.at(-1)).toMatchObject({ state: "resting", pass: 2 });
    task.actor.stop();
  });

  test("by a bug fails the actor", async () => {
    const stage = accountStage();
    stage.store.openOrderIds = async () => {
      throw new TypeError("no such thing");
    };
    stage.run.listening.raise();
    const { errors } = startTask(healer, stage);
    await settled();
    expect(errors).toEqual([new TypeError("no such thing")]);
  });
});

describe("shutdown", () => {
  test.each<[state: string, arrange: (stage: Stage) => void]>([
    ["waiting", () => {}],
    ["resting", ({ run }) => run.listening.raise()],
    [
      "healing",
      ({ run, queue, venue }) => {
        // The queue has no room, so the pass stands still.
        venue.orders.push(orderOf(1, NOW - 2 * MINUTE));
        while (queue.offer(FILLER)) continue;
        run.listening.raise();
      },
    ],
    [
      "retrying",
      ({ run, store }) => {
        store.openOrderIds = async () => {
          throw Object.assign(new Error("away"), { code: "08006" });
        };
        run.listening.raise();
      },
    ],
    [
      "refused",
      ({ run, venue }) => {
        venue.interrupt = () => Response.json({}, { status: 403 });
        run.listening.raise();
      },
    ],
  ])("while it is %s finishes it at once", async (state, arrange) => {
    const stage = accountStage({ queueLengthMax: 100 });
    arrange(stage);
    const task = startTask(healer, stage);
    await settled();
    expect(task.reports.at(-1)).toMatchObject({ state });
    task.actor.send({ type: "shutdown" });
    await settled();
    expect(task.actor.getSnapshot().status).toBe("done");
    expect(task.errors).toEqual([]);
    const asked = stage.venue.requests.length;
    await elapse(HOUR, MINUTE);
    expect(stage.venue.requests).toHaveLength(asked);
    expect(jest.getTimerCount()).toBe(0);
  });
});

const FILLER = {
  account: "alpha",
  kind: "activity",
  raw: "{}",
  receivedAtMs: NOW,
} as const;

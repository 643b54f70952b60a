import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { backfill } from "../../../actors/accounts/backfill.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import {
  fillOf,
  inShort,
  NOW,
  orderOf,
  uuid,
} from "../../support/accountScript.ts";
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

/** An account with ten days of orders, one a day, and one fill. */
function withPast(settings: Parameters<typeof accountStage>[0] = {}): Stage {
  const stage = accountStage(settings);
  for (let day = 1; day < 10; day++)
    stage.venue.orders.push(orderOf(day, NOW - day * DAY));
  stage.venue.activities.push(fillOf(1, NOW - DAY));
  return stage;
}

test("nothing is read before the stream listens", async () => {
  const stage = withPast();
  const task = startTask(backfill, stage);
  await elapse(HOUR, SECOND);
  expect(stage.venue.requests).toEqual([]);
  expect(task.reports).toEqual([
    { state: "waiting", reason: "the stream does not listen yet" },
  ]);
  task.actor.stop();
});

test("what is read ends at the moment the stream listened, and says so on the way", async () => {
  const stage = withPast();
  const task = startTask(backfill, stage);
  await elapse(5 * MINUTE);
  stage.run.listening.raise();
  await settled();
  expect(task.actor.getSnapshot().status).toBe("done");
  expect(task.reports).toContainEqual({
    state: "reading",
    stream: "orders",
    rows: 9,
    percent: 100,
  });
  expect(task.reports.at(-1)).toEqual({
    state: "done",
    orders: 9,
    activities: 1,
  });
  stage.store.commit(stage.queue);
  expect(stage.store.orders.size).toBe(9);
  expect(
    inShort(stage.store.recorded).filter((fact) => fact.endsWith("14:05:00")),
  ).toHaveLength(2);
});

test("a stream that listens already is waited for no longer", async () => {
  const stage = withPast();
  stage.run.listening.raise();
  const task = startTask(backfill, stage);
  await settled();
  expect(wordsOf(task)).toEqual(["waiting", "reading", "done"]);
});

test("a past that is covered is not read again", async () => {
  const stage = withPast();
  stage.run.listening.raise();
  startTask(backfill, stage);
  await settled();
  stage.store.commit(stage.queue);
  stage.venue.requests.length = 0;
  const again = startTask(backfill, stage);
  await settled();
  expect(again.reports.at(-1)).toEqual({
    state: "done",
    orders: 0,
    activities: 0,
  });
  expect(stage.store.orders.size).toBe(9);
});

describe("an interrupted reading", () => {
  /** 1,200 orders: three pages, the second of which the venue refuses for now. */
  function interrupted(status: number): Stage {
    const stage = accountStage();
    for (let number = 0; number < 1200; number++)
      stage.venue.orders.push(orderOf(number, NOW - 5 * DAY + number * MINUTE));
    let refusals = 1;
    stage.venue.interrupt = ({ searchParams }) =>
      searchParams.has("after_order_id") && refusals-- > 0
        ? Response.json({ message: "not now" }, { status })
        : undefined;
    stage.run.listening.raise();
    return stage;
  }

  test("goes on by itself, behind what is committed", async () => {
    const stage = interrupted(403);
    const task = startTask(backfill, stage);
    await settled();
    expect(task.reports.at(-1)).toEqual({
      state: "refused",
      failures: 1,
      lastError: "403 from /v2/orders: not now",
    });
    const first = stage.store.commit(stage.queue);
    stage.run.listening.raise();
    await settled();
    const second = stage.store.commit(stage.queue);
    expect(wordsOf(task)).toEqual([
      "waiting",
      "reading",
      "refused",
      "reading",
      "done",
    ]);
    const orders = [first, second].map(
      (records) => records.filter(({ kind }) => kind === "order").length,
    );
    // The page that was read is not asked for again; its last two minutes are.
    expect(orders[0]).toBe(500);
    expect(orders[1]).toBeLessThanOrEqual(703);
    expect(stage.store.orders.size).toBe(1200);
  });

  test("is taken up by the next actor after a kill", async () => {
    const stage = interrupted(403);
    const killed = startTask(backfill, stage);
    await settled();
    killed.actor.stop();
    stage.store.commit(stage.queue);
    const next = startTask(backfill, stage);
    await settled();
    expect(next.reports.at(-1)).toMatchObject({ state: "done" });
    stage.store.commit(stage.queue);
    expect(stage.store.orders.size).toBe(1200);
    expect(stage.store.orders.has(uuid(1199))).toBe(true);
    await elapse(20 * SECOND);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("by a venue that is away is tried again with growing waits", async () => {
    const stage = withPast();
    stage.run.listening.raise();
    stage.venue.interrupt = () =>
      Response.json({ message: "away" }, { status: 503 });
    const task = startTask(backfill, stage);
    await elapse(2 * MINUTE);
    expect(task.reports.at(-1)).toMatchObject({
      state: "retrying",
      lastError: "503 from /v2/orders: away",
    });
    stage.venue.interrupt = () => undefined;
    await elapse(2 * MINUTE);
    expect(task.reports.at(-1)).toMatchObject({ state: "done", orders: 9 });
  });

  test("by a database that is away is tried again too", async () => {
    const stage = withPast();
    stage.run.listening.raise();
    const facts = stage.store.facts.bind(stage.store);
    let failures = 2;
    stage.store.facts = async (range) => {
      if (failures-- > 0)
        throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
      return facts(range);
    };
    const task = startTask(backfill, stage);
    await elapse(10 * SECOND);
    expect(wordsOf(task)).toEqual(["waiting", "retrying", "reading", "done"]);
  });

  test("by a bug fails the actor", async () => {
    const stage = withPast();
    stage.run.listening.raise();
    stage.store.facts = async () => {
      throw new TypeError("no such thing");
    };
    const { errors } = startTask(backfill, stage);
    await settled();
    expect(errors).toEqual([new TypeError("no such thing")]);
  });
});

test("a full queue slows the reading down and costs no row", async () => {
  const stage = withPast({ queueLengthMax: 4 });
  stage.run.listening.raise();
  const task = startTask(backfill, stage);
  for (let turn = 0; turn < 20; turn++) {
    await settled();
    expect(stage.queue.length).toBeLessThanOrEqual(3);
    stage.store.commit(stage.queue);
  }
  expect(task.reports.at(-1)).toMatchObject({ state: "done" });
  expect([stage.store.orders.size, stage.store.activities.size]).toEqual([
    9, 1,
  ]);
});

describe("shutdown", () => {
  test.each<[what: string, state: string, arrange: (stage: Stage) => void]>([
    ["waits for the stream", "waiting", () => {}],
    [
      "is refused",
      "refused",
      ({ run, venue }) => {
        venue.interrupt = () => Response.json({}, { status: 401 });
        run.listening.raise();
      },
    ],
    [
      "retries",
      "retrying",
      ({ run, store }) => {
        store.facts = async () => {
          throw Object.assign(new Error("away"), { code: "ECONNREFUSED" });
        };
        run.listening.raise();
      },
    ],
    [
      "waits for room in the queue",
      "waiting",
      ({ run, queue }) => {
        while (queue.offer({ ...FILLER })) continue;
        run.listening.raise();
      },
    ],
  ])("while it %s finishes it at once", async (_what, state, arrange) => {
    const stage = withPast({ queueLengthMax: 4 });
    arrange(stage);
    const task = startTask(backfill, stage);
    await settled();
    expect(task.reports.at(-1)).toMatchObject({ state });
    task.actor.send({ type: "shutdown" });
    await settled();
    expect(task.actor.getSnapshot().status).toBe("done");
    expect(task.errors).toEqual([]);
    await elapse(20 * SECOND);
    expect(jest.getTimerCount()).toBe(0);
  });
});

const FILLER = {
  account: "alpha",
  kind: "activity",
  raw: "{}",
  receivedAtMs: NOW,
} as const;

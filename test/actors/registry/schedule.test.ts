import {
  afterEach,
  beforeEach,
  expect,
  jest,
  setSystemTime,
  test,
} from "bun:test";
import {
  schedule,
  type ScheduleInput,
} from "../../../actors/registry/schedule.ts";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { silentLogger } from "../../../src/log.ts";
import {
  ScheduleBoard,
  type ScheduledJobId,
} from "../../../src/registry/scheduleBoard.ts";
import { type LoneTask, startLoneTask } from "../../support/task.ts";

const START = Date.parse("2026-09-18T10:02:30Z");

let board: ScheduleBoard;
let task: LoneTask | undefined;
/** What was begun, by job and time. */
let begun: string[];
let noted: string[];
/** Resolves the work of a job that does not end by itself. */
let held: Map<ScheduledJobId, () => void>;

beforeEach(() => {
  jest.useFakeTimers();
  setSystemTime(START);
  [board, begun, noted, held] = [new ScheduleBoard(), [], [], new Map()];
});
afterEach(async () => {
  task?.actor.send({ type: "shutdown" });
  await settled();
  jest.useRealTimers();
  setSystemTime();
});

const settled = () => new Promise((resolve) => setImmediate(resolve));

async function start(
  last: Partial<Record<ScheduledJobId, string>> = {},
  hold: readonly ScheduledJobId[] = [],
  members: Partial<ScheduleInput> = {},
): Promise<void> {
  const work = (id: ScheduledJobId) => async (signal: AbortSignal) => {
    begun.push(`${id} ${new Date().toISOString().slice(11, 16)}`);
    if (!hold.includes(id)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    held.set(id, resolve);
    signal.addEventListener("abort", () => resolve());
    await promise;
  };
  task = startLoneTask(schedule, {
    board,
    log: silentLogger,
    lastRuns: async () =>
      new Map(Object.entries(last).map(([id, at]) => [id, new Date(at)])),
    noteRun: async (id) => void noted.push(id),
    work: {
      nightly_gap_detection: work("nightly_gap_detection"),
      snapshot_refresh: work("snapshot_refresh"),
      stream_monitoring: work("stream_monitoring"),
    },
    ...members,
  });
  await settled();
}

async function advance(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10 * SECOND) {
    jest.advanceTimersByTime(Math.min(10 * SECOND, ms - passed));
    await settled();
    await settled();
  }
}

const of = (id: ScheduledJobId) =>
  begun.filter((each) => each.startsWith(id)).map((each) => each.slice(-5));
const job = (id: ScheduledJobId) => board.list().find((each) => each.id === id);

test("the jobs run at their times: every minute, every five, and at midnight UTC", async () => {
  setSystemTime(Date.parse("2026-09-18T23:56:30Z"));
  await start();
  expect(board.list().map(({ id, next_run }) => [id, next_run])).toEqual([
    ["nightly_gap_detection", "2026-09-19T00:00:00.000Z"],
    ["snapshot_refresh", "2026-09-19T00:00:00.000Z"],
    ["stream_monitoring", "2026-09-18T23:57:00.000Z"],
  ]);
  await advance(10 * MINUTE);
  expect([
    of("nightly_gap_detection"),
    of("snapshot_refresh"),
    of("stream_monitoring").length,
  ]).toEqual([["00:00"], ["00:00", "00:05"], 10]);
  expect(noted.length).toBe(13);
});

test("a job that still runs is not begun again", async () => {
  await start({}, ["snapshot_refresh"]);
  await advance(12 * MINUTE);
  expect([of("snapshot_refresh"), job("snapshot_refresh")?.running]).toEqual([
    ["10:05"],
    true,
  ]);
  held.get("snapshot_refresh")?.();
  await advance(5 * MINUTE);
  expect(of("snapshot_refresh")).toEqual(["10:05", "10:15"]);
});

test("runs that were missed are caught up once at the start, and only where there were earlier ones", async () => {
  await start({ nightly_gap_detection: "2026-09-15T00:00:00Z" });
  await advance(20 * SECOND);
  expect(begun).toEqual(["nightly_gap_detection 10:02"]);
  await advance(HOUR);
  expect(of("nightly_gap_detection")).toEqual(["10:02"]);
});

test("a run that was not missed is not made again", async () => {
  await start({ nightly_gap_detection: "2026-09-18T00:00:00Z" });
  await advance(20 * SECOND);
  expect(begun).toEqual([]);
});

test("a machine that slept makes up for the night once", async () => {
  await start();
  setSystemTime(START + 72 * HOUR);
  await advance(MINUTE);
  expect(of("nightly_gap_detection").length).toBe(1);
});

test("stopped it begins nothing and says no next time; started again it goes on", async () => {
  await start();
  board.switch(false);
  await advance(10 * MINUTE);
  expect([
    begun,
    board.list().map(({ next_run }) => next_run),
    task?.reports.at(-1),
  ]).toEqual([[], [null, null, null], { state: "stopped", active: 0 }]);
  board.switch(true);
  await advance(2 * MINUTE);
  expect(of("stream_monitoring").length).toBeGreaterThan(0);
  expect(job("stream_monitoring")?.next_run).not.toBe(null);
});

test("a job is triggered by hand at once, also while it is stopped; one that runs is not doubled", async () => {
  await start({}, ["nightly_gap_detection"]);
  board.switch(false);
  expect([
    board.trigger("nightly_gap_detection"),
    board.trigger("nothing"),
  ]).toEqual([true, false]);
  await settled();
  board.trigger("nightly_gap_detection");
  await advance(10 * SECOND);
  expect(begun).toEqual(["nightly_gap_detection 10:02"]);
});

test("a job that fails says so and leaves the others alone; the next time it may succeed", async () => {
  let fails = true;
  const work = async () => {};
  await start({}, [], {
    work: {
      nightly_gap_detection: work,
      snapshot_refresh: work,
      stream_monitoring: async () => {
        begun.push("stream_monitoring");
        if (fails) throw new Error("the store is away");
      },
    },
  });
  await advance(MINUTE);
  expect(job("stream_monitoring")).toMatchObject({
    running: false,
    last_error: "the store is away",
  });
  fails = false;
  await advance(MINUTE);
  expect([
    begun.length,
    job("stream_monitoring")?.last_error,
    task?.errors,
  ]).toEqual([2, null, []]);
});

test("a store that does not know the last runs keeps nobody from the next ones", async () => {
  await start({}, [], {
    lastRuns: () => Promise.reject(new Error("away")),
    noteRun: () => Promise.reject(new Error("away")),
  });
  await advance(MINUTE);
  expect(of("stream_monitoring")).toEqual(["10:03"]);
});

test("a stop calls off what runs and leaves no timer", async () => {
  await start({}, ["stream_monitoring"]);
  await advance(MINUTE);
  expect(job("stream_monitoring")?.running).toBe(true);
  task?.actor.send({ type: "shutdown" });
  await settled();
  await settled();
  expect([
    task?.actor.getSnapshot().status,
    job("stream_monitoring")?.running,
    jest.getTimerCount(),
  ]).toEqual(["done", false, 0]);
});

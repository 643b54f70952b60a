import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { hurried } from "../../../actors/supervision/hurry.ts";
import { elapse, fakeTime } from "../accounts/stage.ts";
import { seconds } from "../../support/network.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

const never = new Promise<string>(() => {});

/** Waits for `work`; the second at which it was over, and how. */
function waitFor(work: Promise<string>, msMax?: number) {
  const leaving = new AbortController();
  const told: unknown[] = [];
  const note = (what: unknown) => void told.push(seconds(), what);
  hurried(
    work,
    {
      leavingMsMax: 700,
      shutdown: leaving.signal,
      ...(msMax === undefined ? {} : { msMax }),
    },
    "no answer",
  ).then(note, (error: Error) => note(error.message));
  return { told, leave: () => leaving.abort() };
}

test("what answers is the result, or its failure", async () => {
  const well = waitFor(Promise.resolve("done"), 1_000);
  const ill = waitFor(Promise.reject(new Error("refused")), 1_000);
  await elapse(5_000);
  expect([well.told, ill.told]).toEqual([
    [0, "done"],
    [0, "refused"],
  ]);
});

test("what hangs is given up after its time, or waited for where it has none", async () => {
  const limited = waitFor(never, 1_000);
  const patient = waitFor(never);
  await elapse(3_600_000, 1_000);
  expect([limited.told, patient.told]).toEqual([[1, "no answer"], []]);
});

test("whoever leaves waits a moment longer, also for what has no time of its own", async () => {
  const waits = [waitFor(never, 10_000), waitFor(never)];
  await elapse(2_000, 100);
  for (const { leave } of waits) leave();
  await elapse(2_000, 100);
  for (const { told } of waits) expect(told).toEqual([2.7, "no answer"]);
});

test("whoever leaves and gets the answer in that moment has it", async () => {
  const answer = Promise.withResolvers<string>();
  const { told, leave } = waitFor(answer.promise);
  leave();
  await elapse(500, 100);
  answer.resolve("late");
  await elapse(1_000, 100);
  expect(told).toEqual([0.5, "late"]);
});

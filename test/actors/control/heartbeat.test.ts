import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { heartbeat } from "../../../actors/control/heartbeat.ts";
import { stateOf } from "../../../actors/supervision/state.ts";
import { MINUTE, SECOND, sleep } from "../../../src/clock.ts";
import {
  connectFirestore,
  type Heartbeat,
  writeHeartbeat,
} from "../../../src/stores/firestore.ts";
import {
  newTenant,
  openFirestoreDoor,
  readDocument,
} from "../../support/firestore.ts";
import { startLoneTask } from "../../support/task.ts";
import { untilAsync } from "../../support/until.ts";
import { elapse, fakeTime, settled } from "../accounts/stage.ts";
import { seconds } from "../../support/network.ts";

const COUNTERS = { quotes_seen: 5, writes_ok: 3, writes_err: 1 };
const never = () => new Promise<void>(() => {});

/** A heart that beats every 15 s, and somebody who reads the beats. */
function stageOf() {
  /** `0 running`: the second, and the status. */
  const beats: string[] = [];
  const told: Heartbeat[] = [];
  const stage = {
    isWell: true,
    beats,
    told,
    /** Beats that counted as written. */
    written: 0,
    takes: async () => {},
    start: () =>
      startLoneTask(heartbeat, {
        everyMs: 15 * SECOND,
        read: () => ({
          isWell: stage.isWell,
          lastSymbol: "SPY",
          dryRun: false,
          counters: COUNTERS,
        }),
        write: async (beat: Heartbeat) => {
          beats.push(`${seconds()} ${beat.status}`);
          told.push(beat);
          await stage.takes();
        },
        onBeat: () => void stage.written++,
      }),
  };
  return stage;
}

describe("under fake time", () => {
  beforeEach(fakeTime);
  afterEach(() => {
    jest.useRealTimers();
  });

  test("a heart beats at the start and then at least every interval, a breath early", async () => {
    const stage = stageOf();
    const { actor } = stage.start();
    await elapse(45 * SECOND, 50);
    expect(stage.beats).toEqual([
      "0 running",
      "14.9 running",
      "29.8 running",
      "44.7 running",
    ]);
    expect(stage.written).toBe(4);
    expect(stage.told[0]).toEqual({
      status: "running",
      lastSymbol: "SPY",
      dryRun: false,
      counters: COUNTERS,
    });
    actor.stop();
  });

  test("what a write takes is part of the interval", async () => {
    const stage = stageOf();
    stage.takes = () => sleep(6 * SECOND);
    const { actor } = stage.start();
    await elapse(31 * SECOND, 50);
    expect(stage.beats).toEqual(["0 running", "14.9 running", "29.8 running"]);
    actor.stop();
  });

  test("it tells how well the service is", async () => {
    const stage = stageOf();
    stage.isWell = false;
    const { actor, reports } = stage.start();
    await elapse(SECOND, 50);
    stage.isWell = true;
    await elapse(15 * SECOND, 50);
    expect(stage.beats).toEqual(["0 degraded", "14.9 running"]);
    expect(reports).toEqual([
      { state: "beating", status: "degraded" },
      { state: "beating", status: "running" },
    ]);
    actor.stop();
  });

  test("a beat that was not written is tried again with growing waits, and does not count", async () => {
    const stage = stageOf();
    stage.takes = async () => {
      throw new Error("14 UNAVAILABLE");
    };
    const { actor, reports } = stage.start();
    await elapse(MINUTE, 50);
    const tries = stage.beats.length;
    // Sooner than the next beat is due, and never sooner than after half a second.
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(15);
    expect(stage.written).toBe(0);
    expect(reports.at(-1)).toEqual({
      state: "retrying",
      failures: tries,
      lastError: "14 UNAVAILABLE",
    });
    stage.takes = async () => {};
    await elapse(15 * SECOND, 50);
    expect(stage.written).toBeGreaterThan(0);
    expect(reports.at(-1)).toEqual({ state: "beating", status: "running" });
    actor.stop();
  });

  test("a store that says nothing is given up after 10 s, and asked again", async () => {
    const stage = stageOf();
    stage.takes = never;
    const { actor, reports } = stage.start();
    await elapse(9.9 * SECOND, 50);
    expect(stage.beats).toEqual(["0 running"]);
    await elapse(1.2 * SECOND, 50);
    expect(stage.beats).toHaveLength(2);
    expect(reports).toEqual([
      {
        state: "retrying",
        failures: 1,
        lastError: "the store does not answer",
      },
    ]);
    actor.stop();
  });

  test("the last word of a clean stop is stopped, however well the service was", async () => {
    const stage = stageOf();
    const { actor } = stage.start();
    await elapse(SECOND, 50);
    actor.send({ type: "shutdown" });
    await settled();
    expect(stateOf(actor)).toBe("finished");
    expect(stage.beats).toEqual(["0 running", "1 stopped"]);
  });

  test("a store that says nothing does not hold up the stop: 0.6 s for the beat in hand, 0.6 s for the farewell", async () => {
    const stage = stageOf();
    stage.takes = never;
    const { actor, errors } = stage.start();
    await elapse(SECOND, 50);
    actor.send({ type: "shutdown" });
    await elapse(1.15 * SECOND, 50);
    expect(stateOf(actor)).not.toBe("finished");
    await elapse(0.05 * SECOND, 50);
    expect(stateOf(actor)).toBe("finished");
    expect(stage.beats).toEqual(["0 running", "1.6 stopped"]);
    expect(errors).toEqual([]);
  });
});

test("a real Firestore that is away at the start and in between hears of it as soon as it is there, and of the stop", async () => {
  await using door = await openFirestoreDoor();
  await door.shut();
  const tenant = newTenant();
  const connection = connectFirestore({ emulator: door.host });
  const status = async () =>
    (await readDocument(`tenants/${tenant}/ops/market_ingest`))?.["status"];
  let isWell = true;
  const { actor } = startLoneTask(heartbeat, {
    everyMs: SECOND,
    read: () => ({
      isWell,
      lastSymbol: undefined,
      dryRun: false,
      counters: COUNTERS,
    }),
    write: (beat) => writeHeartbeat(connection, tenant, beat),
    onBeat: () => {},
  });
  await door.reopen();
  await untilAsync(async () => (await status()) === "running");
  await door.shut();
  isWell = false;
  await door.reopen();
  await untilAsync(async () => (await status()) === "degraded");
  actor.send({ type: "shutdown" });
  await untilAsync(async () => stateOf(actor) === "finished");
  expect(await status()).toBe("stopped");
  await connection.terminate();
});

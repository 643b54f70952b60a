import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor, setup } from "xstate";
import { type Judged, probe } from "../../../actors/accounts/probe.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { fillOf, NOW, orderOf } from "../../support/accountScript.ts";
import {
  accountStage,
  elapse,
  fakeTime,
  settled,
  type Stage,
} from "./stage.ts";
import { SessionBook } from "../../../src/venues/sessionBook.ts";
import { seconds } from "../../support/network.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** A probe of a stream that listens since `NOW`, and each of its verdicts with the second. */
function startProbe(stage: Stage) {
  const verdicts: string[] = [];
  const judged: Judged[] = [];
  const errors: unknown[] = [];
  const parent = setup({
    types: { events: {} as Judged },
    actors: { probe },
    actions: {
      note: ({ event }) => {
        judged.push(event);
        verdicts.push(`${seconds()} ${event.verdict.verdict}`);
      },
    },
  }).createMachine({
    invoke: { src: "probe", input: { run: stage.run, liveSinceMs: NOW } },
    on: { judged: { actions: "note" } },
  });
  const actor = createActor(parent);
  actor.subscribe({ error: (error) => errors.push(error) });
  actor.start();
  return { actor, verdicts, judged, errors };
}

/** The stream tells of a fill. */
function deliver({ run }: Stage, fill: ReturnType<typeof fillOf>): void {
  run.delivered.note({
    event: "fill",
    execution_id: fill.id.split("::")[1],
    order: { id: fill.order_id, filled_qty: "1", status: "filled" },
  });
}

const away = () => Response.json({ message: "away" }, { status: 503 });

test("asks REST for the newest orders and fills at once and every 45 s", async () => {
  const stage = accountStage();
  const { actor, verdicts } = startProbe(stage);
  await settled();
  expect(stage.venue.requests.sort()).toEqual([
    "/v2/account/activities/FILL?direction=desc&page_size=100",
    "/v2/orders?status=all&direction=desc&nested=true&limit=100",
  ]);
  await elapse(140 * SECOND);
  expect(verdicts).toEqual(["0 live", "45 live", "90 quiet", "135 quiet"]);
  expect(stage.venue.requests).toHaveLength(8);
  actor.stop();
});

describe("silence", () => {
  const silent = async (open: boolean) => {
    const sessions = new SessionBook();
    sessions.isOpen = () => open;
    const stage = accountStage({ sessions });
    const { actor, judged } = startProbe(stage);
    await elapse(2 * MINUTE);
    actor.stop();
    return judged.at(-1)?.verdict;
  };

  test("while a session is open is quiet", async () => {
    expect(await silent(true)).toEqual({
      verdict: "quiet",
      reason: "silent for 90 s; REST shows nothing missing 0 s ago",
    });
  });

  test("while none is open is closed", async () => {
    expect(await silent(false)).toEqual({
      verdict: "closed",
      reason: "no session is open; REST shows nothing missing 0 s ago",
    });
  });

  test("is broken by a frame: the stream is live for a minute", async () => {
    const stage = accountStage();
    const { actor, verdicts } = startProbe(stage);
    await elapse(100 * SECOND);
    stage.run.board.lastFrameMs = Date.now();
    await elapse(100 * SECOND);
    expect(verdicts).toEqual([
      "0 live",
      "45 live",
      "90 quiet",
      "135 live",
      "180 quiet",
    ]);
    actor.stop();
  });
});

describe("what REST shows and the stream did not tell", () => {
  test("makes it deaf when two readings in a row show it beyond the grace", async () => {
    const stage = accountStage();
    const { actor, verdicts, judged } = startProbe(stage);
    await elapse(20 * SECOND);
    const fill = fillOf(1, Date.now());
    stage.venue.activities.push(fill);
    await elapse(40 * SECOND);
    expect(verdicts).toEqual(["0 live", "45 live", "53 deaf"]);
    expect(judged.at(-1)).toEqual({
      type: "judged",
      verdict: {
        verdict: "deaf",
        reason: `REST shows 1 that the stream never delivered, first fill ${fill.id}`,
      },
      deafFromMs: NOW,
    });
    actor.stop();
  });

  test("just before a reading is looked at again soon, and held against it only after the grace", async () => {
    const stage = accountStage();
    const { actor, verdicts } = startProbe(stage);
    await elapse(44 * SECOND);
    stage.venue.activities.push(fillOf(1, Date.now()));
    await elapse(30 * SECOND);
    expect(verdicts).toEqual([
      "0 live",
      "45 live",
      "53 live",
      "61 quiet",
      "69 deaf",
    ]);
    actor.stop();
  });

  test("in one reading and has told by the next is no proof: we may have been late ourselves", async () => {
    const stage = accountStage();
    const { actor, verdicts } = startProbe(stage);
    await elapse(20 * SECOND);
    const fill = fillOf(1, Date.now());
    stage.venue.activities.push(fill);
    await elapse(30 * SECOND);
    deliver(stage, fill);
    await elapse(60 * SECOND);
    expect(verdicts).toEqual(["0 live", "45 live", "53 live", "98 quiet"]);
    actor.stop();
  });

  test("in time is nothing", async () => {
    const stage = accountStage();
    const { actor, verdicts } = startProbe(stage);
    await elapse(20 * SECOND);
    const fill = fillOf(1, Date.now());
    stage.venue.activities.push(fill);
    deliver(stage, fill);
    await elapse(80 * SECOND);
    expect(verdicts).toEqual(["0 live", "45 live", "90 quiet"]);
    actor.stop();
  });

  test("of before it listened is nothing", async () => {
    const stage = accountStage();
    stage.venue.activities.push(fillOf(1, NOW - MINUTE));
    stage.venue.orders.push(orderOf(1, NOW - MINUTE));
    const { actor, verdicts } = startProbe(stage);
    await elapse(100 * SECOND);
    expect(verdicts).toEqual(["0 live", "45 live", "90 quiet"]);
    actor.stop();
  });

  test("may be an order as well as a fill; frames in between do not shorten what is not believed", async () => {
    const stage = accountStage();
    const { actor, judged } = startProbe(stage);
    await elapse(10 * SECOND);
    stage.run.board.lastFrameMs = Date.now();
    await elapse(10 * SECOND);
    stage.venue.orders.push(orderOf(1, Date.now()));
    await elapse(5 * SECOND);
    stage.venue.activities.push(fillOf(1, Date.now()));
    await elapse(30 * SECOND);
    expect(judged.at(-1)).toMatchObject({
      verdict: {
        reason: expect.stringMatching(
          /^REST shows 2 that the stream never delivered/,
        ),
      },
      deafFromMs: NOW,
    });
    actor.stop();
  });

  test("and it is another thing each time: each has to be seen twice", async () => {
    const stage = accountStage();
    const { actor, verdicts } = startProbe(stage);
    await elapse(20 * SECOND);
    const first = fillOf(1, Date.now());
    stage.venue.activities.push(first);
    await elapse(27 * SECOND);
    // The first one arrives late; meanwhile another is missing.
    deliver(stage, first);
    stage.venue.activities.push(fillOf(2, Date.now() - 15 * SECOND));
    await elapse(10 * SECOND);
    expect(verdicts).toEqual(["0 live", "45 live", "53 live"]);
    await elapse(8 * SECOND);
    expect(verdicts.at(-1)).toBe("61 deaf");
    actor.stop();
  });
});

describe("REST that does not answer", () => {
  test("proves nothing against the stream, and the verdict says so", async () => {
    const stage = accountStage();
    stage.venue.interrupt = away;
    const { actor, judged, errors } = startProbe(stage);
    await elapse(5 * MINUTE);
    expect(judged.map(({ verdict }) => verdict.verdict)).not.toContain("deaf");
    expect(judged.at(-1)?.verdict).toEqual({
      verdict: "quiet",
      reason: expect.stringMatching(/^silent for \d+ s; REST could not be/),
    });
    expect(errors).toEqual([]);
    actor.stop();
  });

  test("for a while leaves the last comparison standing, with its age", async () => {
    const stage = accountStage();
    const { actor, judged } = startProbe(stage);
    await elapse(46 * SECOND);
    stage.venue.interrupt = () =>
      Response.json({ message: "forbidden" }, { status: 403 });
    await elapse(90 * SECOND);
    expect(judged.at(-1)?.verdict).toEqual({
      verdict: "quiet",
      reason: "silent for 135 s; REST shows nothing missing 90 s ago",
    });
    stage.venue.interrupt = () => undefined;
    await elapse(45 * SECOND);
    expect(judged.at(-1)?.verdict.reason).toEndWith("nothing missing 0 s ago");
    actor.stop();
  });

  test("in between two readings does not save a deaf stream", async () => {
    const stage = accountStage();
    const { actor, verdicts } = startProbe(stage);
    await elapse(20 * SECOND);
    stage.venue.activities.push(fillOf(1, Date.now()));
    await elapse(26 * SECOND);
    stage.venue.interrupt = () =>
      Response.json({ message: "no" }, { status: 422 });
    await elapse(10 * SECOND);
    stage.venue.interrupt = () => undefined;
    await elapse(60 * SECOND);
    expect(verdicts.at(-1)).toEndWith(" deaf");
    actor.stop();
  });
});

test("a bug in the reading fails the probe", async () => {
  const stage = accountStage();
  stage.run.delivered.hasExecution = () => {
    throw new TypeError("no such thing");
  };
  const { errors } = startProbe(stage);
  stage.venue.activities.push(fillOf(1, NOW));
  await settled();
  expect(errors).toEqual([new TypeError("no such thing")]);
});

describe("a stop", () => {
  test("while it rests leaves no timer and asks nothing more", async () => {
    const stage = accountStage();
    const { actor } = startProbe(stage);
    await elapse(10 * SECOND);
    actor.stop();
    // A request's own time limit is all that may run on.
    await elapse(20 * SECOND);
    expect(jest.getTimerCount()).toBe(0);
    expect(stage.venue.requests).toHaveLength(2);
  });

  test("while it asks gives the request up, and nothing is said of it", async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const stage = accountStage();
    const array = (
      _path: string,
      _query: unknown,
      options: { signal?: AbortSignal | undefined },
    ) => {
      signals.push(options.signal);
      return new Promise<never>((_resolve, reject) => {
        options.signal?.addEventListener("abort", () =>
          reject(options.signal?.reason),
        );
      });
    };
    const run = { ...stage.run, rest: { ...stage.run.rest, array } };
    const { actor, verdicts, errors } = startProbe({ ...stage, run });
    await elapse(SECOND);
    actor.stop();
    await settled();
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
    expect([verdicts, errors]).toEqual([[], []]);
    expect(jest.getTimerCount()).toBe(0);
  });
});

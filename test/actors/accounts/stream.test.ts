import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { DialSchedule } from "../../../src/flow/dials.ts";
import { fillOf, inShort, iso } from "../../support/accountScript.ts";
import {
  accountStage,
  AUTHORIZED,
  elapse,
  fakeTime,
  LISTENING,
  type ScriptedSocket,
  settled,
  shown,
  type Stage,
  startStream,
  UNAUTHORIZED,
  update,
} from "./stage.ts";
import { BROKEN } from "../../support/network.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

describe("the handshake", () => {
  test("goes from step to step, each with its answer, and ends streaming", async () => {
    const stage = accountStage();
    const stream = startStream(stage);
    await settled();
    const socket = stage.network.last;
    expect(socket.sent).toEqual([]);
    socket.opens();
    expect(socket.sent).toEqual([
      '{"action":"auth","key":"key","secret":"secret"}',
    ]);
    socket.says(AUTHORIZED);
    expect(socket.sent.slice(1)).toEqual([
      '{"action":"listen","data":{"streams":["trade_updates"]}}',
    ]);
    expect(stage.run.listening.raised).toBe(0);
    socket.says(LISTENING);
    expect(stream.states).toEqual([
      "waiting",
      "linked.connecting",
      "linked.authenticating",
      "linked.listening",
      "linked.streaming",
    ]);
    expect(stage.run.listening.raised).toBe(1);
    expect(stage.network.log).toEqual(["0 dial"]);
    expect(shown(stream)).toEqual({
      state: "linked.streaming",
      dials: 1,
      verdict: {
        verdict: "live",
        reason: "the stream has just begun to listen",
      },
    });
    stream.actor.stop();
  });

  test.each<[step: string, peer: (socket: ScriptedSocket) => void]>([
    ["connecting", () => {}],
    ["authenticating", (socket) => socket.opens()],
    ["listening", (socket) => socket.opens().says(AUTHORIZED)],
  ])(
    "is given up when the peer leaves it %s for 10 s, and begun again after the backoff",
    async (step, peer) => {
      const stage = accountStage();
      stage.network.peer = peer;
      const stream = startStream(stage);
      await elapse(10 * SECOND - 1);
      expect(shown(stream)).toEqual({ state: `linked.${step}`, dials: 1 });
      await elapse(1);
      expect(shown(stream)).toEqual({
        state: "waiting",
        dials: 1,
        reason: "the venue did not answer in time",
        verdict: {
          verdict: "dead",
          reason: "the venue did not answer in time",
        },
      });
      stage.network.peer = (socket) => socket.accepts();
      await elapse(SECOND);
      expect(stage.network.log).toEqual(["0 dial", "10 hang up", "11 dial"]);
      expect(shown(stream)).toMatchObject({
        state: "linked.streaming",
        dials: 2,
        verdict: { verdict: "live" },
      });
      expect(shown(stream)).not.toHaveProperty("reason");
      stream.actor.stop();
    },
  );

  test("each step has its own 10 s", async () => {
    const stage = accountStage();
    const stream = startStream(stage);
    await elapse(9 * SECOND);
    stage.network.last.opens();
    await elapse(9 * SECOND);
    stage.network.last.says(AUTHORIZED);
    await elapse(9 * SECOND);
    stage.network.last.says(LISTENING);
    await elapse(9 * SECOND);
    expect(shown(stream)["state"]).toBe("linked.streaming");
    expect(stage.network.log).toEqual(["0 dial"]);
    stream.actor.stop();
  });

  test.each<[end: string, said: object, reason: string]>([
    [
      "a grant without trade_updates",
      { stream: "listening", data: { streams: ["account_updates"] } },
      "the venue does not grant trade_updates",
    ],
    [
      "a grant of nothing",
      { stream: "listening", data: {} },
      "the venue does not grant trade_updates",
    ],
    [
      "a fault of the venue",
      {
        action: "error",
        data: { error_message: "internal server error" },
      },
      "venue error: internal server error",
    ],
  ])("ends with %s, and is begun again", async (_end, said, reason) => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.opens().says(AUTHORIZED).says(said);
    const stream = startStream(stage);
    await settled();
    expect(shown(stream)).toEqual({
      state: "waiting",
      dials: 1,
      reason,
      verdict: { verdict: "dead", reason },
    });
    await elapse(SECOND);
    expect(stage.network.log).toEqual([
      "0 dial",
      "0 hang up",
      "1 dial",
      "1 hang up",
    ]);
    expect(stage.run.listening.raised).toBe(0);
    stream.actor.stop();
  });
});

describe("a live link", () => {
  test.each<[end: string, ends: (socket: ScriptedSocket) => void, why: string]>(
    [
      [
        "the venue closes it",
        (socket) => socket.cuts({ code: 1011, reason: "bye" }),
        "closed with 1011: bye",
      ],
      [
        "the connection breaks",
        (socket) => socket.cuts({ code: 1006, reason: "" }),
        "closed with 1006",
      ],
      [
        "the venue withdraws the grant",
        (socket) => socket.says({ stream: "listening", data: { streams: [] } }),
        "the venue does not grant trade_updates",
      ],
    ],
  )("is dead when %s, and comes back", async (_end, ends, reason) => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.accepts();
    const stream = startStream(stage);
    await elapse(5 * SECOND);
    ends(stage.network.last);
    expect(shown(stream)).toEqual({
      state: "waiting",
      dials: 1,
      reason,
      verdict: { verdict: "dead", reason },
    });
    await elapse(SECOND);
    expect(stage.network.dials).toEqual([0, 6]);
    expect(shown(stream)["state"]).toBe("linked.streaming");
    expect(stage.run.listening.raised).toBe(2);
    stream.actor.stop();
  });

  test("of a quiet account is left alone: hours of silence, one dial, and the verdict says quiet", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.accepts();
    const stream = startStream(stage);
    await elapse(3 * HOUR, SECOND);
    expect(stage.network.log).toEqual(["0 dial"]);
    expect(shown(stream)).toEqual({
      state: "linked.streaming",
      dials: 1,
      verdict: {
        verdict: "quiet",
        reason: expect.stringMatching(
          /^silent for 10\d{3} s; REST shows nothing missing 0 s ago$/,
        ),
      },
    });
    expect(stage.run.healingWanted.raised).toBe(0);
    stream.actor.stop();
  });

  test("that is mute though it answers pings is found deaf within 120 s: revoked, healed, dialled again", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.accepts();
    const stream = startStream(stage);
    for (let turn = 0; turn < 15; turn++) {
      await elapse(20 * SECOND);
      stage.network.last.pongs();
    }
    expect(stream.states.at(-1)).toBe("linked.streaming");
    const filledMs = Date.now();
    stage.venue.activities.push(fillOf(1, filledMs));
    let foundMs = 0;
    for (let second = 0; second < 120 && foundMs === 0; second++) {
      if (second % 20 === 19) stage.network.last.pongs();
      await elapse(SECOND);
      if (stream.states.includes("deaf")) foundMs = Date.now();
    }
    expect(foundMs).toBeGreaterThan(filledMs);
    expect(foundMs - filledMs).toBeLessThan(120 * SECOND);
    expect(shown(stream)).toMatchObject({
      state: "waiting",
      verdict: {
        verdict: "deaf",
        reason: `REST shows 1 that the stream never delivered, first fill ${fillOf(1, filledMs).id}`,
      },
    });
    expect(stage.run.healingWanted.raised).toBe(1);
    expect(stage.network.open).toBe(0);

    stage.store.commit(stage.queue);
    // The last frame came with the grant, so nothing since then is believed.
    expect(inShort(stage.store.recorded).at(-1)).toBe(
      `trade_updates deaf 14:00:00..${iso(foundMs).slice(11, 19)}`,
    );
    await elapse(2 * SECOND);
    expect(stage.network.open).toBe(1);
    expect(shown(stream)).toMatchObject({
      state: "linked.streaming",
      verdict: { verdict: "live" },
    });
    stream.actor.stop();
  });

  test("that delivers only some is deaf since the last reading that showed nothing missing", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.accepts();
    const stream = startStream(stage);
    await elapse(60 * SECOND);
    const kept = fillOf(1, Date.now());
    const delivered = fillOf(2, Date.now() + 5 * SECOND);
    stage.venue.activities.push(kept);
    await elapse(5 * SECOND);
    stage.venue.activities.push(delivered);
    stage.network.last.says(
      update({
        event: "fill",
        execution_id: delivered.id.split("::")[1],
        order: { id: delivered.order_id, filled_qty: "1", status: "filled" },
      }),
    );
    await elapse(60 * SECOND);
    expect(stream.states).toContain("deaf");
    stage.store.commit(stage.queue);
    expect(inShort(stage.store.recorded).at(-1)).toStartWith(
      "trade_updates deaf 14:00:35..",
    );
    stream.actor.stop();
  });
});

describe("a refused key", () => {
  test.each<[how: string, peer: (socket: ScriptedSocket) => void, why: string]>(
    [
      [
        "in the venue's answer",
        (socket) => socket.opens().says(UNAUTHORIZED),
        "code=401, message=Unauthorized",
      ],
      [
        "in the documented answer",
        (socket) =>
          socket.opens().says({
            stream: "authorization",
            data: { status: "unauthorized", action: "authenticate" },
          }),
        "unauthorized",
      ],
      [
        "by the upgrade (401)",
        (socket) => socket.cuts({ ...BROKEN, status: 401 }),
        "upgrade refused with 401",
      ],
      [
        "by the upgrade (403)",
        (socket) => socket.cuts({ ...BROKEN, status: 403 }),
        "upgrade refused with 403",
      ],
    ],
  )(
    "told %s is asked again slowly, and slower each time",
    async (_how, peer, reason) => {
      const stage = accountStage();
      stage.network.peer = peer;
      const stream = startStream(stage);
      await elapse(2 * HOUR, SECOND);
      expect(stage.network.dials.map((second) => second / 60)).toEqual([
        0, 5, 15, 35, 65, 95,
      ]);
      expect(shown(stream)).toEqual({
        state: "refused",
        dials: 6,
        reason,
        verdict: { verdict: "dead", reason },
      });
      expect(stage.network.open).toBe(0);
      stream.actor.stop();
    },
  );

  test("is asked by this account alone: another one streams meanwhile", async () => {
    const [refused, accepted] = [accountStage(), accountStage()];
    refused.network.peer = (socket) => socket.opens().says(UNAUTHORIZED);
    accepted.network.peer = (socket) => socket.accepts();
    const streams = [startStream(refused), startStream(accepted)];
    await elapse(4 * MINUTE);
    expect(streams.map((stream) => shown(stream)["state"])).toEqual([
      "refused",
      "linked.streaming",
    ]);
    expect(accepted.network.log).toEqual(["0 dial"]);
    for (const { actor } of streams) actor.stop();
  });

  test("that is accepted later streams; the refusals are forgotten once the link has lived", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.opens().says(UNAUTHORIZED);
    const stream = startStream(stage);
    await elapse(6 * MINUTE);
    stage.network.peer = (socket) => socket.accepts();
    await elapse(9 * MINUTE);
    expect(shown(stream)["state"]).toBe("linked.streaming");
    await elapse(3 * MINUTE);
    stage.network.peer = (socket) => socket.opens().says(UNAUTHORIZED);
    stage.network.last.cuts();
    await elapse(6 * MINUTE + SECOND);
    expect(stage.network.dials).toEqual([0, 300, 900, 1081, 1381]);
    stream.actor.stop();
  });

  test("is not asked more often because the actor was restarted", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.opens().says(UNAUTHORIZED);
    for (let life = 0; life < 5; life++) {
      const { actor } = startStream(stage);
      await elapse(MINUTE - SECOND);
      actor.stop();
    }
    expect(stage.network.dials).toEqual([0]);
  });
});

describe("dials", () => {
  const table: [
    peer: string,
    plays: (socket: ScriptedSocket) => void,
    dials: number[],
  ][] = [
    [
      "cannot be reached",
      (socket) => socket.cuts(),
      [0, 1, 3, 7, 15, 31, 63, 123, 183, 243],
    ],
    [
      "accepts and closes",
      (socket) => socket.opens().cuts(),
      [0, 1, 3, 7, 15, 31, 63, 123, 183, 243],
    ],
    [
      "lets the stream listen and closes",
      (socket) => socket.accepts().cuts(),
      [0, 1, 3, 7, 15, 31, 63, 123, 183, 243],
    ],
    [
      "accepts and says nothing",
      (socket) => socket.opens(),
      [0, 11, 23, 37, 55, 81, 123, 193, 263],
    ],
    [
      "closes what it has let live for a minute",
      (socket) => {
        socket.accepts();
        setTimeout(() => socket.cuts(), MINUTE);
      },
      [0, 61, 123, 187, 255],
    ],
    [
      "refuses too many dials (429) without a word on when to come back",
      (socket) => socket.cuts({ ...BROKEN, status: 429 }),
      [0, 1, 3, 7, 15, 31, 63, 123, 183, 243],
    ],
    [
      "refuses too many dials (429) and says when to come back",
      (socket) =>
        socket.cuts({ ...BROKEN, status: 429, retryAfterMs: 45 * SECOND }),
      [0, 45, 90, 135, 180, 225, 270],
    ],
    [
      "has its slot taken (406): asked at least every 20 s",
      (socket) => socket.cuts({ ...BROKEN, status: 406 }),
      [
        0, 1, 3, 7, 15, 31, 51, 71, 91, 111, 131, 151, 171, 191, 211, 231, 251,
        271, 291,
      ],
    ],
  ];

  test.each(table)("to a peer that %s", async (_peer, plays, dials) => {
    const stage = accountStage();
    stage.network.peer = plays;
    const stream = startStream(stage);
    await elapse(5 * MINUTE - SECOND);
    expect(stage.network.dials).toEqual(dials);
    stream.actor.stop();
  });

  test("the failures before are forgotten once a link has lived for three minutes, not earlier", async () => {
    const stage = accountStage();
    const livesMs = [
      0,
      0,
      0,
      0,
      3 * MINUTE - SECOND,
      3 * MINUTE + SECOND,
      0,
      0,
    ];
    stage.network.peer = (socket) => {
      const forMs = livesMs.shift() ?? 0;
      socket.accepts();
      if (forMs === 0) socket.cuts();
      else setTimeout(() => socket.cuts(), forMs);
    };
    const stream = startStream(stage);
    await elapse(7 * MINUTE);
    expect(stage.network.dials).toEqual([
      0, 1, 3, 7, 15,
      // 179 s alive, then the wait of the fifth failure.
      210,
      // 181 s alive, then as at the beginning.
      392, 393, 395, 399, 407,
    ]);
    stream.actor.stop();
  });

  test("are no more when the actor dies and is started again each second", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.opens();
    const lives: number[] = [];
    for (let second = 0; second < 120; second++) {
      const stream = startStream(stage);
      await elapse(SECOND);
      lives.push(stage.network.open);
      stream.actor.stop();
    }
    expect(stage.network.dials).toEqual([0, 2, 4, 8, 16, 32, 64]);
    expect(lives.filter((open) => open > 1)).toEqual([]);
    expect(stage.network.open).toBe(0);
  });

  type Turn = (socket: ScriptedSocket) => void;
  const turns: Record<string, Turn> = {
    unreachable: (socket) => socket.cuts(),
    closes: (socket) => socket.opens().cuts(),
    mute: (socket) => socket.opens(),
    listensAndCloses: (socket) => socket.accepts().cuts(),
    livesAWhile: (socket) => {
      socket.accepts();
      setTimeout(() => socket.cuts(), 50 * SECOND);
    },
    refuses: (socket) => socket.opens().says(UNAUTHORIZED),
    tooMany: (socket) =>
      socket.cuts({ ...BROKEN, status: 429, retryAfterMs: SECOND }),
    slotTaken: (socket) => socket.cuts({ ...BROKEN, status: 406 }),
    nonsense: (socket) => socket.opens().says("{").says("[]"),
  };

  test("never come faster than the schedule's shortest waits, whatever the peer does and however often the actor dies", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.keys(turns)), { minLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 90 }), {
          minLength: 1,
          maxLength: 20,
        }),
        async (plays, livesSeconds) => {
          fakeTime();
          const dials = new DialSchedule(
            { baseMs: SECOND, maxMs: MINUTE },
            () => 0,
          );
          const stage = accountStage({ dials });
          const waitMsMax: number[] = [];
          stage.network.peer = (socket) => {
            const turn = plays[waitMsMax.length % plays.length] ?? "mute";
            waitMsMax.push(turn === "slotTaken" ? 20 * SECOND : MINUTE);
            turns[turn]?.(socket);
          };
          for (const alive of livesSeconds) {
            const { actor } = startStream(stage);
            await elapse(alive * SECOND, SECOND);
            actor.stop();
          }
          const at = stage.network.dials;
          for (const [index, second] of at.slice(1).entries()) {
            const shortestMs =
              Math.min(SECOND * 2 ** index, waitMsMax[index] ?? MINUTE) / 2;
            expect((second - (at[index] ?? 0)) * SECOND).toBeGreaterThanOrEqual(
              shortestMs,
            );
          }
        },
      ),
      { numRuns: 40 },
    ));
});

describe("a full queue", () => {
  async function overflown(): Promise<{
    stage: Stage;
    stream: ReturnType<typeof startStream>;
  }> {
    const stage = accountStage({ queueLengthMax: 4 });
    stage.network.peer = (socket) => socket.accepts();
    const stream = startStream(stage);
    await elapse(SECOND);
    for (let number = 0; number < 6; number++)
      stage.network.last.says(update({ event: "new", number }));
    await settled();
    return { stage, stream };
  }
  const numbers = (stage: Stage) =>
    stage.queue.takeUpTo(10).map(({ raw }) => JSON.parse(raw).number);

  test("holds the stream: it hangs up, and says why", async () => {
    const { stage, stream } = await overflown();
    expect(stage.network.log).toEqual(["0 dial", "1 hang up"]);
    const reason = "the queue is full";
    expect(shown(stream)).toEqual({
      state: "held",
      dials: 1,
      reason,
      verdict: { verdict: "dead", reason },
    });
    await elapse(HOUR, SECOND);
    expect(stage.network.dials).toEqual([0]);
    expect(numbers(stage)).toEqual([0, 1, 2, 3]);
    stream.actor.stop();
  });

  test("that is half empty again brings it back", async () => {
    const { stage, stream } = await overflown();
    await elapse(MINUTE);
    expect(stage.queue.takeUpTo(1)).toHaveLength(1);
    await elapse(MINUTE);
    expect(shown(stream)["state"]).toBe("held");
    stage.queue.takeUpTo(1);
    await settled();
    expect(stage.network.dials).toEqual([0, 121]);
    expect(shown(stream)["state"]).toBe("linked.streaming");
    stream.actor.stop();
  });

  test("that empties at once does not get around the backoff", async () => {
    const { stage, stream } = await overflown();
    stage.queue.takeUpTo(4);
    await settled();
    expect(shown(stream)["state"]).toBe("waiting");
    await elapse(SECOND);
    expect(stage.network.dials).toEqual([0, 2]);
    stream.actor.stop();
  });
});

describe("a deaf stream", () => {
  /** Deaf, with a queue that has no room for the revocation. */
  async function deafAndFull(): Promise<{
    stage: Stage;
    stream: ReturnType<typeof startStream>;
  }> {
    const stage = accountStage({ queueLengthMax: 4 });
    stage.network.peer = (socket) => socket.accepts();
    const stream = startStream(stage);
    await elapse(10 * SECOND);
    for (let number = 0; number < 4; number++)
      stage.network.last.says(update({ event: "new", number }));
    stage.venue.activities.push(fillOf(1, Date.now()));
    await elapse(MINUTE);
    return { stage, stream };
  }

  test("waits with its next dial until the revocation is in the queue", async () => {
    const { stage, stream } = await deafAndFull();
    expect(shown(stream)["state"]).toBe("deaf");
    expect(stage.network.open).toBe(0);
    expect(stage.run.healingWanted.raised).toBe(0);
    stage.queue.takeUpTo(4);
    await elapse(SECOND);
    expect(stage.queue.takeUpTo(1)).toMatchObject([{ kind: "coverage" }]);
    expect(stage.run.healingWanted.raised).toBe(1);
    expect(shown(stream)["state"]).toBe("linked.streaming");
    stream.actor.stop();
  });

  test("may use the room that is left to the stream", async () => {
    const stage = accountStage({ queueLengthMax: 4 });
    stage.network.peer = (socket) => socket.accepts();
    const stream = startStream(stage);
    await elapse(10 * SECOND);
    for (let number = 0; number < 3; number++)
      stage.network.last.says(update({ event: "new", number }));
    stage.venue.activities.push(fillOf(1, Date.now()));
    await elapse(MINUTE);
    expect(stage.queue.takeUpTo(4).map(({ kind }) => kind)).toEqual([
      "trade_update",
      "trade_update",
      "trade_update",
      "coverage",
    ]);
    stream.actor.stop();
  });
});

test("a bug in the way of a frame fails the stream, and leaves nothing open", async () => {
  const stage = accountStage();
  stage.network.peer = (socket) => socket.accepts();
  const stream = startStream(stage);
  await settled();
  stage.queue.offer = () => {
    throw new TypeError("no such thing");
  };
  stage.network.last.says(update({ event: "new" }));
  expect(stream.errors).toEqual([new TypeError("no such thing")]);
  expect(stage.network.log).toEqual(["0 dial", "0 hang up"]);
});

describe("in every state", () => {
  const states: [state: string, arrange: (stage: Stage) => Promise<void>][] = [
    ["waiting", async ({ network }) => void network.last.cuts()],
    ["linked.connecting", async () => {}],
    ["linked.authenticating", async ({ network }) => void network.last.opens()],
    [
      "linked.listening",
      async ({ network }) => void network.last.opens().says(AUTHORIZED),
    ],
    [
      "linked.streaming",
      async ({ network }) => {
        network.last.accepts();
        await elapse(MINUTE);
      },
    ],
    [
      "refused",
      async ({ network }) => void network.last.opens().says(UNAUTHORIZED),
    ],
    [
      "held",
      async ({ network }) => {
        network.last.accepts();
        for (let number = 0; number < 5; number++)
          network.last.says(update({ number }));
      },
    ],
    [
      "deaf",
      async ({ network, venue }) => {
        network.last.accepts();
        await elapse(10 * SECOND);
        for (let number = 0; number < 4; number++)
          network.last.says(update({ number }));
        venue.activities.push(fillOf(1, Date.now()));
        await elapse(MINUTE);
      },
    ],
  ];

  async function in_(
    state: string,
    arrange: (stage: Stage) => Promise<void>,
  ): Promise<{ stage: Stage; stream: ReturnType<typeof startStream> }> {
    const stage = accountStage({ queueLengthMax: 4 });
    const stream = startStream(stage);
    await settled();
    await arrange(stage);
    await settled();
    expect(shown(stream)["state"]).toBe(state);
    return { stage, stream };
  }

  /** Hung up as often as dialled, no timer left, and nobody dials later. */
  async function leavesNothing(stage: Stage): Promise<void> {
    const dials = stage.network.dials.length;
    expect(stage.network.open).toBe(0);
    // A request's own time limit is all that may run on.
    await elapse(20 * SECOND);
    expect(jest.getTimerCount()).toBe(0);
    stage.queue.takeUpTo(10);
    await elapse(HOUR, MINUTE);
    expect(stage.network.dials).toHaveLength(dials);
    expect(stage.queue.length).toBe(0);
  }

  test.each(states)("shutdown: %s", async (state, arrange) => {
    const { stage, stream } = await in_(state, arrange);
    stream.actor.send({ type: "shutdown" });
    expect(stream.actor.getSnapshot()).toMatchObject({
      status: "done",
      value: "stopped",
    });
    await leavesNothing(stage);
  });

  test.each(states)("a hard stop: %s", async (state, arrange) => {
    const { stage, stream } = await in_(state, arrange);
    stream.actor.stop();
    await leavesNothing(stage);
  });
});

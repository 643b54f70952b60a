import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor, setup } from "xstate";
import { createLink, type LinkEvent } from "../../../actors/accounts/link.ts";
import type { AccountRecord } from "../../../schema/messages.ts";
import { SECOND } from "../../../src/clock.ts";
import { NOW } from "../../support/accountScript.ts";
import {
  accountStage,
  AUTHORIZED,
  elapse,
  fakeTime,
  LISTENING,
  type ScriptedSocket,
  type Stage,
  UNAUTHORIZED,
  update,
} from "./stage.ts";
import { BROKEN } from "../../support/network.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** A link under a parent that writes down what it is told, and changes nothing. */
function startLink(stage: Stage) {
  const told: LinkEvent[] = [];
  const errors: unknown[] = [];
  const types: readonly LinkEvent["type"][] = [
    "opened",
    "authorized",
    "listening",
    "refused",
    "closed",
    "overflowed",
  ];
  const note = { actions: "note" } as const;
  const parent = setup({
    types: { events: {} as LinkEvent },
    actors: { link: createLink(stage.network.dial) },
    actions: { note: ({ event }) => void told.push(event) },
  }).createMachine({
    invoke: { src: "link", input: stage.run },
    on: Object.fromEntries(types.map((type) => [type, note])),
  });
  const actor = createActor(parent);
  actor.subscribe({ error: (error) => errors.push(error) });
  actor.start();
  return { actor, told, errors, socket: stage.network.last };
}

/** A link that listens, and nothing told of the way there. */
function listeningLink(stage: Stage) {
  const link = startLink(stage);
  link.socket.accepts();
  link.told.length = 0;
  return link;
}

function taken({ queue }: Stage): AccountRecord[] {
  return queue.takeUpTo(1000);
}

const bytes = (text: string) => new TextEncoder().encode(text);
const UPDATE = JSON.stringify(update({ event: "new", order: { id: "o" } }));

test("what the machine is told of the handshake, and what the venue is told", () => {
  const stage = accountStage();
  const { actor, told, socket } = startLink(stage);
  socket.opens().says(AUTHORIZED);
  jest.advanceTimersByTime(3 * SECOND);
  socket.says(LISTENING);
  expect(told).toEqual([
    { type: "opened" },
    { type: "authorized" },
    { type: "listening", sinceMs: NOW + 3 * SECOND },
  ]);
  expect(socket.sent).toEqual([
    '{"action":"auth","key":"key","secret":"secret"}',
    '{"action":"listen","data":{"streams":["trade_updates"]}}',
  ]);
  actor.stop();
});

test("the answer to the old form of authentication, deprecation and all, is an answer", () => {
  const stage = accountStage();
  const { actor, told, socket } = startLink(stage);
  socket.opens().says({
    stream: "authorization",
    data: {
      action: "authenticate",
      message: "this authentication format is being deprecated.",
      status: "authorized",
    },
  });
  expect(told.at(-1)).toEqual({ type: "authorized" });
  actor.stop();
});

describe("a trade update", () => {
  test.each<[form: string, frame: string | Uint8Array]>([
    ["text", UPDATE],
    ["binary", bytes(UPDATE)],
  ])("in a %s frame goes to the queue", (_form, frame) => {
    const stage = accountStage();
    const { actor, told, socket } = listeningLink(stage);
    jest.advanceTimersByTime(SECOND);
    socket.says(frame);
    expect(taken(stage)).toEqual([
      {
        account: "alpha",
        kind: "trade_update",
        raw: '{"event":"new","order":{"id":"o"}}',
        receivedAtMs: NOW + SECOND,
      },
    ]);
    expect(told).toEqual([]);
    expect(stage.run.board.lastFrameMs).toBe(NOW + SECOND);
    actor.stop();
  });

  test("is kept as it came: no digit, key, null or blank changed", () => {
    const stage = accountStage();
    const raw =
      '{ "event":"fill", "price":"1.10","qty":1e-7,"big":12345678901234567890,"none":null,"note":"é\\u00e9"}';
    const { actor, socket } = listeningLink(stage);
    socket.says(`{"stream":"trade_updates","data":${raw}}`);
    expect(taken(stage).map((record) => record.raw)).toEqual([raw]);
    actor.stop();
  });

  test("is remembered as delivered, by this session only", () => {
    const stage = accountStage();
    const first = listeningLink(stage);
    first.socket.says(update({ event: "new", order: { id: "o" } }));
    expect(stage.run.delivered.order("o")).toEqual({ ended: false });
    first.actor.stop();
    const second = startLink(stage);
    expect(stage.run.delivered.order("o")).toBeUndefined();
    second.actor.stop();
  });

  test("that finds no room is not taken, and the machine is told", () => {
    const stage = accountStage({ queueLengthMax: 1 });
    const { actor, told, socket } = listeningLink(stage);
    socket.says(update({ number: 1 })).says(update({ number: 2 }));
    expect(told).toEqual([{ type: "overflowed", reason: "the queue is full" }]);
    expect(taken(stage).map(({ raw }) => raw)).toEqual(['{"number":1}']);
    actor.stop();
  });
});

test.each<[what: string, frame: string | Uint8Array | object]>([
  ["an update without data", { stream: "trade_updates", data: null }],
  ["a lone heartbeat byte", new Uint8Array([1])],
  ["an empty frame", ""],
  ["another stream's message", { stream: "account_updates", data: {} }],
])("%s means nothing: not kept, not told, not malformed", (_what, frame) => {
  const stage = accountStage();
  const { actor, told, socket } = listeningLink(stage);
  socket.says(frame);
  expect(taken(stage)).toEqual([]);
  expect(told).toEqual([]);
  actor.stop();
});

describe("a frame that cannot be read", () => {
  test.each<[what: string, frame: string | Uint8Array, raw: string]>([
    ["no JSON", "{oops", "{oops"],
    ["an array", "[{}]", "[{}]"],
    ["an object that is no frame", '{"a":1}', '{"a":1}'],
    [
      "an update whose data is no object",
      '{"stream":"trade_updates","data":[1]}',
      '{"stream":"trade_updates","data":[1]}',
    ],
    [
      "an update that has no data",
      '{"stream":"trade_updates"}',
      '{"stream":"trade_updates"}',
    ],
    ["a page of HTML in bytes", bytes("<html>502</html>"), "<html>502</html>"],
    ["bytes that are no UTF-8", new Uint8Array([0xff, 0x41]), "\u00ffA"],
  ])("(%s) is set aside whole, and the link goes on", (_what, frame, raw) => {
    const stage = accountStage();
    const { actor, told, socket } = listeningLink(stage);
    socket.says(frame).says(UPDATE);
    expect(taken(stage)).toEqual([
      {
        account: "alpha",
        kind: "malformed",
        raw,
        receivedAtMs: NOW,
        reason: expect.stringMatching(/./),
      },
      expect.objectContaining({ kind: "trade_update" }),
    ]);
    expect(told).toEqual([]);
    expect(socket.isOpen).toBe(true);
    actor.stop();
  });

  test("is not lost in a full queue without a word", () => {
    const stage = accountStage({ queueLengthMax: 1 });
    const { actor, told, socket } = listeningLink(stage);
    socket.says("{}").says("{}");
    expect(told).toEqual([{ type: "overflowed", reason: "the queue is full" }]);
    actor.stop();
  });
});

describe("the end", () => {
  test.each<
    [what: string, plays: (socket: ScriptedSocket) => void, told: LinkEvent]
  >([
    [
      "refused by the venue",
      (socket) => socket.says(UNAUTHORIZED),
      { type: "refused", reason: "code=401, message=Unauthorized" },
    ],
    [
      "refused by the upgrade",
      (socket) => socket.cuts({ ...BROKEN, status: 403 }),
      { type: "refused", reason: "upgrade refused with 403" },
    ],
    [
      "refused for now",
      (socket) =>
        socket.cuts({
          code: 1006,
          reason: "upgrade refused with 429",
          status: 429,
        }),
      { type: "closed", reason: "closed with 1006: upgrade refused with 429" },
    ],
    [
      "a fault without a word",
      (socket) => socket.says({ action: "error" }),
      { type: "closed", reason: "venue error: unnamed error" },
    ],
  ])("%s is told to the machine", (_what, plays, expected) => {
    const stage = accountStage();
    const { actor, told, socket } = startLink(stage);
    socket.opens();
    told.length = 0;
    plays(socket);
    expect(told).toEqual([expected]);
    actor.stop();
  });

  test("by a stop hangs up, and the schedule learns when", () => {
    const stage = accountStage();
    const { actor } = listeningLink(stage);
    jest.advanceTimersByTime(30 * SECOND);
    actor.stop();
    expect(stage.network.log).toEqual(["0 dial", "30 hang up"]);
    expect(stage.run.dials.waitMs(Date.now())).toBe(SECOND);
  });

  test("by a bug hangs up too", () => {
    const stage = accountStage();
    const { errors, socket } = listeningLink(stage);
    stage.run.delivered.note = () => {
      throw new RangeError("too deep");
    };
    socket.says(UPDATE);
    expect(errors).toEqual([new RangeError("too deep")]);
    expect(stage.network.log).toEqual(["0 dial", "0 hang up"]);
    expect(stage.run.dials.waitMs(Date.now())).toBe(SECOND);
  });

  test("before it began, by an address nobody can dial, fails it and counts as a dial", () => {
    const stage = accountStage();
    const link = createLink(() => {
      throw new SyntaxError("Invalid URL");
    });
    const parent = setup({ actors: { link } }).createMachine({
      invoke: { src: "link", input: stage.run },
    });
    const errors: unknown[] = [];
    const actor = createActor(parent);
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    expect(errors).toEqual([new SyntaxError("Invalid URL")]);
    expect(stage.run.dials.failures).toBe(1);
    expect(stage.run.dials.waitMs(Date.now())).toBe(SECOND);
  });
});

describe("coverage", () => {
  const facts = (stage: Stage) =>
    taken(stage)
      .filter(({ kind }) => kind === "coverage")
      .map(({ raw }) => JSON.parse(raw))
      .map(({ from, to }) => `${from.slice(14, 19)}..${to.slice(14, 19)}`);

  test("is asked for with a ping the moment the stream listens", async () => {
    const stage = accountStage();
    const { actor, socket } = startLink(stage);
    socket.opens().says(AUTHORIZED);
    expect(socket.pings).toEqual([]);
    await elapse(2 * SECOND);
    socket.says(LISTENING);
    expect(socket.pings).toEqual([NOW + 2 * SECOND]);
    actor.stop();
  });

  test("is a fact of this session, from behind the moment of listening to the ping that was answered", async () => {
    const stage = accountStage();
    await elapse(5 * SECOND);
    const { actor, socket } = listeningLink(stage);
    await elapse(20 * SECOND);
    socket.pongs(NOW + 24 * SECOND);
    expect(taken(stage)).toEqual([
      {
        account: "alpha",
        kind: "coverage",
        raw: JSON.stringify({
          stream: "trade_updates",
          state: "live",
          from: "2026-09-16T14:00:05.001Z",
          to: "2026-09-16T14:00:24.000Z",
          session: `session-1/alpha/${NOW + 5 * SECOND}`,
        }),
        receivedAtMs: NOW + 25 * SECOND,
      },
    ]);
    actor.stop();
  });

  test("is claimed by pongs alone, never by frames or by time", async () => {
    const stage = accountStage();
    const { actor, socket } = listeningLink(stage);
    for (let turn = 0; turn < 10; turn++) {
      await elapse(20 * SECOND);
      socket.says(UPDATE);
    }
    expect(facts(stage)).toEqual([]);
    actor.stop();
    await elapse(60 * SECOND);
    expect(facts(stage)).toEqual([]);
  });

  test("goes on where the last pong ended; an older pong adds nothing", async () => {
    const stage = accountStage();
    const { actor, socket } = listeningLink(stage);
    await elapse(60 * SECOND);
    socket
      .pongs(NOW + 20 * SECOND)
      .pongs(NOW + 40 * SECOND)
      .pongs(NOW + 20 * SECOND)
      .pongs(NOW + 40 * SECOND);
    expect(facts(stage)).toEqual(["00:00..00:20", "00:20..00:40"]);
    actor.stop();
  });

  test("does not begin before the stream listens, nor with a ping of before", async () => {
    const stage = accountStage();
    const { actor, socket } = startLink(stage);
    socket.opens().pongs(NOW);
    await elapse(SECOND);
    socket.says(AUTHORIZED).pongs(NOW + SECOND);
    await elapse(SECOND);
    socket.says(LISTENING).pongs(NOW + SECOND);
    expect(facts(stage)).toEqual([]);
    actor.stop();
  });

  test("that finds no room is claimed by the next pong", async () => {
    const stage = accountStage({ queueLengthMax: 1 });
    const { actor, told, socket } = listeningLink(stage);
    socket.says(UPDATE);
    await elapse(40 * SECOND);
    socket.pongs(NOW + 20 * SECOND);
    expect(taken(stage).map(({ kind }) => kind)).toEqual(["trade_update"]);
    socket.pongs(NOW + 40 * SECOND);
    expect(facts(stage)).toEqual(["00:00..00:40"]);
    expect(told).toEqual([]);
    actor.stop();
  });

  test("of a grant that is repeated begins once", async () => {
    const stage = accountStage();
    const { actor, socket } = listeningLink(stage);
    await elapse(10 * SECOND);
    socket.says(LISTENING).pongs(NOW + 10 * SECOND);
    expect(facts(stage)).toEqual(["00:00..00:10"]);
    actor.stop();
  });
});

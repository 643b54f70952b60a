import { decode, encode } from "@msgpack/msgpack";
import { afterEach, describe, expect, jest, test } from "bun:test";
import { SECOND } from "../../../src/clock.ts";
import {
  ALPHA,
  BETA,
  LISTEN,
  type Listener,
  liveOrder,
  openScene,
  type Scene,
} from "./wire.ts";

const { keyId, secretKey } = ALPHA;
const AUTH = { action: "auth", key: keyId, secret: secretKey };
const LEGACY = {
  action: "authenticate",
  data: { key_id: keyId, secret_key: secretKey },
};
const ERROR =
  '{"action":"error","data":{"error_message":"internal server error"}}';

const scenes: Scene[] = [];
afterEach(async () => {
  jest.useRealTimers();
  for (const scene of scenes.splice(0)) await scene[Symbol.asyncDispose]();
});

async function scene(options: Parameters<typeof openScene>[0] = {}) {
  const opened = await openScene(options);
  scenes.push(opened);
  return opened;
}

describe("the handshake", () => {
  test("is begun by the client: the venue says nothing by itself, not even what happens", async () => {
    const own = await scene();
    const listener = await own.dial();
    liveOrder(own.desk);
    await listener.pong();
    expect(listener.waiting).toBe(0);
  });

  test.each<[form: string, frame: object, answer: string]>([
    [
      "the current form",
      AUTH,
      '{"stream":"authorization","data":{"action":"authenticate","status":"authorized"}}',
    ],
    // As recorded, to the letter.
    [
      "the old form",
      LEGACY,
      '{"stream":"authorization","data":{"action":"authenticate","message":"this authentication format is being deprecated. Please use the format: {\\"action\\": \\"auth\\", \\"key\\": \\"x\\", \\"secret\\": \\"x\\"}","status":"authorized"}}',
    ],
  ])("is answered in %s", async (_, frame, answer) => {
    const listener = await (await scene()).dial();
    listener.send(frame);
    expect(await listener.nextText()).toBe(answer);
    listener.send(LISTEN);
    expect(await listener.nextText()).toBe(
      '{"stream":"listening","data":{"streams":["trade_updates"]}}',
    );
  });

  test.each<[string, object]>([
    ["a wrong key", { ...AUTH, key: "PKNOBODY" }],
    ["a wrong secret", { ...AUTH, secret: BETA.secretKey }],
    ["a wrong secret in the old form", { ...LEGACY, data: { key_id: keyId } }],
    ["no key at all", { action: "auth" }],
  ])("is refused with %s, and the socket closed", async (_, frame) => {
    const listener = await (await scene()).dial();
    listener.send(frame);
    expect(await listener.next()).toEqual({
      stream: "authorization",
      data: { status: "unauthorized", action: "authenticate" },
    });
    await listener.closed;
  });

  test("is refused in the other wording when right keys are refused", async () => {
    const own = await scene();
    own.venue.inject({ kind: "auth-refused", count: 1, account: ALPHA.name });
    const listener = await own.dial();
    listener.send(AUTH);
    expect(await listener.next()).toEqual({
      stream: "authorization",
      data: {
        message: "code=401, message=Unauthorized",
        status: "unauthorized",
      },
    });
    await listener.closed;
    await own.listen();
  });

  test("is not answered as often as the venue is told so, neither the key nor the wish", async () => {
    const own = await scene();
    const listener = await own.dial();
    for (const [frame, answer] of [
      [AUTH, { data: { status: "authorized" } }],
      [LISTEN, { data: { streams: ["trade_updates"] } }],
    ] as const) {
      own.venue.inject({ kind: "no-answer", count: 1, account: ALPHA.name });
      listener.send(frame);
      await listener.pong();
      expect(listener.waiting).toBe(0);
      listener.send(frame);
      expect(await listener.next()).toMatchObject(answer);
    }
  });

  test("cannot be left out: who listens first is unauthorized, and may still say who he is", async () => {
    const listener = await (await scene()).dial();
    listener.send(LISTEN);
    expect(await listener.next()).toEqual({
      stream: "authorization",
      data: { status: "unauthorized", action: "listen" },
    });
    listener.send(AUTH);
    expect(await listener.next()).toMatchObject({
      data: { status: "authorized" },
    });
  });

  test.each([
    ["no JSON", "{"],
    ["no object", "[]"],
    ["nothing the venue knows", '{"action":"sing"}'],
    ["empty", ""],
  ])("that is %s is an error, and the socket closed", async (_, frame) => {
    const listener = await (await scene()).dial();
    listener.send(frame);
    expect(await listener.nextText()).toBe(ERROR);
    await listener.closed;
  });

  test("is waited for, but not for ever", async () => {
    jest.useFakeTimers();
    const own = await scene();
    const [silent, known] = [await own.dial(), await own.listen()];
    jest.advanceTimersByTime(30 * SECOND - 1);
    await silent.pong();
    jest.advanceTimersByTime(1);
    await silent.closed;
    await known.pong();
  });

  test("that is none is told what is expected", async () => {
    const own = await scene();
    const response = await fetch(`${own.venue.url}/stream`);
    expect([response.status, await response.text()]).toEqual([
      426,
      "a WebSocket is expected",
    ]);
  });
});

describe("MessagePack", () => {
  const packed = { "Content-Type": "application/msgpack" };
  const nextOf = async (listener: Listener) =>
    decode(await listener.nextBytes());

  test("is spoken with who asks for it at the upgrade: the same frames, packed, from either side", async () => {
    const own = await scene();
    const [plain, listener] = [await own.listen(), await own.dial(packed)];
    listener.send(encode(AUTH));
    expect(await nextOf(listener)).toEqual({
      stream: "authorization",
      data: { action: "authenticate", status: "authorized" },
    });
    listener.send(encode(LISTEN));
    expect(await nextOf(listener)).toEqual({
      stream: "listening",
      data: { streams: ["trade_updates"] },
    });
    liveOrder(own.desk);
    for (const _ of ["pending_new", "new"])
      expect(await nextOf(listener)).toEqual(await plain.next());
  });

  test("that cannot be read is an error; what is cut short cannot be read either", async () => {
    const own = await scene();
    const listener = await own.dial(packed);
    listener.send(encode(AUTH));
    listener.send(encode(LISTEN));
    await nextOf(listener);
    await nextOf(listener);
    own.venue.inject({ kind: "malformed", count: 1 });
    own.desk.submit({ symbol: "AAPL", side: "buy", type: "market", qty: "1" });
    await expect(nextOf(listener)).rejects.toThrow();
    listener.send(new Uint8Array([0xc1]));
    expect(await nextOf(listener)).toEqual(JSON.parse(ERROR));
    await listener.closed;
  });
});

describe("what is listened to", () => {
  test.each<[wanted: unknown, granted: string[]]>([
    [["trade_updates"], ["trade_updates"]],
    [["trade_updates", "account_updates"], ["trade_updates"]],
    [["account_updates"], []],
    [[], []],
    [undefined, []],
    ["trade_updates", []],
  ])("of %j the venue grants %j", async (streams, granted) => {
    const own = await scene();
    const listener = await own.dial();
    listener.send(AUTH);
    await listener.next();
    listener.send({ action: "listen", data: { streams } });
    expect(await listener.next()).toEqual({
      stream: "listening",
      data: { streams: granted },
    });
    liveOrder(own.desk);
    await listener.pong();
    expect(listener.waiting).toBe(granted.length === 0 ? 0 : 2);
  });

  test("is what was said last: an empty list stops everything", async () => {
    const own = await scene();
    const listener = await own.listen();
    listener.send({ action: "listen", data: { streams: [] } });
    expect(await listener.next()).toEqual({
      stream: "listening",
      data: { streams: [] },
    });
    liveOrder(own.desk);
    await listener.pong();
    expect(listener.waiting).toBe(0);
  });

  test("is the account's own, and told to each of its sockets", async () => {
    const own = await scene();
    const [first, second, other] = [
      await own.listen(),
      await own.listen(),
      await own.listen(BETA),
    ];
    const order = liveOrder(own.desk);
    for (const listener of [first, second])
      expect(
        (await listener.updates(2)).map(({ event, order: { id } }) => [
          event,
          id,
        ]),
      ).toEqual([
        ["pending_new", order.id],
        ["new", order.id],
      ]);
    await other.pong();
    expect(other.waiting).toBe(0);
  });

  test("comes in binary frames, or in text frames, as the account has them", async () => {
    const own = await scene();
    const [alpha, beta] = [await own.listen(), await own.listen(BETA)];
    expect(new Set(alpha.kinds)).toEqual(new Set(["binary"]));
    expect(new Set(beta.kinds)).toEqual(new Set(["text"]));
  });

  test("is never sent again to who was away", async () => {
    const own = await scene();
    const order = liveOrder(own.desk);
    const listener = await own.listen();
    own.desk.end(order, "canceled");
    const [update] = await listener.updates(1);
    expect(update?.event).toBe("canceled");
  });
});

describe("a trade update", () => {
  const ENVELOPE = ["at", "event_id", "event", "timestamp", "order"];

  test("has the members of recorded frames, in their order, and times that fit one another", async () => {
    const own = await scene();
    const listener = await own.listen();
    const order = liveOrder(own.desk, { symbol: "DOGE/USD", qty: "129.7" });
    own.desk.fill(order, 129.7e9, "0.0851119", { isLast: true });
    const [pending, accepted, fill] = await listener.updates(3);
    if (!pending || !accepted || !fill) throw new Error("three are expected");
    expect(Object.keys(pending)).toEqual(ENVELOPE);
    expect(Object.keys(accepted)).toEqual([...ENVELOPE, "execution_id"]);
    expect(Object.keys(fill)).toEqual([
      ...ENVELOPE,
      "price",
      "qty",
      "position_qty",
      "execution_id",
      "swap_rate",
      "settle_date",
    ]);
    expect(fill).toMatchObject({
      price: "0.0851119",
      qty: "129.7",
      position_qty: "129.7",
      swap_rate: "1",
      order: {
        status: "filled",
        filled_qty: "129.7",
        filled_at: fill.timestamp,
      },
    });
    // The venue's time, cut to microseconds, is when the first of them was published.
    expect(pending.at.slice(0, -1)).toStartWith(pending.timestamp.slice(0, 19));
    expect(pending.timestamp >= pending.at.replace("Z", "")).toBe(true);
    for (const { at, timestamp, order: shown } of [accepted, fill]) {
      expect(at > timestamp).toBe(true);
      expect(shown.updated_at > timestamp).toBe(true);
    }
    expect(pending.order.updated_at < accepted.order.updated_at).toBe(true);
    expect(pending.event_id < accepted.event_id).toBe(true);
    expect(accepted.event_id < fill.event_id).toBe(true);
  });

  test("moves submitted_at to the routing where whole shares are ordered, and nowhere else", async () => {
    const own = await scene();
    for (const [request, moves] of [
      [{ qty: "3" }, true],
      [{ qty: "3.5" }, false],
      [{ symbol: "BTC/USD", qty: "3" }, false],
    ] as const) {
      const order = liveOrder(own.desk, request);
      expect(order.submitted_at > order.created_at).toBe(moves);
    }
  });

  test("of stocks settles on the next day of trading", async () => {
    const own = await scene({
      clock: { now: () => Date.parse("2026-11-25T16:00:00Z") },
    });
    const listener = await own.listen();
    own.desk.fill(liveOrder(own.desk), 10e9, "99", { isLast: true });
    const [, , fill] = await listener.updates(3);
    expect(fill?.settle_date).toBe("2026-11-27");
  });

  test("of a bust takes the execution back, of a correction changes its price", async () => {
    const own = await scene();
    const { desk } = own;
    const order = liveOrder(desk);
    const first = desk.fill(order, 4e9, "10", { isLast: false });
    const last = desk.fill(order, 6e9, "11", { isLast: true });
    const listener = await own.listen();
    desk.correct(order, last, "12");
    desk.bust(order, first);
    const updates = await listener.updates(2);
    expect(updates).toMatchObject([
      {
        event: "trade_correct",
        price: "12",
        qty: "6",
        position_qty: "10",
        previous_execution_id: last.executionId,
        order: { filled_qty: "10", filled_avg_price: "11.2" },
      },
      {
        event: "trade_bust",
        price: "10",
        qty: "-4",
        position_qty: "6",
        previous_execution_id: first.executionId,
        order: { filled_qty: "6", filled_avg_price: "12" },
      },
    ]);
    expect(own.venue.exchange.books.account(ALPHA.name).cashCents).toBe(
      100_000 - 6 * 1200,
    );
  });
});

describe("the sockets of one account", () => {
  test("are limited: one too many is an error and closed, until another one leaves", async () => {
    const own = await scene({ streamsPerAccount: 1 });
    const first = await own.listen();
    const refused = await own.dial();
    refused.send(AUTH);
    expect(await refused.nextText()).toBe(ERROR);
    await refused.closed;
    await own.listen(BETA);
    first.close();
    await first.closed;
    const next = await own.listen();
    liveOrder(own.desk);
    expect((await next.updates(1))[0]?.event).toBe("pending_new");
  });

  test("may say who they are twice: a socket does not stand in its own way", async () => {
    const own = await scene({ streamsPerAccount: 1 });
    const listener = await own.listen();
    listener.send(LEGACY);
    expect(await listener.next()).toMatchObject({
      data: { status: "authorized" },
    });
  });

  test("make room for the newest, the oldest first, where that is the rule", async () => {
    const own = await scene({
      streamsPerAccount: 2,
      streamsOverfull: "replace",
    });
    const [first, second] = [await own.listen(), await own.listen()];
    const third = await own.listen();
    await first.closed;
    liveOrder(own.desk);
    for (const listener of [second, third])
      expect((await listener.updates(1))[0]?.event).toBe("pending_new");
  });

  test("keep their slot for a while after a drop when the venue is told to, but not after a close", async () => {
    let nowMs = Date.now();
    const own = await scene({
      streamsPerAccount: 1,
      clock: { now: () => nowMs },
    });
    own.venue.inject({ kind: "slot-held", byMs: 90_000 });
    const closing = await own.listen();
    closing.close();
    await closing.closed;
    const dropped = await own.listen();
    own.venue.inject({ kind: "drop" });
    await dropped.closed;
    const tryAgain = async () => {
      const listener = await own.dial();
      listener.send(AUTH);
      return (await listener.next()).data.status ?? "refused";
    };
    nowMs += 89_999;
    expect(await tryAgain()).toBe("refused");
    nowMs += 1;
    expect(await tryAgain()).toBe("authorized");
  });
});

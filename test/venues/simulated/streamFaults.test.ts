import { describe, expect, test } from "bun:test";
import { SECOND, sleep, within } from "../../../src/clock.ts";
import { nanosOf } from "../../../schema/instant.ts";
import { readTradeFrame } from "../../../src/venues/alpaca/tradeUpdates.ts";
import type { Fault } from "../../../src/venues/simulated/faults.ts";
import { ALPHA, BETA, liveOrder, openScene } from "./wire.ts";

/** What two updates (`pending_new`, `new`) come to, a word for each frame. */
async function framesUnder(fault: Fault): Promise<string[]> {
  await using scene = await openScene();
  const listener = await scene.listen();
  scene.venue.inject(fault);
  liveOrder(scene.desk);
  await listener.pong();
  const words: string[] = [];
  while (listener.waiting > 0) words.push(wordFor(await listener.nextText()));
  return words;
}

function wordFor(text: string): string {
  try {
    const frame = readTradeFrame(text);
    return frame.type === "update" ? String(frame.data["event"]) : frame.type;
  } catch {
    return "unreadable";
  }
}

describe("updates under a fault", () => {
  test.each<[Fault, string[]]>([
    [{ kind: "mute" }, []],
    [{ kind: "mute", account: BETA.name }, ["pending_new", "new"]],
    [{ kind: "lose", count: 1 }, ["new"]],
    [{ kind: "duplicate" }, ["pending_new", "pending_new", "new", "new"]],
    [{ kind: "reorder" }, ["new", "pending_new"]],
    [{ kind: "behind" }, ["pending_new"]],
    [{ kind: "malformed", count: 1 }, ["unreadable", "new"]],
    [{ kind: "data-null" }, ["ignored", "pending_new", "ignored", "new"]],
    [{ kind: "stray-byte", count: 1 }, ["ignored", "pending_new", "new"]],
    [
      { kind: "unknown-event", count: 1 },
      ["reconsidered", "pending_new", "new"],
    ],
    [{ kind: "delay", byMs: 60_000, count: 1 }, ["new"]],
    [{ kind: "withdrawn" }, ["listening"]],
    [{ kind: "action-error" }, ["fault"]],
  ])("%j", async (fault, words) => {
    if (fault.kind === "action-error") return expectClosed(fault);
    expect(await framesUnder(fault)).toEqual(words);
  });

  async function expectClosed(fault: Fault): Promise<void> {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject(fault);
    expect(wordFor(await listener.nextText())).toBe("fault");
    await listener.closed;
  }

  test("come late, and in their order", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "delay", byMs: 60 });
    const startedMs = performance.now();
    liveOrder(scene.desk);
    const updates = await listener.updates(2);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(55);
    expect(updates.map(({ event }) => event)).toEqual(["pending_new", "new"]);
  });

  test("lack what documents call optional, and keep what tells executions apart", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "bare" });
    scene.desk.fill(liveOrder(scene.desk), 10e9, "99", { isLast: true });
    const updates = await listener.updates(3);
    expect(updates.map((update) => Object.keys(update))).toEqual([
      ["event", "timestamp", "order"],
      ["event", "timestamp", "order"],
      ["event", "timestamp", "order", "price", "qty", "execution_id"],
    ]);
  });

  test("come no sooner than their successor, in their order, and the last one with the first after the fault", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "behind" });
    const order = liveOrder(scene.desk);
    scene.venue.clear();
    scene.desk.end(order, "canceled");
    const updates = await listener.updates(3);
    expect(updates.map(({ event }) => event)).toEqual([
      "pending_new",
      "new",
      "canceled",
    ]);
  });

  test("tell times of one message with an offset and without, and mean the same", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "mixed-offsets" });
    const order = liveOrder(scene.desk);
    const [, update] = await listener.updates(2);
    const { created_at, expires_at } = update?.order ?? order;
    expect(created_at).toMatch(/\.\d+-0[45]:00$/);
    expect(expires_at).toEndWith("Z");
    expect(nanosOf(created_at)).toBe(nanosOf(order.created_at));
  });

  test("are in the books all the same", async () => {
    await using scene = await openScene();
    await scene.listen();
    scene.venue.inject({ kind: "mute" });
    liveOrder(scene.desk);
    const { books } = scene.venue.exchange;
    expect(books.counts(ALPHA.name).events).toBe(2);
  });

  test("go on as if nothing had been once the faults are cleared", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "lose" });
    scene.venue.inject({ kind: "duplicate" });
    liveOrder(scene.desk);
    scene.venue.clear();
    liveOrder(scene.desk);
    await listener.pong();
    expect(listener.waiting).toBe(2);
  });
});

test("the listening answer leaves trade_updates out as often as it is told to", async () => {
  await using scene = await openScene();
  scene.venue.inject({ kind: "partial-grant", count: 1 });
  const listener = await scene.dial();
  listener.send({
    action: "auth",
    key: ALPHA.keyId,
    secret: ALPHA.secretKey,
  });
  await listener.next();
  const grants: unknown[] = [];
  for (const _ of [1, 2]) {
    listener.send({ action: "listen", data: { streams: ["trade_updates"] } });
    grants.push((await listener.next()).data.streams);
  }
  expect(grants).toEqual([[], ["trade_updates"]]);
});

describe("sockets", () => {
  test("are cut without a close frame, those of the account alone", async () => {
    await using scene = await openScene();
    const [alpha, beta] = [await scene.listen(), await scene.listen(BETA)];
    scene.venue.inject({ kind: "drop", account: ALPHA.name });
    expect(await alpha.closed).toBe(1006);
    await beta.pong();
  });

  test("stay open half: no ping is answered, nothing comes, and nothing that is sent arrives", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "half-open" });
    liveOrder(scene.desk);
    const answered = listener.pong().then(() => "pong");
    answered.catch(() => undefined);
    const first = await Promise.race([
      answered,
      listener.closed,
      sleep(150).then(() => "silence"),
    ]);
    expect(first).toBe("silence");
    expect(listener.waiting).toBe(0);
    // Another socket is served meanwhile.
    await (await scene.listen()).pong();
  });

  test("stay open half for a while and are cut then", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "half-open", forMs: 80 });
    expect(await within(5 * SECOND, listener.closed, "not cut")).toBe(1006);
  });

  test.each([
    [{ kind: "upgrade-429", count: 1 }, "429"],
    [{ kind: "upgrade-406", count: 1 }, "406"],
  ] as const)("are refused at the door: %j", async (fault) => {
    await using scene = await openScene();
    scene.venue.inject(fault);
    const refused = await fetch(`${scene.venue.url}/stream`);
    expect(refused.status).toBe(Number(fault.kind.slice(-3)));
    await scene.listen();
    scene.venue.inject(fault);
    await expect(scene.dial()).rejects.toThrow();
  });
});

test("an outage cuts what is open and takes nothing new, REST neither, until it is over", async () => {
  await using scene = await openScene();
  const listener = await scene.listen();
  scene.venue.inject({ kind: "outage" });
  expect(await listener.closed).toBe(1006);
  await expect(scene.dial()).rejects.toThrow();
  await expect(scene.get("/v2/account")).rejects.toThrow();
  scene.venue.clear();
  await scene.listen();
  expect(await scene.get("/v2/clock")).toHaveProperty("is_open");
});

describe("a script of faults", () => {
  test("strikes at its times, again and again where it says so", async () => {
    await using scene = await openScene({
      faults: [
        { kind: "drop", atMs: 300, everyMs: 100 },
        { kind: "lose", count: 1, atMs: 0 },
      ],
    });
    for (const _ of [1, 2, 3])
      expect(await (await scene.listen()).closed).toBe(1006);
  });

  test("may leave a strike to chance", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "drop", chance: 1e-9 });
    await listener.pong();
    scene.venue.inject({ kind: "drop", chance: 1 });
    expect(await listener.closed).toBe(1006);
  });

  test("that names an account the venue does not have is refused at the start", async () => {
    await expect(
      openScene({ faults: [{ kind: "mute", account: "gamma", atMs: 0 }] }),
    ).rejects.toThrow("there is no account gamma");
  });
});

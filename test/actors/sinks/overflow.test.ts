/** Sinks whose sources never wait: what becomes of a burst that is faster than the store. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createActor } from "xstate";
import {
  PartlyWrittenError,
  sink,
  type Writer,
} from "../../../actors/sinks/sink.ts";
import { stateOf } from "../../../actors/supervision/state.ts";
import type { Trade } from "../../../schema/market.ts";
import {
  offerOrSetAside,
  type Outbox,
  undeliveredCount,
} from "../../../src/flow/outbox.ts";
import { BoundedQueue } from "../../../src/flow/queue.ts";
import { openRing, type Ring } from "../../../src/flow/ring.ts";
import { openSpool, type Spool } from "../../../src/flow/spool.ts";
import { until } from "../../support/redis.ts";

const BURST = 500_000;
const FRAME = 500;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "overflow-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** The number of a trade is its size. */
const tradeOf = (size: number): Trade => ({
  kind: "trade",
  symbol: "AAPL",
  price: 172.42,
  size,
  timestamp: "2026-09-18T13:30:00.123456789Z",
  receivedAtMs: 1,
});

/** A store that takes as long as it takes, and remembers the numbers in the order they came. */
class SlowStore implements Writer<Trade> {
  readonly bounds = { sizeMax: 1000, waitMsMax: 1 };
  readonly sizes: number[] = [];
  closed = 0;
  /** What happens before a batch is taken. */
  before: (items: readonly Trade[]) => Promise<unknown> = () => Bun.sleep(1);

  async open(): Promise<void> {}
  async ping(): Promise<void> {}
  async write(items: readonly Trade[]): Promise<void> {
    await this.before(items);
    for (const { size } of items) this.sizes.push(size);
  }
  close(): void {
    this.closed++;
  }
}

function start(spool: Spool<Trade>, store: SlowStore) {
  const outbox: Outbox<Trade> = {
    sink: "store",
    queue: new BoundedQueue(10_000),
    spool,
    inFlight: [],
  };
  const states: string[] = [];
  // The logic does not know what it carries; its input does.
  const input = { outbox, writer: store } as never;
  const actor = createActor(sink, { input });
  actor.subscribe({
    next: () => {
      const state = stateOf(actor);
      if (states.at(-1) !== state) states.push(state);
    },
    error: () => states.push("failed"),
  });
  actor.start();
  return { outbox, actor, states };
}

/** Frames of trades as a socket brings them, with room in between for others to work. */
async function burst(outbox: Outbox<Trade>, from: number, count: number) {
  let refused = 0;
  for (let size = from; size < from + count; size++) {
    if (!offerOrSetAside(outbox, tradeOf(size))) refused++;
    if (size % FRAME === 0) await new Promise(setImmediate);
  }
  return refused;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

const keeping = () =>
  openSpool<Trade>({ path: join(directory, "spool"), sinks: ["store"] });

describe("a burst of 500,000 trades that the store cannot follow", () => {
  test("loses none when it is kept, and nothing overtakes", async () => {
    const store = new SlowStore();
    const { outbox, actor, states } = start(keeping(), store);
    await until(() => stateOf(actor) === "direct.taking");
    expect(await burst(outbox, 0, BURST)).toBe(0);
    await until(() => store.sizes.length >= BURST);
    expect(Bun.deepEquals(store.sizes, range(0, BURST))).toBe(true);
    // Behind it the way is the short one again.
    await until(() => stateOf(actor) === "direct.taking");
    expect(states.slice(2, 4)).toEqual(["direct.taking", "replaying"]);
    expect(undeliveredCount(outbox)).toEqual({ memory: 0, disk: 0 });
    actor.stop();
    outbox.spool.close();
    expect(store.closed).toBe(1);
  }, 60_000);

  test("when it is to drop: what arrives and what was dropped are together the burst, to the trade", async () => {
    const store = new SlowStore();
    const gone: number[] = [];
    const ring: Ring<Trade> = openRing({
      lengthMax: 50_000,
      onDropped: ({ size }) => gone.push(size),
    });
    store.before = () => Bun.sleep(20);
    const { outbox, actor } = start(ring, store);
    await until(() => stateOf(actor) === "direct.taking");
    expect(await burst(outbox, 0, BURST)).toBe(0);
    store.before = () => Bun.sleep(0);
    await until(() => store.sizes.length + ring.dropped >= BURST);
    expect(ring.dropped).toBeGreaterThan(100_000);
    expect(ring.dropped).toBe(gone.length);
    expect(isRising(store.sizes)).toBe(true);
    expect(isRising(gone)).toBe(true);
    expect(
      Bun.deepEquals(
        [...store.sizes, ...gone].sort((a, b) => a - b),
        range(0, BURST),
      ),
    ).toBe(true);
    actor.stop();
  }, 60_000);
});

test("a store that fails and comes back, again and again, in the middle of a burst gets everything, each once", async () => {
  const store = new SlowStore();
  let batches = 0;
  // Every fourth batch it takes a part and breaks, every seventh nothing of it.
  store.before = async (items) => {
    batches++;
    await Bun.sleep(1);
    if (batches % 7 === 0) throw new Error("gone");
    if (batches % 4 !== 0) return;
    const taken = items.slice(0, items.length >> 1);
    for (const { size } of taken) store.sizes.push(size);
    throw new PartlyWrittenError(taken.length, "gone in the middle");
  };
  const { outbox, actor } = start(keeping(), store);
  expect(await burst(outbox, 0, 5000)).toBe(0);
  for (let round = 1; round < 4; round++) {
    await burst(outbox, round * 5000, 5000);
    await Bun.sleep(100);
  }
  store.before = async () => {};
  await until(() => store.sizes.length >= 20_000);
  expect(store.sizes).toEqual(range(0, 20_000));
  actor.stop();
  outbox.spool.close();
}, 60_000);

test("a steady flow after an outage leaves the spool behind: the sink is direct again while it flows", async () => {
  const store = new SlowStore();
  let isAway = true;
  store.open = async () => {
    if (isAway) throw new Error("away");
  };
  const { outbox, actor, states } = start(keeping(), store);
  let size = 0;
  const flow = setInterval(() => {
    for (let count = 0; count < 100; count++)
      offerOrSetAside(outbox, tradeOf(size++));
  }, 5);
  await until(() => outbox.spool.depth("store") > 5000);
  isAway = false;
  await until(() => states.at(-1) === "direct.taking");
  clearInterval(flow);
  await until(() => store.sizes.length === size);
  expect(store.sizes).toEqual(range(0, size));
  actor.stop();
  outbox.spool.close();
}, 60_000);

test("shutdown while the sink is behind ends it at once; what is left lies in the spool, in order", async () => {
  const store = new SlowStore();
  const writing = Promise.withResolvers<void>();
  store.before = () => writing.promise;
  const { outbox, actor } = start(keeping(), store);
  await until(() => stateOf(actor) === "direct.taking");
  await burst(outbox, 0, 1000);
  await until(() => outbox.inFlight.length > 0);
  await burst(outbox, 1000, 20_000);
  actor.send({ type: "shutdown" });
  expect(stateOf(actor)).toBe("direct.flushing");
  writing.resolve();
  await until(() => stateOf(actor) === "finished");
  const left = outbox.spool.read("store", 100_000).map(({ item }) => item.size);
  const waiting = outbox.queue.takeUpTo(100_000).map((item) => item.size);
  expect([...store.sizes, ...left, ...waiting]).toEqual(range(0, 21_000));
  outbox.spool.close();
});

function isRising(numbers: readonly number[]): boolean {
  return numbers.every(
    (each, index) => index === 0 || each > numbers[index - 1]!,
  );
}

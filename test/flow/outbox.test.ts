import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { SECOND } from "../../src/clock.ts";
import { SpoolFullError } from "../../src/errors.ts";
import {
  offerOrSetAside,
  type Outbox,
  releaseBatch,
  setAside,
  takeBatch,
  undeliveredCount,
  whenKept,
} from "../../src/flow/outbox.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";
import { openRing } from "../../src/flow/ring.ts";
import { openSpool, type Spool } from "../../src/flow/spool.ts";

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

function outboxOf(
  lengthMax: number,
  spool: Spool<number> = openSpool({ path: ":memory:", sinks: ["store"] }),
): Outbox<number> {
  return {
    sink: "store",
    queue: new BoundedQueue(lengthMax),
    spool,
    inFlight: [],
  };
}

const offerAll = (outbox: Outbox<number>, items: readonly number[]) =>
  items.map((item) => offerOrSetAside(outbox, item));

/** What lies in the spool, oldest first. */
const spooled = ({ spool, sink }: Outbox<number>) =>
  spool.read(sink, 1000).map(({ item }) => item);

describe("an item for a sink that may be behind", () => {
  test("goes into the queue while there is room, and the spool is left alone", () => {
    const outbox = outboxOf(3);
    expect(offerAll(outbox, [0, 1, 2])).toEqual([true, true, true]);
    expect(spooled(outbox)).toEqual([]);
    expect(outbox.queue.takeUpTo(9)).toEqual([0, 1, 2]);
  });

  test("is behind everything that waits: the full queue goes to the spool", () => {
    const outbox = outboxOf(3);
    expect(offerAll(outbox, range(0, 8))).not.toContain(false);
    expect(spooled(outbox)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(undeliveredCount(outbox)).toEqual({ memory: 2, disk: 6 });
    expect(outbox.queue.takeUpTo(9)).toEqual([6, 7]);
  });

  test("is behind the batch in hand too, which the spool lets go once it is written", () => {
    const outbox = outboxOf(3);
    offerAll(outbox, range(0, 3));
    const batch = takeBatch(outbox, 2);
    offerAll(outbox, range(3, 7));
    expect(spooled(outbox)).toEqual([0, 1, 2, 3, 4]);
    expect(undeliveredCount(outbox)).toEqual({ memory: 2, disk: 5 });
    releaseBatch(outbox, batch);
    expect(spooled(outbox)).toEqual([2, 3, 4]);
    expect(outbox.inFlight).toEqual([]);
    expect(undeliveredCount(outbox)).toEqual({ memory: 2, disk: 3 });
  });

  test("of a batch of which only the front was written the rest stays in the spool, once", () => {
    const outbox = outboxOf(3);
    offerAll(outbox, range(0, 3));
    const batch = takeBatch(outbox, 3);
    offerAll(outbox, range(3, 7));
    releaseBatch(outbox, batch, 2);
    expect(spooled(outbox)).toEqual([2, 3, 4, 5]);
    setAside(outbox, 10);
    expect(spooled(outbox)).toEqual([2, 3, 4, 5, 6]);
    expect(undeliveredCount(outbox)).toEqual({ memory: 0, disk: 5 });
  });

  test("a batch that was not written at all is not put into the spool twice", () => {
    const outbox = outboxOf(2);
    offerAll(outbox, range(0, 2));
    const batch = takeBatch(outbox, 2);
    offerAll(outbox, range(2, 5));
    setAside(outbox, 10);
    expect(spooled(outbox)).toEqual([0, 1, 2, 3, 4]);
    // Its sink says so late: by now the spool has it, and gives it to the next one.
    releaseBatch(outbox, batch);
    expect(spooled(outbox)).toEqual([0, 1, 2, 3, 4]);
  });

  test("a ring lets none of the batch in hand give way, so that nothing counts as both written and dropped", () => {
    const ring = openRing<number>({ lengthMax: 4 });
    const outbox = outboxOf(3, ring);
    offerAll(outbox, range(0, 3));
    const batch = takeBatch(outbox, 2);
    offerAll(outbox, range(3, 20));
    releaseBatch(outbox, batch);
    expect(ring.dropped + spooled(outbox).length + outbox.queue.length).toBe(
      18,
    );
    expect([...spooled(outbox), ...outbox.queue.takeUpTo(9)]).toEqual([
      15, 16, 17, 18, 19,
    ]);
  });
});

describe("a spool that is full", () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test("takes no item, keeps the others in order, and is tried again after a second", () => {
    const memory = openSpool<number>({ path: ":memory:", sinks: ["store"] });
    let tries = 0;
    let isFull = true;
    const outbox = outboxOf(3, {
      ...memory,
      append(items) {
        tries++;
        if (isFull) throw new SpoolFullError("no room");
        memory.append(items);
      },
    });
    expect(offerAll(outbox, range(0, 6))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(tries).toBe(1);
    jest.advanceTimersByTime(SECOND);
    expect(offerOrSetAside(outbox, 6)).toBe(false);
    isFull = false;
    expect(offerOrSetAside(outbox, 7)).toBe(false);
    expect(tries).toBe(2);
    jest.advanceTimersByTime(SECOND);
    expect(offerOrSetAside(outbox, 8)).toBe(true);
    expect([...spooled(outbox), ...outbox.queue.takeUpTo(9)]).toEqual([
      0, 1, 2, 8,
    ]);
  });

  test("another failure of the disk is thrown, and costs no item that was there", () => {
    const memory = openSpool<number>({ path: ":memory:", sinks: ["store"] });
    const outbox = outboxOf(2, {
      ...memory,
      append() {
        throw new Error("disk I/O error");
      },
    });
    offerAll(outbox, [0, 1]);
    expect(() => offerOrSetAside(outbox, 2)).toThrow("disk I/O error");
    expect(outbox.queue.takeUpTo(9)).toEqual([0, 1]);
  });
});

test("however items come, are written, half written, given up and set aside: all arrive, each once, in order", () => {
  const step = fc.oneof(
    fc.record({ offer: fc.integer({ min: 1, max: 7 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ written: fc.nat(3) }),
    fc.constant("set aside" as const),
    fc.constant("replay" as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const outbox = outboxOf(4);
      const { sink, spool } = outbox;
      const store: number[] = [];
      let made = 0;
      for (const each of steps) {
        if (each === "set aside") setAside(outbox, 3);
        else if (each === "replay") {
          // A sink replays only after it has set aside what it had in hand.
          setAside(outbox, 3);
          const records = spool.read(sink, 3);
          store.push(...records.map(({ item }) => item));
          const last = records.at(-1);
          if (last !== undefined) spool.advance(sink, last.sequence);
        } else if ("offer" in each) {
          offerAll(outbox, range(made, made + each.offer));
          made += each.offer;
        } else if ("take" in each) {
          // And it takes from the queue only while nothing lies in the spool.
          if (spool.depth(sink) === 0) takeBatch(outbox, each.take);
        } else {
          const batch = outbox.inFlight;
          const count = Math.min(each.written, batch.length);
          store.push(...batch.slice(0, count));
          releaseBatch(outbox, batch, count);
        }
      }
      setAside(outbox, 3);
      expect([...store, ...spooled(outbox)]).toEqual(range(0, made));
      expect(undeliveredCount(outbox)).toEqual({
        memory: 0,
        disk: made - store.length,
      });
    }),
    { numRuns: 300 },
  );
});

test("what was taken is kept once it is written or on the disk, whatever came after it", async () => {
  const outbox = outboxOf(9);
  const { signal } = new AbortController();
  offerAll(outbox, [0, 1, 2]);
  let isKept = false;
  const kept = whenKept(outbox, signal).then(() => (isKept = true));
  const look = () => new Promise((resolve) => setTimeout(resolve, 60));
  await look();
  expect(isKept).toBe(false);
  const batch = takeBatch(outbox, 2);
  releaseBatch(outbox, batch);
  offerAll(outbox, [3, 4, 5]);
  takeBatch(outbox, 1);
  await look();
  expect(isKept).toBe(false);
  setAside(outbox, 1);
  await kept;
  expect(isKept).toBe(true);
});

test("waiting for what is never written ends with the stop", async () => {
  const outbox = outboxOf(9);
  offerAll(outbox, [0]);
  const stop = new AbortController();
  const kept = whenKept(outbox, stop.signal);
  stop.abort(new Error("stopped"));
  await expect(kept).rejects.toThrow("stopped");
});

import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { type Actor, createActor } from "xstate";
import { sink, type Writer } from "../../../actors/sinks/sink.ts";
import { reportOf, stateOf } from "../../../actors/supervision/state.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { type Outbox, undeliveredCount } from "../../../src/flow/outbox.ts";
import { BoundedQueue } from "../../../src/flow/queue.ts";
import { openSpool, type Spool } from "../../../src/flow/spool.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Whatever is under way without waiting for time has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function elapse(ms: number, stepMs = 50): Promise<void> {
  await settled();
  for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
    jest.advanceTimersByTime(Math.min(stepMs, leftMs));
    await settled();
  }
}

/** A store that is as the test wants it, and remembers what it was asked. */
class ScriptedStore implements Writer<string> {
  readonly bounds = { sizeMax: 3, waitMsMax: 100 };
  /** `open`, `write a b (time)`, `ping`. */
  readonly log: string[] = [];
  /** What is committed, in the order it came; twice when it was written twice. */
  readonly rows: string[] = [];
  /** What happens to each request; a rejection is a store that is away. */
  opens: () => Promise<void> = async () => {};
  takes: (items: readonly string[]) => Promise<void> = async () => {};
  answers: () => Promise<void> = async () => {};

  async open(): Promise<void> {
    this.log.push("open");
    await this.opens();
  }

  async write(items: readonly string[], trigger: string): Promise<void> {
    this.log.push(`write ${items.join(" ")} (${trigger})`);
    await this.takes(items);
    this.rows.push(...items);
  }

  async ping(): Promise<void> {
    this.log.push("ping");
    await this.answers();
  }
}

const away = async () => {
  throw new Error("connection refused");
};
const never = () => new Promise<void>(() => {});

interface Stage {
  readonly outbox: Outbox<string>;
  readonly store: ScriptedStore;
  put(...items: string[]): void;
  start(): Actor<typeof sink>;
  readonly errors: unknown[];
  readonly states: string[];
}

function stageOf(
  settings: { bytesMax?: number; spool?: Spool<string>; sink?: string } = {},
): Stage {
  const name = settings.sink ?? "store";
  const outbox: Outbox<string> = {
    sink: name,
    queue: new BoundedQueue(100),
    spool:
      settings.spool ??
      openSpool({
        path: ":memory:",
        sinks: [name],
        ...(settings.bytesMax === undefined
          ? {}
          : { bytesMax: settings.bytesMax }),
      }),
    inFlight: [],
  };
  const store = new ScriptedStore();
  const errors: unknown[] = [];
  const states: string[] = [];
  return {
    outbox,
    store,
    errors,
    states,
    put: (...items) => {
      for (const item of items) expect(outbox.queue.offer(item)).toBe(true);
    },
    start: () => {
      // The logic does not know what it carries; its input does.
      const input = { outbox, writer: store } as never;
      const actor = createActor(sink, { input });
      const look = () => {
        const state = stateOf(actor);
        if (states.at(-1) !== state) states.push(state);
      };
      actor.subscribe({ next: look, error: (error) => errors.push(error) });
      actor.start();
      return actor;
    },
  };
}

/** A sink whose store is open and whose spool is empty. */
async function direct(stage: Stage) {
  const actor = stage.start();
  await settled();
  expect(stateOf(actor)).toBe("direct.taking");
  stage.store.log.length = 0;
  stage.states.length = 0;
  return actor;
}

/** Everything that is in the store, on the disk, in hand or in the queue, each once, in that order. */
function everything({ store, outbox }: Stage): string[] {
  const spooled = outbox.spool
    .read(outbox.sink, 10_000)
    .map(({ item }) => item);
  return [
    ...new Set([
      ...store.rows,
      ...spooled,
      ...outbox.inFlight,
      ...outbox.queue.takeUpTo(10_000),
    ]),
  ];
}

const letters = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `item-${from + index}`);

describe("before the store is open", () => {
  test("what comes is on the disk at once, in order, and again when there is more", async () => {
    const stage = stageOf();
    stage.store.opens = never;
    stage.put("a", "b", "c", "d");
    const actor = stage.start();
    await settled();
    expect(undeliveredCount(stage.outbox)).toEqual({ memory: 0, disk: 4 });
    stage.put("e");
    await elapse(100);
    expect(undeliveredCount(stage.outbox)).toEqual({ memory: 0, disk: 5 });
    expect(everything(stage)).toEqual(["a", "b", "c", "d", "e"]);
    actor.stop();
  });

  test("the store is asked again with growing waits, and the tree shows why it cannot be had", async () => {
    const stage = stageOf();
    const asked: number[] = [];
    stage.store.opens = async () => {
      asked.push(Date.now());
      throw new Error("password authentication failed");
    };
    const actor = stage.start();
    await elapse(2 * MINUTE);
    const waits = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
    for (const [index, wait] of waits.entries()) {
      const longest = Math.min(500 * 2 ** index, 15_000);
      expect(wait).toBeGreaterThanOrEqual(longest / 2);
      expect(wait).toBeLessThanOrEqual(longest + 50);
    }
    expect(waits.length).toBeGreaterThan(8);
    expect(stateOf(actor)).toBe("spooling");
    expect(reportOf(actor)).toEqual({
      failures: asked.length,
      lastError: "password authentication failed",
    });
    actor.stop();
  });
});

describe("once the store is open", () => {
  test("the disk is replayed in order, then what comes goes straight to it", async () => {
    const stage = stageOf();
    const opening = Promise.withResolvers<void>();
    stage.store.opens = () => opening.promise;
    stage.put("a", "b", "c", "d");
    const actor = stage.start();
    await settled();
    stage.put("e");
    opening.resolve();
    await settled();
    expect(stage.states).toEqual(["spooling", "replaying", "direct.taking"]);
    stage.put("f");
    await elapse(100);
    expect(stage.store.log).toEqual([
      "open",
      "write a b c (size)",
      "write d e (size)",
      "write f (time)",
    ]);
    expect(undeliveredCount(stage.outbox)).toEqual({ memory: 0, disk: 0 });
    expect(reportOf(actor)).toEqual({});
    actor.stop();
  });

  test("what comes during the replay follows behind it", async () => {
    const stage = stageOf();
    const writing = Promise.withResolvers<void>();
    stage.store.takes = () => writing.promise;
    stage.put("a", "b", "c", "d");
    const actor = stage.start();
    await settled();
    stage.put("e", "f");
    writing.resolve();
    await elapse(100);
    expect(stage.store.rows).toEqual(["a", "b", "c", "d", "e", "f"]);
    expect(stage.states).toEqual(["spooling", "replaying", "direct.taking"]);
    actor.stop();
  });

  test.each<[trigger: string, items: string[], log: string[]]>([
    ["a full batch at once", ["a", "b", "c"], ["write a b c (size)"]],
    ["a part of one after its wait", ["a"], []],
    [
      "all full ones and not the rest",
      ["a", "b", "c", "d"],
      ["write a b c (size)"],
    ],
  ])("writes %s", async (_what, items, log) => {
    const stage = stageOf();
    const actor = await direct(stage);
    stage.put(...items);
    await settled();
    expect(stage.store.log).toEqual(log);
    await elapse(100);
    expect(stage.store.rows).toEqual(items);
    actor.stop();
  });
});

describe("a store that fails", () => {
  test.each<[when: string, arrange: (stage: Stage) => Promise<void>]>([
    [
      "while it is written to",
      async ({ store, put }) => {
        store.takes = away;
        put("a", "b", "c", "d");
        await settled();
      },
    ],
    [
      "in the middle of an idle hour",
      async ({ store, put }) => {
        store.answers = away;
        await elapse(5 * SECOND);
        put("a", "b", "c", "d");
        await settled();
      },
    ],
  ])(
    "%s costs nothing: what it did not take is on the disk, the rest follows",
    async (_when, arrange) => {
      const stage = stageOf();
      const actor = await direct(stage);
      stage.store.opens = away;
      await arrange(stage);
      expect(stateOf(actor)).toBe("spooling");
      expect(reportOf(actor)).toMatchObject({
        lastError: "connection refused",
      });
      stage.put("e");
      await elapse(100);
      expect(undeliveredCount(stage.outbox)).toEqual({ memory: 0, disk: 5 });

      Object.assign(stage.store, new ScriptedStore(), {
        log: stage.store.log,
        rows: stage.store.rows,
      });
      await elapse(20 * SECOND);
      expect(stateOf(actor)).toBe("direct.taking");
      expect(stage.store.rows).toEqual(["a", "b", "c", "d", "e"]);
      expect(undeliveredCount(stage.outbox)).toEqual({ memory: 0, disk: 0 });
      expect(reportOf(actor)).toEqual({});
      actor.stop();
    },
  );

  test("in the middle of the replay is replayed from the batch it did not take", async () => {
    const stage = stageOf();
    stage.put("a", "b", "c", "d", "e");
    let writes = 0;
    stage.store.takes = async () => {
      if (++writes === 2) throw new Error("gone");
    };
    const actor = stage.start();
    await elapse(SECOND);
    expect(stage.store.log).toEqual([
      "open",
      "write a b c (size)",
      "write d e (size)",
      "open",
      "write d e (size)",
    ]);
    expect(stage.store.rows).toEqual(["a", "b", "c", "d", "e"]);
    actor.stop();
  });

  test("after it has committed, without having said so, is given the batch again", async () => {
    const stage = stageOf();
    const actor = await direct(stage);
    let writes = 0;
    stage.store.takes = async (items) => {
      if (++writes > 1) return;
      stage.store.rows.push(...items);
      throw new Error("connection lost");
    };
    stage.put("a", "b", "c");
    await elapse(SECOND);
    expect(stage.store.rows).toEqual(["a", "b", "c", "a", "b", "c"]);
    actor.stop();
  });

  test("is found without anything to write: asked every 5 s of idleness", async () => {
    const stage = stageOf();
    const actor = await direct(stage);
    await elapse(16 * SECOND);
    expect(stage.store.log).toEqual(["ping", "ping", "ping"]);
    stage.store.answers = away;
    stage.store.opens = never;
    await elapse(5 * SECOND);
    expect(stateOf(actor)).toBe("spooling");
    expect(reportOf(actor)).toEqual({ lastError: "connection refused" });
    actor.stop();
  });

  test("that opens and then refuses every write is not hammered", async () => {
    const stage = stageOf();
    stage.store.takes = away;
    stage.put("a");
    const actor = stage.start();
    await elapse(MINUTE);
    const writes = stage.store.log.filter((line) => line.startsWith("write"));
    expect(writes.length).toBeLessThan(15);
    expect(stateOf(actor)).toBe("spooling");
    actor.stop();
  });
});

describe("a sink that is killed", () => {
  test.each<[when: string, takes: () => Promise<void>]>([
    ["while the store takes its time", never],
    ["by the store that took none of it", away],
  ])(
    "%s leaves its batch in hand for the next one, ahead of what came later",
    async (_when, takes) => {
      const stage = stageOf();
      const first = await direct(stage);
      stage.store.opens = never;
      stage.store.takes = takes;
      stage.put("a", "b", "c");
      await settled();
      first.stop();
      stage.put("d");
      stage.store.opens = async () => {};
      stage.store.takes = async () => {};
      const next = stage.start();
      await settled();
      expect(stage.store.rows).toEqual(["a", "b", "c", "d"]);
      expect(stage.outbox.inFlight).toEqual([]);
      next.stop();
    },
  );

  test("and whose write ends late does not release what the next one holds", async () => {
    const stage = stageOf();
    const first = await direct(stage);
    const late = Promise.withResolvers<void>();
    stage.store.takes = () => late.promise;
    stage.put("a", "b", "c");
    await settled();
    first.stop();
    stage.store.takes = async () => {};
    const next = stage.start();
    await settled();
    stage.store.takes = never;
    stage.put("d", "e", "f");
    await settled();
    expect(stage.outbox.inFlight).toEqual(["d", "e", "f"]);
    late.resolve();
    await settled();
    expect(stage.outbox.inFlight).toEqual(["d", "e", "f"]);
    next.stop();
  });

  test("during the replay has lost nothing: the cursor moves behind the write", async () => {
    const stage = stageOf();
    stage.put("a", "b");
    stage.store.takes = never;
    const first = stage.start();
    await settled();
    expect(stateOf(first)).toBe("replaying");
    first.stop();
    expect(undeliveredCount(stage.outbox)).toEqual({ memory: 0, disk: 2 });
    stage.store.takes = async () => {};
    const next = stage.start();
    await settled();
    expect(stage.store.rows).toEqual(["a", "b"]);
    next.stop();
  });
});

describe("a full disk", () => {
  const big = (name: string) => `${name} ${"x".repeat(10_000)}`;
  const names = (items: readonly string[]) =>
    items.map((item) => item.split(" ")[0]);

  /** A disk for about eight of twelve large items, and a store that is away. */
  async function full() {
    const stage = stageOf({ bytesMax: 128 * 1024 });
    stage.store.opens = away;
    stage.put(...letters(12).map(big));
    const actor = stage.start();
    await settled();
    return { stage, actor };
  }

  test("is a state of its own that says so; nothing more is taken, nothing is lost", async () => {
    const { stage, actor } = await full();
    expect(stateOf(actor)).toBe("full");
    expect(reportOf(actor)).toEqual({
      lastError: expect.stringContaining("the spool :memory: can take no more"),
    });
    expect(stage.outbox.spool.status().full).toBe(true);
    const { memory } = undeliveredCount(stage.outbox);
    expect(memory).toBeGreaterThan(2);
    stage.put("late");
    await elapse(MINUTE);
    expect(stateOf(actor)).toBe("full");
    expect(undeliveredCount(stage.outbox).memory).toBe(memory + 1);
    expect(names(everything(stage))).toEqual([...letters(12), "late"]);
    actor.stop();
  });

  test("is left when the store comes back, everything in order", async () => {
    const { stage, actor } = await full();
    stage.put("late");
    stage.store.opens = async () => {};
    await elapse(16 * SECOND);
    expect(stateOf(actor)).toBe("direct.taking");
    expect(names(stage.store.rows)).toEqual([...letters(12), "late"]);
    expect(stage.outbox.spool.status()).toMatchObject({
      full: false,
      records: 0,
    });
    expect(reportOf(actor)).toEqual({});
    actor.stop();
  });

  test("is tried again every 5 s, for somebody may make room", async () => {
    const { stage, actor } = await full();
    const before = undeliveredCount(stage.outbox);
    // Another sink's records are delivered meanwhile: here, ours by hand.
    const oldest = stage.outbox.spool.read("store", 6);
    stage.outbox.spool.advance("store", oldest.at(-1)?.sequence ?? 0);
    await elapse(5 * SECOND);
    expect(stateOf(actor)).toBe("spooling");
    expect(before.memory).toBeGreaterThan(0);
    expect(undeliveredCount(stage.outbox).memory).toBe(0);
    actor.stop();
  });

  test("while the store is up and slow only keeps items in the queue", async () => {
    const stage = stageOf({ bytesMax: 128 * 1024 });
    stage.put(...letters(6).map(big));
    const slow = Promise.withResolvers<void>();
    stage.store.takes = () => slow.promise;
    const actor = stage.start();
    await settled();
    expect(stateOf(actor)).toBe("replaying");
    stage.put(...letters(12, 6).map(big));
    slow.resolve();
    await settled();
    expect(stage.states).toEqual(["spooling", "replaying", "direct.taking"]);
    await elapse(100);
    expect(names(stage.store.rows)).toEqual(letters(18));
    actor.stop();
  });
});

test("a broken disk fails the sink, which is for its supervisor to decide; what it held is still there", async () => {
  const memory = openSpool<string>({ path: ":memory:", sinks: ["store"] });
  const spool: Spool<string> = {
    ...memory,
    append: () => {
      throw new Error("database disk image is malformed");
    },
  };
  const stage = stageOf({ spool });
  stage.store.opens = never;
  stage.put("a");
  stage.start();
  await settled();
  expect(stage.errors).toEqual([new Error("database disk image is malformed")]);
  expect(everything(stage)).toEqual(["a"]);
});

test("two sinks on one spool have a cursor each: one store that is away does not hold up the other, and misses nothing", async () => {
  const spool = openSpool<string>({
    path: ":memory:",
    sinks: ["quick", "away"],
  });
  const quick = stageOf({ spool, sink: "quick" });
  const other = stageOf({ spool, sink: "away" });
  other.store.opens = away;
  spool.append(["a", "b", "c", "d"]);
  const actors = [quick.start(), other.start()];
  await settled();
  expect(quick.store.rows).toEqual(["a", "b", "c", "d"]);
  expect([spool.depth("quick"), spool.depth("away")]).toEqual([0, 4]);
  expect(spool.status().records).toBe(4);
  other.store.opens = async () => {};
  await elapse(16 * SECOND);
  expect(other.store.rows).toEqual(["a", "b", "c", "d"]);
  expect(spool.status().records).toBe(0);
  for (const actor of actors) actor.stop();
});

describe("shutdown", () => {
  test("of an idle sink flushes what has just come and is done", async () => {
    const stage = stageOf();
    const actor = await direct(stage);
    stage.put("a", "b", "c", "d");
    actor.send({ type: "shutdown" });
    await settled();
    expect(actor.getSnapshot()).toMatchObject({
      status: "done",
      value: "stopped",
    });
    expect(stage.store.log).toEqual(["write a b c (flush)", "write d (flush)"]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("of one that is writing lets the write end, and flushes the rest", async () => {
    const stage = stageOf();
    const actor = await direct(stage);
    const writing = Promise.withResolvers<void>();
    stage.store.takes = () => writing.promise;
    stage.put("a", "b", "c", "d");
    await settled();
    actor.send({ type: "shutdown" });
    await settled();
    expect(stateOf(actor)).toBe("direct.flushing");
    writing.resolve();
    await settled();
    expect(stateOf(actor)).toBe("finished");
    expect(stage.store.log).toEqual(["write a b c (size)", "write d (flush)"]);
    expect(everything(stage)).toEqual(["a", "b", "c", "d"]);
  });

  test.each<[state: string, arrange: (stage: Stage) => Promise<unknown>]>([
    ["spooling", async ({ store }) => (store.opens = never)],
    ["spooling", async ({ store }) => (store.opens = away)],
    ["replaying", async ({ store }) => (store.takes = never)],
    [
      "full",
      async ({ store, outbox }) => {
        store.opens = away;
        outbox.queue.offer("x".repeat(200_000));
      },
    ],
  ])(
    "of one that is %s ends it at once and leaves everything where it is",
    async (state, arrange) => {
      const stage = stageOf({ bytesMax: 64 * 1024 });
      stage.put("a", "b");
      await arrange(stage);
      const before = stage.outbox.queue.length;
      const actor = stage.start();
      await settled();
      expect(stateOf(actor)).toBe(state);
      actor.send({ type: "shutdown" });
      expect(actor.getSnapshot()).toMatchObject({
        status: "done",
        value: "stopped",
      });
      expect(everything(stage)).toHaveLength(before);
      expect(jest.getTimerCount()).toBe(0);
      const asked = stage.store.log.length;
      await elapse(MINUTE);
      expect(stage.store.log).toHaveLength(asked);
    },
  );

  test("while the store fails ends it too: what was not taken stays in hand and in the queue", async () => {
    const stage = stageOf();
    const actor = await direct(stage);
    stage.put("a", "b", "c", "d");
    stage.store.takes = away;
    actor.send({ type: "shutdown" });
    await settled();
    expect(actor.getSnapshot()).toMatchObject({
      status: "done",
      value: "stopped",
    });
    expect(stage.errors).toEqual([]);
    expect(undeliveredCount(stage.outbox)).toEqual({ memory: 4, disk: 0 });
    expect(everything(stage)).toEqual(["a", "b", "c", "d"]);
  });
});

type Step =
  | { readonly do: "put"; readonly count: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "mood"; readonly mood: "well" | "away" | "hung" | "half" }
  | { readonly do: "kill" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("put" as const),
    count: fc.integer({ min: 1, max: 9 }),
  }),
  fc.record({
    do: fc.constant("wait" as const),
    ms: fc.constantFrom(50, 100, 500, 5000, 20_000),
  }),
  fc.record({
    do: fc.constant("mood" as const),
    mood: fc.constantFrom(
      "well" as const,
      "away" as const,
      "hung" as const,
      "half" as const,
    ),
  }),
  fc.record({ do: fc.constant("kill" as const) }),
);

test("whatever fails in whatever order, everything arrives, and nothing overtakes", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 30 }),
      async (steps) => {
        jest.useFakeTimers();
        const stage = stageOf();
        const { store } = stage;
        const moods = {
          well: async () => {},
          away,
          hung: never,
          // Committed, and the answer was lost.
          half: async (items: readonly string[] = []) => {
            store.rows.push(...items);
            throw new Error("connection lost");
          },
        };
        const setMood = (mood: keyof typeof moods) => {
          store.takes = moods[mood];
          store.answers = mood === "half" ? away : moods[mood];
          store.opens = mood === "half" ? async () => {} : moods[mood];
        };
        let count = 0;
        let actor = stage.start();
        for (const each of steps) {
          if (each.do === "put") {
            if (count + each.count > 90) continue;
            stage.put(...letters(each.count, count));
            count += each.count;
          } else if (each.do === "wait") await elapse(each.ms, 250);
          else if (each.do === "mood") setMood(each.mood);
          else {
            actor.stop();
            actor = stage.start();
          }
        }
        actor.stop();
        setMood("well");
        actor = stage.start();
        await elapse(20 * SECOND, 250);
        actor.stop();
        // Twice is allowed, and once more in order; never missing, never ahead of its time.
        expect([...new Set(store.rows)]).toEqual(letters(count));
        expect(undeliveredCount(stage.outbox)).toEqual({
          memory: 0,
          disk: 0,
        });
        expect(stage.errors).toEqual([]);
      },
    ),
    { numRuns: 60 },
  ));

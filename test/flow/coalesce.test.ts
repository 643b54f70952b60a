import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MINUTE, SECOND } from "../../src/clock.ts";
import { Coalescer } from "../../src/flow/coalesce.ts";

/** One write a second and key, ten a second of all keys, three at once. */
const BOUNDS = { perKeyMs: SECOND, writesPerSecond: 10, burst: 3 };

function coalescerOf(bounds: Partial<typeof BOUNDS> = {}): Coalescer<number> {
  return new Coalescer<number>({ ...BOUNDS, ...bounds });
}

/** `A1 B2`: what may be written, key and value, in order. */
function taken(
  coalescer: Coalescer<number>,
  nowMs: number,
  countMax = 100,
): string {
  return [...coalescer.take(nowMs, countMax)]
    .map(([key, value]) => `${key}${value}`)
    .join(" ");
}

test("of many values of one key the latest is written, once", () => {
  const coalescer = coalescerOf();
  for (let value = 1; value <= 1000; value++) coalescer.set("A", value);
  expect(coalescer.waiting).toBe(1);
  expect(taken(coalescer, 0)).toBe("A1000");
  expect(coalescer.waiting).toBe(0);
  expect(taken(coalescer, MINUTE)).toBe("");
});

describe("one key", () => {
  test("is not written again before its interval is over, counted from the last try", () => {
    const coalescer = coalescerOf();
    coalescer.set("A", 1);
    expect(taken(coalescer, 500)).toBe("A1");
    coalescer.set("A", 2);
    expect(taken(coalescer, 1499)).toBe("");
    coalescer.set("A", 3);
    expect(taken(coalescer, 1500)).toBe("A3");
  });

  test("that is not due holds up no other", () => {
    const coalescer = coalescerOf();
    coalescer.set("A", 1);
    expect(taken(coalescer, 0)).toBe("A1");
    coalescer.set("A", 2);
    coalescer.set("B", 1);
    expect(taken(coalescer, 100)).toBe("B1");
  });
});

describe("all keys together", () => {
  test("may burst, and then share the rate", () => {
    const coalescer = coalescerOf();
    for (const key of "ABCDEF") coalescer.set(key, 1);
    expect(taken(coalescer, 0)).toBe("A1 B1 C1");
    expect(taken(coalescer, 99)).toBe("");
    expect(taken(coalescer, 100)).toBe("D1");
    expect(taken(coalescer, 300)).toBe("E1 F1");
  });

  test("save up no more than the burst, however long nobody writes", () => {
    const coalescer = coalescerOf();
    coalescer.take(0, 100);
    for (const key of "ABCDEF") coalescer.set(key, 1);
    expect(taken(coalescer, 60 * MINUTE)).toBe("A1 B1 C1");
  });

  test("take turns: who was written goes to the end of the queue", () => {
    const coalescer = coalescerOf({ perKeyMs: 0 });
    const written: string[] = [];
    for (let nowMs = 0; nowMs < 2 * SECOND; nowMs += 100) {
      for (const key of "ABCDE") coalescer.set(key, nowMs);
      written.push(...coalescer.take(nowMs, 100).keys());
    }
    expect(written.join("")).toBe("ABCDEABCDEABCDEABCDEAB");
  });

  test("are taken in portions where the store takes no more at once; the rest keep their place and their tokens", () => {
    const coalescer = coalescerOf();
    for (const key of "ABC") coalescer.set(key, 1);
    expect(taken(coalescer, 0, 2)).toBe("A1 B1");
    expect(taken(coalescer, 0, 2)).toBe("C1");
  });
});

describe("a write that failed", () => {
  test("gives its tokens back; its key waits its interval, and is then written with what came meanwhile", () => {
    const coalescer = coalescerOf();
    for (const key of "ABC") coalescer.set(key, 1);
    coalescer.failed([...coalescer.take(0, 100).keys()]);
    expect(coalescer.waiting).toBe(3);
    for (const key of "DEF") coalescer.set(key, 1);
    expect(taken(coalescer, 0)).toBe("D1 E1 F1");
    coalescer.set("B", 2);
    expect(taken(coalescer, 999)).toBe("");
    expect(taken(coalescer, 1300)).toBe("A1 B2 C1");
  });

  test("gives back no more than the burst", () => {
    const coalescer = coalescerOf();
    for (const key of "ABC") coalescer.set(key, 1);
    const keys = [...coalescer.take(0, 100).keys()];
    coalescer.take(10 * SECOND, 100);
    coalescer.failed(keys);
    for (const key of "DEFGH") coalescer.set(key, 1);
    expect(taken(coalescer, 10 * SECOND).split(" ")).toHaveLength(3);
  });
});

test("what is to be written once more is its latest value, and a key that never came is none", () => {
  const coalescer = coalescerOf();
  coalescer.set("A", 1);
  coalescer.take(0, 100);
  coalescer.set("A", 2);
  expect(taken(coalescer, SECOND)).toBe("A2");
  coalescer.again(["A", "B"]);
  expect(taken(coalescer, 2 * SECOND)).toBe("A2");
});

test("a clock that goes back gives nothing away", () => {
  const coalescer = coalescerOf();
  for (const key of "ABCDEF") coalescer.set(key, 1);
  expect(taken(coalescer, 10 * SECOND)).toBe("A1 B1 C1");
  expect(taken(coalescer, 0)).toBe("");
  expect(taken(coalescer, 100)).toBe("D1");
});

test("whatever comes and fails, no window holds more writes than rate and burst allow, and every key's last value is written in the end", () => {
  const step = fc.record({
    afterMs: fc.integer({ min: 0, max: 700 }),
    keys: fc.array(fc.constantFrom(..."ABCDEFGH"), { maxLength: 8 }),
    fails: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const coalescer = coalescerOf();
      const wanted = new Map<string, number>();
      const stored = new Map<string, number>();
      const writes: { key: string; atMs: number }[] = [];
      let nowMs = 0;
      const flush = (fails: boolean) => {
        const due = coalescer.take(nowMs, 5);
        if (fails) return coalescer.failed([...due.keys()]);
        for (const [key, value] of due) {
          stored.set(key, value);
          writes.push({ key, atMs: nowMs });
        }
      };
      steps.forEach(({ afterMs, keys, fails }, value) => {
        nowMs += afterMs;
        for (const key of keys) {
          coalescer.set(key, value);
          wanted.set(key, value);
        }
        flush(fails);
      });
      for (let rest = 0; rest < 20; rest++) {
        nowMs += 300;
        flush(false);
      }
      expect(stored).toEqual(wanted);
      expect(coalescer.waiting).toBe(0);
      writes.forEach(({ key, atMs }, index) => {
        const later = writes.slice(index + 1);
        const next = later.find((write) => write.key === key);
        expect((next?.atMs ?? Infinity) - atMs).toBeGreaterThanOrEqual(
          BOUNDS.perKeyMs,
        );
        const inSecond = writes.filter(
          (write) => atMs <= write.atMs && write.atMs < atMs + SECOND,
        );
        expect(inSecond.length).toBeLessThanOrEqual(
          BOUNDS.burst + BOUNDS.writesPerSecond,
        );
      });
    }),
    { numRuns: 200 },
  );
});

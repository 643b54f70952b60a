import { describe, expect, test } from "bun:test";
import type { MarketMessage } from "../../schema/market.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/clock.ts";
import { ActivityMemory } from "../../src/feeds/activity.ts";

/** A Wednesday, at the beginning of an hour. */
const START = Date.UTC(2026, 8, 16, 14);

const iso = (ms: number) => new Date(ms).toISOString();

function trade(symbol: string, timestamp: string | number): MarketMessage {
  return {
    kind: "trade",
    symbol,
    price: 1,
    size: 1,
    timestamp: typeof timestamp === "number" ? iso(timestamp) : timestamp,
    receivedAtMs: 1,
  };
}

function bar(
  symbol: string,
  startMs: number,
  span: "minute" | "updated" | "daily" = "minute",
): MarketMessage {
  return {
    kind: "bar",
    span,
    symbol,
    open: 1,
    high: 1,
    low: 1,
    close: 1,
    volume: 1,
    timestamp: iso(startMs),
    source: "alpaca:iex",
    receivedAtMs: 1,
  };
}

/** A connection that begins, and these symbols by their trades. */
function memoryOf(...trades: string[]): ActivityMemory {
  const memory = new ActivityMemory();
  memory.began(START);
  memory.expect({ trades, bars: [] }, START);
  return memory;
}

/** So many trades a minute come for so long; returns when it was over. */
function busy(
  memory: ActivityMemory,
  rates: Readonly<Record<string, number>>,
  fromMs: number,
  forMs: number,
): number {
  for (let at = fromMs; at < fromMs + forMs; at += MINUTE)
    for (const [symbol, perMinute] of Object.entries(rates))
      for (let count = 0; count < perMinute; count++) {
        const ms = at + Math.floor((count * MINUTE) / perMinute);
        memory.note([trade(symbol, ms)], ms);
      }
  return fromMs + forMs;
}

describe("what is usual", () => {
  test("is unknown at first", () => {
    const memory = memoryOf("A");
    expect(memory.expectedSince(START, START + HOUR)).toBeUndefined();
    expect(memory.mostOverdue(5, START + HOUR)).toEqual([
      { symbol: "A", expected: 0 },
    ]);
  });

  test("is learnt by symbol, and in sum for the feed", () => {
    const memory = memoryOf("A", "B");
    const end = busy(memory, { A: 30, B: 6 }, START, 30 * MINUTE);
    memory.note([], end);
    const later = end + MINUTE;
    expect(memory.expectedSince(end, later)).toBeCloseTo(36, 0);
    const overdue = memory.mostOverdue(5, later);
    expect(overdue.map(({ symbol }) => symbol)).toEqual(["A", "B"]);
    expect(overdue[0]?.expected).toBeCloseTo(31, 0);
    expect(memory.mostOverdue(1, later)).toHaveLength(1);
  });

  test("follows a change of habit within a quarter of an hour", () => {
    const memory = memoryOf("A");
    let end = busy(memory, { A: 60 }, START, 20 * MINUTE);
    end = busy(memory, { A: 6 }, end, 20 * MINUTE);
    expect(memory.expectedSince(end, end + MINUTE)).toBeLessThan(15);
  });

  test("at this hour is not what is usual at another; of an hour that is not known yet the one before is the guess", () => {
    const memory = memoryOf("A");
    const end = busy(memory, { A: 30 }, START, HOUR);
    const perMinute = (ms: number) => memory.expectedSince(ms, ms + MINUTE);
    expect(perMinute(end + 10 * MINUTE)).toBeCloseTo(30, 0);
    expect(perMinute(end + 5 * HOUR)).toBeUndefined();
    expect(perMinute(START + 7 * DAY)).toBeCloseTo(30, 0);
    expect(perMinute(START + DAY)).toBeUndefined();
  });

  test("of a symbol that is silent while its siblings speak sinks", () => {
    const memory = memoryOf("A", "B");
    let end = busy(memory, { A: 30, B: 30 }, START, 10 * MINUTE);
    end = busy(memory, { A: 30 }, end, 30 * MINUTE);
    const [first, second] = memory.mostOverdue(2, end + 10 * MINUTE);
    expect([first?.symbol, second?.symbol]).toEqual(["A", "B"]);
  });

  test("is not spoilt by a silence that may be the venue's fault, until REST has confirmed it", () => {
    const memory = memoryOf("A");
    const end = busy(memory, { A: 30 }, START, 20 * MINUTE);
    const silentTo = end + 20 * MINUTE;
    const usual = () => memory.expectedSince(silentTo, silentTo + MINUTE);
    memory.note([trade("A", silentTo)], silentTo);
    expect(usual()).toBeCloseTo(30, 0);
    memory.confirmSilence(silentTo);
    expect(usual()).toBeLessThan(6);
  });
});

describe("a new connection", () => {
  test("knows what was learnt, though nothing is subscribed at its beginning", () => {
    const memory = memoryOf("A", "B");
    const end = busy(memory, { A: 30, B: 6 }, START, 30 * MINUTE);
    const usual = memory.expectedSince(end, end + MINUTE);
    memory.began(end);
    memory.expect({ trades: [], bars: [] }, end);
    expect(memory.expectedSince(end, end + MINUTE)).toBeUndefined();
    memory.expect({ trades: ["A", "B"], bars: [] }, end);
    expect(memory.expectedSince(end, end + MINUTE)).toBeCloseTo(usual ?? 0, 3);
  });

  test("knows nothing of what the last one told", () => {
    const memory = memoryOf("A");
    memory.note([trade("A", START)], START);
    expect(memory.lastMessageMs).toBe(START);
    memory.began(START + MINUTE);
    memory.expect({ trades: ["A"], bars: [] }, START + MINUTE);
    expect(memory.lastMessageMs).toBeUndefined();
    expect(memory.toldTo("A")).toBeUndefined();
    expect(memory.expectedFrom("A")).toBe(START + MINUTE);
  });
});

describe("symbols that come and go", () => {
  test("are expected from the moment they come, and not any more when they are gone", () => {
    const memory = memoryOf("A");
    memory.expect({ trades: ["A", "B"], bars: [] }, START + HOUR);
    expect([memory.expectedFrom("A"), memory.expectedFrom("B")]).toEqual([
      START,
      START + HOUR,
    ]);
    memory.expect({ trades: ["B"], bars: [] }, START + 2 * HOUR);
    expect(memory.expectedFrom("A")).toBeUndefined();
    expect(memory.channelOf("A")).toBeUndefined();
    // Buffered messages may still come.
    memory.note([trade("A", START)], START + 2 * HOUR);
    expect(memory.toldTo("A")).toBeUndefined();
  });

  test("tell by their trades where they have both channels, and by bars where they have only these", () => {
    const memory = new ActivityMemory();
    memory.expect({ trades: ["A"], bars: ["A", "B"] }, START);
    expect([memory.channelOf("A"), memory.channelOf("B")]).toEqual([
      "trades",
      "bars",
    ]);
    expect(memory.hasBarsAlone).toBe(true);
    memory.expect({ trades: ["A", "B"], bars: ["A", "B"] }, START + SECOND);
    expect(memory.channelOf("B")).toBe("trades");
    expect(memory.hasBarsAlone).toBe(false);
  });

  test("are remembered, as many as a feed may have: those that went first are forgotten first", () => {
    const memory = memoryOf("A");
    const end = busy(memory, { A: 30 }, START, 10 * MINUTE);
    const usual = () => {
      memory.expect({ trades: ["A"], bars: [] }, end);
      return memory.expectedSince(end, end + MINUTE);
    };
    const others = Array.from({ length: 20_000 }, (_, index) => `S${index}`);
    memory.expect({ trades: others.slice(1), bars: [] }, end);
    memory.expect({ trades: [], bars: [] }, end);
    expect(usual()).toBeGreaterThan(20);
    memory.expect({ trades: others, bars: [] }, end);
    memory.expect({ trades: [], bars: [] }, end);
    expect(usual()).toBeUndefined();
  });
});

describe("how far a symbol was told of", () => {
  test.each<
    [what: string, messages: MarketMessage[], toldTo: number | undefined]
  >([
    ["nothing came", [], undefined],
    ["a trade", [trade("A", START + 5)], START + 5],
    ["a bar, to the end of its minute", [bar("A", START)], START + MINUTE],
    [
      "a bar, and a later trade",
      [bar("A", START), trade("A", START + 2 * MINUTE)],
      START + 2 * MINUTE,
    ],
    [
      "a bar of the minute of the trade before",
      [trade("A", START + 5), bar("A", START)],
      START + MINUTE,
    ],
    [
      "trades out of order: the latest",
      [trade("A", START + 9), trade("A", START + 5)],
      START + 9,
    ],
    [
      "trades out of order within a second, of which one has more digits",
      [
        trade("A", "2026-09-16T14:00:01.9Z"),
        trade("A", "2026-09-16T14:00:01.123456789Z"),
        trade("A", "2026-09-16T14:00:01Z"),
      ],
      START + 1900,
    ],
    [
      "an updated bar of a minute before",
      [bar("A", START + MINUTE), bar("A", START, "updated")],
      START + 2 * MINUTE,
    ],
    [
      "an updated bar, where no other came",
      [bar("A", START, "updated")],
      START + MINUTE,
    ],
    [
      "a bar of the day, which tells of no minute",
      [bar("A", START, "daily")],
      undefined,
    ],
    ["a sibling", [trade("B", START)], undefined],
  ])("%s", (_what, messages, toldTo) => {
    const memory = memoryOf("A", "B");
    memory.note(messages, START + HOUR);
    expect(memory.toldTo("A")).toBe(toldTo);
  });
});

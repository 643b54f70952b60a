import { describe, expect, test } from "bun:test";
import type { MarketMessage } from "../../schema/market.ts";
import { HOUR, MINUTE, SECOND } from "../../src/clock.ts";
import { ActivityMemory } from "../../src/feeds/activity.ts";
import { FeedWatch } from "../../src/feeds/watch.ts";

const START = Date.UTC(2026, 8, 16, 14);

interface Settings {
  readonly trades?: readonly string[];
  readonly bars?: readonly string[];
  readonly isOpen?: (ms: number) => boolean | undefined;
  readonly delayMs?: number;
}

/** A feed that has just begun to stream, and a venue's REST side; seconds are counted from then on. */
function sceneOf(settings: Settings = {}) {
  const { trades = ["A", "B"], bars = [], isOpen = () => true } = settings;
  const activity = new ActivityMemory();
  activity.began(START);
  activity.expect({ trades, bars }, START);
  const watch = new FeedWatch(activity, START, isOpen, settings.delayMs);
  /** What REST shows as each symbol's newest trade. */
  const rest = new Map<string, number>();
  const at = (second: number) => START + second * SECOND;
  const message = (members: object): MarketMessage =>
    ({ receivedAtMs: 1, ...members }) as MarketMessage;
  const scene = {
    watch,
    activity,
    at,
    /** Traded at the venue, told by nobody yet. */
    trade: (symbol: string, second: number) =>
      void rest.set(symbol, at(second)),
    /** The feed tells of a trade. */
    tell(symbol: string, second: number, onSecond = second) {
      const timestamp = new Date(at(second)).toISOString();
      const trade = message({ kind: "trade", symbol, timestamp });
      activity.note([trade], at(onSecond));
    },
    /** The feed tells of a minute. */
    tellBar(symbol: string, startSecond: number, onSecond: number) {
      const timestamp = new Date(at(startSecond)).toISOString();
      activity.note(
        [message({ kind: "bar", span: "minute", symbol, timestamp })],
        at(onSecond),
      );
    },
    /** Looks as the probe does, every 5 s, and asks REST when told to; the seconds of the questions. */
    look(fromSecond: number, toSecond: number): number[] {
      const asked: number[] = [];
      for (let second = fromSecond; second <= toSecond; second += 5) {
        const symbols = watch.question(at(second));
        if (symbols === undefined) continue;
        asked.push(second);
        const latest = symbols.flatMap((symbol) => {
          const ms = rest.get(symbol);
          return ms === undefined ? [] : [[symbol, ms] as const];
        });
        watch.answered(new Map(latest), at(second));
      }
      return asked;
    },
    verdict: (second: number) => watch.verdict(at(second)),
    /** The second at which it is found deaf, looking from `fromSecond` on. */
    deafAt(fromSecond: number, toSecond: number): number | undefined {
      for (let second = fromSecond; second <= toSecond; second += 5) {
        scene.look(second, second);
        if (scene.verdict(second).verdict === "deaf") return second;
      }
      return undefined;
    },
  };
  return scene;
}

describe("a feed in an open market", () => {
  test("is live while something comes, and REST is not asked", () => {
    const { tell, look, verdict } = sceneOf();
    for (let second = 0; second < 600; second += 5) {
      tell("A", second);
      expect(look(second, second)).toEqual([]);
    }
    expect(verdict(599)).toEqual({
      verdict: "live",
      reason: "message or link 4 s ago",
    });
  });

  test("that is silent for 45 s is looked into once a minute, and is quiet when REST shows nothing", () => {
    const { look, verdict } = sceneOf();
    expect(look(0, 200)).toEqual([45, 105, 165]);
    expect(verdict(200)).toEqual({
      verdict: "quiet",
      reason: "silent for 200 s; REST shows nothing missing 35 s ago",
    });
  });

  test("that is busy by habit is looked into after seconds", () => {
    const { tell, look } = sceneOf();
    for (let second = 0; second < 300; second += 0.5) tell("A", second);
    // At two a second nine are overdue within five.
    expect(look(300, 330)).toEqual([305]);
  });

  test("whose REST side does not answer is quiet, is never called deaf, and is asked again a minute later", () => {
    const { watch, at, verdict } = sceneOf();
    expect(watch.question(at(45))).toEqual(["A", "B"]);
    watch.unanswered(at(45));
    expect(watch.question(at(100))).toBeUndefined();
    expect(watch.question(at(105))).toBeDefined();
    expect(verdict(100)).toEqual({
      verdict: "quiet",
      reason: "silent for 100 s; REST was not asked",
    });
  });

  test("without any symbol is not asked for", () => {
    const { look, verdict } = sceneOf({ trades: [] });
    expect(look(0, 600)).toEqual([]);
    expect(verdict(600).verdict).toBe("quiet");
  });
});

describe("a trade that REST shows and the feed has not told", () => {
  test("makes the feed deaf only when it stays untold, and says from when on", () => {
    const { trade, tell, deafAt, watch, at, verdict } = sceneOf();
    tell("A", 10);
    tell("B", 20);
    trade("A", 10);
    trade("B", 30);
    // Silent since 20: asked at 65, awaited, asked again 8 s later.
    expect(deafAt(20, 120)).toBe(75);
    expect(verdict(75).reason).toBe(
      "REST shows trades of 1 symbols that the feed never delivered, first B",
    );
    expect(watch.deafFromMs).toBe(at(20));
  });

  test("is awaited, and forgotten when it comes late", () => {
    const { trade, tell, look, verdict, deafAt } = sceneOf();
    trade("A", 43);
    expect(look(0, 45)).toEqual([45]);
    tell("A", 43, 50);
    expect(look(50, 100)).toEqual([]);
    expect(verdict(60).verdict).toBe("live");
    expect(deafAt(100, 300)).toBeUndefined();
  });

  test("has ten seconds to come", () => {
    const { trade, deafAt } = sceneOf();
    trade("A", 44.5);
    expect(deafAt(45, 200)).toBe(55);
  });

  test("of a busy symbol counts from its first sight, not from the newest one", () => {
    const { trade, look, verdict } = sceneOf();
    for (let second = 1; second <= 45; second++) trade("A", second);
    look(45, 45);
    for (let second = 46; second <= 55; second++) trade("A", second);
    look(55, 55);
    expect(verdict(55).verdict).toBe("deaf");
  });

  test("from before the feed was live is none of its business, nor is one of the moment of subscribing", () => {
    const { trade, deafAt } = sceneOf();
    trade("A", -3600);
    trade("B", 4);
    expect(deafAt(0, 600)).toBeUndefined();
  });

  test("of a symbol that came later counts from then on", () => {
    const { activity, trade, deafAt, at } = sceneOf();
    trade("C", 100);
    activity.expect({ trades: ["A", "B", "C"], bars: [] }, at(200));
    expect(deafAt(200, 600)).toBeUndefined();
    trade("C", 700);
    expect(deafAt(700, 900)).toBeDefined();
  });

  test("of a symbol that went meanwhile is no reproach", () => {
    const { activity, trade, look, deafAt, at } = sceneOf();
    trade("A", 40);
    expect(look(45, 45)).toEqual([45]);
    activity.expect({ trades: ["B"], bars: [] }, at(50));
    expect(deafAt(50, 600)).toBeUndefined();
  });

  test("of one symbol makes the feed deaf while its siblings speak, once it is long overdue by its own habit", () => {
    const scene = sceneOf();
    const speak = (symbol: string, from: number, to: number) => {
      for (let second = from; second < to; second += 0.5)
        scene.tell(symbol, second);
    };
    speak("A", 0, 300);
    speak("B", 0, 300);
    let found: number | undefined;
    for (let second = 300; found === undefined && second < 420; second += 5) {
      scene.trade("B", second);
      scene.look(second, second);
      if (scene.verdict(second).verdict === "deaf") found = second;
      speak("A", second, second + 5);
    }
    expect(found).toBeLessThan(420);
    // Not from the last word of the feed, which speaks of others.
    expect(scene.watch.deafFromMs).toBe(scene.at(299.5));
  });
});

describe("symbols that are told of by bars alone", () => {
  test("are asked about sooner, and a trade is due with the bar of its minute", () => {
    const { trade, deafAt, watch, at } = sceneOf({
      trades: [],
      bars: ["A", "B"],
    });
    trade("A", 10);
    // The bar of the first minute comes at its end at the earliest.
    expect(deafAt(0, 200)).toBe(75);
    expect(watch.deafFromMs).toBe(at(0));
  });

  test("are told of by a bar up to the end of its minute", () => {
    const { trade, tellBar, deafAt } = sceneOf({ trades: [], bars: ["A"] });
    trade("A", 50);
    tellBar("A", 0, 61);
    expect(deafAt(60, 300)).toBeUndefined();
  });

  test("cost a question every half minute of silence at most", () => {
    const { look } = sceneOf({ trades: [], bars: ["A"] });
    expect(look(0, 600).length).toBeLessThanOrEqual(20);
  });
});

describe("while the market is closed", () => {
  const closed = () => false;

  test("a silence says so, and is looked into every ten minutes", () => {
    const { look, verdict } = sceneOf({ isOpen: closed });
    expect(look(0, 3600)).toEqual([600, 1200, 1800, 2400, 3000, 3600]);
    expect(verdict(3605)).toEqual({
      verdict: "closed",
      reason: "no session is open; REST shows nothing missing 5 s ago",
    });
  });

  test("a trade that is not told is still found", () => {
    const { trade, deafAt } = sceneOf({ isOpen: closed });
    trade("A", 500);
    expect(deafAt(0, 3600)).toBe(610);
  });

  test("the last minutes before the close count as open", () => {
    const { look, verdict } = sceneOf({ isOpen: (ms) => ms < START + MINUTE });
    expect(look(0, 300)).toEqual([45, 105, 165, 225, 285]);
    expect(verdict(300).verdict).toBe("quiet");
    expect(verdict(400).verdict).toBe("closed");
  });

  test("nobody knows, it counts as open", () => {
    const { look } = sceneOf({ isOpen: () => undefined });
    expect(look(0, 100)).toEqual([45]);
  });
});

describe("a feed that is delayed by a quarter of an hour", () => {
  const delayMs = 15 * MINUTE;

  test("is not reproached with what it will tell", () => {
    const { trade, tell, deafAt } = sceneOf({ delayMs });
    // REST shows it a quarter of an hour later as well.
    trade("A", -900 + 50);
    tell("A", -900 + 50, 52);
    expect(deafAt(50, 300)).toBeUndefined();
  });

  test("is deaf when it does not tell what REST shows, from its own time on", () => {
    const { trade, tell, deafAt, watch, at } = sceneOf({ delayMs });
    tell("A", -900 + 10, 10);
    trade("A", -900 + 50);
    expect(deafAt(50, 300)).toBe(65);
    expect(watch.deafFromMs).toBe(at(-900 + 10));
  });

  test("has its bars later, too", () => {
    const { trade, tellBar, deafAt } = sceneOf({
      trades: [],
      bars: ["A"],
      delayMs,
    });
    trade("A", -900 + 10);
    expect(deafAt(0, 60)).toBeUndefined();
    tellBar("A", -900, 61);
    expect(deafAt(65, 600)).toBeUndefined();
  });
});

test("a question never names more than 200 symbols", () => {
  const symbols = Array.from({ length: 1_000 }, (_, index) => `S${index}`);
  const { watch, at, look, trade } = sceneOf({ trades: symbols });
  expect(watch.question(at(60))).toHaveLength(200);
  for (const symbol of symbols) trade(symbol, 50);
  look(60, 60);
  expect(watch.question(at(70))).toHaveLength(200);
});

test("a night of silence costs a question every ten minutes, and the morning is what it was", () => {
  const opens = START + 10 * HOUR;
  const scene = sceneOf({ isOpen: (ms) => ms < START + HOUR || ms >= opens });
  for (let second = 0; second < 3600; second += 2) scene.tell("A", second);
  const night = scene.look(3600, 36_000 - 5);
  expect(night.length).toBeLessThan(65);
  scene.trade("A", 36_010);
  expect(scene.deafAt(36_000, 36_120)).toBeLessThan(36_120);
});

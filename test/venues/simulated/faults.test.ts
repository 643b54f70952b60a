import { describe, expect, test } from "bun:test";
import { ConfigError } from "../../../src/errors.ts";
import { Chance } from "../../../src/venues/simulated/chance.ts";
import {
  FAULT_KINDS,
  FaultBoard,
  readFault,
  readFaults,
  requireAccount,
} from "../../../src/venues/simulated/faults.ts";

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("a script of faults", () => {
  test("is read whole", () => {
    const script = [
      { kind: "drop", atMs: 0 },
      { kind: "mute", account: "alpha", forMs: 5000, atMs: 100, everyMs: 9000 },
      { kind: "lose", chance: 0.25, atMs: 1 },
      { kind: "rest-429", retryAfterS: 0, body: "text", count: 3, atMs: 2 },
    ] as const;
    expect(readFaults(JSON.stringify(script))).toEqual([...script]);
  });

  test.each<[string, string, string]>([
    ["nothing", "", "the fault script is no JSON: "],
    ["cut short", "[{", "the fault script is no JSON: "],
    ["one fault alone", "{}", "the fault script is no JSON array of faults"],
  ])("that is %s is refused", (_, text, problem) => {
    expect(problemsOf(() => readFaults(text))).toEqual([
      expect.stringContaining(problem),
    ]);
  });

  test("is refused with all that is wrong in it, each with its place", () => {
    const script = [
      { kind: "drop", atMs: 0 },
      { kind: "fall", atMs: 0 },
      { kind: "drop" },
      { kind: "delay", atMs: 0 },
      { kind: "mute", atMs: -1, chance: 0 },
      { kind: "mute", atMs: 0, for: 5 },
      { kind: "lose", atMs: 0, everyMs: 2 ** 31 },
      7,
    ];
    const problems = problemsOf(() => readFaults(JSON.stringify(script)));
    expect(problems.map((problem) => problem.split(":")[0])).toEqual([
      "fault 2, kind",
      "fault 3, atMs",
      "fault 4, byMs",
      "fault 5, atMs",
      "fault 5, chance",
      "fault 6",
      "fault 7, everyMs",
      "fault 8, atMs",
      "fault 8, kind",
    ]);
  });
});

test("every kind of fault is described", () => {
  expect(Object.keys(FAULT_KINDS)).toContain("half-open");
  expect(Object.values(FAULT_KINDS)).not.toContain("");
});

test.each<[object, string[]]>([
  [{ kind: "mute" }, []],
  [{ kind: "mute", account: "alpha" }, []],
  [{ kind: "outage" }, []],
  [
    { kind: "mute", account: "gamma" },
    ["fault mute: there is no account gamma; there are alpha, beta"],
  ],
  [
    { kind: "upgrade-429", account: "alpha" },
    ["fault upgrade-429: it strikes the whole venue, not one account"],
  ],
])("a fault that could never strike is refused: %j", (given, problems) => {
  const fault = readFault(given);
  expect(problemsOf(() => requireAccount(fault, ["alpha", "beta"]))).toEqual(
    problems,
  );
});

describe("the faults that are active", () => {
  let nowMs = 0;
  const board = () => {
    nowMs = 0;
    return new FaultBoard(() => nowMs, new Chance(1));
  };

  test("strike their account alone, those without one all", () => {
    const faults = board();
    faults.add({ kind: "mute", account: "alpha" });
    faults.add({ kind: "lose" });
    expect(faults.strikes("mute", "alpha")).toEqual({
      kind: "mute",
      account: "alpha",
    });
    expect(faults.strikes("mute", "beta")).toBeUndefined();
    expect(faults.strikes("lose", "alpha")).toEqual({ kind: "lose" });
    expect(faults.strikes("lose", undefined)).toEqual({ kind: "lose" });
    expect(faults.strikes("duplicate", "alpha")).toBeUndefined();
  });

  test("end when their time is over, or their effects are used up", () => {
    const faults = board();
    faults.add({ kind: "mute", forMs: 100 });
    faults.add({ kind: "lose", count: 2 });
    expect(faults.list().map(({ kind }) => kind)).toEqual(["mute", "lose"]);
    nowMs = 99;
    expect(faults.strikes("mute", "alpha")).toBeDefined();
    nowMs = 100;
    expect(faults.strikes("mute", "alpha")).toBeUndefined();
    expect(faults.strikes("lose", "alpha")).toBeDefined();
    expect(faults.strikes("lose", "beta")).toBeDefined();
    expect(faults.strikes("lose", "alpha")).toBeUndefined();
    expect(faults.list()).toEqual([]);
  });

  test("of one kind take turns: the first while it lasts, then the next", () => {
    const faults = board();
    faults.add({ kind: "rest-429", count: 1 });
    faults.add({ kind: "rest-429", retryAfterS: 5 });
    const strikes = [1, 2, 3].map(() => faults.strikes("rest-429", "alpha"));
    expect(strikes.map((fault) => fault?.retryAfterS)).toEqual([
      undefined,
      5,
      5,
    ]);
  });

  test("by chance have their effect on a share of the occasions, by seed the same ones", () => {
    const course = () => {
      const faults = board();
      faults.add({ kind: "lose", chance: 0.3 });
      return Array.from(
        { length: 1000 },
        () => faults.strikes("lose", "alpha") !== undefined,
      );
    };
    const strikes = course();
    const share = strikes.filter(Boolean).length / strikes.length;
    expect(Math.abs(share - 0.3)).toBeLessThan(0.05);
    expect(course()).toEqual(strikes);
  });

  test("are gone when they are cleared", () => {
    const faults = board();
    faults.add({ kind: "mute" });
    faults.clear();
    expect(faults.list()).toEqual([]);
    expect(faults.strikes("mute", "alpha")).toBeUndefined();
  });
});

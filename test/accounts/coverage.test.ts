import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  ACCOUNT_STREAMS,
  certificate,
  type Fact,
  gaps,
} from "../../src/accounts/coverage.ts";

const SECOND = 1000;
const at = (second: number) => new Date(second * SECOND);

function fact(
  stream: Fact["stream"],
  state: Fact["state"],
  from: number,
  to: number,
): Fact {
  return { stream, state, from: at(from), to: at(to), rows: 0 };
}

function shown(facts: readonly Fact[], to = 100): string[] {
  return certificate("alpha", facts, { from: 0, to: to * SECOND })
    .filter(({ stream }) => stream === "trade_updates")
    .map(
      ({ state, from, to: end }) =>
        `${state} ${Date.parse(from) / SECOND}..${Date.parse(end) / SECOND}`,
    );
}

test("without a fact every stream is unknown, from end to end", () => {
  const whole = { from: at(0).toISOString(), to: at(100).toISOString() };
  expect(certificate("alpha", [], { from: 0, to: 100 * SECOND })).toEqual(
    ACCOUNT_STREAMS.map((stream) => ({
      account: "alpha",
      stream,
      state: "unknown",
      ...whole,
    })),
  );
});

describe("of what is said twice", () => {
  test("having listened is stronger than having read back", () => {
    expect(
      shown([
        fact("trade_updates", "live", 10, 40),
        fact("trade_updates", "confirmed_empty", 30, 60),
      ]),
    ).toEqual([
      "unknown 0..10",
      "live 10..40",
      "confirmed_empty 40..60",
      "unknown 60..100",
    ]);
  });

  test("rows found once outlive a reading that found none", () => {
    expect(
      shown([
        fact("trade_updates", "healed", 20, 50),
        fact("trade_updates", "confirmed_empty", 10, 60),
      ]),
    ).toEqual([
      "unknown 0..10",
      "confirmed_empty 10..20",
      "healed 20..50",
      "confirmed_empty 50..60",
      "unknown 60..100",
    ]);
  });

  test("a deaf stretch takes back what its session claimed, and only that", () => {
    const facts = [
      fact("trade_updates", "live", 0, 80),
      fact("trade_updates", "deaf", 30, 90),
      fact("trade_updates", "confirmed_empty", 50, 60),
    ];
    expect(shown(facts)).toEqual([
      "live 0..30",
      "unknown 30..50",
      "confirmed_empty 50..60",
      "unknown 60..100",
    ]);
    expect(gaps(facts, "trade_updates", { from: 0, to: 100 * SECOND })).toEqual(
      [
        { from: 30 * SECOND, to: 50 * SECOND },
        { from: 60 * SECOND, to: 100 * SECOND },
      ],
    );
  });
});

test("facts of one stream say nothing of another", () => {
  const facts = [
    fact("orders", "healed", 0, 100),
    fact("trade_updates", "live", 0, 100),
  ];
  const range = { from: 0, to: 100 * SECOND };
  expect(gaps(facts, "orders", range)).toEqual([]);
  expect(gaps(facts, "activities", range)).toEqual([range]);
});

test("facts that reach beyond the range are cut to it", () => {
  expect(
    shown([
      fact("trade_updates", "live", -50, 40),
      fact("trade_updates", "live", 90, 900),
    ]),
  ).toEqual(["live 0..40", "unknown 40..90", "live 90..100"]);
});

test("whatever the facts, each instant of each stream is in exactly one state", () => {
  const facts = fc.array(
    fc
      .tuple(
        fc.constantFrom(...ACCOUNT_STREAMS),
        fc.constantFrom<Fact["state"][]>(
          "live",
          "healed",
          "confirmed_empty",
          "deaf",
        ),
        fc.integer({ min: -10, max: 110 }),
        fc.integer({ min: 0, max: 60 }),
      )
      .map(([stream, state, from, length]) =>
        fact(stream, state, from, from + length),
      ),
    { maxLength: 15 },
  );
  fc.assert(
    fc.property(facts, (list) => {
      const intervals = certificate("alpha", list, {
        from: 0,
        to: 100 * SECOND,
      });
      for (const stream of ACCOUNT_STREAMS) {
        let reached = at(0).toISOString();
        for (const { from, to } of intervals.filter(
          (interval) => interval.stream === stream,
        )) {
          expect(from).toBe(reached);
          reached = to;
        }
        expect(reached).toBe(at(100).toISOString());
      }
    }),
  );
});

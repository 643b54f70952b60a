import { describe, expect, test } from "bun:test";
import { planOf, type Running } from "../../src/commands/plan.ts";
import { readConfig } from "../../src/config.ts";

const SIMULATED = readConfig({});
const NONE = readConfig({ DESTINATIONS: "[]" });
const LIVE = readConfig({
  DESTINATIONS: "one,two",
  ALPACA_API_KEY_ONE: "AK1",
  ALPACA_SECRET_KEY_ONE: "one",
  ALPACA_API_KEY_TWO: "PK2",
  ALPACA_SECRET_KEY_TWO: "two",
  BACKFILL_DAYS: "30",
  DB_SCHEMA: "raw",
});

function runs(venue: Running["venue"], ...accounts: string[]): Running {
  return { venue, accounts: accounts.map((account) => ({ account })) };
}

const OPEN_SIMULATED = "open the simulated venue and its accounts";
const OPEN_ONE = [
  "create tables of one in raw, where they are not there",
  "open account one at wss://api.alpaca.markets/stream",
  "re-read orders and activities of one since its watermark, or of 30 days",
];
const OPEN_TWO = [
  "create tables of two in raw, where they are not there",
  "open account two at wss://paper-api.alpaca.markets/stream",
  "re-read orders and activities of two since its watermark, or of 30 days",
];

describe("the steps", () => {
  const cases: [
    what: string,
    config: typeof LIVE,
    running: Running | undefined,
    steps: string[],
  ][] = [
    [
      "from nothing to the simulated venue",
      SIMULATED,
      undefined,
      [OPEN_SIMULATED],
    ],
    [
      "from the simulated venue to itself",
      SIMULATED,
      runs("simulated", "paper"),
      [],
    ],
    [
      "from real accounts to the simulated venue",
      SIMULATED,
      runs("live", "one", "two"),
      ["close account one", "close account two", OPEN_SIMULATED],
    ],
    [
      "from nothing to two accounts",
      LIVE,
      undefined,
      [...OPEN_ONE, ...OPEN_TWO],
    ],
    ["from two accounts to the same two", LIVE, runs("live", "two", "one"), []],
    [
      "from one account to two, another going",
      LIVE,
      runs("live", "old", "one"),
      ["close account old", ...OPEN_TWO],
    ],
    [
      // An account of the same name there is another one.
      "from the simulated venue to real accounts",
      LIVE,
      runs("simulated", "one", "growth"),
      ["close account one", "close account growth", ...OPEN_ONE, ...OPEN_TWO],
    ],
    ["from nothing to no accounts", NONE, undefined, []],
    [
      "from real accounts to none",
      NONE,
      runs("live", "one"),
      ["close account one"],
    ],
  ];
  test.each(cases)("%s", (_what, config, running, steps) => {
    expect(
      planOf(config, running).map(({ action, what }) => `${action} ${what}`),
    ).toEqual(steps);
  });
});

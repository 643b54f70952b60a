import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HeartbeatInput } from "../../actors/control/heartbeat.ts";
import { marketControl, marketSinks } from "../../actors/market.ts";
import { type Environment, readConfig } from "../../src/config.ts";
import { createLogger } from "../../src/log.ts";
import { createMetrics } from "../../src/metrics.ts";
import { createTopology, type Topology } from "../../src/topology.ts";

let directory: string;
let topology: Topology | undefined;
afterEach(async () => {
  await topology?.close();
  topology = undefined;
  rmSync(directory, { recursive: true });
});

function children(environment: Environment, dryRun = false) {
  directory = mkdtempSync(join(tmpdir(), "market-children-"));
  const config = readConfig(
    {
      DESTINATIONS: "[]",
      ALPACA_API_KEY: "key",
      ALPACA_SECRET_KEY: "secret",
      FEEDKEEPER_DIR: directory,
      ...environment,
    },
    { flags: { dryRun } },
  );
  topology = createTopology(config, [], createMetrics(), {
    feedAccess: config.market.access,
  });
  const lines: string[] = [];
  const log = createLogger({
    destination: { write: (line) => void lines.push(line) },
  });
  return {
    market: topology.market,
    lines,
    sinks: marketSinks(topology, log),
    control: marketControl(topology, log),
  };
}

const REDIS = { REDIS_URL: "redis://127.0.0.1:1" };
const FIRESTORE = { FIRESTORE_EMULATOR_HOST: "127.0.0.1:1", TENANT_ID: "t" };

test.each<
  [what: string, environment: Environment, sinks: string, control: string]
>([
  ["nothing but a key", {}, "bars quotes-postgres", ""],
  ["Redis", REDIS, "bars redis quotes-postgres", "subscriptions"],
  [
    "Firestore",
    FIRESTORE,
    "bars quotes-postgres quotes-firestore",
    "heartbeat",
  ],
  [
    "both",
    { ...REDIS, ...FIRESTORE },
    "bars redis quotes-postgres quotes-firestore",
    "subscriptions heartbeat",
  ],
])(
  "with %s configured there are exactly its sinks",
  (_what, environment, sinks, control) => {
    const made = children(environment);
    const ids = (list: readonly { readonly id: string }[]) =>
      list.map(({ id }) => id).join(" ");
    expect([ids(made.sinks), ids(made.control)]).toEqual([sinks, control]);
    // Each is a child of its own: none may end for good because it failed once.
    for (const { restart } of [...made.sinks, ...made.control])
      expect(restart).toBe("permanent");
  },
);

test("without a key there is no market data, and nothing of it", () => {
  const made = children({ ALPACA_API_KEY: "", ALPACA_SECRET_KEY: "" });
  expect(made).toMatchObject({ market: undefined, sinks: [], control: [] });
});

describe("the heartbeat", () => {
  function pulse(environment: Environment = {}) {
    const made = children({
      ...FIRESTORE,
      SYMBOLS: "AAPL",
      CRYPTO_SYMBOLS: "BTC/USD",
      MONITORED_SYMBOLS: "SPY",
      ...environment,
    });
    const { market, control } = made;
    const beat = control.find(({ id }) => id === "heartbeat");
    const lane = market?.lanes.at(-1);
    if (market === undefined || lane === undefined) throw new Error("no lane");
    return { market, lane, input: beat?.input as HeartbeatInput };
  }
  const grant = (
    { feeds }: NonNullable<Topology["market"]>,
    ...counts: number[]
  ) => {
    for (const [index, { board }] of feeds.entries())
      board.granted = counts[index] ?? 0;
  };

  test("counts the quotes, the writes and the beats, and tells of the last symbol", () => {
    const { market, lane, input } = pulse();
    grant(market, 1, 1);
    Object.assign(market.quotes, { seen: 9, lastSymbol: "SPY" });
    Object.assign(lane.tally, { written: 5, failed: 2 });
    input.onBeat();
    expect(input.read()).toEqual({
      isWell: true,
      lastSymbol: "SPY",
      dryRun: false,
      counters: { quotes_seen: 9, writes_ok: 6, writes_err: 2 },
    });
  });

  test.each<
    [
      what: string,
      spoil: (made: ReturnType<typeof pulse>) => void,
      isWell: boolean,
    ]
  >([
    ["while both feeds deliver is well", () => {}, true],
    [
      "while one feed delivers nothing is not",
      ({ market }) => grant(market, 1, 0),
      false,
    ],
    [
      "while writes fail is not",
      ({ lane }) => void (lane.tally.isFailing = true),
      false,
    ],
  ])("%s", (_what, spoil, isWell) => {
    const made = pulse();
    grant(made.market, 1, 1);
    spoil(made);
    expect(made.input.read().isWell).toBe(isWell);
  });

  test("of a feed that is wanted for nothing is well without it", () => {
    const { market, input } = pulse({ CRYPTO_SYMBOLS: "[]" });
    grant(market, 1, 0);
    expect(input.read().isWell).toBe(true);
  });
});

test("a dry run has the same sinks, and none of them touches a store or the disk", async () => {
  const made = children({ ...REDIS, ...FIRESTORE }, true);
  expect(made.sinks.map(({ id }) => id)).toEqual([
    "bars",
    "redis",
    "quotes-postgres",
    "quotes-firestore",
  ]);
  const beat = made.control.find(({ id }) => id === "heartbeat");
  const { read, write } = beat?.input as HeartbeatInput;
  const { isWell: _, ...told } = read();
  await write({ ...told, status: "running" });
  expect(made.lines.map((line) => JSON.parse(line))).toMatchObject([
    { message: "dry_run_would_write", sink: "heartbeat" },
  ]);
  expect(told.dryRun).toBe(true);
  await topology?.close();
  topology = undefined;
  expect(readdirSync(directory)).toEqual([]);
});

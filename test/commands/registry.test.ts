import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setSystemTime,
  test,
} from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { auditBars, backfillBars } from "../../src/commands/barCommands.ts";
import { gaps } from "../../src/commands/gaps.ts";
import { registryRun } from "../../src/commands/registry.ts";
import { registryVenueOf } from "../../src/commands/registryParts.ts";
import { removeRunFile, writeRunFile } from "../../src/commands/runFile.ts";
import { snapshot } from "../../src/commands/snapshot.ts";
import {
  symbolsAdd,
  symbolsList,
  symbolsRemove,
  symbolsSet,
} from "../../src/commands/symbols.ts";
import { MINUTE } from "../../src/clock.ts";
import { type Config, readConfig } from "../../src/config.ts";
import {
  claimSymbol,
  findSymbol,
  listSymbols,
} from "../../src/stores/postgres/registry.ts";
import {
  minutesBetween,
  openStage,
  snapshotOf,
  type Stage,
} from "../registry/stage.ts";

/** What commands take for now: the session of Thursday is over. */
const NOW = Date.parse("2026-09-18T02:00:00Z");
const SESSION = minutesBetween("2026-09-17T13:30Z", "2026-09-17T20:00Z");

let stage: Stage;
let directory: string;
beforeAll(async () => {
  stage = await openStage();
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-registry-"));
});
beforeEach(async () => {
  await stage.clear();
  stage.at(NOW);
  setSystemTime(NOW);
});
afterEach(() => void setSystemTime());
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await stage[Symbol.asyncDispose]();
});

const configOf = (dryRun = false, more: Record<string, string> = {}): Config =>
  readConfig(
    {
      FEEDKEEPER_DIR: directory,
      POSTGRESQL_LIVE_CONN_STRING: stage.fresh.url,
      DESTINATIONS: "[]",
      POLYGON_API_KEY: "a-key",
      BACKFILL_DAYS: "7",
      ...more,
    },
    { flags: { dryRun } },
  );

async function ran(
  work: (io: {
    stdout: (text: string) => void;
    stderr: (text: string) => void;
    isTerminal: boolean;
  }) => Promise<number>,
  isTerminal = false,
) {
  let stdout = "";
  let stderr = "";
  const code = await work({
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    isTerminal,
  });
  return { code, stdout, stderr };
}

const plain = { dryRun: false };
const text = { dryRun: false, json: false };
const eventsIn = (stdout: string) =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .map(({ message, symbol }) => [message, symbol].filter(Boolean).join(" "));
const run = (
  symbols: readonly string[] = [],
  dryRun = false,
  isTerminal = false,
) =>
  ran(
    (io) => registryRun(configOf(dryRun), { dryRun, symbols }, io, stage.venue),
    isTerminal,
  );

describe("registry run", () => {
  test("runs the enabled symbols once by their strategies, and says how it went", async () => {
    await stage.add("AAPL", { strategy: "flatpack_snapshot_stream" });
    await stage.add("OFF", { enabled: false });
    stage.venue.minutes.set("AAPL", SESSION);
    stage.venue.snapshots.set("AAPL", snapshotOf("AAPL"));
    const { code, stdout } = await run();
    expect(code).toBe(0);
    expect(eventsIn(stdout)).toEqual([
      "orchestration_cycle_started",
      "symbol_execution_started AAPL",
      "symbol_execution_completed AAPL",
      "cycle_completed",
    ]);
    const entry = await findSymbol(stage.fresh.sql, "AAPL");
    expect([
      entry?.status,
      entry?.last_stream,
      (await stage.stored("AAPL")).length,
    ]).toEqual(["idle", expect.any(String), 390]);
  });

  test("is 1 when a symbol failed, whose row says why; the others are done", async () => {
    for (const symbol of ["BAD", "SPY"]) await stage.add(symbol);
    stage.venue.unknown.add("BAD");
    const { code, stdout } = await run();
    expect([
      code,
      eventsIn(stdout).includes("symbol_execution_failed BAD"),
    ]).toEqual([1, true]);
    const entries = await listSymbols(stage.fresh.sql);
    expect(
      entries.map(({ symbol, status, error_message }) => [
        symbol,
        status,
        error_message,
      ]),
    ).toEqual([
      ["BAD", "error", "BAD is not known to the venue"],
      ["SPY", "idle", null],
    ]);
  });

  test("leaves a symbol that another run has, and is 0", async () => {
    await stage.add("AAPL");
    await claimSymbol(stage.fresh.sql, "AAPL", "service", MINUTE);
    const { code, stdout } = await run(["AAPL"]);
    expect([code, eventsIn(stdout)[2], stage.venue.asked]).toEqual([
      0,
      "symbol_locked AAPL",
      [],
    ]);
  });

  test("of a symbol that is not registered is wrong usage, and runs nothing", async () => {
    await stage.add("AAPL");
    await expect(run(["AAPL", "NOPE"])).rejects.toThrow(
      "NOPE: is not in the registry",
    );
    expect(stage.venue.asked).toEqual([]);
  });

  test("as a dry run asks the venue and changes nothing", async () => {
    await stage.add("AAPL");
    stage.venue.minutes.set("AAPL", SESSION);
    const before = await listSymbols(stage.fresh.sql);
    expect((await run([], true)).code).toBe(0);
    expect([
      await listSymbols(stage.fresh.sql),
      await stage.stored("AAPL"),
    ]).toEqual([before, []]);
    expect(stage.venue.asked.at(-1)).toStartWith("bars AAPL");
  });

  test("draws its progress on a terminal only", async () => {
    await stage.add("AAPL");
    stage.venue.minutes.set("AAPL", SESSION);
    expect((await run([], false, true)).stderr).toContain(" % AAPL 200 bars");
    expect((await run()).stderr).toBe("");
  });
});

test("without a key the venue cannot be asked: the variable is named", () => {
  expect(() =>
    registryVenueOf(configOf(false, { POLYGON_API_KEY: "" })),
  ).toThrow("POLYGON_API_KEY");
});

test("with the simulated venue its Polygon is asked while the service runs, and no other", () => {
  const config = configOf(false, { VENUE: "simulated" });
  expect(() => registryVenueOf(config)).toThrow("none runs in");
  writeRunFile(directory, {
    pid: process.ppid,
    venueUrl: "http://127.0.0.1:1",
  });
  try {
    expect(registryVenueOf(config).files).toBeDefined();
  } finally {
    removeRunFile(directory);
  }
});

test("symbols are added, listed, set and removed; what is not there is 1", async () => {
  const config = configOf();
  const add = {
    ...plain,
    symbol: "AAPL",
    strategy: "flatpack",
    enabled: true,
  } as const;
  const lines = [
    await ran((io) => symbolsList(config, { ...text, enabledOnly: false }, io)),
    await ran((io) => symbolsAdd(config, add, io)),
    await ran((io) => symbolsAdd(config, add, io)),
    await ran((io) =>
      symbolsSet(config, { ...plain, symbol: "AAPL", status: "disabled" }, io),
    ),
    await ran((io) =>
      symbolsSet(config, { ...plain, symbol: "SPY", enabled: true }, io),
    ),
    await ran((io) =>
      symbolsRemove(configOf(true), { dryRun: true, symbol: "AAPL" }, io),
    ),
    await ran((io) => symbolsRemove(config, { ...plain, symbol: "AAPL" }, io)),
    await ran((io) => symbolsRemove(config, { ...plain, symbol: "AAPL" }, io)),
  ].map(
    ({ code, stdout, stderr }) =>
      `${code} ${(stdout + stderr).trim().replace(/ +/g, " ")}`,
  );
  expect(lines).toEqual([
    "0 the registry is empty: symbols add SYMBOL --strategy STRATEGY",
    "0 added AAPL flatpack idle history never",
    "0 changed AAPL flatpack idle history never",
    "0 changed AAPL flatpack disabled, disabled history never",
    "1 SPY: is not in the registry",
    "0 AAPL would be removed (dry run)",
    "0 removed AAPL",
    "1 AAPL: is not in the registry",
  ]);
  await stage.add("BTC/USD");
  const { stdout } = await ran((io) =>
    symbolsList(config, { dryRun: false, json: true, enabledOnly: true }, io),
  );
  expect(JSON.parse(stdout)).toMatchObject([
    { symbol: "BTC/USD", strategy: "flatpack", status: "idle" },
  ]);
});

describe("snapshot", () => {
  const ask = (symbol: string, json = false) =>
    ran((io) =>
      snapshot(configOf(), { dryRun: false, json, symbol }, io, stage.venue),
    );

  test("prints what the venue sent and PASS with its values", async () => {
    stage.venue.snapshots.set("AAPL", snapshotOf("AAPL"));
    expect(await ask("AAPL")).toEqual({
      code: 0,
      stderr: "",
      stdout: `${JSON.stringify(snapshotOf("AAPL"))}\nPASS: AAPL min: open 10, high 12, low 9, close 11, volume 1000\n`,
    });
    expect(JSON.parse((await ask("AAPL", true)).stdout)).toMatchObject({
      symbol: "AAPL",
      valid: true,
      close: 11,
    });
  });

  test("is 1 with the reason when it says nothing, or there is none", async () => {
    stage.venue.snapshots.set("AAPL", { status: "OK" });
    expect([await ask("AAPL"), await ask("NOPE")]).toEqual([
      { code: 1, stdout: "", stderr: "FAIL: AAPL: Missing ticker data\n" },
      { code: 1, stdout: "", stderr: "FAIL: NOPE: NOPE is not known\n" },
    ]);
    expect(JSON.parse((await ask("AAPL", true)).stdout)).toEqual({
      symbol: "AAPL",
      valid: false,
      error: "Missing ticker data",
    });
  });
});

describe("minutes by hand:", () => {
  const day = { from: new Date("2026-09-17"), to: new Date("2026-09-18") };
  const backfill = (dryRun = false) =>
    ran((io) =>
      backfillBars(
        configOf(dryRun),
        { dryRun, ...day, symbol: "AAPL" },
        io,
        stage.venue,
      ),
    );
  const audit = (json = false) =>
    ran((io) =>
      auditBars(configOf(), { dryRun: false, json, ...day }, io, stage.venue),
    );
  const look = (fill: boolean, json = true) =>
    ran((io) =>
      gaps(
        configOf(),
        { dryRun: false, json, fill, ...day, symbols: [] },
        io,
        stage.venue,
      ),
    );

  test("a backfill stores what the venue has, the same again changes nothing, a dry run writes nothing", async () => {
    stage.venue.minutes.set("AAPL", SESSION);
    expect((await backfill(true)).stdout).toBe(
      "AAPL: 390 bars read, nothing written (dry run)\n",
    );
    expect(await stage.stored("AAPL")).toEqual([]);
    expect(
      [await backfill(), await backfill()].map(({ code, stdout }) => [
        code,
        stdout,
      ]),
    ).toEqual(Array(2).fill([0, "AAPL: 390 bars read\n"]));
    expect((await stage.stored("AAPL")).length).toBe(390);
  });

  test("an audit passes on what the venue has, and counts and names what is missing or differs", async () => {
    await expect(audit()).rejects.toThrow("nothing has been stored yet");
    stage.venue.minutes.set("AAPL", SESSION);
    await backfill();
    expect(await audit()).toEqual({
      code: 0,
      stderr: "",
      stdout:
        "AAPL bars: 390 compared, 0 missing, 0 duplicate, 0 differing\naudit passed\n",
    });
    await stage.fresh
      .sql`delete from ohlcv_1m where timestamp = '2026-09-17T13:31Z'`;
    await stage.fresh
      .sql`update ohlcv_1m set close = 11.5, volume = 1 where timestamp = '2026-09-17T13:32Z'`;
    await stage.fresh
      .sql`update ohlcv_1m set close = 11.5, source = 'alpaca_iex' where timestamp = '2026-09-17T13:33Z'`;
    const { code, stdout } = await audit(true);
    expect([code, JSON.parse(stdout)]).toMatchObject([
      1,
      {
        ok: false,
        symbols: [
          {
            symbol: "AAPL",
            compared: 390,
            missing: 1,
            duplicate: 0,
            differing: 1,
            examples: [
              "missing 2026-09-17T13:31:00.000Z",
              "differing close, volume 2026-09-17T13:32:00.000Z",
            ],
          },
        ],
      },
    ]);
  });

  test("gaps are shown, filled, and what the venue lacks as well is shown as verified empty", async () => {
    stage.venue.minutes.set("AAPL", [
      ...SESSION.slice(0, 5),
      ...SESSION.slice(8),
    ]);
    await backfill();
    await stage.fresh
      .sql`delete from ohlcv_1m where timestamp = '2026-09-17T14:00Z'`;
    const gap = (from: string, to: string, missing: number, state: string) => ({
      symbol: "AAPL",
      from: `2026-09-17T${from}:00.000Z`,
      to: `2026-09-17T${to}:00.000Z`,
      missing,
      state,
    });
    expect(JSON.parse((await look(false)).stdout)).toEqual([
      gap("13:35", "13:38", 3, "missing"),
      gap("14:00", "14:01", 1, "missing"),
    ]);
    expect(JSON.parse((await look(true)).stdout)).toEqual([
      gap("13:35", "13:38", 3, "verified_empty"),
    ]);
    expect((await look(false, false)).stdout).toBe(
      "AAPL       2026-09-17T13:35Z – 2026-09-17T13:38Z       3  verified empty\n0 minutes missing, 3 verified empty\n",
    );
  });
});

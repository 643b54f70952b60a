import { afterEach, describe, expect, test } from "bun:test";
import { runCli, type Commands } from "../src/cli.ts";
import { ConfigError } from "../src/errors.ts";

/** Runs a line against commands that only note what they were asked. */
async function run(
  line: string,
  result: () => Promise<number> = async () => 0,
) {
  const asked: [command: string, flags: unknown][] = [];
  let stdout = "";
  let stderr = "";
  const note = (name: string) => (flags: unknown) => {
    asked.push([name, flags]);
    return result();
  };
  const commands: Commands = {
    serve: note("serve"),
    backfillAccounts: note("backfillAccounts"),
    auditAccounts: note("auditAccounts"),
    coverage: note("coverage"),
    coverageExport: note("coverageExport"),
    coverageVerify: note("coverageVerify"),
    spool: note("spool"),
    sim: note("sim"),
    smoke: note("smoke"),
    status: note("status"),
    tree: note("tree"),
    configCheck: note("configCheck"),
    backfillBars: note("backfillBars"),
    auditBars: note("auditBars"),
    registryRun: note("registryRun"),
    symbolsList: note("symbolsList"),
    symbolsAdd: note("symbolsAdd"),
    symbolsSet: note("symbolsSet"),
    symbolsRemove: note("symbolsRemove"),
    snapshot: note("snapshot"),
    gaps: note("gaps"),
  };
  const code = await runCli(line.split(" ").filter(Boolean), commands, {
    stdout: (text) => (stdout += text),
    stderr: (text) => (stderr += text),
  });
  return { code, asked, stdout, stderr };
}

describe("a line runs one command with its arguments as values", () => {
  const day = (text: string) => new Date(`${text}T00:00:00Z`);
  const plain = { dryRun: false };
  const text = { dryRun: false, json: false };
  const cases: [line: string, command: string, flags: unknown][] = [
    ["", "serve", plain],
    ["serve", "serve", plain],
    ["--daemon", "serve", plain],
    ["serve --daemon", "serve", plain],
    [
      "--dry-run --log-level debug",
      "serve",
      { dryRun: true, logLevel: "DEBUG" },
    ],
    ["--log-level=WARN serve", "serve", { ...plain, logLevel: "WARN" }],
    ["backfill accounts", "backfillAccounts", { ...plain, slugs: [] }],
    [
      "backfill accounts live Cold-Harbour_v1.0 LIVE --from 2026-01-05 --to 2026-01-06T09:30 --dry-run",
      "backfillAccounts",
      {
        dryRun: true,
        slugs: ["live", "cold_harbour_v1_0"],
        from: day("2026-01-05"),
        to: new Date("2026-01-06T09:30:00Z"),
      },
    ],
    ["audit", "auditAccounts", text],
    [
      "audit accounts --account My-Acct --json --to 2026-02-28",
      "auditAccounts",
      { ...text, json: true, account: "my_acct", to: day("2026-03-01") },
    ],
    [
      "audit --from 2026-01-05 --to 2026-01-05",
      "auditAccounts",
      { ...text, from: day("2026-01-05"), to: day("2026-01-06") },
    ],
    ["coverage", "coverage", text],
    [
      "coverage live --json --from 2026-01-05T10:00:00.250-05:00",
      "coverage",
      {
        ...text,
        json: true,
        name: "live",
        from: new Date("2026-01-05T15:00:00.250Z"),
      },
    ],
    ["coverage export", "coverageExport", text],
    [
      "coverage export --out c.jsonl",
      "coverageExport",
      { ...text, out: "c.jsonl" },
    ],
    ["coverage verify c.jsonl", "coverageVerify", { ...text, file: "c.jsonl" }],
    ["spool status", "spool", { ...text, action: "status" }],
    ["spool verify --json", "spool", { ...text, json: true, action: "verify" }],
    ["spool repair", "spool", { ...text, action: "repair" }],
    ["sim", "sim", plain],
    [
      "sim --port 0 --seed 4294967295 --faults storm.json",
      "sim",
      { ...plain, port: 0, seed: 4_294_967_295, faults: "storm.json" },
    ],
    [
      "sim --replay days --speed 120 --hours exchange --plan basic",
      "sim",
      {
        ...plain,
        replay: "days",
        speed: 120,
        hours: "exchange",
        plan: "basic",
      },
    ],
    ["registry run", "registryRun", { ...plain, symbols: [] }],
    [
      "registry run aapl X:BTCUSD AAPL --dry-run",
      "registryRun",
      { dryRun: true, symbols: ["AAPL", "BTC/USD"] },
    ],
    ["symbols list", "symbolsList", { ...text, enabledOnly: false }],
    [
      "symbols list --enabled-only --json",
      "symbolsList",
      { ...text, json: true, enabledOnly: true },
    ],
    [
      "symbols add brk.b --strategy FLATPACK+snapshot+stream --disable",
      "symbolsAdd",
      {
        ...plain,
        symbol: "BRK.B",
        strategy: "flatpack_snapshot_stream",
        enabled: false,
      },
    ],
    [
      "symbols set btc-usd --status Paused --enable --description Bitcoin",
      "symbolsSet",
      {
        ...plain,
        symbol: "BTC/USD",
        status: "paused",
        enabled: true,
        description: "Bitcoin",
      },
    ],
    ["symbols remove AAPL", "symbolsRemove", { ...plain, symbol: "AAPL" }],
    [
      "snapshot aapl --json",
      "snapshot",
      { ...text, json: true, symbol: "AAPL" },
    ],
    ["--test-snapshot AAPL", "snapshot", { ...text, symbol: "AAPL" }],
    [
      "backfill bars X:BTC-USD --from 2026-01-05",
      "backfillBars",
      { ...plain, symbol: "BTC/USD", from: day("2026-01-05") },
    ],
    ["gaps", "gaps", { ...text, symbols: [], fill: false }],
    [
      "gaps AAPL SPY --fill --json --to 2026-01-05",
      "gaps",
      {
        ...text,
        json: true,
        symbols: ["AAPL", "SPY"],
        fill: true,
        to: day("2026-01-06"),
      },
    ],
    ["audit bars --json", "auditBars", { ...text, json: true }],
    ["smoke", "smoke", { ...plain, seconds: 60 }],
    [
      "smoke --seconds 5 --dry-run",
      "smoke",
      { ...plain, dryRun: true, seconds: 5 },
    ],
    ["coverage BTC/USD", "coverage", { ...text, name: "BTC/USD" }],
    ["status --json", "status", { ...text, json: true }],
    ["tree --log-level ERROR", "tree", { ...text, logLevel: "ERROR" }],
    ["config check", "configCheck", { ...text, plan: false }],
    [
      "config check --plan --json",
      "configCheck",
      { ...text, json: true, plan: true },
    ],
  ];
  test.each(cases)("%p", async (line, command, flags) => {
    const { code, asked, stderr } = await run(line);
    expect(asked).toEqual([[command, flags]]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });
});

test.each([0, 1, 3])(
  "a command's exit code %p is the exit code",
  async (code) => {
    expect(await run("tree", async () => code)).toMatchObject({ code });
    expect(await run("", async () => code)).toMatchObject({ code });
  },
);

describe("wrong usage is 2, says what is wrong and runs nothing", () => {
  const cases: [line: string, expected: string][] = [
    ["audt", "unknown command 'audt'\n(Did you mean audit?)"],
    ["frobnicate", "unknown command 'frobnicate'\n(--help"],
    ["spool repiar", "(Did you mean repair?)"],
    ["--dryrun", "(Did you mean --dry-run?)"],
    ["audit --form 2026-01-05", "(Did you mean --from?)"],
    ["status --from 2026-01-05", "unknown option '--from'"],
    ["serve now", "too many arguments"],
    ["tree live", "too many arguments"],
    ["audit quotes", "Allowed choices are accounts, bars"],
    ["audit bars --account live", "--account is for audit accounts"],
    ["symbols add AAPL", "required option '--strategy <strategy>'"],
    ["symbols add AAPL --strategy all", "It must be one of flatpack, snapshot"],
    ["symbols set AAPL --status gone", "It must be one of idle, running"],
    ["symbols set AAPL --enable --disable", "cannot be used with"],
    ["snapshot", "missing required argument 'symbol'"],
    ["snapshot A_B", "It must be a symbol (AAPL, BTC/USD)"],
    ["gaps --from 2026-01-06 --to 2026-01-05", "--from must be before --to"],
    ["coverage verify", "missing required argument 'file'"],
    ["backfill", "Usage: feedkeeper backfill"],
    ["spool", "Usage: feedkeeper spool"],
    ["config", "Usage: feedkeeper config"],
    ["--log-level LOUD", "must be one of DEBUG, INFO, WARN, ERROR"],
    ["audit --from 2026-01-06 --to 2026-01-05", "--from must be before --to"],
    [
      "audit --from 2026-01-06T00:00 --to 2026-01-06T00:00Z",
      "--from must be before --to",
    ],
    ["coverage --from yesterday", "must be a day"],
    ["coverage --from 2026-02-30", "must be a day"],
    ["coverage --from 2026-13-01", "must be a day"],
    ["coverage --from 2026-01-05T25:00", "must be a day"],
    ["coverage --from 1767571200", "must be a day"],
    ["coverage --from", "argument missing"],
    ["sim --port 65536", "whole number from 0 to 65535"],
    ["sim --port 80.5", "whole number from 0 to 65535"],
    ["sim --hours night", "Allowed choices are always, exchange"],
    ["smoke --seconds 0.5", "whole number from 0 to 86400"],
    ["sim --seed -1", "whole number from 0 to 4294967295"],
    ["sim --seed 4294967296", "whole number from 0 to 4294967295"],
  ];
  test.each(cases)("%p", async (line, expected) => {
    const { code, asked, stderr } = await run(line);
    expect(stderr).toContain(expected);
    expect(asked).toEqual([]);
    expect(code).toBe(2);
  });
});

describe("help", () => {
  const commands = [
    "",
    "serve",
    "backfill",
    "backfill accounts",
    "audit",
    "coverage",
    "coverage export",
    "coverage verify",
    "spool",
    "spool status",
    "spool verify",
    "spool repair",
    "sim",
    "status",
    "tree",
    "config",
    "config check",
  ];
  test.each(commands)("%p --help is 0 and runs nothing", async (command) => {
    const { code, asked, stdout } = await run(`${command} --help`);
    expect(stdout).toContain(`Usage: ${`feedkeeper ${command}`.trim()} [`);
    expect(asked).toEqual([]);
    expect(code).toBe(0);
  });

  test("`help audit` is the same as `audit --help`", async () => {
    const { code, stdout } = await run("help audit");
    expect(code).toBe(0);
    expect(stdout).toBe((await run("audit --help")).stdout);
  });

  test("every command that does something takes the common flags", async () => {
    const leaves = commands.filter(
      (command) => !["backfill", "spool", "config"].includes(command),
    );
    for (const leaf of leaves) {
      const { stdout } = await run(`${leaf} --help`);
      expect(stdout).toContain("--dry-run");
      expect(stdout).toContain("--log-level");
    }
  });

  test("--version prints it", async () => {
    const { code, stdout } = await run("--version");
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(code).toBe(0);
  });
});

describe("an error of a command", () => {
  const level = process.env["LOG_LEVEL"];
  afterEach(() => {
    if (level === undefined) delete process.env["LOG_LEVEL"];
    else process.env["LOG_LEVEL"] = level;
  });
  const fail = async () => {
    throw new Error("no database\n  at all", { cause: new Error("refused") });
  };

  test("in the configuration prints every problem and is 2", async () => {
    const { code, stderr } = await run("tree", async () => {
      throw new ConfigError(["PORT is wrong", "HOST is wrong"]);
    });
    expect(stderr).toBe("PORT is wrong\nHOST is wrong\n");
    expect(code).toBe(2);
  });

  test("that nobody expected is one line with its causes, and 1", async () => {
    delete process.env["LOG_LEVEL"];
    const { code, stderr } = await run("tree", fail);
    expect(stderr).toBe("no database at all: refused\n");
    expect(code).toBe(1);
  });

  test("that is no Error at all is told too", async () => {
    const { code, stderr } = await run("", () => Promise.reject("gone"));
    expect(stderr).toBe("gone\n");
    expect(code).toBe(1);
  });

  test.each(["tree --log-level debug", "--log-level=DEBUG tree"])(
    "comes with its stack at DEBUG: %p",
    async (line) => {
      const { stderr } = await run(line, fail);
      expect(stderr).toContain("\n    at ");
    },
  );

  test("comes with its stack when LOG_LEVEL says DEBUG and no flag wins", async () => {
    process.env["LOG_LEVEL"] = "debug";
    expect((await run("tree", fail)).stderr).toContain("\n    at ");
    expect((await run("tree --log-level INFO", fail)).stderr).not.toContain(
      "\n    at ",
    );
  });
});

import { afterEach, describe, expect, jest, test } from "bun:test";
import {
  configCheck,
  PROBE_MS_MAX,
  type ConfigCheckInput,
  type Probes,
} from "../../src/commands/config.ts";
import { planOf } from "../../src/commands/plan.ts";
import { readConfig } from "../../src/config.ts";

const ENVIRONMENT = {
  DESTINATIONS: "one,two",
  ALPACA_API_KEY_ONE: "PK-ONE",
  ALPACA_SECRET_KEY_ONE: "hush-one",
  ALPACA_API_KEY_TWO: "PK-TWO",
  ALPACA_SECRET_KEY_TWO: "hush-two",
  DATABASE_URL: "postgres://me:hush%40db@db/keep",
};

const ANSWERING: Probes = {
  postgres: async () => {},
  account: async ({ slug }) => `${slug} is ACTIVE`,
};

async function check(
  given: Partial<Omit<ConfigCheckInput, "flags">> & {
    flags?: Partial<ConfigCheckInput["flags"]>;
  } = {},
) {
  let stdout = "";
  let stderr = "";
  const code = await configCheck({
    environment: ENVIRONMENT,
    probes: ANSWERING,
    io: {
      stdout: (text) => (stdout += text),
      stderr: (text) => (stderr += text),
    },
    ...given,
    flags: { dryRun: false, json: false, plan: false, ...given.flags },
  });
  return { code, stdout, stderr };
}

afterEach(() => {
  jest.useRealTimers();
});

test("everything answers: the configuration without secrets, an answer each, 0", async () => {
  const { code, stdout, stderr } = await check();
  expect(code).toBe(0);
  expect(stderr).toBe("");
  expect(stdout).toContain("venue = live\n");
  expect(stdout).toContain("accounts.1.slug = two\n");
  expect(stdout).toContain("accounts.1.secretKey = ***\n");
  expect(stdout).toContain("postgres.url = postgres://me:***@db/keep\n");
  expect(stdout).toContain("healing.intervalMs = 300000\n");
  expect(stdout).toContain("ok     postgres: answers\n");
  expect(stdout).toContain("ok     account one: one is ACTIVE\n");
  expect(stdout).not.toContain("hush");
});

test("one that does not answer is 1, the others are told all the same, no secret in any error", async () => {
  const { code, stdout } = await check({
    flags: { json: true },
    probes: {
      postgres: (url) =>
        Promise.reject(new Error(`hush@db: cannot dial ${url}`)),
      account: async ({ slug, keyId, secretKey }) => {
        if (slug === "two") throw new Error(`refused ${keyId}:${secretKey}`);
        return "ACTIVE";
      },
    },
  });
  expect(code).toBe(1);
  const report = JSON.parse(stdout);
  expect(report.ok).toBe(false);
  expect(report.answers).toEqual([
    {
      name: "postgres",
      ok: false,
      detail: "***: cannot dial postgres://me:***@db/keep",
    },
    { name: "account one", ok: true, detail: "ACTIVE" },
    { name: "account two", ok: false, detail: "refused ***:***" },
  ]);
  expect(report.config.http).toEqual({ host: "127.0.0.1", port: 8000 });
});

test("one that never answers is given up after the bound, all of them at once", async () => {
  jest.useFakeTimers();
  const never = () => new Promise<never>(() => {});
  const checking = check({ probes: { postgres: never, account: never } });
  let code: number | undefined;
  const done = checking.then((result) => (code = result.code));
  jest.advanceTimersByTime(PROBE_MS_MAX - 1);
  await Promise.resolve();
  expect(code).toBeUndefined();
  jest.advanceTimersByTime(1);
  await done;
  expect(code).toBe(1);
  const { stdout } = await checking;
  expect(stdout.match(/^FAILED .*: no answer within 10 s$/gm)).toHaveLength(3);
});

test("an answer leaves no timer behind", async () => {
  jest.useFakeTimers();
  await check();
  expect(jest.getTimerCount()).toBe(0);
});

test("a wrong configuration is 2 with every problem, and nothing is dialled", async () => {
  const dialled: string[] = [];
  const given = {
    environment: { ...ENVIRONMENT, PORT: "x", LOG_LEVEL: "y" },
    probes: {
      account: async () => {
        dialled.push("account");
        return "";
      },
    },
  };
  const text = await check(given);
  expect(text.code).toBe(2);
  expect(text.stdout).toBe("");
  expect(text.stderr.trim().split("\n")).toHaveLength(2);
  const json = await check({ ...given, flags: { json: true } });
  expect(json.code).toBe(2);
  expect(JSON.parse(json.stdout)).toEqual({
    ok: false,
    problems: [
      expect.stringContaining("LOG_LEVEL"),
      expect.stringContaining("PORT"),
    ],
  });
  expect(dialled).toEqual([]);
});

test("the embedded database and the simulated venue are not asked: they run only with the service", async () => {
  const { code, stdout } = await check({
    environment: {},
    flags: { json: true },
  });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    config: { venue: "simulated", postgres: { url: "embedded" } },
    answers: [],
  });
});

test("files of secrets are read by the reader that is handed in", async () => {
  const { stdout } = await check({
    environment: { API_TOKEN_FILE: "/run/token" },
    readFile: () => "hush\n",
  });
  expect(stdout).toContain("http.apiToken = ***\n");
});

describe("--plan", () => {
  const plan = { plan: true };

  test("shows what the running service would open and close", async () => {
    const { code, stdout } = await check({
      flags: plan,
      probes: {
        ...ANSWERING,
        running: async () => ({
          venue: "live",
          accounts: [{ account: "one" }, { account: "old" }],
        }),
      },
    });
    expect(code).toBe(0);
    expect(stdout.split("plan:\n")[1]).toBe(
      [
        "  close account old",
        "  create tables of two in account_activities, where they are not there",
        "  open account two at wss://paper-api.alpaca.markets/stream",
        "  re-read orders and activities of two since its watermark, or of 365 days",
        "",
      ].join("\n"),
    );
  });

  test("says so when nothing would change, and when nothing runs", async () => {
    const same = await check({
      flags: plan,
      probes: {
        ...ANSWERING,
        running: async () => ({
          venue: "live",
          accounts: [{ account: "one" }, { account: "two" }],
        }),
      },
    });
    expect(same.stdout).toEndWith("plan:\n  nothing would change\n");
    const none = await check({ flags: plan });
    expect(none.stdout).toContain("plan (no service runs there):\n  create");
    const failing = await check({
      flags: plan,
      probes: {
        ...ANSWERING,
        running: () => Promise.reject(new Error("401 unauthorized")),
      },
    });
    expect(failing.stdout).toContain("plan (401 unauthorized):\n");
    expect(failing.code).toBe(0);
  });

  test("a change of venue closes what runs", () => {
    const live = readConfig(ENVIRONMENT);
    const simulated = readConfig({});
    const accounts = [{ account: "one" }];
    expect(planOf(simulated, { venue: "live", accounts })).toEqual([
      { action: "close", what: "account one" },
      { action: "open", what: "the simulated venue and its accounts" },
    ]);
    expect(planOf(simulated, { venue: "simulated", accounts })).toEqual([]);
    expect(
      planOf(live, { venue: "simulated", accounts }).map(
        ({ action }) => action,
      ),
    ).toEqual([
      "close",
      "create",
      "open",
      "re-read",
      "create",
      "open",
      "re-read",
    ]);
  });
});

import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DAY } from "../../src/clock.ts";
import {
  type AccountFact,
  recordCoverage,
} from "../../src/stores/postgres/coverage.ts";
import {
  type Captured,
  captured,
  type RunOptions,
  stateOf,
  tablesOf,
} from "./captured.ts";

const paper = tablesOf("paper");

let captive: Captured;
let directory: string;

beforeAll(async () => {
  captive = await captured();
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-certificate-"));
});
afterAll(async () => {
  await captive[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const run = (line: string, options?: RunOptions) => captive.run(line, options);
const iso = (ms: number) => new Date(ms).toISOString();
/** Midnight UTC of today, before which a certificate ends. */
const today = () => Math.floor(Date.now() / DAY) * DAY;
const FROM = iso(today() - 4 * DAY);

test.each(["coverage", "coverage export"])(
  "%s before anything was captured is one clear line, and 1",
  async (line) => {
    expect(await run(line)).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "nothing has been captured yet of paper, growth: start the service, or run backfill accounts\n",
    });
  },
);

describe("of accounts whose past was read", () => {
  const TO = iso(today() - 2 * DAY);
  const fact = (
    state: AccountFact["state"],
    from: number,
    to: number,
  ): AccountFact => ({
    account: "paper",
    stream: "trade_updates",
    state,
    session: "one",
    from: iso(Date.parse(FROM) + from),
    to: iso(Date.parse(FROM) + to),
  });

  beforeAll(async () => {
    expect((await run(`backfill accounts --from ${FROM}`)).code).toBe(0);
    await recordCoverage(captive.database.sql, [
      fact("live", 0, 60_000),
      fact("confirmed_empty", 60_000, 2 * DAY - 10 * 60_000),
    ]);
  });

  test("the certificate shows every stream from end to end, in words and lengths", async () => {
    const { code, stdout, stderr } = await run(
      `coverage --from ${FROM} --to ${TO}`,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    const at = (ms: number) => iso(Date.parse(FROM) + ms);
    expect(lines.slice(0, 6)).toEqual([
      `coverage from ${FROM} to ${TO}`,
      `paper\ttrade_updates\tlive\t${FROM}\t${at(60_000)}\t60.0 s`,
      `paper\ttrade_updates\tconfirmed_empty\t${at(60_000)}\t${at(2 * DAY - 600_000)}\t47.8 h`,
      `paper\ttrade_updates\tUNKNOWN\t${at(2 * DAY - 600_000)}\t${TO}\t10.0 min`,
      `paper\torders\thealed\t${FROM}\t${TO}\t48.0 h`,
      expect.stringMatching(
        new RegExp(`^paper\tactivities\t(healed|confirmed_empty)\t${FROM}\t`),
      ),
    ]);
    expect(lines).toContain(
      `growth\ttrade_updates\tUNKNOWN\t${FROM}\t${TO}\t48.0 h`,
    );
  });

  test("fills that the stream never delivered are told by day, since it first listened", async () => {
    const { sql } = captive.database;
    const days = await sql<{ day: string; fills: number }[]>`
      select to_char(transaction_time at time zone 'America/New_York', 'YYYY-MM-DD') as day, count(*)::int as fills
      from ${sql(paper.activities)} where activity_type = 'FILL' group by 1 order by 1`;
    const { stdout } = await run("coverage paper");
    expect(stdout.split("\n").filter((line) => line.includes("fills"))).toEqual(
      days.map(
        ({ day, fills }) =>
          `paper\t${day}\t${fills} of ${fills} fills never delivered by the stream\t100.0 %`,
      ),
    );
    // Never has one listened for this account: nothing can be held against it.
    expect((await run("coverage growth")).stdout).not.toContain("fills");
  });

  test("--json is the same report, of the account and the time that were asked for", async () => {
    const { code, stdout } = await run(
      `coverage Growth --json --from ${FROM} --to ${TO}`,
    );
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ from: FROM, to: TO, delivery: [] });
    expect(report.intervals[0]).toEqual({
      account: "growth",
      stream: "trade_updates",
      state: "unknown",
      from: FROM,
      to: TO,
    });
    expect(
      report.intervals.every(
        ({ account }: { account: string }) => account === "growth",
      ),
    ).toBe(true);
  });

  test("of the time to come nothing is said, not even that it is unknown", async () => {
    const { stdout } = await run("coverage --json --to 2999-12-31");
    const { to, intervals } = JSON.parse(stdout);
    expect(Date.parse(to)).toBeLessThanOrEqual(Date.now());
    for (const interval of intervals)
      expect(Date.parse(interval.to)).toBeLessThanOrEqual(Date.parse(to));
  });

  test("looking writes nothing", async () => {
    const before = await stateOf(captive.database);
    for (const line of ["coverage", "coverage export", "coverage --dry-run"])
      expect((await run(line)).code).toBe(0);
    expect(await stateOf(captive.database)).toEqual(before);
  });

  test("an account that there is not, and a database that does not answer, are one line", async () => {
    expect(await run("coverage nobody")).toEqual({
      code: 2,
      stdout: "",
      stderr: "nobody: no such account; there are paper, growth\n",
    });
    const { code, stdout, stderr } = await run("coverage", {
      environment: {
        ...captive.environment,
        POSTGRESQL_LIVE_CONN_STRING: "postgres://me:hush@127.0.0.1:1/keep",
      },
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /^the database does not answer: (?!.*hush)[^\n]+\n$/,
    );
  });
});

describe("a certificate", () => {
  let file: string;
  let days: number;

  interface Certificate {
    before: string;
    exportedAt: string;
    report: { intervals: { state: string }[] };
    chain: {
      account: string;
      table: string;
      day: string;
      rows: number;
      digest: string;
      chain: string;
    }[];
    seal: string;
  }

  const read = (): Certificate => JSON.parse(readFileSync(file, "utf8"));
  const verify = (words = "") => run(`coverage verify ${file} ${words}`.trim());

  beforeAll(async () => {
    expect((await run("backfill accounts")).code).toBe(0);
  });
  beforeEach(async () => {
    file = join(directory, "certificate.json");
    expect((await run(`coverage export --out ${file}`)).code).toBe(0);
    days = read().chain.length;
  });

  test("is written to a file with a word on it, or to standard output", async () => {
    expect(await run(`coverage export --out ${file}`)).toEqual({
      code: 0,
      stdout: "",
      stderr: `${days} days of 2 accounts in ${file}\n`,
    });
    const { code, stdout, stderr } = await run("coverage export");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { exportedAt, seal, report, ...certificate } = JSON.parse(stdout);
    expect(certificate).toEqual({
      version: 1,
      before: iso(today()),
      chain: read().chain,
    });
    expect([Date.parse(exportedAt), seal, report.intervals]).toEqual([
      expect.any(Number),
      expect.stringMatching(/^[0-9a-f]{64}$/),
      expect.any(Array),
    ]);
  });

  test("has each whole day of each account, in order, and not today", () => {
    const { chain } = read();
    const named = chain.map(
      ({ account, table, day }) => `${account} ${table} ${day}`,
    );
    expect(new Set(named).size).toBe(named.length);
    for (const account of ["paper", "growth"]) {
      const own = chain
        .filter((link) => link.account === account)
        .map(({ day }) => day);
      expect(own.length).toBeGreaterThan(2);
      expect(own).toEqual(own.toSorted());
      expect(own.filter((day) => day >= iso(today()).slice(0, 10))).toEqual([]);
    }
  });

  test("is verified as long as the rows are what they were", async () => {
    expect(await verify()).toEqual({
      code: 0,
      stdout: `${days} days verified\n`,
      stderr: "",
    });
    const { code, stdout } = await verify("--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ days, problems: [] });
  });

  test("says nothing of what comes today", async () => {
    const { sql } = captive.database;
    await sql`insert into ${sql(paper.activities)} (id, activity_type, transaction_time, raw_json)
      values ('of today', 'FEE', ${new Date(today())}, '{}')`;
    expect((await verify()).code).toBe(0);
    await sql`delete from ${sql(paper.activities)} where id = 'of today'`;
  });

  /** Changes a day of the store, asks, and undoes it. */
  async function withDay(
    change: (day: Certificate["chain"][number]) => string,
    expected: (day: Certificate["chain"][number]) => string,
  ): Promise<void> {
    const { sql } = captive.database;
    const link = read().chain.find(
      ({ account, table, rows }) =>
        account === "paper" && table === "activities" && rows > 1,
    );
    if (link === undefined) throw new Error("no day has two rows");
    await sql.unsafe(`create table kept as table ${paper.activities}`);
    try {
      await sql.unsafe(change(link));
      expect(await verify()).toEqual({
        code: 1,
        stdout: `${expected(link)}\n`,
        stderr: "",
      });
      const { code, stdout } = await verify("--json");
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toEqual({ days, problems: [expected(link)] });
    } finally {
      await sql.unsafe(
        `truncate ${paper.activities}; insert into ${paper.activities} table kept; drop table kept`,
      );
    }
    expect((await verify()).code).toBe(0);
  }

  const oneOf = (day: string) =>
    `id = (select min(id) from ${paper.activities} where (transaction_time at time zone 'UTC')::date = '${day}')`;

  test("shows a row that was changed, by a payload's single character", async () => {
    await withDay(
      ({ day }) =>
        `update ${paper.activities} set raw_json = raw_json || '{"note":"x"}' where ${oneOf(day)}`,
      ({ day, rows }) =>
        `paper activities ${day}: ${rows} rows were certified, ${rows} are there now, not the same`,
    );
  });

  test("shows a number that was changed beside its payload", async () => {
    await withDay(
      ({ day }) =>
        `update ${paper.activities} set net_amount = coalesce(net_amount, 0) + 0.01 where ${oneOf(day)}`,
      ({ day, rows }) =>
        `paper activities ${day}: ${rows} rows were certified, ${rows} are there now, not the same`,
    );
  });

  test("shows a row that was deleted", async () => {
    await withDay(
      ({ day }) => `delete from ${paper.activities} where ${oneOf(day)}`,
      ({ day, rows }) =>
        `paper activities ${day}: ${rows} rows were certified, ${rows - 1} are there now`,
    );
  });

  test("shows a day that was emptied", async () => {
    await withDay(
      ({ day }) =>
        `delete from ${paper.activities} where (transaction_time at time zone 'UTC')::date = '${day}'`,
      ({ day, rows }) =>
        `paper activities ${day}: ${rows} rows were certified, 0 are there now`,
    );
  });

  test("shows rows that came later, on a day it has and on one it has not", async () => {
    const insert = (at: string) =>
      `insert into ${paper.activities} (id, activity_type, transaction_time, raw_json) values ('late', 'FEE', '${at}', '{}')`;
    await withDay(
      ({ day }) => insert(`${day}T12:00:00Z`),
      ({ day, rows }) =>
        `paper activities ${day}: ${rows} rows were certified, ${rows + 1} are there now`,
    );
    await withDay(
      () => insert("2001-01-01T12:00:00Z"),
      () => "paper activities 2001-01-01: 1 rows came later",
    );
  });

  const CHANGED = "the certificate was changed after it was written";
  const digest = "0".repeat(64);
  const tamperings: [
    what: string,
    tamper: (certificate: Certificate) => void,
    problems: RegExp[],
  ][] = [
    [
      "a digest",
      ({ chain: [link] }) => Object.assign(link ?? {}, { digest }),
      [/: the certificate was changed$/, /^the certificate/, /not the same$/],
    ],
    [
      "a link of the chain",
      ({ chain: [link] }) => Object.assign(link ?? {}, { chain: digest }),
      // It does not follow from the day before, and the day after not from it.
      [
        /: the certificate was changed$/,
        /: the certificate was changed$/,
        /^the certificate/,
      ],
    ],
    [
      "a day in the middle, taken out",
      ({ chain }) => chain.splice(1, 1),
      [
        /: the certificate was changed$/,
        /^the certificate/,
        /rows came later$/,
      ],
    ],
    [
      "a number of rows",
      ({ chain: [link] }) => Object.assign(link ?? {}, { rows: 999 }),
      [/: the certificate was changed$/, /^the certificate/],
    ],
    [
      "the last days, cut off with its end",
      (certificate) => {
        const before = certificate.chain
          .map(({ day }) => day)
          .toSorted()
          .at(-1);
        certificate.before = `${before}T00:00:00.000Z`;
        certificate.chain = certificate.chain.filter(
          ({ day }) => day !== before,
        );
      },
      [/^the certificate/],
    ],
    [
      "an interval of the report, from unknown to live",
      ({ report }) => {
        for (const interval of report.intervals)
          if (interval.state === "unknown") interval.state = "live";
      },
      [/^the certificate/],
    ],
    [
      "the time it was written",
      (certificate) => (certificate.exportedAt = "2020-01-01T00:00:00.000Z"),
      [/^the certificate/],
    ],
    [
      "its seal",
      (certificate) => (certificate.seal = digest),
      [/^the certificate/],
    ],
  ];
  test.each(tamperings)(
    "that was changed is found out: %s",
    async (_what, tamper, problems) => {
      const certificate = read();
      tamper(certificate);
      writeFileSync(file, JSON.stringify(certificate));
      const { code, stdout } = await verify();
      expect(code).toBe(1);
      const lines = stdout.trimEnd().split("\n");
      expect(lines).toContain(CHANGED);
      expect(lines).toEqual(
        problems.map((problem) => expect.stringMatching(problem)),
      );
    },
  );

  test("written with other blanks is the same certificate", async () => {
    writeFileSync(file, JSON.stringify(read()));
    expect((await verify()).code).toBe(0);
  });

  test("of an account that is not configured any more cannot be verified", async () => {
    const [one] = JSON.parse(captive.environment["DESTINATIONS"] ?? "[]");
    const { code, stdout } = await run(`coverage verify ${file}`, {
      environment: {
        ...captive.environment,
        DESTINATIONS: JSON.stringify([one]),
      },
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^growth activities \S+: \d+ rows were certified, 0 are there now$/m,
    );
    expect(stdout).not.toContain("paper");
  });

  test.each([
    ["that is not there", undefined, /ENOENT/],
    ["that is no JSON", "certificate", /JSON/],
    ["that is another JSON", "{}", /^version: /],
    ["of another version", '{"version":2}', /^version: /],
    [
      "with a chain of something else",
      `{"version":1,"exportedAt":"${FROM}","before":"${FROM}","report":{},"chain":[1],"seal":""}`,
      /^chain\.0: /,
    ],
  ])("in a file %s is wrong usage, in one line", async (_what, text, why) => {
    const path = join(directory, "other.json");
    rmSync(path, { force: true });
    if (text !== undefined) writeFileSync(path, text);
    const { code, stdout, stderr } = await run(`coverage verify ${path}`);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    const told =
      /^\S+other\.json is no certificate of this program \(([^\n]+)\)\n$/.exec(
        stderr,
      )?.[1];
    expect(told).toMatch(why);
  });

  test("that cannot be written is one line, and 1", async () => {
    const { code, stdout, stderr } = await run(
      `coverage export --out ${directory}/nowhere/c.json`,
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^[^\n]*ENOENT[^\n]*\n$/);
  });
});

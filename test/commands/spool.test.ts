import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SpoolFlags } from "../../src/cli.ts";
import { lockDirectory } from "../../src/commands/directoryLock.ts";
import { spool } from "../../src/commands/spool.ts";
import { ConfigError } from "../../src/errors.ts";
import { openSpool } from "../../src/flow/spool.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-spool-"));
  path = join(directory, "spool.sqlite");
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

interface Item {
  readonly n: number;
  readonly text: string;
}

const items = (count: number): Item[] =>
  Array.from({ length: count }, (_, n) => ({ n, text: "x".repeat(300) }));

/** A spool of so many records; the sink has been past `advanced` of them. */
function filled(count: number, advanced = 0): void {
  const kept = openSpool<Item>({ path, sinks: ["postgres"] });
  kept.append(items(count));
  if (advanced > 0) kept.advance("postgres", advanced);
  kept.close();
  tamper("pragma wal_checkpoint(truncate)");
}

/** Does something to the file that no service would do. */
function tamper(...statements: string[]): void {
  using database = new Database(path);
  for (const statement of statements) database.run(statement);
}

/** Overwrites the page that holds the record; returns the numbers of all records on it. */
function tear(n: number): number[] {
  const bytes = readFileSync(path);
  const place = bytes.indexOf(`{"n":${n},`);
  const page = bytes.subarray(
    place - (place % 4096),
    place - (place % 4096) + 4096,
  );
  const lost = Array.from(
    page.toString("latin1").matchAll(/\{"n":(\d+),/g),
    ([, number]) => Number(number),
  ).toSorted((a, b) => a - b);
  page.fill(0xff);
  writeFileSync(path, bytes);
  return lost;
}

/** What the service finds: the numbers that the sink is given, in order. */
function readBack(): number[] {
  const kept = openSpool<Item>({ path, sinks: ["postgres"] });
  try {
    return kept.read("postgres", 1e6).map(({ item }) => item.n);
  } finally {
    kept.close();
  }
}

function run(action: SpoolFlags["action"], flags: Partial<SpoolFlags> = {}) {
  let stdout = "";
  const code = spool(
    path,
    { action, dryRun: false, json: false, ...flags },
    {
      stdout: (text) => (stdout += text),
      stderr: (text) => {
        throw new Error(`nothing is expected there: ${text}`);
      },
    },
  );
  return { code, stdout };
}

describe("where there is no spool", () => {
  test.each([
    ["status", `nowhere: no spool yet`],
    ["verify", "0 records read"],
    ["repair", "nothing to repair, 0 records"],
  ] as const)("%s says so, and makes none", (action, text) => {
    path = join(directory, "nowhere");
    expect(run(action)).toEqual({
      code: 0,
      stdout: expect.stringMatching(new RegExp(`${text}\n$`)),
    });
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe("status", () => {
  test("tells records, bytes, age and cursors, to people and to programs", () => {
    filled(5, 2);
    expect(run("status")).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        /spool\.sqlite: 3 records, \d+ bytes, oldest \d+ s; cursors \{"postgres":2\}\n$/,
      ),
    });
    const { code, stdout } = run("status", { json: true });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      path,
      records: 3,
      bytes: expect.any(Number),
      oldestSeconds: expect.any(Number),
      cursors: { postgres: 2 },
    });
  });

  test("can be asked while a service has the directory", () => {
    filled(1);
    using _running = lockDirectory(directory);
    expect(run("status").code).toBe(0);
    expect(run("verify").code).toBe(0);
  });
});

/** Each way a file can be damaged, and what is left of its ten records, the first two of which were delivered. */
const DAMAGE: [
  what: string,
  damage: () => void,
  problems: RegExp[],
  damaged: number,
  left: number[],
][] = [
  [
    "a record whose text was changed",
    () =>
      tamper(
        `update records set body = replace(body, '"n":4,', '"n":5,') where sequence = 5`,
      ),
    [/^record 5 is damaged$/],
    1,
    [2, 3, 5, 6, 7, 8, 9],
  ],
  [
    "a record whose text is of another kind",
    () => tamper("update records set body = x'00ff' where sequence = 10"),
    [/^record 10 is damaged$/],
    1,
    [2, 3, 4, 5, 6, 7, 8],
  ],
  [
    "two records",
    () => tamper("update records set checksum = 1 where sequence in (3, 4)"),
    [/^record 3 is damaged$/, /^record 4 is damaged$/],
    2,
    [4, 5, 6, 7, 8, 9],
  ],
  [
    "a cursor past the last record",
    () => tamper("update cursors set sequence = 99"),
    [/^the cursor of postgres is past the last record$/],
    0,
    [2, 3, 4, 5, 6, 7, 8, 9],
  ],
  [
    "no cursors at all",
    () => tamper("drop table cursors"),
    [/no such table: cursors/],
    0,
    // Writing twice what the sink may have had is writing it once.
    [2, 3, 4, 5, 6, 7, 8, 9],
  ],
  [
    "no records at all",
    () => tamper("drop table records"),
    [/no such table: records/],
    1,
    [],
  ],
  [
    "a file that is no database",
    () => writeFileSync(path, "no database, whatever its name says".repeat(99)),
    [/file is not a database/],
    1,
    [],
  ],
];

describe.each(DAMAGE)("%s", (_what, damage, problems, damaged, left) => {
  beforeEach(() => {
    filled(10, 2);
    damage();
  });

  test("is found by verify, which changes nothing", () => {
    const before = readFileSync(path);
    const { code, stdout } = run("verify");
    expect(code).toBe(1);
    const lines = stdout.trimEnd().split("\n").slice(1);
    expect(lines).toEqual(
      problems.map((problem) => expect.stringMatching(problem)),
    );
    const json = run("verify", { json: true });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout).problems).toEqual(lines);
    expect(readFileSync(path)).toEqual(before);
  });

  test("is mended by repair, and all that can be read is kept", () => {
    const before = readFileSync(path);
    const { code, stdout } = run("repair", { json: true });
    expect(code).toBe(damaged === 0 ? 0 : 1);
    const { asideAt, ...counts } = JSON.parse(stdout);
    expect(counts).toMatchObject({ damaged });
    expect(readFileSync(asideAt)).toEqual(before);
    expect(run("verify").code).toBe(0);
    expect(readBack()).toEqual(left);
    // What comes next is given to the sink as well.
    const kept = openSpool<Item>({ path, sinks: ["postgres"] });
    kept.append([{ n: 77, text: "" }]);
    kept.close();
    expect(readBack()).toEqual([...left, 77]);
    expect(run("repair").stdout).toBe(
      `nothing to repair, ${readBack().length} records\n`,
    );
  });
});

describe("a torn page in the middle", () => {
  test("costs the records on it and none of those behind it", () => {
    filled(400, 10);
    const lost = tear(200);
    expect(lost).toContain(200);
    expect(lost.length).toBeLessThan(20);
    expect(run("verify").code).toBe(1);

    const { code, stdout } = run("repair");
    expect(code).toBe(1);
    expect(stdout).toMatch(
      new RegExp(
        `^${390 - lost.length} records kept, ${lost.length} damaged; the old file is ${path}\\.damaged-\\d+\n$`,
      ),
    );
    expect(readBack()).toEqual(
      items(400)
        .map(({ n }) => n)
        .filter((n) => n >= 10 && !lost.includes(n)),
    );
    expect(run("verify").code).toBe(0);
  });

  test("is nothing that a cut-off repair before this one makes worse", () => {
    filled(400);
    const lost = tear(200);
    writeFileSync(`${path}.mended`, "the half of a file");
    run("repair");
    expect(readBack()).toHaveLength(400 - lost.length);
    expect(existsSync(`${path}.mended`)).toBe(false);
  });
});

describe("repair", () => {
  beforeEach(() => {
    filled(3);
    tamper("update records set checksum = 1 where sequence = 2");
  });

  test("with --dry-run only says what is wrong", () => {
    expect(run("repair", { dryRun: true })).toEqual({
      code: 1,
      stdout: "3 records read\nrecord 2 is damaged\n",
    });
    expect(
      readdirSync(directory).filter((name) => !/-(wal|shm)$/.test(name)),
    ).toEqual(["spool.sqlite"]);
  });

  test("is refused while a service has the spool in its hands", () => {
    using _running = lockDirectory(directory);
    expect(() => run("repair")).toThrow(ConfigError);
    expect(() => run("repair")).toThrow("another feedkeeper runs in");
    expect(run("verify").stdout).toContain("record 2 is damaged");
  });
});

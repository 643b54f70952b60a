import { afterEach, beforeEach, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  repairSpool,
  spoolStatus,
  verifySpool,
} from "../../src/commands/spool.ts";
import { SpoolFullError } from "../../src/errors.ts";
import { openSpool, type Spool } from "../../src/flow/spool.ts";

let directory: string;
let path: string;
let spool: Spool<{ n: number; text?: string }>;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "spool-"));
  path = join(directory, "below", "spool.sqlite");
  spool = openSpool({ path, sinks: ["one", "two"] });
});
afterEach(() => {
  spool.close();
  rmSync(directory, { recursive: true });
});

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => ({ n: from + index }));

test("records come back in order, each sink at its own pace", () => {
  spool.append(numbers(0, 5));
  const first = spool.read("one", 3);
  expect(first.map(({ item }) => item.n)).toEqual([0, 1, 2]);
  spool.advance("one", first.at(-1)?.sequence ?? 0);
  spool.append(numbers(5, 7));
  expect(spool.read("one", 9).map(({ item }) => item.n)).toEqual([3, 4, 5, 6]);
  expect(spool.read("two", 9).map(({ item }) => item.n)).toEqual([
    0, 1, 2, 3, 4, 5, 6,
  ]);
  expect([spool.depth("one"), spool.depth("two")]).toEqual([4, 7]);
});

test("a record goes once every sink is past it", () => {
  spool.append(numbers(0, 4));
  spool.advance("one", 4);
  expect(spool.status().records).toBe(4);
  spool.advance("two", 2);
  expect(spool.status().records).toBe(2);
  spool.advance("two", 4);
  expect(spool.status().records).toBe(0);
});

test("what was appended is there after the process is gone, cursors too", async () => {
  const code = `
    const { openSpool } = await import(${JSON.stringify(join(import.meta.dir, "../../src/flow/spool.ts"))});
    const spool = openSpool({ path: ${JSON.stringify(path)}, sinks: ["one", "two"] });
    spool.append([{ n: 1 }, { n: 2 }, { n: 3 }]);
    spool.advance("one", 1);
    process.kill(process.pid, "SIGKILL");`;
  const child = Bun.spawn([process.execPath, "-e", code]);
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  spool.close();
  spool = openSpool({ path, sinks: ["one", "two"] });
  expect(spool.read("one", 9).map(({ item }) => item.n)).toEqual([2, 3]);
  expect([spool.depth("one"), spool.depth("two")]).toEqual([2, 3]);
});

test("numbers are never used twice, so a cursor never skips what comes after an empty spool", () => {
  spool.append(numbers(0, 3));
  spool.advance("one", 3);
  spool.advance("two", 3);
  spool.close();
  spool = openSpool({ path, sinks: ["one", "two"] });
  spool.append(numbers(3, 5));
  expect(spool.read("one", 9).map(({ item }) => item.n)).toEqual([3, 4]);
});

test("a full disk is said, keeps what was kept, and takes again once there is room", () => {
  spool.close();
  spool = openSpool({ path, sinks: ["one"], bytesMax: 150_000 });
  const text = "x".repeat(2000);
  let kept = 0;
  const fill = () => {
    for (;;) {
      spool.append([
        { n: kept, text },
        { n: kept + 1, text },
      ]);
      kept += 2;
    }
  };
  expect(fill).toThrow(SpoolFullError);
  expect(spool.status()).toMatchObject({ records: kept, full: true });
  expect(verifySpool(path)).toEqual({ records: kept, problems: [] });
  const read = spool.read("one", kept);
  expect(read.map(({ item }) => item.n)).toEqual(
    Array.from({ length: kept }, (_, n) => n),
  );
  spool.advance("one", read.at(-1)?.sequence ?? 0);
  spool.append([{ n: -1, text }]);
  expect(spool.status()).toMatchObject({ records: 1, full: false });
});

test("on a disk without room even for forgetting, what is delivered is passed, and once all is, it begins anew", async () => {
  spool.close();
  const code = `
    const { openSpool } = await import(${JSON.stringify(join(import.meta.dir, "../../src/flow/spool.ts"))});
    const spool = openSpool({ path: ${JSON.stringify(path)}, sinks: ["one"] });
    const say = (what) => console.log(what, spool.depth("one"), spool.status().full);
    const text = "x".repeat(2000);
    let kept = 0;
    try {
      for (;;) spool.append([{ n: kept++, text }]);
    } catch (error) {
      console.log(error.name, kept > 50);
    }
    const first = spool.read("one", 20).at(-1);
    spool.advance("one", first.sequence);
    console.log(spool.read("one", 1)[0].item.n, spool.depth("one") === kept - 21);
    spool.advance("one", spool.read("one", kept).at(-1).sequence);
    say("all delivered");
    spool.append([{ n: -1 }]);
    say("one more");
    const [next] = spool.read("one", 9);
    console.log(next.item.n, next.sequence > first.sequence);`;
  // A limit of the file's length is what the end of a disk is to a file.
  const child = Bun.spawn([
    "bash",
    "-c",
    `trap '' XFSZ; ulimit -f 1200; exec "$0" -e "$1"`,
    process.execPath,
    code,
  ]);
  expect(await new Response(child.stdout).text()).toBe(
    [
      "SpoolFullError true",
      "20 true",
      "all delivered 0 false",
      "one more 1 false",
      "-1 true",
      "",
    ].join("\n"),
  );
});

test("verify names a damaged record, repair keeps the others and sets the file aside", () => {
  spool.append(numbers(0, 5));
  spool.advance("one", 2);
  spool.close();
  using damaged = new Database(path);
  damaged.run(
    "update records set body = replace(body, '3', '9') where sequence = 4",
  );
  damaged.close();
  expect(verifySpool(path)).toEqual({
    records: 5,
    problems: ["record 4 is damaged"],
  });
  expect(repairSpool(path, 77)).toEqual({
    kept: 4,
    damaged: 1,
    asideAt: `${path}.damaged-77`,
  });
  expect(verifySpool(path)).toEqual({ records: 4, problems: [] });
  spool = openSpool({ path, sinks: ["one", "two"] });
  expect(spool.read("one", 9).map(({ item }) => item.n)).toEqual([2, 4]);
  expect(spool.read("two", 9).map(({ item }) => item.n)).toEqual([0, 1, 2, 4]);
});

test("a file that is no database is set aside whole", () => {
  spool.close();
  rmSync(`${path}-wal`, { force: true });
  rmSync(`${path}-shm`, { force: true });
  writeFileSync(path, "this is no database at all, whatever its name says");
  expect(verifySpool(path).problems).toHaveLength(1);
  expect(repairSpool(path, 78)).toMatchObject({
    kept: 0,
    asideAt: `${path}.damaged-78`,
  });
  spool = openSpool({ path, sinks: ["one", "two"] });
  spool.append(numbers(0, 1));
  expect(spool.depth("one")).toBe(1);
});

test("status and verify of a spool that does not exist are calm", () => {
  const nowhere = join(directory, "nothing.sqlite");
  expect(spoolStatus(nowhere)).toBeUndefined();
  expect(verifySpool(nowhere)).toEqual({ records: 0, problems: [] });
  expect(repairSpool(nowhere)).toEqual({ kept: 0, damaged: 0 });
});

test("status can be read while a service appends", () => {
  spool.append(numbers(0, 2));
  expect(spoolStatus(path)).toMatchObject({
    records: 2,
    cursors: { one: 0, two: 0 },
  });
});

/** `.ci/run`: runs what the README says and counts what that did. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../package.json" with { type: "json" };

const root = join(import.meta.dir, "..");
const bun = packageJson.devDependencies["bun-types"];
const scratch = mkdtempSync(join(tmpdir(), "feedkeeper-ci-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test.each<
  [name: string, prints: string, exits: number, last: string, code: number]
>([
  [
    "all that passed",
    " 12 pass\n 0 fail\n 40 expect() calls",
    0,
    "12 passed, 0 failed, 0 skipped",
    0,
  ],
  [
    "what was left out",
    " 7 pass\n 2 skip\n 1 todo\n 0 fail",
    0,
    "7 passed, 0 failed, 3 skipped",
    0,
  ],
  [
    "failures, with the exit code of the line",
    " 7 pass\n 2 fail",
    5,
    "7 passed, 2 failed, 0 skipped",
    5,
  ],
  [
    "an error between tests as a failure",
    " 7 pass\n 0 fail\n 1 error",
    1,
    "7 passed, 1 failed, 0 skipped",
    1,
  ],
  [
    "a line that fails before any test",
    "1 file is not formatted",
    1,
    "0 passed, 0 failed, 0 skipped",
    1,
  ],
  [
    "no test at all as a failure",
    "nothing to do",
    0,
    "0 passed, 0 failed, 0 skipped",
    1,
  ],
  [
    "only the last counts, not what tests print",
    " 99 pass\n 3 fail\nlog: 5 pass\n 8 pass\n 0 fail",
    0,
    "8 passed, 0 failed, 0 skipped",
    0,
  ],
])("it reports %s", async (name, prints, exits, last, code) => {
  const asked = join(scratch, name, "asked");
  const { lines, exitCode } = await runCi(
    name,
    `case "$*" in *verify) printf '%b\\n' '${prints.replaceAll("\n", "\\n")}'; exit ${exits};; esac`,
  );
  expect(lines.at(-1)).toBe(last);
  expect(exitCode).toBe(code);
  expect((await Bun.file(asked).text()).trim().split("\n")).toEqual([
    `--yes bun@${bun} install --frozen-lockfile`,
    `--yes bun@${bun} run verify`,
  ]);
});

test("what is installed beside the checkout is not taken along", async () => {
  const { lines } = await runCi("clean", "ls -a; echo ' 1 pass'");
  expect(lines).toContain("README.md");
  expect(lines).not.toContain("node_modules");
});

/** Runs it over a folder with a stand-in for npx, which notes how it was called. */
async function runCi(name: string, npx: string) {
  const place = join(scratch, name);
  const programs = join(place, "programs");
  for (const folder of [
    programs,
    join(place, "checkout/.ci"),
    join(place, "checkout/node_modules"),
  ])
    mkdirSync(folder, { recursive: true });
  cpSync(join(root, "README.md"), join(place, "checkout/README.md"));
  cpSync(join(root, ".ci/run"), join(place, "checkout/.ci/run"));
  await Bun.write(
    join(programs, "npx"),
    `#!/bin/sh\necho "$*" >> '${place}/asked'\n${npx}\n`,
  );
  chmodSync(join(programs, "npx"), 0o755);
  const child = Bun.spawn([join(place, "checkout/.ci/run")], {
    env: { PATH: `${programs}:${process.env["PATH"]}`, TMPDIR: place },
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await child.stdout.text();
  return { lines: text.trimEnd().split("\n"), exitCode: await child.exited };
}

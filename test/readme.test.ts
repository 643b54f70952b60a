/** The README says what is so: its tables and lines, held against the code. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { stream } from "../actors/accounts/stream.ts";
import { buildProgram } from "../src/cli/program.ts";
import type { Commands } from "../src/cli.ts";
import { settingsSchema, VARIABLES } from "../src/config/variables.ts";
import { createApp } from "../src/http/app.ts";
import type { ServiceView } from "../src/http/view.ts";
import { createMetrics } from "../src/metrics.ts";

const root = join(import.meta.dir, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const bun = packageJson.devDependencies["bun-types"];

test("the variables are those that the service reads, with their defaults", () => {
  const absent = new Map(Object.entries(settingsSchema.parse({})));
  const expected = VARIABLES.map(
    ({ name, default: value, meaning, secret }) => [
      `\`${name}\``,
      // A preset is a value; what else is said of an absent one are words.
      value === undefined
        ? "–"
        : absent.get(name) === undefined
          ? value
          : `\`${value}\``,
      secret ? `${meaning} (secret)` : meaning,
    ],
  );
  expect(rows("variables")).toEqual(expected);
});

test("the commands and their flags are those that --help shows", () => {
  const shared = ["--dry-run", "--log-level"];
  const expected = leavesOf(program()).map(({ path, command }) => {
    const flags = command.options.flatMap(({ long }) => long ?? []);
    return [path, ...flags.filter((flag) => !shared.includes(flag)).toSorted()];
  });
  const documented = rows("commands").map(([name, , flags]) => [
    bare(name),
    ...(flags?.match(/--[a-z-]+/g) ?? []).toSorted(),
  ]);
  expect(documented.toSorted()).toEqual(expected.toSorted());
});

test("the states of a stream are those of its machine", () => {
  const { linked, ...outer } = stream.states;
  const expected = [
    ...Object.keys(outer),
    ...Object.keys(linked?.states ?? {}),
  ];
  expect(firstColumn("states").toSorted()).toEqual(expected.toSorted());
});

test("the log events are those that the code writes", () => {
  const written = new Set(
    ["src", "actors"]
      .flatMap((folder) =>
        readdirSync(join(root, folder), { recursive: true }).map((name) =>
          join(root, folder, String(name)),
        ),
      )
      .filter((path) => path.endsWith(".ts"))
      .flatMap((path) => eventsIn(readFileSync(path, "utf8"))),
  );
  expect(written.size).toBeGreaterThan(15);
  expect(firstColumn("events").toSorted()).toEqual([...written].toSorted());
});

test("the endpoints are those of the API's own description", async () => {
  const view = { status: () => ({ version: "0.0.0" }) } as ServiceView;
  const app = createApp(view, { host: "127.0.0.1", port: 8000 });
  const answer = await app.request("http://127.0.0.1:8000/openapi.json");
  const { paths } = (await answer.json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const expected = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(firstColumn("endpoints").toSorted()).toEqual(expected.toSorted());
});

test("the metrics are those that are scraped", async () => {
  const text = await createMetrics().text();
  const expected = Array.from(
    text.matchAll(/^# HELP (\S+) (.*)$/gm),
    ([, name, help]) => [`\`${name}\``, help ?? ""],
  );
  expect(rows("metrics")).toEqual(expected);
});

test("the lines to run and to test it work without Bun: npx brings the version it is built for", () => {
  expect(codeIn("run line")).toBe(
    `npx --yes bun@${bun} install --frozen-lockfile && npx --yes bun@${bun} run start`,
  );
  expect(codeIn("test line")).toBe(
    `npx --yes bun@${bun} install --frozen-lockfile && npx --yes bun@${bun} run verify`,
  );
  expect(readme).toContain("bun install --frozen-lockfile && bun run start\n");
  expect(readme).toContain("bun install --frozen-lockfile && bun run verify\n");
});

test("every script and file it names is there", () => {
  const scripts = Array.from(
    readme.matchAll(/\bbun(?:@[\d.]+)? run ([a-z]+)/g),
    ([, name]) => name,
  );
  for (const script of scripts)
    expect(Object.keys(packageJson.scripts)).toContain(script ?? "");

  const paths = Array.from(
    readme.matchAll(
      /`((?:schema|src|actors|test|\.ci)\/[^`<]*|[A-Za-z.]+\.hcl|LICENSE)`/g,
    ),
    ([, path]) => path ?? "",
  );
  expect(paths.length).toBeGreaterThan(10);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("commands in its examples are understood", async () => {
  const lines = Array.from(
    readme.matchAll(/^(?:docker exec \S+ )?bun run start ?([^#&\n]*)/gm),
    ([, words]) => words?.trim().split(/\s+/).filter(Boolean) ?? [],
  );
  expect(lines.length).toBeGreaterThan(6);
  for (const words of lines)
    await program().parseAsync(words, { from: "user" });
});

function program(): Command {
  const commands = new Proxy({} as Commands, { get: () => async () => 0 });
  const silent = { stdout: () => {}, stderr: () => {} };
  return buildProgram(commands, silent, () => {});
}

/** Commands that do something, by the words that call them. */
function leavesOf(
  command: Command,
  path = "",
): { path: string; command: Command }[] {
  return command.commands.flatMap((child) => {
    const name = `${path} ${child.name()}`.trim();
    const below = leavesOf(child, name);
    // A group that only holds others, like `spool`, does nothing by itself.
    const acts = below.length === 0 || child.registeredArguments.length > 0;
    return [...(acts ? [{ path: name, command: child }] : []), ...below];
  });
}

/** Names that end a call of a logger: its message comes last. */
function eventsIn(text: string): string[] {
  return Array.from(
    text.matchAll(
      /\blog\??\.(?:debug|info|warn|error)\([^;]*?"([a-z]+(?:_[a-z]+)+)",?\s*\)/g,
    ),
    ([, name]) => name ?? "",
  );
}

/** What stands between `<!-- name -->` and the next `<!-- end -->`. */
function section(name: string): string {
  const found = new RegExp(`<!-- ${name} -->([^]*?)<!-- end -->`).exec(readme);
  if (found?.[1] === undefined) throw new Error(`README.md has no ${name}`);
  return found[1];
}

/** Cells of a section's table, without its head. */
function rows(name: string): string[][] {
  return section(name)
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );
}

function firstColumn(name: string): string[] {
  return rows(name).map(([cell]) => bare(cell));
}

function bare(cell: string | undefined): string {
  return cell?.replaceAll("`", "") ?? "";
}

function codeIn(name: string): string | undefined {
  return /```sh\n([^]*?)\n```/.exec(section(name))?.[1];
}

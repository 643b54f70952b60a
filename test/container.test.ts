/**
 * How the service is shipped: the image, Docker Compose, Nomad, systemd. Nothing
 * here needs their engines. The files are read, the image's steps are replayed in
 * a folder, and each environment is given to the service's own reader.
 */
import { afterAll, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { z } from "zod";
import packageJson from "../package.json" with { type: "json" };
import { type Config, readConfig } from "../src/config.ts";
import { ConfigError } from "../src/errors.ts";

const root = join(import.meta.dir, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** A stop may take this long; whoever kills has to wait longer. */
const DRAIN_SECONDS = 10;

type Variables = Readonly<Record<string, string | undefined>>;

interface Step {
  readonly word: string;
  readonly text: string;
}

const steps = read("Dockerfile")
  .replace(/^#.*\n/gm, "")
  .replace(/\\\n\s*/g, "")
  .split("\n")
  .filter((line) => line.trim() !== "")
  .map((line): Step => {
    const [, word = "", text = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    return { word, text };
  });
/** Steps of each stage; the last is the image. */
const stages = steps.reduce<Step[][]>((all, step) => {
  if (step.word === "FROM") all.push([]);
  all.at(-1)?.push(step);
  return all;
}, []);
const image = stages.at(-1) ?? [];
const textOf = (word: string) => image.find((step) => step.word === word)?.text;
const imageEnvironment: Variables = Object.fromEntries(
  (textOf("ENV") ?? "").split(/\s+/).map((pair) => pair.split("=")),
);

const scratch = mkdtempSync(join(tmpdir(), "feedkeeper-image-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("the image has two stages of the Bun it is built for, and the last one runs as nobody special", () => {
  const bases = steps.filter(({ word }) => word === "FROM");
  expect(bases.map(({ text }) => text.split(" ")[0])).toEqual([
    `oven/bun:${packageJson.devDependencies["bun-types"]}-slim`,
    `oven/bun:${packageJson.devDependencies["bun-types"]}-slim`,
  ]);
  expect(textOf("USER")).toBe("1000:1000");
  expect(textOf("STOPSIGNAL")).toBe("SIGTERM");
  expect(textOf("CMD")).toBe('["bun", "run", "start"]');
  // What needs root comes before the user is changed.
  const words = image.map(({ word }) => word);
  expect(words.lastIndexOf("RUN")).toBeLessThan(words.indexOf("USER"));
  expect(textOf("VOLUME")).toBe(imageEnvironment["FEEDKEEPER_DIR"] ?? "");
});

test("the builder is sent exactly what is copied: no secrets, no data, no tests", () => {
  const [first, ...rest] = read(".dockerignore")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  expect(first).toBe("*");
  const copied = new Set(
    steps.flatMap((step) => (step.word === "COPY" ? sourcesOf(step) : [])),
  );
  expect(rest.toSorted()).toEqual(
    [...copied].map((path) => `!${path}`).toSorted(),
  );
  expect([...copied].filter((path) => !existsSync(join(root, path)))).toEqual(
    [],
  );
  expect(copied).not.toContain("test");
});

test("its steps, replayed, make a program that runs as another user, without what only tests need", async () => {
  const app = await replay();
  expect(existsSync(join(app, "node_modules/xstate"))).toBe(true);
  for (const name of Object.keys(packageJson.devDependencies))
    expect(existsSync(join(app, "node_modules", name))).toBe(false);

  const help = await runAsUser(app, ["--help"], {});
  expect(help.stderr).toBe("$ bun src/main.ts --help\n");
  expect(help.code).toBe(0);
  expect(help.stdout).toContain("Usage: feedkeeper");

  const open = await runAsUser(app, ["config", "check"], imageEnvironment);
  expect(open.code).toBe(2);
  expect(open.stderr).toContain("API_TOKEN must be set");
});

test.each<[answer: string, status: number, code: number]>([
  ["lives", 200, 0],
  ["answers that it does not", 500, 1],
])(
  "its health check ends rightly when the service %s",
  async (_, status, code) => {
    const asked: string[] = [];
    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        asked.push(new URL(request.url).pathname);
        return new Response(undefined, { status });
      },
    });
    expect(await checkHealth(server.port)).toBe(code);
    expect(asked).toEqual(["/health/live"]);
  },
);

test("its health check fails when nothing listens", async () => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(),
  });
  const { port } = server;
  await server.stop(true);
  expect(await checkHealth(port)).not.toBe(0);
});

const composeFile = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string(),
      build: z.string().optional(),
      depends_on: z
        .record(z.string(), z.object({ condition: z.string() }))
        .optional(),
      environment: z.record(z.string(), z.string()).default({}),
      secrets: z.array(z.string()).default([]),
      ports: z.array(z.string()).default([]),
      volumes: z.array(z.string()).default([]),
      healthcheck: z
        .object({ test: z.tuple([z.literal("CMD")], z.string()) })
        .optional(),
      stop_grace_period: z.string().optional(),
    }),
  ),
  volumes: z.record(z.string(), z.null()),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});

test("Compose brings the stores first, keeps its secrets in files, and reaches no further than this machine", () => {
  const { services, volumes, secrets } = composeFile.parse(
    Bun.YAML.parse(read("compose.yaml")),
  );
  expect(Object.keys(services).toSorted()).toEqual([
    "feedkeeper",
    "kafka",
    "redis",
    "timescaledb",
  ]);
  for (const [name, service] of Object.entries(services)) {
    expect(service.image).toMatch(/:\d+\.\d+\.\d+(-|$)/);
    expect(service.ports.filter((port) => !port.startsWith("127."))).toEqual(
      [],
    );
    expect(service.secrets.filter((secret) => !(secret in secrets))).toEqual(
      [],
    );
    for (const volume of service.volumes)
      expect(Object.keys(volumes)).toContain(volume.split(":")[0] ?? "");
    for (const [variable, value] of Object.entries(service.environment))
      if (variable.endsWith("_FILE"))
        expect(service.secrets.map((each) => `/run/secrets/${each}`)).toContain(
          value,
        );
      else expect(variable).not.toMatch(/PASSWORD|TOKEN|SECRET/);
    if (name === "feedkeeper") continue;
    expect(service.healthcheck?.test.length).toBeGreaterThan(1);
    expect(services["feedkeeper"]?.depends_on?.[name]?.condition).toBe(
      "service_healthy",
    );
  }
  // Outside of version control and of what Docker is sent.
  for (const { file } of Object.values(secrets))
    expect(file).toStartWith(".feedkeeper/");

  const feedkeeper = services["feedkeeper"];
  expect(secondsOf(feedkeeper?.stop_grace_period)).toBeGreaterThan(
    DRAIN_SECONDS,
  );
  expect(feedkeeper?.volumes[0]).toEndWith(`:${textOf("VOLUME")}`);
  const config = configOf(feedkeeper?.environment ?? {});
  expect(config.http.apiToken).toBe("/run/secrets/api_token");
  expect(config.postgres.url).toContain("timescaledb");
});

test("Nomad checks both healths, waits for the drain, and hands secrets over as files", () => {
  const text = read("feedkeeper.nomad.hcl").replace(/^\s*#.*$/gm, "");
  expect(unbalanced(text)).toBeUndefined();
  expect(valuesOf(text, "path")).toEqual(["/health/ready", "/health/live"]);
  expect(valuesOf(text, "kill_signal")).toEqual(["SIGTERM"]);
  const [killTimeout] = valuesOf(text, "kill_timeout");
  expect(secondsOf(killTimeout)).toBeGreaterThan(DRAIN_SECONDS);
  expect(valuesOf(text, "change_signal")).toEqual(["SIGHUP"]);

  const environment: Variables = Object.fromEntries(
    Array.from(
      text.matchAll(/^ *([A-Z_]+) += "(.*)"$/gm),
      ([, name, value]) => [name, value],
    ),
  );
  const files = Object.entries(environment)
    .filter(([name]) => name.endsWith("_FILE"))
    .map(([, path = ""]) => path.replace("${NOMAD_SECRETS_DIR}", "secrets"));
  expect(files.length).toBeGreaterThan(2);
  expect(valuesOf(text, "destination").toSorted()).toEqual(files.toSorted());
  expect(configOf(environment).accounts).toHaveLength(1);
});

test("braces that do not match are seen", () => {
  expect(unbalanced('a { b = "}" }')).toBeUndefined();
  expect(unbalanced('a { b = "{" ')).toBe("1 left open");
  expect(unbalanced("a }\nb {")).toBe("closed too often");
});

test("the systemd unit waits for the drain and does not repeat a wrong configuration", () => {
  const unit = /```ini\n([^]*?)```/.exec(read("README.md"))?.[1] ?? "";
  expect(secondsOf(settingsIn(unit, "TimeoutStopSec")[0])).toBeGreaterThan(
    DRAIN_SECONDS,
  );
  expect(settingsIn(unit, "Restart")).toEqual(["on-failure"]);
  expect(settingsIn(unit, "RestartPreventExitStatus")).toEqual(["2"]);
  expect(settingsIn(unit, "DynamicUser")).toEqual(["yes"]);
  // It would forbid Bun to compile what it runs.
  expect(settingsIn(unit, "MemoryDenyWriteExecute")).toEqual([]);

  const credentials = settingsIn(unit, "LoadCredential").map(
    (text) => `%d/${text.split(":")[0]}`,
  );
  const environment: Variables = Object.fromEntries(
    settingsIn(unit, "Environment").map((pair) => pair.split("=")),
  );
  const files = Object.entries(environment)
    .filter(([name]) => name.endsWith("_FILE"))
    .map(([, path = ""]) => path);
  expect(files.toSorted()).toEqual(credentials.toSorted());
  expect(configOf({ HOST: "127.0.0.1", ...environment }).accounts).toHaveLength(
    1,
  );
});

/** What the service makes of an environment; a file of a secret holds its own path. */
function configOf(environment: Variables): Config {
  const withDefaults = Object.fromEntries(
    Object.entries({ ...imageEnvironment, ...environment }).map(
      ([name, value]) => [name, value?.replace(/\$\{[A-Z_]+:-(.*?)\}/g, "$1")],
    ),
  );
  try {
    return readConfig(withDefaults, { readFile: contentsOf });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new Error(error.problems.join("\n"), { cause: error });
  }
}

function contentsOf(path: string): string {
  const name = basename(path);
  if (name === "postgres_url") return "postgres://u:p@timescaledb/feedkeeper";
  if (name.startsWith("destinations"))
    return '[{ "name": "live", "key_id": "AK1", "secret_key": "s" }]';
  return path;
}

/** Does in a folder what the Dockerfile does in an image; returns where the program is. */
async function replay(): Promise<string> {
  let place = "";
  for (const stage of stages) {
    const name = / AS (\S+)$/.exec(stage[0]?.text ?? "")?.[1] ?? "image";
    const inside = (path: string) => join(scratch, name, path);
    for (const step of stage) {
      const { word, text } = step;
      if (word === "WORKDIR") {
        place = inside(text);
        mkdirSync(place, { recursive: true });
      } else if (word === "COPY") {
        const [from] = /^--from=\S+/.exec(text) ?? [];
        const target = join(place, text.split(" ").at(-1) ?? "");
        const sources = from
          ? [
              join(
                scratch,
                from.slice("--from=".length),
                text.split(" ")[1] ?? "",
              ),
            ]
          : sourcesOf(step).map((path) => join(root, path));
        for (const source of sources)
          cpSync(
            source,
            text.endsWith("/") ? join(target, basename(source)) : target,
            { recursive: true, verbatimSymlinks: true },
          );
      } else if (word === "RUN" && text.startsWith("bun ")) {
        const { code, stderr } = await run(text.split(" "), place, process.env);
        if (code !== 0) throw new Error(`${text}: ${stderr}`);
      }
    }
  }
  return place;
}

function sourcesOf({ text }: Step): string[] {
  return text.startsWith("--from") ? [] : text.split(" ").slice(0, -1);
}

/** The image's command with words of its own, as a user without rights. */
function runAsUser(
  app: string,
  words: readonly string[],
  environment: Variables,
) {
  const isRoot = process.getuid?.() === 0;
  const disguise = ["unshare", "--user", "--map-user=1000", "--map-group=1000"];
  const command = z.array(z.string()).parse(JSON.parse(textOf("CMD") ?? ""));
  return run([...(isRoot ? disguise : []), ...command, ...words], app, {
    PATH: process.env["PATH"],
    ...environment,
    FEEDKEEPER_DIR: join(scratch, "data"),
  });
}

async function checkHealth(port: number | undefined): Promise<number> {
  const [, command = ""] =
    /CMD (\[.*\])$/.exec(textOf("HEALTHCHECK") ?? "") ?? [];
  const words = z.array(z.string()).parse(JSON.parse(command));
  const { code } = await run(words, scratch, {
    PATH: process.env["PATH"],
    PORT: String(port),
  });
  return code;
}

async function run(command: readonly string[], cwd: string, env: Variables) {
  // This Bun, whatever else the machine has under the name.
  const words = command.map((word) =>
    word === "bun" ? process.execPath : word,
  );
  const child = Bun.spawn(words, { cwd, env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { stdout, stderr, code };
}

function secondsOf(text: string | undefined): number {
  return Number(/^(\d+)s?$/.exec(text ?? "")?.[1]);
}

/** Values of an HCL attribute, in order. */
function valuesOf(text: string, name: string): string[] {
  return Array.from(
    text.matchAll(new RegExp(`^ *${name} += "(.*)"$`, "gm")),
    ([, value]) => value ?? "",
  );
}

/** What is wrong with the braces, or undefined. */
function unbalanced(text: string): string | undefined {
  let depth = 0;
  for (const [brace] of text
    .replace(/"(?:\\.|[^"\\])*"/g, "")
    .matchAll(/[{}]/g)) {
    depth += brace === "{" ? 1 : -1;
    if (depth < 0) return "closed too often";
  }
  return depth === 0 ? undefined : `${depth} left open`;
}

function settingsIn(unit: string, name: string): string[] {
  return Array.from(
    unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm")),
    ([, value]) => value ?? "",
  );
}

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeRunFile } from "../../src/commands/runFile.ts";
import { fetchRunning, status, tree } from "../../src/commands/views.ts";
import { type Config, readConfig } from "../../src/config.ts";
import { createApp } from "../../src/http/app.ts";
import { freePort, type HttpServer, listen } from "../../src/http/listen.ts";
import { LOOPBACK, serviceView, STATUS, TOKEN, TREE } from "../http/view.ts";

let directory: string;
const servers: HttpServer[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-views-"));
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  rmSync(directory, { recursive: true });
});

function configOf(environment: Record<string, string> = {}): Config {
  return readConfig({ FEEDKEEPER_DIR: directory, ...environment });
}

async function served(
  answer: (request: Request) => Response | Promise<Response>,
  host = LOOPBACK.host,
): Promise<URL> {
  const server = await listen({ fetch: answer }, { host, port: 0 });
  servers.push(server);
  return new URL(server.url);
}

/** A service that says what {@link serviceView} says. */
async function running(apiToken?: string, host?: string): Promise<URL> {
  const app = createApp(serviceView(), {
    ...LOOPBACK,
    ...(apiToken === undefined ? {} : { apiToken }),
  });
  return served(async (request) => app.fetch(request), host);
}

async function run(command: typeof status, config: Config, json = false) {
  let stdout = "";
  let stderr = "";
  const code = await command(
    config,
    { json, dryRun: false },
    {
      stdout: (text) => (stdout += text),
      stderr: (text) => (stderr += text),
    },
  );
  return { code, stdout, stderr };
}

describe("a running service", () => {
  test("tells its status in the terminal", async () => {
    const { port } = await running();
    expect(await run(status, configOf({ PORT: port }))).toEqual({
      code: 0,
      stderr: "",
      stdout: [
        "feedkeeper 0.1.0, venue live, up 61 s",
        "account live: streaming (quiet: silent for 90 s); backfill done, healer resting; 3 orders, 5 events, 2 activities written; 1 fills undelivered today",
        "account cold_harbour: connecting; backfill waiting, healer waiting; 0 orders, 0 events, 0 activities written; 0 fills undelivered today",
        "feed stock: streaming (live: message or link 1 s ago); 12 messages, 9 subscriptions, 1 not granted (trades NOSUCH: request)",
        "sink postgres: spooling; 10 rows written, 0 queued, 3 on disk; connect ECONNREFUSED",
        "spool /keep/spool.sqlite: 3 records, 20480 bytes",
        "",
      ].join("\n"),
    });
  });

  test("tells its tree, each actor under its supervisor", async () => {
    const { port } = await running();
    expect(await run(tree, configOf({ PORT: port }))).toEqual({
      code: 0,
      stderr: "",
      stdout: [
        "root: running",
        "  stream: linked.streaming, 2 restarts, closed with 1006",
        "",
      ].join("\n"),
    });
  });

  test.each([
    [status, STATUS],
    [tree, TREE],
  ] as const)("tells the same as JSON", async (command, expected) => {
    const { port } = await running();
    const { code, stdout } = await run(command, configOf({ PORT: port }), true);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(expected);
  });

  test("is found where it says it is, rather than where it was to be", async () => {
    const { href } = await running();
    const config = configOf({ PORT: String(await freePort(LOOPBACK.host)) });
    writeRunFile(directory, { pid: process.ppid, httpUrl: href.slice(0, -1) });
    expect((await run(status, config)).code).toBe(0);
    expect(await fetchRunning(config)).toEqual(STATUS);
  });

  test("is found on an address of IPv6", async () => {
    const { port } = await running(undefined, "::1");
    expect((await run(tree, configOf({ HOST: "::1", PORT: port }))).code).toBe(
      0,
    );
  });

  test("is shown its token", async () => {
    const { port } = await served((request) =>
      request.headers.get("authorization") === `Bearer ${TOKEN}`
        ? Response.json(TREE)
        : Response.json({ detail: "no" }, { status: 401 }),
    );
    expect(
      (await run(tree, configOf({ PORT: port, API_TOKEN: TOKEN }))).code,
    ).toBe(0);
    expect(await run(tree, configOf({ PORT: port }))).toEqual({
      code: 1,
      stdout: "",
      stderr: `no feedkeeper answers at http://127.0.0.1:${port}: 401 {"detail":"no"}\n`,
    });
  });
});

describe("where none answers, one line says so and the exit code is 1:", () => {
  test("nothing listens there", async () => {
    const port = String(await freePort(LOOPBACK.host));
    for (const json of [false, true]) {
      const { code, stdout, stderr } = await run(
        status,
        configOf({ PORT: port }),
        json,
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(
        new RegExp(
          `^no feedkeeper answers at http://127\\.0\\.0\\.1:${port}: [^\n]+\n$`,
        ),
      );
    }
    expect(await fetchRunning(configOf({ PORT: port }))).toBeUndefined();
  });

  const page = "<html>\n<body>\nanother program\n</body>\n</html>\n";
  test.each([
    ["with a page", () => new Response(page)],
    ["with an error of many lines", () => new Response(page, { status: 404 })],
    ["with JSON of something else", () => Response.json({ hello: "there" })],
    ["with nothing", () => new Response("")],
  ])("another program listens there and answers %s", async (_what, answer) => {
    const { port } = await served(answer);
    const { code, stdout, stderr } = await run(
      status,
      configOf({ PORT: port }),
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^no feedkeeper answers at [^\n]+\n$/);
  });
});

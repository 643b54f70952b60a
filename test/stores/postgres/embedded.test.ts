import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, within } from "../../../src/clock.ts";
import { connect } from "../../../src/stores/postgres/connect.ts";
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from "../../../src/stores/postgres/embedded.ts";
import { findBinaries } from "../../../src/stores/postgres/embeddedBinaries.ts";
import { disguiseFor } from "../../../src/stores/postgres/embeddedUser.ts";
import {
  isPostmasterOf,
  stopEarlier,
} from "../../../src/stores/postgres/postmaster.ts";

let root: string;
const stops: (() => Promise<void>)[] = [];

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "feedkeeper embedded-"));
});

afterAll(async () => {
  for (const stop of stops) await stop();
  rmSync(root, { recursive: true, force: true });
});

let directories = 0;
function newDirectory(): string {
  return join(root, String(++directories));
}

async function start(
  directory: string,
  options: Omit<EmbeddedPostgresOptions, "directory"> = {},
): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ directory, ...options });
  stops.push(() => server.stop());
  return server;
}

async function ask(url: string, question: string): Promise<unknown> {
  const sql = connect(url, { connectionsMax: 1 });
  try {
    const [row] = await sql.unsafe<[{ answer: unknown }]>(question);
    return row?.answer;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function pidOf(directory: string): number {
  const file = readFileSync(join(directory, "data/postmaster.pid"), "utf8");
  return Number(file.split("\n")[0]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function complaint(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error: unknown) => String(error),
  );
}

/** The service in a process of its own, and what it said when its Postgres was up. */
async function startService(
  directory: string,
  { prefix = [], what = "wait" }: { prefix?: string[]; what?: string } = {},
) {
  const child = Bun.spawn(
    [
      ...prefix,
      process.execPath,
      join(import.meta.dir, "embeddedService.ts"),
      directory,
      what,
    ],
    { stdout: "pipe", stderr: "inherit" },
  );
  let text = "";
  for await (const piece of child.stdout) {
    text += new TextDecoder().decode(piece);
    if (text.includes("\n")) break;
  }
  const said = JSON.parse(text) as {
    rows: number;
    url: string;
    pid: number;
    user: number;
  };
  return { child, said };
}

describe("a server of one's own", () => {
  let server: EmbeddedPostgres;
  let directory: string;

  beforeAll(async () => {
    directory = newDirectory();
    server = await start(directory);
  });

  test("is a real Postgres that sorts by code point, in UTC, on the loopback only", async () => {
    const setting = (name: string) =>
      ask(server.url, `select current_setting('${name}') as answer`);
    expect(await setting("server_version")).toStartWith("18.");
    expect(await setting("listen_addresses")).toBe("127.0.0.1");
    expect(await setting("unix_socket_directories")).toBe("");
    expect(await setting("server_encoding")).toBe("UTF8");
    expect(await setting("log_timezone")).toBe("UTC");
    expect(await ask(server.url, "select 'Z' < 'a' as answer")).toBe(true);
    expect(await ask(server.url, "select upper('é') as answer")).toBe("É");
  });

  test("lets nobody in without its password, which only its owner can read", async () => {
    const url = server.url.replace(/:[^:@]+@/, ":wrong@");
    expect(await complaint(ask(url, "select 1 as answer"))).toContain(
      "password authentication failed",
    );
    expect(statSync(join(directory, "password")).mode & 0o077).toBe(0);
    expect(statSync(join(directory, "data")).mode & 0o077).toBe(0);
  });

  test("is not disturbed by a second service, which is told why it may not start", async () => {
    expect(await complaint(start(directory))).toContain(
      "another service runs the Postgres of",
    );
    expect(await ask(server.url, "select 1 as answer")).toBe(1);
  });

  test("keeps its rows, password and port over an orderly restart", async () => {
    await ask(server.url, "create table kept as select 42 as answer");
    await Promise.all([server.stop(), server.stop()]);
    expect(await server.exited).toEqual({ code: 0 });
    await server.stop();
    const again = await start(directory);
    expect(again.url).toBe(server.url);
    expect(await ask(again.url, "select answer from kept")).toBe(42);
    server = again;
  });

  test("says so when it dies, and loses nothing that was committed", async () => {
    process.kill(pidOf(directory), "SIGKILL");
    expect(await within(5000, server.exited, "nothing was said")).toEqual({
      code: null,
    });
    server = await start(directory);
    expect(await ask(server.url, "select answer from kept")).toBe(42);
  });

  test("moves to a free port when somebody else has its own, and leaves that one alone", async () => {
    await server.stop();
    const other = Bun.listen({
      hostname: "127.0.0.1",
      port: server.port,
      socket: { data() {} },
    });
    try {
      const moved = await start(directory);
      expect(moved.port).not.toBe(server.port);
      expect(await ask(moved.url, "select answer from kept")).toBe(42);
      await moved.stop();
      expect(
        await complaint(start(directory, { port: server.port })),
      ).toContain(`did not start on port ${server.port}`);
    } finally {
      other.stop(true);
    }
    server = await start(directory, { port: server.port });
  });

  test("cannot be entered when its password is lost, and says how to mend it", async () => {
    await server.stop();
    const password = join(directory, "password");
    const text = readFileSync(password, "utf8");
    rmSync(password);
    expect(await complaint(start(directory))).toContain("password is gone");
    writeFileSync(password, text, { mode: 0o600 });
    server = await start(directory);
  });

  test("is the same when its directory was moved", async () => {
    await server.stop();
    const link = newDirectory();
    symlinkSync(directory, link);
    server = await start(link);
    expect(await ask(server.url, "select answer from kept")).toBe(42);
  });

  test("tells the end of its log when it cannot come up", async () => {
    await server.stop();
    const configuration = join(directory, "data/postgresql.conf");
    const text = readFileSync(configuration, "utf8");
    writeFileSync(configuration, `${text}\nnonsense = on\n`);
    expect(await complaint(start(directory))).toContain("nonsense");
    writeFileSync(configuration, text);
    server = await start(directory);
  });
});

describe("a service that was killed", () => {
  test("leaves a server that the next start stops, whatever was under way", async () => {
    const directory = newDirectory();
    const { child, said } = await startService(directory);
    child.kill("SIGKILL");
    await child.exited;
    const data = realpathSync(join(directory, "data"));
    expect(isPostmasterOf(said.pid, data)).toBe(true);
    expect(await ask(said.url, "select 1 as answer")).toBe(1);

    const server = await start(directory);
    expect(isPostmasterOf(said.pid, data)).toBe(false);
    expect(server.url).toBe(said.url);
    expect(
      await ask(server.url, "select count(*)::int as answer from kept"),
    ).toBe(1);
    await server.stop();
  });

  test("before its data directory was whole, the next start makes it", async () => {
    const directory = newDirectory();
    mkdirSync(join(directory, "data.new"), { recursive: true });
    writeFileSync(join(directory, "data.new/PG_VERSION"), "18\n");
    const server = await start(directory);
    expect(await ask(server.url, "select 1 as answer")).toBe(1);
    await server.stop();
  });

  test("and whose server's process id went to somebody else costs nobody anything", async () => {
    const directory = newDirectory();
    await (await start(directory)).stop();
    const bystander = Bun.spawn(["sleep", "60"]);
    const pidFile = join(directory, "data/postmaster.pid");
    writeFileSync(pidFile, `${bystander.pid}\n${directory}/data\n`);
    const server = await start(directory);
    expect(isAlive(bystander.pid)).toBe(true);
    bystander.kill();
    await server.stop();
  });

  test("does not make another directory's server ours", async () => {
    const [ours, theirs] = [newDirectory(), newDirectory()];
    const other = await start(theirs);
    const pid = pidOf(theirs);
    expect(isPostmasterOf(pid, realpathSync(join(theirs, "data")))).toBe(true);
    const data = join(ours, "data");
    mkdirSync(data, { recursive: true });
    writeFileSync(
      join(data, "postmaster.pid"),
      readFileSync(join(theirs, "data/postmaster.pid")),
    );
    expect(await stopEarlier(data)).toBe("stale");
    expect(existsSync(join(data, "postmaster.pid"))).toBe(false);
    expect(await ask(other.url, "select 1 as answer")).toBe(1);
    await other.stop();
  });

  test.each(["", "0\n", "-1\n", "nonsense\n", "1\n"])(
    "and a pid file that says %p harms nobody",
    async (text) => {
      const data = join(newDirectory(), "data");
      mkdirSync(data, { recursive: true });
      writeFileSync(join(data, "postmaster.pid"), text);
      expect(await stopEarlier(data)).toBe("stale");
      expect(await stopEarlier(data)).toBe("none");
    },
  );
});

describe("starting", () => {
  test("can be given up at any time, and then nothing runs and the next start works", async () => {
    const directory = newDirectory();
    expect(
      await complaint(start(directory, { signal: AbortSignal.abort() })),
    ).toContain("abort");
    for (const afterMs of [5, 100, 300, 500]) {
      const giveUp = new AbortController();
      const starting = complaint(start(directory, { signal: giveUp.signal }));
      await sleep(afterMs);
      giveUp.abort(new Error("given up"));
      expect(["none", "Error: given up"]).toContain(await starting);
      const server = stops.pop();
      if ((await starting) === "none") await server?.();
      else if (server !== undefined) stops.push(server);
      expect(existsSync(join(directory, "data/postmaster.pid"))).toBe(false);
    }
    const server = await start(directory);
    expect(await ask(server.url, "select 1 as answer")).toBe(1);
    await server.stop();
  });

  test("works for a normal user", async () => {
    const directory = newDirectory();
    // Whoever runs this test as root is a normal user in a namespace of its own.
    const prefix =
      process.getuid?.() === 0
        ? ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
        : [];
    for (const rows of [1, 2]) {
      const { child, said } = await startService(directory, {
        prefix,
        what: "stop",
      });
      expect(await child.exited).toBe(0);
      expect(said.rows).toBe(rows);
      expect(said.user).not.toBe(0);
      expect(isPostmasterOf(said.pid, join(directory, "data"))).toBe(false);
    }
  });

  test("is done by somebody other than root, with either tool, who may use root's directories", () => {
    const isRoot = process.getuid?.() === 0;
    const secret = newDirectory();
    mkdirSync(secret, { mode: 0o700 });
    const users = (["unshare", "setpriv"] as const).map((tool) => {
      const disguise = disguiseFor(join(secret, "data"), [tool]);
      if (disguise === undefined) return "nobody else needed";
      const { stdout } = Bun.spawnSync([
        ...disguise.prefix,
        "sh",
        "-c",
        `touch '${secret}/${tool}' && id -u`,
      ]);
      return stdout.toString().trim() === "0" ? "root" : "another";
    });
    expect(users).toEqual(
      Array(2).fill(isRoot ? "another" : "nobody else needed"),
    );
    expect(readdirSync(secret).sort()).toEqual(
      isRoot ? ["setpriv", "unshare"] : [],
    );
  });

  test("needs neither the package's own install script nor its directory to be writable", () => {
    const native = newDirectory();
    const library = join(native, "lib");
    mkdirSync(library, { recursive: true });
    writeFileSync(join(library, "libone.so.1.2"), "");
    writeFileSync(
      join(native, "pg-symlinks.json"),
      JSON.stringify([
        {
          source: "native/lib/libone.so.1.2",
          target: "native/lib/libone.so.1",
        },
      ]),
    );
    // As in the package: names are relative to the folder above.
    const home = join(newDirectory(), "package");
    mkdirSync(home, { recursive: true });
    symlinkSync(native, join(home, "native"));
    const links = newDirectory();
    for (const state of ["absent", "there", "stale"]) {
      if (state === "stale") {
        rmSync(links, { recursive: true });
        mkdirSync(links);
        symlinkSync("/elsewhere", join(links, "libone.so.1"));
      }
      const { environment } = findBinaries(links, join(home, "native"));
      expect(realpathSync(join(links, "libone.so.1"))).toBe(
        realpathSync(join(library, "libone.so.1.2")),
      );
      expect(Object.values(environment).join()).toContain(links);
      expect(readdirSync(library)).toEqual(["libone.so.1.2"]);
    }
  });

  test("on a platform without binaries says what to do instead", () => {
    const platform = Object.getOwnPropertyDescriptor(process, "platform");
    Object.defineProperty(process, "platform", { value: "plan9" });
    try {
      expect(() => findBinaries(newDirectory())).toThrow(
        "name a server of your own",
      );
    } finally {
      if (platform !== undefined)
        Object.defineProperty(process, "platform", platform);
    }
  });
});

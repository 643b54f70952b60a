import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readAddress } from "../../../src/stores/postgres/address.ts";
import {
  connect,
  failureOf,
  transact,
} from "../../../src/stores/postgres/connect.ts";
import { isAway } from "../../../src/stores/postgres/database.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";
import { serverCertificate, serverKey } from "./tls.ts";

let fresh: FreshDatabase;
let directory: string;

beforeAll(async () => {
  fresh = await freshDatabase();
  directory = mkdtempSync(join(tmpdir(), "feedkeeper-connect-"));
});

afterAll(async () => {
  await fresh.drop();
  rmSync(directory, { recursive: true, force: true });
});

/** What one statement over `url` answers. */
async function ask(
  url: string,
  question = "select current_database() as answer",
) {
  const sql = connect(url, { connectionsMax: 1 });
  try {
    const [row] = await sql.unsafe<[{ answer: string }]>(question);
    return row.answer;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** What goes wrong with `url`. */
async function refusal(url: string): Promise<unknown> {
  return ask(url).then(
    () => undefined,
    (error: unknown) => error,
  );
}

function withHosts(hosts: string, query = ""): string {
  return fresh.url.replace(/@[^/]+/, `@${hosts}`) + query;
}

const port = () => new URL(fresh.url).port;

describe("an address", () => {
  test("is read with every part decoded", () => {
    expect(
      readAddress(
        "postgres://us%40er:p%3A%2F%40ss@[::1]:6543/my%20db%2Fone?search_path=a%2Cb&options=-c%20jit%3Doff",
      ),
    ).toMatchObject({
      hosts: [{ name: "::1", port: 6543 }],
      user: "us@er",
      password: "p:/@ss",
      database: "my db/one",
      settings: { search_path: "a,b", options: "-c jit=off" },
    });
  });

  test("may name several hosts and the directory of a socket", () => {
    expect(
      readAddress("postgres://u@one,two:5433,%2Frun%2Fpg:5434/d").hosts,
    ).toEqual([
      { name: "one", port: 5432 },
      { name: "two", port: 5433 },
      { name: "/run/pg", port: 5434 },
    ]);
  });

  test("without user, password, host, port or database leaves them to the defaults", () => {
    expect(readAddress("postgresql:///")).toMatchObject({
      hosts: [{ name: "localhost", port: 5432 }],
      user: undefined,
      password: undefined,
      database: undefined,
      settings: { application_name: "feedkeeper" },
    });
  });

  test("keeps libpq's own parameters from the server and translates those that matter", () => {
    const address = readAddress(
      "postgres://u@h/d?channel_binding=require&sslmode=disable&keepalives_idle=30&connect_timeout=7&gssencmode=disable&client_encoding=auto&target_session_attrs=read-write&fallback_application_name=spare&lock_timeout=5s",
    );
    expect(address).toMatchObject({
      encryption: false,
      keepAliveSeconds: 30,
      connectSecondsMax: 7,
      targetSession: "read-write",
      settings: { application_name: "spare", lock_timeout: "5s" },
    });
    expect(Object.keys(address.settings).sort()).toEqual([
      "application_name",
      "lock_timeout",
    ]);
    expect(readAddress("postgres://h/d?keepalives=0").keepAliveSeconds).toBe(0);
  });

  test.each([
    ["mysql://h/d", "no postgres:// URL"],
    ["postgres://u:secret@h/d?sslmode=maybe", "unknown sslmode maybe"],
    [
      "postgres://u:secret@h/d?sslmode=verify-ca&sslrootcert=%2Fabsent.pem",
      "/absent.pem",
    ],
  ])("%s is refused in a sentence without the password", (url, words) => {
    expect(() => connect(url)).toThrow(words);
    expect(() => connect(url)).not.toThrow("secret");
  });
});

describe("a connection", () => {
  test("reaches a database whose name needs encoding", async () => {
    const name = `odd name/${port()}?`;
    await fresh.sql`create database ${fresh.sql(name)}`;
    try {
      expect(
        await ask(fresh.url.replace(/[^/]+$/, encodeURIComponent(name))),
      ).toBe(name);
    } finally {
      await fresh.sql`drop database ${fresh.sql(name)} with (force)`;
    }
  });

  test("is made with the parameters that hosted servers put in their URLs", async () => {
    const query =
      "?sslmode=prefer&channel_binding=require&keepalives=1&keepalives_count=3&connect_timeout=3&application_name=mine&options=-c%20lock_timeout%3D7s";
    expect(
      await ask(
        fresh.url + query,
        "select current_setting('application_name') || ' ' || current_setting('lock_timeout') as answer",
      ),
    ).toBe("mine 7s");
  });

  test("limits statements and speaks UTC whatever the URL's server settings", async () => {
    expect(
      await ask(
        `${fresh.url}?TimeZone=Asia%2FTokyo`,
        "select current_setting('TimeZone') || ' ' || current_setting('statement_timeout') as answer",
      ),
    ).toBe("UTC 1min");
  });

  test("passes a host that refuses and reaches the next one", async () => {
    expect(await ask(withHosts(`127.0.0.1:1,127.0.0.1:${port()}`))).toStartWith(
      "test_",
    );
  });

  test.each([
    ["a host", "127.0.0.1:1"],
    ["either of two hosts", "127.0.0.1:1,127.0.0.1:2"],
    ["a socket", "%2Fabsent%2Fdirectory"],
  ])("fails when %s is not there, as an absence", async (_, hosts) => {
    const error = await refusal(withHosts(hosts));
    expect(error).toBeInstanceOf(Error);
    expect(isAway(error)).toBe(true);
    expect(failureOf(error)).toBe("store");
  });

  test("fails when the server hangs up before a word, without dialling in a loop", async () => {
    let dials = 0;
    const server = await listening(
      createServer((socket) => {
        dials++;
        socket.end();
      }),
    );
    try {
      const error = await refusal(withHosts(`127.0.0.1:${server.port}`));
      expect(isAway(error)).toBe(true);
      expect(dials).toBeLessThanOrEqual(2);
    } finally {
      await server.close();
    }
  });

  test("is given up when the server says nothing for the time the URL allows", async () => {
    const server = await listening(createServer(() => {}));
    try {
      const error = await refusal(
        withHosts(`127.0.0.1:${server.port}`, "?connect_timeout=1"),
      );
      expect(isAway(error)).toBe(true);
    } finally {
      await server.close();
    }
  });
});

describe("a transaction", () => {
  test("is committed when its work is done, undone when it fails, and gives its result or its failure", async () => {
    const { sql } = fresh;
    await sql`create table kept (n integer primary key)`;
    const done = await transact(sql, async (transaction) => {
      await transaction`insert into kept values (1)`;
      return "done";
    });
    expect(done).toBe("done");
    const failure = new Error("a thought of ours");
    const failed = transact(sql, async (transaction) => {
      await transaction`insert into kept values (2)`;
      throw failure;
    });
    expect(await failed.catch((error: unknown) => error)).toBe(failure);
    const refused = transact(
      sql,
      (transaction) => transaction`insert into kept values (1)`,
    );
    expect(await refused.catch(failureOf)).toBe("row");
    expect([...(await sql`select n from kept`)]).toEqual([{ n: 1 }]);
  });

  test("that loses its connection rejects as away, throws nothing that nobody could catch, and the connection is made anew", async () => {
    const sql = connect(fresh.url, { connectionsMax: 1 });
    try {
      for (let turn = 0; turn < 10; turn++) {
        const lost = transact(sql, async (transaction) => {
          const [{ pid }] = await transaction<[{ pid: number }]>`
            select pg_backend_pid() as pid`;
          const cut = fresh.sql`select pg_terminate_backend(${pid}) from pg_sleep(0.02)`;
          await Promise.all([transaction`select pg_sleep(5)`, cut]);
        });
        expect(isAway(await lost.catch((error: unknown) => error))).toBe(true);
        const next = () => transact(sql, (each) => each`select 1`);
        // The library may tell the first who comes what it told the last one.
        await next().catch(next);
      }
    } finally {
      await sql.end({ timeout: 1 });
    }
  });
});

describe("a Unix socket and IPv6", () => {
  test("are dialled at the address of the URL", async () => {
    const target = { host: "127.0.0.1", port: Number(port()) };
    const sockets = join(directory, "odd sockets");
    mkdirSync(sockets);
    const pipe = (socket: Socket) => {
      void Bun.connect({
        hostname: target.host,
        port: target.port,
        socket: {
          open(server) {
            socket.on("data", (data) => server.write(data));
            socket.on("close", () => server.end());
          },
          data(_, data) {
            socket.write(data);
          },
          close() {
            socket.end();
          },
        },
      });
      // What comes before the other side is there waits in the socket.
      socket.on("error", () => {});
    };
    const unix = createServer(pipe);
    await new Promise<void>((resolve) =>
      unix.listen(join(sockets, ".s.PGSQL.5499"), resolve),
    );
    const six = await listening(createServer(pipe), "::1");
    try {
      expect(
        await ask(
          withHosts(`${encodeURIComponent(sockets)}:5499`, "?sslmode=require"),
        ),
      ).toStartWith("test_");
      expect(await ask(withHosts(`[::1]:${six.port}`))).toStartWith("test_");
    } finally {
      unix.close();
      await six.close();
    }
  });
});

describe("TLS", () => {
  let root: string;

  beforeAll(async () => {
    root = join(directory, "root.pem");
    writeFileSync(root, serverCertificate);
    const [row] = await fresh.sql<[{ data: string }]>`
      select current_setting('data_directory') as data`;
    writeFileSync(join(row.data, "server.key"), serverKey, { mode: 0o600 });
    writeFileSync(join(row.data, "server.crt"), serverCertificate);
    // As the owner of the other files, whoever this test runs as.
    Bun.spawnSync([
      "chown",
      "--reference",
      join(row.data, "PG_VERSION"),
      join(row.data, "server.key"),
      join(row.data, "server.crt"),
    ]);
    await setTls("on");
  });

  afterAll(() => setTls("off"));

  async function setTls(value: "on" | "off") {
    await fresh.sql`alter system set ssl = ${fresh.sql.unsafe(value)}`;
    await fresh.sql`select pg_reload_conf()`;
    const deadline = Date.now() + 4000;
    while (
      (await ask(fresh.url, "select current_setting('ssl') as answer")) !==
      value
    )
      if (Date.now() > deadline) throw new Error("the server does not reload");
  }

  const question =
    "select case when ssl then version else 'plain' end as answer from pg_stat_ssl where pid = pg_backend_pid()";
  const over = (host: string, query: string) =>
    withHosts(`${host}:${port()}`, query);

  test.each([
    ["", "TLSv1.3"],
    ["?sslmode=disable", "plain"],
    ["?sslmode=allow", "TLSv1.3"],
    ["?sslmode=prefer", "TLSv1.3"],
    ["?sslmode=require", "TLSv1.3"],
    ["?ssl=require", "TLSv1.3"],
    ["?sslmode=require&ssl_max_protocol_version=TLSv1.2", "TLSv1.2"],
  ])("with %p the connection is %s", async (query, answer) => {
    expect(await ask(over("127.0.0.1", query), question)).toBe(answer);
  });

  test("a certificate is checked by verify-ca, its name too by verify-full", async () => {
    const file = `&sslrootcert=${encodeURIComponent(root)}`;
    const verdicts = [];
    for (const [host, query] of [
      ["localhost", `?sslmode=verify-full${file}`],
      ["127.0.0.1", `?sslmode=verify-full${file}`],
      ["127.0.0.1", `?sslmode=verify-ca${file}`],
      ["127.0.0.1", `?sslmode=require${file}`],
      ["localhost", "?sslmode=verify-full"],
      ["localhost", "?sslmode=verify-ca"],
      ["localhost", "?sslrootcert=system"],
    ] as const) {
      verdicts.push(
        await ask(over(host, query), question).catch((error: unknown) =>
          isAway(error) ? "refused" : error,
        ),
      );
    }
    expect(verdicts).toEqual([
      "TLSv1.3",
      "refused",
      "TLSv1.3",
      "TLSv1.3",
      "refused",
      "refused",
      "refused",
    ]);
  });
});

test("a server without TLS is refused when TLS is required", async () => {
  expect(isAway(await refusal(`${fresh.url}?sslmode=require`))).toBe(true);
});

async function listening(
  server: Server,
  host = "127.0.0.1",
): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error("no port");
  return {
    port: address.port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

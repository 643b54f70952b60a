import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { probes } from "../../src/commands/probes.ts";
import { readConfig } from "../../src/config.ts";
import { describeError } from "../../src/errors.ts";
import { freePort, listen } from "../../src/http/listen.ts";
import { createApp } from "../../src/http/app.ts";
import { LOOPBACK, serviceView, STATUS } from "../http/view.ts";
import { type Captured, captured, destinations } from "./captured.ts";

let captive: Captured;

beforeAll(async () => {
  captive = await captured();
});
afterAll(async () => {
  await captive[Symbol.asyncDispose]();
});

const line = (promise: Promise<unknown> | undefined) =>
  Promise.resolve(promise).then(() => "answers", describeError);

describe("the database", () => {
  test("answers a query, as the service itself would put it, and no connection stays", async () => {
    expect(await line(probes.postgres?.(captive.database.url))).toBe("answers");
    const { sql } = captive.database;
    const others = async () => {
      const [row] = await sql<[{ count: number }]>`
        select count(*)::int as count from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`;
      return row.count;
    };
    const deadline = Date.now() + 5000;
    while ((await others()) > 0 && Date.now() < deadline) await Bun.sleep(20);
    expect(await others()).toBe(0);
  });

  test.each([
    ["a wrong password", (url: URL) => (url.password = "wrong"), /password/],
    [
      "a database that there is not",
      (url: URL) => (url.pathname = "/no"),
      /"no" does not exist/,
    ],
    [
      "a port where nothing listens",
      (url: URL) => (url.port = "1"),
      /ECONNREFUSED/,
    ],
  ])("with %s does not, and says why", async (_what, change, why) => {
    const url = new URL(captive.database.url);
    change(url);
    expect(await line(probes.postgres?.(url.href))).toMatch(why);
  });
});

describe("an account", () => {
  const accountOf = (url: string, secret?: string) => {
    const [account] = readConfig({
      DESTINATIONS: destinations(url, secret),
    }).accounts;
    if (account === undefined) throw new Error("no account");
    return account;
  };

  test("tells its number and its status", async () => {
    expect(await probes.account(accountOf(captive.venue.url))).toMatch(
      /^account \S+, ACTIVE$/,
    );
  });

  test("whose key is refused says so, without the key", async () => {
    const answer = await line(
      probes.account(accountOf(captive.venue.url, "wrong-secret")),
    );
    expect(answer).toMatch(/^40[13] from \/v2\/account: /);
    expect(answer).not.toContain("wrong-secret");
  });
});

describe("the running service", () => {
  test("is the one that answers at the configuration's address", async () => {
    const app = createApp(serviceView(), LOOPBACK);
    const server = await listen(app, { host: LOOPBACK.host, port: 0 });
    const config = readConfig({
      ...captive.environment,
      PORT: new URL(server.url).port,
    });
    try {
      expect(await probes.running?.(config)).toEqual(STATUS);
    } finally {
      await server.stop();
    }
    expect(await probes.running?.(config)).toBeUndefined();
  });

  test("is none where nobody listens", async () => {
    const config = readConfig({
      ...captive.environment,
      PORT: String(await freePort(LOOPBACK.host)),
    });
    expect(await probes.running?.(config)).toBeUndefined();
  });
});

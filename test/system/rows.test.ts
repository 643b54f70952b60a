/** Rows that no table can hold, and a run that is to write none at all. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { MINUTE } from "../../src/clock.ts";
import { tradeAtOnce, tradeBriskly } from "../support/market.ts";
import { openScene } from "../support/scene.ts";
import { runProgram } from "../support/service.ts";

test.concurrent(
  "rows that cannot be read or stored are kept whole with the reason, and the rest of their page is written",
  async () => {
    await using scene = await openScene(["alpha"]);
    const { market, sql } = scene;
    tradeAtOnce(market, "alpha", 30);
    const { books } = market.venue.exchange;
    const [order = "", activity = "", wordy = ""] = [
      [...books.all("alpha", "orders")][3],
      [...books.all("alpha", "activities")][5],
      [...books.all("alpha", "activities")][9],
    ];
    const spoilt = new Map([
      [
        idOf(order),
        (row: string) => row.replace(/"qty":"[^"]*"/, '"qty":"many"'),
      ],
      [
        idOf(activity),
        (row: string) => row.replace(/"qty":"[^"]*"/, '"qty":"1e400000"'),
      ],
      // A character that JSON can say and Postgres cannot hold.
      [
        idOf(wordy),
        (row: string) =>
          row.replace(/"symbol":"[^"]*"/, '"symbol":"SP\\u0000Y"'),
      ],
    ]);
    await using proxy = spoilingProxy(market.venue.url, spoilt);
    const service = await scene.start({
      environment: {
        DESTINATIONS: JSON.stringify([
          { ...market.entry("alpha"), base_url: proxy.url },
        ]),
        ALPACA_TRADING_STREAM_URL: market.venue.streamUrl,
      },
    });
    await service.ready();
    await service.until("three letters", async () => {
      const letters = await sql`select from feedkeeper.dead_letters`;
      return letters.length >= 3;
    });

    const kept = () => sql<{ kind: string; raw: string; reason: string }[]>`
      select kind, raw, reason from feedkeeper.dead_letters order by kind desc, reason`;
    const letters = [
      {
        kind: "order",
        raw: proxy.sent.get(idOf(order)) ?? "",
        reason: "qty is no decimal: many",
      },
      {
        kind: "activity",
        raw: proxy.sent.get(idOf(activity)) ?? "",
        reason: "qty is no decimal: 1e400000",
      },
      {
        kind: "activity",
        raw: proxy.sent.get(idOf(wordy)) ?? "",
        reason: "refused by Postgres: unsupported Unicode escape sequence",
      },
    ];
    expect([...(await kept())]).toEqual(letters);
    await service.until("the others", async () => {
      const [count] = await sql`
        select (select count(*)::int from account_activities.raw_orders_alpha) as orders,
          (select count(*)::int from account_activities.raw_activities_alpha) as activities`;
      const booked = books.counts("alpha");
      return (
        count?.["orders"] === booked.orders - 1 &&
        count?.["activities"] === booked.activities - 2
      );
    });

    // Read again and again, each is one letter; mended at the venue, they are rows like any other.
    expect([...(await kept())]).toEqual(letters);
    spoilt.clear();
    await scene.equalsBooks();
    expect((await service.stop()).code).toBe(0);
  },
  MINUTE,
);

test.concurrent(
  "a dry run says what it would write and leaves neither database nor disk as much as a trace",
  async () => {
    await using scene = await openScene(["alpha"]);
    tradeAtOnce(scene.market, "alpha", 10);
    await using _trading = tradeBriskly(scene.market, "alpha");
    const service = await scene.start({ args: ["serve", "--dry-run"] });
    await service.ready();
    await service.until("what would be written", () => {
      const said = service.lines.filter(
        ({ message }) => message === "dry_run_would_write",
      );
      return ["orders", "events", "activities", "coverage"].every((kind) =>
        said.some((line) => Number(line[kind]) > 0),
      );
    });
    expect(await service.stop()).toMatchObject({
      code: 0,
      receipt: { undelivered: 0 },
    });

    const schemas = await scene.sql`
      select nspname as name from pg_namespace where nspname !~ '^(pg_|information_schema$|public$)'`;
    expect([...schemas]).toEqual([]);
    expect(readdirSync(service.directory)).toEqual(["lock.sqlite"]);
  },
  MINUTE,
);

test.concurrent(
  "a wrong configuration is told whole, a line and a variable each, with exit code 2 and no secret",
  async () => {
    const { code, stdout, stderr } = await runProgram(["serve"], {
      DESTINATIONS: JSON.stringify([{ name: "live", key_id: "AKHUSH" }]),
      POSTGRESQL_LIVE_CONN_STRING: "mysql://me:hush@db/keep",
      HEALING_INTERVAL_SEC: "often",
      HOST: "0.0.0.0",
      PORT: "99999",
      FEEDKEEPER_ROLE: "accounts",
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr.trimEnd().split("\n")).toEqual([
      "FEEDKEEPER_ROLE is not a variable of feedkeeper; did you mean FEEDKEEPER_ROLES?",
      "POSTGRESQL_LIVE_CONN_STRING is not a postgres:// or postgresql:// URL",
      'HEALING_INTERVAL_SEC must be a number of seconds from 0.1 to 86400, not "often"',
      'PORT must be a whole number from 0 to 65535, not "99999"',
      "HOST is 0.0.0.0, which others can reach: API_TOKEN must be set",
      "DESTINATIONS (live) has no secret_key: give it, or set ALPACA_SECRET_KEY_LIVE",
    ]);
    expect(stderr.toLowerCase()).not.toContain("hush");
  },
);

/** The venue's REST with some rows spoilt, by their id. */
function spoilingProxy(
  url: string,
  spoilt: ReadonlyMap<string, (row: string) => string>,
): AsyncDisposable & {
  readonly url: string;
  /** The spoilt texts that went out, by id. */
  readonly sent: ReadonlyMap<string, string>;
} {
  const sent = new Map<string, string>();
  const spoil = (row: string) => {
    const spoiltRow = spoilt.get(idOf(row))?.(row);
    if (spoiltRow !== undefined) sent.set(idOf(row), spoiltRow);
    return spoiltRow ?? row;
  };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const answer = await fetch(`${url}${pathname}${search}`, {
        headers: request.headers,
      });
      const value: unknown = await answer.json();
      const body = Array.isArray(value)
        ? `[${value.map((row) => spoil(JSON.stringify(row))).join(",")}]`
        : JSON.stringify(value);
      return new Response(body, { status: answer.status });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    sent,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

function idOf(row: string): string {
  return JSON.parse(row).id;
}

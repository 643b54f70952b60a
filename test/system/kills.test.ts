/** SIGKILL at any instant: afterwards orders and activities equal the venue's books, and what REST cannot give back is known to be unknown. */
import { expect, test } from "bun:test";
import { MINUTE, sleep } from "../../src/clock.ts";
import { tradeAtOnce, tradeBriskly } from "../support/market.ts";
import { openScene, openSceneWithServer } from "../support/scene.ts";
import { runProgram, until } from "../support/service.ts";

test.concurrent(
  "killed during the backfill and twice while streaming: the next start makes the store equal the books",
  async () => {
    await using scene = await openScene(["alpha"]);
    const { market, sql } = scene;
    // More pages than the budget gives in one go, so that the backfill takes a while.
    market.venue.exchange.seedActivities("alpha", 3500);
    const environment = { BACKFILL_DAYS: "365" };
    const directory = scene.directory();
    await using trading = tradeBriskly(market, "alpha");

    const first = await scene.start({ directory, environment });
    await first.until("a part of the past", async () => {
      const [count] = await sql`
        select count(*)::int as rows from account_activities.raw_activities_alpha`;
      return count?.["rows"] > 500;
    });
    await first.kill();
    const { activities } = market.venue.exchange.books.counts("alpha");
    const [kept] = await sql<[{ rows: number }]>`
      select count(*)::int as rows from account_activities.raw_activities_alpha`;
    expect(kept.rows).toBeLessThan(activities);

    for (const aliveMs of [2100, 1300]) {
      const service = await scene.start({ directory, environment });
      await service.until(
        "a live stream",
        async () => (await service.stateOf("alpha")) === "streaming",
      );
      await sleep(aliveMs);
      await service.kill();
      await sleep(300);
    }
    const last = await scene.start({ directory, environment });
    await last.ready();
    await trading.stop();
    await scene.equalsBooks();

    const { lost, amiss } = await scene.events();
    expect(amiss).toEqual([]);
    // All before the first start, and those of the moments between two runs.
    expect(lost).toBeGreaterThan(0);
    expect(await last.stop()).toMatchObject({
      code: 0,
      receipt: { undelivered: 0 },
    });
  },
  2 * MINUTE,
);

test.concurrent(
  "killed during the replay of the spool: the next start goes on with it, and nothing is doubled",
  async () => {
    await using scene = await openSceneWithServer(["alpha"]);
    const { market, sql, server } = scene;
    const desk = market.venue.exchange.desk("alpha");
    const directory = scene.directory();
    const request = {
      symbol: "SPY",
      side: "buy",
      type: "limit",
      qty: "5",
    } as const;
    const order = desk.submit(request);
    desk.accept(order);
    const service = await scene.start({ directory });
    await service.ready();
    await scene.equalsBooks();

    await server.stop();
    tradeAtOnce(market, "alpha", 250);
    desk.end(order, "canceled");
    tradeAtOnce(market, "alpha", 250, 2);
    const spooled = async () => (await service.status()).sinks[0]?.spooled ?? 0;
    await service.until(
      "everything on the disk",
      async () => (await spooled()) > 1500,
    );
    const peak = await spooled();

    // The order in the middle is held fast before the service learns that the server is back.
    service.signal("SIGSTOP");
    await server.start();
    await using stack = new AsyncDisposableStack();
    const holder = stack.adopt(await sql.reserve(), async (each) => {
      await each`rollback`;
      each.release();
    });
    await holder`begin`;
    await holder`select 1 from account_activities.raw_orders_alpha where id = ${order.id} for update`;
    service.signal("SIGCONT");
    await until("a replay that waits", async () => {
      const [waiting] = await sql`
        select count(*)::int as sessions from pg_stat_activity where wait_event_type = 'Lock'`;
      return waiting?.["sessions"] > 0;
    });
    const left = await spooled();
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(peak);
    await service.kill();
    await stack.disposeAsync();

    const { stdout } = await runProgram(["spool", "verify", "--json"], {
      FEEDKEEPER_DIR: directory,
    });
    expect(JSON.parse(stdout)).toEqual({ records: left, problems: [] });
    const next = await scene.start({ directory });
    await next.ready();
    await scene.equalsBooks();
    expect((await scene.events()).amiss).toEqual([]);
    expect((await next.status()).spool.records).toBe(0);
  },
  2 * MINUTE,
);

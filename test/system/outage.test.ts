/** The database goes and comes, and is not there at the start: the service keeps running, keeps everything, and catches up by itself. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { MINUTE, SECOND } from "../../src/clock.ts";
import { tradeAtOnce, tradeBriskly } from "../support/market.ts";
import { openSceneWithServer } from "../support/scene.ts";
import { runProgram } from "../support/service.ts";

test.concurrent(
  "away at the start and again in between: not ready within 30 s, everything on the disk, equal to the books when it is back",
  async () => {
    await using scene = await openSceneWithServer(["alpha", "beta"]);
    const { market, server } = scene;
    await server.stop();
    await using _alpha = tradeBriskly(market, "alpha");
    await using _beta = tradeBriskly(market, "beta");

    const service = await scene.start();
    await service.until(
      "events on the disk",
      async () => (await service.status()).spool.records > 20,
    );
    expect((await service.answer("/health/ready")).status).toBe(503);
    expect((await service.answer("/health/live")).status).toBe(200);
    await server.start();
    await service.ready();

    await server.stop();
    const stoppedMs = Date.now();
    await service.until(
      "503",
      async () => (await service.answer("/health/ready")).status === 503,
      30 * SECOND,
    );
    // Not at once: a store that comes back within its grace took nothing out of service.
    expect(Date.now() - stoppedMs).toBeGreaterThan(9 * SECOND);
    const { checks } = await service.health();
    expect(checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: "postgres", required: true, state: "down" },
    ]);
    await server.start();
    await service.ready();
    await Promise.all([_alpha.stop(), _beta.stop()]);
    await scene.equalsBooks();

    expect((await scene.events()).amiss).toEqual([]);
    expect((await service.status()).spool.records).toBe(0);
    expect(await service.stop()).toMatchObject({
      code: 0,
      receipt: { undelivered: 0 },
    });
  },
  2 * MINUTE,
);

test.concurrent(
  "stopped while it is away: the receipt says what is kept where, the exit code is 3, and the next start delivers it",
  async () => {
    await using scene = await openSceneWithServer(["alpha"]);
    const { market, server } = scene;
    const directory = scene.directory();
    const first = await scene.start({ directory });
    await first.ready();
    await scene.equalsBooks();
    await server.stop();
    tradeAtOnce(market, "alpha", 60);
    await first.until(
      "events on the disk",
      async () => (await first.status()).spool.records > 100,
    );

    const { code, receipt, tookMs } = await first.stop();
    expect(code).toBe(3);
    expect(tookMs).toBeLessThan(10 * SECOND);
    expect(receipt).toMatchObject({
      level: "WARN",
      delivered: { events: 0 },
      kept_in: join(directory, "spool.sqlite"),
      kept: receipt["undelivered"],
    });
    expect(receipt).not.toHaveProperty("lost");
    const { stdout } = await runProgram(["spool", "status", "--json"], {
      FEEDKEEPER_DIR: directory,
    });
    expect(JSON.parse(stdout)).toMatchObject({ records: receipt["kept"] });

    await server.start();
    const next = await scene.start({ directory });
    await next.ready();
    await scene.equalsBooks();
    const events = market.venue.exchange.books.counts("alpha").events;
    expect(await scene.events()).toEqual({ lost: 0, amiss: [] });
    expect(events).toBeGreaterThan(100);
    expect((await next.stop()).code).toBe(0);
  },
  2 * MINUTE,
);

import { expect, test } from "bun:test";
import { MINUTE, sleep } from "../../src/clock.ts";
import { openSceneWithServer } from "../support/scene.ts";
import { type Market, tradeAtOnce } from "../support/market.ts";

/** What is kept of it in memory when the disk takes no more. */
const QUEUE_LENGTH_MAX = 10_000;

test.concurrent(
  "a full disk while the database is away: it says so, takes no more, drops nothing, and goes on when there is room",
  async () => {
    await using scene = await openSceneWithServer(["alpha"]);
    const { market, server } = scene;
    const service = await scene.start({ fileBytesMax: 1_000_000 });
    await service.ready();
    await server.stop();

    await talkUntil(
      market,
      "the disk is full",
      async () => (await service.status()).spool.full,
    );
    await service.until("it is said", async () => {
      const { checks } = await service.health();
      return checks.some(
        ({ name, state }) => name === "spool" && state === "full",
      );
    });
    await talkUntil(
      market,
      "nothing more is taken",
      async () => (await service.stateOf("alpha")) === "held",
    );
    const { sinks, spool } = await service.status();
    expect(sinks[0]).toMatchObject({ state: "full" });
    expect(sinks[0]?.queued).toBeGreaterThanOrEqual(QUEUE_LENGTH_MAX);
    expect(spool.records).toBeGreaterThan(100);
    const taken = spool.records + (sinks[0]?.queued ?? 0);
    tradeAtOnce(market, "alpha", 20);

    await server.start();
    await service.ready();
    await scene.equalsBooks();
    const { lost, amiss } = await scene.events();
    expect(amiss).toEqual([]);
    const { events } = market.venue.exchange.books.counts("alpha");
    console.log({ taken, lost, events });
    expect(events - lost).toBeGreaterThanOrEqual(taken - 10);
    expect((await service.stop()).code).toBe(0);
  },
  2 * MINUTE,
);

/** Many events and few rows: one order, put on hold and let go again. */
async function talkUntil(
  market: Market,
  what: string,
  condition: () => Promise<boolean>,
): Promise<void> {
  const desk = market.venue.exchange.desk("alpha");
  const order = desk.submit({
    symbol: "SPY",
    side: "buy",
    type: "limit",
    qty: "5",
  });
  desk.accept(order);
  for (let said = 0; said < 30_000; said += 200) {
    for (let word = 0; word < 100; word++) {
      desk.say(order, "suspended");
      desk.say(order, "new");
    }
    if (await condition()) return;
    await sleep(10);
  }
  throw new Error(`not after 30,000 events: ${what}`);
}

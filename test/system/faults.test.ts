/** Faults of every kind, one account each, while all of them trade; afterwards the store equals the venue's books. */
import { expect, test } from "bun:test";
import { MINUTE, SECOND, sleep } from "../../src/clock.ts";
import type { Fault } from "../../src/venues/simulated/faults.ts";
import { tradeAtOnce, tradeBriskly } from "../support/market.ts";
import { openScene, type Scene } from "../support/scene.ts";
import type { Service } from "../support/service.ts";

/** A refused key is the subject of keys.test.ts: it is asked again only after minutes. */
const FAULTS: Readonly<Record<string, readonly Fault[]>> = {
  dropped: [{ kind: "drop" }],
  half_open: [{ kind: "half-open" }],
  mute: [{ kind: "mute" }],
  losing: [{ kind: "lose", chance: 0.3 }],
  late: [{ kind: "delay", byMs: 1500 }],
  doubled: [{ kind: "duplicate" }],
  reordered: [{ kind: "reorder" }],
  unreadable: [{ kind: "malformed", count: 7 }],
  empty: [{ kind: "data-null" }],
  unknown_word: [{ kind: "unknown-event" }],
  bare: [{ kind: "bare" }],
  venue_error: [{ kind: "action-error" }],
  withdrawn: [{ kind: "withdrawn" }],
  not_granted: [{ kind: "partial-grant", count: 3 }, { kind: "drop" }],
  too_many: [{ kind: "upgrade-429", count: 2 }, { kind: "drop" }],
  slot_taken: [{ kind: "upgrade-406", count: 2 }, { kind: "drop" }],
  throttled: [
    { kind: "rest-429", count: 2 },
    { kind: "rest-429", retryAfterS: 1, count: 2 },
  ],
  broken_gateway: [{ kind: "rest-500", count: 4 }],
  slow: [{ kind: "rest-latency", byMs: 400 }],
  cut_short: [{ kind: "rest-cut", count: 4 }],
  lossy_seams: [{ kind: "seam-loss" }],
  rest_behind: [{ kind: "fill-lag", byMs: 4000 }],
};
const NAMES = Object.keys(FAULTS);
/** Those of REST have their effect on the past as well, so they are there before the service. */
const AT_REST = NAMES.slice(NAMES.indexOf("throttled"));

test.concurrent(
  "every fault there is, and the whole venue away for a moment: each account equals its books, and no event is lost where the stream counts as live",
  async () => {
    await using scene = await openScene(NAMES);
    const { market } = scene;
    for (const name of NAMES) tradeAtOnce(market, name, 4);
    for (const name of AT_REST) tradeAtOnce(market, name, 120);
    inject(scene, AT_REST);
    const service = await scene.start({
      environment: { RECONNECT_BACKOFF_BASE_S: "0.2" },
    });
    await allStream(service);
    const tradings = new Map(
      NAMES.map((name) => [
        name,
        tradeBriskly(market, name, { lanes: 1, pauseMsMax: 200 }),
      ]),
    );

    market.venue.inject({ kind: "outage", forMs: 1500 });
    await service.until("no stream", async () => {
      const { accounts } = await service.status();
      return accounts.every(({ state }) => state !== "streaming");
    });
    await allStream(service);
    inject(scene, NAMES);
    await sleep(10 * SECOND);
    market.venue.clear();

    // What a stream kept to itself is found by holding it against the newest that REST shows.
    for (const name of ["mute", "losing"]) await tradings.get(name)?.stop();
    for (const name of ["mute", "losing"])
      await service.logged(
        "actor_state_changed",
        { actor: `pipeline/accounts/account/${name}/stream`, state: "deaf" },
        120 * SECOND,
      );
    await allStream(service);
    for (const trading of tradings.values()) await trading.stop();
    await scene.equalsBooks();

    expect((await scene.events()).amiss).toEqual([]);
    const letters = await scene.sql`
      select account, kind, count(*)::int as letters from feedkeeper.dead_letters group by 1, 2`;
    expect([...letters]).toEqual([
      { account: "unreadable", kind: "malformed", letters: 7 },
    ]);
    const { sinks } = await service.status();
    expect(sinks).toMatchObject([{ state: "direct", spooled: 0 }]);
    expect((await service.stop()).code).toBe(0);
  },
  3 * MINUTE,
);

function inject({ market }: Scene, names: readonly string[]): void {
  for (const account of names)
    for (const fault of FAULTS[account] ?? [])
      // An upgrade tells no account: whoever dials next is turned away.
      market.venue.inject(
        fault.kind.startsWith("upgrade") ? fault : { ...fault, account },
      );
}

function allStream(service: Service): Promise<void> {
  return service.until("a live stream of every account", async () => {
    const { accounts } = await service.status();
    return accounts.every(({ state }) => state === "streaming");
  });
}

import { expect, test } from "bun:test";
import type { Fact } from "../../src/accounts/coverage.ts";
import { coverageReport } from "../../src/accounts/report.ts";
import { DAY, HOUR, MINUTE } from "../../src/clock.ts";
import {
  accountScript,
  fillOf,
  iso,
  MemoryStore,
  NOW,
  orderOf,
  uuid,
} from "../support/accountScript.ts";

function fact(state: Fact["state"], from: number, to: number): Fact {
  return {
    stream: "trade_updates",
    state,
    from: new Date(from),
    to: new Date(to),
    rows: 0,
  };
}

function storeWith(...facts: Fact[]): MemoryStore {
  const store = new MemoryStore();
  store.recorded.push(...facts);
  return store;
}

test("the report begins with the first fact of any account", async () => {
  const stores = new Map([
    ["alpha", storeWith(fact("live", NOW - HOUR, NOW))],
    [
      "beta",
      storeWith(
        fact("live", NOW - MINUTE, NOW),
        fact("live", NOW - 2 * HOUR, NOW - HOUR),
      ),
    ],
  ]);
  const { from, to, intervals } = await coverageReport(stores, {}, NOW);
  expect({ from, to }).toEqual({ from: iso(NOW - 2 * HOUR), to: iso(NOW) });
  expect(
    intervals
      .filter(({ stream }) => stream === "trade_updates")
      .map(
        ({ account, state, from: start }) =>
          `${account} ${state} ${start.slice(11, 16)}`,
      ),
  ).toEqual([
    "alpha unknown 12:00",
    "alpha live 13:00",
    "beta live 12:00",
    "beta unknown 13:00",
    "beta live 13:59",
  ]);
});

test("without a fact it is the last day, all of it unknown", async () => {
  const report = await coverageReport(
    new Map([["alpha", storeWith()]]),
    {},
    NOW,
  );
  expect(report.from).toBe(iso(NOW - DAY));
  expect(report.intervals.map(({ state }) => state)).toEqual([
    "unknown",
    "unknown",
    "unknown",
  ]);
  expect(report.delivery).toEqual([]);
});

test("a wanted range is kept to, whatever the facts reach over", async () => {
  const stores = new Map([["alpha", storeWith(fact("live", NOW - DAY, NOW))]]);
  const range = { from: new Date(NOW - HOUR), to: new Date(NOW - MINUTE) };
  const { intervals } = await coverageReport(stores, range, NOW);
  expect(intervals[0]).toEqual({
    account: "alpha",
    stream: "trade_updates",
    state: "live",
    from: iso(NOW - HOUR),
    to: iso(NOW - MINUTE),
  });
});

test("an end before the first fact leaves nothing to report", async () => {
  const stores = new Map([["alpha", storeWith(fact("live", NOW - HOUR, NOW))]]);
  const to = new Date(NOW - DAY);
  const report = await coverageReport(stores, { to }, NOW);
  expect(report).toMatchObject({
    from: to.toISOString(),
    to: to.toISOString(),
    intervals: [],
  });
});

test("shares tell by day what the stream never delivered", async () => {
  const { store, queue, run } = accountScript();
  const put = (kind: "activity" | "trade_update", value: unknown) =>
    queue.offer({
      account: run.account.slug,
      kind,
      raw: JSON.stringify(value),
      receivedAtMs: NOW,
    });
  for (const number of [1, 2, 3, 4])
    put("activity", fillOf(number, NOW - number * MINUTE));
  put("activity", fillOf(5, NOW - DAY));
  for (const number of [1, 2, 3])
    put("trade_update", {
      event: "fill",
      execution_id: uuid(number),
      timestamp: iso(NOW - number * MINUTE),
      price: "1.5",
      qty: "1",
      order: orderOf(number, NOW - HOUR, { status: "filled", filled_qty: "1" }),
    });
  store.commit(queue);
  const from = new Date(NOW - 2 * DAY);
  const { delivery } = await coverageReport(
    new Map([["alpha", store]]),
    { from },
    NOW,
  );
  expect(delivery).toEqual([
    {
      account: "alpha",
      day: "2026-09-16",
      fills: 4,
      undelivered: 1,
      share: 0.25,
    },
    { account: "alpha", day: "2026-09-15", fills: 1, undelivered: 1, share: 1 },
  ]);
});

test("a store that is away is no report", async () => {
  const store = storeWith();
  store.facts = () => Promise.reject(new Error("the store is away"));
  const report = coverageReport(new Map([["alpha", store]]), {}, NOW);
  expect(await report.catch(String)).toBe("Error: the store is away");
});

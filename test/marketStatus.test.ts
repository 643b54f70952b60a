import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FeedStatus, TreeNode } from "../schema/service.ts";
import { readConfig } from "../src/config.ts";
import {
  controlChecks,
  feedCheck,
  feedStatus,
  marketSinkStatuses,
} from "../src/marketStatus.ts";
import {
  createMarketTopology,
  type MarketTopology,
} from "../src/marketTopology.ts";
import { createMetrics } from "../src/metrics.ts";
import { Database } from "../src/stores/postgres/database.ts";
import { feedScript } from "./support/feedScript.ts";

const SINCE = "2026-09-16T14:00:00.000Z";

type Detail = Readonly<Record<string, unknown>>;

/** A tree of these actors by path, each with its state and what it reports. */
function treeOf(
  actors: Readonly<Record<string, readonly [state: string, detail?: Detail]>>,
): TreeNode {
  const nodes = Object.entries(actors).map(([path, [state, detail]]) => ({
    id: path,
    path,
    type: "worker" as const,
    state,
    since: SINCE,
    restarts: 0,
    ...(detail === undefined ? {} : { detail }),
  }));
  return {
    id: "root",
    path: "",
    type: "supervisor",
    state: "running",
    since: "2026-09-16T13:00:00.000Z",
    restarts: 0,
    children: nodes,
  };
}

describe("a feed", () => {
  const verdict = { verdict: "live", reason: "message or link 1 s ago" };

  test("is shown with its state, verdict, messages and what it does not get", () => {
    const { run } = feedScript();
    Object.assign(run.board, {
      lastMessageMs: Date.parse(SINCE),
      messages: 7,
      granted: 3,
      notGranted: [{ channel: "trades", symbol: "SPY", reason: "limit" }],
    });
    const tree = treeOf({
      "pipeline/feeds/feed/stock/stream": ["linked.streaming", { verdict }],
      "pipeline/feeds/feed/stock/healer": ["resting"],
    });
    expect(feedStatus(run, tree)).toEqual({
      feed: "stock",
      state: "streaming",
      since: SINCE,
      verdict: { verdict: "live", reason: "message or link 1 s ago" },
      lastMessageAt: SINCE,
      messages: 7,
      subscribed: 3,
      notGranted: ["trades SPY: limit"],
      healer: "resting",
    });
  });

  test.each([
    ["another replica runs is standby", ["feed/stock"], "standby"],
    ["is about to start is starting", ["feed/crypto"], "starting"],
  ])("that %s", (_what, standby, state) => {
    const tree = treeOf({
      "pipeline/control/ownership": ["owning", { standby }],
    });
    expect(feedStatus(feedScript().run, tree)).toMatchObject({
      state,
      messages: 0,
      healer: "starting",
    });
  });

  test.each<[what: string, feed: Partial<FeedStatus>, check: object]>([
    [
      "streams is well",
      { state: "streaming" },
      { ok: true, required: true, state: "ok" },
    ],
    ["is standby is well", { state: "standby" }, { ok: true, state: "ok" }],
    [
      "does not get all symbols is well, and limited",
      {
        state: "streaming",
        notGranted: ["trades A: limit", "bars B: request"],
      },
      { ok: true, state: "limited", detail: "2 subscriptions not granted" },
    ],
    [
      "waits for its slot is not well",
      {
        state: "slotTaken",
        verdict: { verdict: "dead", reason: "406 connection limit exceeded" },
      },
      {
        ok: false,
        required: true,
        state: "slotTaken",
        detail: "dead: 406 connection limit exceeded",
      },
    ],
    [
      "is refused is that feed's trouble alone",
      { state: "refused" },
      { ok: false, required: false, state: "refused" },
    ],
  ])("that %s", (_what, feed, check) => {
    const status: FeedStatus = {
      feed: "stock",
      state: "waiting",
      since: SINCE,
      messages: 0,
      subscribed: 0,
      notGranted: [],
      healer: "resting",
      ...feed,
    };
    expect(feedCheck(status)).toMatchObject({
      name: "feed/stock",
      since: SINCE,
      ...check,
    });
  });
});

describe("sinks of market data", () => {
  let directory: string;
  let market: MarketTopology;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "market-status-"));
    const config = readConfig({
      ALPACA_API_KEY: "key",
      ALPACA_SECRET_KEY: "secret",
      MONITORED_SYMBOLS: "SPY",
      REDIS_URL: "redis://127.0.0.1:1",
      FEEDKEEPER_DIR: directory,
    });
    if (config.market.access === undefined) throw new Error("no access");
    market = createMarketTopology({
      config,
      metrics: createMetrics(),
      session: "session-1",
      accountsDatabase: new Database(),
      access: config.market.access,
    });
  });
  afterAll(async () => {
    await market.close();
    rmSync(directory, { recursive: true });
  });

  test("are shown with what waits, what was written, and what was dropped", () => {
    const common = { symbol: "SPY", timestamp: SINCE, receivedAtMs: 1 };
    market.feeds[0]?.deliver([
      { kind: "trade", ...common, price: 1, size: 1 },
      { kind: "trade", ...common, price: 1, size: 1 },
      { kind: "quote", ...common, bid: 1, ask: 2 },
    ]);
    Object.assign(market.written, { bars: 5, redis: 6 });
    market.dropped.redis = 4;
    market.lanes[0]!.tally.written = 3;
    const tree = treeOf({
      "pipeline/sinks/bars": ["direct.taking"],
      "pipeline/sinks/redis": ["spooling", { lastError: "refused" }],
      "pipeline/sinks/quotes-postgres": ["writing"],
    });
    expect(marketSinkStatuses(market, tree)).toEqual([
      {
        ...{ sink: "bars", state: "direct", since: SINCE },
        ...{ queued: 0, spooled: 0, written: 5 },
      },
      {
        ...{ sink: "redis", state: "spooling", since: SINCE },
        ...{ queued: 2, spooled: 0, written: 6, dropped: 4 },
        lastError: "refused",
      },
      {
        ...{ sink: "quotes-postgres", state: "writing", since: SINCE },
        ...{ queued: 1, spooled: 0, written: 3 },
      },
    ]);
  });

  test("that have not started yet are starting", () => {
    expect(
      marketSinkStatuses(market, treeOf({})).map(({ state }) => state),
    ).toEqual(["starting", "starting", "starting"]);
  });
});

describe("the control plane", () => {
  const path = "pipeline/control/subscriptions";
  test.each<[what: string, tree: TreeNode, checks: object[]]>([
    ["that is not there is not checked", treeOf({}), []],
    [
      "that listens is well",
      treeOf({ [path]: ["listening"] }),
      [{ ok: true, required: false, state: "ok" }],
    ],
    [
      "that waits is shown with its reason, and takes nothing out of service",
      treeOf({ [path]: ["waiting", { lastError: "ECONNREFUSED" }] }),
      [
        {
          ok: false,
          required: false,
          state: "waiting",
          detail: "ECONNREFUSED",
        },
      ],
    ],
  ])("%s", (_what, tree, checks) => {
    expect(controlChecks(tree)).toEqual(
      checks.map((check) => ({
        name: "subscriptions",
        since: SINCE,
        ...check,
      })) as never,
    );
  });
});

import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { Account } from "../schema/account.ts";
import type { AccountRecord } from "../schema/messages.ts";
import type { TreeNode } from "../schema/service.ts";
import { MINUTE, SECOND } from "../src/clock.ts";
import { readConfig } from "../src/config.ts";
import { openSpool } from "../src/flow/spool.ts";
import { createMetrics } from "../src/metrics.ts";
import { HealthJudge, serviceStatus } from "../src/status.ts";
import { createTopology, type Topology } from "../src/topology.ts";
import { nodeAt } from "../src/treeReading.ts";

const NOW = Date.parse("2026-09-16T14:00:00.000Z");
const iso = (ms: number) => new Date(ms).toISOString();

let topology: Topology;

beforeEach(() => {
  jest.useFakeTimers();
  jest.setSystemTime(NOW);
  const config = readConfig(
    {
      DESTINATIONS: "live,paper",
      ALPACA_API_KEY_LIVE: "AKONE",
      ALPACA_SECRET_KEY_LIVE: "one",
      ALPACA_API_KEY_PAPER: "PKTWO",
      ALPACA_SECRET_KEY_PAPER: "two",
    },
    { flags: { dryRun: true } },
  );
  topology = createTopology(config, config.accounts, createMetrics());
});
afterEach(async () => {
  jest.useRealTimers();
  await topology.close();
});

function pass(ms: number): void {
  jest.setSystemTime(Date.now() + ms);
}

function record(account: string): AccountRecord {
  return { account, kind: "order", raw: "{}", receivedAtMs: NOW };
}

interface Parts {
  readonly root?: string;
  /** State of the sink and what it reports. */
  readonly sink?: readonly [state: string, lastError?: string] | "absent";
  /** States of the streams by account; accounts that are not named have no actors. */
  readonly streams?: Readonly<Record<string, string>>;
  readonly standby?: readonly string[];
}

/** A tree as the service has it; every actor has been in its state since `since`. */
function treeOf(
  {
    root = "running",
    sink = ["direct.taking"],
    streams = { live: "linked.streaming", paper: "linked.streaming" },
    standby = [],
  }: Parts = {},
  since = iso(Date.now()),
): TreeNode {
  const node = (
    path: string,
    state: string,
    more: Partial<TreeNode> = {},
  ): TreeNode => ({
    id: path.split("/").at(-1) ?? "root",
    path,
    type: more.children === undefined ? "worker" : "supervisor",
    state,
    since,
    restarts: 0,
    ...more,
  });
  const group = (path: string, ...children: TreeNode[]) =>
    node(path, "running", { children });
  const accounts = Object.entries(streams).map(([slug, state]) => {
    const path = `pipeline/accounts/account/${slug}`;
    return group(
      path,
      node(`${path}/stream`, state, {
        detail: { verdict: { verdict: "live", reason: "a frame 1 s ago" } },
      }),
      node(`${path}/backfill`, "finished"),
      node(`${path}/healer`, "resting"),
    );
  });
  const sinks =
    sink === "absent"
      ? []
      : [
          node("pipeline/sinks/postgres", sink[0], {
            detail: sink[1] === undefined ? {} : { lastError: sink[1] },
          }),
        ];
  return node("", root, {
    children: [
      group(
        "pipeline",
        group("pipeline/sinks", ...sinks),
        group(
          "pipeline/control",
          node("pipeline/control/ownership", "owning", { detail: { standby } }),
        ),
        group("pipeline/accounts", ...accounts),
      ),
    ],
  });
}

describe("a path of the tree", () => {
  const tree = treeOf({
    streams: { live: "linked.streaming", live_2: "waiting" },
  });

  test.each([
    ["", "running"],
    ["pipeline/sinks/postgres", "direct.taking"],
    ["pipeline/accounts/account/live/stream", "linked.streaming"],
    // Its sibling's path begins alike.
    ["pipeline/accounts/account/live_2/stream", "waiting"],
    ["pipeline/accounts/account", undefined],
    ["pipeline/accounts/account/liv", undefined],
    ["pipeline/", undefined],
    ["nothing", undefined],
  ])("%p leads to the actor in the state %p", (path, state) => {
    expect(nodeAt(tree, path)?.state).toBe(state);
  });
});

describe("the status", () => {
  test("is put together of the tree, the boards and the outbox", () => {
    const [live] = topology.roster.accounts;
    if (live === undefined) throw new Error("no account");
    const { board } = topology.runOf(live);
    board.lastFrameMs = NOW - SECOND;
    board.undeliveredToday = 3;
    Object.assign(board.rows, { orders: 5, events: 7, activities: 11 });
    topology.outbox.queue.offer(record("live"));
    topology.outbox.inFlight = [record("live"), record("paper")];
    topology.outbox.spool.append([record("live")]);
    pass(90 * SECOND);
    const since = iso(NOW);
    expect(
      serviceStatus(
        topology,
        treeOf(
          {
            sink: ["spooling", "connect ECONNREFUSED"],
            streams: { live: "linked.streaming" },
          },
          since,
        ),
      ),
    ).toEqual({
      version: "0.1.0",
      startedAt: iso(NOW),
      uptimeSeconds: 90,
      venue: "live",
      accounts: [
        {
          account: "live",
          state: "streaming",
          since,
          verdict: { verdict: "live", reason: "a frame 1 s ago" },
          lastFrameAt: iso(NOW - SECOND),
          backfill: "done",
          healer: "resting",
          undeliveredToday: 3,
          rows: { orders: 5, events: 7, activities: 11 },
        },
        {
          account: "paper",
          state: "starting",
          since,
          backfill: "starting",
          healer: "starting",
          undeliveredToday: 0,
          rows: { orders: 0, events: 0, activities: 0 },
        },
      ],
      feeds: [],
      sinks: [
        {
          sink: "postgres",
          state: "spooling",
          since,
          queued: 3,
          spooled: 1,
          written: 23,
          lastError: "connect ECONNREFUSED",
        },
      ],
      spool: {
        path: ":memory:",
        records: 1,
        bytes: expect.any(Number),
        oldestSeconds: 90,
        cursors: { postgres: 0 },
        full: false,
      },
    });
  });

  test("of an account that another replica runs is standby", () => {
    const tree = treeOf({ streams: {}, standby: ["account/paper"] });
    expect(
      serviceStatus(topology, tree).accounts.map(
        ({ account, state }) => `${account} ${state}`,
      ),
    ).toEqual(["live starting", "paper standby"]);
  });
});

describe("health", () => {
  let judge: HealthJudge;
  beforeEach(() => {
    judge = new HealthJudge();
  });

  /** Status, then what is amiss: `name state required|excused since`, the time in seconds from {@link NOW}. */
  function judged(parts: Parts = {}, since?: string): string[] {
    const { status, ready, checks } = judge.judge(
      topology,
      treeOf(parts, since),
    );
    expect(ready).toBe(status === "ok" || status === "degraded");
    return [
      status,
      ...checks
        .filter(({ ok }) => !ok)
        .map(
          ({ name, state, required, since: from }) =>
            `${name} ${state} ${required ? "required" : "excused"} ${(Date.parse(from) - NOW) / SECOND}`,
        ),
    ];
  }

  test("is ok when everything is, with a check for each part", () => {
    const { checks } = judge.judge(topology, treeOf());
    expect(checks).toEqual(
      ["postgres", "spool", "account/live", "account/paper"].map((name) => ({
        name,
        ok: true,
        required: true,
        state: "ok",
        since: iso(NOW),
        ...(name.startsWith("account/")
          ? { detail: "live: a frame 1 s ago" }
          : {}),
      })),
    );
    expect(judged()).toEqual(["ok"]);
  });

  test("without accounts is that of the store and the spool", () => {
    topology.roster.accounts = [];
    expect(judged({ streams: {} })).toEqual(["ok"]);
    expect(
      judge.judge(topology, treeOf()).checks.map(({ name }) => name),
    ).toEqual(["postgres", "spool"]);
  });

  test("gives no grace to what was never well", () => {
    expect(judged({ sink: "absent", streams: {} })).toEqual([
      "not_ready",
      "postgres down required 0",
      "account/live starting required 0",
      "account/paper starting required 0",
    ]);
    expect(
      judged({
        streams: { live: "linked.connecting", paper: "linked.streaming" },
      }),
    ).toEqual(["not_ready", "account/live connecting required 0"]);
  });

  describe("of the store", () => {
    test("is degraded while it is away no longer than ten seconds, then not ready, and well again at once", () => {
      judged();
      pass(SECOND);
      const gone: Parts = { sink: ["spooling", "connect ECONNREFUSED"] };
      const since = iso(Date.now());
      expect(judged(gone, since)).toEqual([
        "degraded",
        "postgres down required 1",
      ]);
      pass(10 * SECOND);
      expect(judged(gone, since)[0]).toBe("degraded");
      pass(1);
      expect(judged(gone, since)).toEqual([
        "not_ready",
        "postgres down required 1",
      ]);
      expect(judged()).toEqual(["ok"]);
      // What is forgotten is forgotten: the next outage has its own ten seconds.
      pass(MINUTE);
      expect(judged(gone)).toEqual([
        "degraded",
        "postgres down required 71.001",
      ]);
    });

    test("is not fooled by a store that opens and refuses every write", () => {
      judged();
      for (const state of ["spooling", "replaying", "spooling", "replaying"]) {
        pass(4 * SECOND);
        judged({ sink: [state, "permission denied"] });
      }
      expect(judged({ sink: ["replaying", "permission denied"] })).toEqual([
        "not_ready",
        "postgres replaying required 4",
      ]);
    });

    test("is ok while it replays after a start, for that is what it is there for", () => {
      expect(judged({ sink: ["replaying"] })).toEqual(["ok"]);
    });

    test("says in a sentence what is wrong and what waits", () => {
      topology.outbox.spool.append([record("live"), record("live")]);
      const detailOf = (parts: Parts) =>
        judge
          .judge(topology, treeOf(parts))
          .checks.find(({ name }) => name === "postgres")?.detail;
      expect(detailOf({ sink: ["spooling", "no route to host"] })).toBe(
        "no route to host; 2 records wait on the disk",
      );
      expect(detailOf({ sink: "absent" })).toBe(
        "the store is not open yet; 2 records wait on the disk",
      );
      expect(detailOf({})).toBeUndefined();
    });
  });

  describe("of a spool that is full", () => {
    test("is not ready after the same grace, since it was full", () => {
      const { outbox } = topology;
      const spool = openSpool<AccountRecord>({
        path: ":memory:",
        sinks: ["postgres"],
        bytesMax: 100_000,
      });
      topology = { ...topology, outbox: { ...outbox, spool } };
      const full: Parts = { sink: ["full", "the spool can take no more"] };
      judged();
      const large = { ...record("live"), raw: "x".repeat(30_000) };
      expect(() => {
        for (;;) spool.append([large]);
      }).toThrow();
      const kept = spool.depth("postgres");
      pass(SECOND);
      expect(judged(full)).toEqual([
        "degraded",
        "postgres full required 1",
        "spool full required 1",
      ]);
      pass(11 * SECOND);
      expect(judged(full)).toEqual([
        "not_ready",
        "postgres full required 1",
        "spool full required 1",
      ]);
      expect(
        judge
          .judge(topology, treeOf(full))
          .checks.find(({ name }) => name === "spool")?.detail,
      ).toBe(`the disk takes no more; ${kept} records wait`);
      spool.advance("postgres", kept);
      expect(judged()).toEqual(["ok"]);
      spool.close();
      outbox.spool.close();
    });
  });

  describe("of an account", () => {
    const live = (state: string): Parts => ({
      streams: { live: state, paper: "linked.streaming" },
    });

    test("is degraded while its stream is lost no longer than a minute, however often it dials", () => {
      judged();
      const states = ["waiting", "linked.connecting", "linked.listening"];
      for (let second = 0; second <= MINUTE; second += 10 * SECOND) {
        const state = states[(second / 10 / SECOND) % 3] ?? "waiting";
        expect(judged(live(state))).toEqual([
          "degraded",
          `account/live ${state.split(".").at(-1)} required 0`,
        ]);
        pass(10 * SECOND);
      }
      expect(judged(live("waiting"))).toEqual([
        "not_ready",
        "account/live waiting required 0",
      ]);
      expect(judged()).toEqual(["ok"]);
    });

    test("that is deaf or held is not well", () => {
      judged();
      for (const state of ["deaf", "held"])
        expect(judged(live(state))).toEqual([
          "degraded",
          `account/live ${state} required 0`,
        ]);
    });

    test("that another replica runs is well", () => {
      expect(
        judged({
          streams: { live: "linked.streaming" },
          standby: ["account/paper"],
        }),
      ).toEqual(["ok"]);
    });

    test("whose key is refused never takes the others out of service, not while it asks again either", () => {
      expect(judged(live("refused"))).toEqual([
        "degraded",
        "account/live refused excused 0",
      ]);
      pass(10 * MINUTE);
      expect(judged(live("linked.authenticating"))).toEqual([
        "degraded",
        "account/live authenticating excused 0",
      ]);
      pass(10 * MINUTE);
      expect(judged(live("refused"))).toEqual([
        "degraded",
        "account/live refused excused 0",
      ]);
      // A new key: from now on it is one like the others.
      expect(judged()).toEqual(["ok"]);
      expect(judged(live("waiting"))).toEqual([
        "degraded",
        "account/live waiting required 1200",
      ]);
      pass(MINUTE + 1);
      expect(judged(live("waiting"))[0]).toBe("not_ready");
    });

    test("that was removed and comes back begins anew", () => {
      const all = topology.roster.accounts;
      const without = (slug: string): Account[] =>
        all.filter((account) => account.slug !== slug);
      judged();
      judged(live("waiting"));
      topology.roster.accounts = without("live");
      expect(judged({ streams: { paper: "linked.streaming" } })).toEqual([
        "ok",
      ]);
      topology.roster.accounts = all;
      pass(SECOND);
      expect(judged(live("linked.connecting"))).toEqual([
        "not_ready",
        "account/live connecting required 1",
      ]);
    });
  });

  test.each(["stopping", "finished"])(
    "from the stop signal on is draining, well or not: %s",
    (root) => {
      judged();
      expect(judged({ root })).toEqual(["draining"]);
      expect(judged({ root, sink: ["spooling", "gone"] })).toEqual([
        "draining",
        "postgres down required 0",
      ]);
    },
  );
});

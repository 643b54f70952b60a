import { describe, expect, test } from "bun:test";
import type { TreeNode } from "../schema/service.ts";
import { createMetrics, type Metrics, recordTree } from "../src/metrics.ts";

/** The series of our own metrics as they are scraped, without those of a name that is not asked for. */
async function series(
  metrics: Metrics,
  name = "feedkeeper_",
): Promise<string[]> {
  const text = await metrics.text();
  return text
    .split("\n")
    .filter((line) => line.startsWith(name))
    .map((line) => line.replace(/^feedkeeper_/, ""))
    .toSorted();
}

function node(
  path: string,
  state: string,
  restarts = 0,
  children: TreeNode[] = [],
): TreeNode {
  return {
    id: path.split("/").at(-1) || "root",
    path,
    type: "worker",
    state,
    since: "2026-09-16T14:00:00.000Z",
    restarts,
    children,
  };
}

test("what nothing has happened to shows no series, only what it is", async () => {
  const metrics = createMetrics();
  // Without labels there is exactly one series, and it is known from the start.
  expect(
    (await series(metrics)).filter(
      (line) => !/^\w+_(bucket|sum|count)/.test(line),
    ),
  ).toEqual(["ready 0", "spool_bytes 0"]);
});

test("what is counted is scraped, each under its labels", async () => {
  const metrics = createMetrics();
  metrics.rows.inc({ sink: "postgres", kind: "orders" }, 2);
  metrics.rows.inc({ sink: "postgres", kind: "orders" }, 3);
  metrics.sinkDropped.inc({ sink: "redis", kind: "trade" });
  metrics.reconnects.inc({ account: 'a"b\\c\nd' });
  metrics.venueRequests.inc({ account: "live", status: "error" });
  metrics.gapSeconds.set({ account: "live", stream: "orders" }, 1.5);
  metrics.ready.set(1);
  const lines = await series(metrics);
  for (const line of [
    'rows_total{sink="postgres",kind="orders"} 5',
    // What a sink drops ends in _dropped_total.
    'sink_dropped_total{sink="redis",kind="trade"} 1',
    'reconnects_total{account="a\\"b\\\\c\\nd"} 1',
    'venue_requests_total{account="live",status="error"} 1',
    'gap_seconds{account="live",stream="orders"} 1.5',
    "ready 1",
  ])
    expect(lines).toContain(line);
});

test("the time from an event to its commit is told from milliseconds to an hour", async () => {
  const metrics = createMetrics();
  for (const seconds of [0.004, 0.3, 45, 3000, 9000])
    metrics.eventToStoreSeconds.observe({ sink: "postgres" }, seconds);
  const text = await metrics.text();
  const count = (bound: string) =>
    text.match(
      new RegExp(
        `^feedkeeper_event_to_store_seconds_bucket\\{le="${bound}",sink="postgres"\\} (\\d+)$`,
        "m",
      ),
    )?.[1];
  expect(
    ["0.005", "0.25", "0.5", "30", "60", "300", "3600", "\\+Inf"].map(count),
  ).toEqual(["1", "1", "2", "2", "3", "3", "4", "5"]);
});

test("two services in one process do not add up", async () => {
  const [one, other] = [createMetrics(), createMetrics()];
  one.deadLetters.inc({ account: "live" });
  expect(await series(one, "feedkeeper_dead_letters")).toEqual([
    'dead_letters_total{account="live"} 1',
  ]);
  expect(await series(other, "feedkeeper_dead_letters")).toEqual([]);
});

test("the process tells its memory, its time and when it began", async () => {
  const text = await createMetrics().text();
  const value = (name: string) =>
    Number(text.match(new RegExp(`^${name} (\\S+)$`, "m"))?.[1]);
  expect(value("process_resident_memory_bytes")).toBeGreaterThan(1e6);
  expect(value("process_cpu_seconds_total")).toBeGreaterThan(0);
  const startedSeconds = value("process_start_time_seconds");
  expect(startedSeconds).toBeLessThan(Date.now() / 1000);
  expect(startedSeconds).toBeGreaterThan(Date.now() / 1000 - 24 * 3600);
});

test("every metric says what it is, and none is called as another", async () => {
  const text = await createMetrics().text();
  const named = (keyword: string) =>
    Array.from(
      text.matchAll(new RegExp(`^# ${keyword} (\\S+) .+$`, "gm")),
      ([, name]) => name,
    );
  expect(named("HELP")).toEqual(named("TYPE"));
  expect(new Set(named("TYPE")).size).toBe(named("TYPE").length);
  // The convention of the format: counters end in _total, nothing else does.
  expect(
    Array.from(text.matchAll(/^# TYPE (\S+) (\w+)$/gm)).filter(
      ([, name = "", type]) => name.endsWith("_total") !== (type === "counter"),
    ),
  ).toEqual([]);
});

describe("what mirrors a state", () => {
  test("is read when somebody scrapes, and each time anew", async () => {
    let depth = 0;
    const metrics = createMetrics({
      collect: ({ queueDepth }) =>
        queueDepth.set({ sink: "postgres" }, ++depth),
    });
    expect(depth).toBe(0);
    expect(await series(metrics, "feedkeeper_queue")).toEqual([
      'queue_depth{sink="postgres"} 1',
    ]);
    expect(await series(metrics, "feedkeeper_queue")).toEqual([
      'queue_depth{sink="postgres"} 2',
    ]);
  });

  test("and cannot be read is a failed scrape, not an old number", async () => {
    const metrics = createMetrics({
      collect: () => {
        throw new Error("the tree is gone");
      },
    });
    expect(await metrics.text().catch(String)).toBe("Error: the tree is gone");
  });
});

describe("the tree", () => {
  test("is one series an actor with its state, and its restarts", async () => {
    const metrics = createMetrics();
    recordTree(
      metrics,
      node("", "running", 0, [
        node("http", "listening"),
        node("pipeline", "running", 1, [
          node("pipeline/sinks/postgres", "direct.taking", 4),
        ]),
      ]),
    );
    expect(await series(metrics, "feedkeeper_actor")).toEqual([
      'actor_restarts_total{actor="http"} 0',
      'actor_restarts_total{actor="pipeline"} 1',
      'actor_restarts_total{actor="pipeline/sinks/postgres"} 4',
      'actor_restarts_total{actor="root"} 0',
      'actor_state{actor="http",state="listening"} 1',
      'actor_state{actor="pipeline",state="running"} 1',
      'actor_state{actor="pipeline/sinks/postgres",state="direct.taking"} 1',
      'actor_state{actor="root",state="running"} 1',
    ]);
  });

  test("shows neither the state before nor who has gone", async () => {
    const metrics = createMetrics();
    recordTree(
      metrics,
      node("", "running", 0, [node("a", "waiting", 2), node("b", "waiting")]),
    );
    recordTree(metrics, node("", "stopping", 0, [node("a", "streaming", 3)]));
    expect(await series(metrics, "feedkeeper_actor")).toEqual([
      'actor_restarts_total{actor="a"} 3',
      'actor_restarts_total{actor="root"} 0',
      'actor_state{actor="a",state="streaming"} 1',
      'actor_state{actor="root",state="stopping"} 1',
    ]);
  });
});

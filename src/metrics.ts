/**
 * What the service counts of itself, for Prometheus. Each instance has a
 * registry of its own, so that two trees in one process (tests, rehearsals) do
 * not add up. Counters are raised where the thing happens; gauges that only
 * mirror a state are read through `collect` when somebody scrapes.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { TreeNode } from "../schema/service.ts";

export interface Metrics {
  /** Rows a sink committed, by kind of record. */
  readonly rows: Counter<"sink" | "kind">;
  /** Bytes of venue text a sink committed. */
  readonly bytes: Counter<"sink">;
  /** What a sink dropped under its declared policy. */
  readonly sinkDropped: Counter<"sink" | "kind">;
  /** Batches a sink committed, by what closed them: `size`, `time`, `flush`. */
  readonly batches: Counter<"sink" | "trigger">;
  readonly deadLetters: Counter<"account">;
  readonly reconnects: Counter<"account">;
  /** Messages that a feed brought. */
  readonly marketMessages: Counter<"feed">;
  /** Kinds of messages that no sink takes: parsed, and counted. */
  readonly marketUntaken: Counter<"kind">;
  /** Fills that REST showed and the stream never delivered. */
  readonly undelivered: Counter<"account">;
  /** Answers of a venue by HTTP status; `error` when none came. */
  readonly venueRequests: Counter<"account" | "status">;
  /** Seconds that callers stood waiting for the rate limit. */
  readonly rateLimitWaitSeconds: Counter<"account">;
  /** Callers that stand waiting for the rate limit now. */
  readonly rateLimitWaiting: Gauge<"account">;
  /** Seconds from the arrival of an event to its commit. */
  readonly eventToStoreSeconds: Histogram<"sink">;
  readonly queueDepth: Gauge<"sink">;
  /** Records on disk that a sink has not been given yet. */
  readonly spoolDepth: Gauge<"sink">;
  readonly spoolBytes: Gauge;
  /** Seconds of known, not yet healed gaps. */
  readonly gapSeconds: Gauge<"account" | "stream">;
  /** 1 while `/health/ready` says 200, else 0. */
  readonly ready: Gauge;
  /** Set by {@link recordTree}. */
  readonly actorState: Gauge<"actor" | "state">;
  /** Set by {@link recordTree}. */
  readonly actorRestarts: Counter<"actor">;
  readonly contentType: string;
  /** Runs `collect`, then renders everything; rejects when `collect` throws. */
  text(): Promise<string>;
}

export interface MetricsOptions {
  /** Called before each scrape, to set the gauges that mirror a state. */
  readonly collect?: (metrics: Metrics) => void;
}

/** From 5 ms to an hour: a live commit takes milliseconds, one after an outage as long as the outage. */
const LATENCY_BUCKETS_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600,
];

export function createMetrics({ collect }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  const counter = counters(registry);
  const gauge = gauges(registry);
  addProcessMetrics(registry);

  const metrics: Metrics = {
    rows: counter("rows_total", "Rows committed by a sink.", ["sink", "kind"]),
    bytes: counter("bytes_total", "Bytes of venue text committed by a sink.", [
      "sink",
    ]),
    sinkDropped: counter(
      "sink_dropped_total",
      "Records a sink dropped under its declared policy.",
      ["sink", "kind"],
    ),
    batches: counter(
      "batches_total",
      "Batches committed by a sink, by what closed them.",
      ["sink", "trigger"],
    ),
    deadLetters: counter(
      "dead_letters_total",
      "Frames and rows set aside because they could not be read or stored.",
      ["account"],
    ),
    reconnects: counter(
      "reconnects_total",
      "Stream connections dialled again after one was lost or refused.",
      ["account"],
    ),
    marketMessages: counter(
      "market_messages_total",
      "Messages that a market-data feed brought.",
      ["feed"],
    ),
    marketUntaken: counter(
      "market_untaken_total",
      "Messages of market data that no sink takes, by kind.",
      ["kind"],
    ),
    undelivered: counter(
      "stream_undelivered_total",
      "Fills that REST showed and the stream never delivered.",
      ["account"],
    ),
    venueRequests: counter(
      "venue_requests_total",
      "Requests to a venue by the HTTP status of the answer (error: none came).",
      ["account", "status"],
    ),
    rateLimitWaitSeconds: counter(
      "rate_limit_wait_seconds_total",
      "Seconds spent waiting for the venue's rate limit.",
      ["account"],
    ),
    rateLimitWaiting: gauge(
      "rate_limit_waiting",
      "Callers waiting for the venue's rate limit.",
      ["account"],
    ),
    eventToStoreSeconds: new Histogram({
      name: "feedkeeper_event_to_store_seconds",
      help: "Seconds from the arrival of an event to its commit.",
      labelNames: ["sink"],
      buckets: LATENCY_BUCKETS_SECONDS,
      registers: [registry],
    }),
    queueDepth: gauge("queue_depth", "Records in a sink's memory queue.", [
      "sink",
    ]),
    spoolDepth: gauge(
      "spool_depth",
      "Records on disk that a sink has not been given yet.",
      ["sink"],
    ),
    spoolBytes: gauge("spool_bytes", "Bytes of the disk spool.", []),
    gapSeconds: gauge("gap_seconds", "Seconds of known gaps not yet healed.", [
      "account",
      "stream",
    ]),
    ready: gauge("ready", "1 while the service is ready, else 0.", []),
    actorState: gauge("actor_state", "1 for the state an actor is in.", [
      "actor",
      "state",
    ]),
    actorRestarts: counter(
      "actor_restarts_total",
      "Restarts of an actor by its supervisor.",
      ["actor"],
    ),
    contentType: registry.contentType,
    text: async () => {
      collect?.(metrics);
      return registry.metrics();
    },
  };
  return metrics;
}

/**
 * Shows the live tree: one `actor_state` series an actor, and its restarts.
 * What is no longer in the tree is no longer shown.
 */
export function recordTree(metrics: Metrics, root: TreeNode): void {
  metrics.actorState.reset();
  metrics.actorRestarts.reset();
  const waiting = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    // The root's path is empty, and an empty label is none.
    const actor = node.path || node.id;
    metrics.actorState.set({ actor, state: node.state }, 1);
    metrics.actorRestarts.inc({ actor }, node.restarts);
    waiting.push(...(node.children ?? []));
  }
}

function counters(registry: Registry) {
  return <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
  ): Counter<Label> =>
    new Counter({
      name: `feedkeeper_${name}`,
      help,
      labelNames,
      registers: [registry],
    });
}

function gauges(registry: Registry) {
  return <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
  ): Gauge<Label> =>
    new Gauge({
      name: `feedkeeper_${name}`,
      help,
      labelNames,
      registers: [registry],
    });
}

/** The usual names of process exporters, read at the scrape: no timers that would keep a process alive. */
function addProcessMetrics(registry: Registry): void {
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes.",
    registers: [registry],
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: "process_cpu_seconds_total",
    help: "User and system CPU seconds spent.",
    registers: [registry],
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "process_start_time_seconds",
    help: "Unix time the process started at, in seconds.",
    registers: [registry],
  }).set(Date.now() / 1000 - process.uptime());
}

/** The symbol registry and the candle consumer, as data. */
import { SECOND } from "../src/clock.ts";
import type { Logger } from "../src/log.ts";
import { refreshSnapshots, watchStreams } from "../src/registry/upkeep.ts";
import {
  lastRuns,
  noteScheduledRun,
} from "../src/stores/postgres/scheduleRuns.ts";
import type { Topology } from "../src/topology.ts";
import {
  candleConsumer,
  type CandleConsumerInput,
} from "./candles/consumer.ts";
import { executor, type ExecutorInput } from "./registry/executor.ts";
import { schedule, type ScheduleInput } from "./registry/schedule.ts";
import type { Child } from "./supervision/plan.ts";

/** How the executor reaches its siblings. */
export type RunReach = Pick<ExecutorInput, "start" | "stop" | "isRunning">;

export function registryChildren(
  topology: Topology,
  log: Logger,
  reach: RunReach,
): Child[] {
  const { registry } = topology;
  if (registry === undefined) return [];
  const { board, database, scheduleBoard, feeds } = registry;
  const run = registry.runWith(log);
  const executing: ExecutorInput = { run, board, ...reach };
  const scheduling: ScheduleInput = {
    board: scheduleBoard,
    log,
    lastRuns: async () => lastRuns(database.sql),
    noteRun: async (id, at) => noteScheduledRun(database.sql, id, at),
    work: {
      nightly_gap_detection: async (signal) => registry.fillGaps(run, signal),
      snapshot_refresh: async () => refreshSnapshots(run, board),
      stream_monitoring: async () => watchStreams(run, feeds),
    },
  };
  return [
    child("executor", executor, executing),
    child("schedule", schedule, scheduling),
  ];
}

/** Reads bars back from Kafka, where this replica is to. */
export function candleChildren(topology: Topology): Child[] {
  const { config, market, metrics } = topology;
  const address = config.market.kafka;
  if (market === undefined || address === undefined) return [];
  if (!config.roles.has("candles") || config.dryRun) return [];
  const consuming: CandleConsumerInput = {
    address,
    database: market.database,
    onWritten(_records, { rows, deadLetters }) {
      market.written.bars += rows;
      metrics.rows.inc({ sink: "candles", kind: "bar" }, rows);
      metrics.deadLetters.inc({ account: "candles" }, deadLetters.length);
    },
  };
  return [child("consumer", candleConsumer, consuming)];
}

function child(id: string, logic: Child["logic"], input: unknown): Child {
  return { id, logic, input, restart: "permanent", graceMs: 2 * SECOND };
}

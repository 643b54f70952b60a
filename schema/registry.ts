/** The symbol registry: which symbols are ingested how, and what a run of one says on its way. */
import { z } from "zod";

/** Phases of a run, in their order; a strategy names those it has. */
export const RUN_PHASES = ["flatpack", "snapshot", "stream"] as const;
export type RunPhase = (typeof RUN_PHASES)[number];

/** Strategies as they are stored, answered and written in the older documents, with their phases. */
export const STRATEGIES = {
  flatpack: ["flatpack"],
  snapshot: ["snapshot"],
  stream: ["stream"],
  /** History by REST alone. */
  flatpack_api: ["flatpack"],
  snapshot_stream: ["snapshot", "stream"],
  flatpack_snapshot_stream: ["flatpack", "snapshot", "stream"],
} as const satisfies Record<string, readonly RunPhase[]>;
export type Strategy = keyof typeof STRATEGIES;

export const STATUSES = [
  "idle",
  "running",
  "error",
  "paused",
  "completed",
  "disabled",
  "scheduled",
] as const;
export type RegistryStatus = (typeof STATUSES)[number];

/** Both spellings exist in the wild: `flatpack+snapshot+stream` and with `_`, in either case. */
export const strategySchema = z
  .string()
  .transform((text) => text.trim().toLowerCase().replaceAll("+", "_"))
  .pipe(
    z.enum(Object.keys(STRATEGIES) as [Strategy, ...Strategy[]], {
      error: `must be one of ${Object.keys(STRATEGIES).join(", ")}`,
    }),
  );

export const statusSchema = z
  .string()
  .transform((text) => text.trim().toLowerCase())
  .pipe(z.enum(STATUSES, { error: `must be one of ${STATUSES.join(", ")}` }));

/** A row of the registry; times ISO UTC or null. */
export interface RegistryEntry {
  /** `AAPL`, `BTC/USD`. */
  readonly symbol: string;
  readonly strategy: Strategy;
  readonly timeframe: string;
  readonly enabled: boolean;
  readonly status: RegistryStatus;
  readonly description: string | null;
  readonly last_backfill: string | null;
  readonly last_snapshot: string | null;
  readonly last_stream: string | null;
  readonly error_message: string | null;
  /** Failures in a row; what the next retry waits by. */
  readonly failures: number;
  readonly next_retry_at: string | null;
  readonly metadata: unknown;
  readonly created_at: string;
  readonly updated_at: string;
}

/** Where bars, snapshots and markers are of: the middle part of their topic. */
export type MessagePhase = "backfill" | "snapshot" | "stream";

/** One minute on its way to the store, over Kafka where that is configured. */
export interface CandleMessage {
  readonly symbol: string;
  readonly phase: MessagePhase;
  readonly type: "bar";
  readonly timeframe: "1m";
  /** Start of the minute, ISO UTC. */
  readonly timestamp: string;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly vwap?: number;
  readonly trades?: number;
  readonly source: string;
}

export interface SnapshotMessage {
  readonly symbol: string;
  readonly phase: "snapshot";
  readonly type: "snapshot";
  readonly timestamp: string;
  /** The venue's snapshot as it came. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** Says that a phase of a run began, ended or failed. */
export interface PhaseMarker {
  readonly symbol: string;
  readonly phase: MessagePhase;
  readonly type: "phase";
  readonly status: "started" | "completed" | "failed";
  readonly timestamp: string;
  readonly records?: number;
  readonly error?: string;
}

export type RegistryMessage = CandleMessage | SnapshotMessage | PhaseMarker;

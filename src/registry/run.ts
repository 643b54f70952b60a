/** What runs of the symbol registry work with. It belongs to the topology and outlives each of them. */
import type {
  RegistryEntry,
  RegistryMessage,
  RunPhase,
} from "../../schema/registry.ts";
import { type Clock, HOUR, MINUTE } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Claim } from "../stores/postgres/registry.ts";
import type { RegistryVenue, Split } from "../venues/registryVenue.ts";

/** Between two tries of a symbol whose run failed. */
export const RETRY = { baseMs: MINUTE, maxMs: 6 * HOUR };

/** Every method rejects while the store is away. */
export interface RegistryStore {
  find(symbol: string): Promise<RegistryEntry | undefined>;
  list(options: { enabledOnly: boolean }): Promise<RegistryEntry[]>;
  claim(symbol: string): Promise<Claim | undefined>;
  /** False when another run has it. */
  renew(claim: Claim): Promise<boolean>;
  stamp(claim: Claim, phase: RunPhase): Promise<void>;
  release(claim: Claim): Promise<void>;
  fail(
    claim: Claim,
    failure: { readonly message: string; readonly retryMs: number },
  ): Promise<void>;
  /** Stopped half-way, and due again. */
  interrupt(claim: Claim): Promise<void>;
  /** Symbols whose run is gone: idle again. */
  clearStaleLocks(): Promise<string[]>;
  retriesDue(): Promise<string[]>;
  /** Days of which the store has read this version of the file for the symbol. */
  filesRead(symbol: string): Promise<ReadonlyMap<string, string>>;
  noteFileRead(
    symbol: string,
    file: { readonly key: string; readonly etag: string },
    rows: number,
  ): Promise<void>;
  /** Splits that the stored history accounts for. */
  appliedSplits(symbol: string): Promise<Split[]>;
  noteSplits(symbol: string, splits: readonly Split[]): Promise<void>;
  /** Start of the newest stored minute, ms. */
  newestMinute(symbol: string): Promise<number | undefined>;
}

/** The symbols that runs have set streaming. */
export interface StreamSet {
  add(symbol: string): void;
  remove(symbol: string): void;
  has(symbol: string): boolean;
  list(): string[];
}

export interface RegistryRun {
  readonly venue: RegistryVenue;
  readonly store: RegistryStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly leaseMs: number;
  readonly backfillDays: number;
  /** To Kafka where it is configured, else to the store. Waits for room. */
  readonly publish: (
    message: RegistryMessage,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Resolves once what was published of the symbol would outlive the process. */
  readonly kept: (symbol: string, signal: AbortSignal) => Promise<void>;
  /** A row of a day file that could not be read, whole. */
  readonly setAside: (raw: string, reason: string) => void;
  readonly streams: StreamSet;
  /** Told in the log and in results. */
  readonly usesKafka: boolean;
  readonly usesRedis: boolean;
}

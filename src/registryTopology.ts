/** What outlives every actor on the side of the symbol registry: jobs, streaming symbols, and the way of its messages. */
import type { BarRecord } from "../schema/market.ts";
import type { RegistryMessage } from "../schema/registry.ts";
import { assetClassOf } from "../schema/symbol.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { Notice } from "./flow/notice.ts";
import type { Outbox } from "./flow/outbox.ts";
import type { Logger } from "./log.ts";
import { JobBoard } from "./registry/jobs.ts";
import { barOf } from "./registry/messages.ts";
import type { RegistryRun, StreamSet } from "./registry/run.ts";
import { ScheduleBoard } from "./registry/scheduleBoard.ts";
import type { Database } from "./stores/postgres/database.ts";
import { registryStore } from "./stores/postgres/registryStore.ts";
import type { RegistryVenue } from "./venues/registryVenue.ts";

export interface RegistryTopology {
  readonly database: Database;
  readonly board: JobBoard;
  readonly scheduleBoard: ScheduleBoard;
  readonly streams: Streams;
  /** With the log of the process; made once it is there. */
  runWith(log: Logger): RegistryRun;
}

export interface RegistryTopologyInput {
  readonly config: Config;
  readonly session: string;
  readonly database: Database;
  readonly venue: RegistryVenue;
  /** The store of bars: where messages go without Kafka. */
  readonly bars: Outbox<BarRecord>;
  /** Present with Kafka: then everything goes there. */
  readonly kafka: Outbox<RegistryMessage> | undefined;
}

export function createRegistryTopology(
  input: RegistryTopologyInput,
): RegistryTopology {
  const { config, session, database, venue, bars, kafka } = input;
  const streams = new Streams();

  async function publish(
    message: RegistryMessage,
    signal: AbortSignal,
  ): Promise<void> {
    if (kafka !== undefined) return kafka.queue.put(message, signal);
    const record = recordOf(message);
    if (record !== undefined) await bars.queue.put(record, signal);
  }

  return {
    database,
    board: new JobBoard(() => systemClock.now()),
    scheduleBoard: new ScheduleBoard(),
    streams,
    runWith: (log) => ({
      venue,
      store: registryStore(database, {
        owner: session,
        leaseMs: config.leaseMs,
      }),
      clock: systemClock,
      log,
      leaseMs: config.leaseMs,
      backfillDays: config.backfillDays,
      publish,
      setAside: (raw, reason) =>
        void bars.queue.offer({
          kind: "malformed",
          feed: venue.source,
          raw,
          reason,
          receivedAtMs: systemClock.now(),
        }),
      streams,
      usesKafka: kafka !== undefined,
      usesRedis: config.market.redis !== undefined,
    }),
  };
}

/** What a message is to the store; markers are for whoever reads the topics. */
export function recordOf(message: RegistryMessage): BarRecord | undefined {
  switch (message.type) {
    case "bar":
      return barOf(message, systemClock.now());
    case "snapshot":
      return {
        kind: "snapshot",
        symbol: message.symbol,
        timestamp: message.timestamp,
        data: message.data,
      };
    case "phase":
      return undefined;
    default:
      return message satisfies never;
  }
}

/** The symbols that stream, by class; feeds look here for what they are to subscribe. */
export class Streams implements StreamSet {
  readonly #symbols = new Set<string>();
  readonly changed = new Notice();

  add(symbol: string): void {
    if (this.#symbols.has(symbol)) return;
    this.#symbols.add(symbol);
    this.changed.raise();
  }

  remove(symbol: string): void {
    if (this.#symbols.delete(symbol)) this.changed.raise();
  }

  has(symbol: string): boolean {
    return this.#symbols.has(symbol);
  }

  of(assetClass: "stock" | "crypto"): string[] {
    return [...this.#symbols].filter(
      (symbol) => assetClassOf(symbol) === assetClass,
    );
  }
}

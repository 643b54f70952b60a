/** The one door to Kafka: clients with the settings that producer and consumer rely on. */
import { createRequire } from "node:module";
import { Kafka, logLevel, type SASLOptions } from "kafkajs";
import type { KafkaAddress } from "../../config/market.ts";
import { SECOND } from "../../clock.ts";

export type { Kafka };

/** Kafka is away, refuses, or does not answer: passing, or somebody's action helps. */
export class KafkaError extends Error {
  override readonly name = "KafkaError";
}

export function connectKafka(
  { brokers, ssl, sasl }: KafkaAddress,
  clientId: string,
): Kafka {
  keepTimersQuiet();
  return new Kafka({
    clientId,
    brokers: [...brokers],
    ssl,
    ...(sasl === undefined ? {} : { sasl: saslOf(sasl) }),
    connectionTimeout: 5 * SECOND,
    requestTimeout: 15 * SECOND,
    // The actors wait and try again; the library's own retries only bridge a change of leader.
    retry: { retries: 3, initialRetryTime: 200, maxRetryTime: 2 * SECOND },
    // What goes wrong comes back as an error, and is told by the actor that hears it.
    logLevel: logLevel.NOTHING,
  });
}

function saslOf({
  mechanism,
  username,
  password,
}: NonNullable<KafkaAddress["sasl"]>): SASLOptions {
  return { mechanism, username, password } as SASLOptions;
}

/** The part of kafkajs's queue of requests that is of interest here. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  scheduleCheckPendingRequests(): void;
}

let isQuiet = false;

/**
 * After each answer kafkajs 2.2.4 sets a timer for the end of a throttling that
 * never began, which lies before 1970: a warning on stderr, and a needless wake-up
 * for every request. Where nothing is pending and nothing throttled, none is due.
 */
function keepTimersQuiet(): void {
  if (isQuiet) return;
  isQuiet = true;
  const { prototype } = createRequire(import.meta.url)(
    "kafkajs/src/network/requestQueue",
  ) as { prototype: RequestQueue };
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0 || this.throttledUntil > Date.now())
      schedule.call(this);
  };
}

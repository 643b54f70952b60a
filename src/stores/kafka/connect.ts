/** The one door to Kafka: clients with the settings that producer and consumer rely on. */
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

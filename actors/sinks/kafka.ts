/** The writer of the Kafka sink: messages of the registry, a batch at a time. */
import type { RegistryMessage } from "../../schema/registry.ts";
import { MINUTE } from "../../src/clock.ts";
import type { KafkaAddress } from "../../src/config/market.ts";
import type { Trigger } from "../../src/flow/batch.ts";
import type { Logger } from "../../src/log.ts";
import { connectKafka, KafkaError } from "../../src/stores/kafka/connect.ts";
import {
  openPublisher,
  type Publisher,
  type Refused,
} from "../../src/stores/kafka/produce.ts";
import type { Writer } from "./sink.ts";

const BOUNDS = { sizeMax: 5_000, waitMsMax: 100 };
/** A right that is missing is missing for every message: one line a minute says so. */
const REFUSED_EVERY_MS = MINUTE;

export interface KafkaWriterInput {
  readonly address: KafkaAddress;
  readonly log: Logger;
  readonly onWritten: (
    messages: readonly RegistryMessage[],
    trigger: Trigger,
  ) => void;
  /** Told of what Kafka will never take (too large, no right to the topic), so that it goes another way. */
  readonly onRefused: (refused: readonly Refused[]) => void;
}

export function kafkaWriter({
  address,
  log,
  onWritten,
  onRefused,
}: KafkaWriterInput): Writer<RegistryMessage> {
  const kafka = connectKafka(address, "feedkeeper");
  let publisher: Publisher | undefined;
  let refusedSince = 0;
  let sayRefusedAtMs = 0;

  function connection(): Publisher {
    if (publisher === undefined) throw new KafkaError("not connected");
    return publisher;
  }

  function sayRefused(refused: readonly Refused[]): void {
    refusedSince += refused.length;
    if (Date.now() < sayRefusedAtMs) return;
    const { topic, reason } = refused[0] ?? {};
    log.warn({ topic, reason, messages: refusedSince }, "publications_refused");
    refusedSince = 0;
    sayRefusedAtMs = Date.now() + REFUSED_EVERY_MS;
  }

  return {
    bounds: BOUNDS,
    async open() {
      void publisher?.close();
      publisher = undefined;
      publisher = await openPublisher(kafka, address.layout);
    },
    async write(items, trigger) {
      const refused = await connection().publish(items);
      if (refused.length > 0) {
        onRefused(refused);
        sayRefused(refused);
      }
      onWritten(takenOf(items, refused), trigger);
    },
    ping: () => connection().ping(),
    close: () => void publisher?.close(),
  };
}

function takenOf(
  items: readonly RegistryMessage[],
  refused: readonly Refused[],
): readonly RegistryMessage[] {
  if (refused.length === 0) return items;
  const gone = new Set(refused.map(({ message }) => message));
  return items.filter((item) => !gone.has(item));
}

/** The writer of the Kafka sink: messages of the registry, a batch at a time. */
import type { RegistryMessage } from "../../schema/registry.ts";
import type { KafkaAddress } from "../../src/config/market.ts";
import type { Trigger } from "../../src/flow/batch.ts";
import { connectKafka, KafkaError } from "../../src/stores/kafka/connect.ts";
import {
  openPublisher,
  type Publisher,
} from "../../src/stores/kafka/produce.ts";
import type { Writer } from "./sink.ts";

const BOUNDS = { sizeMax: 5_000, waitMsMax: 100 };

export interface KafkaWriterInput {
  readonly address: KafkaAddress;
  readonly onWritten: (
    messages: readonly RegistryMessage[],
    trigger: Trigger,
  ) => void;
}

export function kafkaWriter({
  address,
  onWritten,
}: KafkaWriterInput): Writer<RegistryMessage> {
  const kafka = connectKafka(address, "feedkeeper");
  let publisher: Publisher | undefined;

  function connection(): Publisher {
    if (publisher === undefined) throw new KafkaError("not connected");
    return publisher;
  }

  return {
    bounds: BOUNDS,
    async open() {
      await publisher?.close();
      publisher = undefined;
      publisher = await openPublisher(kafka, address.layout);
    },
    async write(items, trigger) {
      await connection().publish(items);
      onWritten(items, trigger);
    },
    ping: () => connection().ping(),
    close: () => void publisher?.close(),
  };
}

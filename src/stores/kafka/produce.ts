/** Messages of the registry into their topics: keyed by symbol, acknowledged by all replicas, written once. */
import {
  CompressionTypes,
  type Kafka,
  Partitioners,
  type Producer,
  type TopicMessages,
} from "kafkajs";
import type { RegistryMessage } from "../../../schema/registry.ts";
import { describeError } from "../../errors.ts";
import { KafkaError } from "./connect.ts";
import { type TopicLayout, topicOf } from "./topics.ts";

export interface Publisher {
  /** Resolves when every message is acknowledged by all in-sync replicas. @throws KafkaError; then they may be sent again */
  publish(messages: readonly RegistryMessage[]): Promise<void>;
  /** Whether the brokers answer. @throws KafkaError */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** @throws KafkaError when no broker answers */
export async function openPublisher(
  kafka: Kafka,
  layout: TopicLayout,
): Promise<Publisher> {
  const producer: Producer = kafka.producer({
    // With it a batch that is sent again after a lost answer is still written once.
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: true,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  const admin = kafka.admin();
  const known = new Set<string>();
  try {
    await producer.connect();
    await admin.connect();
  } catch (error) {
    await Promise.allSettled([producer.disconnect(), admin.disconnect()]);
    throw failure("no broker answers", error);
  }

  /** A cluster that does not create topics by itself gets them from us; one that refuses it to us says so. */
  async function ensureTopics(topics: readonly string[]): Promise<void> {
    const missing = topics.filter((topic) => !known.has(topic));
    if (missing.length === 0) return;
    await admin.createTopics({
      topics: missing.map((topic) => ({ topic })),
      waitForLeaders: true,
    });
    for (const topic of missing) known.add(topic);
  }

  return {
    async publish(messages) {
      const topicMessages = grouped(messages, layout);
      try {
        await ensureTopics(topicMessages.map(({ topic }) => topic));
        await producer.sendBatch({
          acks: -1,
          compression: CompressionTypes.GZIP,
          topicMessages,
        });
      } catch (error) {
        // A topic that somebody deleted is made again next time.
        known.clear();
        throw failure("messages were not taken", error);
      }
    },
    async ping() {
      try {
        await admin.describeCluster();
      } catch (error) {
        throw failure("no broker answers", error);
      }
    },
    async close() {
      await Promise.allSettled([producer.disconnect(), admin.disconnect()]);
    },
  };
}

/** In order within each topic, which is all that Kafka keeps. */
function grouped(
  messages: readonly RegistryMessage[],
  layout: TopicLayout,
): TopicMessages[] {
  const byTopic = Map.groupBy(messages, (message) => topicOf(message, layout));
  return [...byTopic].map(([topic, own]) => ({
    topic,
    messages: own.map((message) => ({
      key: message.symbol,
      value: JSON.stringify(message),
    })),
  }));
}

function failure(what: string, cause: unknown): KafkaError {
  return new KafkaError(`${what}: ${describeError(cause)}`, { cause });
}

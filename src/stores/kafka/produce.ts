/**
 * Messages of the registry into their topics: keyed by symbol, acknowledged by all
 * replicas, written once. What Kafka will never take is told and holds up nothing
 * else; everything else that goes wrong fails the whole, which may be sent again.
 */
import {
  CompressionTypes,
  type Kafka,
  KafkaJSAggregateError,
  KafkaJSProtocolError,
  Partitioners,
  type Producer,
  type TopicMessages,
} from "kafkajs";
import type { RegistryMessage } from "../../../schema/registry.ts";
import { MINUTE, SECOND, within } from "../../clock.ts";
import { describeError } from "../../errors.ts";
import { KafkaError } from "./connect.ts";
import { refusalOf } from "./refusals.ts";
import { type TopicLayout, topicOf } from "./topics.ts";

/** A message that Kafka does not take, now or later. */
export interface Refused {
  readonly message: RegistryMessage;
  readonly topic: string;
  readonly reason: string;
}

export interface Publisher {
  /**
   * Resolves when every message is acknowledged by all in-sync replicas, apart
   * from those that it returns. @throws KafkaError; then they may be sent again
   */
  publish(messages: readonly RegistryMessage[]): Promise<readonly Refused[]>;
  /** Whether the brokers answer. @throws KafkaError */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** A topic that was refused is asked for again after this: somebody may have granted it. */
const REFUSED_MS = MINUTE;
const CLOSE_MS_MAX = 2 * SECOND;

/** @throws KafkaError when no broker answers */
export async function openPublisher(
  kafka: Kafka,
  layout: TopicLayout,
): Promise<Publisher> {
  const admin = kafka.admin();
  const known = new Set<string>();
  const refusedTopics = new Map<string, { reason: string; untilMs: number }>();
  let producer = newProducer(kafka);
  try {
    await producer.connect();
    await admin.connect();
  } catch (error) {
    void close();
    throw failure("no broker answers", error);
  }

  /** A cluster that does not create topics by itself gets them from us. */
  async function ensureTopics(topics: readonly string[]): Promise<void> {
    const missing = topics.filter(
      (topic) => !known.has(topic) && !isRefused(topic),
    );
    if (missing.length === 0) return;
    try {
      await admin.createTopics({
        topics: missing.map((topic) => ({ topic })),
        waitForLeaders: true,
      });
    } catch (error) {
      await noteRefused(error);
    }
    for (const topic of missing) if (!isRefused(topic)) known.add(topic);
  }

  /** Who may not create a topic may still write to it, where it is there. */
  async function noteRefused(error: unknown): Promise<void> {
    if (!(error instanceof KafkaJSAggregateError)) throw error;
    const told = error.errors.filter(isTopicError);
    const refused = told.filter((each) => refusalOf(each) !== undefined);
    // That it exists is what was wanted; what is passing is worth another try.
    const isPassing = told.some(
      (each) =>
        each.type !== "TOPIC_ALREADY_EXISTS" && refusalOf(each) === undefined,
    );
    if (isPassing) throw error;
    if (refused.length === 0) return;
    const existing = new Set(await admin.listTopics());
    for (const each of refused)
      if (!existing.has(each.topic)) refuse(each.topic, describeError(each));
  }

  function refuse(topic: string, reason: string): void {
    known.delete(topic);
    refusedTopics.set(topic, { reason, untilMs: Date.now() + REFUSED_MS });
  }

  function isRefused(topic: string): boolean {
    return (refusedTopics.get(topic)?.untilMs ?? 0) > Date.now();
  }

  /** All in one request; returns those that are not taken. */
  async function send(batches: readonly Batch[]): Promise<Refused[]> {
    const wanted = batches.filter(({ topic }) => !isRefused(topic));
    try {
      if (wanted.length > 0) await produce(wanted);
    } catch (error) {
      if (refusalOf(error) === undefined) throw error;
      return sendApart(batches);
    }
    return batches.filter(({ topic }) => isRefused(topic)).flatMap(refusedAll);
  }

  /**
   * One of them is at fault, and Kafka does not say which. The others were taken,
   * though the client counts them as unsent: a producer with a new name does not
   * stumble over its own numbers, and what is sent twice changes nothing.
   */
  async function sendApart(batches: readonly Batch[]): Promise<Refused[]> {
    const before = producer;
    producer = newProducer(kafka);
    void hangUp(before);
    await producer.connect();
    const refused: Refused[] = [];
    // A symbol is always in one partition, which takes a batch whole or not at all.
    for (const batch of batches.flatMap(bySymbol))
      refused.push(...(await sendHalving(batch)));
    return refused;
  }

  async function sendHalving(batch: Batch): Promise<Refused[]> {
    const { topic, messages } = batch;
    if (isRefused(topic)) return refusedAll(batch);
    try {
      await produce([batch]);
      return [];
    } catch (error) {
      const kind = refusalOf(error);
      if (kind === undefined) throw error;
      if (kind === "topic") refuse(topic, describeError(error));
      if (kind === "topic") return refusedAll(batch);
      if (messages.length === 1)
        return messages.map((message) => ({
          message,
          topic,
          reason: describeError(error),
        }));
    }
    const middle = messages.length >> 1;
    return [
      ...(await sendHalving({ topic, messages: messages.slice(0, middle) })),
      ...(await sendHalving({ topic, messages: messages.slice(middle) })),
    ];
  }

  function refusedAll({ topic, messages }: Batch): Refused[] {
    const reason = refusedTopics.get(topic)?.reason ?? "refused";
    return messages.map((message) => ({ message, topic, reason }));
  }

  async function produce(batches: readonly Batch[]): Promise<void> {
    await producer.sendBatch({
      acks: -1,
      compression: CompressionTypes.GZIP,
      topicMessages: batches.map(topicMessagesOf),
    });
  }

  async function close(): Promise<void> {
    await Promise.all([hangUp(producer), hangUp(admin)]);
  }

  return {
    async publish(messages) {
      const batches = batchesOf(messages, layout);
      try {
        await ensureTopics(batches.map(({ topic }) => topic));
        return await send(batches);
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
    close,
  };
}

function newProducer(kafka: Kafka): Producer {
  return kafka.producer({
    // With it a batch that is sent again after a lost answer is still written once.
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: true,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
}

/** A connection whose broker is gone does not say so for a while. */
async function hangUp(client: { disconnect(): Promise<void> }): Promise<void> {
  await within(CLOSE_MS_MAX, client.disconnect(), "not closed").catch(() => {});
}

/** Messages of one topic, in order, which is all that Kafka keeps. */
interface Batch {
  readonly topic: string;
  readonly messages: readonly RegistryMessage[];
}

function batchesOf(
  messages: readonly RegistryMessage[],
  layout: TopicLayout,
): Batch[] {
  const byTopic = Map.groupBy(messages, (message) => topicOf(message, layout));
  return [...byTopic].map(([topic, own]) => ({ topic, messages: own }));
}

function bySymbol({ topic, messages }: Batch): Batch[] {
  const own = Map.groupBy(messages, ({ symbol }) => symbol);
  return [...own.values()].map((each) => ({ topic, messages: each }));
}

function topicMessagesOf({ topic, messages }: Batch): TopicMessages {
  return {
    topic,
    messages: messages.map((message) => ({
      key: message.symbol,
      value: JSON.stringify(message),
    })),
  };
}

/** The answer to one of several topics that were asked for. */
function isTopicError(
  error: unknown,
): error is KafkaJSProtocolError & { readonly topic: string } {
  return error instanceof KafkaJSProtocolError && "topic" in error;
}

function failure(what: string, cause: unknown): KafkaError {
  return new KafkaError(`${what}: ${describeError(cause)}`, { cause });
}

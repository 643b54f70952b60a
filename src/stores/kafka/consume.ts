/**
 * The candle consumer: reads every topic of ours and commits an offset only after
 * what lies before it was written.
 */
import { isUtf8 } from "node:buffer";
import type { EachBatchPayload, Kafka, KafkaMessage } from "kafkajs";
import type { RegistryMessage } from "../../../schema/registry.ts";
import { SECOND, sleep } from "../../clock.ts";
import { Gatherer } from "./gatherer.ts";
import { readMessage } from "./messages.ts";
import { OUR_TOPICS } from "./topics.ts";

/** The group whose offsets say what was written. */
export const GROUP = "feedkeeper-candles";

/** Messages that are written in one go, of however many topics. */
const WRITE_LENGTH_MAX = 5_000;
/** Topics whose messages may be written in one go: with one a symbol, each brings a single bar a minute. */
const TOPICS_MAX = 500;
const MEGABYTE = 1024 * 1024;

/** What is written in one go; what could not be read is kept whole. */
export interface ConsumedBatch {
  readonly messages: readonly RegistryMessage[];
  readonly malformed: readonly {
    readonly topic: string;
    readonly raw: string;
    readonly reason: string;
  }[];
}

/** Resolves when the batch is committed to the store. `signal`: nobody waits for it any more, it need not be tried again. */
export type WriteBatch = (
  batch: ConsumedBatch,
  signal: AbortSignal,
) => Promise<void>;

export interface CandleConsumer {
  /** Rejects when the consumer cannot go on; resolves after {@link stop}. */
  readonly ended: Promise<void>;
  /** Finishes the batch in hand and leaves the group. */
  stop(): Promise<void>;
}

export interface ConsumeOptions {
  /** How often new topics are looked for: they come with symbols. */
  readonly lookMs?: number;
}

/**
 * Joins the group and reads; `write` resolves when a batch is committed to the
 * store, and only then its offsets are. A batch whose write fails is read again.
 */
export async function consumeCandles(
  kafka: Kafka,
  write: WriteBatch,
  { lookMs = 10 * SECOND }: ConsumeOptions = {},
): Promise<CandleConsumer> {
  const consumer = kafka.consumer({
    groupId: GROUP,
    // Beats go on while a batch is written; one that is killed is missed for no longer than this.
    sessionTimeout: 10 * SECOND,
    rebalanceTimeout: 20 * SECOND,
    heartbeatInterval: 2 * SECOND,
    // Who stops waits for the request under way; whatever comes is answered at once.
    maxWaitTimeInMs: 500,
    // Compressed: what is in memory is ten times as much.
    maxBytesPerPartition: MEGABYTE,
    maxBytes: 4 * MEGABYTE,
    allowAutoTopicCreation: false,
    // The actor above waits, says why, and begins anew.
    retry: { restartOnFailure: async () => false },
  });
  const admin = kafka.admin();
  const leaving = new AbortController();
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  ended.catch(() => {});
  consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
  const gatherer = new Gatherer(WRITE_LENGTH_MAX, write, leaving.signal);
  let topics: ReadonlySet<string> = new Set();

  async function listTopics(): Promise<Set<string>> {
    const all = await admin.listTopics();
    return new Set(all.filter((topic) => OUR_TOPICS.test(topic)));
  }

  async function join(wanted: ReadonlySet<string>): Promise<void> {
    topics = wanted;
    await consumer.subscribe({ topics: [...wanted], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: TOPICS_MAX,
      eachBatch: (payload) => handle(payload, gatherer),
    });
  }

  /** A pattern would be resolved once, when the group is joined, and new topics never be read. */
  async function lookForTopics(): Promise<void> {
    for (;;) {
      await sleep(lookMs, leaving.signal);
      const now = await listTopics();
      if (now.isSubsetOf(topics)) continue;
      await consumer.stop();
      // In between it was asked to stop.
      leaving.signal.throwIfAborted();
      await join(now);
    }
  }

  async function hangUp(): Promise<void> {
    await Promise.allSettled([consumer.disconnect(), admin.disconnect()]);
  }

  try {
    await Promise.all([consumer.connect(), admin.connect()]);
    await join(await listTopics());
  } catch (error) {
    await hangUp();
    throw error;
  }
  const looking = lookForTopics().catch((error: unknown) => {
    if (!leaving.signal.aborted) reject(error);
  });
  return {
    ended,
    async stop() {
      leaving.abort();
      await looking;
      await hangUp();
      resolve();
    },
  };
}

/** Writes what was fetched of one partition, a part at a time. */
async function handle(
  payload: EachBatchPayload,
  gatherer: Gatherer,
): Promise<void> {
  const { batch, isRunning, isStale } = payload;
  const { messages } = batch;
  for (let at = 0; at < messages.length; at += WRITE_LENGTH_MAX) {
    if (!isRunning() || isStale()) return;
    const part = messages.slice(at, at + WRITE_LENGTH_MAX);
    await gatherer.put({ payload, part, read: readAll(batch.topic, part) });
  }
}

function readAll(
  topic: string,
  messages: readonly KafkaMessage[],
): ConsumedBatch {
  const read: RegistryMessage[] = [];
  const malformed: { topic: string; raw: string; reason: string }[] = [];
  for (const { value } of messages) {
    if (value !== null && !isUtf8(value)) {
      const raw = value.toString("base64");
      malformed.push({ topic, raw, reason: "not text; kept in base64" });
      continue;
    }
    const raw = value?.toString() ?? "";
    const found = readMessage(raw);
    if ("message" in found) read.push(found.message);
    else malformed.push({ topic, raw, reason: found.reason });
  }
  return { messages: read, malformed };
}

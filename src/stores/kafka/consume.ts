/**
 * The candle consumer: reads every topic of ours and commits an offset only after
 * what lies before it was written.
 */
import type { Consumer, EachBatchPayload, Kafka } from "kafkajs";
import { z } from "zod";
import type { RegistryMessage } from "../../../schema/registry.ts";
import { OUR_TOPICS } from "./topics.ts";

/** The group whose offsets say what was written. */
export const GROUP = "feedkeeper-candles";

const number = z.number();
const bar = z.object({
  symbol: z.string().min(1),
  phase: z.enum(["backfill", "snapshot", "stream"]),
  type: z.literal("bar"),
  timeframe: z.literal("1m"),
  timestamp: z.iso.datetime(),
  open: number,
  high: number,
  low: number,
  close: number,
  volume: number,
  vwap: number.optional(),
  trades: number.optional(),
  source: z.string(),
});
const snapshot = z.object({
  symbol: z.string().min(1),
  phase: z.literal("snapshot"),
  type: z.literal("snapshot"),
  timestamp: z.iso.datetime(),
  data: z.record(z.string(), z.unknown()),
});
const phase = z.object({
  symbol: z.string().min(1),
  phase: z.enum(["backfill", "snapshot", "stream"]),
  type: z.literal("phase"),
  status: z.enum(["started", "completed", "failed"]),
  timestamp: z.string(),
  records: z.number().optional(),
  error: z.string().optional(),
});
const message = z.discriminatedUnion("type", [bar, snapshot, phase]);

/** What a batch of one partition holds; what could not be read is kept whole. */
export interface ConsumedBatch {
  readonly topic: string;
  readonly messages: readonly RegistryMessage[];
  readonly malformed: readonly {
    readonly raw: string;
    readonly reason: string;
  }[];
}

export interface CandleConsumer {
  /** Rejects when the consumer cannot go on; resolves after {@link stop}. */
  readonly ended: Promise<void>;
  /** Finishes the batch in hand and leaves the group. */
  stop(): Promise<void>;
}

/**
 * Joins the group and reads; `write` resolves when a batch is committed to the
 * store, and only then its offset is. A batch whose write fails is read again.
 */
export async function consumeCandles(
  kafka: Kafka,
  write: (batch: ConsumedBatch) => Promise<void>,
): Promise<CandleConsumer> {
  const consumer: Consumer = kafka.consumer({
    groupId: GROUP,
    // Topics come with symbols: new ones are found within this time.
    metadataMaxAge: 10_000,
    maxBytesPerPartition: 4 * 1024 * 1024,
    allowAutoTopicCreation: false,
  });
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  ended.catch(() => {});
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) reject(payload.error);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [OUR_TOPICS], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: (payload) => handle(payload, write),
  });
  return {
    ended,
    async stop() {
      await consumer.disconnect();
      resolve();
    },
  };
}

async function handle(
  {
    batch,
    resolveOffset,
    heartbeat,
    commitOffsetsIfNecessary,
    isRunning,
    isStale,
  }: EachBatchPayload,
  write: (batch: ConsumedBatch) => Promise<void>,
): Promise<void> {
  const last = batch.messages.at(-1);
  if (last === undefined || !isRunning() || isStale()) return;
  await write({ topic: batch.topic, ...readAll(batch) });
  resolveOffset(last.offset);
  await commitOffsetsIfNecessary({
    topics: [
      {
        topic: batch.topic,
        partitions: [
          {
            partition: batch.partition,
            // The offset of what is to be read next.
            offset: (BigInt(last.offset) + 1n).toString(),
          },
        ],
      },
    ],
  });
  await heartbeat();
}

function readAll({ messages }: EachBatchPayload["batch"]) {
  const read: RegistryMessage[] = [];
  const malformed: { raw: string; reason: string }[] = [];
  for (const { value } of messages) {
    const raw = value?.toString() ?? "";
    const found = readMessage(raw);
    if ("message" in found) read.push(found.message);
    else malformed.push({ raw, reason: found.reason });
  }
  return { messages: read, malformed };
}

function readMessage(
  raw: string,
): { message: RegistryMessage } | { reason: string } {
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    return { reason: "not JSON" };
  }
  const parsed = message.safeParse(value);
  if (parsed.success) return { message: parsed.data as RegistryMessage };
  const [issue] = parsed.error.issues;
  return { reason: `${issue?.path.join(".")}: ${issue?.message}` };
}

/**
 * Brings together what partitions deliver at the same time: written in one
 * transaction and committed in one request. With a topic a symbol, thousands of
 * them bring a bar each in the same second.
 */
import type { EachBatchPayload, KafkaMessage } from "kafkajs";
import { SECOND, sleep } from "../../clock.ts";
import type { ConsumedBatch, WriteBatch } from "./consume.ts";

const BEAT_MS = SECOND;

/** Part of a batch of one partition. */
export interface Portion {
  readonly payload: EachBatchPayload;
  readonly part: readonly KafkaMessage[];
  readonly read: ConsumedBatch;
}

interface Waiting extends Portion {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Gatherer {
  readonly #lengthMax: number;
  readonly #write: WriteBatch;
  readonly #leaving: AbortSignal;
  #waiting: Waiting[] = [];
  #isWriting = false;

  constructor(lengthMax: number, write: WriteBatch, leaving: AbortSignal) {
    this.#lengthMax = lengthMax;
    this.#write = write;
    this.#leaving = leaving;
  }

  /** Resolves when the portion is written and its offset committed. */
  put(portion: Portion): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...portion, resolve, reject });
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      // All partitions of one answer hand over their parts in the same turn.
      await new Promise(setImmediate);
      const portions = this.#take();
      try {
        await this.#writeSome(portions);
        for (const { resolve } of portions) resolve();
      } catch (error) {
        for (const { reject } of portions) reject(error);
      }
    }
    this.#isWriting = false;
  }

  #take(): Waiting[] {
    let length = 0;
    const fitting = this.#waiting.findIndex(({ part }, index) => {
      length += part.length;
      return index > 0 && length > this.#lengthMax;
    });
    return this.#waiting.splice(
      0,
      fitting === -1 ? this.#waiting.length : fitting,
    );
  }

  async #writeSome(portions: readonly Waiting[]): Promise<void> {
    const [first] = portions;
    if (first === undefined) return;
    await beating(first.payload, this.#leaving, (signal) =>
      this.#write(
        {
          messages: portions.flatMap(({ read }) => read.messages),
          malformed: portions.flatMap(({ read }) => read.malformed),
        },
        signal,
      ),
    );
    for (const { payload, part } of portions)
      payload.resolveOffset(part.at(-1)?.offset ?? "");
    await first.payload.commitOffsetsIfNecessary({
      topics: portions.map(({ payload: { batch }, part }) => ({
        topic: batch.topic,
        partitions: [
          {
            partition: batch.partition,
            // The offset of what is to be read next.
            offset: (BigInt(part.at(-1)?.offset ?? "") + 1n).toString(),
          },
        ],
      })),
    });
  }
}

/**
 * Waits for work that may take longer than the group is patient. When the group
 * has given its partitions to others meanwhile, the work is given up, but its last
 * try is waited for: it must not land behind what is read again.
 */
async function beating(
  { heartbeat }: EachBatchPayload,
  leaving: AbortSignal,
  begin: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const work = begin(AbortSignal.any([leaving, over.signal]));
  const done = work.catch(() => {}).then(() => over.abort());
  try {
    while (!over.signal.aborted) {
      await sleep(BEAT_MS, over.signal).catch(() => {});
      if (!over.signal.aborted) await heartbeat();
    }
  } catch (error) {
    over.abort();
    await done;
    throw error;
  }
  await work;
}

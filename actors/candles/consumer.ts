/**
 * Reads bars and snapshots back from Kafka and writes them to the store of bars.
 * An offset is committed after its rows: whatever ends this actor, what was not
 * written is read again, and writing twice changes nothing.
 */
import type { BarRecord } from "../../schema/market.ts";
import { backoffMs } from "../../src/backoff.ts";
import { SECOND, sleep, within } from "../../src/clock.ts";
import type { KafkaAddress } from "../../src/config/market.ts";
import { describeError } from "../../src/errors.ts";
import { recordOf } from "../../src/registryTopology.ts";
import { connectKafka } from "../../src/stores/kafka/connect.ts";
import {
  type ConsumedBatch,
  consumeCandles,
} from "../../src/stores/kafka/consume.ts";
import type { Database } from "../../src/stores/postgres/database.ts";
import {
  type BarReceipt,
  writeBarRecords,
} from "../../src/stores/postgres/marketStore.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import { fromTask } from "../supervision/task.ts";

export interface CandleConsumerInput {
  readonly address: KafkaAddress;
  readonly database: Database;
  /** Told of each batch whose rows are committed. */
  readonly onWritten: (
    records: readonly BarRecord[],
    receipt: BarReceipt,
  ) => void;
}

const RETRY = { baseMs: SECOND, maxMs: 30 * SECOND };
const WRITE_MS_MAX = 30 * SECOND;

export const candleConsumer = fromTask<CandleConsumerInput>(
  async ({ input, shutdown, report }) => {
    const kafka = connectKafka(input.address, "feedkeeper-candles");
    for (let failures = 0; !shutdown.aborted;) {
      try {
        report({ state: "joining" });
        await migrateMarket(input.database.sql);
        const consumer = await consumeCandles(kafka, (batch) =>
          write(input, batch),
        );
        report({ state: "consuming" });
        const stopped = new Promise<void>((resolve) =>
          shutdown.addEventListener("abort", () => resolve(), { once: true }),
        );
        const begunMs = performance.now();
        try {
          await Promise.race([consumer.ended, stopped]);
        } finally {
          await within(
            3 * SECOND,
            consumer.stop(),
            "the group is not left",
          ).catch(
            // Its session lapses by itself.
            () => {},
          );
        }
        failures = performance.now() - begunMs > 60 * SECOND ? 0 : failures + 1;
      } catch (error) {
        failures++;
        report({
          state: "retrying",
          failures,
          lastError: describeError(error),
        });
      }
      if (!shutdown.aborted)
        await sleep(backoffMs(Math.max(1, failures), RETRY), shutdown);
    }
  },
);

async function write(
  { database, onWritten }: CandleConsumerInput,
  { topic, messages, malformed }: ConsumedBatch,
): Promise<void> {
  const receivedAtMs = Date.now();
  const records: BarRecord[] = [
    ...messages.map(recordOf).filter((record) => record !== undefined),
    ...malformed.map(({ raw, reason }) => ({
      kind: "malformed" as const,
      feed: topic,
      raw,
      reason,
      receivedAtMs,
    })),
  ];
  if (records.length === 0) return;
  const receipt = await within(
    WRITE_MS_MAX,
    writeBarRecords(database.sql, records),
    "the database does not answer",
  );
  onWritten(records, receipt);
}

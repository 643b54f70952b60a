/**
 * Reads bars and snapshots back from Kafka and writes them to the store of bars.
 * An offset is committed after its rows: whatever ends this actor, what was not
 * written is read again, and writing twice changes nothing. While the store is
 * away it stays in the group and tries the batch in hand again; while the broker
 * is, it joins again after a growing wait. Both show in its state.
 */
import type { BarRecord } from "../../schema/market.ts";
import { backoffMs } from "../../src/backoff.ts";
import { MINUTE, SECOND, sleep, within } from "../../src/clock.ts";
import type { KafkaAddress } from "../../src/config/market.ts";
import { describeError } from "../../src/errors.ts";
import { recordOf } from "../../src/registryTopology.ts";
import { connectKafka, type Kafka } from "../../src/stores/kafka/connect.ts";
import {
  type CandleConsumer,
  type ConsumedBatch,
  consumeCandles,
} from "../../src/stores/kafka/consume.ts";
import { answered } from "../../src/stores/postgres/answered.ts";
import { ping } from "../../src/stores/postgres/connect.ts";
import type { Database } from "../../src/stores/postgres/database.ts";
import {
  type BarReceipt,
  writeBarRecords,
} from "../../src/stores/postgres/marketStore.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import { fromTask, type TaskScope } from "../supervision/task.ts";

export interface CandleConsumerInput {
  readonly address: KafkaAddress;
  readonly database: Database;
  /** Told of each batch whose rows are committed. */
  readonly onWritten: (
    records: readonly BarRecord[],
    receipt: BarReceipt,
  ) => void;
  /** How often new topics are looked for. */
  readonly lookMs?: number;
}

const RETRY = { baseMs: SECOND, maxMs: 30 * SECOND };
const PING_MS_MAX = 5 * SECOND;
/** A batch takes tens of milliseconds; a store that is this slow is frozen. */
const WRITE_MS_MAX = 15 * SECOND;
/** Within the grace of this actor; a session that is not ended lapses by itself. */
const LEAVE_MS_MAX = 1.5 * SECOND;
/** Who consumed for so long has not failed in a row. */
const WELL_MS = MINUTE;

type Scope = TaskScope<CandleConsumerInput>;

export const candleConsumer = fromTask<CandleConsumerInput>(async (scope) => {
  const { input, shutdown, report } = scope;
  const kafka = connectKafka(input.address, "feedkeeper-candles");
  for (let failures = 0; !shutdown.aborted;) {
    const begunMs = performance.now();
    try {
      await consume(kafka, scope);
      return;
    } catch (error) {
      if (shutdown.aborted) return;
      failures = performance.now() - begunMs > WELL_MS ? 1 : failures + 1;
      report({ state: "retrying", failures, lastError: describeError(error) });
    }
    await sleep(backoffMs(failures, RETRY), shutdown);
  }
});

/** Until it is asked to stop. @throws why it cannot go on */
async function consume(kafka: Kafka, scope: Scope): Promise<void> {
  const { input, shutdown, report } = scope;
  report({ state: "joining" });
  await answered(input.database, PING_MS_MAX, ping);
  await migrateMarket(input.database.sql);
  const joining = consumeCandles(
    kafka,
    (batch, signal) => writeUntilTaken(batch, signal, scope),
    input.lookMs === undefined ? {} : { lookMs: input.lookMs },
  );
  const stopped = new Promise<void>((resolve) => {
    if (shutdown.aborted) resolve();
    shutdown.addEventListener("abort", () => resolve(), { once: true });
  });
  const consumer = await Promise.race([joining, stopped]);
  if (consumer === undefined) {
    // Joined too late for anybody to read: it leaves as soon as it has.
    void joining.then(leave, () => {});
    return;
  }
  report({ state: "consuming" });
  try {
    await Promise.race([consumer.ended, stopped]);
  } finally {
    await leave(consumer);
  }
}

async function leave(consumer: CandleConsumer): Promise<void> {
  await within(LEAVE_MS_MAX, consumer.stop(), "the group is not left").catch(
    () => {},
  );
}

/** The rows of a batch are held up by nothing but the store: they are tried again until it takes them. */
async function writeUntilTaken(
  batch: ConsumedBatch,
  signal: AbortSignal,
  { input, report }: Scope,
): Promise<void> {
  const records = recordsOf(batch);
  if (records.length === 0) return;
  for (let failures = 0; ;) {
    try {
      const receipt = await answered(input.database, WRITE_MS_MAX, (sql) =>
        writeBarRecords(sql, records),
      );
      input.onWritten(records, receipt);
      if (failures > 0) report({ state: "consuming" });
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      failures++;
      report({ state: "waiting", failures, lastError: describeError(error) });
    }
    await sleep(backoffMs(failures, RETRY), signal);
  }
}

function recordsOf({ messages, malformed }: ConsumedBatch): BarRecord[] {
  const receivedAtMs = Date.now();
  return [
    ...messages.map(recordOf).filter((record) => record !== undefined),
    ...malformed.map(({ topic, raw, reason }) => ({
      kind: "malformed" as const,
      feed: topic,
      raw,
      reason,
      receivedAtMs,
    })),
  ];
}

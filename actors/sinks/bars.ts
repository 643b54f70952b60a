/** The writer of the store of bars: minute bars, facts about them, and what could not be read. */
import type { BarRecord } from "../../schema/market.ts";
import { SECOND, within } from "../../src/clock.ts";
import type { Trigger } from "../../src/flow/batch.ts";
import { ping } from "../../src/stores/postgres/connect.ts";
import type { Database } from "../../src/stores/postgres/database.ts";
import {
  type BarReceipt,
  writeBarRecords,
} from "../../src/stores/postgres/marketStore.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import type { Writer } from "./sink.ts";

const BOUNDS = { sizeMax: 5_000, waitMsMax: 200 };
/** An idle check that takes longer says that the store is away. */
const PING_MS_MAX = 5 * SECOND;
/** A batch takes tens of milliseconds; a store that is this slow is frozen. */
const WRITE_MS_MAX = 15 * SECOND;
const SILENT = "the database does not answer";

export interface BarWriterInput {
  readonly database: Database;
  readonly onWritten: (
    records: readonly BarRecord[],
    receipt: BarReceipt,
    trigger: Trigger,
  ) => void;
}

export function barWriter({
  database,
  onWritten,
}: BarWriterInput): Writer<BarRecord> {
  return {
    bounds: BOUNDS,
    open: () => migrateMarket(database.sql),
    async write(items, trigger) {
      try {
        const writing = writeBarRecords(database.sql, items);
        onWritten(items, await within(WRITE_MS_MAX, writing, SILENT), trigger);
      } catch (error) {
        // Connections that hang in a statement would be handed out again.
        if (error instanceof Error && error.message === SILENT)
          database.reset();
        throw error;
      }
    },
    ping: () => within(PING_MS_MAX, ping(database.sql), SILENT),
  };
}

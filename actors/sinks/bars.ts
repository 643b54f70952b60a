/** The writer of the store of bars: minute bars, facts about them, and what could not be read. */
import type { BarRecord } from "../../schema/market.ts";
import { SECOND } from "../../src/clock.ts";
import type { Trigger } from "../../src/flow/batch.ts";
import type { Logger } from "../../src/log.ts";
import { answered } from "../../src/stores/postgres/answered.ts";
import { ping } from "../../src/stores/postgres/connect.ts";
import type { Database } from "../../src/stores/postgres/database.ts";
import {
  type BarReceipt,
  writeBarRecords,
} from "../../src/stores/postgres/marketStore.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import { useTimescale } from "../../src/stores/postgres/timescale.ts";
import type { Writer } from "./sink.ts";

const BOUNDS = { sizeMax: 5_000, waitMsMax: 200 };
/** An idle check that takes longer says that the store is away. */
const PING_MS_MAX = 5 * SECOND;
/** A batch takes tens of milliseconds; a store that is this slow is frozen. */
const WRITE_MS_MAX = 15 * SECOND;

export interface BarWriterInput {
  readonly database: Database;
  readonly log?: Logger;
  readonly onWritten: (
    records: readonly BarRecord[],
    receipt: BarReceipt,
    trigger: Trigger,
  ) => void;
}

export function barWriter({
  database,
  log,
  onWritten,
}: BarWriterInput): Writer<BarRecord> {
  return {
    bounds: BOUNDS,
    async open() {
      // Setting up may take its time; a server that says nothing at all is given up.
      await answered(database, PING_MS_MAX, ping);
      await migrateMarket(database.sql);
      // Without compression or aggregates (a licence, a right that is missing) bars are stored all the same.
      await useTimescale(database.sql).catch((error: unknown) =>
        log?.warn({ error }, "timescale_not_used"),
      );
    },
    async write(items, trigger) {
      const receipt = await answered(database, WRITE_MS_MAX, (sql) =>
        writeBarRecords(sql, items),
      );
      onWritten(items, receipt, trigger);
    },
    ping: () => answered(database, PING_MS_MAX, ping),
  };
}

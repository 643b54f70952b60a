/** The writer of a dry run: says what it would have written, and writes nothing. */
import type { AccountRecord } from "../../schema/messages.ts";
import type { Logger } from "../../src/log.ts";
import { rowsOfRecord } from "../../src/venues/alpaca/normalise.ts";
import type { Writer } from "./sink.ts";

export function dryRunWriter(log: Logger): Writer<AccountRecord> {
  return {
    bounds: { sizeMax: 500, waitMsMax: 1000 },
    open: async () => {},
    ping: async () => {},
    write: async (items) => {
      for (const [account, records] of Map.groupBy(
        items,
        (item) => item.account,
      ))
        log.info({ account, ...tally(records) }, "dry_run_would_write");
    },
  };
}

/** The same for what market data brings. */
export function dryRunMarketWriter<
  Item extends { readonly kind: string } | { readonly type: string },
>(sink: string, log: Logger): Writer<Item> {
  return {
    bounds: { sizeMax: 5_000, waitMsMax: 1000 },
    open: async () => {},
    ping: async () => {},
    write: async (items) => {
      const counts: Record<string, number> = {};
      for (const item of items) {
        const kind = "kind" in item ? item.kind : item.type;
        counts[kind] = (counts[kind] ?? 0) + 1;
      }
      log.info({ sink, ...counts }, "dry_run_would_write");
    },
  };
}

function tally(records: readonly AccountRecord[]) {
  const counts = {
    orders: 0,
    events: 0,
    activities: 0,
    coverage: 0,
    deadLetters: 0,
  };
  for (const record of records) {
    if (record.kind === "coverage") counts.coverage++;
    try {
      const rows = rowsOfRecord(record);
      counts.orders += rows.orders.length;
      counts.events += rows.events.length;
      counts.activities += rows.activities.length;
      if (record.kind === "malformed") counts.deadLetters++;
    } catch {
      counts.deadLetters++;
    }
  }
  return counts;
}

/** Which writer the account sink gets, and what is counted of what it wrote. */
import { DAY } from "../../src/clock.ts";
import type { Logger } from "../../src/log.ts";
import type { Topology } from "../../src/topology.ts";
import type { AccountRecord } from "../../schema/messages.ts";
import { dryRunWriter } from "./dryRun.ts";
import { postgresWriter, type Written } from "./postgres.ts";
import type { Writer } from "./sink.ts";

export function accountWriter(
  topology: Topology,
  log: Logger,
): Writer<AccountRecord> {
  const { config, database, metrics, outbox, roster } = topology;
  if (config.dryRun) return dryRunWriter(log);
  return postgresWriter({
    database,
    schema: config.schema,
    accounts: () => roster.accounts,
    onBatch: (trigger) => metrics.batches.inc({ sink: outbox.sink, trigger }),
    onWritten: (written) => count(topology, written, log),
  });
}

function count(
  { metrics, outbox: { sink }, roster, runOf }: Topology,
  { account, records, receipt }: Written,
  log: Logger,
): void {
  const orders = receipt.ordersInserted + receipt.ordersUpdated;
  const rows = {
    orders,
    events: receipt.events,
    activities: receipt.activities,
  };
  for (const [kind, number] of Object.entries(rows))
    metrics.rows.inc({ sink, kind }, number);
  const nowMs = Date.now();
  const eventToStoreSeconds = metrics.eventToStoreSeconds.labels({ sink });
  let bytes = 0;
  for (const record of records) {
    bytes += record.raw.length;
    // What comes from the spool is as old as the outage; beyond a day it says nothing of this service.
    if (record.kind === "trade_update" && nowMs - record.receivedAtMs < DAY)
      eventToStoreSeconds.observe((nowMs - record.receivedAtMs) / 1000);
  }
  metrics.bytes.inc({ sink }, bytes);
  for (const { record, reason } of receipt.deadLetters) {
    metrics.deadLetters.inc({ account });
    log.warn({ account, kind: record.kind, reason }, "dead_letter_kept");
  }
  const known = roster.accounts.find(({ slug }) => slug === account);
  if (known === undefined) return;
  const board = runOf(known).board.rows;
  board.orders += rows.orders;
  board.events += rows.events;
  board.activities += rows.activities;
}

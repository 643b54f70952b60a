/** Where latest quotes are written: Postgres always, Firestore where it is configured, the log in a dry run. */
import type { LatestQuote } from "../../schema/market.ts";
import type { MarketConfig } from "../../src/config/market.ts";
import type { Logger } from "../../src/log.ts";
import type { Database } from "../../src/stores/postgres/database.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import { upsertQuotes } from "../../src/stores/postgres/quotes.ts";
import type { QuoteWriter } from "./quotes.ts";

export function postgresQuotes(
  database: Database,
  tenant: string,
): QuoteWriter {
  return {
    countMax: 1_000,
    open: () => migrateMarket(database.sql),
    write: (quotes) => upsertQuotes(database.sql, tenant, quotes),
    close: async () => {},
  };
}

export function firestoreQuotes(
  address: NonNullable<MarketConfig["firestore"]>,
  tenant: string,
): QuoteWriter {
  // The library is large: it is loaded only where it is used.
  const store = import("../../src/stores/firestore.ts");
  const opened = store.then(({ connectFirestore }) =>
    connectFirestore(address),
  );
  opened.catch(() => {});
  return {
    countMax: 450,
    open: async () => void (await opened),
    async write(quotes) {
      const { writeQuotes } = await store;
      const { collection } = address;
      await writeQuotes(await opened, { tenant, collection }, quotes);
    },
    close: async () => (await opened).terminate(),
  };
}

/** Says what it would have written, and writes nothing. */
export function dryRunQuotes(sink: string, log: Logger): QuoteWriter {
  return {
    countMax: 1_000,
    open: async () => {},
    write: async (quotes: readonly LatestQuote[]) =>
      log.info({ sink, quotes: quotes.length }, "dry_run_would_write"),
    close: async () => {},
  };
}

/** Where latest quotes are written: Postgres always, Firestore where it is configured, the log in a dry run. */
import type { LatestQuote } from "../../schema/market.ts";
import { SECOND } from "../../src/clock.ts";
import type { MarketConfig } from "../../src/config/market.ts";
import type { Logger } from "../../src/log.ts";
import type { FirestoreConnection } from "../../src/stores/firestore.ts";
import { answered } from "../../src/stores/postgres/answered.ts";
import { ping } from "../../src/stores/postgres/connect.ts";
import type { Database } from "../../src/stores/postgres/database.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import { upsertQuotes } from "../../src/stores/postgres/quotes.ts";
import type { QuoteWriter } from "./quotes.ts";

const PING_MS_MAX = 5 * SECOND;
/** Below the sink's own patience: what it gives up is not under way any more. */
const WRITE_MS_MAX = 8 * SECOND;

export function postgresQuotes(
  database: Database,
  tenant: string,
): QuoteWriter {
  return {
    countMax: 1_000,
    async open() {
      // Setting up may take its time; a server that says nothing at all is given up.
      await answered(database, PING_MS_MAX, ping);
      await migrateMarket(database.sql);
    },
    write: (quotes) =>
      answered(database, WRITE_MS_MAX, (sql) =>
        upsertQuotes(sql, tenant, quotes),
      ),
    close: () => {},
  };
}

export function firestoreQuotes(
  address: NonNullable<MarketConfig["firestore"]>,
  tenant: string,
): QuoteWriter {
  const { collection } = address;
  let opened:
    | {
        readonly connection: FirestoreConnection;
        readonly write: QuoteWriter["write"];
      }
    | undefined;
  return {
    countMax: 450,
    async open() {
      if (opened !== undefined) return;
      // The library is large: it is loaded only where it is used.
      const { connectFirestore, writeQuotes } =
        await import("../../src/stores/firestore.ts");
      const connection = connectFirestore(address);
      opened = {
        connection,
        write: (quotes) =>
          writeQuotes(connection, { tenant, collection }, quotes),
      };
    },
    async write(quotes) {
      if (opened === undefined) throw new Error("not connected");
      await opened.write(quotes);
    },
    close() {
      // It waits for the last call, and nobody has to wait for it.
      opened?.connection.terminate().catch(() => {});
      opened = undefined;
    },
  };
}

/** Says what it would have written, and writes nothing. */
export function dryRunQuotes(sink: string, log: Logger): QuoteWriter {
  return {
    countMax: 1_000,
    open: async () => {},
    write: async (quotes: readonly LatestQuote[]) =>
      log.info({ sink, quotes: quotes.length }, "dry_run_would_write"),
    close: () => {},
  };
}

/**
 * The one door to Firestore: the documents that a user interface watches, under
 * `tenants/{tenant}/`.
 */
import {
  Firestore,
  Timestamp,
  type Transaction,
} from "@google-cloud/firestore";
import { nanosOf } from "../../schema/instant.ts";
import type { LatestQuote } from "../../schema/market.ts";
import { SECOND } from "../clock.ts";

/** Writes in one commit at most: Firestore's own limit is 500. */
export const QUOTES_PER_COMMIT_MAX = 450;

export interface FirestoreAddress {
  /** Absent: the project of the application's default credentials. */
  readonly projectId?: string;
  /** `host:port` of an emulator, which wants no credentials. */
  readonly emulator?: string;
}

export interface Heartbeat {
  readonly status: "running" | "degraded" | "stopped";
  readonly lastSymbol: string | undefined;
  readonly dryRun: boolean;
  readonly counters: {
    readonly quotes_seen: number;
    readonly writes_ok: number;
    readonly writes_err: number;
  };
}

/**
 * Given up after this: shorter than any patience of those who wait for it, so that
 * what they take for failed is not under way any more.
 */
const COMMIT_MS_MAX = 8 * SECOND;
/** After a long absence the store is found again within this. */
const REDIAL_MS_MAX = 5 * SECOND;
/** gRPC's word for a call whose time was over. */
const DEADLINE_EXCEEDED = 4;

type Fill = (transaction: Transaction, database: Firestore) => void;

export interface FirestoreConnection {
  /** The client in use: another one after a silence. */
  readonly database: Firestore;
  /** Commits what `fill` puts in, all or none. Tried once: whoever calls it paces the repeats. */
  commit(fill: Fill): Promise<void>;
  terminate(): Promise<void>;
}

/** Opens no connection until the first call. */
export function connectFirestore(
  address: FirestoreAddress,
): FirestoreConnection {
  let database = open(address);
  return {
    get database() {
      return database;
    },
    async commit(fill) {
      const used = database;
      try {
        // A transaction that reads nothing is a plain commit that keeps to the client's settings. That of a batch
        // does not: it is repeated for ten minutes, and would land long after it was given up, over newer values.
        await used.runTransaction(
          async (transaction) => fill(transaction, used),
          { maxAttempts: 1 },
        );
      } catch (error) {
        // A connection that swallows everything would swallow the next commit, too.
        if (isSilence(error) && database === used) {
          database = open(address);
          used.terminate().catch(() => {});
        }
        throw error;
      }
    },
    terminate: () => database.terminate(),
  };
}

function open({ projectId, emulator }: FirestoreAddress): Firestore {
  const project =
    projectId ?? (emulator === undefined ? undefined : "feedkeeper");
  return new Firestore({
    ...(project === undefined ? {} : { projectId: project }),
    ...(emulator === undefined
      ? {}
      : {
          host: emulator,
          ssl: false,
          // Or it would look for credentials, which an emulator does not want, and wait for a metadata server.
          clientOptions: { universeDomain: "googleapis.com" },
        }),
    clientConfig: {
      interfaces: {
        "google.firestore.v1.Firestore": {
          retry_codes: { never: [] },
          methods: {
            Commit: {
              timeout_millis: COMMIT_MS_MAX,
              retry_codes_name: "never",
            },
          },
        },
      },
    },
    grpcOptions: { "grpc.max_reconnect_backoff_ms": REDIAL_MS_MAX },
  });
}

function isSilence(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    error.code === DEADLINE_EXCEEDED
  );
}

/** Merges quotes into their documents, all or none; at most {@link QUOTES_PER_COMMIT_MAX}. */
export async function writeQuotes(
  connection: FirestoreConnection,
  place: { readonly tenant: string; readonly collection: string },
  quotes: readonly LatestQuote[],
): Promise<void> {
  const now = Timestamp.now();
  await connection.commit((transaction, database) => {
    const collection = database.collection(
      `tenants/${place.tenant}/${place.collection}`,
    );
    for (const quote of quotes)
      transaction.set(
        collection.doc(documentId(quote.symbol)),
        quoteOf(quote, now),
        { merge: true },
      );
  });
}

export async function writeHeartbeat(
  connection: FirestoreConnection,
  tenant: string,
  { status, lastSymbol, dryRun, counters }: Heartbeat,
): Promise<void> {
  const now = Timestamp.now();
  await connection.commit((transaction, database) =>
    transaction.set(
      database.doc(`tenants/${tenant}/ops/market_ingest`),
      {
        ts: now,
        last_heartbeat_at: now,
        status,
        last_symbol: lastSymbol ?? null,
        dry_run: dryRun,
        counters,
      },
      { merge: true },
    ),
  );
}

/** A slash would lead into a collection below. */
export function documentId(symbol: string): string {
  return symbol.replaceAll("/", "-");
}

/** A side that nobody quotes is null: the side of an earlier quote must not stand in its place. */
function quoteOf(quote: LatestQuote, now: Timestamp) {
  const { symbol, bid, ask, bidSize, askSize, price, timestamp } = quote;
  const at = timestampOf(timestamp) ?? now;
  return {
    symbol,
    source: "alpaca",
    bid: bid ?? null,
    ask: ask ?? null,
    price: price ?? null,
    bid_price: bid ?? null,
    ask_price: ask ?? null,
    bid_size: bidSize ?? null,
    ask_size: askSize ?? null,
    ts: at,
    last_update_ts: at,
    updated_at: now,
  };
}

function timestampOf(text: string): Timestamp | undefined {
  const nanos = nanosOf(text);
  return nanos === undefined
    ? undefined
    : new Timestamp(
        Number(nanos / 1_000_000_000n),
        Number(nanos % 1_000_000_000n),
      );
}

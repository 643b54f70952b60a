/**
 * The one door to Firestore: the documents that a user interface watches, under
 * `tenants/{tenant}/`.
 */
import { Firestore, Timestamp } from "@google-cloud/firestore";
import { nanosOf } from "../../schema/instant.ts";
import type { LatestQuote } from "../../schema/market.ts";

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

/** Opens no connection until the first call. Ends with `terminate()`. */
export function connectFirestore({
  projectId,
  emulator,
}: FirestoreAddress): Firestore {
  const project =
    projectId ?? (emulator === undefined ? undefined : "feedkeeper");
  return new Firestore({
    ...(project === undefined ? {} : { projectId: project }),
    ...(emulator === undefined
      ? {}
      : {
          host: emulator,
          ssl: false,
          // An emulator takes anybody for the owner who says so.
          customHeaders: { Authorization: "Bearer owner" },
        }),
  });
}

/** Merges quotes into their documents, all or none; at most {@link QUOTES_PER_COMMIT_MAX}. */
export async function writeQuotes(
  database: Firestore,
  place: { readonly tenant: string; readonly collection: string },
  quotes: readonly LatestQuote[],
): Promise<void> {
  const batch = database.batch();
  const collection = database.collection(
    `tenants/${place.tenant}/${place.collection}`,
  );
  const now = Timestamp.now();
  for (const quote of quotes)
    batch.set(collection.doc(documentId(quote.symbol)), quoteOf(quote, now), {
      merge: true,
    });
  await batch.commit();
}

export async function writeHeartbeat(
  database: Firestore,
  tenant: string,
  { status, lastSymbol, dryRun, counters }: Heartbeat,
): Promise<void> {
  const now = Timestamp.now();
  await database.doc(`tenants/${tenant}/ops/market_ingest`).set(
    {
      ts: now,
      last_heartbeat_at: now,
      status,
      last_symbol: lastSymbol ?? null,
      dry_run: dryRun,
      counters,
    },
    { merge: true },
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

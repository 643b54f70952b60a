/** Writes what a feed brings to the store of bars, and answers what is known of its minutes. */
import type {
  Bar,
  BarFact,
  BarRecord,
  MalformedMarketData,
  SnapshotRecord,
} from "../../../schema/market.ts";
import type { FactSource } from "../../accounts/report.ts";
import { describeError } from "../../errors.ts";
import type { FeedStore, KnownInterval } from "../../feeds/run.ts";
import { upsertBars } from "./bars.ts";
import { failureOf, type Sql, transact } from "./connect.ts";
import { coverageFacts, recordCoverage } from "./coverage.ts";
import type { Database } from "./database.ts";
import { insertDeadLetters } from "./deadLetters.ts";
import { upsertSnapshots } from "./snapshots.ts";

export interface BarReceipt {
  readonly rows: number;
  readonly deadLetters: readonly MalformedMarketData[];
}

/**
 * Writes records in order, in one transaction. A row that the database refuses is
 * found by halving and set aside; its neighbours are written.
 * @throws what the store failed with, when it was not the rows' fault; the batch may be written again
 */
export async function writeBarRecords(
  sql: Sql,
  records: readonly BarRecord[],
): Promise<BarReceipt> {
  try {
    return await writeTransaction(sql, records);
  } catch (error) {
    const [only] = records;
    if (failureOf(error) === "store" || only === undefined) throw error;
    if (records.length === 1 && only.kind !== "malformed")
      return writeTransaction(sql, [letterOf(only, error)]);
    if (records.length === 1) throw error;
    const middle = records.length >> 1;
    const first = await writeBarRecords(sql, records.slice(0, middle));
    const second = await writeBarRecords(sql, records.slice(middle));
    return {
      rows: first.rows + second.rows,
      deadLetters: [...first.deadLetters, ...second.deadLetters],
    };
  }
}

/** What feeds ask of the store. */
export function feedStore(database: Database): FeedStore {
  return {
    knownMinutes: async (symbols, from) =>
      knownMinutes(database.sql, symbols, from),
  };
}

/** The recorded facts of a symbol's minute bars. */
export function barFacts(database: Database, symbol: string): FactSource {
  return {
    streams: ["bars"],
    facts: async (range) => coverageFacts(database.sql, symbol, range),
    deliveryShares: async () => [],
  };
}

async function writeTransaction(
  sql: Sql,
  records: readonly BarRecord[],
): Promise<BarReceipt> {
  const bars: Bar[] = [];
  const facts: BarFact[] = [];
  const snapshots: SnapshotRecord[] = [];
  const letters: MalformedMarketData[] = [];
  for (const record of records)
    if (record.kind === "bar") bars.push(record);
    else if (record.kind === "fact") facts.push(record);
    else if (record.kind === "snapshot") snapshots.push(record);
    else letters.push(record);
  return transact(sql, async (transaction) => {
    const rows =
      (await upsertBars(transaction, bars)) +
      (await upsertSnapshots(transaction, snapshots));
    await recordCoverage(
      transaction,
      facts.map(({ symbol, kind: _, ...fact }) => ({
        ...fact,
        account: symbol,
        stream: "bars" as const,
      })),
    );
    await insertDeadLetters(
      transaction,
      letters.map(({ feed, reason, ...record }) => ({
        record: { ...record, account: feed },
        reason,
      })),
    );
    return { rows, deadLetters: letters };
  });
}

async function knownMinutes(
  sql: Sql,
  symbols: readonly string[],
  from: Date,
): Promise<Map<string, KnownInterval[]>> {
  // A deaf stretch takes back what its session claimed; ranges can be subtracted where they are.
  const rows = await sql<{ symbol: string; from_at: Date; to_at: Date }[]>`
    with wanted as (select unnest(${[...symbols]}::text[]) as symbol),
    facts as (
      select account as symbol, state, tstzrange(from_at, to_at) as span
      from feedkeeper.coverage join wanted on wanted.symbol = account
      where stream = 'bars' and to_at >= ${from}
    ),
    known as (
      select symbol,
        (coalesce(range_agg(span) filter (where state = 'live'), '{}'::tstzmultirange)
          - coalesce(range_agg(span) filter (where state = 'deaf'), '{}'::tstzmultirange))
        + coalesce(range_agg(span) filter (where state in ('healed', 'confirmed_empty')), '{}'::tstzmultirange) as spans
      from facts group by symbol
    )
    select symbol, lower(span) as from_at, upper(span) as to_at
    from known, unnest(spans) as span
    union all
    -- Who was away for longer has missed everything since.
    select symbol, ${from}, ${from} from wanted
    where exists (
      select from feedkeeper.coverage
      where account = symbol and stream = 'bars' and from_at < ${from}
    )
    order by symbol, from_at`;
  return Map.groupBy(
    rows.map(({ symbol, from_at, to_at }) => ({
      symbol,
      from: +from_at,
      to: +to_at,
    })),
    ({ symbol }) => symbol,
  );
}

function letterOf(
  record: Bar | BarFact | SnapshotRecord,
  error: unknown,
): MalformedMarketData {
  return {
    kind: "malformed",
    feed: record.kind === "bar" ? record.source : record.kind,
    raw: JSON.stringify(record),
    reason: `refused by Postgres: ${describeError(error)}`,
    receivedAtMs: Date.now(),
  };
}

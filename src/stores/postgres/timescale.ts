/**
 * TimescaleDB where the extension is there: `ohlcv_1m` becomes a hypertable that is
 * compressed when it is old, and the longer candles continuous aggregates. Without
 * it everything is a plain table and plain views; the same queries work on both.
 */
import type { Sql } from "./connect.ts";

/** One chunk of the hypertable. */
const CHUNK = "7 days";
/** Minutes older than this are compressed: by then late trades and splits are in. */
const COMPRESSED_AFTER = "30 days";

interface Span {
  readonly view: string;
  /** What one row spans, as `time_bucket` takes it. */
  readonly bucket: string;
  /** How far back a refresh looks. */
  readonly refreshedFrom: string;
  readonly refreshedEvery: string;
}

const SPANS: readonly Span[] = [
  {
    view: "ohlcv_5m",
    bucket: "'5 minutes', timestamp",
    refreshedFrom: "3 days",
    refreshedEvery: "5 minutes",
  },
  {
    view: "ohlcv_15m",
    bucket: "'15 minutes', timestamp",
    refreshedFrom: "3 days",
    refreshedEvery: "15 minutes",
  },
  {
    view: "ohlcv_1h",
    bucket: "'1 hour', timestamp",
    refreshedFrom: "7 days",
    refreshedEvery: "30 minutes",
  },
  {
    view: "ohlcv_1d",
    bucket: "'1 day', timestamp, 'America/New_York'",
    refreshedFrom: "30 days",
    refreshedEvery: "1 hour",
  },
];

/** Whether the database has the extension, made or to be made. */
export async function hasTimescale(sql: Sql): Promise<boolean> {
  const [row] = await sql<[{ present: boolean }]>`
    select exists (select 1 from pg_extension where extname = 'timescaledb') as present`;
  return row.present;
}

/** Safe to repeat, and race-safe: what is there already is left as it is. Answers whether the extension is used. */
export async function useTimescale(sql: Sql): Promise<boolean> {
  if (!(await hasTimescale(sql))) return false;
  await sql`
    select create_hypertable('ohlcv_1m', 'timestamp', chunk_time_interval => ${CHUNK}::interval,
      if_not_exists => true, migrate_data => true)`;
  await sql.unsafe(
    "alter table ohlcv_1m set (timescaledb.compress, timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'timestamp')",
  );
  await sql`
    select add_compression_policy('ohlcv_1m', ${COMPRESSED_AFTER}::interval, if_not_exists => true)`;
  for (const span of SPANS) await makeAggregate(sql, span);
  return true;
}

async function makeAggregate(
  sql: Sql,
  { view, bucket, refreshedFrom, refreshedEvery }: Span,
): Promise<void> {
  const [made] = await sql`
    select 1 from timescaledb_information.continuous_aggregates where view_name = ${view}`;
  if (made === undefined) {
    await sql.unsafe(`drop view if exists ${view}`);
    await sql.unsafe(`
      create materialized view if not exists ${view} with (timescaledb.continuous, timescaledb.materialized_only = false) as
      select symbol, time_bucket(${bucket}) as timestamp, first(open, timestamp) as open, max(high) as high,
        min(low) as low, last(close, timestamp) as close, sum(volume) as volume, sum(trades) as trades
      from ohlcv_1m group by 1, 2 with no data`);
  }
  await sql`
    select add_continuous_aggregate_policy(${view}, start_offset => ${refreshedFrom}::interval,
      end_offset => interval '1 minute', schedule_interval => ${refreshedEvery}::interval, if_not_exists => true)`;
}

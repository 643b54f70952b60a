/** Statements on what of a symbol's history was read: day files by their version, and the splits it accounts for. */
import type { Sql } from "./connect.ts";

/** Version of each day file that was read for the symbol, by its key. */
export async function filesRead(
  sql: Sql,
  symbol: string,
): Promise<Map<string, string>> {
  const rows = await sql<{ key: string; etag: string }[]>`
    select key, etag from feedkeeper.flat_files where symbol = ${symbol}`;
  return new Map(rows.map(({ key, etag }) => [key, etag]));
}

export async function noteFileRead(
  sql: Sql,
  symbol: string,
  { key, etag }: { readonly key: string; readonly etag: string },
  rows: number,
): Promise<void> {
  await sql`
    insert into feedkeeper.flat_files (key, symbol, etag, rows) values (${key}, ${symbol}, ${etag}, ${rows})
    on conflict (key, symbol) do update set etag = excluded.etag, rows = excluded.rows, read_at = now()`;
}

interface StoredSplit {
  readonly symbol: string;
  readonly day: string;
  readonly from: number;
  readonly to: number;
}

/** Splits that the stored history accounts for. */
export async function appliedSplits(
  sql: Sql,
  symbol: string,
): Promise<StoredSplit[]> {
  const rows = await sql<{ day: string; from: string; to: string }[]>`
    select execution_date::text as day, split_from as "from", split_to as "to"
    from feedkeeper.splits where symbol = ${symbol} and applied_at is not null
    order by execution_date`;
  return rows.map(({ day, from, to }) => ({
    symbol,
    day,
    from: Number(from),
    to: Number(to),
  }));
}

export async function noteSplits(
  sql: Sql,
  splits: readonly StoredSplit[],
): Promise<void> {
  if (splits.length === 0) return;
  // The same split may be listed twice.
  const rows = new Map(
    splits.map(({ symbol, day, from, to }) => [
      `${symbol} ${day}`,
      {
        symbol,
        execution_date: day,
        split_from: from,
        split_to: to,
        applied_at: new Date(),
      },
    ]),
  );
  await sql`
    insert into feedkeeper.splits ${sql([...rows.values()])}
    on conflict (symbol, execution_date) do update set
      split_from = excluded.split_from, split_to = excluded.split_to, applied_at = now()`;
}

/** Start of the newest stored minute, ms. */
export async function newestMinute(
  sql: Sql,
  symbol: string,
): Promise<number | undefined> {
  const [row] = await sql<[{ newest: Date | null }]>`
    select max(timestamp) as newest from ohlcv_1m where symbol = ${symbol}`;
  return row.newest === null ? undefined : +row.newest;
}

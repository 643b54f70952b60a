/**
 * Statements on missing minutes. Expected minutes are never made one by one: holes
 * between stored rows are found by the index, cut to the sessions of the exchange,
 * and what the venue was found not to have is taken out.
 */
import type { Sql } from "./connect.ts";

export interface MissingRange {
  readonly symbol: string;
  /** ms since the epoch, half open. */
  readonly from: number;
  readonly to: number;
}

export interface SessionRow {
  readonly day: string;
  readonly openMs: number;
  readonly closeMs: number;
}

/** Fills the table of sessions; those that are there stay. */
export async function recordSessions(
  sql: Sql,
  sessions: readonly SessionRow[],
): Promise<void> {
  if (sessions.length === 0) return;
  const rows = JSON.stringify(
    sessions.map(({ day, openMs, closeMs }) => ({
      day,
      open_at: new Date(openMs),
      close_at: new Date(closeMs),
    })),
  );
  await sql`
    insert into feedkeeper.sessions (day, open_at, close_at)
    select day, open_at, close_at from json_to_recordset(${rows}::text::json)
      as given (day date, open_at timestamptz, close_at timestamptz)
    on conflict (day) do update set open_at = excluded.open_at, close_at = excluded.close_at
    where (sessions.open_at, sessions.close_at) <> (excluded.open_at, excluded.close_at)`;
}

/**
 * Missing minutes of stocks in [from, to), as ranges: within regular sessions, from
 * the first stored minute of the symbol on, without what was verified empty.
 */
export async function missingOfStocks(
  sql: Sql,
  symbols: readonly string[],
  range: { readonly from: Date; readonly to: Date },
): Promise<MissingRange[]> {
  if (symbols.length === 0) return [];
  const rows = await sql<{ symbol: string; from_at: Date; to_at: Date }[]>`
    with holes as materialized (${holes(sql, symbols, range)}),
    cut as (
      select h.symbol, tstzrange(greatest(h.from_at, s.open_at), least(h.to_at, s.close_at)) as span
      from holes h
      join feedkeeper.sessions s
        on s.close_at > h.from_at and s.open_at < h.to_at
          -- Both ends bounded, so that the index is enough.
          and s.close_at < h.to_at + interval '1 day'
      where greatest(h.from_at, s.open_at) < least(h.to_at, s.close_at)
    )
    ${withoutEmpty(sql, symbols)}`;
  return rows.map(rangeOf);
}

/** The same of crypto, which trades around the clock. */
export async function missingOfCrypto(
  sql: Sql,
  symbols: readonly string[],
  range: { readonly from: Date; readonly to: Date },
): Promise<MissingRange[]> {
  if (symbols.length === 0) return [];
  const rows = await sql<{ symbol: string; from_at: Date; to_at: Date }[]>`
    with holes as materialized (${holes(sql, symbols, range)}),
    cut as (select symbol, tstzrange(from_at, to_at) as span from holes where from_at < to_at)
    ${withoutEmpty(sql, symbols)}`;
  return rows.map(rangeOf);
}

/** Ranges that the venue does not have either, within [from, to). */
export async function verifiedEmpty(
  sql: Sql,
  symbols: readonly string[],
  range: { readonly from: Date; readonly to: Date },
): Promise<MissingRange[]> {
  const rows = await sql<{ symbol: string; from_at: Date; to_at: Date }[]>`
    select symbol, greatest(from_at, ${range.from}) as from_at, least(to_at, ${range.to}) as to_at
    from feedkeeper.verified_empty
    where symbol = any(${[...symbols]}) and from_at < ${range.to} and to_at > ${range.from}
    order by 1, 2`;
  return rows.map(rangeOf);
}

export async function recordVerifiedEmpty(
  sql: Sql,
  ranges: readonly MissingRange[],
): Promise<void> {
  if (ranges.length === 0) return;
  const rows = JSON.stringify(
    ranges.map(({ symbol, from, to }) => ({
      symbol,
      from_at: new Date(from),
      to_at: new Date(to),
    })),
  );
  await sql`
    insert into feedkeeper.verified_empty as stored (symbol, from_at, to_at)
    select symbol, from_at, to_at from json_to_recordset(${rows}::text::json)
      as given (symbol text, from_at timestamptz, to_at timestamptz)
    on conflict (symbol, from_at) do update
    set to_at = greatest(stored.to_at, excluded.to_at), verified_at = now()`;
}

/** Symbols that have stored minutes. */
export async function storedSymbols(sql: Sql): Promise<string[]> {
  // One look at the index a symbol, however many rows it has.
  const rows = await sql<{ symbol: string }[]>`
    with recursive found as (
      (select symbol from ohlcv_1m order by symbol limit 1)
      union all
      select (select o.symbol from ohlcv_1m o where o.symbol > f.symbol order by o.symbol limit 1)
      from found f where f.symbol is not null
    )
    select symbol from found where symbol is not null`;
  return rows.map(({ symbol }) => symbol);
}

/** From one stored minute to the next, from the start of the range to the first, from the last to its end. */
function holes(
  sql: Sql,
  symbols: readonly string[],
  { from, to }: { readonly from: Date; readonly to: Date },
) {
  const minute = sql`interval '1 minute'`;
  return sql`
    select symbol, from_at, to_at from (
      select symbol, timestamp + ${minute} as from_at,
        lead(timestamp, 1, ${to}) over (partition by symbol order by timestamp) as to_at
      from ohlcv_1m
      where symbol = any(${[...symbols]}) and timestamp >= ${from} and timestamp < ${to}
    ) as steps
    where to_at > from_at
    union all
    select w.symbol, ${from}, coalesce(first.timestamp, ${to})
    from unnest(${[...symbols]}::text[]) as w (symbol)
    left join lateral (
      select timestamp from ohlcv_1m o
      where o.symbol = w.symbol and o.timestamp >= ${from} and o.timestamp < ${to}
      order by o.timestamp limit 1
    ) as first on true
    -- A symbol whose first minute lies in the range has missed nothing before it.
    where exists (select 1 from ohlcv_1m o where o.symbol = w.symbol and o.timestamp < ${from})
      and coalesce(first.timestamp, ${to}) > ${from}`;
}

function withoutEmpty(sql: Sql, symbols: readonly string[]) {
  return sql`
    , missing as (
      select symbol, range_agg(span) as spans from cut group by symbol
    ),
    empty as (
      select symbol, range_agg(tstzrange(from_at, to_at)) as spans
      from feedkeeper.verified_empty where symbol = any(${[...symbols]}) group by symbol
    )
    select m.symbol, lower(span) as from_at, upper(span) as to_at
    from missing m left join empty e using (symbol),
      unnest(m.spans - coalesce(e.spans, '{}'::tstzmultirange)) as span
    order by m.symbol, 2`;
}

function rangeOf({
  symbol,
  from_at,
  to_at,
}: {
  symbol: string;
  from_at: Date;
  to_at: Date;
}): MissingRange {
  return { symbol, from: +from_at, to: +to_at };
}

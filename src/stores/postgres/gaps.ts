/**
 * Statements on missing minutes. Expected minutes are never made one by one: stored
 * rows are counted session by session, holes looked for only where some are lacking,
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
  return missing(sql, symbols, range, sessionsIn(sql, range));
}

/** The same of crypto, which trades around the clock. */
export async function missingOfCrypto(
  sql: Sql,
  symbols: readonly string[],
  range: { readonly from: Date; readonly to: Date },
): Promise<MissingRange[]> {
  const stretches = sql`
    select at as open_at, at + interval '1 day' as close_at
    from generate_series(${range.from}::timestamptz, ${range.to}::timestamptz, interval '1 day') as at`;
  return missing(sql, symbols, range, stretches);
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

type Stretches = ReturnType<typeof sessionsIn>;

function sessionsIn(
  sql: Sql,
  { from, to }: { readonly from: Date; readonly to: Date },
) {
  return sql`
    select open_at, close_at from feedkeeper.sessions
    where close_at > ${from} and open_at < ${to}`;
}

/**
 * Rows of each stretch are only counted, which the index does alone; where some are
 * lacking, the stretch is looked at row by row.
 */
async function missing(
  sql: Sql,
  symbols: readonly string[],
  { from, to }: { readonly from: Date; readonly to: Date },
  stretches: Stretches,
): Promise<MissingRange[]> {
  if (symbols.length === 0) return [];
  const rows = await sql<{ symbol: string; from_at: Date; to_at: Date }[]>`
    with stretches as materialized (${stretches}),
    -- A symbol has missed nothing before its first minute.
    known as materialized (
      select wanted as symbol, greatest(${from}::timestamptz, first.timestamp) as since
      from unnest(${[...symbols]}::text[]) as wanted
      cross join lateral (
        select timestamp from ohlcv_1m o where o.symbol = wanted order by timestamp limit 1
      ) as first
    ),
    pieces as (
      select symbol, greatest(open_at, since) as from_at, least(close_at, ${to}::timestamptz) as to_at
      from known join stretches on close_at > since and open_at < ${to}
    ),
    lacking as materialized (
      select p.symbol, p.from_at, p.to_at from pieces p
      cross join lateral (
        select count(*) as rows from ohlcv_1m o
        where o.symbol = p.symbol and o.timestamp >= p.from_at and o.timestamp < p.to_at
      ) as stored
      where stored.rows < extract(epoch from p.to_at - p.from_at) / 60
    ),
    holes as (
      select l.symbol, tstzrange(step.hole_from, step.hole_to) as span
      from lacking l
      cross join lateral (
        select coalesce(lag(at) over (order by at) + interval '1 minute', l.from_at) as hole_from, at as hole_to
        from (
          select o.timestamp as at from ohlcv_1m o
          where o.symbol = l.symbol and o.timestamp >= l.from_at and o.timestamp < l.to_at
          union all select l.to_at
        ) as minutes
      ) as step
      where step.hole_from < step.hole_to
    ),
    missing as (select symbol, range_agg(span) as spans from holes group by symbol),
    empty as (
      select symbol, range_agg(tstzrange(from_at, to_at)) as spans
      from feedkeeper.verified_empty where symbol = any(${[...symbols]}) group by symbol
    )
    select m.symbol, lower(span) as from_at, upper(span) as to_at
    from missing m left join empty e using (symbol),
      unnest(m.spans - coalesce(e.spans, '{}'::tstzmultirange)) as span
    order by m.symbol, 2`;
  return rows.map(rangeOf);
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

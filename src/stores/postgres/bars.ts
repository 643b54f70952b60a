/** Statements on `ohlcv_1m`: one row a symbol and minute, whichever way it came. */
import { storedTime } from "../../../schema/instant.ts";
import type { Bar } from "../../../schema/market.ts";
import type { Sql, Transaction } from "./connect.ts";

/** Sources whose bars stand over those of all others, as SQL's `like` says it. */
export const PREFERRED = "polygon%";

/**
 * Writes minute bars; returns how many rows are new or changed. What the venue
 * said last stands: an updated bar and one read back replace what is there; a
 * plain minute bar, which may come late or twice, only replaces one with less
 * volume, for it knows no trade that the others do not. Daily bars are no rows.
 * Of two venues Polygon's bar stands, whichever comes first: it counts the trades
 * of every exchange, and its history is adjusted for splits.
 */
export async function upsertBars(
  sql: Sql | Transaction,
  bars: readonly Bar[],
): Promise<number> {
  const rows = standing(bars);
  if (rows.length === 0) return 0;
  const incoming = JSON.stringify(
    rows.map(({ bar, isFinal }) => ({ ...bar, is_final: isFinal })),
  );
  const result = await sql`
    insert into ohlcv_1m as stored (symbol, timestamp, open, high, low, close, volume, vwap, trades, source)
    select symbol, timestamp, open, high, low, close, volume, vwap, trades, source
    from json_to_recordset(${incoming}::text::json) as bars (
      symbol text, timestamp timestamptz, open double precision, high double precision, low double precision,
      close double precision, volume double precision, vwap double precision, trades integer, source text
    )
    -- In one order, so that two writers never wait for each other.
    order by symbol, timestamp
    on conflict (symbol, timestamp) do update set
      open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
      volume = excluded.volume, vwap = excluded.vwap, trades = excluded.trades, source = excluded.source,
      ingested_at = now()
    where (stored.open, stored.high, stored.low, stored.close, stored.volume, stored.vwap, stored.trades,
          coalesce(stored.source, '') like ${PREFERRED})
        is distinct from (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.vwap, excluded.trades,
          coalesce(excluded.source, '') like ${PREFERRED})
      and (coalesce(excluded.source, '') like ${PREFERRED} or coalesce(stored.source, '') not like ${PREFERRED})
      and (excluded.volume > stored.volume
        or (coalesce(excluded.source, '') like ${PREFERRED} and coalesce(stored.source, '') not like ${PREFERRED})
        or (excluded.symbol, excluded.timestamp) in (
          select symbol, timestamp from json_to_recordset(${incoming}::text::json)
            as finals (symbol text, timestamp timestamptz, is_final boolean) where is_final
        ))`;
  return result.count;
}

/** A bar to write, and whether it stands whatever is stored. */
interface Standing {
  readonly bar: Bar;
  readonly isFinal: boolean;
}

/** One bar a symbol and minute: of several in one batch the one that would stand if they were written one by one. */
function standing(bars: readonly Bar[]): Standing[] {
  const latest = new Map<string, Standing>();
  for (const bar of bars) {
    if (bar.span === "daily") continue;
    // The same minute may be written in more than one way.
    const name = `${bar.symbol} ${storedTime(bar.timestamp) ?? bar.timestamp}`;
    const before = latest.get(name);
    const isLast = bar.span !== "minute";
    if (before === undefined || isPreferred(bar) > isPreferred(before.bar)) {
      latest.set(name, { bar, isFinal: isLast });
      continue;
    }
    if (isPreferred(bar) < isPreferred(before.bar)) continue;
    // What follows the venue's last word in one batch needs to outdo that alone, not what is stored.
    const isFinal = isLast || before.isFinal;
    if (isLast || bar.volume > before.bar.volume)
      latest.set(name, { bar, isFinal });
  }
  return [...latest.values()];
}

function isPreferred({ source }: Bar): boolean {
  return source.startsWith("polygon");
}

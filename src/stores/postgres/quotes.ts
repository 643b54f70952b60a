/** Statements on `live_quotes`: the latest quote of each symbol, by tenant. */
import type { LatestQuote } from "../../../schema/market.ts";
import type { Sql } from "./connect.ts";

/** Writes quotes; one that is older than what is stored changes nothing. */
export async function upsertQuotes(
  sql: Sql,
  tenant: string,
  quotes: readonly LatestQuote[],
): Promise<void> {
  if (quotes.length === 0) return;
  const incoming = JSON.stringify(
    quotes.map((quote) => ({
      symbol: quote.symbol,
      bid: quote.bid,
      ask: quote.ask,
      bid_size: quote.bidSize,
      ask_size: quote.askSize,
      price: quote.price,
      ts: quote.timestamp,
    })),
  );
  await sql`
    insert into live_quotes as stored (tenant_id, symbol, bid, ask, bid_size, ask_size, price, ts)
    select ${tenant}, symbol, bid, ask, bid_size, ask_size, price, ts
    from json_to_recordset(${incoming}::text::json) as quotes (
      symbol text, bid double precision, ask double precision, bid_size double precision,
      ask_size double precision, price double precision, ts timestamptz
    )
    on conflict (tenant_id, symbol) do update set
      bid = excluded.bid, ask = excluded.ask, bid_size = excluded.bid_size, ask_size = excluded.ask_size,
      price = excluded.price, ts = excluded.ts, updated_at = now()
    where stored.ts is null or excluded.ts >= stored.ts`;
}

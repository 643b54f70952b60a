/** Statements on `market_snapshots`: a row a symbol and moment. */
import type { SnapshotRecord } from "../../../schema/market.ts";
import { isObject } from "../../../schema/read.ts";
import type { Sql, Transaction } from "./connect.ts";

/** Writes snapshots; the same one twice is one row. Zeros are what the venue shows where it has no value yet, and stored as none. */
export async function upsertSnapshots(
  sql: Sql | Transaction,
  snapshots: readonly SnapshotRecord[],
): Promise<number> {
  const rows = new Map(
    snapshots.map((snapshot) => [
      `${snapshot.symbol} ${snapshot.timestamp}`,
      rowOf(snapshot),
    ]),
  );
  if (rows.size === 0) return 0;
  const incoming = JSON.stringify([...rows.values()]);
  const result = await sql`
    insert into market_snapshots
    select * from json_populate_recordset(null::market_snapshots, ${incoming}::text::json)
    on conflict (symbol, updated_at) do update set
      last_trade_price = excluded.last_trade_price,
      last_trade_size = excluded.last_trade_size,
      last_trade_exchange = excluded.last_trade_exchange,
      last_quote_bid = excluded.last_quote_bid,
      last_quote_ask = excluded.last_quote_ask,
      last_quote_bid_size = excluded.last_quote_bid_size,
      last_quote_ask_size = excluded.last_quote_ask_size,
      day_open = excluded.day_open,
      day_high = excluded.day_high,
      day_low = excluded.day_low,
      day_close = excluded.day_close,
      day_volume = excluded.day_volume,
      prev_close = excluded.prev_close,
      prev_volume = excluded.prev_volume,
      todays_change = excluded.todays_change,
      todays_change_percent = excluded.todays_change_percent,
      minute_vwap = excluded.minute_vwap,
      minute_volume = excluded.minute_volume,
      raw_data = excluded.raw_data`;
  return result.count;
}

function rowOf({ symbol, timestamp, data }: SnapshotRecord) {
  const part = (name: string) => {
    const value = data[name];
    return isObject(value) ? value : {};
  };
  const { lastTrade, lastQuote, day, prevDay, min } = {
    lastTrade: part("lastTrade"),
    lastQuote: part("lastQuote"),
    day: part("day"),
    prevDay: part("prevDay"),
    min: part("min"),
  };
  return {
    symbol,
    updated_at: timestamp,
    last_trade_price: valueOf(lastTrade["p"]),
    last_trade_size: valueOf(lastTrade["s"]),
    last_trade_exchange: textOf(lastTrade["x"]),
    // The venue tells the sides apart by case: p and s are the bid's, P and S the ask's.
    last_quote_bid: valueOf(lastQuote["p"]),
    last_quote_ask: valueOf(lastQuote["P"]),
    last_quote_bid_size: valueOf(lastQuote["s"]),
    last_quote_ask_size: valueOf(lastQuote["S"]),
    day_open: valueOf(day["o"]),
    day_high: valueOf(day["h"]),
    day_low: valueOf(day["l"]),
    day_close: valueOf(day["c"]),
    day_volume: valueOf(day["v"]),
    prev_close: valueOf(prevDay["c"]),
    prev_volume: valueOf(prevDay["v"]),
    todays_change: numberOf(data["todaysChange"]),
    todays_change_percent: numberOf(data["todaysChangePerc"]),
    minute_vwap: valueOf(min["vw"]),
    minute_volume: valueOf(min["v"]),
    raw_data: data,
  };
}

function valueOf(value: unknown): number | null {
  const number = numberOf(value);
  return number === 0 ? null : number;
}

function numberOf(value: unknown): number | null {
  const number =
    typeof value === "number" || typeof value === "string"
      ? Number(value)
      : Number.NaN;
  return Number.isFinite(number) ? number : null;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" || typeof value === "number"
    ? String(value)
    : null;
}

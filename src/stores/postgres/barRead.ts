/** Reading minutes back from `ohlcv_1m`, to compare them. */
import { PREFERRED } from "./bars.ts";
import type { Sql } from "./connect.ts";

export interface StoredBar {
  /** Start of the minute, ms. */
  readonly at: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  /** Told by the registry's venue; another venue's prices need not be equal. */
  readonly isOfRegistry: boolean;
}

/** Stored minutes of a symbol in [from, to), ms. */
export async function storedBars(
  sql: Sql,
  symbol: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<StoredBar[]> {
  const rows = await sql<(Omit<StoredBar, "at"> & { timestamp: Date })[]>`
    select timestamp, open, high, low, close, volume, source like ${PREFERRED} as "isOfRegistry" from ohlcv_1m
    where symbol = ${symbol} and timestamp >= ${new Date(from)} and timestamp < ${new Date(to)}
    order by timestamp`;
  return rows.map(({ timestamp, ...values }) => ({
    at: +timestamp,
    ...values,
  }));
}

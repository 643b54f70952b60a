/**
 * The REST side of the streams: what a feed asks before it gives up a silent
 * connection, and the minutes that it missed.
 */
import type { AssetClass } from "../../../schema/market.ts";
import type { FeedHistory } from "../feedVenue.ts";
import { type AggregatesSettings, minuteBars } from "./aggregates.ts";
import { newestMinuteOf, snapshotsOf } from "./snapshots.ts";

export interface PolygonHistorySettings extends AggregatesSettings {
  readonly assetClass: AssetClass;
}

export function polygonHistory(settings: PolygonHistorySettings): FeedHistory {
  const { rest, assetClass } = settings;
  return {
    // Minutes, not trades: not every trade makes a bar, and a feed of bars is not deaf that does not tell of it.
    async latestTrades(symbols, signal) {
      const snapshots = await snapshotsOf(rest, assetClass, symbols, {
        priority: "live",
        signal,
      });
      const times = new Map<string, number>();
      for (const [symbol, snapshot] of snapshots) {
        const minute = newestMinuteOf(snapshot);
        if (minute !== undefined) times.set(symbol, Date.parse(minute));
      }
      return times;
    },

    async *bars(symbols, range, signal) {
      for (const symbol of new Set(symbols))
        yield* minuteBars(settings, symbol, range, {
          priority: "healing",
          signal,
        });
    },
  };
}

/**
 * What the symbol registry asks of a venue: history by REST and by day files,
 * snapshots, and what changes the meaning of history (splits, listings).
 */
import type { AssetClass, Bar } from "../../schema/market.ts";
import type { Priority } from "../flow/rate.ts";

export interface AskOptions {
  readonly priority: Priority;
  readonly signal: AbortSignal;
}

/** Half open, ms since the epoch. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A snapshot as the venue sent it, and what of it could be read. */
export interface VenueSnapshot {
  /** The venue's own text, digit by digit. */
  readonly raw: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export interface Split {
  readonly symbol: string;
  /** `YYYY-MM-DD`: from this day on prices are of the new scale. */
  readonly day: string;
  readonly from: number;
  readonly to: number;
}

export interface RegistryVenue {
  /** What bars of it are marked with, e.g. `polygon`. */
  readonly source: string;
  /** Minute bars of a symbol in the range, page by page, oldest first; the minute that is not over yet is left out. @throws VenueError */
  bars(
    symbol: string,
    range: Range,
    options: AskOptions,
  ): AsyncIterable<readonly Bar[]>;
  /** @throws VenueError, `absent` for a symbol that the venue does not know */
  snapshot(symbol: string, options: AskOptions): Promise<VenueSnapshot>;
  /** Splits from a day on. @throws VenueError */
  splits(
    symbol: string,
    sinceDay: string,
    options: AskOptions,
  ): Promise<readonly Split[]>;
  /** First and last day of trading where the venue knows them; undefined for an unknown symbol. @throws VenueError */
  listing(
    symbol: string,
    options: AskOptions,
  ): Promise<{ readonly from?: string; readonly to?: string } | undefined>;
  /** Absent without keys for them. */
  readonly files: DayFiles | undefined;
}

/** One file a day with the bars of every symbol. */
export interface DayFiles {
  /** Its version; undefined while the day is not released, or has none. @throws VenueError */
  find(
    assetClass: AssetClass,
    day: string,
    options: AskOptions,
  ): Promise<{ readonly key: string; readonly etag: string } | undefined>;
  /**
   * Its bars, streamed, in batches; never the whole file in memory. `symbols`
   * limits them; rows that cannot be read, or are of another day, go to
   * `onMalformed`, whole. @throws VenueError
   */
  bars(
    file: { readonly key: string; readonly etag: string },
    wanted: {
      readonly assetClass: AssetClass;
      readonly day: string;
      readonly symbols?: ReadonlySet<string>;
    },
    options: AskOptions & {
      readonly onMalformed: (row: { raw: string; reason: string }) => void;
    },
  ): AsyncIterable<readonly Bar[]>;
}

/** Polygon (Massive) as the symbol registry's venue: REST, and day files where there are keys for them. */
import type { Clock } from "../../clock.ts";
import type { RegistryVenue } from "../registryVenue.ts";
import { type AggregatesSettings, minuteBars, SOURCE } from "./aggregates.ts";
import { type FlatFilesAccess, polygonFiles } from "./flatFiles.ts";
import { listingOf } from "./listing.ts";
import type { PolygonRest } from "./rest.ts";
import { snapshotOf } from "./snapshots.ts";
import { splitsOf } from "./splits.ts";

export interface PolygonVenueSettings {
  /** Of the key; feeds of the same key share it. */
  readonly rest: PolygonRest;
  /** Absent without keys for day files. */
  readonly files?: FlatFilesAccess | undefined;
  /** Told each row of REST that could not be read, whole. */
  readonly onMalformed: AggregatesSettings["onMalformed"];
  readonly clock?: Clock;
}

export function polygonVenue(settings: PolygonVenueSettings): RegistryVenue {
  const { rest, files, clock } = settings;
  return {
    source: SOURCE,
    bars: (symbol, range, options) =>
      minuteBars(settings, symbol, range, options),
    snapshot: (symbol, options) => snapshotOf(rest, symbol, options),
    splits: (symbol, sinceDay, options) =>
      splitsOf(rest, symbol, sinceDay, options),
    listing: (symbol, options) => listingOf(rest, symbol, options),
    files: files && polygonFiles(files, clock),
  };
}

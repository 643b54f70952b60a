/** How history is asked for. */
import type { AskOptions } from "../../../src/venues/registryVenue.ts";

export const BACKFILL: AskOptions = {
  priority: "backfill",
  signal: new AbortController().signal,
};

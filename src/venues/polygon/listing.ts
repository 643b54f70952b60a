/**
 * Since when, and until when, a symbol trades.
 * https://massive.com/docs/rest/stocks/tickers/ticker-overview
 */
import { isObject } from "../../../schema/read.ts";
import { assetClassOf } from "../../../schema/symbol.ts";
import { VenueError } from "../../errors.ts";
import type { AskOptions } from "../registryVenue.ts";
import { pathPart, type PolygonRest } from "./rest.ts";
import { tickerOf } from "./symbols.ts";

const PATH = "/v3/reference/tickers";

export interface Listing {
  /** `YYYY-MM-DD`; absent where the venue does not know it. */
  readonly from?: string;
  readonly to?: string;
}

/** Undefined for a symbol that was never listed. @throws VenueError */
export async function listingOf(
  rest: PolygonRest,
  symbol: string,
  options: AskOptions,
): Promise<Listing | undefined> {
  const ticker = tickerOf(symbol, "rest");
  try {
    const path = `${PATH}/${pathPart(ticker)}`;
    const { value } = await rest.object(path, {}, options);
    return isObject(value["results"]) ? readListing(value["results"]) : {};
  } catch (error) {
    if (!(error instanceof VenueError) || error.failure !== "absent")
      throw error;
    // Only of what trades now one is told like this.
    return delistedOf(rest, symbol, ticker, options);
  }
}

/** Names are used again: of several companies the one that went last is meant. */
async function delistedOf(
  rest: PolygonRest,
  symbol: string,
  ticker: string,
  options: AskOptions,
): Promise<Listing | undefined> {
  const market = assetClassOf(symbol) === "crypto" ? "crypto" : "stocks";
  const query = { ticker, market, active: "false", limit: 1000 };
  const { value } = await rest.object(PATH, query, options);
  const rows = value["results"];
  return (Array.isArray(rows) ? (rows as readonly unknown[]) : [])
    .filter(isObject)
    .filter((row) => row["ticker"] === ticker)
    .map(readListing)
    .sort((a, b) => ((a.to ?? "") < (b.to ?? "") ? 1 : -1))
    .at(0);
}

function readListing(row: Readonly<Record<string, unknown>>): Listing {
  const from = dayOf(row["list_date"]);
  const to = dayOf(row["delisted_utc"]);
  return {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

/** `1980-12-12`, or the day of `2021-04-25T00:00:00Z`. */
function dayOf(value: unknown): string | undefined {
  return typeof value === "string"
    ? /^\d{4}-\d\d-\d\d/.exec(value)?.[0]
    : undefined;
}

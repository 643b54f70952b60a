/**
 * Splits of a stock.
 * https://massive.com/docs/rest/stocks/corporate-actions/splits
 */
import { assetClassOf } from "../../../schema/symbol.ts";
import { isObject } from "../../../schema/read.ts";
import { DAY } from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import type { AskOptions, Split } from "../registryVenue.ts";
import { numberOf } from "./numbers.ts";
import type { PolygonRest } from "./rest.ts";
import { tickerOf } from "./symbols.ts";

const PAGE_LENGTH_MAX = 1000;
/**
 * A split may be listed twice, under its record day and its first day of trading
 * (SHOP in June 2022: the 22nd and the 29th); nobody splits by the same ratio
 * twice so soon.
 */
const SAME_SPLIT_MS_MAX = 21 * DAY;

/** Oldest first. @throws VenueError */
export async function splitsOf(
  rest: PolygonRest,
  symbol: string,
  sinceDay: string,
  options: AskOptions,
): Promise<readonly Split[]> {
  if (assetClassOf(symbol) === "crypto") return [];
  const query = {
    ticker: tickerOf(symbol, "rest"),
    "execution_date.gte": sinceDay,
    sort: "execution_date",
    order: "asc",
    limit: PAGE_LENGTH_MAX,
  };
  const splits: Split[] = [];
  for await (const page of rest.pages("/v3/reference/splits", query, options)) {
    const rows = page.value["results"] ?? [];
    if (!Array.isArray(rows)) throw unreadable("no list");
    for (const row of rows as readonly unknown[]) {
      const split = readSplit(row, symbol);
      if (split.symbol === symbol && split.day >= sinceDay) splits.push(split);
    }
  }
  return once(splits.sort((a, b) => (a.day < b.day ? -1 : 1)));
}

/** A split that cannot be read must not pass for none: prices would be stored on two scales. */
function readSplit(row: unknown, symbol: string): Split {
  if (!isObject(row)) throw unreadable("not an object");
  const { ticker = symbol, execution_date: day } = row;
  const [from, to] = [numberOf(row["split_from"]), numberOf(row["split_to"])];
  const isDay = typeof day === "string" && /^\d{4}-\d\d-\d\d$/.test(day);
  if (
    !isDay ||
    typeof ticker !== "string" ||
    !from ||
    !to ||
    from < 0 ||
    to < 0
  )
    throw unreadable(JSON.stringify(row));
  return { symbol: ticker, day, from, to };
}

/** Of a split that is listed twice the later day counts: the earlier one is of the books. */
function once(splits: readonly Split[]): Split[] {
  return splits.filter(
    (split, index) =>
      !splits
        .slice(index + 1)
        .some(
          ({ day, from, to }) =>
            from === split.from &&
            to === split.to &&
            Date.parse(day) - Date.parse(split.day) <= SAME_SPLIT_MS_MAX,
        ),
  );
}

function unreadable(what: string): VenueError {
  return new VenueError(`unreadable split: ${what}`, { failure: "rejected" });
}

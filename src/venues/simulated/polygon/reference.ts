/** What there is to know about tickers: their names, since when they trade, their splits, and when the exchanges are open. */
import { newYorkDay } from "../../../../schema/instant.ts";
import { DAY } from "../../../clock.ts";
import { isOpen, type Session, sessionOn } from "../../calendar.ts";
import { isCrypto } from "../order.ts";
import { newYorkText } from "../stamps.ts";
import type { Asked } from "./asked.ts";
import type { PolygonSplit } from "./chart.ts";
import { encodeCursor, limitOf } from "./cursor.ts";
import { notFound } from "./refusal.ts";
import { tickerOf } from "./tickers.ts";

type Row = Readonly<Record<string, unknown>>;

const TICKERS_LIMIT = { fallback: 100, max: 1_000 };
const SPLITS_LIMIT = { fallback: 10, max: 1_000 };
/** So far ahead holidays are told. */
const UPCOMING_MS = 365 * DAY;

export function tickers(asked: Asked): object {
  const { chart, query } = asked;
  const market = query.get("market");
  const search = query.get("search")?.toLowerCase() ?? "";
  // All that there is trades.
  const isActive = query.get("active") !== "false";
  const rows = [...chart.symbols(false), ...chart.symbols(true)]
    .map((symbol) => tickerRow(symbol))
    .filter(
      (row) =>
        isActive &&
        (market === null || row["market"] === market) &&
        String(row["ticker"]).toLowerCase().includes(search) &&
        isWithin(query, "ticker", row),
    );
  return listOf(asked, rows, "ticker", TICKERS_LIMIT);
}

export function tickerDetails(asked: Asked, ticker: string): object {
  const symbol = asked.chart.symbolOf(ticker);
  if (symbol === undefined) throw notFound("Ticker not found.");
  return {
    request_id: asked.requestId,
    results: {
      ...tickerRow(symbol),
      ...(!isCrypto(symbol) && { list_date: asked.chart.firstDayOf(symbol) }),
    },
    status: "OK",
  };
}

export function splits(asked: Asked, known: readonly PolygonSplit[]): object {
  const rows = known
    .map(({ symbol, day, from, to }) => ({
      id: new Bun.CryptoHasher("sha256")
        .update(`${symbol} ${day} ${from} ${to}`)
        .digest("hex"),
      execution_date: day,
      split_from: from,
      split_to: to,
      ticker: tickerOf(symbol, "rest"),
    }))
    .filter(
      (row) =>
        isWithin(asked.query, "ticker", row) &&
        isWithin(asked.query, "execution_date", row),
    );
  return listOf(asked, rows, "execution_date", SPLITS_LIMIT);
}

export function marketNow({ nowMs }: Asked): object {
  const session = sessionOn(newYorkDay(nowMs));
  const earlyHours =
    session !== undefined &&
    session.preOpenMs <= nowMs &&
    nowMs < session.openMs;
  const afterHours =
    session !== undefined &&
    session.closeMs <= nowMs &&
    nowMs < session.postCloseMs;
  const market = isOpen(nowMs)
    ? "open"
    : earlyHours || afterHours
      ? "extended-hours"
      : "closed";
  return {
    afterHours,
    currencies: { crypto: "open", fx: "open" },
    earlyHours,
    exchanges: { nasdaq: market, nyse: market, otc: market },
    market,
    serverTime: newYorkText(nowMs).replace(/\.\d+/, ""),
  };
}

/** A bare list, without anything around it. */
export function marketUpcoming({ nowMs }: Asked): object {
  const rows: Row[] = [];
  for (let ms = nowMs + DAY; ms <= nowMs + UPCOMING_MS; ms += DAY) {
    const date = newYorkDay(ms);
    const session = sessionOn(date);
    const status = statusOf(date, session);
    if (status !== undefined)
      for (const exchange of ["NYSE", "NASDAQ", "OTC"])
        rows.push({
          date,
          exchange,
          name: holidayOf(date),
          ...(session !== undefined && {
            open: new Date(session.openMs).toISOString(),
            close: new Date(session.closeMs).toISOString(),
          }),
          status,
        });
  }
  return rows;
}

function statusOf(
  date: string,
  session: Session | undefined,
): "closed" | "early-close" | undefined {
  if (session !== undefined)
    return session.isHalfDay ? "early-close" : undefined;
  const weekday = new Date(date).getUTCDay();
  return weekday === 0 || weekday === 6 ? undefined : "closed";
}

/** No month has two that could be taken for each other, January apart. */
function holidayOf(date: string): string {
  const [, month = "", day = ""] = date.split("-");
  if (month === "01" && day > "02") return "Martin Luther King, Jr. Day";
  return HOLIDAYS[month] ?? "Holiday";
}

const HOLIDAYS: Readonly<Record<string, string>> = {
  "01": "New Years Day",
  "02": "Washington's Birthday",
  "03": "Good Friday",
  "04": "Good Friday",
  "05": "Memorial Day",
  "06": "Juneteenth",
  "07": "Independence Day",
  "09": "Labor Day",
  "11": "Thanksgiving",
  "12": "Christmas",
};

function tickerRow(symbol: string): Row {
  const ticker = tickerOf(symbol, "rest");
  if (!isCrypto(symbol))
    return {
      ticker,
      name: `${symbol} Incorporated`,
      market: "stocks",
      locale: "us",
      primary_exchange: "XNAS",
      type: "CS",
      active: true,
      currency_name: "usd",
    };
  const [base = "", quote = ""] = symbol.split("/");
  return {
    ticker,
    name: `${base} - ${quote}`,
    market: "crypto",
    locale: "global",
    active: true,
    currency_symbol: quote,
    currency_name: quote,
    base_currency_symbol: base,
    base_currency_name: base,
  };
}

/** `name`, `name.gte`, `name.gt`, `name.lte`, `name.lt`: all that is asked has to be so. */
function isWithin(query: URLSearchParams, name: string, row: Row): boolean {
  const value = String(row[name]);
  const asks = (suffix: string, holds: (bound: string) => boolean) => {
    const bound = query.get(name + suffix);
    return bound === null || bound === "" || holds(bound);
  };
  return (
    asks("", (bound) => value === bound) &&
    asks(".gte", (bound) => value >= bound) &&
    asks(".gt", (bound) => value > bound) &&
    asks(".lte", (bound) => value <= bound) &&
    asks(".lt", (bound) => value < bound)
  );
}

/** A page: `ap` and `as` of the cursor are the last row that was told, and how many before it. */
function listOf(
  { query, url, requestId }: Asked,
  rows: readonly Row[],
  sortedBy: string,
  limits: { readonly fallback: number; readonly max: number },
): object {
  const limit = limitOf(query, limits);
  const order = query.get("order") ?? (sortedBy === "ticker" ? "asc" : "desc");
  const sort = query.get("sort") ?? sortedBy;
  const direction = order === "desc" ? -1 : 1;
  const sorted = rows.toSorted((a, b) => {
    const [left, right] = [String(a[sort]), String(b[sort])];
    return direction * (left < right ? -1 : left > right ? 1 : 0);
  });
  const from = Number(query.get("as") ?? 0);
  const results = sorted.slice(from, from + limit);
  const next = from + limit;
  const cursor = encodeCursor({
    ...Object.fromEntries(query),
    ap: String(results.at(-1)?.[sort] ?? ""),
    as: String(next),
    limit: String(limit),
    order,
    sort,
  });
  return {
    results,
    status: "OK",
    request_id: requestId,
    ...(sortedBy === "ticker" && { count: results.length }),
    ...(next < sorted.length && {
      next_url: `${url.origin}${url.pathname}?cursor=${cursor}`,
    }),
  };
}

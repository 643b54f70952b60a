/**
 * Snapshots: the day, the newest minute, trade and quote of a symbol, or of all.
 * They are wiped at 03:30 in New York: from then on 0 means "no value yet".
 * https://massive.com/docs/rest/stocks/snapshots/single-ticker-snapshot
 */
import type { AssetClass } from "../../../schema/market.ts";
import {
  elementTexts,
  isObject,
  memberText,
  readText,
} from "../../../schema/read.ts";
import { VenueError } from "../../errors.ts";
import type { AskOptions, VenueSnapshot } from "../registryVenue.ts";
import { timeOfCount } from "./instants.ts";
import { pathPart, type PolygonRest } from "./rest.ts";
import { symbolOfTicker, tickerOf } from "./symbols.ts";

const PATHS: Readonly<Record<AssetClass, string>> = {
  stock: "/v2/snapshot/locale/us/markets/stocks/tickers",
  crypto: "/v2/snapshot/locale/global/markets/crypto/tickers",
};

/** Encoded symbols in one address, well below the 8 kB at which proxies answer 414. */
const SYMBOLS_CHARACTERS_MAX = 6000;

/** @throws VenueError, `absent` for a symbol that the venue does not know */
export async function snapshotOf(
  rest: PolygonRest,
  symbol: string,
  options: AskOptions,
): Promise<VenueSnapshot> {
  const path = `${pathOf(symbol)}/${pathPart(tickerOf(symbol, "rest"))}`;
  const { raw } = await rest.object(path, {}, options);
  return { raw, value: parseExactly(raw) };
}

/**
 * Of these symbols, or of all that the venue has; what it does not know is absent.
 * `value` is as of a single one: the row is its member `ticker`.
 * @throws VenueError
 */
export async function snapshotsOf(
  rest: PolygonRest,
  assetClass: AssetClass,
  symbols: readonly string[] | undefined,
  options: AskOptions,
): Promise<ReadonlyMap<string, VenueSnapshot>> {
  const snapshots = new Map<string, VenueSnapshot>();
  for (const tickers of chunksOf(symbols)) {
    const path = PATHS[assetClass];
    const { raw } = await rest.object(path, { tickers }, options);
    for (const text of rowTexts(raw, path)) {
      const ticker = parseExactly(text);
      const symbol = symbolOfTicker(String(ticker["ticker"]), assetClass);
      if (symbol === undefined) continue;
      snapshots.set(symbol, { raw: text, value: { ticker } });
    }
  }
  return snapshots;
}

/**
 * When the newest minute began that had a trade; undefined before the first of
 * the day. The newest trade itself may be one that makes no bar.
 */
export function newestMinuteOf({ value }: VenueSnapshot): string | undefined {
  const { ticker } = value;
  const minute = isObject(ticker) ? ticker["min"] : undefined;
  const start = isObject(minute) ? readText(minute["t"]) : undefined;
  return start && timeOfCount(start);
}

function pathOf(symbol: string): string {
  return PATHS[symbol.includes("/") ? "crypto" : "stock"];
}

function rowTexts(raw: string, path: string): readonly string[] {
  const rows = memberText(raw, "tickers") ?? "[]";
  if (rows === "null") return [];
  if (rows.startsWith("[")) return elementTexts(rows);
  throw new VenueError(`tickers of ${path} are no list`, {
    failure: "rejected",
  });
}

/**
 * JSON whose whole numbers beyond 2^53 are kept as their text: nanoseconds have 19
 * digits, and a number would round them.
 */
function parseExactly(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text, exactly);
  return isObject(value) ? value : {};
}

function exactly(
  _name: string,
  value: unknown,
  context?: { readonly source?: string },
): unknown {
  return typeof value === "number" &&
    !Number.isSafeInteger(value) &&
    /^-?\d+$/.test(context?.source ?? "")
    ? context?.source
    : value;
}

/** Comma lists that fit into an address; a repeated parameter would be read once. */
function chunksOf(
  symbols: readonly string[] | undefined,
): (string | undefined)[] {
  if (symbols === undefined) return [undefined];
  const chunks: string[] = [];
  for (const symbol of new Set(symbols)) {
    const ticker = tickerOf(symbol, "rest");
    const list = chunks.at(-1);
    const longer = list === undefined ? ticker : `${list},${ticker}`;
    if (encodeURIComponent(longer).length > SYMBOLS_CHARACTERS_MAX)
      chunks.push(ticker);
    else chunks.splice(Math.max(chunks.length - 1, 0), 1, longer);
  }
  return chunks;
}

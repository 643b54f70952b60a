/**
 * The words of the market-data stream: its addresses, channels, errors, and the
 * two encodings.
 * https://docs.alpaca.markets/docs/streaming-market-data
 */
import { decode, encode, ExtData } from "@msgpack/msgpack";
import { nanosOf } from "../../../../schema/instant.ts";
import { isObject } from "../../../../schema/read.ts";
import type { WireMessage } from "./messages.ts";

export const MARKET_PATHS = [
  "/v2/iex",
  "/v2/sip",
  "/v2/delayed_sip",
  "/v2/test",
  "/v1beta3/crypto/us",
] as const;
export type MarketPath = (typeof MARKET_PATHS)[number];

export function isMarketPath(pathname: string): pathname is MarketPath {
  return (MARKET_PATHS as readonly string[]).includes(pathname);
}

export const ERRORS = {
  400: "invalid syntax",
  401: "not authenticated",
  402: "auth failed",
  403: "already authenticated",
  404: "auth timeout",
  405: "symbol limit exceeded",
  406: "connection limit exceeded",
  407: "slow client",
  408: "v2 not enabled",
  409: "insufficient subscription",
  410: "invalid subscribe action for this feed",
  411: "insufficient scope",
  412: "option messages are only available in MsgPack format",
  413: "star subscription is not allowed for option quotes",
  500: "internal error",
} as const;
export type MarketErrorCode = keyof typeof ERRORS;

export function isMarketErrorCode(code: number): code is MarketErrorCode {
  return code in ERRORS;
}

export const STOCK_CHANNELS = [
  "trades",
  "quotes",
  "bars",
  "updatedBars",
  "dailyBars",
  "statuses",
  "lulds",
] as const;
const CRYPTO_CHANNELS = [
  "trades",
  "quotes",
  "bars",
  "updatedBars",
  "dailyBars",
  "orderbooks",
] as const;
const TEST_CHANNELS = ["trades", "quotes", "bars"] as const;

export const ALL_CHANNELS: ReadonlySet<string> = new Set([
  ...STOCK_CHANNELS,
  ...CRYPTO_CHANNELS,
  "corrections",
  "cancelErrors",
  "imbalances",
  "news",
]);

export function channelsOf(path: MarketPath) {
  if (path === "/v2/test") return TEST_CHANNELS;
  return path === "/v1beta3/crypto/us" ? CRYPTO_CHANNELS : STOCK_CHANNELS;
}

export function isSymbol(symbol: string, path: MarketPath): boolean {
  if (symbol === "*") return true;
  if (path === "/v2/test") return symbol === "FAKEPACA";
  return path === "/v1beta3/crypto/us"
    ? /^[A-Z0-9]+\/[A-Z]+$/.test(symbol)
    : /^[A-Z][A-Z0-9]*([.-][A-Z0-9]+)?$/.test(symbol);
}

export function readFrame(
  message: string | Uint8Array,
): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown =
      typeof message === "string" ? JSON.parse(message) : decode(message);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** MessagePack carries times as the timestamp extension, in nanoseconds. */
function withTimestamps(message: WireMessage): WireMessage {
  const nanos =
    typeof message["t"] === "string" ? nanosOf(message["t"]) : undefined;
  if (nanos === undefined) return message;
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Number(nanos % 1_000_000_000n));
  view.setBigInt64(4, nanos / 1_000_000_000n);
  return { ...message, t: new ExtData(-1, bytes) };
}

export function frameOf(
  messages: readonly WireMessage[],
  isBinary: boolean,
): string | Uint8Array<ArrayBuffer> {
  return isBinary
    ? encode(messages.map(withTimestamps))
    : JSON.stringify(messages);
}

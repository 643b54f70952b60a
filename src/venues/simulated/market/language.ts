/**
 * The words of the market-data stream: its addresses, channels, errors, and the
 * two encodings.
 * https://docs.alpaca.markets/docs/streaming-market-data
 */
import {
  decode,
  encode,
  encodeTimeSpecToTimestamp,
  EXT_TIMESTAMP,
  ExtData,
} from "@msgpack/msgpack";
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

const STOCK_CHANNELS = [
  "trades",
  "quotes",
  "bars",
  "updatedBars",
  "dailyBars",
  "statuses",
  "lulds",
  "imbalances",
] as const;
const CRYPTO_CHANNELS = [
  "trades",
  "quotes",
  "orderbooks",
  "bars",
  "updatedBars",
  "dailyBars",
] as const;
const TEST_CHANNELS = ["trades", "quotes", "bars"] as const;

/** What comes along with the trades of stocks, unasked. */
export const CORRECTIONS = ["corrections", "cancelErrors"] as const;

/** Channels that a client can name. */
export type Channel =
  (typeof STOCK_CHANNELS)[number] | (typeof CRYPTO_CHANNELS)[number];
/** Channels that messages belong to. */
export type SentChannel = Channel | (typeof CORRECTIONS)[number];

export function channelsOf(path: MarketPath): readonly Channel[] {
  if (path === "/v2/test") return TEST_CHANNELS;
  return isCryptoPath(path) ? CRYPTO_CHANNELS : STOCK_CHANNELS;
}

/** Whether some feed of the venue has such a channel, if not this one. */
export function isChannelAnywhere(name: string): boolean {
  return [...STOCK_CHANNELS, ...CRYPTO_CHANNELS, ...CORRECTIONS, "news"].some(
    (channel) => channel === name,
  );
}

export function isCryptoPath(path: MarketPath): boolean {
  return path === "/v1beta3/crypto/us";
}

/** Traded all day, every day, for those who try; the only one of the test feed. */
export const TEST_SYMBOL = "FAKEPACA";

/** Whether it has the form of a symbol: `AAPL`, `BRK.B`; for crypto `BTC/USD`. */
export function isSymbol(symbol: string, isCrypto: boolean): boolean {
  return isCrypto
    ? /^[A-Z0-9]+\/[A-Z]+$/.test(symbol)
    : /^[A-Z][A-Z0-9]*([.-][A-Z0-9]+)?$/.test(symbol);
}

/** A message of the client: an object in its encoding; undefined for anything else. */
export function readFrame(
  message: string | Uint8Array,
  isPacked: boolean,
): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = isPacked ? unpacked(message) : parsed(message);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function unpacked(message: string | Uint8Array): unknown {
  return typeof message === "string" ? undefined : decode(message);
}

function parsed(message: string | Uint8Array): unknown {
  return JSON.parse(
    typeof message === "string" ? message : new TextDecoder().decode(message),
  );
}

/** MessagePack carries times as its timestamp extension, to the nanosecond. */
function withTimestamp(message: WireMessage): WireMessage {
  const nanos =
    typeof message["t"] === "string" ? nanosOf(message["t"]) : undefined;
  if (nanos === undefined) return message;
  const bytes = encodeTimeSpecToTimestamp({
    sec: Number(nanos / 1_000_000_000n),
    nsec: Number(nanos % 1_000_000_000n),
  });
  return { ...message, t: new ExtData(EXT_TIMESTAMP, bytes) };
}

export function frameOf(
  messages: readonly WireMessage[],
  isPacked: boolean,
): string | Uint8Array<ArrayBuffer> {
  return isPacked
    ? encode(messages.map(withTimestamp))
    : JSON.stringify(messages);
}

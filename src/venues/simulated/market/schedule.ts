/** When the stream sends what: trades and quotes as they happen, bars behind their minute. */
import { DAY, MINUTE, SECOND } from "../../../clock.ts";
import { newYorkDay, msOfNewYork } from "../../../../schema/instant.ts";
import { isCrypto } from "../order.ts";
import {
  barMessage,
  quoteMessage,
  tradeMessage,
  type WireMessage,
} from "./messages.ts";
import { barOf, joinBars, type Tape, type TapeBar } from "./tape.ts";

/** Channels of the stream that this venue has something for. */
export type MarketChannel =
  "trades" | "quotes" | "bars" | "updatedBars" | "dailyBars";

/** A bar follows its minute by this much. */
const BAR_AFTER_MS = 0.2 * SECOND;
/** A late trade is reported this long after it happened. */
export const LATE_BY_MS = 70 * SECOND;
/** The corrected bar follows once late trades are in. */
export const UPDATED_AFTER_MS = 75 * SECOND;

export interface Sent {
  readonly channel: MarketChannel;
  readonly message: WireMessage;
}

/** What of a symbol is sent after `fromMs` and until `toMs`, in order of time. */
export function sentBetween(
  tape: Tape,
  symbol: string,
  fromMs: number,
  toMs: number,
  channels: ReadonlySet<MarketChannel>,
): Sent[] {
  const sent: (Sent & { readonly atMs: number })[] = [];
  const isDue = (ms: number) => fromMs < ms && ms <= toMs;
  const put = (atMs: number, channel: MarketChannel, message: WireMessage) =>
    sent.push({ atMs, channel, message });
  const oldest = minuteOf(fromMs - MINUTE - UPDATED_AFTER_MS);
  for (let minuteMs = oldest; minuteMs <= toMs; minuteMs += MINUTE) {
    const minute = tape.minute(symbol, minuteMs);
    if (channels.has("trades"))
      for (const trade of minute.trades) {
        const atMs = trade.atMs + (trade.isLate ? LATE_BY_MS : 0);
        if (isDue(atMs)) put(atMs, "trades", tradeMessage(symbol, trade));
      }
    if (channels.has("quotes"))
      for (const quote of minute.quotes)
        if (isDue(quote.atMs))
          put(quote.atMs, "quotes", quoteMessage(symbol, quote));

    const barMs = minuteMs + MINUTE + BAR_AFTER_MS;
    if (isDue(barMs)) {
      const bar = barOf(symbol, minuteMs, minute, { withLate: false });
      if (bar !== undefined && channels.has("bars"))
        put(barMs, "bars", barMessage("b", symbol, bar));
      const day = channels.has("dailyBars")
        ? dayBar(tape, symbol, minuteMs + MINUTE)
        : undefined;
      if (day !== undefined)
        put(barMs, "dailyBars", barMessage("d", symbol, day));
    }
    const updatedMs = minuteMs + MINUTE + UPDATED_AFTER_MS;
    if (
      channels.has("updatedBars") &&
      isDue(updatedMs) &&
      minute.trades.some(({ isLate }) => isLate)
    ) {
      const bar = barOf(symbol, minuteMs, minute, { withLate: true });
      if (bar !== undefined)
        put(updatedMs, "updatedBars", barMessage("u", symbol, bar));
    }
  }
  return sent.sort((a, b) => a.atMs - b.atMs);
}

/** The minute as REST shows it at `nowMs`: undefined while it is not over; with late trades once they are in. */
export function restBar(
  tape: Tape,
  symbol: string,
  minuteMs: number,
  nowMs: number,
): TapeBar | undefined {
  if (nowMs < minuteMs + MINUTE + BAR_AFTER_MS) return undefined;
  return barOf(symbol, minuteMs, tape.minute(symbol, minuteMs), {
    withLate: nowMs >= minuteMs + MINUTE + UPDATED_AFTER_MS,
  });
}

/** The day so far until `toMs`: stocks by New York's day, crypto by UTC's. */
export function dayBar(
  tape: Tape,
  symbol: string,
  toMs: number,
): TapeBar | undefined {
  const lastMs = toMs - 1;
  const startMs = isCrypto(symbol)
    ? Math.floor(lastMs / DAY) * DAY
    : msOfNewYork(newYorkDay(lastMs), 0);
  return joinBars(startMs, barsBetween(tape, symbol, startMs, toMs));
}

/** Minute bars, late trades included, of [from, to). */
export function barsBetween(
  tape: Tape,
  symbol: string,
  fromMs: number,
  toMs: number,
): TapeBar[] {
  const bars: TapeBar[] = [];
  for (let at = minuteOf(fromMs); at < toMs; at += MINUTE) {
    const bar = barOf(symbol, at, tape.minute(symbol, at), { withLate: true });
    if (bar !== undefined) bars.push(bar);
  }
  return bars;
}

export function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE) * MINUTE;
}

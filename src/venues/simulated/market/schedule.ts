/** When the stream sends what: trades and quotes as they happen, bars behind their minute. */
import { HOUR, MINUTE } from "../../../clock.ts";
import { isCrypto } from "../order.ts";
import type { SentChannel } from "./language.ts";
import {
  barMessage,
  cancelMessage,
  correctionMessage,
  imbalanceMessage,
  luldMessage,
  orderBookMessage,
  quoteMessage,
  statusMessage,
  tradeMessage,
  type WireMessage,
} from "./messages.ts";
import { dayStart } from "./spans.ts";
import {
  BAR_AFTER_MS,
  isAmended,
  joinBars,
  type Tape,
  type TapeBar,
  type TapeQuote,
  UPDATED_AFTER_MS,
} from "./tape.ts";

export interface Sent {
  readonly atMs: number;
  readonly channel: SentChannel;
  readonly message: WireMessage;
}

/** Within a halt the exchange tells the imbalance of orders once a minute. */
const IMBALANCE_AFTER_MS = MINUTE / 2;

/** What of a symbol is sent after `fromMs` and until `toMs`, in order of time. */
export function sentBetween(
  tape: Tape,
  symbol: string,
  fromMs: number,
  toMs: number,
  channels: ReadonlySet<SentChannel>,
): Sent[] {
  const sent: Sent[] = [];
  const put: Put = (atMs, channel, make) => {
    if (atMs <= fromMs || toMs < atMs || !channels.has(channel)) return;
    const message = make();
    if (message !== undefined) sent.push({ atMs, channel, message });
  };
  const oldestMs = fromMs - MINUTE - UPDATED_AFTER_MS;
  for (const minuteMs of tape.minutes(symbol, oldestMs, toMs, "asc")) {
    putTrades(tape, symbol, minuteMs, put);
    if (channels.has("quotes") || channels.has("orderbooks"))
      putQuotes(tape, symbol, minuteMs, put);
    putBars(tape, symbol, minuteMs, put);
    putHalt(tape, symbol, minuteMs, put);
  }
  return sent.sort((a, b) => a.atMs - b.atMs);
}

/** Takes a message down, when it is due and wanted; only then is it made, if there is one. */
type Put = (
  atMs: number,
  channel: SentChannel,
  make: () => WireMessage | undefined,
) => void;

function putTrades(
  tape: Tape,
  symbol: string,
  minuteMs: number,
  put: Put,
): void {
  const { trades } = tape.minute(symbol, minuteMs);
  for (const trade of trades) {
    put(trade.reportedMs, "trades", () => tradeMessage(symbol, trade));
    if (trade.amendment === undefined) continue;
    const { atMs, corrected } = trade.amendment;
    if (corrected === undefined)
      put(atMs, "cancelErrors", () => cancelMessage(symbol, trade, atMs));
    else
      put(atMs, "corrections", () =>
        correctionMessage(symbol, trade, corrected, atMs),
      );
  }
  const [first] = trades;
  if (first !== undefined)
    put(first.atMs, "lulds", () => luldMessage(symbol, first));
}

function putQuotes(
  tape: Tape,
  symbol: string,
  minuteMs: number,
  put: Put,
): void {
  const { quotes } = tape.minute(symbol, minuteMs);
  for (const [index, quote] of quotes.entries()) {
    put(quote.atMs, "quotes", () => quoteMessage(symbol, quote));
    // Once a minute the whole book, so that nobody is wrong for long.
    put(quote.atMs, "orderbooks", () =>
      orderBookMessage(symbol, quote, quotes[index - 1]),
    );
  }
}

function putBars(tape: Tape, symbol: string, minuteMs: number, put: Put): void {
  const barMs = minuteMs + MINUTE + BAR_AFTER_MS;
  const updatedMs = minuteMs + MINUTE + UPDATED_AFTER_MS;
  put(barMs, "bars", () => {
    const bar = barAt(tape, symbol, minuteMs, barMs);
    return bar && barMessage("b", symbol, bar);
  });
  put(updatedMs, "updatedBars", () => {
    if (!isAmended(tape.minute(symbol, minuteMs), minuteMs)) return undefined;
    const bar = barAt(tape, symbol, minuteMs, updatedMs);
    return bar && barMessage("u", symbol, bar);
  });
  put(barMs, "dailyBars", () => {
    if (barAt(tape, symbol, minuteMs, barMs) === undefined) return undefined;
    const bar = dayBar(tape, symbol, minuteMs, barMs);
    return bar && barMessage("d", symbol, bar);
  });
}

function putHalt(tape: Tape, symbol: string, minuteMs: number, put: Put): void {
  const isHalted = tape.isHalted(symbol, minuteMs);
  if (isHalted !== tape.isHalted(symbol, minuteMs - MINUTE))
    put(minuteMs, "statuses", () => statusMessage(symbol, isHalted, minuteMs));
  const imbalanceMs = minuteMs + IMBALANCE_AFTER_MS;
  if (isHalted)
    put(imbalanceMs, "imbalances", () => {
      const quote = quoteAt(tape, symbol, minuteMs);
      return quote && imbalanceMessage(symbol, quote.bid, imbalanceMs);
    });
}

/** The minute as it is known at `nowMs`: not at all before its bar was sent, prompt first, whole in the end. */
export function barAt(
  tape: Tape,
  symbol: string,
  minuteMs: number,
  nowMs: number,
): TapeBar | undefined {
  const passedMs = nowMs - minuteMs - MINUTE;
  if (passedMs < BAR_AFTER_MS) return undefined;
  return tape.bar(
    symbol,
    minuteMs,
    passedMs < UPDATED_AFTER_MS ? "prompt" : "whole",
  );
}

/** The day so far, the minute at `minuteMs` included, as it is known at `nowMs`. */
function dayBar(
  tape: Tape,
  symbol: string,
  minuteMs: number,
  nowMs: number,
): TapeBar | undefined {
  const startMs = dayStart(isCrypto(symbol), minuteMs);
  const bars: TapeBar[] = [];
  for (const each of tape.minutes(symbol, startMs, minuteMs, "asc")) {
    const bar = barAt(tape, symbol, each, nowMs);
    if (bar !== undefined) bars.push(bar);
  }
  return joinBars(startMs, bars);
}

/** The newest quote until `nowMs`, of the last hour. */
export function quoteAt(
  tape: Tape,
  symbol: string,
  nowMs: number,
): TapeQuote | undefined {
  for (const minuteMs of tape.minutes(symbol, nowMs - HOUR, nowMs, "desc")) {
    const { quotes } = tape.minute(symbol, minuteMs);
    const quote = quotes.findLast(({ atMs }) => atMs <= nowMs);
    if (quote !== undefined) return quote;
  }
  return undefined;
}

/** When the streams send what: trades and quotes as they are reported, bars behind their span, and once more when trades came late. */
import { MINUTE, SECOND } from "../../../clock.ts";
import { sessionOn } from "../../calendar.ts";
import {
  averagePrice,
  BAR_AFTER_MS,
  barOf,
  isAmended,
  type TapeBar,
  type TapeTrade,
  tidy,
  UPDATED_AFTER_MS,
} from "../market/tape.ts";
import { isCrypto } from "../order.ts";
import { type Chart, dayOf, dayStart, rescaled } from "./chart.ts";
import {
  type DayTotals,
  pairBar,
  pairQuote,
  pairTrade,
  stockBar,
  stockQuote,
  stockTrade,
  type StreamMessage,
} from "./messages.ts";

export type Kind = "minutes" | "seconds" | "trades" | "quotes";

export interface Due {
  readonly atMs: number;
  readonly message: StreamMessage;
}

/** A second's bar waits for stragglers. */
const SECOND_AFTER_MS = 2 * SECOND;
/** The bars of a minute are spread over so long behind it. */
const SPREAD_MS = 500;

/** Takes a message down, when it is due and wanted; only then is it made, if there is one. */
type Put = (
  atMs: number,
  kind: Kind,
  make: () => StreamMessage | undefined,
) => void;

export class Programme {
  /** By symbol: the day so far, which each bar carries along. */
  readonly #days = new Map<string, DaySoFar>();

  constructor(readonly chart: Chart) {}

  /** What of a symbol is sent after `fromMs` and until `toMs`, in order of time. */
  between(
    symbol: string,
    fromMs: number,
    toMs: number,
    kinds: ReadonlySet<Kind>,
  ): Due[] {
    const due: Due[] = [];
    const put: Put = (atMs, kind, make) => {
      if (atMs <= fromMs || toMs < atMs || !kinds.has(kind)) return;
      const message = make();
      if (message !== undefined) due.push({ atMs, message });
    };
    const { tape } = this.chart;
    const oldestMs = fromMs - MINUTE - UPDATED_AFTER_MS - SPREAD_MS;
    const scale = this.chart.scale(symbol, toMs, false, toMs);
    for (const minuteMs of tape.minutes(symbol, oldestMs, toMs, "asc")) {
      const { trades } = tape.minute(symbol, minuteMs);
      if (kinds.has("trades")) putTrades(symbol, trades, scale, put);
      if (kinds.has("seconds"))
        this.#putSeconds(symbol, minuteMs, trades, scale, put);
      if (kinds.has("minutes")) this.#putMinute(symbol, minuteMs, scale, put);
      if (!kinds.has("quotes")) continue;
      for (const quote of tape.minute(symbol, minuteMs).quotes)
        put(quote.atMs, "quotes", () => {
          const [bid, ask] = [quote.bid * scale, quote.ask * scale];
          const scaled = { ...quote, bid: tidy(bid), ask: tidy(ask) };
          return isCrypto(symbol)
            ? pairQuote(symbol, scaled)
            : stockQuote(symbol, scaled);
        });
    }
    return due.sort((a, b) => a.atMs - b.atMs);
  }

  #putMinute(symbol: string, minuteMs: number, scale: number, put: Put): void {
    const spreadMs = Number(Bun.hash(symbol) % BigInt(SPREAD_MS));
    const { tape } = this.chart;
    const barMs = minuteMs + MINUTE + BAR_AFTER_MS + spreadMs;
    const updatedMs = minuteMs + MINUTE + UPDATED_AFTER_MS + spreadMs;
    put(barMs, "minutes", () => {
      const bar = tape.bar(symbol, minuteMs, "prompt");
      return this.#minute(symbol, bar, scale);
    });
    put(updatedMs, "minutes", () => {
      if (!isAmended(tape.minute(symbol, minuteMs), minuteMs)) return undefined;
      const bar = tape.bar(symbol, minuteMs, "whole");
      return this.#minute(symbol, bar, scale);
    });
  }

  #minute(
    symbol: string,
    bar: TapeBar | undefined,
    scale: number,
  ): StreamMessage | undefined {
    // Of a minute without a trade there is none.
    if (bar === undefined || bar.n === 0) return undefined;
    const scaled = rescaled(bar, scale);
    if (isCrypto(symbol)) return pairBar("XA", symbol, scaled, MINUTE);
    const day = this.#totals(symbol, bar, scale);
    return stockBar("AM", symbol, scaled, MINUTE, day);
  }

  #putSeconds(
    symbol: string,
    minuteMs: number,
    trades: readonly TapeTrade[],
    scale: number,
    put: Put,
  ): void {
    const bySecond = Map.groupBy(
      trades,
      ({ atMs }) => Math.floor(atMs / SECOND) * SECOND,
    );
    for (const [startMs, inSecond] of bySecond) {
      const dueMs = startMs + SECOND + SECOND_AFTER_MS;
      put(dueMs, "seconds", () => {
        const known = inSecond.filter(({ reportedMs }) => reportedMs <= dueMs);
        const bar = barOf(
          symbol,
          minuteMs,
          { trades: known, quotes: [] },
          "prompt",
        );
        if (bar === undefined) return undefined;
        const scaled = rescaled({ ...bar, startMs }, scale);
        if (isCrypto(symbol)) return pairBar("XAS", symbol, scaled, SECOND);
        const day = this.#totals(symbol, bar, scale);
        return stockBar("A", symbol, scaled, SECOND, day);
      });
    }
  }

  /** The day with all of the minutes before the bar's, and the bar. */
  #totals(symbol: string, bar: TapeBar, scale: number): DayTotals {
    const day = dayOf(symbol, bar.startMs);
    let soFar = this.#days.get(symbol);
    if (soFar?.day !== day || soFar.untilMs > bar.startMs) {
      soFar = {
        day,
        untilMs: dayStart(symbol, day),
        openMs: sessionOn(day)?.openMs ?? Number.POSITIVE_INFINITY,
        open: undefined,
        volume: 0,
        value: 0,
      };
      this.#days.set(symbol, soFar);
    }
    const before = this.chart.minutes(symbol, {
      fromMs: soFar.untilMs,
      toMs: bar.startMs - 1,
      order: "asc",
      nowMs: Number.POSITIVE_INFINITY,
    });
    for (const each of before) add(soFar, each);
    soFar.untilMs = Math.max(soFar.untilMs, bar.startMs);
    const now = { ...soFar };
    add(now, bar);
    return {
      volume: tidy(now.volume / scale),
      averagePrice: tidy(averagePrice(now.value, now.volume) * scale),
      open: now.open === undefined ? undefined : tidy(now.open * scale),
    };
  }
}

interface DaySoFar {
  readonly day: string;
  /** Minutes before it are counted. */
  untilMs: number;
  readonly openMs: number;
  open: number | undefined;
  volume: number;
  value: number;
}

function add(day: DaySoFar, { startMs, o, v, vw }: TapeBar): void {
  if (startMs >= day.openMs) day.open ??= o;
  day.volume += v;
  day.value += v * vw;
}

function putTrades(
  symbol: string,
  trades: readonly TapeTrade[],
  scale: number,
  put: Put,
): void {
  for (const trade of trades)
    put(trade.reportedMs, "trades", () => {
      const scaled = { ...trade, price: tidy(trade.price * scale) };
      return isCrypto(symbol)
        ? pairTrade(symbol, scaled)
        : stockTrade(symbol, scaled);
    });
}

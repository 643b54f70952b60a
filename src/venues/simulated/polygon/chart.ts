/**
 * Bars as the venue shows them at a time: cut from the tape, of minutes with a
 * trade only, on the scale of today's shares or of their own day's.
 */
import { msOfNewYork, newYorkDay } from "../../../../schema/instant.ts";
import { DAY, MINUTE } from "../../../clock.ts";
import { type Session, sessionOn, sessionsBetween } from "../../calendar.ts";
import { barAt } from "../market/schedule.ts";
import {
  BAR_AFTER_MS,
  barOf,
  joinBars,
  type Tape,
  type TapeBar,
  tidy,
} from "../market/tape.ts";
import { isCrypto } from "../order.ts";
import { tickerOf } from "./tickers.ts";

/** One share becomes `to / from`; from `day` on (`YYYY-MM-DD`, New York) it trades so. */
export interface PolygonSplit {
  readonly symbol: string;
  readonly day: string;
  readonly from: number;
  readonly to: number;
}

/** The first session that the tape knows. */
export const FIRST_DAY = "2016-01-04";

/** In order of time or against it. */
export type Order = "asc" | "desc";

export interface Extent {
  readonly fromMs: number;
  readonly toMs: number;
  readonly order: Order;
  /** How things are known now. */
  readonly nowMs: number;
}

/** A day, as it is known: what sets its prices is the regular session, its volume is of all. */
export interface DayBar {
  /** Undefined before the first trade of the regular session. */
  readonly regular: TapeBar | undefined;
  readonly whole: TapeBar | undefined;
}

export class Chart {
  readonly #known: ReadonlyMap<string, string>;
  readonly #splits: ReadonlyMap<
    string,
    readonly { readonly atMs: number; readonly ratio: number }[]
  >;

  constructor(
    readonly settings: {
      readonly tape: Tape;
      readonly splits: readonly PolygonSplit[];
      /** First day of trading by symbol; {@link FIRST_DAY} of those that are absent. */
      readonly listed: Readonly<Record<string, string>>;
    },
  ) {
    const { tape, splits, listed } = settings;
    const symbols = new Set([...tape.symbols, ...Object.keys(listed)]);
    this.#known = new Map(
      [...symbols].sort().map((symbol) => [tickerOf(symbol, "rest"), symbol]),
    );
    this.#splits = Map.groupBy(
      splits.map(({ symbol, day, from, to }) => ({
        symbol,
        atMs: msOfNewYork(day, 0),
        ratio: to / from,
      })),
      ({ symbol }) => symbol,
    );
  }

  get tape(): Tape {
    return this.settings.tape;
  }

  symbols(crypto: boolean): string[] {
    return [...this.#known.values()].filter(
      (symbol) => isCrypto(symbol) === crypto,
    );
  }

  /** Undefined for a ticker that nobody ever traded; its case counts. */
  symbolOf(ticker: string): string | undefined {
    return this.#known.get(ticker);
  }

  firstDayOf(symbol: string): string {
    return this.settings.listed[symbol] ?? FIRST_DAY;
  }

  *minutes(symbol: string, extent: Extent): Generator<TapeBar> {
    const { order, nowMs } = extent;
    const fromMs = Math.max(extent.fromMs, this.#startOf(symbol));
    const toMs = Math.min(extent.toMs, nowMs);
    if (fromMs > toMs) return;
    for (const minuteMs of this.tape.minutes(symbol, fromMs, toMs, order)) {
      const bar = this.minute(symbol, minuteMs, nowMs);
      if (bar !== undefined) yield bar;
    }
  }

  /** The running one as far as it got; none of a minute without a trade. */
  minute(symbol: string, minuteMs: number, nowMs: number): TapeBar | undefined {
    const isOver = minuteMs + MINUTE + BAR_AFTER_MS <= nowMs;
    const bar = isOver
      ? barAt(this.tape, symbol, minuteMs, nowMs)
      : this.#unfinished(symbol, minuteMs, nowMs);
    return bar !== undefined && bar.n > 0 ? bar : undefined;
  }

  *days(symbol: string, extent: Extent): Generator<TapeBar> {
    const { fromMs, toMs, order, nowMs } = extent;
    const startMs = Math.max(fromMs, this.#startOf(symbol));
    const endMs = Math.min(toMs, nowMs);
    const days = isCrypto(symbol)
      ? utcDays(startMs, endMs)
      : sessionsBetween(newYorkDay(startMs), newYorkDay(endMs)).map(
          ({ day }) => day,
        );
    for (const day of order === "asc" ? days : days.reverse()) {
      const bar = dayRow(this.day(symbol, day, nowMs));
      if (bar !== undefined) yield { ...bar, startMs: dayStart(symbol, day) };
    }
  }

  day(symbol: string, day: string, nowMs: number): DayBar {
    const session = isCrypto(symbol) ? undefined : sessionOn(day);
    const startMs = session?.preOpenMs ?? dayStart(symbol, day);
    const endMs = session?.postCloseMs ?? startMs + DAY;
    const bars = [
      ...this.minutes(symbol, {
        fromMs: startMs,
        toMs: endMs - 1,
        order: "asc",
        nowMs,
      }),
    ];
    return {
      regular: joinBars(startMs, session ? regular(bars, session) : bars),
      whole: joinBars(startMs, bars),
    };
  }

  /**
   * The tape is on the scale of the shares that there are in the end. What a price
   * is to be multiplied with, and a volume divided by, to be on that of today's
   * shares, or (raw) on that of the shares of its day.
   */
  scale(
    symbol: string,
    ms: number,
    isAdjusted: boolean,
    nowMs: number,
  ): number {
    const sinceMs = isAdjusted ? Math.max(ms, nowMs) : ms;
    let scale = 1;
    for (const { atMs, ratio } of this.#splits.get(symbol) ?? [])
      if (atMs > sinceMs) scale *= ratio;
    return scale;
  }

  scaled(
    symbol: string,
    bar: TapeBar,
    isAdjusted: boolean,
    nowMs: number,
  ): TapeBar {
    return rescaled(bar, this.scale(symbol, bar.startMs, isAdjusted, nowMs));
  }

  #startOf(symbol: string): number {
    return dayStart(symbol, this.firstDayOf(symbol));
  }

  #unfinished(
    symbol: string,
    minuteMs: number,
    nowMs: number,
  ): TapeBar | undefined {
    const trades = this.tape
      .minute(symbol, minuteMs)
      .trades.filter(({ reportedMs }) => reportedMs <= nowMs);
    return barOf(symbol, minuteMs, { trades, quotes: [] }, "prompt");
  }
}

/** Midnight in New York, of crypto in UTC. */
export function dayStart(symbol: string, day: string): number {
  return isCrypto(symbol)
    ? Date.parse(`${day}T00:00:00Z`)
    : msOfNewYork(day, 0);
}

export function dayOf(symbol: string, ms: number): string {
  return isCrypto(symbol)
    ? new Date(ms).toISOString().slice(0, 10)
    : newYorkDay(ms);
}

/** Prices of the regular session; of a day without one those of all. */
function dayRow({ regular: priced, whole }: DayBar): TapeBar | undefined {
  if (whole === undefined || priced === undefined) return whole;
  const { o, h, l, c } = priced;
  return { ...whole, o, h, l, c };
}

function regular(
  bars: readonly TapeBar[],
  { openMs, closeMs }: Session,
): TapeBar[] {
  return bars.filter(({ startMs }) => openMs <= startMs && startMs < closeMs);
}

export function rescaled(bar: TapeBar, scale: number): TapeBar {
  if (scale === 1) return bar;
  const price = (value: number) => tidy(value * scale);
  return {
    ...bar,
    o: price(bar.o),
    h: price(bar.h),
    l: price(bar.l),
    c: price(bar.c),
    vw: price(bar.vw),
    v: tidy(bar.v / scale),
  };
}

function utcDays(fromMs: number, toMs: number): string[] {
  const days: string[] = [];
  for (let ms = fromMs - (fromMs % DAY); ms <= toMs; ms += DAY)
    days.push(new Date(ms).toISOString().slice(0, 10));
  return days;
}

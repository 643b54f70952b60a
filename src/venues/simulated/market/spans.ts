/** Timeframes of bars: where a span begins, and where the next one does. */
import { msOfNewYork, newYorkDay } from "../../../../schema/instant.ts";
import { DAY, HOUR, MINUTE } from "../../../clock.ts";

export interface Span {
  /** Start of the span that an instant falls into. */
  startOf(ms: number): number;
  /** Start of the span that follows the one that begins at `startMs`. */
  nextOf(startMs: number): number;
}

/** `[1-59]Min`, `[1-23]Hour`, `1Day`, `1Week`, `[1,2,3,4,6,12]Month`, or a letter for the word; undefined for anything else. */
export function spanOf(timeframe: string, isCrypto: boolean): Span | undefined {
  const [, digits = "", unit = ""] = /^(\d\d?)(\D+)$/.exec(timeframe) ?? [];
  const count = Number(digits);
  switch (unit) {
    case "Min":
    case "T":
      return count >= 1 && count <= 59 ? evenSpan(count * MINUTE) : undefined;
    case "Hour":
    case "H":
      return count >= 1 && count <= 23 ? evenSpan(count * HOUR) : undefined;
    case "Day":
    case "D":
      return count === 1 ? spanOfDays(isCrypto, (day) => day) : undefined;
    case "Week":
    case "W":
      return count === 1 ? spanOfDays(isCrypto, mondayOf) : undefined;
    case "Month":
    case "M":
      return [1, 2, 3, 4, 6, 12].includes(count)
        ? spanOfDays(isCrypto, (day) => firstOfMonths(day, count))
        : undefined;
    default:
      return undefined;
  }
}

/**
 * Midnight in New York for stocks. Crypto's days begin an hour later, at midnight
 * in Chicago: recorded snapshots show 05:00Z in summer.
 */
export function dayStart(isCrypto: boolean, ms: number): number {
  return startOfDay(isCrypto, dayOf(isCrypto, ms));
}

function evenSpan(lengthMs: number): Span {
  return {
    startOf: (ms) => Math.floor(ms / lengthMs) * lengthMs,
    nextOf: (startMs) => startMs + lengthMs,
  };
}

/** `firstOf`: first day (`YYYY-MM-DD`) of the span that a day belongs to. */
function spanOfDays(isCrypto: boolean, firstOf: (day: string) => string): Span {
  const startOf = (ms: number) =>
    startOfDay(isCrypto, firstOf(dayOf(isCrypto, ms)));
  return {
    startOf,
    nextOf(startMs) {
      // Noon of each day that follows, until one belongs to another span.
      for (let noonMs = startMs + 1.5 * DAY; ; noonMs += DAY)
        if (startOf(noonMs) !== startMs) return startOf(noonMs);
    },
  };
}

function dayOf(isCrypto: boolean, ms: number): string {
  return newYorkDay(ms - lagOf(isCrypto));
}

function startOfDay(isCrypto: boolean, day: string): number {
  return msOfNewYork(day, lagOf(isCrypto));
}

function lagOf(isCrypto: boolean): number {
  return isCrypto ? HOUR : 0;
}

function mondayOf(day: string): string {
  const date = new Date(day);
  date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  return date.toISOString().slice(0, 10);
}

function firstOfMonths(day: string, count: number): string {
  const date = new Date(day);
  date.setUTCMonth(Math.floor(date.getUTCMonth() / count) * count, 1);
  return date.toISOString().slice(0, 10);
}

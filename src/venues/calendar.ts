/**
 * Sessions of the US stock exchanges (NYSE and Nasdaq), by rule and by the list
 * of days that no rule foresees. Good from 2003 on; checked there against the
 * published calendars (see the tests).
 * https://www.nyse.com/markets/hours-calendars
 */
import { msOfNewYork, newYorkDay } from "../../schema/instant.ts";
import { DAY, HOUR } from "../clock.ts";

/** One trading day; instants in ms since the epoch. */
export interface Session {
  /** `YYYY-MM-DD` in New York. */
  readonly day: string;
  /** 04:00 in New York: orders are taken from here on. */
  readonly preOpenMs: number;
  /** 09:30. */
  readonly openMs: number;
  /** 16:00; on half days 13:00. */
  readonly closeMs: number;
  /** 20:00; on half days 17:00. */
  readonly postCloseMs: number;
  readonly isHalfDay: boolean;
}

/** Closed for once: mourning, storm. */
const CLOSED_FOR_ONCE = new Set([
  "2004-06-11",
  "2007-01-02",
  "2012-10-29",
  "2012-10-30",
  "2018-12-05",
  "2025-01-09",
]);
const SHORT_FOR_ONCE = new Set(["2003-12-26"]);

const SUNDAY = 0;
const MONDAY = 1;
const THURSDAY = 4;
const FRIDAY = 5;
const SATURDAY = 6;

/** The session of a New York day; undefined when the exchange is closed. */
export function sessionOn(day: string): Session | undefined {
  const date = dateOf(day);
  if (date === undefined) return undefined;
  if (isWeekend(date) || isHoliday(day, date)) return undefined;
  const isHalfDay = endsEarly(day, date);
  const at = (hours: number) => msOfNewYork(day, hours * HOUR);
  return {
    day,
    preOpenMs: at(4),
    openMs: at(9.5),
    closeMs: at(isHalfDay ? 13 : 16),
    postCloseMs: at(isHalfDay ? 17 : 20),
    isHalfDay,
  };
}

/** Sessions from one New York day to another, both included. */
export function sessionsBetween(fromDay: string, toDay: string): Session[] {
  const sessions: Session[] = [];
  const last = dateOf(toDay)?.getTime() ?? Number.NEGATIVE_INFINITY;
  for (
    let ms = dateOf(fromDay)?.getTime() ?? Number.POSITIVE_INFINITY;
    ms <= last;
    ms += DAY
  ) {
    const session = sessionOn(dayText(ms));
    if (session !== undefined) sessions.push(session);
  }
  return sessions;
}

/** Whether the exchange is open; `extended` counts the early and the late session too. */
export function isOpen(
  ms: number,
  { extended = false }: { extended?: boolean } = {},
): boolean {
  const session = sessionOn(newYorkDay(ms));
  if (session === undefined) return false;
  return extended
    ? session.preOpenMs <= ms && ms < session.postCloseMs
    : session.openMs <= ms && ms < session.closeMs;
}

/** The next opening of a regular session after `ms`. */
export function nextOpen(ms: number): number {
  // No row of closed days was ever longer than four; two weeks end the search of a broken table.
  const today = dateOf(newYorkDay(ms))?.getTime() ?? ms;
  for (let days = 0; days < 14; days++) {
    const session = sessionOn(dayText(today + days * DAY));
    if (session !== undefined && session.openMs > ms) return session.openMs;
  }
  throw new RangeError(`no session follows ${new Date(ms).toISOString()}`);
}

function isWeekend(date: Date): boolean {
  return date.getUTCDay() === SATURDAY || date.getUTCDay() === SUNDAY;
}

function isHoliday(day: string, date: Date): boolean {
  const year = date.getUTCFullYear();
  return holidaysOf(year).has(day) || CLOSED_FOR_ONCE.has(day);
}

/** The Friday after Thanksgiving, and the eves of 4 July and Christmas where these fall Tuesday to Friday. */
function endsEarly(day: string, date: Date): boolean {
  const weekday = date.getUTCDay();
  const monthDay = day.slice(5);
  const isEve =
    (monthDay === "07-03" || monthDay === "12-24") &&
    weekday >= MONDAY &&
    weekday <= THURSDAY;
  const isAfterThanksgiving =
    weekday === FRIDAY &&
    dayText(date.getTime() - DAY) ===
      nthWeekday(date.getUTCFullYear(), 11, THURSDAY, 4);
  return isEve || isAfterThanksgiving || SHORT_FOR_ONCE.has(day);
}

const holidaysByYear = new Map<number, ReadonlySet<string>>();

function holidaysOf(year: number): ReadonlySet<string> {
  const known = holidaysByYear.get(year);
  if (known !== undefined) return known;
  const holidays = new Set(
    [
      newYear(year),
      nthWeekday(year, 1, MONDAY, 3),
      nthWeekday(year, 2, MONDAY, 3),
      goodFriday(year),
      lastMonday(year, 5),
      year >= 2022 ? observed(year, 6, 19) : undefined,
      observed(year, 7, 4),
      nthWeekday(year, 9, MONDAY, 1),
      nthWeekday(year, 11, THURSDAY, 4),
      observed(year, 12, 25),
    ].filter((day) => day !== undefined),
  );
  holidaysByYear.set(year, holidays);
  return holidays;
}

/** On a Saturday New Year is not kept at all: the Friday before closes the old year's books. */
function newYear(year: number): string | undefined {
  return new Date(Date.UTC(year, 0, 1)).getUTCDay() === SATURDAY
    ? undefined
    : observed(year, 1, 1);
}

/** Saturday's holiday is kept on Friday, Sunday's on Monday. */
function observed(year: number, month: number, dayOfMonth: number): string {
  const ms = Date.UTC(year, month - 1, dayOfMonth);
  const weekday = new Date(ms).getUTCDay();
  const shift = weekday === SATURDAY ? -DAY : weekday === SUNDAY ? DAY : 0;
  return dayText(ms + shift);
}

function nthWeekday(
  year: number,
  month: number,
  weekday: number,
  nth: number,
): string {
  const first = new Date(Date.UTC(year, month - 1, 1)).getUTCDay();
  const dayOfMonth = 1 + ((weekday - first + 7) % 7) + (nth - 1) * 7;
  return dayText(Date.UTC(year, month - 1, dayOfMonth));
}

function lastMonday(year: number, month: number): string {
  const last = new Date(Date.UTC(year, month, 0));
  const back = (last.getUTCDay() - MONDAY + 7) % 7;
  return dayText(last.getTime() - back * DAY);
}

/** Two days before Easter, which is reckoned as the Gregorian church does (Meeus, *Astronomical Algorithms*, ch. 8). */
function goodFriday(year: number): string {
  const moonYear = year % 19;
  const century = Math.floor(year / 100);
  const inCentury = year % 100;
  const correction = Math.floor(
    (century - Math.floor((century + 8) / 25) + 1) / 3,
  );
  const epact =
    (19 * moonYear + century - Math.floor(century / 4) - correction + 15) % 30;
  const toSunday =
    (32 +
      2 * (century % 4) +
      2 * Math.floor(inCentury / 4) -
      epact -
      (inCentury % 4)) %
    7;
  const late = Math.floor((moonYear + 11 * epact + 22 * toSunday) / 451);
  const daysFromMarch22 = epact + toSunday - 7 * late;
  return dayText(Date.UTC(year, 2, 22 + daysFromMarch22 - 2));
}

/** Midnight UTC of a day; undefined unless it is a `YYYY-MM-DD` that exists. */
function dateOf(day: string): Date | undefined {
  const ms = Date.parse(`${day}T00:00:00Z`);
  // Date.parse also takes a bare year, and rolls 30 February over into March.
  return Number.isNaN(ms) || dayText(ms) !== day ? undefined : new Date(ms);
}

function dayText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/**
 * The venue's times, counted since the epoch in milliseconds, microseconds or
 * nanoseconds as the product likes, as RFC 3339 text with all their digits.
 */

let secondKnown = Number.NaN;
let secondText = "";

/**
 * `2026-09-17T14:31:02.104Z`; a whole second has no fraction. Nearly all messages
 * are of the same second, so that is spelt once.
 * @throws RangeError when no such instant exists
 */
export function timeOfMs(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== secondKnown) {
    secondText = new Date(second * 1000).toISOString().slice(0, -5);
    secondKnown = second;
  }
  const rest = ms - second * 1000;
  return rest === 0
    ? `${secondText}Z`
    : `${secondText}.${String(rest).padStart(3, "0")}Z`;
}

/** Digits behind the seconds, by the length of the whole: instants from 2001 on have ten digits of seconds. */
const FRACTION_DIGITS: Readonly<Record<number, number>> = {
  10: 0,
  13: 3,
  16: 6,
  19: 9,
};

/** An instant of whatever unit, by its magnitude; undefined for 0, which stands for "none yet", and for what is no instant. */
export function timeOfCount(digits: string): string | undefined {
  const fractionDigits = FRACTION_DIGITS[digits.length];
  if (fractionDigits === undefined || !/^[1-9]\d*$/.test(digits))
    return undefined;
  const seconds = Number(digits.slice(0, 10));
  const fraction = digits.slice(10).replace(/0+$/, "");
  const whole = new Date(seconds * 1000).toISOString().slice(0, -5);
  return fraction === "" ? `${whole}Z` : `${whole}.${fraction}Z`;
}

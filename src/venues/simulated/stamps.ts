/**
 * Time as the venue writes it: nanoseconds on the stream, microseconds by REST,
 * trailing zeros cut. In the books every instant has nine decimals, so that
 * texts sort as times do.
 */
import { nanosOf, newYorkStamp } from "../../../schema/instant.ts";

/** Nanoseconds since the epoch. */
export type Nanos = bigint;

const NANOS_PER_MS = 1_000_000n;
const NANOS_PER_SECOND = 1_000_000_000n;
const DAY = /^\d{4}-\d\d-\d\d$/;

export function nanosOfMs(ms: number): Nanos {
  const whole = Math.floor(ms);
  return BigInt(whole) * NANOS_PER_MS + BigInt(Math.floor((ms - whole) * 1e6));
}

export function msOfNanos(nanos: Nanos): number {
  return Number(nanos / NANOS_PER_MS);
}

/** Nine decimals, always: how the books keep it. */
export function sortableStamp(nanos: Nanos): string {
  // Before 1970 the rest is negative, and time goes on all the same.
  const rest =
    ((nanos % NANOS_PER_SECOND) + NANOS_PER_SECOND) % NANOS_PER_SECOND;
  const seconds = new Date(msOfNanos(nanos - rest)).toISOString().slice(0, 19);
  return `${seconds}.${String(rest).padStart(9, "0")}Z`;
}

/** A day (its first instant, UTC) or an instant with its zone as {@link sortableStamp} writes it; undefined when it is neither. */
export function sortable(text: string): string | undefined {
  const nanos = nanosOf(DAY.test(text) ? `${text}T00:00:00Z` : text);
  return nanos === undefined ? undefined : sortableStamp(nanos);
}

/** `2026-09-18T13:24:50.034105424Z`, trailing zeros cut. */
export function nanoText(nanos: Nanos): string {
  return cutZeros(sortableStamp(nanos));
}

/** Cut to microseconds: when the venue published something. */
export function publishedText(nanos: Nanos): string {
  return nanoText(nanos - (nanos % 1000n));
}

/** The nearest microsecond: how REST shows what the stream gave in nanoseconds. */
export function nearestMicros(nanos: Nanos): number {
  return Number((nanos + 500n) / 1000n);
}

/** `2026-10-08T15:10:18.097465Z`, trailing zeros cut. */
export function microText(nanos: Nanos): string {
  return nanoText(BigInt(nearestMicros(nanos)) * 1000n);
}

/** `2024-07-18T04:10:33.389-04:00`; `fraction` where it is finer than the milliseconds. */
export function newYorkText(ms: number, fraction = fractionOf(ms)): string {
  const parts = Object.fromEntries(
    NEW_YORK.formatToParts(ms).map(({ type, value }) => [type, value]),
  );
  const { year, month, day, hour, minute, second, timeZoneName } = parts;
  const offset = timeZoneName?.replace("GMT", "") ?? "Z";
  return `${year}-${month}-${day}T${hour}:${minute}:${second}${fraction}${offset}`;
}

/** Id of a fill: New York's clock to the millisecond, cut, and the uuid of the execution. */
export function fillId(nanos: Nanos, uuid: string): string {
  return `${newYorkStamp(nearestMicros(nanos))}::${uuid}`;
}

/** Id of any other activity: its UTC day and a uuid, without a time of day. */
export function bookingId(nanos: Nanos, uuid: string): string {
  const day = sortableStamp(nanos).slice(0, 10).replaceAll("-", "");
  return `${day}000000000::${uuid}`;
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A ULID: ten characters of milliseconds, sixteen that rise with `order` within one. */
export function ulid(ms: number, order: number): string {
  let time = "";
  for (let left = ms, length = 0; length < 10; length++) {
    time = CROCKFORD.charAt(left % 32) + time;
    left = Math.floor(left / 32);
  }
  let tail = "";
  for (let left = order, length = 0; length < 16; length++) {
    tail = CROCKFORD.charAt(left % 32) + tail;
    left = Math.floor(left / 32);
  }
  return time + tail;
}

function cutZeros(stamp: string): string {
  return stamp.replace(/\.?0+Z$/, "Z");
}

function fractionOf(ms: number): string {
  return ms % 1000 === 0 ? "" : `.${String(ms % 1000).padStart(3, "0")}`;
}

const NEW_YORK = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/New_York",
  hourCycle: "h23",
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "longOffset",
});

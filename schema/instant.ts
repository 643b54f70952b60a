/**
 * Instants of venues, which count nanoseconds on streams and microseconds by
 * REST. Stored times are the nearest microsecond, rounded by us.
 */

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(?:([Zz])|([+-])(\d\d):?(\d\d))$/;

/** Whole seconds since the epoch and the nanoseconds in them; undefined when no such instant exists. */
function parse(text: string): { seconds: number; nanos: number } | undefined {
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const [
    ,
    year,
    month,
    day,
    hour,
    minute,
    second,
    fraction = "",
    ,
    sign,
    zoneHour = "0",
    zoneMinute = "0",
  ] = match;
  const date = new Date(0);
  // Date.UTC would take the years before 100 for those of the last century.
  date.setUTCFullYear(+year!, +month! - 1, +day!);
  // It rolls 31 June over into July; a venue that says so is wrong, not early.
  if (
    date.getUTCMonth() !== +month! - 1 ||
    date.getUTCDate() !== +day! ||
    +hour! > 23 ||
    +minute! > 59 ||
    +second! > 59 ||
    +zoneHour > 23 ||
    +zoneMinute > 59
  ) {
    return undefined;
  }
  const clock = +hour! * 3600 + +minute! * 60 + +second!;
  const zone = (sign === "-" ? -60 : 60) * (+zoneHour * 60 + +zoneMinute);
  return {
    seconds: date.getTime() / 1000 + clock - zone,
    nanos: +fraction.padEnd(9, "0").slice(0, 9),
  };
}

/**
 * Microseconds since the Unix epoch, rounded to the nearest (half up); whole
 * seconds only outside the years 1685 to 2254, where a number does not hold more.
 * Undefined when the text is no RFC 3339 time with a zone, or names a day or
 * hour that does not exist.
 */
export function microsOf(text: string): number | undefined {
  const instant = parse(text);
  if (instant === undefined) return undefined;
  const wholeMicros = instant.seconds * 1e6;
  const micros = wholeMicros + Math.floor((instant.nanos + 500) / 1000);
  return Number.isSafeInteger(micros) ? micros : wholeMicros;
}

/** `2026-09-18T13:24:50.019303Z`: always six decimals, UTC. */
export function isoOfMicros(micros: number): string {
  const ms = Math.floor(micros / 1000);
  const rest = micros - ms * 1000;
  return `${new Date(ms).toISOString().slice(0, -1)}${String(rest).padStart(3, "0")}Z`;
}

/** What venues write nearly always: UTC, on a day that every month has. Cut behind the microseconds. */
const PLAIN =
  /^((?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,6})(\d{0,6}))?Z$/;

/**
 * An instant as it is stored: {@link isoOfMicros} of {@link microsOf}. A message
 * tells half a dozen of them, and most need no reckoning: a quarter of the time.
 */
export function storedTime(text: string): string | undefined {
  const [, seconds, fraction = "", beyond = ""] = PLAIN.exec(text) ?? [];
  const rounded = +fraction.padEnd(6, "0") + (beyond >= "5" ? 1 : 0);
  if (seconds !== undefined && rounded < 1_000_000)
    return `${seconds}.${String(rounded).padStart(6, "0")}Z`;
  const micros = microsOf(text);
  return micros === undefined ? undefined : isoOfMicros(micros);
}

/**
 * Nanoseconds since the epoch: tells which of two states of an order is the
 * later one when both fall in one microsecond.
 */
export function nanosOf(text: string): bigint | undefined {
  const instant = parse(text);
  return (
    instant && BigInt(instant.seconds) * 1_000_000_000n + BigInt(instant.nanos)
  );
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
});

const QUARTER_MS = 15 * 60 * 1000;
const OFFSETS_KEPT_MAX = 4096;
const offsets = new Map<number, number>();

/**
 * Milliseconds to add to UTC to get New York's clock. Zones change on quarter
 * hours only, so one look-up a quarter hour serves every frame in it.
 */
function newYorkOffsetMs(ms: number): number {
  const quarter = Math.floor(ms / QUARTER_MS);
  const known = offsets.get(quarter);
  if (known !== undefined) return known;
  const at = quarter * QUARTER_MS;
  const parts = Object.fromEntries(
    NEW_YORK.formatToParts(at).map(({ type, value }) => [type, +value]),
  );
  const local = Date.UTC(
    parts["year"]!,
    parts["month"]! - 1,
    parts["day"]!,
    parts["hour"]!,
    parts["minute"]!,
    parts["second"]!,
  );
  if (offsets.size >= OFFSETS_KEPT_MAX) offsets.clear();
  offsets.set(quarter, local - at);
  return local - at;
}

/** New York's wall clock as `2026-09-18T09:24:50.019Z`-shaped text; the `Z` is not meant. */
function newYorkText(ms: number): string {
  return new Date(ms + newYorkOffsetMs(ms)).toISOString();
}

/** `YYYYMMDDHHMMSSmmm` in New York, milliseconds cut. */
export function newYorkStamp(micros: number): string {
  return newYorkText(Math.floor(micros / 1000))
    .slice(0, 23)
    .replace(/[-T:.]/g, "");
}

/** `YYYY-MM-DD` in New York. */
export function newYorkDay(ms: number): string {
  return newYorkText(ms).slice(0, 10);
}

/**
 * The instant at which New York's clock shows `clockMs` after midnight of `day`
 * (`YYYY-MM-DD`). Of an hour that comes twice the first is meant.
 */
export function msOfNewYork(day: string, clockMs: number): number {
  const asUtc = Date.parse(`${day}T00:00:00Z`) + clockMs;
  // New York is four or five hours behind; the guess may fall on the other side of a change of clocks.
  const guess = asUtc - newYorkOffsetMs(asUtc);
  return asUtc - newYorkOffsetMs(guess);
}

/**
 * Rows of a day file: minutes of all symbols as comma separated text, read from
 * its bytes as they come. A file has millions of rows, of which a text each, and
 * eight more for its fields, would cost twice as much.
 */
import { msOfNewYork } from "../../../schema/instant.ts";
import type { AssetClass, Bar } from "../../../schema/market.ts";
import { DAY, MINUTE, SECOND } from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import { SOURCE } from "./aggregates.ts";
import { timeOfMs } from "./instants.ts";
import { numberOf } from "./numbers.ts";
import { symbolOfTicker } from "./symbols.ts";

/** What is longer is no row of this format. */
const LINE_BYTES_MAX = 4096;
/** A file with more rows that cannot be read is not one with damaged rows, but a damaged file. */
const MALFORMED_MAX = 10_000;

/** In whatever order the header names them; the last may be missing. */
const COLUMNS = [
  "ticker",
  "open",
  "high",
  "low",
  "close",
  "volume",
  "window_start",
  "transactions",
] as const;
type Column = (typeof COLUMNS)[number];

export interface RowsSettings {
  readonly assetClass: AssetClass;
  /** `YYYY-MM-DD`, in New York for stocks, in UTC for crypto. */
  readonly day: string;
  /** Absent: all. */
  readonly symbols?: ReadonlySet<string> | undefined;
  readonly receivedAtMs: number;
  readonly onMalformed: (row: {
    readonly raw: string;
    readonly reason: string;
  }) => void;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const COMMA = 0x2c;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const NO_BYTES = new Uint8Array();
const decoder = new TextDecoder();

/** What is known of a ticker: its symbol, or that it is not wanted or none at all. */
type Known = { readonly symbol: string } | "unwanted" | "unreadable";

export class FlatFileRows {
  readonly #settings: RowsSettings;
  /** Of the day, ms since the epoch, half open. */
  readonly #day: { readonly from: number; readonly to: number };
  /** By {@link COLUMNS}, where a row has it; undefined before the header. */
  #places: Readonly<Record<Column, number>> | undefined;
  #columns = 0;
  /** Begin of a row whose end has not come yet. */
  #rest: Uint8Array = NO_BYTES;
  #malformed = 0;
  /** Where the fields of the row begin, and one behind the last where the next would. */
  readonly #starts = new Int32Array(LINE_BYTES_MAX + 2);
  readonly #known = new Map<string, Known>();
  /** Rows of a ticker stand together: its bytes are compared before they are made a text. */
  #ticker: Uint8Array = NO_BYTES;
  #knownTicker: Known = "unreadable";
  readonly #times = new Map<number, string>();

  constructor(settings: RowsSettings) {
    this.#settings = settings;
    this.#day = dayRange(settings);
  }

  /**
   * Appends the bars of the rows that are complete with these bytes.
   * @throws VenueError when this is no such file
   */
  read(bytes: Uint8Array, bars: Bar[]): void {
    let from = 0;
    let end = bytes.indexOf(NEWLINE);
    if (this.#rest.length > 0 && end !== -1) {
      const row = joined(this.#rest, bytes.subarray(0, end));
      this.#rest = NO_BYTES;
      this.#readLine(row, 0, row.length, bars);
      from = end + 1;
      end = bytes.indexOf(NEWLINE, from);
    }
    for (; end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      this.#readLine(bytes, from, end, bars);
      from = end + 1;
    }
    if (from === bytes.length) return;
    this.#rest = joined(this.#rest, bytes.subarray(from));
    checkLength(this.#rest.length);
  }

  /** The file is over: its last row may have no end. @throws VenueError when this is no such file */
  end(bars: Bar[]): void {
    const row = this.#rest;
    this.#rest = NO_BYTES;
    if (row.length > 0) this.#readLine(row, 0, row.length, bars);
    if (this.#places === undefined) throw unreadable("it is empty");
  }

  #readLine(bytes: Uint8Array, from: number, end: number, bars: Bar[]): void {
    checkLength(end - from);
    const to = end > from && bytes[end - 1] === RETURN ? end - 1 : end;
    if (from === to) return;
    const places = this.#places;
    if (places === undefined)
      return this.#readHeader(decoder.decode(bytes.subarray(from, to)));
    const fields = this.#split(bytes, from, to);
    const known =
      fields > places.ticker
        ? this.#tickerAt(bytes, places.ticker)
        : "unreadable";
    if (known === "unwanted") return;
    if (fields !== this.#columns)
      return this.#setAside(bytes, from, to, `${fields} fields`);
    if (known === "unreadable")
      return this.#setAside(bytes, from, to, "no ticker");
    const bar = this.#readRow(bytes, places, known.symbol);
    if (typeof bar === "string") this.#setAside(bytes, from, to, bar);
    else bars.push(bar);
  }

  #readHeader(line: string): void {
    const names = line.split(",").map((name) => name.trim());
    const places = Object.fromEntries(
      COLUMNS.map((column) => [column, names.indexOf(column)]),
    ) as Record<Column, number>;
    const missing = COLUMNS.filter(
      (column) => places[column] === -1 && column !== "transactions",
    );
    if (missing.length > 0)
      throw unreadable(`its header lacks ${missing.join(", ")}`);
    this.#places = places;
    this.#columns = names.length;
  }

  /** Notes where fields begin; returns how many there are. */
  #split(bytes: Uint8Array, from: number, to: number): number {
    const starts = this.#starts;
    let fields = 0;
    starts[0] = from;
    for (let at = from; at < to; at++)
      if (bytes[at] === COMMA) starts[++fields] = at + 1;
    starts[++fields] = to + 1;
    return fields;
  }

  #tickerAt(bytes: Uint8Array, place: number): Known {
    const from = this.#starts[place]!;
    const length = this.#starts[place + 1]! - 1 - from;
    const before = this.#ticker;
    let same = before.length === length;
    for (let at = 0; same && at < length; at++)
      same = bytes[from + at] === before[at];
    if (same && length > 0) return this.#knownTicker;
    this.#ticker = bytes.slice(from, from + length);
    const text = decoder.decode(this.#ticker);
    let known = this.#known.get(text);
    if (known === undefined) this.#known.set(text, (known = this.#know(text)));
    return (this.#knownTicker = known);
  }

  #know(ticker: string): Known {
    const { assetClass, symbols } = this.#settings;
    const symbol = symbolOfTicker(ticker, assetClass);
    if (symbol === undefined) return "unreadable";
    return symbols?.has(symbol) === false ? "unwanted" : { symbol };
  }

  /** The bar of the row, or what is wrong with it. */
  #readRow(
    bytes: Uint8Array,
    places: Readonly<Record<Column, number>>,
    symbol: string,
  ): Bar | string {
    const open = this.#number(bytes, places.open);
    const high = this.#number(bytes, places.high);
    const low = this.#number(bytes, places.low);
    const close = this.#number(bytes, places.close);
    const volume = this.#number(bytes, places.volume);
    if (!(open > 0 && high > 0 && low > 0 && close > 0)) return "no price";
    if (!(volume >= 0)) return "no volume";
    const timestamp = this.#time(bytes, places.window_start);
    if (timestamp === undefined) return this.#timeProblem(bytes, places);
    const { receivedAtMs } = this.#settings;
    const trades = this.#trades(bytes, places.transactions);
    if (trades === undefined)
      return {
        kind: "bar",
        span: "history",
        symbol,
        open,
        high,
        low,
        close,
        volume,
        timestamp,
        source: SOURCE,
        receivedAtMs,
      };
    if (!(trades >= 0)) return "no number of transactions";
    return {
      kind: "bar",
      span: "history",
      symbol,
      open,
      high,
      low,
      close,
      volume,
      trades,
      timestamp,
      source: SOURCE,
      receivedAtMs,
    };
  }

  /** A decimal; NaN when it is none. */
  #number(bytes: Uint8Array, place: number): number {
    const from = this.#starts[place]!;
    const to = this.#starts[place + 1]! - 1;
    let digits = 0;
    let point = to;
    for (let at = from; at < to; at++) {
      const code = bytes[at]!;
      if (code >= ZERO && code <= NINE) digits = digits * 10 + code - ZERO;
      else if (code === POINT && point === to) point = at;
      else return slowNumber(bytes, from, to);
    }
    const fraction = Math.max(to - point - 1, 0);
    // Up to here both are exact, and so is then the rounding of their quotient.
    return to - from > DIGITS_EXACT || to - from - (point < to ? 1 : 0) === 0
      ? slowNumber(bytes, from, to)
      : digits / POWERS[fraction]!;
  }

  /** Empty where the source did not know it. */
  #trades(bytes: Uint8Array, place: number): number | undefined {
    if (place === -1) return undefined;
    const isEmpty = this.#starts[place]! === this.#starts[place + 1]! - 1;
    return isEmpty ? undefined : this.#number(bytes, place);
  }

  /** Start of a minute of this day, in nanoseconds: 19 digits are more than a number holds, so they are read in two halves. */
  #time(bytes: Uint8Array, place: number): string | undefined {
    const from = this.#starts[place]!;
    if (this.#starts[place + 1]! - 1 - from !== NANOSECOND_DIGITS)
      return undefined;
    let seconds = 0;
    let nanos = 0;
    for (let at = from; at < from + NANOSECOND_DIGITS; at++) {
      const digit = bytes[at]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) return undefined;
      if (at < from + SECOND_DIGITS) seconds = seconds * 10 + digit;
      else nanos = nanos * 10 + digit;
    }
    const ms = seconds * SECOND;
    if (nanos !== 0 || ms % MINUTE !== 0) return undefined;
    if (ms < this.#day.from || ms >= this.#day.to) return undefined;
    const known = this.#times.get(seconds);
    if (known !== undefined) return known;
    const time = timeOfMs(ms);
    this.#times.set(seconds, time);
    return time;
  }

  #timeProblem(
    bytes: Uint8Array,
    { window_start: place }: Readonly<Record<Column, number>>,
  ): string {
    const start = this.#starts[place]!;
    const text = decoder.decode(
      bytes.subarray(start, this.#starts[place + 1]! - 1),
    );
    return /^\d{10}000000000$/.test(text) && +text.slice(0, 10) % 60 === 0
      ? `not of ${this.#settings.day}`
      : `window_start is no minute: ${text}`;
  }

  #setAside(bytes: Uint8Array, from: number, to: number, reason: string): void {
    if (++this.#malformed > MALFORMED_MAX)
      throw unreadable(`more than ${MALFORMED_MAX} of its rows are damaged`);
    const raw = decoder.decode(bytes.subarray(from, to));
    this.#settings.onMalformed({ raw, reason });
  }
}

const DIGITS_EXACT = 15;
const POWERS = Array.from({ length: 20 }, (_, exponent) => 10 ** exponent);
const NANOSECOND_DIGITS = 19;
const SECOND_DIGITS = 10;

/** With an exponent, a sign or more digits than can be added up. */
function slowNumber(bytes: Uint8Array, from: number, to: number): number {
  return numberOf(decoder.decode(bytes.subarray(from, to))) ?? Number.NaN;
}

function dayRange({ assetClass, day }: RowsSettings): {
  from: number;
  to: number;
} {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  if (assetClass === "crypto") return { from: midnight, to: midnight + DAY };
  const nextDay = new Date(midnight + DAY).toISOString().slice(0, 10);
  return { from: msOfNewYork(day, 0), to: msOfNewYork(nextDay, 0) };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

function checkLength(bytes: number): void {
  if (bytes > LINE_BYTES_MAX) throw unreadable("it has no rows");
}

function unreadable(reason: string): VenueError {
  return new VenueError(`unreadable day file: ${reason}`, {
    failure: "rejected",
  });
}

/**
 * Recorded days as a tape: files of minute bars in the form of Polygon's flat
 * files (`ticker,volume,open,close,high,low,window_start,transactions`, gzip or
 * plain). Each bar becomes the few trades that give it again.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { MINUTE } from "../../../clock.ts";
import { ConfigError, describeError } from "../../../errors.ts";
import { isCrypto } from "../order.ts";
import {
  averagePrice,
  minuteOf,
  QUIET,
  type Tape,
  type TapeBar,
  type TapeMinute,
  type TapeTrade,
  tidy,
} from "./tape.ts";

export interface Recording extends Tape {
  /** The recording's time after so much of its playing: what lies between two sessions is left out. */
  timeAt(playedMs: number): number;
}

interface RecordedBar {
  readonly startMs: number;
  readonly open: number;
  readonly close: number;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
  /** Of some sources nobody knows. */
  readonly transactions: number | undefined;
}

/** The recorded minutes of one symbol. */
interface Track {
  readonly bars: ReadonlyMap<number, RecordedBar>;
  /** Ascending. */
  readonly minutes: readonly number[];
}

/** A silence longer than this is no part of a session. */
const SESSION_GAP_MS = 30 * MINUTE;
/** The session's last bar, and whatever follows it, still has its time. */
const AFTER_SESSION_MS = 2 * MINUTE;

/** Reads every `.csv` and `.csv.gz` below `directory`. @throws ConfigError when there is none, or one cannot be read */
export function readRecording(directory: string): Recording {
  const found = new Map<string, Map<number, RecordedBar>>();
  for (const path of filesBelow(directory))
    for (const { symbol, bar } of rowsOf(path)) {
      let bars = found.get(symbol);
      if (bars === undefined) found.set(symbol, (bars = new Map()));
      bars.set(bar.startMs, bar);
    }
  if (found.size === 0)
    throw new ConfigError([`--replay: ${directory} has no minute bars`]);
  const tracks = new Map(
    Array.from(found, ([symbol, bars]): [string, Track] => [
      symbol,
      { bars, minutes: [...bars.keys()].sort((a, b) => a - b) },
    ]),
  );
  const sessions = sessionsOf(tracks.values());
  const barAt = (symbol: string, minuteMs: number) =>
    tracks.get(symbol)?.bars.get(minuteMs);
  return {
    symbols: [...tracks.keys()],
    isHalted: () => false,
    timeAt: (playedMs) => timeIn(sessions, playedMs),
    *minutes(symbol, fromMs, toMs, order) {
      const { minutes = [] } = tracks.get(symbol) ?? {};
      const first = placeOf(minutes, minuteOf(fromMs));
      const end = placeOf(minutes, toMs + 1);
      for (let step = 0; step < end - first; step++) {
        const at = minutes[order === "asc" ? first + step : end - 1 - step];
        if (at !== undefined) yield at;
      }
    },
    minute(symbol, minuteMs) {
      const bar = barAt(symbol, minuteMs);
      return bar === undefined ? QUIET : minuteMade(symbol, bar);
    },
    bar(symbol, minuteMs) {
      const bar = barAt(symbol, minuteMs);
      return bar && tapeBar(symbol, bar);
    },
  };
}

function filesBelow(directory: string): string[] {
  try {
    if (statSync(directory).isFile()) return [directory];
    return readdirSync(directory, { recursive: true })
      .map((name) => join(directory, String(name)))
      .filter((path) => /\.csv(\.gz)?$/.test(path))
      .sort();
  } catch (error) {
    throw new ConfigError([
      `--replay: ${directory} cannot be read (${describeError(error)})`,
    ]);
  }
}

function* rowsOf(path: string) {
  const [head = "", ...lines] = textOf(path).split("\n");
  const columns = head.trim().split(",");
  const placeOfColumn = (name: string) => {
    const place = columns.indexOf(name);
    if (place < 0)
      throw new ConfigError([`--replay: ${path} has no column ${name}`]);
    return place;
  };
  const places = {
    ticker: placeOfColumn("ticker"),
    volume: placeOfColumn("volume"),
    open: placeOfColumn("open"),
    close: placeOfColumn("close"),
    high: placeOfColumn("high"),
    low: placeOfColumn("low"),
    start: placeOfColumn("window_start"),
    // Some sources leave it out.
    transactions: columns.indexOf("transactions"),
  };
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const cells = line.trim().split(",");
    const cell = (place: number) => cells[place] ?? "";
    const numberAt = (place: number) =>
      cell(place) === "" ? Number.NaN : Number(cell(place));
    const bar: RecordedBar = {
      // Nineteen digits of nanoseconds: no number holds them.
      startMs: /^\d+0{6}$/.test(cell(places.start))
        ? Number(cell(places.start).slice(0, -6))
        : Number.NaN,
      open: numberAt(places.open),
      close: numberAt(places.close),
      high: numberAt(places.high),
      low: numberAt(places.low),
      volume: numberAt(places.volume),
      transactions:
        cell(places.transactions) === ""
          ? undefined
          : numberAt(places.transactions),
    };
    const isWhole =
      cell(places.ticker) !== "" &&
      bar.startMs % MINUTE === 0 &&
      Object.values(bar).every(
        (value) => value === undefined || Number.isFinite(value),
      );
    if (!isWhole)
      throw new ConfigError([
        `--replay: ${path}, line ${index + 2} is no minute bar: ${line.trim()}`,
      ]);
    yield { symbol: symbolOf(cell(places.ticker)), bar };
  }
}

function textOf(path: string): string {
  try {
    const bytes = readFileSync(path);
    return new TextDecoder().decode(
      path.endsWith(".gz") ? Bun.gunzipSync(bytes) : bytes,
    );
  } catch (error) {
    throw new ConfigError([
      `--replay: ${path} cannot be read (${describeError(error)})`,
    ]);
  }
}

/** `X:BTC-USD` is `BTC/USD`. */
function symbolOf(ticker: string): string {
  return ticker.startsWith("X:") ? ticker.slice(2).replace("-", "/") : ticker;
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Spans of time in which some symbol has minutes, oldest first. */
function sessionsOf(tracks: Iterable<Track>): Span[] {
  const minutes = new Set<number>();
  for (const track of tracks)
    for (const minute of track.minutes) minutes.add(minute);
  const sessions: { fromMs: number; toMs: number }[] = [];
  for (const minute of [...minutes].sort((a, b) => a - b)) {
    const last = sessions.at(-1);
    const toMs = minute + MINUTE + AFTER_SESSION_MS;
    if (last !== undefined && minute - last.toMs <= SESSION_GAP_MS)
      last.toMs = toMs;
    else sessions.push({ fromMs: minute, toMs });
  }
  return sessions;
}

function timeIn(sessions: readonly Span[], playedMs: number): number {
  let leftMs = playedMs;
  for (const { fromMs, toMs } of sessions) {
    if (leftMs < toMs - fromMs) return fromMs + leftMs;
    leftMs -= toMs - fromMs;
  }
  // At its end it stays.
  return sessions.at(-1)?.toMs ?? 0;
}

/** How many of the sorted numbers are below `value`. */
function placeOf(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? Infinity) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** As it was recorded; of what flat files lack, what the trades that were made of it say. */
function tapeBar(symbol: string, bar: RecordedBar): TapeBar {
  const { trades } = minuteMade(symbol, bar);
  const value = trades.reduce((sum, { price, size }) => sum + price * size, 0);
  return {
    o: bar.open,
    h: bar.high,
    l: bar.low,
    c: bar.close,
    v: bar.volume,
    startMs: bar.startMs,
    n: bar.transactions ?? trades.length,
    vw: averagePrice(value, bar.volume),
  };
}

function minuteMade(symbol: string, bar: RecordedBar): TapeMinute {
  const prices = pricesOf(bar);
  const sizes = sizesOf(symbol, bar.volume, prices.length);
  const atMs = (index: number) =>
    bar.startMs + Math.floor((index * MINUTE) / prices.length);
  return {
    // A bar without volume had no trade.
    trades: prices.slice(0, sizes.length).map((price, index): TapeTrade => ({
      atMs: atMs(index),
      id: (bar.startMs / MINUTE) * 10 + index,
      price,
      size: sizes[index] ?? 0,
      reportedMs: atMs(index),
    })),
    quotes: prices.map((price, index) => ({
      atMs: atMs(index),
      bid: tidy(price * 0.9999),
      bidSize: 100,
      ask: tidy(price * 1.0001),
      askSize: 100,
    })),
  };
}

/** Parts of the volume that add up to it, in whole shares where there are enough of them. */
function sizesOf(symbol: string, volume: number, count: number): number[] {
  if (volume === 0) return [];
  const isWhole = !isCrypto(symbol) && volume >= count;
  const part = isWhole ? Math.floor(volume / count) : tidy(volume / count);
  return Array.from({ length: count }, (_, index) =>
    index === 0 ? tidy(volume - part * (count - 1)) : part,
  );
}

/** Opening, high, low and close, each once: a bar of one price is one trade. */
function pricesOf({ open, high, low, close }: RecordedBar): number[] {
  const between = [high, low].filter(
    (price) => price !== open && price !== close,
  );
  return open === close && between.length === 0
    ? [open]
    : [open, ...between, close];
}

/**
 * Recorded days as a tape: files of minute bars in the form of Polygon's flat
 * files (`ticker,volume,open,close,high,low,window_start,transactions`, gzip or
 * plain). Each bar becomes the few trades that give it again.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../../errors.ts";
import { MINUTE } from "../../../clock.ts";
import type { Tape, TapeMinute, TapeTrade } from "./tape.ts";
import { tidy } from "./tape.ts";

export interface Recording extends Tape {
  /** Start of the first and of the last minute, ms. */
  readonly firstMs: number;
  readonly lastMs: number;
}

interface RecordedBar {
  readonly open: number;
  readonly close: number;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
}

/** Reads every `.csv` and `.csv.gz` below `directory`. @throws ConfigError when there is none, or one cannot be read */
export function readRecording(directory: string): Recording {
  const bars = new Map<string, Map<number, RecordedBar>>();
  let firstMs = Number.POSITIVE_INFINITY;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const path of filesBelow(directory))
    for (const { ticker, startMs, bar } of rowsOf(path)) {
      const symbol = symbolOf(ticker);
      let minutes = bars.get(symbol);
      if (minutes === undefined) bars.set(symbol, (minutes = new Map()));
      minutes.set(startMs, bar);
      firstMs = Math.min(firstMs, startMs);
      lastMs = Math.max(lastMs, startMs);
    }
  if (bars.size === 0)
    throw new ConfigError([`--replay: ${directory} has no minute bars`]);
  return {
    symbols: [...bars.keys()],
    firstMs,
    lastMs,
    minute(symbol, minuteMs) {
      const bar = bars.get(symbol)?.get(minuteMs);
      return bar === undefined
        ? { trades: [], quotes: [] }
        : minuteOf(bar, minuteMs);
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
      `--replay: ${directory} cannot be read (${String(error)})`,
    ]);
  }
}

function* rowsOf(path: string) {
  const bytes = readFileSync(path);
  const text = new TextDecoder().decode(
    path.endsWith(".gz") ? Bun.gunzipSync(bytes) : bytes,
  );
  const [head = "", ...lines] = text.split("\n");
  const columns = head.trim().split(",");
  const at = (name: string) => {
    const index = columns.indexOf(name);
    if (index < 0) throw new ConfigError([`${path} has no column ${name}`]);
    return index;
  };
  const places = {
    ticker: at("ticker"),
    volume: at("volume"),
    open: at("open"),
    close: at("close"),
    high: at("high"),
    low: at("low"),
    start: at("window_start"),
  };
  for (const line of lines) {
    const cells = line.trim().split(",");
    const ticker = cells[places.ticker];
    if (ticker === undefined || ticker === "") continue;
    const number = (place: number) => Number(cells[place]);
    const bar = {
      open: number(places.open),
      close: number(places.close),
      high: number(places.high),
      low: number(places.low),
      volume: number(places.volume),
    };
    const startMs = Number(cells[places.start]?.slice(0, -6));
    if (![startMs, ...Object.values(bar)].every(Number.isFinite))
      throw new ConfigError([`${path}: a row cannot be read: ${line}`]);
    yield { ticker, startMs, bar };
  }
}

/** `X:BTC-USD` is `BTC/USD`. */
function symbolOf(ticker: string): string {
  return ticker.startsWith("X:") ? ticker.slice(2).replace("-", "/") : ticker;
}

/** Opening, high, low and close at the quarters of the minute; the volume in four parts that add up. */
function minuteOf(bar: RecordedBar, minuteMs: number): TapeMinute {
  const startNanos = BigInt(minuteMs) * 1_000_000n;
  const part = tidy(bar.volume / 4);
  const trades = [bar.open, bar.high, bar.low, bar.close].map(
    (price, index): TapeTrade => ({
      at: startNanos + BigInt(index) * 19_000_000_000n,
      atMs: minuteMs + index * 19_000,
      id: (minuteMs / MINUTE) * 10 + index,
      price,
      size: index === 3 ? tidy(bar.volume - 3 * part) : part,
      isLate: false,
    }),
  );
  const quotes = trades.map(({ at, atMs, price }) => ({
    at,
    atMs,
    bid: tidy(price * 0.9999),
    bidSize: 100,
    ask: tidy(price * 1.0001),
    askSize: 100,
  }));
  return { trades, quotes };
}

/**
 * Day files: the minutes of every symbol of a class on one day, on the scale of
 * that day's shares. Released on the next day, and replaced once where a first
 * edition is wanted that lacks something.
 * https://massive.com/docs/flat-files/quickstart
 */
import { msOfNewYork, newYorkDay } from "../../../../schema/instant.ts";
import { DAY, HOUR, MINUTE } from "../../../clock.ts";
import { sessionOn } from "../../calendar.ts";
import { type Chart, dayStart, type Extent } from "./chart.ts";
import { tickerOf } from "./tickers.ts";

const FOLDERS = {
  "us_stocks_sip/minute_aggs_v1": { isCrypto: false },
  "global_crypto/minute_aggs_v1": { isCrypto: true },
} as const;
type Folder = keyof typeof FOLDERS;

const RELEASED_MS = 11 * HOUR;
const HEADER = "ticker,volume,open,close,high,low,window_start,transactions";
/** Files in memory: two months of one folder. */
const KEPT_MAX = 64;
/** The first edition lacks every minute whose number this divides. */
const MISSING_EACH = 31;

export interface DayFile {
  readonly key: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
  readonly modifiedMs: number;
}

export class DayFileShelf {
  readonly #kept = new Map<string, DayFile>();

  constructor(
    readonly settings: {
      readonly chart: Chart;
      readonly now: () => number;
      /** Rows of each file that nobody can read, or that belong elsewhere. */
      readonly damagedRows: number;
      /** So long after its release a file is replaced by a whole one; absent: it is whole at once. */
      readonly revisedAfterMs: number | undefined;
    },
  ) {}

  /** Undefined for a day that is not released, or never will be, and for a name that is none. */
  find(key: string): DayFile | undefined {
    const named = readKey(key);
    if (named === undefined) return undefined;
    const modifiedMs = this.#modifiedMs(named.day);
    if (modifiedMs === undefined || !hasFile(this.settings.chart, named))
      return undefined;
    const name = `${key} ${modifiedMs}`;
    const kept = this.#kept.get(name);
    if (kept !== undefined) return kept;
    const file = this.#make(key, named, modifiedMs);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= KEPT_MAX && oldest !== undefined)
      this.#kept.delete(oldest);
    this.#kept.set(name, file);
    return file;
  }

  /** Names that begin with the prefix, behind another one, in order. */
  *keys(prefix: string, after: string): Generator<string> {
    const { chart, now } = this.settings;
    for (const folder of Object.keys(FOLDERS).sort() as Folder[]) {
      const common = Math.min(folder.length, prefix.length);
      if (folder.slice(0, common) !== prefix.slice(0, common)) continue;
      const { isCrypto } = FOLDERS[folder];
      const first = firstDayOf(chart, isCrypto);
      for (let ms = Date.parse(first); ms <= now(); ms += DAY) {
        const day = new Date(ms).toISOString().slice(0, 10);
        const key = keyOf(folder, day);
        if (!key.startsWith(prefix) || key <= after) continue;
        if (this.#modifiedMs(day) === undefined) continue;
        if (hasFile(chart, { isCrypto, day })) yield key;
      }
    }
  }

  /** Since when the file is what it is now; undefined before its release. */
  #modifiedMs(day: string): number | undefined {
    const { now, revisedAfterMs } = this.settings;
    const releasedMs = releaseOf(day);
    if (now() < releasedMs) return undefined;
    const revisedMs = releasedMs + (revisedAfterMs ?? 0);
    return revisedMs <= now() ? revisedMs : releasedMs;
  }

  #make(key: string, { isCrypto, day }: Named, modifiedMs: number): DayFile {
    const { revisedAfterMs = 0, damagedRows } = this.settings;
    const isWhole = modifiedMs === releaseOf(day) + revisedAfterMs;
    const lines = [HEADER];
    for (const symbol of this.settings.chart.symbols(isCrypto))
      for (const row of this.#rows(symbol, day, isWhole)) lines.push(row);
    for (let damaged = 0; damaged < damagedRows; damaged++)
      lines.splice(
        // Spread over the file, none above the header.
        1 +
          Math.floor(((damaged + 1) * (lines.length - 1)) / (damagedRows + 1)),
        0,
        DAMAGED[damaged % DAMAGED.length] ?? "",
      );
    const bytes = Bun.gzipSync(Buffer.from(`${lines.join("\n")}\n`));
    const md5 = new Bun.CryptoHasher("md5").update(bytes).digest("hex");
    return { key, bytes, etag: `"${md5}"`, modifiedMs };
  }

  *#rows(symbol: string, day: string, isWhole: boolean): Generator<string> {
    const { chart, now } = this.settings;
    const startMs = dayStart(symbol, day);
    const ticker = tickerOf(symbol, "files");
    const extent: Extent = {
      fromMs: startMs,
      toMs: endOf(symbol, day) - 1,
      order: "asc",
      nowMs: now(),
    };
    for (const bar of chart.minutes(symbol, extent)) {
      const isMissing = (bar.startMs / MINUTE) % MISSING_EACH === 0;
      if (isMissing && !isWhole) continue;
      const { v, o, c, h, l, n } = chart.scaled(symbol, bar, false, now());
      yield `${ticker},${v},${o},${c},${h},${l},${bar.startMs}000000,${n}`;
    }
  }
}

/** What was found in the venue's files: fields that are none, another day, no day at all. */
const DAMAGED = [
  "AAPL,12,1.5,1.5",
  "AAPL,100,1,1,1,1,-68400000000000,1",
  "AAPL,100,n/a,1,1,1,1565614800000000000,1",
  "AAPL,100,200.1,200.2,200.3,200,1565614800000000000,4",
];

interface Named {
  readonly isCrypto: boolean;
  readonly day: string;
}

function readKey(key: string): Named | undefined {
  const folder = (Object.keys(FOLDERS) as Folder[]).find((each) =>
    key.startsWith(`${each}/`),
  );
  const day = key.slice(-"YYYY-MM-DD.csv.gz".length, -".csv.gz".length);
  return folder !== undefined && key === keyOf(folder, day)
    ? { isCrypto: FOLDERS[folder].isCrypto, day }
    : undefined;
}

function keyOf(folder: Folder, day: string): string {
  const [year, month] = day.split("-");
  return `${folder}/${year}/${month}/${day}.csv.gz`;
}

/** 11:00 in New York on the day that follows. */
function releaseOf(day: string): number {
  const next = new Date(Date.parse(`${day}T00:00:00Z`) + DAY);
  return msOfNewYork(next.toISOString().slice(0, 10), RELEASED_MS);
}

/** Stocks: of sessions only; nothing before the first listing. */
function hasFile(chart: Chart, { isCrypto, day }: Named): boolean {
  if (day < firstDayOf(chart, isCrypto)) return false;
  return isCrypto
    ? !Number.isNaN(Date.parse(`${day}T00:00:00Z`))
    : sessionOn(day) !== undefined;
}

function firstDayOf(chart: Chart, isCrypto: boolean): string {
  return (
    chart
      .symbols(isCrypto)
      .map((symbol) => chart.firstDayOf(symbol))
      .sort()[0] ?? newYorkDay(Number.MAX_SAFE_INTEGER / 2)
  );
}

function endOf(symbol: string, day: string): number {
  const next = new Date(Date.parse(`${day}T00:00:00Z`) + DAY);
  return dayStart(symbol, next.toISOString().slice(0, 10));
}

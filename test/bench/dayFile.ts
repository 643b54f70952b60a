/**
 * Rows of a day file, unpacked, to bars: ours against a bare loop that splits the
 * same text into lines and fields.
 */
import type { Bar } from "../../schema/market.ts";
import { FlatFileRows } from "../../src/venues/polygon/flatFileRows.ts";
import { compare, type Round } from "./rounds.ts";

const DAY = "2025-04-16";
const SYMBOLS = 2000;
const MINUTES = 800;
const PIECE_BYTES = 64 * 1024;
const BATCH_LENGTH = 4000;

const pieces = piecesOf(dayText());

await compare({
  title: "day file",
  rounds: 5,
  ratioMin: 1,
  isWarmedUp: true,
  bare: () => timed(bareLoop),
  real: () => timed(ours),
});

async function timed(work: () => number): Promise<Round> {
  const startMs = performance.now();
  const rows = work();
  return { rows, ms: performance.now() - startMs };
}

function ours(): number {
  const rows = new FlatFileRows({
    assetClass: "stock",
    day: DAY,
    receivedAtMs: 0,
    onMalformed: ({ reason }) => {
      throw new Error(reason);
    },
  });
  let count = 0;
  let bars: Bar[] = [];
  for (const piece of pieces) {
    rows.read(piece, bars);
    if (bars.length < BATCH_LENGTH) continue;
    count += bars.length;
    bars = [];
  }
  rows.end(bars);
  return count + bars.length;
}

function bareLoop(): number {
  const decoder = new TextDecoder();
  let count = 0;
  let bars: object[] = [];
  let rest = "";
  for (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [symbol, volume, open, close, high, low, start = "", trades] =
        line.split(",");
      if (symbol === "ticker") continue;
      bars.push({
        symbol,
        open: Number(open),
        high: Number(high),
        low: Number(low),
        close: Number(close),
        volume: Number(volume),
        trades: Number(trades),
        timestamp: new Date(Number(start.slice(0, 13))).toISOString(),
      });
    }
    if (bars.length < BATCH_LENGTH) continue;
    count += bars.length;
    bars = [];
  }
  return count + bars.length;
}

function dayText(): string {
  const start = Date.parse(`${DAY}T08:00:00Z`) / 1000;
  const rows = [
    "ticker,volume,open,close,high,low,window_start,transactions\n",
  ];
  for (let symbol = 0; symbol < SYMBOLS; symbol++)
    for (let minute = 0; minute < MINUTES; minute++) {
      const price = 100 + ((symbol * 7919 + minute * 104_729) % 10_000) / 100;
      rows.push(
        `S${symbol},${100 + ((minute * 37 + symbol) % 9000)},${price},${(price + 0.05).toFixed(4)},${(price + 0.5).toFixed(2)},${(price - 0.5).toFixed(2)},${start + minute * 60}000000000,${1 + ((minute * symbol) % 300)}\n`,
      );
    }
  return rows.join("");
}

function piecesOf(text: string): Uint8Array[] {
  const bytes = new TextEncoder().encode(text);
  const count = Math.ceil(bytes.length / PIECE_BYTES);
  return Array.from({ length: count }, (_, index) =>
    bytes.slice(index * PIECE_BYTES, (index + 1) * PIECE_BYTES),
  );
}

/** Recorded days in the form of flat files: hand-built twins, and real ones where a folder of them lies beside the project. */
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const HEAD =
  "ticker,volume,open,close,high,low,window_start,transactions";

const START = Date.parse("2026-09-16T13:30:00Z");
const at = (minute: number) => `${START + minute * 60_000}000000`;

export const STOCK_DAY = `${HEAD}
AAPL,552,256,256.07,256.19,256,${at(0)},5
AAPL,250,256.17,256.17,256.17,256.17,${at(2)},1
SPY,2,660,660.5,661,659,${at(0)},
SPY,0,660,660,660,660,${at(1)},
`;

const CRYPTO_DAY = `${HEAD}
X:BTC-USD,0.12345678,94000.5,94000,94010,93990.25,${at(0)},3
`;

/** A folder of both, which `folders` has to remove. */
export function recordingOf(folders: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "feedkeeper-replay-"));
  folders.push(folder);
  mkdirSync(join(folder, "us_stocks_sip/2026/09"), { recursive: true });
  writeFileSync(join(folder, "us_stocks_sip/2026/09/16.csv"), STOCK_DAY);
  writeFileSync(join(folder, "crypto.csv.gz"), Bun.gzipSync(CRYPTO_DAY));
  writeFileSync(join(folder, "README.txt"), "no bars");
  return folder;
}

/** Rows of a flat file, by symbol, as REST shows them. */
export function rowsOf(text: string) {
  const rows = new Map<string, Record<string, unknown>[]>();
  for (const line of text.trim().split("\n").slice(1)) {
    const [ticker = "", v, o, c, h, l, start = ""] = line.split(",");
    const symbol = ticker.replace(/^X:(\w+)-/, "$1/");
    const list = rows.get(symbol) ?? [];
    rows.set(symbol, list);
    list.push({
      o: Number(o),
      h: Number(h),
      l: Number(l),
      c: Number(c),
      v: Number(v),
      t: new Date(Number(start.slice(0, -6)))
        .toISOString()
        .replace(".000Z", "Z"),
    });
  }
  return rows;
}

/** Paths of real days; empty where there is no folder of them. */
export function realDays(...paths: readonly string[]): string[] {
  const folder = join(
    import.meta.dir,
    "../../../../../shared/data/polygon/flatfiles",
  );
  return paths.map((path) => join(folder, path)).filter(existsSync);
}

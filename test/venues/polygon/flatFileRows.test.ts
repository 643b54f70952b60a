/** Rows of a day file, from bytes that are cut anywhere: every digit, every column order, and what is damaged. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import type { Bar } from "../../../schema/market.ts";
import {
  FlatFileRows,
  type RowsSettings,
} from "../../../src/venues/polygon/flatFileRows.ts";
import { failureOf } from "./server.ts";

const HEADER = "ticker,volume,open,close,high,low,window_start,transactions";
const DAY = "2025-04-16";
/** 09:30 in New York. */
const OPEN = "1744810200000000000";
const ROW = `AAPL,4930,200.29,200.5,200.63,200.29,${OPEN},129`;

/** What stands in a file that comes in pieces. */
function read(
  text: string,
  more: Partial<RowsSettings> = {},
  pieceLength = text.length,
) {
  const malformed: { raw: string; reason: string }[] = [];
  const bars: Bar[] = [];
  const rows = new FlatFileRows({
    assetClass: "stock",
    day: DAY,
    receivedAtMs: 1,
    onMalformed: (each) => malformed.push(each),
    ...more,
  });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += pieceLength)
    rows.read(bytes.slice(at, at + pieceLength), bars);
  rows.end(bars);
  return { bars, malformed };
}

const BAR: Bar = {
  kind: "bar",
  span: "history",
  symbol: "AAPL",
  open: 200.29,
  high: 200.63,
  low: 200.29,
  close: 200.5,
  volume: 4930,
  trades: 129,
  timestamp: "2025-04-16T13:30:00Z",
  source: "polygon",
  receivedAtMs: 1,
};
const { trades: _, ...BAR_WITHOUT_TRADES } = BAR;

describe("a row", () => {
  test.each<[string, string, Bar]>([
    ["in the usual order", `${HEADER}\n${ROW}\n`, BAR],
    ["without an end", `${HEADER}\n${ROW}`, BAR],
    ["with ends of another system", `${HEADER}\r\n${ROW}\r\n\r\n`, BAR],
    [
      "in another order, with a column that we do not know",
      `window_start,low,ticker,high,vwap,close,open,transactions,volume\n${OPEN},200.29,AAPL,200.63,200.4,200.5,200.29,129,4930\n`,
      BAR,
    ],
    [
      "without the number of transactions",
      `${HEADER}\n${ROW.replace(/129$/, "")}\n`,
      BAR_WITHOUT_TRADES,
    ],
    [
      "of a file without that column",
      `${HEADER.replace(",transactions", "")}\n${ROW.replace(",129", "")}\n`,
      BAR_WITHOUT_TRADES,
    ],
  ])("is a bar: %s", (_, text, bar) => {
    expect(read(text)).toEqual({ bars: [bar], malformed: [] });
  });

  test.each([
    ["1.029145e+06", 1_029_145],
    ["9099.618093", 9099.618093],
    ["1748755.0", 1_748_755],
    ["0", 0],
    ["0.00000001", 0.000_000_01],
    ["105008.84231068123456", 105_008.842_310_681_234_56],
    ["170.", 170],
    [".5", 0.5],
  ])("has a volume of %s", (text, volume) => {
    const { bars, malformed } = read(
      `${HEADER}\n${ROW.replace("4930", text)}\n`,
    );
    expect([bars.map((bar) => bar.volume), malformed]).toEqual([[volume], []]);
  });

  test("has its number as any other reader would read it", () => {
    const amount = fc.oneof(
      fc.double({ min: 1e-9, max: 1e15, noNaN: true }).map(String),
      fc.stringMatching(/^[0-9]{1,9}\.[0-9]{1,12}$/),
    );
    fc.assert(
      fc.property(amount, (text) => {
        const { bars } = read(`${HEADER}\n${ROW.replace("4930", text)}\n`);
        expect(bars.map(({ volume }) => volume)).toEqual([Number(text)]);
      }),
    );
  });

  test.each<[string, string, string]>([
    ["too few fields", "AAPL,4930,200.29", "3 fields"],
    ["too many fields", `${ROW},7`, "9 fields"],
    ["no fields", "<html>", "1 fields"],
    ["no ticker", ROW.replace("AAPL", ""), "no ticker"],
    ["a ticker that is none", ROW.replace("AAPL", "A<B"), "no ticker"],
    ["a price of 0", ROW.replace("200.63", "0"), "no price"],
    ["a negative price", ROW.replace("200.63", "-1"), "no price"],
    ["no price", ROW.replace("200.63", ""), "no price"],
    ["a price with two points", ROW.replace("200.63", "2.0.0"), "no price"],
    ["a point for a price", ROW.replace("200.63", "."), "no price"],
    ["a price in quotes", ROW.replace("200.63", '"200"'), "no price"],
    ["no volume", ROW.replace("4930", ""), "no volume"],
    ["words for a volume", ROW.replace("4930", "NaN"), "no volume"],
    [
      "words for transactions",
      ROW.replace(",129", ",many"),
      "no number of transactions",
    ],
    [
      "a time of 1969",
      ROW.replace(OPEN, "-68400000000000"),
      "window_start is no minute: -68400000000000",
    ],
    [
      "a time a nanosecond off",
      ROW.replace(OPEN, "1744810200000000001"),
      "window_start is no minute: 1744810200000000001",
    ],
    [
      "a time a second off",
      ROW.replace(OPEN, "1744810201000000000"),
      "window_start is no minute: 1744810201000000000",
    ],
    [
      "a time whose digits are lost",
      ROW.replace(OPEN, "1.7448102e+18"),
      "window_start is no minute: 1.7448102e+18",
    ],
    ["no time", ROW.replace(OPEN, ""), "window_start is no minute: "],
    [
      "another day",
      ROW.replace(OPEN, "1744723800000000000"),
      "not of 2025-04-16",
    ],
  ])(
    "with %s is set aside whole, its neighbours are good",
    (_, row, reason) => {
      expect(read([HEADER, ROW, row, ROW, ""].join("\n"))).toEqual({
        bars: [BAR, BAR],
        malformed: [{ raw: row, reason }],
      });
    },
  );

  test("reads the same however the file is cut", () => {
    const rows = [
      HEADER,
      ROW,
      ROW.replace("AAPL", "KIMpL"),
      "damaged",
      ROW.replace(OPEN, "1744810260000000000"),
      ROW.replace("AAPL", "A"),
    ];
    const text = rows.join("\r\n");
    const whole = read(text);
    expect(whole.bars.map(({ symbol }) => symbol)).toEqual([
      "AAPL",
      "KIMpL",
      "AAPL",
      "A",
    ]);
    for (let length = 1; length <= text.length; length++)
      expect(read(text, {}, length)).toEqual(whole);
  });
});

describe("the day", () => {
  const at = (time: string) => `${Date.parse(time)}000000`;
  test.each([
    // New York is four hours behind in summer, five in winter.
    ["stock", "2025-04-16", "2025-04-16T04:00:00Z", "2025-04-17T03:59:00Z"],
    ["stock", "2025-01-15", "2025-01-15T05:00:00Z", "2025-01-16T04:59:00Z"],
    ["stock", "2025-03-09", "2025-03-09T05:00:00Z", "2025-03-10T03:59:00Z"],
    ["stock", "2025-11-02", "2025-11-02T04:00:00Z", "2025-11-03T04:59:00Z"],
    ["crypto", "2025-03-09", "2025-03-09T00:00:00Z", "2025-03-09T23:59:00Z"],
  ] as const)(
    "of a %s file of %s is from %s to %s",
    (assetClass, day, first, last) => {
      const before = new Date(Date.parse(first) - 60_000).toISOString();
      const after = new Date(Date.parse(last) + 60_000).toISOString();
      const ticker = assetClass === "stock" ? "AAPL" : "X:BTC-USD";
      const rows = [before, first, last, after].map((time) =>
        ROW.replace("AAPL", ticker).replace(OPEN, at(time)),
      );
      const { bars, malformed } = read([HEADER, ...rows].join("\n"), {
        assetClass,
        day,
      });
      expect(bars.map(({ timestamp }) => timestamp)).toEqual([first, last]);
      expect(malformed).toEqual([
        { raw: rows[0] ?? "", reason: `not of ${day}` },
        { raw: rows[3] ?? "", reason: `not of ${day}` },
      ]);
    },
  );
});

describe("wanted symbols", () => {
  const text = [
    HEADER,
    ROW,
    ROW.replace("AAPL", "A"),
    "A,damaged",
    "AAPL,damaged",
    ",,",
    ROW.replace("AAPL", "KIMpL"),
    ROW,
  ].join("\n");

  test("are all that is read, and damage to others is not told", () => {
    const { bars, malformed } = read(text, {
      symbols: new Set(["AAPL", "KIMpL"]),
    });
    expect(bars.map(({ symbol }) => symbol)).toEqual(["AAPL", "KIMpL", "AAPL"]);
    expect(malformed.map(({ raw }) => raw)).toEqual(["AAPL,damaged", ",,"]);
  });

  test("of pairs are named as we name them", () => {
    const { bars } = read(
      `${HEADER}\n${ROW.replace("AAPL", "X:BTC-USD")}\n${ROW.replace("AAPL", "X:ETH-USD")}`,
      { assetClass: "crypto", symbols: new Set(["ETH/USD"]) },
    );
    expect(bars.map(({ symbol }) => symbol)).toEqual(["ETH/USD"]);
  });
});

describe("no day file", () => {
  const tooMany = `${HEADER}\n${"damaged\n".repeat(10_001)}`;
  test.each([
    ["is empty", "", "it is empty"],
    [
      "has another header",
      `a,b,c\n${ROW}`,
      "its header lacks ticker, open, high, low, close, volume, window_start",
    ],
    [
      "lacks a column",
      `${HEADER.replace("low", "bottom")}\n`,
      "its header lacks low",
    ],
    ["is a page of HTML", `<html>${" ".repeat(5000)}`, "it has no rows"],
    [
      "has rows without an end",
      `${HEADER}\n${"x".repeat(5000)}`,
      "it has no rows",
    ],
    ["is damaged all over", tooMany, "more than 10000 of its rows are damaged"],
  ])("is read: one that %s", async (_, text, reason) => {
    for (const length of [text.length || 1, 1000])
      expect(
        await failureOf(Promise.try(() => read(text, {}, length))),
      ).toEqual({
        failure: "rejected",
        message: `unreadable day file: ${reason}`,
      });
  });
});

const FILES = join(
  import.meta.dir,
  "../../../../shared/data/polygon/flatfiles",
);

test.each(
  (
    [
      ["stock", "2019-02-12", "us_stocks_sip", 8213, 0],
      ["stock", "2024-03-26", "us_stocks_sip", 795, 795],
      ["crypto", "2018-04-05", "global_crypto", 2880, 0],
    ] as const
  ).filter(([, day, folder]) => existsSync(pathOf(folder, day))),
)(
  "a recorded %s file of %s is read whole",
  (assetClass, day, folder, rows, withTrades) => {
    const text = gunzipSync(readFileSync(pathOf(folder, day))).toString();
    const { bars, malformed } = read(text, { assetClass, day }, 10_007);
    expect(malformed).toEqual([]);
    expect(bars).toHaveLength(rows);
    expect(bars.filter(({ trades }) => trades !== undefined)).toHaveLength(
      withTrades,
    );
    // Line by line as text, the slow way.
    const lines = text.trimEnd().split("\n").slice(1);
    expect(bars).toEqual(lines.map((line) => barOf(line, assetClass)));
  },
);

function pathOf(folder: string, day: string): string {
  const [year = "", month = ""] = day.split("-");
  return join(FILES, folder, "minute_aggs_v1", year, month, `${day}.csv.gz`);
}

function barOf(line: string, assetClass: RowsSettings["assetClass"]): Bar {
  const [ticker = "", volume, open, close, high, low, start = "", trades] =
    line.split(",");
  return {
    ...BAR_WITHOUT_TRADES,
    symbol: assetClass === "stock" ? ticker : ticker.slice(2).replace("-", "/"),
    open: Number(open),
    high: Number(high),
    low: Number(low),
    close: Number(close),
    volume: Number(volume),
    ...(trades ? { trades: Number(trades) } : {}),
    timestamp: new Date(Number(start.slice(0, 13)))
      .toISOString()
      .replace(".000", ""),
  };
}

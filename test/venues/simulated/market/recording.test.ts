import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { MINUTE } from "../../../../src/clock.ts";
import { ConfigError } from "../../../../src/errors.ts";
import { readRecording } from "../../../../src/venues/simulated/market/recording.ts";
import { barOf } from "../../../../src/venues/simulated/market/tape.ts";
import { HEAD, recordingOf, STOCK_DAY } from "./recorded.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function folderOf(files: Readonly<Record<string, string | Uint8Array>>) {
  const folder = mkdtempSync(join(tmpdir(), "feedkeeper-replay-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

const START = Date.parse("2026-09-16T13:30:00Z");

describe("a recording", () => {
  test("is read from files plain and packed, in folders within folders, and gives each bar as it was recorded", () => {
    const recording = readRecording(recordingOf(folders));
    expect(recording.symbols).toEqual(["BTC/USD", "AAPL", "SPY"]);
    const bars = recording.symbols.flatMap((symbol) =>
      [...recording.minutes(symbol, 0, START * 2, "asc")].map((ms) => [
        symbol,
        recording.bar(symbol, ms, "prompt"),
      ]),
    );
    expect(bars).toEqual([
      [
        "BTC/USD",
        {
          o: 94_000.5,
          h: 94_010,
          l: 93_990.25,
          c: 94_000,
          v: 0.12345678,
          startMs: START,
          n: 3,
          vw: expect.closeTo(94_000, -1),
        },
      ],
      [
        "AAPL",
        {
          o: 256,
          h: 256.19,
          l: 256,
          c: 256.07,
          v: 552,
          startMs: START,
          n: 5,
          vw: expect.closeTo(256.09, 1),
        },
      ],
      [
        "AAPL",
        {
          o: 256.17,
          h: 256.17,
          l: 256.17,
          c: 256.17,
          v: 250,
          startMs: START + 2 * MINUTE,
          n: 1,
          vw: 256.17,
        },
      ],
      [
        "SPY",
        {
          o: 660,
          h: 661,
          l: 659,
          c: 660.5,
          v: 2,
          startMs: START,
          n: 4,
          vw: expect.closeTo(660.1, 0),
        },
      ],
      [
        "SPY",
        {
          o: 660,
          h: 660,
          l: 660,
          c: 660,
          v: 0,
          startMs: START + MINUTE,
          n: 0,
          vw: 0,
        },
      ],
    ]);
  });

  test("becomes trades that give each bar again, in whole shares where there are enough", () => {
    const recording = readRecording(recordingOf(folders));
    for (const symbol of recording.symbols)
      for (const ms of recording.minutes(symbol, 0, START * 2, "asc")) {
        const bar = recording.bar(symbol, ms, "whole");
        const minute = recording.minute(symbol, ms);
        for (const { atMs } of minute.trades)
          expect(atMs >= ms && atMs < ms + MINUTE).toBe(true);
        const again = barOf(symbol, ms, minute, "prompt");
        if (bar?.v === 0) expect(minute.trades).toEqual([]);
        else expect(again).toEqual({ ...bar!, n: minute.trades.length });
      }
    const sizes = (symbol: string) =>
      recording.minute(symbol, START).trades.map(({ size }) => size);
    expect(sizes("AAPL")).toEqual([184, 184, 184]);
    expect(sizes("SPY")).toEqual([0.5, 0.5, 0.5, 0.5]);
  });

  test("has no minute that was not recorded, forwards and backwards", () => {
    const recording = readRecording(recordingOf(folders));
    const minutes = (from: number, to: number, order: "asc" | "desc") =>
      Array.from(
        recording.minutes("AAPL", START + from, START + to, order),
        (ms) => (ms - START) / MINUTE,
      );
    expect(minutes(0, 5 * MINUTE, "asc")).toEqual([0, 2]);
    expect(minutes(0, 5 * MINUTE, "desc")).toEqual([2, 0]);
    expect(minutes(30_000, 2 * MINUTE - 1, "asc")).toEqual([0]);
    expect(minutes(MINUTE, 2 * MINUTE, "asc")).toEqual([2]);
    expect([...recording.minutes("MSFT", 0, START * 2, "asc")]).toEqual([]);
    expect(recording.bar("AAPL", START + MINUTE, "whole")).toBeUndefined();
    expect(recording.minute("AAPL", START + MINUTE)).toEqual({
      trades: [],
      quotes: [],
    });
  });

  test("leaves out what lies between its sessions, and stays at its end", () => {
    const day = 24 * 60 * MINUTE;
    const row = (ms: number) => `A,100,1,1,1,1,${ms}000000,1`;
    const recording = readRecording(
      folderOf({
        "one.csv": [HEAD, row(START), row(START + 20 * MINUTE)].join("\n"),
        "two.csv": [HEAD, row(START + 3 * day)].join("\n"),
      }),
    );
    const at = (played: number) =>
      (recording.timeAt(played * MINUTE) - START) / MINUTE;
    expect([0, 10, 22.9, 23, 25, 26, 1_000].map(at)).toEqual([
      0, 10, 22.9, 4320, 4322, 4323, 4323,
    ]);
  });

  test("takes of two rows for one minute the later one", () => {
    const recording = readRecording(
      folderOf({
        "a.csv": `${HEAD}\nA,1,1,1,1,1,${START}000000,1\n`,
        "b.csv": `${HEAD}\nA,2,3,3,3,3,${START}000000,1\n`,
      }),
    );
    expect(recording.bar("A", START, "whole")).toMatchObject({ o: 3, v: 2 });
  });

  test("may lack the number of transactions, and be one file", () => {
    const folder = folderOf({
      "a.csv": `ticker,volume,open,close,high,low,window_start\r\nA,4,1,2,3,0.5,${START}000000\r\n`,
    });
    const recording = readRecording(join(folder, "a.csv"));
    expect(recording.bar("A", START, "whole")).toMatchObject({ c: 2, n: 4 });
  });

  test.each<[string, Readonly<Record<string, string | Uint8Array>>, RegExp]>([
    ["of nothing", {}, /has no minute bars/],
    ["without a row", { "a.csv": HEAD }, /has no minute bars/],
    [
      "without a column",
      { "a.csv": "ticker,open\nA,1" },
      /a\.csv has no column volume/,
    ],
    ["that is no gzip", { "a.csv.gz": "plain" }, /a\.csv\.gz cannot be read/],
    [
      "cut short",
      { "a.csv.gz": Bun.gzipSync(STOCK_DAY).slice(0, 60) },
      /a\.csv\.gz cannot be read/,
    ],
    ...[
      ["an empty price", "A,1,,1,1,1,0,1"],
      ["a price that is no number", "A,1,x,1,1,1,0,1"],
      ["no time", "A,1,1,1,1,1,,1"],
      ["a time of no minute", `A,1,1,1,1,1,${START + 1000}000000,1`],
      ["a time in milliseconds", `A,1,1,1,1,1,${START + 1},1`],
      ["no ticker", ",1,1,1,1,1,0,1"],
      ["its end missing", "A,1,1"],
    ].map(([what, row]): [string, Record<string, string>, RegExp] => [
      `with a row that has ${what}`,
      { "a.csv": `${STOCK_DAY}${row}\n` },
      /a\.csv, line \d+ is no minute bar/,
    ]),
  ])("%s is refused with the reason", (_, files, reason) => {
    const read = () => readRecording(folderOf(files));
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(reason);
  });

  test("that is not there is refused", () => {
    expect(() => readRecording("/nowhere")).toThrow(
      /--replay: \/nowhere cannot be read/,
    );
  });
});

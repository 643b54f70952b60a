/** Snapshots of one symbol, of some and of all: digit by digit, and with the zeros of the early morning. */
import { describe, expect, test } from "bun:test";
import { validateSnapshot } from "../../../src/registry/snapshot.ts";
import {
  newestMinuteOf,
  snapshotOf,
  snapshotsOf,
} from "../../../src/venues/polygon/snapshots.ts";
import { recorded } from "../../support/recorded.ts";
import { BACKFILL } from "./options.ts";
import { failureOf, openVenue, refusal } from "./server.ts";

/** Built after a recorded one: same members, order and precision, other values. */
const MSFT = `{"ticker":"MSFT","todaysChange":-3.65,"todaysChangePerc":-2.231,"updated":1651251948294080343,"day":{"o":261.84,"h":266.2,"l":259.8,"c":260.315,"v":6.8840127e+07,"vw":262.7124,"dv":"68840127.0"},"lastQuote":{"P":259.99,"S":5,"p":259.98,"s":3,"t":1651251948407646487},"lastTrade":{"c":null,"i":"121351","p":259.99,"s":200,"t":1651251948294080343,"x":12},"min":{"av":1.012021e+06,"t":1684428600000,"n":5,"o":260.71,"h":260.71,"l":260.3,"c":260.3,"v":197226,"vw":260.5259},"prevDay":{"o":259.25,"h":264.515,"l":258.93,"c":263.64,"v":130149192,"vw":261.8622}}`;
const ONE = `{"request_id":"957d","status":"OK","ticker":${MSFT}}`;

/** Between 03:30 and the first trade. */
const WIPED =
  '{"status":"OK","ticker":{"ticker":"MSFT","todaysChange":0,"todaysChangePerc":0,"updated":0,"day":{"o":0,"h":0,"l":0,"c":0,"v":0,"vw":0},"min":{"av":0,"t":0,"n":0,"o":0,"h":0,"l":0,"c":0,"v":0,"vw":0},"prevDay":{"o":259.25,"h":264.515,"l":258.93,"c":263.64,"v":130149192,"vw":261.8622}}}';
const PAIR =
  '{"ticker":"X:LTCUSD","todaysChange":0.01,"updated":1605330008999,"day":{"o":84,"h":85,"l":83,"c":84.5,"v":105008.84231068,"vw":0},"lastTrade":{"c":[2],"i":413131,"p":84.5,"s":0.001933,"t":1605294230780,"x":4},"min":{"t":1684428960000,"o":84.4,"h":84.5,"l":84.4,"c":84.5,"v":19.30791925,"vw":0,"n":558},"prevDay":{"o":84,"h":84,"l":84,"c":84,"v":0.9,"vw":84}}';

describe("a snapshot of one symbol", () => {
  test.each([
    ["MSFT", "/v2/snapshot/locale/us/markets/stocks/tickers/MSFT"],
    ["BRK.B", "/v2/snapshot/locale/us/markets/stocks/tickers/BRK.B"],
    ["KIMpL", "/v2/snapshot/locale/us/markets/stocks/tickers/KIMpL"],
    ["LTC/USD", "/v2/snapshot/locale/global/markets/crypto/tickers/X:LTCUSD"],
  ])("%s is asked for at %s", async (symbol, path) => {
    const { rest, asked } = openVenue(() => ONE);
    await snapshotOf(rest, symbol, BACKFILL);
    expect(asked).toEqual([path]);
  });

  test("keeps its text, and the nanoseconds that a number would round", async () => {
    const { rest } = openVenue(() => ONE);
    const { raw, value } = await snapshotOf(rest, "MSFT", BACKFILL);
    expect(raw).toBe(ONE);
    expect(value).toEqual({
      ...JSON.parse(ONE),
      ticker: {
        ...JSON.parse(MSFT),
        updated: "1651251948294080343",
        lastQuote: { ...JSON.parse(MSFT).lastQuote, t: "1651251948407646487" },
        lastTrade: { ...JSON.parse(MSFT).lastTrade, t: "1651251948294080343" },
      },
    });
  });

  test("of a symbol that the venue does not know is absent", async () => {
    const { rest } = openVenue(() =>
      refusal(404, { status: "NOT_FOUND", message: "Ticker not found." }),
    );
    expect(await failureOf(snapshotOf(rest, "NONE", BACKFILL))).toEqual({
      failure: "absent",
      message:
        "404 from /v2/snapshot/locale/us/markets/stocks/tickers/NONE: Ticker not found.",
    });
  });
});

describe("the newest minute", () => {
  const ticker = (members: string) =>
    `{"status":"OK","ticker":{"ticker":"MSFT",${members}}}`;
  test.each([
    ["is told by its start", ONE, "2023-05-18T16:50:00Z"],
    ["has no value yet", WIPED, undefined],
    ["is missing where there was no trade", ticker('"min":{}'), undefined],
    ["is missing with its bar", ticker('"min":null'), undefined],
    ["is missing altogether", ticker('"day":{"o":1}'), undefined],
    ["is missing with the ticker", '{"status":"OK"}', undefined],
  ])("%s", async (_, text, expected) => {
    const { rest } = openVenue(() => text);
    const snapshot = await snapshotOf(rest, "MSFT", BACKFILL);
    expect(newestMinuteOf(snapshot)).toBe(expected as never);
  });

  test("without a value leaves the day before to whoever wants one", async () => {
    const { rest } = openVenue(() => WIPED);
    const snapshot = await snapshotOf(rest, "MSFT", BACKFILL);
    expect(validateSnapshot(snapshot)).toEqual({
      isValid: true,
      of: "prevDay",
      values: {
        open: 259.25,
        high: 264.515,
        low: 258.93,
        close: 263.64,
        volume: 130_149_192,
      },
    });
  });
});

describe("snapshots of many symbols", () => {
  const all = (...tickers: string[]) =>
    `{"count":${tickers.length},"status":"OK","tickers":[${tickers.join(", ")}]}`;

  test("are asked for in one list, each is like a single one, and the unknown are missing", async () => {
    const { rest, asked } = openVenue(() => all(MSFT));
    const found = await snapshotsOf(
      rest,
      "stock",
      ["MSFT", "NONE", "MSFT"],
      BACKFILL,
    );
    expect(asked).toEqual([
      "/v2/snapshot/locale/us/markets/stocks/tickers?tickers=MSFT,NONE",
    ]);
    expect([...found.keys()]).toEqual(["MSFT"]);
    const { raw, value } = found.get("MSFT") ?? {};
    expect(raw).toBe(MSFT);
    expect(value).toMatchObject({
      ticker: { ticker: "MSFT", updated: "1651251948294080343" },
    });
  });

  test("of the whole market name no symbol", async () => {
    const rows = Array.from({ length: 12_000 }, (_, number) =>
      MSFT.replace("MSFT", `S${number}`),
    );
    const { rest, asked } = openVenue(() => all(...rows));
    const found = await snapshotsOf(rest, "stock", undefined, BACKFILL);
    expect(asked).toEqual(["/v2/snapshot/locale/us/markets/stocks/tickers"]);
    expect(found.size).toBe(12_000);
  });

  test("of pairs come under our names", async () => {
    const { rest, asked } = openVenue(() => all(PAIR, '{"ticker":"X:?"}'));
    const found = await snapshotsOf(rest, "crypto", ["LTC/USD"], BACKFILL);
    expect(asked).toEqual([
      "/v2/snapshot/locale/global/markets/crypto/tickers?tickers=X:LTCUSD",
    ]);
    expect([...found].map(([symbol, each]) => [symbol, each.raw])).toEqual([
      ["LTC/USD", PAIR],
    ]);
  });

  test("are asked for in as many addresses as they need, each symbol in one", async () => {
    const symbols = Array.from({ length: 3000 }, (_, number) => `S${number}`);
    const { rest, asked } = openVenue(() => all());
    await snapshotsOf(rest, "stock", symbols, BACKFILL);
    expect(asked.map((path) => path.length < 8000)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(
      asked.flatMap((path) => path.split("tickers=")[1]?.split(",") ?? []),
    ).toEqual(symbols);
  });

  test.each([
    ["nothing is asked for no symbol", [], '{"status":"OK"}', 0],
    ["a market without rows has none", ["A"], '{"status":"OK"}', 1],
    ["a market of null has none", ["A"], '{"status":"OK","tickers":null}', 1],
  ])("%s", async (_, symbols, text, requests) => {
    const { rest, asked } = openVenue(() => text);
    expect(await snapshotsOf(rest, "stock", symbols, BACKFILL)).toEqual(
      new Map(),
    );
    expect(asked).toHaveLength(requests);
  });

  test("that are no list are an error", async () => {
    const { rest } = openVenue(() => '{"status":"OK","tickers":{}}');
    expect(
      await failureOf(snapshotsOf(rest, "stock", ["A"], BACKFILL)),
    ).toEqual({
      failure: "rejected",
      message:
        "tickers of /v2/snapshot/locale/us/markets/stocks/tickers are no list",
    });
  });
});

const MOCKS = "polygon/rest/client-python_mocks/v2/snapshot/locale";
const EXAMPLES = "polygon/rest/spec_examples/v2__snapshot__locale__";

test.each(
  [
    [
      `${MOCKS}/us/markets/stocks/tickers/AAPL.json`,
      "AAPL",
      "1651251948294080343",
      "2023-05-18T16:50:00Z",
    ],
    [
      `${EXAMPLES}us__markets__stocks__tickers__stocksTicker.json`,
      "AAPL",
      "1605195918306274000",
      "2023-05-18T16:52:00Z",
    ],
    [
      `${EXAMPLES}global__markets__crypto__tickers__ticker.json`,
      "BTC/USD",
      1_605_330_008_999,
      "2023-05-18T16:56:00Z",
    ],
  ]
    .flatMap(([path, symbol, updated, minute]) => {
      const text = recorded(String(path));
      return text === undefined
        ? []
        : [[symbol, text, updated, minute] as const];
    })
    .concat([["MSFT", ONE, "1651251948294080343", "2023-05-18T16:50:00Z"]]),
)("of %s one as it was sent is read", async (symbol, text, updated, minute) => {
  const { rest } = openVenue(() => String(text));
  const snapshot = await snapshotOf(rest, String(symbol), BACKFILL);
  expect(snapshot.raw).toBe(String(text));
  expect(snapshot.value).toMatchObject({ ticker: { updated } });
  expect(newestMinuteOf(snapshot)).toBe(String(minute));
  expect(validateSnapshot(snapshot)).toMatchObject({
    isValid: true,
    of: "min",
  });
});

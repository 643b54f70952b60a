import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { DAY, HOUR, MINUTE } from "../../src/clock.ts";
import {
  fillGaps,
  fillSymbol,
  findGaps,
  listGaps,
} from "../../src/registry/gaps.ts";
import { upsertBars } from "../../src/stores/postgres/bars.ts";
import { noteSplits } from "../../src/stores/postgres/historyRead.ts";
import { setStatus } from "../../src/stores/postgres/registry.ts";
import {
  minutesBetween,
  NOON,
  openStage,
  shortTime,
  type Stage,
} from "./stage.ts";

let stage: Stage;
beforeAll(async () => void (stage = await openStage()));
beforeEach(() => stage.clear());
afterAll(() => stage[Symbol.asyncDispose]());

const signal = new AbortController().signal;

async function store(
  symbol: string,
  minutes: readonly number[],
): Promise<void> {
  await upsertBars(
    stage.fresh.sql,
    minutes.map((at) => stage.venue.bar(symbol, at)),
  );
}

/** Stored minutes as ranges, found with everything that follows them known. */
const range = (from: string, to: string) => ({
  from: new Date(from),
  to: new Date(to),
});

const found = async (
  symbols: readonly string[],
  from: string,
  to: string,
  nowMs = Date.parse(to) + DAY,
) =>
  (await findGaps(stage.database, symbols, range(from, to), nowMs)).map(
    (gap) => `${gap.symbol} ${shortTime(gap.from)} – ${shortTime(gap.to)}`,
  );

describe("minutes are expected", () => {
  const cases: [
    title: string,
    symbol: string,
    stored: readonly number[],
    from: string,
    to: string,
    gaps: string[],
  ][] = [
    [
      "from the opening to the close of the session, not before, not behind it",
      "AAPL",
      [
        Date.parse("2026-09-17T19:59Z"),
        ...minutesBetween("2026-09-18T13:31Z", "2026-09-18T19:59Z"),
        Date.parse("2026-09-18T21:00Z"),
      ],
      "2026-09-18",
      "2026-09-19",
      [
        "AAPL 2026-09-18T13:30 – 2026-09-18T13:31",
        "AAPL 2026-09-18T19:59 – 2026-09-18T20:00",
      ],
    ],
    [
      "of each session, over a weekend and a holiday (Labor Day)",
      "AAPL",
      [Date.parse("2026-09-04T19:59Z"), Date.parse("2026-09-08T13:30Z")],
      "2026-09-04",
      "2026-09-08T13:33Z",
      ["AAPL 2026-09-08T13:31 – 2026-09-08T13:33"],
    ],
    [
      "to 13:00 on half days (the Friday after Thanksgiving)",
      "AAPL",
      minutesBetween("2026-11-27T14:30Z", "2026-11-27T17:58Z"),
      "2026-11-27",
      "2026-11-28",
      ["AAPL 2026-11-27T17:58 – 2026-11-27T18:00"],
    ],
    [
      "an hour later by UTC in winter time: the weeks of the change",
      "AAPL",
      [
        ...minutesBetween("2026-10-30T13:30Z", "2026-10-30T20:00Z"),
        ...minutesBetween("2026-11-02T14:31Z", "2026-11-02T21:00Z"),
      ],
      "2026-10-30",
      "2026-11-03",
      ["AAPL 2026-11-02T14:30 – 2026-11-02T14:31"],
    ],
    [
      "an hour earlier again in spring",
      "AAPL",
      [
        ...minutesBetween("2026-03-06T14:30Z", "2026-03-06T21:00Z"),
        ...minutesBetween("2026-03-09T13:31Z", "2026-03-09T20:00Z"),
      ],
      "2026-03-06",
      "2026-03-10",
      ["AAPL 2026-03-09T13:30 – 2026-03-09T13:31"],
    ],
    [
      "around the clock of crypto, weekends too",
      "BTC/USD",
      [
        ...minutesBetween("2026-09-19T23:58Z", "2026-09-20T00:01Z"),
        Date.parse("2026-09-20T00:03Z"),
      ],
      "2026-09-19T23:58Z",
      "2026-09-20T00:05Z",
      [
        "BTC/USD 2026-09-20T00:01 – 2026-09-20T00:03",
        "BTC/USD 2026-09-20T00:04 – 2026-09-20T00:05",
      ],
    ],
    [
      "from the first minute of a symbol on: one that was listed this morning has missed nothing before",
      "NEW",
      [Date.parse("2026-09-18T15:00Z")],
      "2026-09-14",
      "2026-09-18T15:02Z",
      ["NEW 2026-09-18T15:01 – 2026-09-18T15:02"],
    ],
    [
      "in a range in which none is stored, where there are older ones",
      "AAPL",
      [Date.parse("2026-09-10T15:00Z")],
      "2026-09-18",
      "2026-09-19",
      ["AAPL 2026-09-18T13:30 – 2026-09-18T20:00"],
    ],
    [
      "of no symbol that has none at all",
      "AAPL",
      [],
      "2026-09-18",
      "2026-09-19",
      [],
    ],
  ];
  test.each(cases)("%s", async (_, symbol, stored, from, to, gaps) => {
    await store(symbol, stored);
    expect(await found([symbol], from, to)).toEqual(gaps);
  });

  test("of many symbols in one pass, each on its own", async () => {
    const symbols = Array.from(
      { length: 120 },
      (_, index) => `S${String(index).padStart(3, "0")}`,
    );
    await upsertBars(
      stage.fresh.sql,
      symbols.flatMap((symbol) =>
        [0, 2].map((minute) => stage.venue.bar(symbol, NOON + minute * MINUTE)),
      ),
    );
    expect(
      await found(symbols, "2026-09-18T16:00Z", "2026-09-18T16:03Z"),
    ).toEqual(
      symbols.map((symbol) => `${symbol} 2026-09-18T16:01 – 2026-09-18T16:02`),
    );
  });

  test("once trades are not reported late any more: the last twenty minutes are not judged", async () => {
    await store("AAPL", [NOON - HOUR]);
    expect(
      await found(["AAPL"], "2026-09-18T15:00Z", "2026-09-19", NOON + 30_000),
    ).toEqual(["AAPL 2026-09-18T15:01 – 2026-09-18T15:40"]);
    expect(
      await found(["AAPL"], "2026-09-18T15:50Z", "2026-09-19", NOON),
    ).toEqual([]);
  });
});

/** Yesterday's session, of which three ranges are not stored. */
const SESSION = minutesBetween("2026-09-17T13:30Z", "2026-09-17T20:00Z");
const WHOLE = range("2026-09-17", "2026-09-18");

describe("a fill", () => {
  test("reads what the venue has, records what it has not, and asks for that never again", async () => {
    await stage.add("AAPL");
    await store("AAPL", [SESSION[0] ?? 0, ...SESSION.slice(10)]);
    stage.venue.minutes.set("AAPL", [
      ...SESSION.slice(0, 4),
      ...SESSION.slice(6),
    ]);
    expect(
      await fillSymbol(stage.run, stage.database, "AAPL", WHOLE, signal),
    ).toBe(7);
    expect(stage.venue.asked).toEqual([
      "bars AAPL 2026-09-17T13:31 – 2026-09-17T13:40",
    ]);
    expect(stage.lines).toEqual([
      {
        level: "WARN",
        message: "gap_detected",
        symbol: "AAPL",
        gaps: 1,
        duration_minutes: 9,
        start: "2026-09-17T13:31:00.000Z",
        end: "2026-09-17T13:40:00.000Z",
      },
    ]);
    expect(stage.published.at(-1)).toMatchObject({
      type: "phase",
      status: "completed",
      records: 7,
    });
    expect(await listGaps(stage.database, ["AAPL"], WHOLE, NOON)).toEqual([
      {
        symbol: "AAPL",
        from: "2026-09-17T13:34:00.000Z",
        to: "2026-09-17T13:36:00.000Z",
        missing: 2,
        state: "verified_empty",
      },
    ]);
    expect(
      await fillSymbol(stage.run, stage.database, "AAPL", WHOLE, signal),
    ).toBe(0);
    expect(stage.venue.asked).toHaveLength(1);
  });

  test("that fails half-way proves nothing empty", async () => {
    await store("AAPL", [SESSION[0] ?? 0, ...SESSION.slice(10)]);
    stage.venue.before = async () => {
      throw new Error("refused");
    };
    await expect(
      fillSymbol(stage.run, stage.database, "AAPL", WHOLE, signal),
    ).rejects.toThrow("refused");
    expect(
      (await listGaps(stage.database, ["AAPL"], WHOLE, NOON)).map(
        ({ state, missing }) => [state, missing],
      ),
    ).toEqual([["missing", 9]]);
  });

  test("of the running session records nothing as empty: it is asked again, until the day is over", async () => {
    const today = range("2026-09-18", "2026-09-19");
    await store("AAPL", [NOON - HOUR, NOON - 30 * MINUTE]);
    await fillSymbol(stage.run, stage.database, "AAPL", today, signal);
    await fillSymbol(stage.run, stage.database, "AAPL", today, signal);
    expect(stage.venue.asked).toHaveLength(2);
    stage.at(Date.parse("2026-09-19T01:00Z"));
    await fillSymbol(stage.run, stage.database, "AAPL", today, signal);
    await fillSymbol(stage.run, stage.database, "AAPL", today, signal);
    expect(stage.venue.asked).toHaveLength(3);
  });

  test("of crypto, which has no sessions, is proven at once", async () => {
    await store("BTC/USD", [NOON - HOUR, NOON - 21 * MINUTE]);
    const hour = { from: new Date(NOON - HOUR), to: new Date(NOON) };
    await fillSymbol(stage.run, stage.database, "BTC/USD", hour, signal);
    expect(await listGaps(stage.database, ["BTC/USD"], hour, NOON)).toEqual([
      {
        symbol: "BTC/USD",
        from: "2026-09-18T15:01:00.000Z",
        to: "2026-09-18T15:39:00.000Z",
        missing: 38,
        state: "verified_empty",
      },
    ]);
  });
});

test("an open end of the range shows what is verified empty only within it", async () => {
  await store("AAPL", [SESSION[0] ?? 0, ...SESSION.slice(10)]);
  await fillSymbol(stage.run, stage.database, "AAPL", WHOLE, signal);
  const part = range("2026-09-17T13:35Z", "2026-09-17T13:38Z");
  expect(await listGaps(stage.database, ["AAPL"], part, NOON)).toEqual([
    {
      symbol: "AAPL",
      from: "2026-09-17T13:35:00.000Z",
      to: "2026-09-17T13:38:00.000Z",
      missing: 3,
      state: "verified_empty",
    },
  ]);
});

describe("the nightly job", () => {
  const nightly = () =>
    fillGaps(stage.run, stage.database, stage.board, signal);

  test("fills every enabled symbol that has a history; one that fails keeps no other from it", async () => {
    for (const symbol of ["AAPL", "BAD", "OFF", "REST", "SPY", "NEW"])
      await stage.add(symbol);
    await stage.add("OFF", { enabled: false });
    await setStatus(stage.fresh.sql, "REST", "paused");
    stage.at(Date.parse("2026-09-18T01:00Z"));
    for (const symbol of ["AAPL", "BAD", "OFF", "REST", "SPY"]) {
      await store(symbol, [SESSION[0] ?? 0, ...SESSION.slice(3)]);
      stage.venue.minutes.set(symbol, SESSION);
    }
    stage.venue.before = async (question) => {
      if (question.startsWith("bars BAD")) throw new Error("not today");
    };
    await expect(nightly()).rejects.toThrow(
      "gaps of BAD (not today) could not be filled",
    );
    expect(
      stage.venue.asked.filter((question) => question.startsWith("bars")),
    ).toEqual(
      ["AAPL", "BAD", "SPY"].map(
        (symbol) => `bars ${symbol} 2026-09-17T13:31 – 2026-09-17T13:33`,
      ),
    );
    stage.venue.before = async () => {};
    await nightly();
    expect((await stage.stored("BAD")).length).toBe(SESSION.length);
  });

  test("has a symbol that was split read again as a whole: no minute of the new scale comes between the old", async () => {
    await stage.add("AAPL");
    await store("AAPL", [SESSION[0] ?? 0, ...SESSION.slice(3)]);
    stage.venue.minutes.set("AAPL", SESSION);
    const split = { symbol: "AAPL", day: "2026-09-18", from: 1, to: 4 };
    stage.venue.splitsOf.set("AAPL", [split]);
    await nightly();
    expect(stage.venue.asked).toEqual(["splits AAPL"]);
    expect(stage.board.list()).toMatchObject([
      { kind: "backfill", tickers: ["AAPL"], state: "pending" },
    ]);
    await noteSplits(stage.fresh.sql, [split]);
    await nightly();
    expect(stage.venue.asked.at(-1)).toBe(
      "bars AAPL 2026-09-17T13:31 – 2026-09-18T15:40",
    );
  });
});

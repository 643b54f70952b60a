import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import type { RegistryEntry, Strategy } from "../../schema/registry.ts";
import { DAY } from "../../src/clock.ts";
import {
  runFlatpack,
  runSnapshot,
  runStream,
} from "../../src/registry/phases.ts";
import { findSymbol } from "../../src/stores/postgres/registry.ts";
import {
  minutesBetween,
  NOON,
  openStage,
  snapshotOf,
  type Stage,
} from "./stage.ts";

let stage: Stage;
beforeAll(async () => void (stage = await openStage()));
beforeEach(() => stage.clear());
afterAll(() => stage[Symbol.asyncDispose]());

const signal = new AbortController().signal;

async function entry(
  symbol: string,
  strategy: Strategy = "flatpack",
): Promise<RegistryEntry> {
  await stage.add(symbol, { strategy });
  const found = await findSymbol(stage.fresh.sql, symbol);
  if (found === undefined) throw new Error("not there");
  return found;
}

const told = () =>
  stage.published.flatMap((message) =>
    message.type === "phase"
      ? [
          `${message.phase} ${message.status}${message.records === undefined ? "" : ` ${message.records}`}`,
        ]
      : [],
  );

/** Two minutes a day of Wednesday to Friday; the last one runs. */
const MINUTES = [
  ...minutesBetween("2026-09-16T13:30Z", "2026-09-16T13:32Z"),
  ...minutesBetween("2026-09-17T13:30Z", "2026-09-17T13:32Z"),
  ...minutesBetween("2026-09-18T13:30Z", "2026-09-18T13:32Z"),
  NOON,
];
const FINAL = [
  "2026-09-16T13:30",
  "2026-09-16T13:31",
  "2026-09-17T13:30",
  "2026-09-17T13:31",
  "2026-09-18T13:30",
  "2026-09-18T13:31",
];
const times = async (symbol = "AAPL") =>
  (await stage.stored(symbol)).map(([at]) => at);

describe("history", () => {
  test("comes by day files, and by REST where a day is not released; the running minute is not stored", async () => {
    Object.assign(stage.venue, { hasFiles: true });
    stage.venue.minutes.set("AAPL", MINUTES);
    for (let at = NOON - 7 * DAY; at < NOON - DAY; at += DAY)
      stage.venue.released.set(new Date(at).toISOString().slice(0, 10), "1");
    stage.at(NOON + 30_000);
    const progress: number[] = [];
    const result = await runFlatpack(
      stage.run,
      await entry("AAPL"),
      signal,
      (_, done) => progress.push(done),
    );
    expect(result).toEqual({ records: 6 });
    expect(await times()).toEqual(FINAL);
    expect(stage.venue.asked).toEqual([
      "splits AAPL",
      // Of the weekend nothing is asked.
      "file day/2026-09-11",
      "file day/2026-09-14",
      "file day/2026-09-15",
      "file day/2026-09-16",
      "bars AAPL 2026-09-17T08:00 – 2026-09-18T16:00",
    ]);
    expect(told()).toEqual(["backfill started", "backfill completed 6"]);
    expect(progress.every((done) => done > 0 && done <= 1)).toBe(true);
  });

  test("counts a file as read only when its bars are kept", async () => {
    Object.assign(stage.venue, { hasFiles: true });
    stage.venue.minutes.set("AAPL", MINUTES);
    stage.venue.released.set("2026-09-16", "1").set("2026-09-17", "1");
    const cut = new AbortController();
    const run = {
      ...stage.run,
      async kept() {
        cut.abort(new Error("killed"));
        cut.signal.throwIfAborted();
      },
    };
    const aapl = await entry("AAPL");
    expect(await runFlatpack(run, aapl, cut.signal).catch(String)).toContain(
      "killed",
    );
    stage.venue.asked.length = 0;
    await runFlatpack(stage.run, aapl, signal);
    expect(stage.venue.asked).toContain("file day/2026-09-16");
    expect(await times()).toEqual(FINAL);
  });

  test("is read whole although a feed has written the newest minutes already", async () => {
    stage.venue.minutes.set("AAPL", MINUTES);
    const aapl = await entry("AAPL", "flatpack_api");
    await runFlatpack(stage.run, aapl, signal);
    await stage.fresh
      .sql`delete from ohlcv_1m where timestamp < (select max(timestamp) from ohlcv_1m)`;
    await runFlatpack(stage.run, aapl, signal);
    expect(await times()).toEqual(FINAL);
  });

  test("that is there is read on from two days before its end, and a file only in another version", async () => {
    Object.assign(stage.venue, { hasFiles: true });
    stage.venue.minutes.set("AAPL", MINUTES);
    for (const day of ["16", "17"])
      stage.venue.released.set(`2026-09-${day}`, "1");
    const aapl = await entry("AAPL");
    await runFlatpack(stage.run, aapl, signal);
    stage.venue.asked.length = 0;
    stage.venue.released.set("2026-09-17", "2");
    await runFlatpack(stage.run, readOnce(aapl), signal);
    expect(stage.venue.asked).toEqual([
      "splits AAPL",
      "file day/2026-09-17",
      "bars AAPL 2026-09-18T08:00 – 2026-09-18T16:00",
    ]);
  });

  test.each(["flatpack_api", "flatpack"] as const)(
    "by REST alone (%s without files, or by its strategy)",
    async (strategy) => {
      Object.assign(stage.venue, { hasFiles: strategy === "flatpack_api" });
      stage.venue.minutes.set("BTC/USD", MINUTES);
      await runFlatpack(stage.run, await entry("BTC/USD", strategy), signal);
      expect(stage.venue.asked).toEqual([
        "splits BTC/USD",
        "bars BTC/USD 2026-09-11T16:00 – 2026-09-18T16:00",
      ]);
      expect(await times("BTC/USD")).toEqual(FINAL);
    },
  );

  test("of a symbol that the venue does not know fails before anything is published", async () => {
    stage.venue.unknown.add("NOPE");
    await expect(
      runFlatpack(stage.run, await entry("NOPE"), signal),
    ).rejects.toThrow("NOPE is not known to the venue");
    expect(stage.published).toEqual([]);
  });

  test("whose page fails half-way keeps what came, and is read again as a whole", async () => {
    stage.venue.minutes.set("AAPL", MINUTES);
    const aapl = await entry("AAPL");
    stage.venue.before = async (question) => {
      if (question.startsWith("bars")) throw new Error("a page failed");
    };
    await expect(runFlatpack(stage.run, aapl, signal)).rejects.toThrow(
      "a page failed",
    );
    expect(told()).toEqual(["backfill started"]);
    stage.venue.before = async () => {};
    expect(await runFlatpack(stage.run, aapl, signal)).toEqual({ records: 6 });
    expect(await times()).toEqual(FINAL);
  });
});

/** The entry after a run. */
function readOnce(entry: RegistryEntry): RegistryEntry {
  return {
    ...entry,
    last_backfill: new Date(stage.run.clock.now()).toISOString(),
  };
}

describe("a split", () => {
  const split = { symbol: "AAPL", day: "2026-09-17", from: 1, to: 4 };

  test("that the stored history does not account for has all of it read again by REST, once", async () => {
    stage.venue.minutes.set("AAPL", MINUTES);
    const aapl = await entry("AAPL");
    await runFlatpack(stage.run, aapl, signal);
    stage.venue.splitsOf.set("AAPL", [split]);
    Object.assign(stage.venue, { hasFiles: true, offset: 100 });
    stage.venue.released.set("2026-09-16", "1");
    stage.venue.asked.length = 0;
    await runFlatpack(stage.run, readOnce(aapl), signal);
    await runFlatpack(stage.run, readOnce(aapl), signal);
    expect(stage.venue.asked).toEqual([
      "splits AAPL",
      "bars AAPL 2026-09-11T16:00 – 2026-09-18T16:00",
      "splits AAPL",
      "file day/2026-09-16",
      "bars AAPL 2026-09-17T08:00 – 2026-09-18T16:00",
    ]);
    // The file's day is of the old scale, and brought to the new one.
    expect((await stage.stored("AAPL")).map(([, open]) => open)).toEqual([
      27.5, 27.5, 110, 110, 110, 110,
    ]);
  });

  test("of a history that is yet to be read only scales what comes from day files", async () => {
    Object.assign(stage.venue, { hasFiles: true });
    stage.venue.minutes.set("AAPL", MINUTES);
    stage.venue.splitsOf.set("AAPL", [split]);
    stage.venue.released.set("2026-09-16", "1").set("2026-09-17", "1");
    await runFlatpack(stage.run, await entry("AAPL"), signal);
    expect(await stage.stored("AAPL")).toEqual(
      FINAL.map((at, index) => [at, index < 2 ? 2.5 : 10]),
    );
  });

  test("that is only announced changes nothing until its day, and then counts as new", async () => {
    Object.assign(stage.venue, { hasFiles: true });
    stage.venue.minutes.set("AAPL", MINUTES);
    stage.venue.released.set("2026-09-16", "1");
    stage.venue.splitsOf.set("AAPL", [{ ...split, day: "2026-09-21" }]);
    const aapl = await entry("AAPL");
    await runFlatpack(stage.run, aapl, signal);
    expect((await stage.stored("AAPL"))[0]).toEqual(["2026-09-16T13:30", 10]);
    stage.at(Date.parse("2026-09-21T16:00Z"));
    stage.venue.asked.length = 0;
    await runFlatpack(stage.run, readOnce(aapl), signal);
    expect(stage.venue.asked).toEqual([
      "splits AAPL",
      "bars AAPL 2026-09-14T16:00 – 2026-09-21T16:00",
    ]);
  });
});

describe("a snapshot", () => {
  test("that says something is published whole and stored", async () => {
    stage.venue.snapshots.set("AAPL", snapshotOf("AAPL"));
    expect(await runSnapshot(stage.run, "AAPL", signal)).toEqual({
      records: 1,
    });
    expect(told()).toEqual(["snapshot started", "snapshot completed 1"]);
    const rows = await stage.fresh
      .sql`select symbol, day_close, raw_data ->> 'ticker' as ticker from market_snapshots`;
    expect([...rows]).toEqual([
      { symbol: "AAPL", day_close: 11, ticker: "AAPL" },
    ]);
  });

  test("that says nothing fails with its reason, and is not stored", async () => {
    stage.venue.snapshots.set("AAPL", { status: "OK", ticker: { min: {} } });
    await expect(runSnapshot(stage.run, "AAPL", signal)).rejects.toThrow(
      "AAPL: Missing OHLCV keys: o, h, l, c, v",
    );
    await expect(runSnapshot(stage.run, "NOPE", signal)).rejects.toThrow(
      "NOPE is not known",
    );
    expect((await stage.fresh.sql`select from market_snapshots`).length).toBe(
      0,
    );
  });
});

test("a stream is set going, and said so", async () => {
  expect(await runStream(stage.run, "AAPL", signal)).toEqual({ records: 0 });
  expect([stage.streams.list(), told()]).toEqual([
    ["AAPL"],
    ["stream started"],
  ]);
});

test("a phase that is stopped asks for nothing more", async () => {
  const over = new AbortController();
  stage.venue.minutes.set(
    "AAPL",
    minutesBetween("2026-09-18T13:30Z", "2026-09-18T15:30Z"),
  );
  stage.venue.before = async (question) => {
    if (question.startsWith("splits")) over.abort(new Error("stopped"));
  };
  await expect(
    runFlatpack(stage.run, await entry("AAPL"), over.signal),
  ).rejects.toThrow("stopped");
  expect(stage.venue.asked).toEqual(["splits AAPL"]);
});

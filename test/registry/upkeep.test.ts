import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { MINUTE } from "../../src/clock.ts";
import { ActivityMemory } from "../../src/feeds/activity.ts";
import type { FeedRun } from "../../src/feeds/run.ts";
import { refreshSnapshots, watchStreams } from "../../src/registry/upkeep.ts";
import { setStatus } from "../../src/stores/postgres/registry.ts";
import { NOON, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => void (stage = await openStage()));
beforeEach(() => stage.clear());
afterAll(() => stage[Symbol.asyncDispose]());

/** As a run of before a restart left it. */
async function ran(
  symbol: string,
  column: "last_stream" | "last_snapshot",
): Promise<void> {
  await stage.fresh
    .sql`update symbol_registry set ${stage.fresh.sql(column)} = now() where symbol = ${symbol}`;
}

describe("streams", () => {
  const watch = (feeds: readonly FeedRun[] = []) =>
    watchStreams(stage.run, feeds);

  test("of before a restart go on: those whose run set them going, and no others", async () => {
    for (const symbol of ["LIVE", "OFF", "REST", "NEW"])
      await stage.add(symbol, { strategy: "snapshot_stream" });
    await stage.add("PAST", { strategy: "flatpack" });
    await stage.add("OFF", { strategy: "snapshot_stream", enabled: false });
    await setStatus(stage.fresh.sql, "REST", "paused");
    for (const symbol of ["LIVE", "OFF", "REST", "PAST"])
      await ran(symbol, "last_stream");
    await watch();
    expect(stage.streams.list()).toEqual(["LIVE"]);
  });

  test("end with what is disabled, paused, deleted elsewhere or of another strategy; a run under way keeps its own", async () => {
    for (const symbol of ["LIVE", "OFF", "NOW"])
      await stage.add(symbol, { strategy: "stream" });
    await stage.add("OFF", { strategy: "stream", enabled: false });
    await ran("LIVE", "last_stream");
    await setStatus(stage.fresh.sql, "NOW", "running");
    for (const symbol of ["LIVE", "OFF", "NOW", "GONE"])
      stage.streams.add(symbol);
    await watch();
    expect(stage.streams.list().toSorted()).toEqual(["LIVE", "NOW"]);
  });

  test.each([
    ["open", 6 * MINUTE, 1],
    ["open", 4 * MINUTE, 0],
    ["closed", 60 * MINUTE, 0],
  ] as const)(
    "while the market is %s, a silence of %i ms is told of %i times",
    async (market, silentMs, times) => {
      await stage.add("LIVE", { strategy: "stream" });
      await ran("LIVE", "last_stream");
      const activity = new ActivityMemory();
      activity.toldTo = () => NOON - silentMs;
      // What of a feed is looked at.
      const feed = {
        activity,
        venue: { isOpen: () => market === "open" },
      } as unknown as FeedRun;
      await watch([feed]);
      expect(
        stage.lines.map(({ message, symbol, silent_seconds }) => [
          message,
          symbol,
          silent_seconds,
        ]),
      ).toEqual(Array(times).fill(["stream_stale", "LIVE", silentMs / 1000]));
    },
  );
});

test("snapshots are refreshed of those that have had one, as one job at a time", async () => {
  for (const symbol of ["A", "OFF", "REST", "NEW"])
    await stage.add(symbol, { strategy: "snapshot_stream" });
  await stage.add("HIST", { strategy: "flatpack" });
  await stage.add("OFF", { strategy: "snapshot_stream", enabled: false });
  await setStatus(stage.fresh.sql, "REST", "paused");
  for (const symbol of ["A", "OFF", "REST", "HIST"])
    await ran(symbol, "last_snapshot");
  await refreshSnapshots(stage.run, stage.board);
  await refreshSnapshots(stage.run, stage.board);
  expect(
    stage.board.list().map(({ kind, tickers }) => [kind, tickers]),
  ).toEqual([["snapshots", ["A"]]]);
  const taken = stage.board.take();
  await refreshSnapshots(stage.run, stage.board);
  stage.board.finish(taken?.job.job_id ?? "");
  await refreshSnapshots(stage.run, stage.board);
  expect(stage.board.list().map(({ state }) => state)).toEqual([
    "pending",
    "completed",
  ]);
});

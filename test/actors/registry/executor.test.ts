import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { type Actor, createActor } from "xstate";
import { executor } from "../../../actors/registry/executor.ts";
import { findActor } from "../../../actors/supervision/tree.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { MINUTE, SECOND, sleep } from "../../../src/clock.ts";
import type { JobBoard } from "../../../src/registry/jobs.ts";
import {
  claimSymbol,
  findSymbol,
  listSymbols,
  setStatus,
} from "../../../src/stores/postgres/registry.ts";
import {
  minutesBetween,
  openStage,
  snapshotOf,
  type Stage,
} from "../../registry/stage.ts";
import { untilAsync } from "../../support/until.ts";

const until = (isSo: () => boolean) => untilAsync(async () => isSo());

let stage: Stage;
let root: Actor<typeof supervisor> | undefined;
beforeAll(async () => void (stage = await openStage()));
beforeEach(() => stage.clear());
afterEach(async () => {
  await stop();
  root = undefined;
});
afterAll(() => stage[Symbol.asyncDispose]());

/** The executor below a supervisor, as the tree has it. */
function start(run = stage.run, board: JobBoard = stage.board): void {
  const group = createActor(supervisor, {
    input: {
      strategy: "one_for_one",
      maxRestarts: 6,
      withinMs: MINUTE,
      backoffMs: () => 10,
      children: [
        {
          id: "executor",
          logic: executor,
          input: {
            run,
            board,
            start: (child: unknown) =>
              group.send({ type: "child.added", child } as never),
            stop: (id: string) =>
              group.send({ type: "child.removed", id } as never),
            isRunning: (id: string) => findActor(group, id) !== undefined,
          },
          restart: "permanent",
          graceMs: 2 * SECOND,
        },
      ],
    },
  });
  root = group;
  group.start();
}

async function stop(): Promise<void> {
  root?.send({ type: "shutdown" });
  await until(() => root?.getSnapshot().status !== "active");
}

async function work(
  kind: Parameters<JobBoard["submit"]>[0],
  ...symbols: string[]
) {
  const id = stage.board.submit(kind, symbols)?.job_id ?? "none";
  await until(() => stage.board.find(id)?.completed_at != null);
  return stage.board.find(id);
}

const statuses = async () =>
  (await listSymbols(stage.fresh.sql)).map(
    ({ symbol, status, error_message }) =>
      [symbol, status, error_message].filter(Boolean).join(" "),
  );
const events = () =>
  stage.lines.map(({ message, symbol, phase }) =>
    [message, symbol, phase].filter(Boolean).join(" "),
  );
/** Questions that nobody answers until it is told so. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.venue.before = async (_, { signal }) =>
    Promise.race([
      promise,
      new Promise<void>((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason)),
      ),
    ]);
  return resolve;
}

const MINUTES = minutesBetween("2026-09-18T13:30Z", "2026-09-18T13:33Z");

test("a symbol runs through its phases in order, with their times, markers and log lines", async () => {
  await stage.add("AAPL", { strategy: "flatpack_snapshot_stream" });
  stage.venue.minutes.set("AAPL", MINUTES);
  stage.venue.snapshots.set("AAPL", snapshotOf("AAPL"));
  start();
  expect(await work("execute", "AAPL")).toMatchObject({
    state: "completed",
    progress: { done: 1, total: 1 },
    result: [
      {
        symbol: "AAPL",
        strategy: "flatpack_snapshot_stream",
        status: "success",
        phases: {
          flatpack: { status: "completed", records: 3 },
          snapshot: { status: "completed", records: 1 },
          stream: { status: "activated" },
        },
        elapsed: 0,
      },
    ],
  });
  const entry = await findSymbol(stage.fresh.sql, "AAPL");
  expect([
    entry?.status,
    entry?.last_backfill,
    entry?.last_snapshot,
    entry?.last_stream,
  ]).toEqual([
    "idle",
    expect.any(String),
    expect.any(String),
    expect.any(String),
  ]);
  expect((await stage.stored("AAPL")).length).toBe(3);
  expect(stage.streams.list()).toEqual(["AAPL"]);
  expect(events()).toEqual([
    "orchestration_cycle_started",
    "symbol_execution_started AAPL",
    "phase_flatpack_started AAPL flatpack",
    "phase_flatpack_completed AAPL flatpack",
    "phase_snapshot_started AAPL snapshot",
    "phase_snapshot_completed AAPL snapshot",
    "phase_stream_started AAPL stream",
    "phase_stream_activated AAPL stream",
    "symbol_execution_completed AAPL",
    "cycle_completed",
  ]);
});

test.each([
  ["backfill", ["flatpack"]],
  ["snapshots", ["snapshot"]],
  ["streams", ["stream"]],
] as const)(
  "a job of the kind %s runs %p alone, whatever the strategy",
  async (kind, phases) => {
    await stage.add("AAPL", { strategy: "flatpack_snapshot_stream" });
    stage.venue.snapshots.set("AAPL", snapshotOf("AAPL"));
    start();
    const job = await work(kind, "AAPL");
    expect(Object.keys(job?.result?.[0]?.phases ?? {})).toEqual([...phases]);
  },
);

test("a job of all symbols runs those that are enabled and not paused, at most four at a time", async () => {
  const symbols = ["A", "B", "C", "D", "E", "F", "G"];
  for (const symbol of [...symbols, "OFF", "REST"]) await stage.add(symbol);
  await stage.add("OFF", { enabled: false });
  await setStatus(stage.fresh.sql, "REST", "paused");
  const four = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  stage.venue.before = async (question) => {
    if (!question.startsWith("bars")) return;
    most = Math.max(most, ++running);
    if (running === 4) four.resolve();
    await four.promise;
    await sleep(5);
    running--;
  };
  start();
  const job = await work("execute");
  expect(job).toMatchObject({
    state: "completed",
    tickers: symbols,
    progress: { done: 7, total: 7 },
  });
  expect(most).toBe(4);
});

test("a symbol that fails is in error with its message and due again later; its neighbours are done", async () => {
  for (const symbol of ["BAD", "SPY"]) await stage.add(symbol);
  stage.venue.before = async (question) => {
    if (question === "bars BAD 2026-09-11T16:00 – 2026-09-18T16:00")
      throw new Error("the venue says no");
  };
  start();
  const job = await work("execute", "BAD", "SPY", "NOBODY");
  expect(job).toMatchObject({
    state: "failed",
    error: "NOBODY: is not in the registry; BAD: the venue says no",
    progress: { done: 3, total: 3 },
  });
  expect(await statuses()).toEqual(["BAD error the venue says no", "SPY idle"]);
  expect(
    stage.published.filter(
      (message) => message.type === "phase" && message.status === "failed",
    ),
  ).toMatchObject([
    { symbol: "BAD", phase: "backfill", error: "the venue says no" },
  ]);
  const [row] = await stage.fresh.sql`
    select failures, next_retry_at - now() between interval '25 s' and interval '70 s' as is_soon
    from symbol_registry where symbol = 'BAD'`;
  expect(row).toEqual({ failures: 1, is_soon: true });
  expect(events()).toContain("symbol_execution_failed BAD flatpack");
});

test("a failure that is due again is tried again by itself, and the waiting grows with each", async () => {
  await stage.add("BAD");
  stage.venue.before = async () => {
    throw new Error("no");
  };
  await stage.fresh.sql`
    update symbol_registry set status = 'error', failures = 3, next_retry_at = now() - interval '1 s'`;
  start();
  await untilAsync(
    async () => (await findSymbol(stage.fresh.sql, "BAD"))?.failures === 4,
  );
  const [row] = await stage.fresh.sql`
    select next_retry_at - now() between interval '3 min' and interval '9 min' as is_later from symbol_registry`;
  expect(row).toEqual({ is_later: true });
});

test("a symbol that another replica runs is locked, and left alone", async () => {
  await stage.add("AAPL");
  await claimSymbol(stage.fresh.sql, "AAPL", "elsewhere", MINUTE);
  start();
  expect(await work("execute", "AAPL")).toMatchObject({
    state: "completed",
    result: [{ status: "locked", phases: {} }],
  });
  expect([stage.venue.asked, await statuses()]).toEqual([[], ["AAPL running"]]);
  expect(events()).toContain("symbol_locked AAPL");
});

test("stale locks are cleared at the start, a live run's never, and what was cut off is taken up again", async () => {
  for (const symbol of ["DEAD", "LIVE"]) await stage.add(symbol);
  await claimSymbol(stage.fresh.sql, "DEAD", "killed", -SECOND);
  await claimSymbol(stage.fresh.sql, "LIVE", "elsewhere", MINUTE);
  start();
  await until(() => stage.board.list()[0]?.state === "completed");
  expect(stage.board.list()[0]?.tickers).toEqual(["DEAD"]);
  expect(events().filter((event) => event.startsWith("stale"))).toEqual([
    "stale_lock_cleared DEAD",
  ]);
  expect(await statuses()).toEqual(["DEAD idle", "LIVE running"]);
});

test("a job that is cancelled stops its runs, gives the claims back and does not begin the rest", async () => {
  for (const symbol of ["A", "B", "C", "D", "E", "F"]) await stage.add(symbol);
  held();
  start();
  const id = stage.board.submit("execute", [])?.job_id ?? "none";
  await until(() => stage.venue.asked.length === 4);
  stage.board.cancel(id);
  await until(() => stage.board.find(id)?.completed_at != null);
  const job = stage.board.find(id);
  expect([job?.state, job?.result?.map(({ status }) => status)]).toEqual([
    "cancelled",
    Array(4).fill("cancelled"),
  ]);
  await untilAsync(async () =>
    (await statuses()).every((each) => each.endsWith(" idle")),
  );
  const [due] = await stage.fresh
    .sql`select count(*)::int as count from symbol_registry where next_retry_at is not null`;
  expect([stage.venue.asked.length, due]).toEqual([4, { count: 0 }]);
});

test("a claim that is lost ends the run, which writes nothing more: the row is the new owner's", async () => {
  await stage.add("AAPL");
  held();
  start(stage.runOf("slow", 300));
  const id = stage.board.submit("execute", ["AAPL"])?.job_id ?? "none";
  await until(() => stage.venue.asked.length === 1);
  await stage.fresh
    .sql`update symbol_registry set lease_owner = 'new', lease_token = lease_token + 1`;
  await until(() => stage.board.find(id)?.completed_at != null);
  expect(stage.board.find(id)).toMatchObject({
    state: "failed",
    result: [
      {
        status: "error",
        phases: { lease: { status: "failed" } },
        error: "the lease was lost to another run",
      },
    ],
  });
  const [row] = await stage.fresh
    .sql`select lease_owner, status, failures from symbol_registry`;
  expect(row).toEqual({ lease_owner: "new", status: "running", failures: 0 });
});

test("a long run keeps its claim: it is renewed all the while", async () => {
  await stage.add("AAPL");
  const go = held();
  start(stage.runOf("slow", 300));
  const id = stage.board.submit("execute", ["AAPL"])?.job_id ?? "none";
  await until(() => stage.venue.asked.length === 1);
  await sleep(700);
  expect(await claimSymbol(stage.fresh.sql, "AAPL", "other", MINUTE)).toBe(
    undefined,
  );
  go();
  await until(() => stage.board.find(id)?.completed_at != null);
  expect(stage.board.find(id)?.state).toBe("completed");
});

describe("a stop of the service", () => {
  test.each(["flatpack", "snapshot"] as const)(
    "in the phase %s gives the claim back, and the run is due again",
    async (phase) => {
      await stage.add("AAPL", { strategy: phase });
      held();
      start();
      stage.board.submit("execute", ["AAPL"]);
      await until(() => stage.venue.asked.length === 1);
      await stop();
      const [row] = await stage.fresh.sql`
      select status, lease_owner, next_retry_at <= now() as is_due from symbol_registry`;
      expect(row).toEqual({ status: "idle", lease_owner: null, is_due: true });
      stage.venue.before = async () => {};
      stage.venue.snapshots.set("AAPL", snapshotOf("AAPL"));
      start();
      await until(() => stage.board.list()[0]?.state === "completed");
      expect(stage.board.list()[0]?.result).toMatchObject([
        { symbol: "AAPL", status: "success" },
      ]);
    },
  );

  test("while it claims gives back what it got", async () => {
    await stage.add("AAPL");
    const { promise, resolve } = Promise.withResolvers<void>();
    const { store } = stage.run;
    let isAsked = false;
    start({
      ...stage.run,
      store: {
        ...store,
        claim: async (symbol) => {
          isAsked = true;
          await promise;
          return store.claim(symbol);
        },
      },
    });
    stage.board.submit("execute", ["AAPL"]);
    await until(() => isAsked);
    root?.send({ type: "shutdown" });
    resolve();
    await stop();
    expect([await statuses(), stage.venue.asked]).toEqual([["AAPL idle"], []]);
    const [row] = await stage.fresh
      .sql`select lease_owner from symbol_registry`;
    expect(row).toEqual({ lease_owner: null });
  });

  test("while nothing is to do is at once", async () => {
    start();
    await until(() => findActor(root as never, "executor") !== undefined);
    const before = performance.now();
    await stop();
    expect(performance.now() - before).toBeLessThan(SECOND);
  });
});

test("a store that is away fails the job and not the executor, which does the next one", async () => {
  await stage.add("AAPL");
  const { store } = stage.run;
  let isAway = true;
  const away = Object.assign(new Error("connect ECONNREFUSED"), {
    code: "ECONNREFUSED",
  });
  start({
    ...stage.run,
    store: {
      ...store,
      find: async (symbol) =>
        isAway ? Promise.reject(away) : store.find(symbol),
    },
  });
  expect(await work("execute", "AAPL")).toMatchObject({
    state: "failed",
    error: "connect ECONNREFUSED",
  });
  isAway = false;
  expect(await work("execute", "AAPL")).toMatchObject({ state: "completed" });
});

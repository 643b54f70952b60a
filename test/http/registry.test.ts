import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { registryService } from "../../src/registry/service.ts";
import { ScheduleBoard } from "../../src/registry/scheduleBoard.ts";
import type { RegistryTopology } from "../../src/registryTopology.ts";
import { upsertBars } from "../../src/stores/postgres/bars.ts";
import { NOON, openStage, type Stage } from "../registry/stage.ts";
import {
  type Ask,
  asking,
  OPEN_TO_ALL,
  refusal,
  serviceView,
  TOKEN,
} from "./view.ts";

let stage: Stage;
let ask: Ask;
beforeAll(async () => void (stage = await openStage()));
beforeEach(async () => {
  await stage.clear();
  ask = asking(serviceView({ registry: service() }));
});
afterAll(() => stage[Symbol.asyncDispose]());

function service() {
  // What HTTP asks for, of the real tables and boards.
  const parts = {
    database: stage.database,
    board: stage.board,
    scheduleBoard: new ScheduleBoard(),
    streams: stage.streams,
    backfillDays: 7,
  };
  return registryService(parts as unknown as RegistryTopology);
}

const send = (method: string, path: string, body?: unknown) =>
  ask(path, {
    method,
    ...(body === undefined
      ? {}
      : {
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        }),
  });
const told = async (
  response: Promise<Response>,
): Promise<[number, ReturnType<typeof JSON.parse>]> => {
  const answer = await response;
  return [answer.status, JSON.parse(await answer.text())];
};
const AAPL = {
  symbol: "AAPL",
  strategy: "flatpack",
  enabled: true,
  status: "idle",
};
const add = (symbol = "AAPL") =>
  send("POST", "/api/v1/symbols", { symbol, strategy: "flatpack" });

test("a symbol is added, listed, found, changed, set and deleted", async () => {
  expect(await told(add("aapl"))).toMatchObject([201, AAPL]);
  expect(await told(ask("/api/v1/symbols"))).toMatchObject([200, [AAPL]]);
  expect(await told(ask("/api/v1/symbols/aapl"))).toMatchObject([200, AAPL]);
  expect(
    await told(
      send("PATCH", "/api/v1/symbols/AAPL", {
        enabled: false,
        strategy: "snapshot+stream",
      }),
    ),
  ).toMatchObject([200, { enabled: false, strategy: "snapshot_stream" }]);
  expect(await told(ask("/api/v1/symbols?enabled_only=true"))).toEqual([
    200,
    [],
  ]);
  expect(
    await told(
      send("PUT", "/api/v1/symbols/AAPL/status", {
        status: "ERROR",
        error_message: "by hand",
      }),
    ),
  ).toMatchObject([200, { status: "error", error_message: "by hand" }]);
  expect(await told(send("DELETE", "/api/v1/symbols/AAPL"))).toEqual([
    200,
    { status: "deleted", symbol: "AAPL" },
  ]);
  expect(await told(ask("/api/v1/symbols/AAPL"))).toEqual([
    404,
    { detail: "AAPL is not in the registry" },
  ]);
});

test.each([
  "flatpack+snapshot+stream",
  "flatpack_snapshot_stream",
  "FLATPACK+SNAPSHOT_STREAM",
])("the strategy %s is taken, and answered with `_`", async (strategy) => {
  const [status, entry] = await told(
    send("POST", "/api/v1/symbols", { symbol: "SPY", strategy }),
  );
  expect([status, entry.strategy]).toEqual([201, "flatpack_snapshot_stream"]);
});

test.each(["BTC/USD", "btc-usd", "X:BTCUSD", "X:BTC-USD"])(
  "the pair %s is BTC/USD, in a body and in a path",
  async (symbol) => {
    expect(await told(add(symbol))).toMatchObject([201, { symbol: "BTC/USD" }]);
    expect(
      await told(ask(`/api/v1/symbols/${encodeURIComponent(symbol)}`)),
    ).toMatchObject([200, { symbol: "BTC/USD" }]);
  },
);

test.each([
  ["brk.b", "BRK.B"],
  ["KIMpL", "KIMpL"],
])("the ticker %s is stored as %s", async (symbol, stored) => {
  expect(await told(add(symbol))).toMatchObject([201, { symbol: stored }]);
});

describe("a wrong request names what is wrong:", () => {
  const cases: [
    method: string,
    path: string,
    body: unknown,
    status: number,
    detail: string,
  ][] = [
    ["POST", "/api/v1/symbols", {}, 400, "symbol: "],
    [
      "POST",
      "/api/v1/symbols",
      { symbol: "AAPL", strategy: "all" },
      400,
      "strategy: must be one of flatpack, ",
    ],
    [
      "POST",
      "/api/v1/symbols",
      { symbol: "A_B", strategy: "stream" },
      400,
      "symbol: has to be a symbol",
    ],
    [
      "POST",
      "/api/v1/symbols",
      { symbol: "AAPL", strategy: "stream", timeframe: "5m" },
      400,
      "timeframe: has to be 1m",
    ],
    [
      "POST",
      "/api/v1/symbols",
      { symbol: "AAPL", strategy: "stream", enabled: "yes" },
      400,
      "enabled: ",
    ],
    ["PATCH", "/api/v1/symbols/AAPL", { strategy: 7 }, 400, "strategy: "],
    [
      "PATCH",
      "/api/v1/symbols/NOPE",
      { enabled: true },
      404,
      "NOPE is not in the registry",
    ],
    [
      "PUT",
      "/api/v1/symbols/AAPL/status",
      { status: "gone" },
      400,
      "status: must be one of idle, ",
    ],
    [
      "PUT",
      "/api/v1/symbols/NOPE/status",
      { status: "idle" },
      404,
      "NOPE is not in the registry",
    ],
    [
      "DELETE",
      "/api/v1/symbols/NOPE",
      undefined,
      404,
      "NOPE is not in the registry",
    ],
    [
      "GET",
      "/api/v1/symbols?enabled_only=maybe",
      undefined,
      400,
      "enabled_only: ",
    ],
    ["POST", "/api/v1/registry/execute", { symbols: "AAPL" }, 400, "symbols: "],
    [
      "POST",
      "/api/v1/registry/execute",
      { symbols: ["AAPL", "A_B"] },
      400,
      "symbols.1: has to be a symbol",
    ],
    [
      "POST",
      "/api/v1/backfill/NOPE",
      undefined,
      404,
      "NOPE is not in the registry",
    ],
    ["GET", "/api/v1/jobs/none", undefined, 404, "no job none"],
    ["DELETE", "/api/v1/jobs/none", undefined, 404, "no job none"],
    [
      "POST",
      "/api/v1/scheduler/trigger/none",
      undefined,
      404,
      "no scheduled job none",
    ],
    ["GET", "/api/v1/gaps?symbols=AAPL", undefined, 400, "Unrecognized key"],
    [
      "GET",
      "/api/v1/gaps?from=yesterday",
      undefined,
      400,
      "from: has to be a date",
    ],
    [
      "GET",
      "/api/v1/gaps?from=2026-09-19&to=2026-09-18",
      undefined,
      400,
      "from: has to be before to",
    ],
  ];
  test.each(cases)(
    "%s %s %j is %i, %s",
    async (method, path, body, status, detail) => {
      await add();
      const [code, text] = await refusal(await send(method, path, body));
      expect([code, text.slice(0, detail.length)]).toEqual([status, detail]);
    },
  );
});

test("an execution is a job of the symbols named, of all without a body or with null, and is cancelled once", async () => {
  const ids: string[] = [];
  for (const body of [
    { symbols: ["aapl", "AAPL", "btc-usd"] },
    { symbols: null },
    undefined,
  ]) {
    const [status, job] = await told(
      send("POST", "/api/v1/registry/execute", body),
    );
    ids.push(job.job_id);
    expect([status, job.state, job.tickers]).toEqual([
      202,
      "pending",
      body?.symbols == null ? [] : ["AAPL", "BTC/USD"],
    ]);
  }
  const [, jobs] = await told(ask("/api/v1/jobs"));
  expect(jobs.map(({ job_id }: { job_id: string }) => job_id)).toEqual(
    ids.toReversed(),
  );
  const path = `/api/v1/jobs/${ids[0]}`;
  expect(await told(ask(path))).toMatchObject([200, { kind: "execute" }]);
  expect(await told(send("DELETE", path))).toEqual([
    200,
    { status: "cancelled", job_id: ids[0] },
  ]);
  expect(await refusal(await send("DELETE", path))).toEqual([
    409,
    `job ${ids[0]} is over: cancelled`,
  ]);
});

test("a backfill of a symbol is a job", async () => {
  await add();
  expect(await told(send("POST", "/api/v1/backfill/aapl"))).toMatchObject([
    202,
    { kind: "backfill", tickers: ["AAPL"] },
  ]);
});

test("the scheduler tells its jobs, is stopped, started and triggered", async () => {
  const [, status] = await told(ask("/api/v1/scheduler/status"));
  expect([
    status.enabled,
    status.running,
    status.jobs.map(({ id }: { id: string }) => id),
  ]).toEqual([
    true,
    true,
    ["nightly_gap_detection", "snapshot_refresh", "stream_monitoring"],
  ]);
  expect(await told(send("POST", "/api/v1/scheduler/stop"))).toMatchObject([
    200,
    { running: false },
  ]);
  expect(await told(send("POST", "/api/v1/scheduler/start"))).toMatchObject([
    200,
    { running: true },
  ]);
  expect(
    await told(send("POST", "/api/v1/scheduler/trigger/snapshot_refresh")),
  ).toEqual([
    202,
    {
      status: "triggered",
      job_id: "snapshot_refresh",
      job_name: "Snapshot refresh",
    },
  ]);
});

test("gaps are those of the calendar", async () => {
  await upsertBars(
    stage.fresh.sql,
    [0, 2].map((minute) => stage.venue.bar("AAPL", NOON + minute * 60_000)),
  );
  const expected = [
    {
      symbol: "AAPL",
      from: "2026-09-18T16:01:00.000Z",
      to: "2026-09-18T16:02:00.000Z",
      missing: 1,
      state: "missing",
    },
  ];
  const range = "from=2026-09-18T16:00:00Z&to=2026-09-18T16:03:00Z";
  expect([
    await told(ask(`/api/v1/gaps?${range}`)),
    await told(ask(`/api/v1/gaps?symbol=aapl&${range}`)),
  ]).toEqual([
    [200, expected],
    [200, expected],
  ]);
  expect(await told(ask(`/api/v1/gaps?symbol=SPY&${range}`))).toEqual([
    200,
    [],
  ]);
});

test("writes need the token where one is set", async () => {
  ask = asking(serviceView({ registry: service() }), OPEN_TO_ALL);
  const headers = { authorization: `Bearer ${TOKEN}`, host: "127.0.0.1:8000" };
  expect((await add()).status).toBe(401);
  const response = await ask("/api/v1/scheduler/stop", {
    method: "POST",
    headers,
  });
  expect(response.status).toBe(200);
});

test("a service without a registry is 503, and says why", async () => {
  ask = asking();
  expect(await refusal(await ask("/api/v1/symbols"))).toEqual([
    503,
    "this service has no symbol registry (POLYGON_API_KEY, FEEDKEEPER_ROLES)",
  ]);
});

test("a store that is away is 503, without its sentence", async () => {
  const away = () =>
    Promise.reject(new Error("connect ECONNREFUSED db.internal:5432"));
  ask = asking(serviceView({ registry: { ...service(), list: away } }));
  expect(await refusal(await ask("/api/v1/symbols"))).toEqual([
    503,
    "the store does not answer; /health says since when",
  ]);
});

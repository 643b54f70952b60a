import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DAY, HOUR, SECOND } from "../../../src/clock.ts";
import { nanosOfMs } from "../../../src/venues/simulated/stamps.ts";
import { activityPages } from "../../../src/venues/alpaca/pages.ts";
import { createAlpacaRest } from "../../../src/venues/alpaca/rest.ts";
import { RateBudget } from "../../../src/flow/rate.ts";
import {
  ALPHA,
  BETA,
  keysOf,
  liveOrder,
  openScene,
  type Scene,
} from "./wire.ts";

/** 10:00 in New York. */
const NOW = Date.parse("2026-09-16T14:00:00Z");
const PATH = "/v2/account/activities";

interface Row {
  readonly id: string;
  readonly activity_type: string;
}

let scene: Scene;
let nowMs = NOW;
beforeAll(async () => {
  scene = await openScene({
    clock: { now: () => nowMs },
    requestsPerMinute: 10_000,
  });
});
afterAll(() => scene[Symbol.asyncDispose]());

/** In a scene of its own time: what a test books is there alone. */
async function freshScene(): Promise<Scene> {
  nowMs = NOW;
  const fresh = await openScene({
    accounts: [{ ...ALPHA, cash: 0 }],
    historyDays: 0,
    clock: { now: () => nowMs },
    requestsPerMinute: 10_000,
  });
  // The opening balance is of no interest here.
  nowMs += 10 * DAY;
  return fresh;
}

const AFTER = new Date(NOW + DAY).toISOString();

/** So many executions of one order in one millisecond. */
function fillAtOnce({ desk }: Scene, pieces: number): string[] {
  const order = liveOrder(desk, { qty: String(pieces) });
  const at = nanosOfMs(nowMs) + 500_000n;
  for (let piece = 1; piece <= pieces; piece++)
    desk.fill(order, 1e9, "100", {
      isLast: piece === pieces,
      timestamp: at + BigInt(piece),
    });
  nowMs += SECOND;
  return eventsOf(order.id, { desk });
}

/** Execution ids of an order's fills, in their order. */
function eventsOf(orderId: string, { desk }: Pick<Scene, "desk">): string[] {
  return [...desk.options.books.all(ALPHA.name, "events")]
    .map((body) => JSON.parse(body))
    .filter(({ event, order }) => order.id === orderId && /fill/.test(event))
    .map(({ execution_id }) => execution_id);
}

async function pages(
  from: Scene,
  query: string,
  size: number,
): Promise<Row[][]> {
  const read: Row[][] = [];
  for (let token: string | undefined; ;) {
    const page: Row[] = await from.get(
      `${PATH}?${query}&page_size=${size}${token === undefined ? "" : `&page_token=${token}`}`,
    );
    read.push(page);
    if (page.length < size) return read;
    token = page.at(-1)?.id;
  }
}

const idsOf = (rows: readonly Row[]) => rows.map(({ id }) => id);

describe("a fill", () => {
  test("shows the microsecond nearest to the stream's nanosecond, in the members of a recorded row", async () => {
    await using own = await freshScene();
    const order = liveOrder(own.desk);
    const at = nanosOfMs(Date.parse("2026-10-08T15:10:18.097Z")) + 464_903n;
    const { executionId } = own.desk.fill(order, 4e9, "99.5", {
      isLast: false,
      timestamp: at,
    });
    nowMs = Date.parse("2026-10-08T15:11:00Z");
    expect(await own.get(`${PATH}/FILL?after=${AFTER}`)).toEqual([
      {
        id: `20261008111018097::${executionId}`,
        activity_type: "FILL",
        transaction_time: "2026-10-08T15:10:18.097465Z",
        type: "partial_fill",
        price: "99.5",
        qty: "4",
        side: "buy",
        symbol: "AAPL",
        leaves_qty: "6",
        order_id: order.id,
        cum_qty: "4",
        order_status: "partially_filled",
      },
    ]);
  });

  test("ends in an id of its own when the venue keeps the stream's to itself", async () => {
    await using own = await openScene({ sharesExecutionIds: false });
    const order = liveOrder(own.desk);
    const { executionId } = own.desk.fill(order, 10e9, "99.5", {
      isLast: true,
    });
    const [fill] = await own.get(`${PATH}/FILL`);
    expect(fill.id).toMatch(/^\d{17}::[0-9a-f-]{36}$/);
    expect(fill.id).not.toContain(executionId);
  });

  test("is shown later than the stream tells it, and stands then below what was read", async () => {
    await using own = await freshScene();
    own.venue.inject({ kind: "fill-lag", byMs: 5000, count: 1 });
    const [late] = fillAtOnce(own, 1);
    const [early] = fillAtOnce(own, 1);
    const read = async () =>
      idsOf(await own.get(`${PATH}?direction=asc&after=${AFTER}`)).map((id) =>
        id.slice(19),
      );
    expect(await read()).toEqual([early ?? ""]);
    nowMs += 5 * SECOND;
    expect(await read()).toEqual([late ?? "", early ?? ""]);
  });
});

test("what is no trade has the members that apply to it, and no others", async () => {
  await using own = await freshScene();
  own.desk.book({
    type: "FEE",
    subType: "CAT",
    netCents: -3,
    description: "CAT fee",
    date: "2026-09-25",
    groupId: "b1c7e4fa-7cbb-4d4e-93b7-0b5bd8bd3b3f",
  });
  const [row] = await own.get(`${PATH}?after=${AFTER}`);
  const { id, created_at, ...rest } = row;
  expect(id).toMatch(/^20260926000000000::[0-9a-f-]{36}$/);
  expect(created_at).toStartWith("2026-09-26T14:00:00");
  expect(rest).toEqual({
    activity_type: "FEE",
    activity_sub_type: "CAT",
    date: "2026-09-25",
    net_amount: "-0.03",
    description: "CAT fee",
    group_id: "b1c7e4fa-7cbb-4d4e-93b7-0b5bd8bd3b3f",
    status: "executed",
    currency: "USD",
  });
});

describe("the pages of activities", () => {
  test("give every row once, by id: within one millisecond by uuid, not by execution", async () => {
    await using own = await freshScene();
    const executions = fillAtOnce(own, 9);
    const expected = executions.toSorted();
    expect(expected).not.toEqual(executions);
    for (const [direction, order] of [
      ["asc", expected],
      ["desc", expected.toReversed()],
    ] as const) {
      const read = await pages(own, `direction=${direction}&after=${AFTER}`, 4);
      expect(read.map(({ length }) => length)).toEqual([4, 4, 1]);
      expect(idsOf(read.flat()).map((id) => id.slice(19))).toEqual(order);
    }
  });

  test("lose rows of the stamp that a page ends with when the venue is told to, but not when asked by date", async () => {
    await using own = await freshScene();
    fillAtOnce(own, 6);
    fillAtOnce(own, 3);
    own.venue.inject({ kind: "seam-loss" });
    const query = `direction=asc&after=${AFTER}`;
    const lossy = await pages(own, query, 4);
    expect(lossy.map(({ length }) => length)).toEqual([4, 3]);
    expect((await pages(own, "date=2026-09-26", 4)).flat()).toHaveLength(9);
    own.venue.clear();
    expect((await pages(own, query, 4)).flat()).toHaveLength(9);
  });

  test("by date come all at once when the venue is told to", async () => {
    await using own = await freshScene();
    fillAtOnce(own, 120);
    const path = `${PATH}?date=2026-09-26`;
    expect(await own.get(path)).toHaveLength(100);
    own.venue.inject({ kind: "date-whole" });
    expect(await own.get(path)).toHaveLength(120);
    expect(await own.get(`${path}&page_size=110`)).toHaveLength(110);
    expect(await own.get(PATH)).toHaveLength(100);
  });

  test("take a row in below the cursor: what is booked later in the day, with a smaller uuid, is not seen by who goes on", async () => {
    await using own = await freshScene();
    const fee = (id: string) =>
      own.desk.book({
        type: "FEE",
        netCents: -1,
        description: "fee",
        id: `20260926000000000::${id.repeat(8)}-0000-4000-8000-000000000000`,
      });
    fee("5");
    const first = await own.get(`${PATH}?direction=asc&after=${AFTER}`);
    const token = first.at(-1).id;
    nowMs += HOUR;
    fee("4");
    fee("6");
    const rest = await own.get(
      `${PATH}?direction=asc&after=${AFTER}&page_token=${token}`,
    );
    expect(idsOf(rest).map((id) => id.slice(19, 20))).toEqual(["6"]);
  });

  test("go on from any id, whether there is such a row or not", async () => {
    await using own = await freshScene();
    fillAtOnce(own, 2);
    const read = (token: string, direction: string) =>
      own.get(
        `${PATH}?after=${AFTER}&direction=${direction}&page_token=${token}`,
      );
    expect(await read("20260926", "asc")).toHaveLength(2);
    expect(await read("20260927", "asc")).toEqual([]);
    expect(await read("20260927", "desc")).toHaveLength(2);
    expect(await read("0", "asc")).toHaveLength(2);
  });

  test("hold both rows of an event that share an id", async () => {
    await using own = await freshScene();
    const row = { netCents: 0, description: "Exercise" };
    const id = own.desk.book({ ...row, type: "OPEXC" });
    own.desk.book({ ...row, type: "OPTRD", id });
    const read: Row[] = await own.get(`${PATH}?after=${AFTER}&direction=asc`);
    expect(read.map((each) => `${each.id} ${each.activity_type}`)).toEqual([
      `${id} OPEXC`,
      `${id} OPTRD`,
    ]);
  });

  test("are read whole by the product's own reader, losses at the seams and all", async () => {
    await using own = await freshScene();
    for (let order = 0; order < 30; order++) fillAtOnce(own, 11);
    own.venue.inject({ kind: "seam-loss" });
    const rest = createAlpacaRest({
      account: { ...ALPHA, restUrl: own.venue.url },
      budget: new RateBudget({ perMinute: 10_000 }),
    });
    const read = new Set<string>();
    for await (const { rows } of activityPages(rest, {}, { priority: "live" }))
      for (const { raw } of rows) read.add(raw);
    const { books } = own.venue.exchange;
    expect([...read].toSorted()).toEqual(
      [...books.all(ALPHA.name, "activities")].toSorted(),
    );
  });
});

describe("activities are asked for", () => {
  let ids: Record<string, string>;
  beforeAll(() => {
    nowMs = NOW + 20 * DAY;
    const { desk } = scene;
    const order = liveOrder(desk, { qty: "2" });
    desk.fill(order, 1e9, "100", { isLast: false });
    const fee = desk.book({ type: "FEE", netCents: -1, description: "fee" });
    nowMs += DAY;
    desk.fill(order, 1e9, "100", { isLast: true });
    const dividend = desk.book({ type: "DIV", netCents: 9, description: "" });
    nowMs += SECOND;
    const fills = [...desk.options.books.all(ALPHA.name, "activities")]
      .map((body) => JSON.parse(body))
      .filter(({ activity_type }) => activity_type === "FILL");
    ids = {
      [fills[0].id]: "first",
      [fills[1].id]: "second",
      [fee]: "fee",
      [dividend]: "dividend",
    };
    orderId = order.id;
  });
  let orderId: string;

  test.each<[query: string, names: string[]]>([
    // A row without a time of day stands before every fill of its day.
    ["?direction=asc", ["opening", "fee", "first", "dividend", "second"]],
    ["", ["second", "dividend", "first", "fee", "opening"]],
    ["?page_size=1", ["second"]],
    ["/FILL", ["second", "first"]],
    ["?activity_types=FEE,DIV", ["dividend", "fee"]],
    ["?category=trade_activity", ["second", "first"]],
    ["?category=non_trade_activity&page_size=2", ["dividend", "fee"]],
    ["?date=2026-10-06", ["first", "fee"]],
    ["?date=2026-10-06T00:00:00Z", ["first", "fee"]],
    ["?after=2026-10-07", ["second", "dividend"]],
    ["?until=2026-10-07&after=2026-10-01", ["first", "fee"]],
    ["?until=9999-12-31&page_size=1", ["second"]],
    ["/FILL?after=1900-01-01", ["second", "first"]],
    ["?date=2026-10-08", []],
  ])("%s", async (query, names) => {
    const rows: Row[] = await scene.get(`${PATH}${query}`);
    expect(rows.map(({ id }) => ids[id] ?? "opening")).toEqual(names);
  });

  test("of one order", async () => {
    const rows: Row[] = await scene.get(`${PATH}?order_id=${orderId}`);
    expect(rows.map(({ id }) => ids[id])).toEqual(["second", "first"]);
  });

  test("at the very microsecond of a row: it comes again where its nanoseconds lie above", async () => {
    await using own = await freshScene();
    const order = liveOrder(own.desk, { qty: "2" });
    const at = nanosOfMs(nowMs);
    for (const [piece, isLast] of [
      [100n, false],
      [1900n, true],
    ] as const)
      own.desk.fill(order, 1e9, "100", { isLast, timestamp: at + piece });
    nowMs += SECOND;
    const rows = await own.get(`${PATH}/FILL?direction=asc`);
    const times = rows.map((row: { transaction_time: string }) =>
      row.transaction_time.slice(19),
    );
    expect(times.toSorted()).toEqual([".000002Z", "Z"]);
    const after = async (time: string) =>
      await own.get(`${PATH}/FILL?after=2026-09-26T14:00:00${time}`);
    expect(await after("Z")).toHaveLength(2);
    expect(await after(".000002Z")).toHaveLength(0);
  });

  test("by who has none of them", async () => {
    const { body } = await scene.call(
      "GET",
      `${PATH}/FILL`,
      undefined,
      keysOf(BETA),
    );
    expect(body).toEqual([]);
  });

  test.each([
    ["?activity_types=FFFFF", "invalid activity type: FFFFF"],
    ["/FFFFF", "invalid activity type: FFFFF"],
    ["?activity_types=FILL,", "invalid activity type: "],
    ["?category=all", "invalid category: all"],
    [
      "?category=trade_activity&activity_types=FILL",
      "activity_types excludes category",
    ],
    ["?page_size=0", "invalid page_size: 0"],
    ["?page_size=101", "invalid page_size: 101"],
    ["?direction=down", "invalid direction: down"],
    ["?date=today", "invalid date: today"],
    ["?after=2026-13-01", "invalid after: 2026-13-01"],
    ["?until=2026-09-16T14:00", "invalid until: 2026-09-16T14:00"],
  ])("wrongly, and refused: %s", async (query, message) => {
    const { status, body } = await scene.call("GET", `${PATH}${query}`);
    expect([status, body]).toEqual([422, { code: 40010001, message }]);
  });
});

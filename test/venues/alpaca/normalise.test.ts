/** Alpaca's texts as rows of the raw layer: every event, every member, and the text itself untouched. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { AccountRecord } from "../../../schema/messages.ts";
import { elementTexts, MalformedError } from "../../../schema/read.ts";
import type {
  AccountRows,
  ActivityRow,
  OrderRow,
} from "../../../schema/rows.ts";
import {
  activityOf,
  rowsOfRecord,
  rowsOfTradeUpdate,
} from "../../../src/venues/alpaca/normalise.ts";
import { readTradeFrame } from "../../../src/venues/alpaca/tradeUpdates.ts";
import { type Members, uuid } from "../../support/accountScript.ts";
import {
  EXECUTION_ID,
  FILLED,
  fillPages,
  legacyFills,
  ORDER_ID,
  sessions,
  streamOrder,
  updateData,
} from "./frames.ts";

const NOTHING: AccountRows = { orders: [], events: [], activities: [] };

function recordOf(kind: AccountRecord["kind"], raw: string): AccountRecord {
  return { account: "alpha", kind, raw, receivedAtMs: 0 };
}

function rowsOfOrder(raw: string): AccountRows {
  return rowsOfRecord(recordOf("order", raw));
}

/** The row of a REST order with these members. */
function orderRow(more: Members): OrderRow | undefined {
  return rowsOfOrder(JSON.stringify(streamOrder(more))).orders[0];
}

/** The execution that a fill event stands for. */
function executionOf(more: Members = {}): ActivityRow | undefined {
  return rowsOfTradeUpdate(updateData("fill", { ...FILLED, ...more }))
    .activities[0];
}

function fillRow(more: Members = {}): ActivityRow {
  return activityOf(
    JSON.stringify({
      activity_type: "FILL",
      id: `20260917100001001::${EXECUTION_ID}`,
      transaction_time: "2026-09-17T14:00:01.0015Z",
      type: "fill",
      price: "200.40",
      qty: "12.5",
      side: "sell",
      symbol: "SOL/USD",
      leaves_qty: "0",
      order_id: ORDER_ID,
      cum_qty: "12.5",
      order_status: "filled",
      ...more,
    }),
  );
}

function digest(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

describe("a fill on the stream", () => {
  test("is the order's state, the event and the execution", () => {
    const raw = updateData("fill", FILLED);
    expect(rowsOfTradeUpdate(raw)).toEqual({
      orders: [
        {
          id: ORDER_ID,
          client_order_id: "client-1",
          request_id: null,
          parent_id: null,
          replaced_by: null,
          replaces: null,
          symbol: "SOL/USD",
          side: "sell",
          order_type: "market",
          status: "filled",
          qty: "12.5",
          filled_qty: "12.5",
          filled_avg_price: "200.40",
          limit_price: null,
          stop_price: null,
          created_at: "2026-09-17T14:00:01.000200Z",
          updated_at: "2026-09-17T14:00:01.002501Z",
          submitted_at: "2026-09-17T14:00:01.000200Z",
          filled_at: "2026-09-17T14:00:01.001500Z",
          expired_at: null,
          canceled_at: null,
          replaced_at: null,
          expires_at: "2026-12-15T21:00:00.000000Z",
          legs: null,
          raw_json: JSON.stringify(streamOrder(FILLED.order)),
          version: 1_789_653_601_002_500_800n,
          mayLower: false,
        },
      ],
      events: [
        {
          event_key: "01M2R2X1GBAAAAAAAAAAAAAAAA",
          order_id: ORDER_ID,
          event: "fill",
          execution_id: EXECUTION_ID,
          event_at: "2026-09-17T14:00:01.001500Z",
          raw_json: raw,
        },
      ],
      activities: [
        {
          id: `20260917100001001::${EXECUTION_ID}`,
          activity_type: "FILL",
          transaction_time: "2026-09-17T14:00:01.001500Z",
          symbol: "SOL/USD",
          side: "sell",
          qty: "12.5",
          price: "200.40",
          net_amount: "2505.000",
          execution_id: EXECUTION_ID,
          order_id: ORDER_ID,
          cum_qty: "12.5",
          raw_json: raw,
          path: "stream",
        },
      ],
    });
  });

  test("and its twin by REST are one row, but for the text and where it came from", () => {
    const { raw_json: _, ...byRest } = fillRow();
    const { raw_json: __, ...byStream } = executionOf() ?? fillRow();
    expect(byStream).toEqual({ ...byRest, path: "stream" });
  });
});

describe.each(sessions)("a session %s", (_, frames) => {
  const updates = frames.slice(2).map((frame) => {
    const reading = readTradeFrame(frame);
    if (reading.type !== "update") throw new Error("no update");
    return reading;
  });
  const rows = updates.map(({ raw }) => rowsOfTradeUpdate(raw));

  test("writes an order's state and an event with each update, and one execution in all", () => {
    expect(
      rows.map(({ orders, events, activities }) => [
        orders.map(({ status }) => status),
        events.map(({ event, execution_id }) => [event, execution_id !== null]),
        activities.length,
      ]),
    ).toEqual([
      [["pending_new"], [["pending_new", false]], 0],
      // An execution id, and yet nothing was executed.
      [["new"], [["new", true]], 0],
      [["filled"], [["fill", true]], 1],
    ]);
  });

  test("keeps the venue's keys, its order of states, and every text inside its frame", () => {
    const versions = rows.map(({ orders }) => orders[0]?.version ?? 0n);
    expect(versions.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(versions);
    for (const [at, { orders, events, activities }] of rows.entries()) {
      const { raw, data } = updates[at]!;
      expect(events.map(({ event_key }) => event_key)).toEqual([
        String(data["event_id"]),
      ]);
      expect(raw).toContain(`"order":${orders[0]?.raw_json}`);
      for (const { raw_json } of [...events, ...activities])
        expect(raw_json).toBe(raw);
    }
  });

  test("tells of its execution what the frame tells, each number as it is written", () => {
    const { data } = updates[2]!;
    const order = data["order"] as Members;
    expect(rows[2]?.activities).toMatchObject([
      {
        id: expect.stringMatching(
          new RegExp(`^202609\\d{11}::${String(data["execution_id"])}$`),
        ),
        symbol: order["symbol"],
        side: "sell",
        qty: data["qty"],
        price: data["price"],
        cum_qty: order["filled_qty"],
        order_id: order["id"],
        net_amount: expect.stringMatching(/^\d+\.\d+$/),
      },
    ]);
  });
});

test.each(legacyFills)(
  "a fill of years ago, %s, is known by its text and has its times in UTC",
  (_, frame) => {
    const reading = readTradeFrame(frame);
    if (reading.type !== "update") throw new Error("no update");
    const { orders, events, activities } = rowsOfTradeUpdate(reading.raw);
    expect(events[0]?.event_key).toBe(digest(reading.raw));
    const { created_at, updated_at, filled_at } = orders[0] ?? {};
    // Written with New York's offset, four or five hours behind.
    const [date, hour = ""] = created_at?.split(/[T:]/) ?? [];
    expect(filled_at).toStartWith(`${date}T`);
    expect(Number(hour)).toBeGreaterThanOrEqual(14);
    expect(Date.parse(updated_at ?? "")).toBeGreaterThan(
      Date.parse(filled_at ?? ""),
    );
    expect(activities.map(({ transaction_time }) => transaction_time)).toEqual([
      filled_at ?? null,
    ]);
  },
);

test.each(fillPages)("a fill by REST, %s, keeps its id and text", (_, page) => {
  const [raw = ""] = elementTexts(page);
  const { id, ...members } = JSON.parse(raw);
  expect(activityOf(raw)).toMatchObject({
    id,
    execution_id: id.slice(19),
    transaction_time: "2022-12-28T12:19:29.579352Z",
    price: members.price,
    qty: members.qty,
    cum_qty: members.cum_qty,
    order_id: members.order_id,
    symbol: members.symbol,
    side: members.side,
    net_amount: `${members.side === "buy" ? "-" : ""}4.7117`,
    raw_json: raw,
  });
});

describe("events", () => {
  const execution = { execution_id: EXECUTION_ID, price: "200.40", qty: "5" };

  test.each([
    ["pending_new", "pending_new", 0],
    ["accepted", "accepted", 0],
    ["new", "new", 0],
    ["partial_fill", "partially_filled", 1],
    ["fill", "filled", 1],
    ["canceled", "canceled", 0],
    ["expired", "expired", 0],
    ["done_for_day", "done_for_day", 0],
    ["replaced", "replaced", 0],
    ["rejected", "rejected", 0],
    ["stopped", "stopped", 0],
    ["suspended", "suspended", 0],
    ["calculated", "calculated", 0],
    ["pending_cancel", "pending_cancel", 0],
    ["pending_replace", "pending_replace", 0],
    ["order_cancel_rejected", "new", 0],
    ["order_replace_rejected", "new", 0],
    ["restated", "new", 0],
    ["held", "held", 0],
    ["trade_bust", "canceled", 0],
    ["trade_correct", "filled", 0],
    ["pending_review", "pending_review", 0],
    ["an event of tomorrow", "a status of tomorrow", 0],
  ])("%s: its order is %s, executions: %d", (event, status, executions) => {
    const raw = updateData(event, {
      ...execution,
      order: { status, filled_qty: "5" },
    });
    const rows = rowsOfTradeUpdate(raw);
    expect({
      orders: rows.orders.map((order) => [order.id, order.status]),
      events: rows.events,
      activities: rows.activities.length,
    }).toEqual({
      orders: [[ORDER_ID, status]],
      events: [
        {
          event_key: "01M2R2X1GBAAAAAAAAAAAAAAAA",
          order_id: ORDER_ID,
          event,
          execution_id: EXECUTION_ID,
          event_at: "2026-09-17T14:00:01.001500Z",
          raw_json: raw,
        },
      ],
      activities: executions,
    });
  });

  test("a bust and a correction let the filled quantity fall, nothing else on the stream does", () => {
    const mayLower = (event: string) =>
      rowsOfTradeUpdate(
        updateData(event, {
          qty: "-5",
          execution_id: EXECUTION_ID,
          previous_execution_id: uuid(4),
        }),
      ).orders.map((order) => order.mayLower);
    expect(mayLower("trade_bust")).toEqual([true]);
    expect(mayLower("trade_correct")).toEqual([true]);
    expect(mayLower("fill")).toEqual([false]);
    expect(mayLower("canceled")).toEqual([false]);
    expect(mayLower("restated")).toEqual([false]);
  });

  test("a bust keeps what it revokes in its text", () => {
    const raw = updateData("trade_bust", {
      qty: "-5",
      price: "200.40",
      execution_id: EXECUTION_ID,
      previous_execution_id: uuid(4),
    });
    const { events, activities } = rowsOfTradeUpdate(raw);
    expect(events).toMatchObject([
      { event: "trade_bust", execution_id: EXECUTION_ID, raw_json: raw },
    ]);
    expect(JSON.parse(events[0]?.raw_json ?? "")).toMatchObject({
      previous_execution_id: uuid(4),
    });
    expect(activities).toEqual([]);
  });

  test.each([
    ["timestamp, in nanoseconds", {}, "2026-09-17T14:00:01.001500Z"],
    [
      "when it was published",
      { timestamp: undefined },
      "2026-09-17T14:00:01.003010Z",
    ],
    ["nothing", { timestamp: null, at: "" }, null],
  ])("are dated by %s", (_, more, expected) => {
    const { events } = rowsOfTradeUpdate(updateData("new", more));
    expect(events.map(({ event_at }) => event_at)).toEqual([expected]);
  });

  test("without an event id are known by their text, so the same message twice is one row", () => {
    const raw = updateData("new", { event_id: undefined });
    const other = updateData("new", { event_id: undefined, at: null });
    const key = (text: string) => rowsOfTradeUpdate(text).events[0]?.event_key;
    expect(key(raw)).toBe(digest(raw));
    expect(key(other)).toBe(digest(other));
  });

  test("without an order are kept, and claim no execution", () => {
    const raw = updateData("fill", { ...FILLED, order: null });
    expect(rowsOfTradeUpdate(raw)).toMatchObject({
      orders: [],
      events: [{ event: "fill", order_id: null, raw_json: raw }],
      activities: [],
    });
  });
});

describe("the synthetic id of a fill", () => {
  test.each([
    ["2026-10-08T15:10:18.097464903Z", "20261008111018097"],
    ["2026-10-08T15:10:19.730663084Z", "20261008111019730"],
    ["2026-10-08T15:10:24.01080215Z", "20261008111024010"],
    ["2026-10-08T15:10:18.0979995Z", "20261008111018098"],
    ["2026-10-09T03:59:59.9999995Z", "20261009000000000"],
  ])("of %s begins with %s", (timestamp, stamp) => {
    expect(executionOf({ timestamp })?.id).toBe(`${stamp}::${EXECUTION_ID}`);
  });

  test.each([
    ["the time of publication", { timestamp: null }, "20260917100001003"],
    ["nothing", { timestamp: null, at: null }, "stream_"],
  ])("falls back to %s", (_, more, prefix) => {
    const { id, transaction_time } = executionOf(more) ?? fillRow();
    expect(id).toBe(
      prefix === "stream_"
        ? `stream_${EXECUTION_ID}`
        : `${prefix}::${EXECUTION_ID}`,
    );
    expect(transaction_time === null).toBe(prefix === "stream_");
  });

  test("without an execution id names the order and what was filled after it", () => {
    const { id, execution_id, order_id, cum_qty } =
      executionOf({ execution_id: undefined }) ?? fillRow();
    expect({ id, execution_id, order_id, cum_qty }).toEqual({
      id: `20260917100001001::${ORDER_ID}:12.5`,
      execution_id: null,
      order_id: ORDER_ID,
      cum_qty: "12.5",
    });
  });

  test.each([undefined, null, "0", "0.00"])(
    "without either names the message: a filled quantity of %p after a fill is no quantity",
    (filled_qty) => {
      const raw = updateData("fill", {
        ...FILLED,
        execution_id: undefined,
        order: { ...FILLED.order, filled_qty },
      });
      expect(rowsOfTradeUpdate(raw).activities).toMatchObject([
        {
          id: `20260917100001001::${ORDER_ID}:${digest(raw)}:0`,
          execution_id: null,
          cum_qty: null,
        },
      ]);
    },
  );

  test("execution ids are read in lower case on both paths", () => {
    const upper = EXECUTION_ID.replace("4000-8000", "4AAA-8BBB");
    expect(executionOf({ execution_id: upper })?.execution_id).toBe(
      upper.toLowerCase(),
    );
    expect(fillRow({ id: `20260917100001001::${upper}` })).toMatchObject({
      id: `20260917100001001::${upper}`,
      execution_id: upper.toLowerCase(),
    });
  });
});

describe("cash that a fill moves", () => {
  test.each([
    ["buy", "12.5", "200.40", "-2505.000"],
    ["sell", "12.5", "200.40", "2505.000"],
    ["sell_short", "3", "10", "30"],
    ["buy_minus", "3", "10", "-30"],
    ["SELL", "3", "10", "30"],
    ["Buy", "3", "10", "-30"],
    // What a double cannot hold.
    ["buy", "0.000000001", "0.0851119", "-0.0000000000851119"],
    [
      "sell",
      "123456789.123456789",
      "98765.4321",
      "12193263123456.7900112635269",
    ],
    ["buy", "0", "10", "0"],
    // What is not known is not zero.
    ["buy", null, "10", null],
    ["buy", "3", null, null],
    ["buy", "3", "", null],
    ["", "3", "10", null],
    [null, "3", "10", null],
    ["cross", "3", "10", null],
  ])("%s %s at %s: %s", (side, qty, price, net) => {
    const byStream = executionOf({ qty, price, order: { side } });
    expect(byStream?.net_amount).toBe(net);
    expect(fillRow({ qty, price, side }).net_amount).toBe(net);
    expect(byStream?.side).toBe(side?.toLowerCase() || null);
  });

  test("is the venue's own word where it gives one", () => {
    expect(fillRow({ net_amount: "-1.25" }).net_amount).toBe("-1.25");
  });
});

describe("an order of several legs", () => {
  const [buying, selling] = [uuid(21), uuid(22)];
  const leg = (id: string, side: string, more: Members = {}) =>
    streamOrder({
      id,
      symbol: side === "buy" ? "AAPL261218C00200000" : "AAPL261218C00210000",
      asset_class: "us_option",
      order_class: "mleg",
      order_type: "",
      type: "",
      side,
      qty: "2",
      filled_qty: "2",
      ratio_qty: "1",
      status: "filled",
      ...more,
    });
  const execution = (number: number, orderId: string, more: Members = {}) => ({
    execution_id: uuid(number),
    qty: "2",
    price: number === 31 ? "5.10" : "1.20",
    order_id: orderId,
    symbol: number === 31 ? "AAPL261218C00200000" : "AAPL261218C00210000",
    timestamp: "2026-09-17T14:00:01.0025Z",
    ...more,
  });
  const parent = (more: Members = {}) => ({
    symbol: "",
    asset_class: "",
    asset_id: "00000000-0000-0000-0000-000000000000",
    order_class: "mleg",
    order_type: "limit",
    type: "limit",
    side: "buy",
    qty: "2",
    filled_qty: "2",
    status: "filled",
    legs: [leg(buying, "buy"), leg(selling, "sell")],
    ...more,
  });
  const update = (more: Members = {}) =>
    updateData("fill", {
      order: parent(),
      price: "3.90",
      qty: "2",
      position_qtys: { AAPL261218C00200000: "2", AAPL261218C00210000: "-2" },
      legs: [execution(31, buying), execution(32, selling)],
      ...more,
    });

  test("is a row, each leg is one that names its parent, and each leg's execution", () => {
    const raw = update();
    const { orders, events, activities } = rowsOfTradeUpdate(raw);
    expect(
      orders.map(({ id, parent_id, symbol, side, order_type }) => ({
        id,
        parent_id,
        symbol,
        side,
        order_type,
      })),
    ).toEqual([
      {
        id: ORDER_ID,
        parent_id: null,
        symbol: "",
        side: "buy",
        order_type: "limit",
      },
      {
        id: buying,
        parent_id: ORDER_ID,
        symbol: "AAPL261218C00200000",
        side: "buy",
        order_type: "",
      },
      {
        id: selling,
        parent_id: ORDER_ID,
        symbol: "AAPL261218C00210000",
        side: "sell",
        order_type: "",
      },
    ]);
    expect(events.map((row) => [row.order_id, row.execution_id])).toEqual([
      [ORDER_ID, null],
    ]);
    const common = {
      activity_type: "FILL",
      transaction_time: "2026-09-17T14:00:01.002500Z",
      qty: "2",
      cum_qty: "2",
      raw_json: raw,
      path: "stream",
    } as const;
    // The parent's side is that of the spread: a leg has its own.
    expect(activities).toEqual([
      {
        ...common,
        id: `20260917100001002::${uuid(31)}`,
        symbol: "AAPL261218C00200000",
        side: "buy",
        price: "5.10",
        net_amount: "-10.20",
        execution_id: uuid(31),
        order_id: buying,
      },
      {
        ...common,
        id: `20260917100001002::${uuid(32)}`,
        symbol: "AAPL261218C00210000",
        side: "sell",
        price: "1.20",
        net_amount: "2.40",
        execution_id: uuid(32),
        order_id: selling,
      },
    ]);
  });

  test("keeps the text of its legs, and of each leg", () => {
    const raw = update();
    const { orders } = rowsOfTradeUpdate(raw);
    expect(orders[0]?.legs).toBe(
      `[${orders[1]?.raw_json},${orders[2]?.raw_json}]`,
    );
    expect(raw).toContain(`"legs":${orders[0]?.legs}`);
    expect(orders[1]?.raw_json).toBe(JSON.stringify(leg(buying, "buy")));
  });

  test.each([
    ["the leg's own word", { side: "SELL" }, parent(), "sell", "10.20"],
    // A leg that nobody describes is not bought because the spread is.
    ["nobody", {}, parent({ legs: null }), null, null],
    ["nobody", { order_id: undefined }, parent(), null, null],
  ])("the side of a leg is told by %s", (_, more, order, side, net_amount) => {
    const [row] = rowsOfTradeUpdate(
      update({ order, legs: [execution(31, buying, more)] }),
    ).activities;
    expect(row).toMatchObject({ side, net_amount });
  });

  test("legs without a time of their own take the event's, those without a symbol their order's", () => {
    const rows = rowsOfTradeUpdate(
      update({
        legs: [
          execution(31, buying, { timestamp: undefined, symbol: undefined }),
        ],
      }),
    ).activities;
    expect(rows).toMatchObject([
      {
        id: `20260917100001001::${uuid(31)}`,
        symbol: "AAPL261218C00200000",
      },
    ]);
  });

  test("legs without any id are still as many executions as there are legs", () => {
    const nameless = { execution_id: undefined, order_id: undefined };
    const legs = [
      execution(31, buying, nameless),
      execution(32, selling, nameless),
    ];
    const { activities } = rowsOfTradeUpdate(update({ legs }));
    expect(new Set(activities.map(({ id }) => id)).size).toBe(2);
    expect(activities.map(({ order_id }) => order_id)).toEqual([
      ORDER_ID,
      ORDER_ID,
    ]);
    // The same message twice is the same two.
    expect(rowsOfTradeUpdate(update({ legs })).activities).toEqual(activities);
  });

  test("legs without an execution id are known by their own order", () => {
    const legs = [execution(31, buying, { execution_id: undefined })];
    expect(rowsOfTradeUpdate(update({ legs })).activities).toMatchObject([
      { id: `20260917100001002::${buying}:2`, order_id: buying, cum_qty: "2" },
    ]);
  });

  test.each([[[]], [null], [undefined], ["legs"]])(
    "legs that are %p are none: the event's own execution counts",
    (legs) => {
      expect(
        rowsOfTradeUpdate(updateData("fill", { ...FILLED, legs })).activities,
      ).toMatchObject([{ execution_id: EXECUTION_ID }]);
    },
  );
});

describe("an order by REST", () => {
  test("may lower what was filled: it is the venue's later word", () => {
    expect(orderRow({})?.mayLower).toBe(true);
    expect(rowsOfOrder(JSON.stringify(streamOrder()))).toMatchObject({
      events: [],
      activities: [],
    });
  });

  test("brings the legs of its legs", () => {
    const raw = JSON.stringify(
      streamOrder({
        legs: [
          streamOrder({
            id: uuid(11),
            legs: [streamOrder({ id: uuid(12) })],
          }),
          streamOrder({ id: uuid(13) }),
        ],
      }),
    );
    expect(
      rowsOfOrder(raw).orders.map(({ id, parent_id, mayLower }) => [
        id,
        parent_id,
        mayLower,
      ]),
    ).toEqual([
      [ORDER_ID, null, true],
      [uuid(11), ORDER_ID, true],
      [uuid(12), uuid(11), true],
      [uuid(13), ORDER_ID, true],
    ]);
  });

  test.each<[keyof OrderRow, Members, unknown]>([
    [
      "id",
      { id: ORDER_ID.replace("4000", "4ABC") },
      ORDER_ID.replace("4000", "4abc"),
    ],
    ["request_id", { request_id: "r-1" }, "r-1"],
    ["client_order_id", { client_order_id: "" }, null],
    ["parent_id", { parent_order_id: "p-1" }, "p-1"],
    ["parent_id", { parent_id: "p-2" }, "p-2"],
    ["replaced_by", { replaced_by: "o-2" }, "o-2"],
    ["replaces", { replaces: "o-0" }, "o-0"],
    ["symbol", { symbol: "brk.b" }, "BRK.B"],
    ["symbol", { symbol: null }, ""],
    ["side", { side: "BUY" }, "buy"],
    ["side", { side: undefined }, ""],
    ["order_type", { order_type: "LIMIT", type: "market" }, "limit"],
    ["order_type", { order_type: undefined, type: "stop" }, "stop"],
    ["order_type", { order_type: "", type: "" }, ""],
    ["status", { status: "FILLED" }, "filled"],
    ["status", { status: "accepted_for_bidding" }, "accepted_for_bidding"],
    ["qty", { qty: null, notional: "100" }, null],
    ["qty", { qty: "1.50" }, "1.50"],
    ["filled_qty", { filled_qty: null }, "0"],
    ["filled_qty", { filled_qty: "0.000000001" }, "0.000000001"],
    ["filled_avg_price", { filled_avg_price: "10.00" }, "10.00"],
    ["limit_price", { limit_price: "-0.05" }, "-0.05"],
    ["stop_price", { stop_price: "9" }, "9"],
    [
      "expired_at",
      { expired_at: "2026-09-17T20:00:00.1Z" },
      "2026-09-17T20:00:00.100000Z",
    ],
    [
      "canceled_at",
      { canceled_at: "2026-09-17T20:00:00-04:00" },
      "2026-09-18T00:00:00.000000Z",
    ],
    [
      "replaced_at",
      { replaced_at: "2026-09-17T20:00:00Z" },
      "2026-09-17T20:00:00.000000Z",
    ],
    [
      "filled_at",
      { filled_at: "0001-01-01T00:00:00Z" },
      "0001-01-01T00:00:00.000000Z",
    ],
    ["created_at", { created_at: undefined }, null],
    ["updated_at", { updated_at: null }, null],
    ["version", { updated_at: null }, 0n],
    [
      "version",
      { updated_at: "1970-01-01T00:00:01.000000001Z" },
      1_000_000_001n,
    ],
    ["legs", { legs: [] }, null],
    ["legs", { legs: null }, null],
    ["legs", { legs: {} }, null],
  ])("%s of %j is %p", (column, members, expected) => {
    expect(orderRow(members)?.[column]).toBe(expected as never);
  });
});

describe("an activity", () => {
  const fee = {
    activity_type: "fee",
    activity_sub_type: "CAT",
    id: `20260918000000000::${uuid(40)}`,
    date: "2026-09-17",
    created_at: "2026-09-18T11:00:00.123456Z",
    net_amount: "-0.01",
    currency: "USD",
    description: "CAT fee",
    status: "executed",
  };

  test("that is no trade keeps its sign and names no execution", () => {
    const raw = JSON.stringify(fee);
    expect(activityOf(raw)).toEqual({
      id: fee.id,
      activity_type: "FEE",
      transaction_time: "2026-09-17T00:00:00.000000Z",
      symbol: null,
      side: null,
      qty: null,
      price: null,
      net_amount: "-0.01",
      execution_id: null,
      order_id: null,
      cum_qty: null,
      raw_json: raw,
      path: "rest",
    });
  });

  test("in a coin keeps its tiny amounts and its zero", () => {
    expect(
      activityOf(
        JSON.stringify({
          ...fee,
          activity_type: "CFEE",
          net_amount: "0",
          symbol: "ethusd",
          qty: "-0.000195",
          price: "1884.5",
        }),
      ),
    ).toMatchObject({
      activity_type: "CFEE",
      symbol: "ETHUSD",
      qty: "-0.000195",
      price: "1884.5",
      net_amount: "0",
    });
  });

  test.each([
    "TRANS",
    "JNLC",
    "CSD",
    "DIV",
    "OPEXC",
    "OCT",
    "A_TYPE_OF_TOMORROW",
  ])("of type %s has no cash but what the venue says", (activity_type) => {
    expect(
      activityOf(
        JSON.stringify({
          ...fee,
          activity_type,
          net_amount: null,
          qty: "2",
          price: "3",
          side: "buy",
        }),
      ),
    ).toMatchObject({ activity_type, net_amount: null, execution_id: null });
  });

  test.each<[string, Members, string | null]>([
    [
      "transaction_time",
      { transaction_time: "2026-09-17T14:00:01.5Z" },
      "2026-09-17T14:00:01.500000Z",
    ],
    ["its date", { activity_time: undefined }, "2026-09-17T00:00:00.000000Z"],
    [
      "activity_time",
      { activity_time: "2026-09-16T01:00:00Z" },
      "2026-09-16T01:00:00.000000Z",
    ],
    ["when it was booked", { date: null }, "2026-09-18T11:00:00.123456Z"],
    [
      "the next that can be read",
      { date: "17 September" },
      "2026-09-18T11:00:00.123456Z",
    ],
    [
      "the next that can be read",
      { date: "2026-02-30" },
      "2026-09-18T11:00:00.123456Z",
    ],
    ["nothing", { date: null, created_at: "soon" }, null],
  ])("is dated by %s", (_, more, expected) => {
    expect(
      activityOf(JSON.stringify({ ...fee, ...more })).transaction_time,
    ).toBe(expected);
  });

  test.each([
    [`20260917100001001::${uuid(2)}`, uuid(2)],
    // A fill of some other make: its id is kept, and claims no execution.
    ["20260917100001001::7c1e", null],
    [uuid(2), null],
    ["20260917100001001", null],
    [`::${uuid(2)}`, uuid(2)],
    [`1${uuid(2)}`, null],
  ])("a fill with id %s is execution %p", (id, execution_id) => {
    expect(fillRow({ id })).toMatchObject({ id, execution_id });
  });

  test("unknown numbers of a fill are unknown, not nothing", () => {
    expect(
      fillRow({ qty: null, price: "", cum_qty: undefined, order_id: null }),
    ).toMatchObject({
      qty: null,
      price: null,
      net_amount: null,
      cum_qty: null,
      order_id: null,
    });
  });
});

describe("a record", () => {
  test("is read by its kind", () => {
    const update = updateData("fill", FILLED);
    expect(rowsOfRecord(recordOf("trade_update", update))).toEqual(
      rowsOfTradeUpdate(update),
    );
    const { raw_json: activity } = fillRow();
    expect(rowsOfRecord(recordOf("activity", activity))).toEqual({
      ...NOTHING,
      activities: [activityOf(activity)],
    });
    expect(rowsOfRecord(recordOf("coverage", "{}"))).toEqual(NOTHING);
    expect(rowsOfRecord(recordOf("malformed", "\u0001"))).toEqual(NOTHING);
  });

  test("keeps the venue's text to the letter, whatever is in it", () => {
    const extra = fc
      .record({
        name: fc.string(),
        value: fc.oneof(
          fc.jsonValue().map((value) => JSON.stringify(value, undefined, 1)),
          fc.constantFrom("1.10", "7446469938634049684", "1E400", '"\\u0041"'),
        ),
      })
      .map(({ name, value }) => `${JSON.stringify(`x${name}`)} :\t${value}`);
    fc.assert(
      fc.property(extra, (member) => {
        const inside = (text: string) => `{ ${member} , ${text.slice(1)}`;
        const leg = inside(JSON.stringify(streamOrder({ id: uuid(11) })));
        const order = inside(JSON.stringify(streamOrder(FILLED.order))).replace(
          '"legs":null',
          () => `"legs" : [ ${leg} ]`,
        );
        const { order: _, ...more } = FILLED;
        const update = inside(
          updateData("fill", { ...more, order: null }),
        ).replace('"order":null', () => `"order": ${order}`);
        const { orders, events, activities } = rowsOfTradeUpdate(update);
        expect([
          ...orders.map(({ raw_json }) => raw_json),
          orders[0]?.legs,
          ...events.map(({ raw_json }) => raw_json),
          ...activities.map(({ raw_json }) => raw_json),
        ]).toEqual([order, leg, `[ ${leg} ]`, update, update]);
        const activity = inside(fillRow().raw_json);
        expect(activityOf(activity).raw_json).toBe(activity);
      }),
    );
  });

  test.each<[kind: AccountRecord["kind"], raw: string, complaint: string]>([
    ["trade_update", "", "not JSON"],
    ["trade_update", '{"event":"fill"', "not JSON"],
    ["trade_update", "[]", "not a JSON object"],
    ["trade_update", "{}", "trade update without event"],
    ["trade_update", '{"event":""}', "trade update without event"],
    ["trade_update", '{"event":{}}', "a text is expected"],
    [
      "trade_update",
      updateData("new", { execution_id: "7" }),
      "execution_id is no UUID: 7",
    ],
    [
      "trade_update",
      updateData("new", { timestamp: "now" }),
      "timestamp is no time: now",
    ],
    [
      "trade_update",
      updateData("fill", { ...FILLED, qty: "1,5" }),
      "qty is no decimal: 1,5",
    ],
    [
      "trade_update",
      updateData("fill", { ...FILLED, price: "NaN" }),
      "price is no decimal: NaN",
    ],
    [
      "trade_update",
      updateData("new", { order: { id: null } }),
      "order without id",
    ],
    ["order", "7", "not a JSON object"],
    ["order", "{}", "order without id"],
    ["order", '{"id":"1"}', "order id is no UUID: 1"],
    ["order", `{"id":"${ORDER_ID}"}`, "order without status"],
    [
      "order",
      JSON.stringify(streamOrder({ updated_at: "2026-02-30T00:00:00Z" })),
      "updated_at is no time: 2026-02-30T00:00:00Z",
    ],
    [
      "order",
      JSON.stringify(streamOrder({ filled_at: "yesterday" })),
      "filled_at is no time: yesterday",
    ],
    [
      "order",
      JSON.stringify(streamOrder({ limit_price: "$5" })),
      "limit_price is no decimal: $5",
    ],
    ["order", JSON.stringify(streamOrder({ legs: [7] })), "not a JSON object"],
    ["order", JSON.stringify(streamOrder({ legs: [{}] })), "order without id"],
    ["activity", "null", "not a JSON object"],
    ["activity", '{"activity_type":"FILL"}', "activity without id"],
    ["activity", '{"id":"1"}', "activity without activity_type"],
    [
      "activity",
      '{"id":"1","activity_type":"FEE","net_amount":"-"}',
      "net_amount is no decimal: -",
    ],
    [
      "activity",
      '{"id":"1","activity_type":"FILL","order_id":"x"}',
      "order_id is no UUID: x",
    ],
  ])("%s %s is malformed: %s", (kind, raw, complaint) => {
    expect(() => rowsOfRecord(recordOf(kind, raw))).toThrow(
      new MalformedError(complaint),
    );
  });
});

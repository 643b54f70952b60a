import { describe, expect, test } from "bun:test";
import { Chance } from "../../../src/venues/simulated/chance.ts";
import {
  centsOf,
  executed,
  positionAfter,
} from "../../../src/venues/simulated/holdings.ts";
import {
  createOrder,
  decimalText,
  legRequests,
  nanoqty,
  type OrderRequest,
  qtyText,
  restOrder,
  successorOf,
} from "../../../src/venues/simulated/order.ts";
import { recorded } from "../../support/recorded.ts";
import { nanosOfMs } from "../../../src/venues/simulated/stamps.ts";

const REQUEST: OrderRequest = {
  symbol: "AAPL",
  side: "buy",
  type: "limit",
  qty: "10",
  limitPrice: "100",
};

function order(request: Partial<OrderRequest> = {}, at = NOON, held = 0) {
  return createOrder(
    { ...REQUEST, ...request },
    nanosOfMs(Date.parse(at)),
    held,
    new Chance(1),
  );
}

/** A Wednesday. */
const NOON = "2026-09-16T16:00:00Z";

describe("an order", () => {
  // As a recorded frame of the real venue has them.
  const MEMBERS =
    "id client_order_id created_at updated_at submitted_at filled_at expired_at cancel_requested_at canceled_at failed_at replaced_at replaced_by replaces asset_id symbol asset_class notional qty filled_qty filled_avg_price order_class order_type type side position_intent time_in_force limit_price stop_price status extended_hours legs trail_percent trail_price hwm expires_at".split(
      " ",
    );

  test("has the members of a recorded frame, in their order", () => {
    expect(Object.keys(order())).toEqual(MEMBERS);
  });

  test("has those of the recording itself, where it lies at hand", () => {
    const frames = recorded(
      "alpaca/trading_stream/ccxt_session_2026-09-18.received.jsonl",
    );
    const orders = (frames ?? "")
      .split("\n")
      .filter((frame) => frame.includes('"order"'))
      .map((frame) => JSON.parse(frame).data.order);
    expect(orders).toHaveLength(frames === undefined ? 0 : 3);
    for (const recording of orders)
      expect(Object.keys(recording)).toEqual(MEMBERS);
  });

  test("by REST lacks cancel_requested_at and has source and subtag, both null", () => {
    const shown = restOrder(order(), [order()]);
    const members = MEMBERS.filter((name) => name !== "cancel_requested_at");
    expect(Object.keys(shown)).toEqual([...members, "source", "subtag"]);
    expect(shown).toMatchObject({ source: null, subtag: null });
    expect(shown["legs"]).toEqual([restOrder(order(), null)]);
  });

  test.each<[when: string, timeInForce: string, at: string, end: string]>([
    ["in the session", "day", NOON, "2026-09-16T20:00:00Z"],
    ["after the close", "day", "2026-09-16T20:00:00Z", "2026-09-17T20:00:00Z"],
    [
      "on a Friday evening",
      "day",
      "2026-09-18T23:00:00Z",
      "2026-09-21T20:00:00Z",
    ],
    ["in winter", "day", "2026-12-01T16:00:00Z", "2026-12-01T21:00:00Z"],
    ["on a half day", "ioc", "2026-11-27T16:00:00Z", "2026-11-27T18:00:00Z"],
    // A recorded order: placed in summer time, it ends in winter time.
    [
      "good till cancelled",
      "gtc",
      "2026-09-18T13:24:50.018Z",
      "2026-12-16T21:00:00Z",
    ],
  ])("%s (%s) of %s ends at %s", (_, timeInForce, at, end) => {
    expect(order({ timeInForce }, at).expires_at).toBe(end);
  });

  test.each<[side: "buy" | "sell", held: number, intent: string]>([
    ["buy", 0, "buy_to_open"],
    ["buy", 5e9, "buy_to_open"],
    ["buy", -5e9, "buy_to_close"],
    ["sell", 5e9, "sell_to_close"],
    ["sell", 0, "sell_to_open"],
    ["sell", -5e9, "sell_to_open"],
  ])("to %s with %d held is %s", (side, held, intent) => {
    expect(order({ side }, NOON, held).position_intent).toBe(intent);
  });

  test("of coins is good till cancelled unless it says otherwise", () => {
    expect(order({ symbol: "BTC/USD" })).toMatchObject({
      asset_class: "crypto",
      time_in_force: "gtc",
    });
  });
});

describe("what waits for an order", () => {
  const brackets = { takeProfit: "110", stopLoss: "90" };
  test.each<[string, Partial<OrderRequest>, object[]]>([
    ["nothing", brackets, []],
    [
      "both legs of a bracket, on the other side",
      { ...brackets, orderClass: "bracket", timeInForce: "gtc" },
      [
        { side: "sell", type: "limit", limitPrice: "110", timeInForce: "gtc" },
        { side: "sell", type: "stop", stopPrice: "90", timeInForce: "gtc" },
      ],
    ],
    [
      "a stop that is a limit order",
      { ...brackets, orderClass: "bracket", side: "sell", stopLossLimit: "89" },
      [
        { side: "buy", type: "limit", limitPrice: "110" },
        { side: "buy", type: "stop_limit", stopPrice: "90", limitPrice: "89" },
      ],
    ],
    [
      "one leg of an oto",
      { orderClass: "oto", takeProfit: "110" },
      [{ side: "sell", type: "limit", limitPrice: "110" }],
    ],
    [
      "the stop of an oco, on its own side",
      { ...brackets, orderClass: "oco", side: "sell" },
      [{ side: "sell", type: "stop", stopPrice: "90" }],
    ],
  ])("is %s", (_, request, legs) => {
    const given = { ...REQUEST, ...request };
    expect(legRequests(given)).toEqual(
      legs.map((leg) => ({
        symbol: "AAPL",
        qty: "10",
        orderClass: given.orderClass,
        ...leg,
      })) as OrderRequest[],
    );
  });
});

describe("an order in place of another", () => {
  const at = nanosOfMs(Date.parse(NOON) + 1000);

  test("is for what is left, under ids of its own", () => {
    const old = { ...order(), filled_qty: "4", filled_avg_price: "99.5" };
    const successor = successorOf(old, {}, at, new Chance(2));
    expect(successor).toEqual({
      ...old,
      id: successor.id,
      client_order_id: successor.client_order_id,
      created_at: "2026-09-16T16:00:01Z",
      submitted_at: "2026-09-16T16:00:01Z",
      updated_at: "2026-09-16T16:00:01Z",
      qty: "6",
      filled_qty: "0",
      filled_avg_price: null,
      replaces: old.id,
      status: "new",
    });
    expect(successor.id).not.toBe(old.id);
    expect(successor.client_order_id).not.toBe(old.client_order_id);
  });

  test("is what the client asked for, and lives as long as that says", () => {
    const changes = {
      qty: "7",
      limit_price: "101",
      client_order_id: "mine",
      time_in_force: "gtc",
    };
    expect(successorOf(order(), changes, at, new Chance(2))).toMatchObject({
      ...changes,
      expires_at: "2026-12-14T21:00:00Z",
    });
  });

  test("goes on waiting where a waiting leg is replaced", () => {
    const leg = { ...order(), status: "held" };
    expect(successorOf(leg, {}, at, new Chance(2)).status).toBe("held");
  });
});

describe("an execution", () => {
  test.each([
    [1e9, "10.004", 1000],
    [1e9, "10.005", 1001],
    [-1e9, "10.005", -1001],
    [264_392, "96447.45", 2550],
    [1, "1", 0],
  ])("of %d billionths at %s costs %d cents", (qty, price, cents) => {
    expect(centsOf(qty, price)).toBe(cents);
  });

  test.each<
    [string, held: [number, number], moved: [number, number], [number, number]]
  >([
    ["opens", [0, 0], [10e9, 1000], [10e9, 1000]],
    ["adds to what is held", [10e9, 1000], [5e9, 700], [15e9, 1700]],
    [
      "gives some away at the old price",
      [10e9, 1000],
      [-4e9, -480],
      [6e9, 600],
    ],
    ["closes", [10e9, 1000], [-10e9, -1200], [0, 0]],
    [
      "turns around at the new price",
      [10e9, 1000],
      [-15e9, -1800],
      [-5e9, -600],
    ],
    ["adds to what is owed", [-5e9, -600], [-5e9, -500], [-10e9, -1100]],
    ["buys some of it back", [-10e9, -1000], [4e9, 360], [-6e9, -600]],
    ["buys more than that", [-10e9, -1000], [12e9, 1440], [2e9, 240]],
  ])("%s", (_, [qty, costCents], [moved, cents], [qtyAfter, costAfter]) => {
    const held = { symbol: "AAPL", qty, costCents };
    expect(positionAfter(held, moved, cents)).toEqual({
      symbol: "AAPL",
      qty: qtyAfter,
      costCents: costAfter,
    });
  });

  test("moves the average price, and taken back moves it back", () => {
    const none = order();
    const first = { ...none, ...executed(none, 4e9, "10") };
    const second = { ...first, ...executed(first, 6e9, "11") };
    expect(second).toMatchObject({
      filled_qty: "10",
      filled_avg_price: "10.6",
    });
    expect(executed(second, -6e9, "11")).toEqual({
      filled_qty: "4",
      filled_avg_price: "10",
    });
    expect(executed(first, -4e9, "10")).toEqual({
      filled_qty: "0",
      filled_avg_price: null,
    });
  });

  test("keeps the digits of a coin's price", () => {
    expect(executed(order(), nanoqty("129.7"), "0.0851119")).toEqual({
      filled_qty: "129.7",
      filled_avg_price: "0.0851119",
    });
  });
});

test.each([
  ["0", 0],
  ["1", 1e9],
  ["0.000000001", 1],
  ["-0.5", -5e8],
  ["1.057436865", 1_057_436_865],
])("a quantity of %s is %d billionths, and back", (text, qty) => {
  expect(nanoqty(text)).toBe(qty);
  expect(qtyText(qty)).toBe(text);
});

test.each([
  [0, "0"],
  [-5, "-0.05"],
  [120, "1.2"],
  [-10_000_000, "-100000"],
])("%d cents are %s dollars", (cents, text) => {
  expect(decimalText(cents, 2)).toBe(text);
});

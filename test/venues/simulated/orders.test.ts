import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SECOND } from "../../../src/clock.ts";
import type { VenueOrder } from "../../../src/venues/simulated/order.ts";
import {
  ALPHA,
  BETA,
  keysOf,
  liveOrder,
  openScene,
  type Scene,
} from "./wire.ts";

const NOW = Date.parse("2026-09-16T14:00:00Z");

const ids = (orders: readonly { id: string }[]) => orders.map(({ id }) => id);

describe("the list of orders", () => {
  let scene: Scene;
  /** Oldest first, a second apart, by the second of their placing. */
  const placed: VenueOrder[] = [];
  let legs: string[];
  beforeAll(async () => {
    let nowMs = NOW;
    scene = await openScene({
      clock: { now: () => nowMs },
      requestsPerMinute: 10_000,
    });
    const { desk } = scene;
    const place = (request: Parameters<typeof liveOrder>[1]) => {
      nowMs += SECOND;
      const order = liveOrder(desk, request);
      placed.push(order);
      return order;
    };
    place({ symbol: "AAPL" });
    place({ symbol: "SPY", side: "sell" });
    place({ symbol: "BTC/USD", qty: "0.5" });
    desk.end(place({ symbol: "AAPL" }), "canceled");
    const filled = place({ symbol: "TSLA", type: "market" });
    desk.fill(filled, 10e9, "300", { isLast: true });
    const bracket = place({
      symbol: "QQQ",
      orderClass: "bracket",
      takeProfit: "600",
      stopLoss: "400",
    });
    nowMs += SECOND;
    legs = ids(await scene.get("/v2/orders?status=all&limit=500")).filter(
      (id) => !ids(placed).includes(id),
    );
    expect(legs).toHaveLength(2);
    expect(bracket.order_class).toBe("bracket");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  /** Numbers of the orders listed, by their placing; legs as `leg`. */
  const listed = async (query: string) => {
    const orders: VenueOrder[] = await scene.get(`/v2/orders?${query}`);
    return orders.map(({ id }) => {
      const number = placed.findIndex((order) => order.id === id);
      return number === -1 ? "leg" : number;
    });
  };

  const at = (second: number) => new Date(NOW + second * SECOND).toISOString();

  test.each<[query: string, numbers: (number | "leg")[]]>([
    ["", [5, 2, 1, 0]],
    ["status=open&direction=asc", [0, 1, 2, 5]],
    // Legs that wait are in no list of what is open.
    ["status=closed", ["leg", "leg", 4, 3]],
    ["status=all&nested=true", [5, 4, 3, 2, 1, 0]],
    ["status=all&nested=True", [5, 4, 3, 2, 1, 0]],
    ["status=all&nested=false&direction=asc&limit=3", [0, 1, 2]],
    ["status=all&limit=2", [5, "leg"]],
    [`status=all&nested=true&after=${at(3.5)}`, [5, 4, 3]],
    [`status=all&until=${at(1.5)}`, [0]],
    [`status=all&after=${at(1.5)}&until=${at(3.5)}`, [2, 1]],
    ["status=all&after=2026-09-17", []],
    ["status=all&until=2026-09-17&limit=1", [5]],
    ["side=sell", [1]],
    ["status=all&symbols=AAPL,TSLA", [4, 3, 0]],
    ["symbols=BTCUSD", [2]],
    ["symbols=BTC/USD,SPY", [2, 1]],
    ["asset_class=crypto", [2]],
    ["asset_class=us_equity,crypto&limit=2", [5, 2]],
    ["status=closed&nested=true&asset_class=us_equity,crypto", [4, 3]],
    ["asset_class=us_option", []],
  ])("%s", async (query, numbers) => {
    expect(await listed(query)).toEqual(numbers);
  });

  test("goes on behind an order, and before one, either way", async () => {
    const from = (number: number) => placed[number]?.id;
    expect(
      await listed(
        `status=all&direction=asc&nested=1&after_order_id=${from(2)}`,
      ),
    ).toEqual([3, 4, 5]);
    expect(
      await listed(`status=all&nested=t&limit=2&before_order_id=${from(4)}`),
    ).toEqual([3, 2]);
  });

  test("folds legs under their parent when asked to", async () => {
    const [bracket] = await scene.get("/v2/orders?nested=true&limit=1");
    expect(ids(bracket.legs).toSorted()).toEqual(legs.toSorted());
    expect(bracket.legs).toMatchObject([
      { type: "limit", status: "held", side: "sell", legs: null },
      { type: "stop", status: "held", side: "sell", legs: null },
    ]);
    const [plain] = await scene.get("/v2/orders?limit=1");
    expect(plain.legs).toBeNull();
  });

  test.each([
    ["status=broken", "invalid status: broken"],
    ["direction=up", "invalid direction: up"],
    ["limit=0", "invalid limit: 0"],
    ["limit=501", "invalid limit: 501"],
    ["limit=1e2", "invalid limit: 1e2"],
    ["limit=", "invalid limit: "],
    ["nested=maybe", "invalid nested: maybe"],
    ["side=both", "invalid side: both"],
    ["after=soon", "invalid after: soon"],
    ["until=2026-09-16T14:00:00", "invalid until: 2026-09-16T14:00:00"],
    ["after_order_id=nobody", "after_order_id is unknown"],
  ])("refuses %s", async (query, message) => {
    const { status, body } = await scene.call("GET", `/v2/orders?${query}`);
    expect([status, body]).toEqual([422, { code: 40010001, message }]);
  });

  test("takes no cursor together with a time or with another cursor", async () => {
    const id = placed[0]?.id;
    for (const query of [
      `after_order_id=${id}&after=2026-09-16`,
      `before_order_id=${id}&until=2026-09-16`,
      `after_order_id=${id}&before_order_id=${id}`,
    ])
      expect((await scene.call("GET", `/v2/orders?${query}`)).status).toBe(422);
  });

  test("of another account is empty, and its orders are not found", async () => {
    const keys = keysOf(BETA);
    const list = await scene.call(
      "GET",
      "/v2/orders?status=all",
      undefined,
      keys,
    );
    expect(list.body).toEqual([]);
    const path = `/v2/orders/${placed[0]?.id}`;
    expect((await scene.call("GET", path, undefined, keys)).status).toBe(404);
  });

  test("gives fifty when nothing else is asked for, at most five hundred", async () => {
    await using own = await openScene({ clock: { now: () => NOW } });
    own.venue.exchange.books.atomically(() => {
      for (let count = 0; count < 520; count++) liveOrder(own.desk);
    });
    expect(await own.get("/v2/orders")).toHaveLength(50);
    const first = await own.get("/v2/orders?limit=500&direction=asc");
    const rest = await own.get(
      `/v2/orders?limit=500&direction=asc&after_order_id=${first.at(-1).id}`,
    );
    expect([first.length, rest.length]).toEqual([500, 20]);
    expect(new Set(ids([...first, ...rest])).size).toBe(520);
  });
});

describe("one order", () => {
  test("is found by its id, by the client's own, with its legs when asked to", async () => {
    await using scene = await openScene();
    const order = liveOrder(scene.desk, {
      clientOrderId: "mine & only mine",
      orderClass: "oto",
      stopLoss: "90",
    });
    const plain = await scene.get(`/v2/orders/${order.id}`);
    expect(plain).toMatchObject({ id: order.id, status: "new", legs: null });
    expect(
      await scene.get(
        "/v2/orders:by_client_order_id?client_order_id=mine%20%26%20only%20mine",
      ),
    ).toEqual(plain);
    const { legs } = await scene.get(`/v2/orders/${order.id}?nested=true`);
    expect(legs).toMatchObject([{ type: "stop", stop_price: "90" }]);
  });

  test.each([
    ["GET", "/v2/orders/00000000-0000-4000-8000-000000000000", undefined],
    ["GET", "/v2/orders/nonsense", undefined],
    ["GET", "/v2/orders:by_client_order_id?client_order_id=nobody", undefined],
    ["GET", "/v2/orders:by_client_order_id", undefined],
    ["PATCH", "/v2/orders/nonsense", { qty: "1" }],
    ["DELETE", "/v2/orders/nonsense", undefined],
  ])("that is not there is not found: %s %s", async (method, path, body) => {
    await using scene = await openScene();
    const answer = await scene.call(method, path, body);
    expect([answer.status, answer.body]).toEqual([
      404,
      {
        code: 40410000,
        message: expect.stringContaining("order not found for "),
      },
    ]);
  });
});

const MARKET = {
  symbol: "AAPL",
  side: "buy",
  type: "market",
  time_in_force: "day",
  qty: "1",
};
const FAR = {
  ...MARKET,
  type: "limit",
  limit_price: "1.5",
  time_in_force: "gtc",
};
const BRACKET = {
  order_class: "bracket",
  take_profit: { limit_price: "900" },
  stop_loss: { stop_price: 100.5 },
};

describe("an order is taken", () => {
  test("as pending_new, with what was asked for in the venue's own writing", async () => {
    await using scene = await openScene();
    const { status, body } = await scene.call("POST", "/v2/orders", {
      ...FAR,
      symbol: "aapl",
      qty: 2.5,
      limit_price: "1.50",
      client_order_id: "mine",
      extended_hours: true,
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      client_order_id: "mine",
      symbol: "AAPL",
      qty: "2.5",
      notional: null,
      limit_price: "1.5",
      order_class: "",
      type: "limit",
      time_in_force: "gtc",
      extended_hours: true,
      status: "pending_new",
      filled_qty: "0",
      filled_avg_price: null,
      legs: null,
      source: null,
    });
  });

  test("by value, of coins, under their name without a slash", async () => {
    await using scene = await openScene();
    const { body } = await scene.call("POST", "/v2/orders", {
      symbol: "BTCUSD",
      side: "buy",
      type: "market",
      time_in_force: "gtc",
      notional: 25.5,
    });
    expect(body).toMatchObject({
      symbol: "BTC/USD",
      asset_class: "crypto",
      notional: "25.5",
      qty: null,
    });
  });

  test.each<[string, object, object[]]>([
    [
      "bracket",
      BRACKET,
      [
        {
          type: "limit",
          limit_price: "900",
          side: "sell",
          status: "held",
          position_intent: "sell_to_close",
        },
        {
          type: "stop",
          stop_price: "100.5",
          side: "sell",
          status: "held",
          position_intent: "sell_to_close",
        },
      ],
    ],
    [
      "oto",
      {
        order_class: "oto",
        stop_loss: { stop_price: "90", limit_price: "89" },
      },
      [{ type: "stop_limit", stop_price: "90", limit_price: "89" }],
    ],
    [
      "oco",
      { ...BRACKET, type: "limit", order_class: "oco", side: "sell" },
      [{ type: "stop", stop_price: "100.5", side: "sell" }],
    ],
  ])("as a %s, answered with the legs that wait for it", async (_, ...row) => {
    const [request, legs] = row;
    await using scene = await openScene();
    const { status, body } = await scene.call("POST", "/v2/orders", {
      ...MARKET,
      ...request,
    });
    expect([status, body.legs.length]).toEqual([200, legs.length]);
    expect(body.legs).toMatchObject(legs);
  });
});

describe("an order is refused", () => {
  const complaint = (message: string) => [422, { code: 40010001, message }];

  test.each<[body: unknown, message: string]>([
    [{ ...MARKET, symbol: undefined }, "symbol: "],
    [{ ...MARKET, symbol: "A B" }, "symbol: is no symbol"],
    [{ ...MARKET, side: "hold" }, "side: "],
    [{ ...MARKET, type: "guess" }, "type: "],
    [{ ...MARKET, time_in_force: "ever" }, "time_in_force: "],
    [{ ...MARKET, order_class: "mleg" }, "order_class: "],
    [{ ...MARKET, qty: "0" }, "qty: must be a decimal above 0"],
    [{ ...MARKET, qty: "-1" }, "qty: must be a decimal above 0"],
    [{ ...MARKET, qty: "1.0000000001" }, "qty: must be a decimal above 0"],
    [{ ...MARKET, qty: "ten" }, "qty: must be a decimal above 0"],
    [{ ...MARKET, qty: 1e12 }, "qty: must be a decimal above 0"],
    [{ ...MARKET, client_order_id: "x".repeat(129) }, "client_order_id: "],
    [
      { ...MARKET, qty: undefined },
      "qty or notional is required, and not both",
    ],
    [{ ...MARKET, notional: "5" }, "qty or notional is required, and not both"],
    [{ ...MARKET, type: "limit" }, "limit orders require a limit price"],
    [{ ...MARKET, type: "stop" }, "stop orders require a stop price"],
    [
      { ...MARKET, type: "stop_limit", stop_price: "1" },
      "stop limit orders require both stop and limit price",
    ],
    [
      { ...MARKET, type: "trailing_stop" },
      "trailing stop orders require one of trail_price and trail_percent",
    ],
    [
      { ...MARKET, ...BRACKET, stop_loss: null },
      "bracket orders require take_profit and stop_loss",
    ],
    [
      { ...MARKET, ...BRACKET, order_class: "oto" },
      "oto orders require one of take_profit and stop_loss",
    ],
    [
      { ...MARKET, ...BRACKET, order_class: "oco" },
      "oco orders are limit orders with take_profit and stop_loss",
    ],
    [
      { ...MARKET, ...BRACKET, qty: null, notional: "5" },
      "notional orders must be simple orders",
    ],
    [{ ...MARKET, symbol: "BTC/USD" }, "invalid crypto time_in_force"],
    [
      { ...MARKET, ...BRACKET, symbol: "BTC/USD", time_in_force: "gtc" },
      "crypto orders must be simple orders",
    ],
    [[], "body: "],
    [null, "body: "],
  ])("%j", async (request, message) => {
    await using scene = await openScene();
    const { status, body } = await scene.call("POST", "/v2/orders", request);
    expect([status, body]).toEqual([
      422,
      { code: 40010001, message: expect.stringContaining(message) },
    ]);
    expect(scene.venue.exchange.books.counts(ALPHA.name).orders).toBe(0);
  });

  test("when the body is no JSON", async () => {
    await using scene = await openScene();
    for (const [method, path] of [
      ["POST", "/v2/orders"],
      ["PATCH", `/v2/orders/${liveOrder(scene.desk).id}`],
    ] as const) {
      const { status, body } = await scene.call(method, path, "{qty:");
      expect([status, body]).toEqual([
        400,
        { code: 40010000, message: "request body format is invalid" },
      ]);
    }
  });

  test("when its client_order_id was used before, be it by an order that is long finished", async () => {
    await using scene = await openScene();
    const { desk } = scene;
    desk.end(liveOrder(desk, { clientOrderId: "once" }), "canceled");
    const twice = { ...MARKET, client_order_id: "once" };
    const refused = await scene.call("POST", "/v2/orders", twice);
    const [status, body] = complaint("client_order_id must be unique");
    expect([refused.status, refused.body]).toEqual([status, body]);
    const other = liveOrder(desk);
    const replaced = await scene.call("PATCH", `/v2/orders/${other.id}`, {
      client_order_id: "once",
    });
    expect([replaced.status, replaced.body]).toEqual([status, body]);
    expect(await scene.get(`/v2/orders/${other.id}`)).toMatchObject({
      status: "new",
    });
    // Ids are an account's own.
    const own = await scene.call("POST", "/v2/orders", twice, keysOf(BETA));
    expect(own.status).toBe(200);
  });

  test("when it sells more than is held and free", async () => {
    await using scene = await openScene();
    const { desk } = scene;
    desk.fill(liveOrder(desk), 10e9, "100", { isLast: true });
    liveOrder(desk, { side: "sell", qty: "4" });
    const sale = { ...FAR, limit_price: "900", side: "sell", qty: "6.5" };
    const { status, body } = await scene.call("POST", "/v2/orders", sale);
    expect([status, body]).toEqual([
      403,
      {
        code: 40310000,
        message:
          "insufficient qty available for order (requested: 6.5, available: 6)",
        available: "6",
        existing_qty: "10",
        held_for_orders: "4",
        symbol: "AAPL",
      },
    ]);
    const rest = await scene.call("POST", "/v2/orders", { ...sale, qty: "6" });
    expect(rest.status).toBe(200);
  });

  test("when it sells short what cannot be sold short: a fraction, coins", async () => {
    await using scene = await openScene();
    const place = async (request: object) =>
      (await scene.call("POST", "/v2/orders", { ...MARKET, ...request }))
        .status;
    expect(await place({ side: "sell", qty: "0.5" })).toBe(403);
    expect(
      await place({ side: "sell", symbol: "BTC/USD", time_in_force: "gtc" }),
    ).toBe(403);
    expect(await place({ side: "sell", qty: "5" })).toBe(200);
  });

  test("when it wants a part of what is traded whole", async () => {
    await using scene = await openScene();
    const refused = [
      403,
      { code: 40310000, message: 'asset "OCGN" is not fractionable' },
    ];
    for (const amount of [{ qty: "1.5" }, { qty: null, notional: "20" }]) {
      const { status, body } = await scene.call("POST", "/v2/orders", {
        ...MARKET,
        symbol: "OCGN",
        ...amount,
      });
      expect([status, body]).toEqual(refused);
    }
  });
});

describe("an order is replaced", () => {
  test("by a new one with an id of its own; what was executed stays where it was", async () => {
    await using scene = await openScene();
    const { desk } = scene;
    const order = liveOrder(desk);
    desk.fill(order, 4e9, "99.5", { isLast: false });
    const { status, body } = await scene.call(
      "PATCH",
      `/v2/orders/${order.id}`,
      {
        limit_price: "1.25",
        time_in_force: "gtc",
        client_order_id: "mine",
      },
    );
    expect(status).toBe(200);
    expect(body).toMatchObject({
      replaces: order.id,
      status: "new",
      qty: "6",
      filled_qty: "0",
      limit_price: "1.25",
      time_in_force: "gtc",
      client_order_id: "mine",
    });
    expect(await scene.get(`/v2/orders/${order.id}`)).toMatchObject({
      status: "replaced",
      replaced_by: body.id,
      filled_qty: "4",
      filled_avg_price: "99.5",
      qty: "10",
    });
  });

  test("with its legs, which wait for the new one from then on", async () => {
    await using scene = await openScene();
    const order = liveOrder(scene.desk, {
      orderClass: "bracket",
      takeProfit: "110",
      stopLoss: "90",
    });
    const path = `/v2/orders/${order.id}`;
    const { legs } = await scene.get(`${path}?nested=true`);
    const { body } = await scene.call("PATCH", path, { limit_price: "1.5" });
    expect(body.legs).toEqual(legs);
    expect((await scene.get(`${path}?nested=true`)).legs).toBeNull();
  });

  test.each<[body: unknown, message: string]>([
    [{}, "at least one field must be changed"],
    [{ qty: null }, "at least one field must be changed"],
    [{ qty: "none" }, "qty: must be a decimal above 0"],
    [{ time_in_force: "ever" }, "time_in_force: "],
    [7, "body: "],
  ])("but not by %j", async (changes, message) => {
    await using scene = await openScene();
    const { id } = liveOrder(scene.desk);
    const answer = await scene.call("PATCH", `/v2/orders/${id}`, changes);
    expect([answer.status, answer.body]).toEqual([
      422,
      { code: 40010001, message: expect.stringContaining(message) },
    ]);
  });
});

describe("an order that is at its end", () => {
  test.each<
    [status: string, finish: (scene: Scene, order: VenueOrder) => void]
  >([
    [
      "filled",
      ({ desk }, order) => desk.fill(order, 10e9, "99", { isLast: true }),
    ],
    ["canceled", ({ desk }, order) => desk.end(order, "canceled")],
    ["expired", ({ desk }, order) => desk.end(order, "expired")],
    ["rejected", ({ desk }, order) => desk.end(order, "rejected")],
    ["replaced", ({ desk }, order) => desk.replace(order, {})],
  ])("%s: can neither be cancelled nor replaced", async (status, finish) => {
    await using scene = await openScene();
    const order = liveOrder(scene.desk);
    finish(scene, order);
    const path = `/v2/orders/${order.id}`;
    const refused = {
      status: 422,
      body: {
        code: 42210000,
        message: `order is already in "${status}" state`,
      },
    };
    expect(await scene.call("DELETE", path)).toMatchObject(refused);
    expect(await scene.call("PATCH", path, { qty: "5" })).toMatchObject(
      refused,
    );
    expect(await scene.get(path)).toMatchObject({ status });
  });
});

describe("an order is cancelled", () => {
  test("when the stream says so: until then it is asked to, and may be asked again", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    const order = liveOrder(scene.desk);
    const path = `/v2/orders/${order.id}`;
    expect((await scene.call("DELETE", path)).status).toBe(204);
    await listener.until("canceled");
    const { status, canceled_at } = await scene.get(path);
    expect([status, typeof canceled_at]).toEqual(["canceled", "string"]);
    const [event] = [...scene.venue.exchange.books.all(ALPHA.name, "events")]
      .map((body) => JSON.parse(body))
      .filter(({ event }) => event === "canceled");
    expect(event.order.cancel_requested_at).not.toBeNull();
    expect((await scene.call("DELETE", path)).status).toBe(422);
  });

  test("or is not: it stays pending_cancel where the venue is told so, and is asked in vain", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    scene.venue.inject({ kind: "stuck-cancel", account: ALPHA.name });
    const [stuck, other] = [liveOrder(scene.desk), liveOrder(scene.desk)];
    const path = `/v2/orders/${stuck.id}`;
    expect((await scene.call("DELETE", path)).status).toBe(204);
    scene.venue.clear();
    expect((await scene.call("DELETE", path)).status).toBe(204);
    await scene.call("DELETE", `/v2/orders/${other.id}`);
    await listener.until("canceled");
    expect((await scene.get(path)).status).toBe("pending_cancel");
  });

  test("with the legs that wait for it, of which the stream says nothing", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    const order = liveOrder(scene.desk, {
      orderClass: "bracket",
      takeProfit: "110",
      stopLoss: "90",
    });
    await scene.call("DELETE", `/v2/orders/${order.id}`);
    const updates = await listener.until("canceled");
    expect(new Set(updates.map(({ order }) => order.id)).size).toBe(1);
    const { legs } = await scene.get(`/v2/orders/${order.id}?nested=true`);
    expect(legs).toMatchObject([
      { status: "canceled", canceled_at: expect.any(String) },
      { status: "canceled", canceled_at: expect.any(String) },
    ]);
  });

  test("together with all that are open, one answer each", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    const orders = [1, 2, 3].map(() => liveOrder(scene.desk));
    scene.desk.end(liveOrder(scene.desk), "expired");
    const { status, body } = await scene.call("DELETE", "/v2/orders");
    expect([status, body]).toEqual([
      207,
      orders.map(({ id }) => ({ id, status: 200 })),
    ]);
    for (const _ of orders) await listener.until("canceled");
    expect(await scene.get("/v2/orders")).toEqual([]);
  });
});

/** The venue's own client of its makers, which nobody here wrote: if it notices no difference, consumers will not. */
import { Alpaca, errors, type streaming } from "@alpacahq/alpaca-trade-api";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SECOND, within } from "../../../src/clock.ts";
import {
  type SimulatedVenue,
  startSimulatedVenue,
} from "../../../src/venues/simulated/venue.ts";
import { ALPHA } from "./wire.ts";

let venue: SimulatedVenue;
let alpaca: Alpaca;
const streams: streaming.TradingStream[] = [];

beforeAll(async () => {
  venue = await startSimulatedVenue({
    accounts: [{ ...ALPHA, cash: 100_000 }],
    historyDays: 10,
    historyOrdersPerDay: 80,
    requestsPerMinute: 10_000,
  });
  alpaca = clientOf(ALPHA.secretKey);
});

afterAll(async () => {
  for (const stream of streams) stream.disconnect();
  await venue.stop();
});

/** It knows its makers' hosts alone, so what it sends there is brought here. */
function clientOf(secret: string): Alpaca {
  return new Alpaca({
    keyId: ALPHA.keyId,
    secret,
    paper: true,
    fetchApi: (url, init) =>
      fetch(
        String(url).replace("https://paper-api.alpaca.markets", venue.url),
        init,
      ),
  });
}

/** Its own socket, listening, with everything that it made of the venue's updates. */
async function listening() {
  const stream = alpaca.trading.stream({
    url: venue.streamUrl,
    initialReconnectMs: 20,
  });
  streams.push(stream);
  const updates: streaming.TradeUpdate[] = [];
  const problems: string[] = [];
  let wake = Promise.withResolvers<void>();
  stream.onTradeUpdate((update) => {
    updates.push(update);
    wake.resolve();
    wake = Promise.withResolvers();
  });
  stream.onError((problem) => problems.push(problem));
  const granted = Promise.withResolvers<unknown>();
  stream.on("subscription", granted.resolve);
  stream.onConnect(() => stream.subscribeTradeUpdates());
  stream.connect();
  expect(await granted.promise).toEqual(["trade_updates"]);
  return {
    stream,
    updates,
    problems,
    async until(event: string, orderId: string | undefined): Promise<string[]> {
      for (;;) {
        const own = updates.filter(({ order }) => order.id === orderId);
        if (own.at(-1)?.event === event) return own.map((each) => each.event);
        await within(5 * SECOND, wake.promise, `no ${event} came`);
      }
    },
  };
}

interface Booked {
  readonly id: string;
  readonly activity_type: string;
  readonly legs: unknown;
  readonly status: string;
}

function booked(kind: "orders" | "activities" | "events"): Booked[] {
  return Array.from(venue.exchange.books.all(ALPHA.name, kind), (body) =>
    JSON.parse(body),
  );
}

test("it knows the account, the clock, the calendar, assets and positions", async () => {
  const { trading } = alpaca;
  const check = await trading.validateConnection();
  expect(check).toMatchObject({
    ok: true,
    account: { status: "ACTIVE", currency: "USD" },
  });
  expect((await trading.clock.legacyClock()).nextOpen).toBeInstanceOf(Date);
  const days = await trading.calendar.legacyCalendar({
    start: new Date("2026-11-25"),
    end: new Date("2026-11-27"),
  });
  expect(days.map(({ close }) => close)).toEqual(["16:00", "13:00"]);
  const asset = await trading.assets.getV2AssetsSymbolOrAssetId({
    symbolOrAssetId: "BTC/USD",
  });
  expect(asset).toMatchObject({ symbol: "BTC/USD", tradable: true });
  const positions = await trading.positions.getAllOpenPositions();
  expect(positions.map(({ symbol }) => symbol).toSorted()).toEqual(
    venue.exchange.books
      .positions(ALPHA.name)
      .map(({ symbol }) => symbol.replace("/", ""))
      .toSorted(),
  );
});

test("it lists every order that is in the books, page by page, legs under their parents", async () => {
  const listed: string[] = [];
  for (let last: string | undefined; ;) {
    const page = await alpaca.trading.orders.getAllOrders({
      status: "all",
      direction: "asc",
      nested: true,
      limit: 100,
      ...(last === undefined ? {} : { afterOrderId: last }),
    });
    for (const { id = "", legs } of page)
      listed.push(id, ...(legs ?? []).map((leg) => leg.id ?? ""));
    last = page.at(-1)?.id;
    if (page.length < 100) break;
  }
  expect(listed.length).toBeGreaterThan(300);
  expect(listed.toSorted()).toEqual(
    booked("orders")
      .map(({ id }) => id)
      .toSorted(),
  );
});

test("it collects every activity that is in the books, by its own paging", async () => {
  const collected = await alpaca.trading.collectActivities({
    direction: "asc",
    pageSize: 100,
  });
  // Its cursor is an id, so of two rows that share one it may step over the second.
  const ids = (rows: readonly { id?: string }[]) =>
    [...new Set(rows.map(({ id = "" }) => id))].toSorted();
  expect(collected.length).toBeGreaterThan(400);
  expect(ids(collected)).toEqual(ids(booked("activities")));
  const fills = await alpaca.trading.collectActivitiesByType({
    activityType: "FILL",
  });
  expect(fills.length).toBe(
    booked("activities").filter(({ activity_type }) => activity_type === "FILL")
      .length,
  );
});

describe("over its own websocket", () => {
  test("an order is seen from its placing to its fill, to the last digit", async () => {
    const { until, updates, problems } = await listening();
    const placed = await alpaca.trading.orders.market({
      symbol: "AAPL",
      qty: 3,
      side: "buy",
      clientOrderId: "from the official client",
    });
    expect(placed).toMatchObject({ status: "pending_new", qty: "3" });
    expect(await until("fill", placed.id)).toEqual([
      "pending_new",
      "new",
      "fill",
    ]);
    const fill = updates.find(
      ({ event, order }) => event === "fill" && order.id === placed.id,
    );
    const [row] = await alpaca.trading.accountActivities.getAccountActivities({
      activityTypes: ["FILL"],
      pageSize: 1,
    });
    expect(fill).toMatchObject({
      qty: "3",
      price: row?.price,
      order: { status: "filled", filledQty: "3", filledAvgPrice: row?.price },
    });
    expect(row?.id?.endsWith(`::${fill?.executionId}`)).toBe(true);
    expect(problems).toEqual([]);
  });

  test("a resting order is replaced, and cancelled", async () => {
    const { until } = await listening();
    const placed = await alpaca.trading.orders.limit({
      symbol: "AAPL",
      qty: 2,
      side: "buy",
      limitPrice: 1.5,
      timeInForce: "gtc",
    });
    await until("new", placed.id);
    const successor = await alpaca.trading.orders.patchOrderByOrderId({
      orderId: placed.id ?? "",
      patchOrderRequest: { limitPrice: "1.25" },
    });
    expect(successor).toMatchObject({
      replaces: placed.id,
      limitPrice: "1.25",
    });
    await until("replaced", placed.id);
    await alpaca.trading.orders.deleteOrderByOrderID({
      orderId: successor.id ?? "",
    });
    await until("canceled", successor.id);
    const read = await alpaca.trading.orders.getOrderByOrderID({
      orderId: successor.id ?? "",
    });
    expect(read.status).toBe("canceled");
  });

  test("an order is placed and waited for in one call", async () => {
    const { stream } = await listening();
    const order = await alpaca.trading.submitAndWait(
      {
        symbol: "BTC/USD",
        side: "buy",
        type: "market",
        notional: 50,
        timeInForce: "gtc",
      },
      { stream, timeoutMs: 4 * SECOND },
    );
    expect(order).toMatchObject({ status: "filled", notional: "50" });
  });

  test("a bracket is placed, and its legs are told with it", async () => {
    const placed = await alpaca.trading.orders.bracket({
      symbol: "SPY",
      qty: 1,
      side: "buy",
      takeProfit: { limitPrice: 9000 },
      stopLoss: { stopPrice: 10 },
    });
    expect(placed.legs?.map(({ type, status }) => [type, status])).toEqual([
      ["limit", "held"],
      ["stop", "held"],
    ]);
  });

  test("what was cut off is dialled again by itself, and listens again", async () => {
    const { stream, until, problems } = await listening();
    const again = new Promise<void>((resolve) => stream.onReconnected(resolve));
    const granted = new Promise((resolve) => {
      stream.on("reconnected", () => stream.on("subscription", resolve));
    });
    venue.inject({ kind: "drop" });
    await within(5 * SECOND, again, "it did not come back");
    await within(5 * SECOND, granted, "it does not listen");
    const placed = await alpaca.trading.orders.market({
      symbol: "AAPL",
      qty: 1,
      side: "buy",
    });
    await until("fill", placed.id);
    expect(problems).toEqual([]);
  });
});

describe("it is refused", () => {
  test("with an error of its own kind: a wrong key, an order that is not there, an id used twice, a cancel that comes too late", async () => {
    const wrong = clientOf("wrong");
    expect(await wrong.trading.validateConnection()).toMatchObject({
      ok: false,
      status: 401,
      code: 40110000,
    });
    const { orders } = alpaca.trading;
    const nobody = { orderId: "00000000-0000-4000-8000-000000000000" };
    await expect(orders.getOrderByOrderID(nobody)).rejects.toBeInstanceOf(
      errors.NotFoundError,
    );
    const request = {
      symbol: "AAPL",
      qty: 1,
      side: "buy",
      clientOrderId: "twice",
    } as const;
    const { until } = await listening();
    const placed = await orders.market(request);
    await expect(orders.market(request)).rejects.toMatchObject({
      status: 422,
      code: 40010001,
      message: expect.stringContaining("client_order_id must be unique"),
    });
    await until("fill", placed.id);
    await expect(
      orders.deleteOrderByOrderID({ orderId: placed.id ?? "" }),
    ).rejects.toMatchObject({ status: 422, code: 42210000 });
  });

  test("on its websocket, and does not try again", async () => {
    const stream = clientOf("wrong").trading.stream({ url: venue.streamUrl });
    streams.push(stream);
    stream.connect();
    expect(await stream.waitForAuthenticationResult(5 * SECOND)).toMatchObject({
      authenticated: false,
      status: "server_rejected",
    });
  });
});

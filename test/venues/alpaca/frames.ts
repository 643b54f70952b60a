/** Frames and rows of the trading venue, built by hand after recorded ones: same members, order and precision, other values. */
import { recorded } from "../../support/recorded.ts";
import { type Members, uuid } from "../../support/accountScript.ts";

export const ORDER_ID = uuid(1);
export const EXECUTION_ID = uuid(2);

/** An order with the members of the stream, in its order; nothing filled yet. */
export function streamOrder(more: Members = {}): Members {
  return {
    id: ORDER_ID,
    client_order_id: "client-1",
    created_at: "2026-09-17T14:00:01.000200003Z",
    updated_at: "2026-09-17T14:00:01.0009001Z",
    submitted_at: "2026-09-17T14:00:01.000200003Z",
    filled_at: null,
    expired_at: null,
    cancel_requested_at: null,
    canceled_at: null,
    failed_at: null,
    replaced_at: null,
    replaced_by: null,
    replaces: null,
    asset_id: uuid(9),
    symbol: "SOL/USD",
    asset_class: "crypto",
    notional: null,
    qty: "12.5",
    filled_qty: "0",
    filled_avg_price: null,
    order_class: "",
    order_type: "market",
    type: "market",
    side: "sell",
    position_intent: "sell_to_close",
    time_in_force: "gtc",
    limit_price: null,
    stop_price: null,
    status: "new",
    extended_hours: false,
    legs: null,
    trail_percent: null,
    trail_price: null,
    hwm: null,
    expires_at: "2026-12-15T21:00:00Z",
    ...more,
  };
}

/** `data` of a trade update: its envelope, the order, then what else the event carries. */
export function updateData(
  event: string,
  { order = {}, ...more }: { order?: Members | null } & Members = {},
): string {
  return JSON.stringify({
    at: "2026-09-17T14:00:01.00301Z",
    event_id: "01M2R2X1GBAAAAAAAAAAAAAAAA",
    event,
    timestamp: "2026-09-17T14:00:01.001500499Z",
    order: order === null ? null : streamOrder(order),
    ...more,
  });
}

/** Members of the last execution of {@link streamOrder}. */
export const FILLED = {
  order: {
    updated_at: "2026-09-17T14:00:01.0025008Z",
    filled_at: "2026-09-17T14:00:01.001500499Z",
    filled_qty: "12.5",
    filled_avg_price: "200.40",
    status: "filled",
  },
  price: "200.40",
  qty: "12.5",
  position_qty: "0",
  execution_id: EXECUTION_ID,
  swap_rate: "1",
  settle_date: "2026-09-17",
};

export function updateFrame(data: string): string {
  return `{"stream":"trade_updates","data":${data}}`;
}

export const LEGACY_GREETING =
  '{"stream":"authorization","data":{"action":"authenticate","message":"this authentication format is being deprecated. Please use the format: {\\"action\\": \\"auth\\"}","status":"authorized"}}';

/** All that a venue sends from the greeting to the fill of one order. */
const builtSession = [
  LEGACY_GREETING,
  '{"stream":"listening","data":{"streams":["trade_updates"]}}',
  updateFrame(
    updateData("pending_new", {
      event_id: "01M2R2X1GA0000000000000000",
      order: { status: "pending_new" },
    }),
  ),
  updateFrame(
    updateData("new", {
      event_id: "01M2R2X1GB0000000000000000",
      execution_id: uuid(3),
    }),
  ),
  updateFrame(updateData("fill", FILLED)),
];

/** A fill in the form of years ago: no event id, offsets and Z mixed, spaces as they please. */
const builtLegacyFill = `{"stream": "trade_updates","data": {"event": "fill","execution_id": "${uuid(5)}","order": {"asset_class": "us_equity","asset_id": "${uuid(9)}","canceled_at": null,"client_order_id": "client-6","created_at": "2022-02-01T09:59:59.900000001-05:00","filled_at": "2022-02-01T15:00:00.024916716Z","filled_avg_price": "10.50","filled_qty": "3","id": "${uuid(6)}","legs": null,"limit_price": null,"order_class": "","order_type": "market","qty": "3","side": "sell","status": "filled","submitted_at": "2022-02-01T09:59:59.9-05:00","symbol": "F","type": "market","updated_at": "2022-02-01T10:00:00.027690731-05:00"},"position_qty": "0","price": "10.50","qty": "3","timestamp": "2022-02-01T15:00:00.024916716Z"}}`;

type Named<Value> = readonly [name: string, value: Value];

function withRecording<Value>(
  built: Value,
  path: string,
  read: (text: string) => Value,
): Named<Value>[] {
  const text = recorded(path);
  return [
    ["built by hand", built],
    ...(text === undefined ? [] : [["recorded", read(text)] as const]),
  ];
}

/** The frames from a greeting to a fill: authorization, listening, pending_new, new, fill. */
export const sessions: readonly Named<readonly string[]>[] = withRecording(
  builtSession,
  "alpaca/trading_stream/ccxt_session_2026-09-18.received.jsonl",
  (text) => text.split("\n"),
);

export const legacyFills: readonly Named<string>[] = withRecording(
  builtLegacyFill,
  "alpaca/trading_stream/docs_streaming.jsonl",
  (text) =>
    text
      .split("\n")
      .map((line): string => JSON.parse(line).raw)
      .find((raw) => raw.includes('"fill"')) ?? "",
);

/** A page of `/v2/account/activities` with one fill. */
export const fillPages: readonly Named<string>[] = withRecording(
  `[{"id":"20221228071929579::${uuid(7)}","activity_type":"FILL","transaction_time":"2022-12-28T12:19:29.579352Z","type":"fill","price":"67.31","qty":"0.07","side":"buy","symbol":"ETH/USD","leaves_qty":"0","order_id":"${uuid(8)}","cum_qty":"0.07","order_status":"filled","swap_rate":"1"}]`,
  "alpaca/rest/ccxt_recorded/activities_FILL_LTCUSD_2022-12-28.json",
  (text) => text,
);

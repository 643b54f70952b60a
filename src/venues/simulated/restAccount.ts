/** The account, its positions, the clock, the calendar and the assets. */
import { DAY, sleep } from "../../clock.ts";
import { newYorkDay } from "../../../schema/instant.ts";
import {
  isOpen,
  nextOpen,
  type Session,
  sessionOn,
  sessionsBetween,
} from "../calendar.ts";
import { json, Refusal, unprocessable } from "./answer.ts";
import type { Position } from "./books.ts";
import type { Exchange } from "./exchange.ts";
import { assetId, decimalText, isCrypto, qtyText } from "./order.ts";
import { heldForOrders, symbolOf } from "./orderRequest.ts";
import { newYorkText, sortable } from "./stamps.ts";
import { COINS, isFractionable, priceOf, STOCKS } from "./prices.ts";

export function getAccount(exchange: Exchange, account: string): Response {
  const { cashCents, number, createdAt } = exchange.books.account(account);
  const heldCents = exchange.books
    .positions(account)
    .reduce((sum, held) => sum + valueCents(exchange, held), 0);
  const cash = decimalText(cashCents, 2);
  const equity = decimalText(cashCents + heldCents, 2);
  return json({
    id: assetId(account),
    account_number: number,
    status: "ACTIVE",
    crypto_status: "ACTIVE",
    crypto_tier: 1,
    options_approved_level: 0,
    options_trading_level: 0,
    currency: "USD",
    cash,
    equity,
    last_equity: equity,
    portfolio_value: equity,
    buying_power: cash,
    effective_buying_power: cash,
    regt_buying_power: cash,
    non_marginable_buying_power: cash,
    options_buying_power: cash,
    long_market_value: decimalText(Math.max(heldCents, 0), 2),
    short_market_value: "0",
    position_market_value: decimalText(heldCents, 2),
    initial_margin: "0",
    maintenance_margin: "0",
    last_maintenance_margin: "0",
    multiplier: "1",
    sma: "0",
    accrued_fees: "0",
    pending_reg_taf_fees: "0",
    intraday_adjustments: "0",
    balance_asof: newYorkDay(exchange.now() - DAY),
    created_at: createdAt,
    shorting_enabled: true,
    trading_blocked: false,
    transfers_blocked: false,
    account_blocked: false,
    trade_suspended_by_user: false,
    admin_configurations: {},
    user_configurations: null,
  });
}

export function listPositions(exchange: Exchange, account: string): Response {
  return json(
    exchange.books
      .positions(account)
      .map((held) => positionShown(exchange, account, held)),
  );
}

export function getPosition(
  exchange: Exchange,
  account: string,
  name: string,
): Response {
  const held = exchange.books
    .positions(account)
    .find(({ symbol }) =>
      [symbolOf(name), name].some((each) =>
        [symbol, assetId(symbol)].includes(each),
      ),
    );
  if (held === undefined)
    throw new Refusal(404, 40410000, "position does not exist");
  return json(positionShown(exchange, account, held));
}

/** New York's clock, offsets written out. */
export function getClock(exchange: Exchange): Response {
  const nowMs = exchange.now();
  const openNow = isOpen(nowMs);
  const openMs = nextOpen(nowMs);
  const closing = sessionOn(newYorkDay(openNow ? nowMs : openMs));
  return json({
    timestamp: newYorkText(nowMs),
    is_open: openNow,
    next_open: newYorkText(openMs),
    next_close: newYorkText(closing?.closeMs ?? openMs),
  });
}

export async function getCalendar(query: URLSearchParams): Promise<Response> {
  const from = dayOf(query, "start") ?? "1970-01-01";
  const to = dayOf(query, "end") ?? "2029-12-31";
  const rows: CalendarRow[] = [];
  for (let year = yearOf(from); year <= yearOf(to); year++) {
    if (!calendars.has(year)) {
      // Sixty years, asked for by default, take seconds: nobody else waits for all of them.
      await sleep(0);
      calendars.set(year, calendarOf(year));
    }
    rows.push(...(calendars.get(year) ?? []));
  }
  return json(rows.filter(({ date }) => from <= date && date <= to));
}

type CalendarRow = ReturnType<typeof calendarRow>;
const calendars = new Map<number, readonly CalendarRow[]>();

function calendarOf(year: number): CalendarRow[] {
  return sessionsBetween(`${year}-01-01`, `${year}-12-31`).map(calendarRow);
}

/** New York's clock without an offset, and in two forms, as the venue writes it. */
function calendarRow({ day, closeMs, isHalfDay }: Session) {
  return {
    date: day,
    open: "09:30",
    close: isHalfDay ? "13:00" : "16:00",
    session_open: "0400",
    session_close: isHalfDay ? "1700" : "2000",
    settlement_date: newYorkDay(nextOpen(closeMs)),
  };
}

function yearOf(day: string): number {
  return Math.min(Math.max(Number(day.slice(0, 4)), 1970), 2029);
}

export function listAssets(query: URLSearchParams): Response {
  const isWanted = (name: string, value: string) =>
    (query.get(name) ?? value) === value;
  return json(
    [...STOCKS, ...COINS]
      .map(assetShown)
      .filter(
        (asset) =>
          isWanted("status", asset.status) &&
          isWanted("asset_class", asset.class) &&
          isWanted("exchange", asset.exchange),
      ),
  );
}

export function getAsset(name: string): Response {
  const symbol = [...STOCKS, ...COINS].find(
    (known) => known === symbolOf(name) || assetId(known) === name,
  );
  if (symbol === undefined)
    throw new Refusal(404, 40410000, `asset not found for ${name}`);
  return json(assetShown(symbol));
}

function assetShown(symbol: string) {
  const crypto = isCrypto(symbol);
  return {
    id: assetId(symbol),
    class: crypto ? "crypto" : "us_equity",
    exchange: crypto ? "CRYPTO" : "NASDAQ",
    symbol,
    name: `${symbol} (simulated)`,
    status: "active",
    tradable: true,
    marginable: !crypto,
    shortable: !crypto,
    easy_to_borrow: !crypto,
    fractionable: isFractionable(symbol),
    maintenance_margin_requirement: crypto ? 100 : 30,
    margin_requirement_long: crypto ? "100" : "30",
    margin_requirement_short: crypto ? "100" : "30",
    attributes: [],
    ...(crypto
      ? {
          min_order_size: "0.0001",
          min_trade_increment: "0.0001",
          price_increment: "0.01",
        }
      : {}),
  };
}

function positionShown(exchange: Exchange, account: string, held: Position) {
  const { books } = exchange;
  const free = held.qty - heldForOrders(books, account, held.symbol);
  const price = priceOf(held.symbol, exchange.now());
  const value = valueCents(exchange, held);
  const gain = value - held.costCents;
  const share = held.costCents === 0 ? 0 : gain / Math.abs(held.costCents);
  return {
    asset_id: assetId(held.symbol),
    symbol: held.symbol.replace("/", ""),
    exchange: isCrypto(held.symbol) ? "CRYPTO" : "NASDAQ",
    asset_class: isCrypto(held.symbol) ? "crypto" : "us_equity",
    asset_marginable: !isCrypto(held.symbol),
    qty: qtyText(held.qty),
    qty_available: qtyText(held.qty < 0 ? held.qty : Math.max(0, free)),
    side: held.qty < 0 ? "short" : "long",
    avg_entry_price: String(
      Number((held.costCents / 100 / (held.qty / 1e9)).toFixed(6)),
    ),
    cost_basis: decimalText(held.costCents, 2),
    market_value: decimalText(value, 2),
    current_price: String(Number(price.toFixed(6))),
    lastday_price: String(
      Number(priceOf(held.symbol, exchange.now() - DAY).toFixed(6)),
    ),
    change_today: String(
      Number(
        (price / priceOf(held.symbol, exchange.now() - DAY) - 1).toFixed(6),
      ),
    ),
    unrealized_pl: decimalText(gain, 2),
    unrealized_plpc: share.toFixed(6),
    unrealized_intraday_pl: "0",
    unrealized_intraday_plpc: "0",
  };
}

function valueCents(exchange: Exchange, { symbol, qty }: Position): number {
  return Math.round((qty / 1e9) * priceOf(symbol, exchange.now()) * 100);
}

function dayOf(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const stamp = sortable(text);
  if (stamp === undefined) throw unprocessable(`invalid ${name}: ${text}`);
  return stamp.slice(0, 10);
}

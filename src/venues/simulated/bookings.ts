/** What is booked besides trades: dividends, fees, journals, interest. */
import { newYorkDay } from "../../../schema/instant.ts";
import { DAY, HOUR, MINUTE } from "../../clock.ts";
import type { Booking, Execution } from "./bodies.ts";
import type { Desk } from "./desk.ts";
import { centsOf } from "./holdings.ts";
import type { Life } from "./lives.ts";
import { isCrypto, qtyText, type VenueOrder } from "./order.ts";
import { STOCKS } from "./prices.ts";

/** Of what an order of coins moves. */
const COIN_FEE = 0.0025;

const KINDS: readonly ((desk: Desk) => Life)[] = [
  dividend,
  auditTrailFee,
  journal,
  deposit,
  interest,
  exercise,
];

/** One of them, at any hour: its id begins with the day alone, so it may stand below what was read already. */
export function* booked(desk: Desk): Life {
  yield* desk.options.chance.pick(KINDS)(desk);
}

/** Taken from what the order credits, coins or dollars, and booked on the next day. Nothing for stocks. */
export function* coinFee(
  desk: Desk,
  { symbol, side }: VenueOrder,
  { qty, price }: Execution,
): Life {
  if (!isCrypto(symbol)) return;
  const { chance, now } = desk.options;
  const date = newYorkDay(now());
  yield untilUtc(now(), 0) + chance.between(MINUTE, 20 * MINUTE);
  const common = { symbol: symbol.replace("/", ""), date };
  const fee = Math.floor(qty * COIN_FEE);
  // With its row, not before: so the books agree with themselves at every instant.
  desk.book(
    side === "buy"
      ? {
          ...common,
          type: "CFEE",
          netCents: 0,
          description: "Coin Pair Transaction Fee (Non USD)",
          qty: qtyText(-fee),
          price,
          moved: { symbol, qty: -fee },
        }
      : {
          ...common,
          type: "FEE",
          netCents: -centsOf(fee, price),
          description: "Coin Pair Transaction Fee (USD)",
        },
  );
}

/** Sometimes with the tax withheld from it, as a row of its own. */
function* dividend(desk: Desk): Life {
  const { chance } = desk.options;
  const symbol = chance.pick(STOCKS);
  const cents = chance.between(10, 9000);
  const groupId = chance.uuid();
  const common = { symbol, groupId, qty: "10" };
  desk.book({
    ...common,
    type: "DIV",
    subType: "CDIV",
    netCents: cents,
    description: `Cash dividend ${symbol}`,
    perShare: "0.25",
  });
  if (chance.happens(0.3))
    desk.book({
      ...common,
      type: "DIVNRA",
      netCents: -Math.round(cents * 0.3),
      description: `Tax withheld from the dividend of ${symbol}`,
    });
}

/** Of the orders of a day, booked at eleven (UTC) on the next. */
function* auditTrailFee(desk: Desk): Life {
  const { chance, now } = desk.options;
  const date = newYorkDay(now());
  yield untilUtc(now(), 11 * HOUR) + chance.between(0, MINUTE);
  desk.book({
    type: "FEE",
    subType: "CAT",
    netCents: -chance.between(1, 9),
    description: `CAT fee for proceed of ${date}`,
    groupId: chance.uuid(),
    date,
  });
}

function* journal(desk: Desk): Life {
  const { chance } = desk.options;
  desk.book({
    type: "JNLC",
    netCents: chance.between(-5000, 50_000),
    description: "Journal between accounts",
  });
}

function* deposit(desk: Desk): Life {
  const { chance } = desk.options;
  const cents = chance.between(1, 100_000);
  desk.book(
    chance.happens(0.7)
      ? { type: "CSD", netCents: cents, description: "Cash deposit" }
      : { type: "CSW", netCents: -cents, description: "Cash withdrawal" },
  );
}

function* interest(desk: Desk): Life {
  const { chance } = desk.options;
  desk.book({
    type: "INT",
    subType: "MGN",
    netCents: -chance.between(1, 900),
    description: "Margin interest",
  });
}

/** Two rows of one event under one id, as the documents on option events show them. Contracts are in no position here. */
function* exercise(desk: Desk): Life {
  const { chance } = desk.options;
  const symbol = chance.pick(STOCKS);
  const common = { groupId: chance.uuid() };
  const id = desk.book({
    ...common,
    type: "OPEXC",
    netCents: 0,
    description: "Option Exercise",
    symbol: `${symbol}261218C00200000`,
    qty: "-1",
  });
  const trade: Booking = {
    ...common,
    id,
    type: "OPTRD",
    netCents: -2_000_000,
    description: "Option Trade",
    symbol,
    qty: "100",
    price: "200",
    moved: { symbol, qty: 100e9 },
  };
  desk.book(trade);
}

/** How long it is to this time of the next UTC day. */
function untilUtc(nowMs: number, clockMs: number): number {
  return DAY - (nowMs % DAY) + clockMs;
}

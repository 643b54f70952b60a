/** What the simulated venue says of the market, read as the real one's would be; and rows that cannot be read. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { RateBudget } from "../../../src/flow/rate.ts";
import {
  readAccount,
  readAssets,
  readCalendar,
  readClock,
} from "../../../src/venues/alpaca/reference.ts";
import {
  type AlpacaRest,
  createAlpacaRest,
} from "../../../src/venues/alpaca/rest.ts";
import { sessionsBetween } from "../../../src/venues/calendar.ts";
import {
  DEMO_ACCOUNTS,
  type SimulatedVenue,
  startSimulatedVenue,
} from "../../../src/venues/simulated/venue.ts";

const NOW = Date.parse("2026-11-25T15:00:00.250Z");
const options = { priority: "healing" } as const;

let venue: SimulatedVenue;
let rest: AlpacaRest;

beforeAll(async () => {
  venue = await startSimulatedVenue({
    historyDays: 1,
    clock: { now: () => NOW },
  });
  const [account] = DEMO_ACCOUNTS;
  if (account === undefined) throw new Error("no account");
  rest = createAlpacaRest({
    account: { ...account, restUrl: venue.url },
    budget: new RateBudget({ perMinute: 10_000 }),
  });
});
afterAll(() => venue.stop());

const answering = (body: string): AlpacaRest =>
  createAlpacaRest({
    account: { keyId: "k", secretKey: "s", restUrl: "http://venue.test" },
    budget: new RateBudget({ perMinute: 10_000 }),
    fetch: async () => new Response(body),
  });

test("the clock is read to the millisecond", async () => {
  expect(await readClock(rest, options)).toEqual({ atMs: NOW, isOpen: true });
});

test("the calendar is that of the exchange, holidays and half days with it", async () => {
  const range = { fromDay: "2026-11-23", toDay: "2026-11-30" };
  const told = await readCalendar(rest, range, options);
  expect([...told.values()]).toEqual(
    sessionsBetween(range.fromDay, range.toDay),
  );
  expect(told.has("2026-11-26")).toBe(false);
  expect(told.get("2026-11-27")?.isHalfDay).toBe(true);
});

test("the account and the assets are there", async () => {
  const { value } = await readAccount(rest, options);
  expect(value).toMatchObject({ status: "ACTIVE", currency: "USD" });
  expect(await readAssets(rest, "crypto", options)).toContain("BTC/USD");
  expect(await readAssets(rest, "us_equity", options)).toContain("AAPL");
});

test.each([
  ["a clock without a time", "{}", readClock],
  [
    "a clock that is no clock",
    `{"timestamp":"noon","is_open":true}`,
    readClock,
  ],
])("%s is an unreadable answer", async (_name, body, read) => {
  expect(read(answering(body), options)).rejects.toThrow(
    "unreadable answer from /v2/clock",
  );
});

test("a calendar row without its times is an unreadable answer", async () => {
  const range = { fromDay: "2026-11-23", toDay: "2026-11-30" };
  const body = `[{"date":"2026-11-23","open":"soon","close":"16:00"}]`;
  expect(readCalendar(answering(body), range, options)).rejects.toThrow(
    "unreadable answer from /v2/calendar",
  );
});

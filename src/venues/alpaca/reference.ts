/**
 * What the venue says of itself and of the market: the account, its clock, the
 * exchange's calendar, its assets.
 * https://docs.alpaca.markets/reference/getclock
 */
import { microsOf, msOfNewYork } from "../../../schema/instant.ts";
import { readText } from "../../../schema/read.ts";
import { HOUR, MINUTE } from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import type { Session } from "../calendar.ts";
import type { AlpacaRest, CallOptions, RawObject } from "./rest.ts";

export interface VenueClock {
  readonly atMs: number;
  readonly isOpen: boolean;
}

/** @throws VenueError */
export async function readClock(
  rest: AlpacaRest,
  options: CallOptions,
): Promise<VenueClock> {
  const { value } = await rest.object("/v2/clock", {}, options);
  const micros = microsOf(readText(value["timestamp"]) ?? "");
  if (micros === undefined || typeof value["is_open"] !== "boolean")
    throw unreadable("/v2/clock");
  return { atMs: micros / 1000, isOpen: value["is_open"] };
}

/**
 * Sessions of the days from `fromDay` to `toDay` (New York, both included); a day
 * that is not among them has none.
 * @throws VenueError
 */
export async function readCalendar(
  rest: AlpacaRest,
  range: { readonly fromDay: string; readonly toDay: string },
  options: CallOptions,
): Promise<Map<string, Session>> {
  const rows = await rest.array(
    "/v2/calendar",
    { start: range.fromDay, end: range.toDay },
    options,
  );
  return new Map(
    rows.map(({ value }) => {
      const session = sessionOf(value);
      return [session.day, session];
    }),
  );
}

/** The account as the venue shows it: cash, equity, what is blocked. @throws VenueError */
export async function readAccount(
  rest: AlpacaRest,
  options: CallOptions,
): Promise<RawObject> {
  return rest.object("/v2/account", {}, options);
}

/** Symbols that can be traded, by class. @throws VenueError */
export async function readAssets(
  rest: AlpacaRest,
  assetClass: "us_equity" | "crypto",
  options: CallOptions,
): Promise<string[]> {
  const rows = await rest.array(
    "/v2/assets",
    { status: "active", asset_class: assetClass },
    options,
  );
  return rows.flatMap(({ value }) => readText(value["symbol"]) ?? []);
}

/** Two ways to write a time in one row: `09:30`, and `0400` for the early and late hours. */
function sessionOf(value: RawObject["value"]): Session {
  const day = readText(value["date"]);
  const at = (name: string) => {
    const [, hours, minutes] =
      /^(\d\d):?(\d\d)$/.exec(readText(value[name]) ?? "") ?? [];
    if (day === undefined || hours === undefined || minutes === undefined)
      throw unreadable("/v2/calendar");
    return msOfNewYork(day, Number(hours) * HOUR + Number(minutes) * MINUTE);
  };
  const closeMs = at("close");
  return {
    day: day ?? "",
    preOpenMs: at("session_open"),
    openMs: at("open"),
    closeMs,
    postCloseMs: at("session_close"),
    isHalfDay: closeMs < msOfNewYork(day ?? "", 16 * HOUR),
  };
}

function unreadable(path: string): VenueError {
  return new VenueError(`unreadable answer from ${path}`, {
    failure: "unavailable",
  });
}

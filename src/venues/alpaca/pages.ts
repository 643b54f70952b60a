/**
 * Complete reading of orders and activities, page by page, oldest first. What
 * the venue's paging may lose at a seam is read a second time; rows are told
 * apart by id, so overlap costs requests, never doubles.
 */
import { readText } from "../../../schema/read.ts";
import { microsOf, isoOfMicros } from "../../../schema/instant.ts";
import { VenueError } from "../../errors.ts";
import type { AlpacaRest, CallOptions, Query, RawObject } from "./rest.ts";

const ORDERS_PAGE = 500;
export const ACTIVITIES_PAGE = 100;
/** A time cursor reads this much again: orders of one instant, and those that routing moved. */
const TIME_OVERLAP_MS = 1000;
/** Routing has not moved `submitted_at` of such an order yet, and with it its place among the pages. */
const UNROUTED = new Set([
  "pending_new",
  "accepted",
  "accepted_for_bidding",
  "held",
]);

export interface Page {
  /** Only what no earlier page of this reading held. */
  readonly rows: readonly RawObject[];
  /**
   * Venue time (ISO UTC) up to which the reading is now complete: everything
   * before it has been handed out. Undefined when the page tells no time.
   */
  readonly completeTo: string | undefined;
}

/**
 * Orders submitted after `from` (exclusive; all when undefined), each with its
 * legs inside, oldest first.
 *
 * The first page is asked for by time, the following by the id of a last
 * order: a time cursor would step over orders of one instant, and `submitted_at`
 * moves when an order is routed. A venue that does not know the id cursor answers
 * with what was read already; then time with an overlap has to do.
 */
export async function* orderPages(
  rest: AlpacaRest,
  range: { from?: Date | undefined; until?: Date | undefined },
  options: CallOptions,
): AsyncGenerator<Page> {
  const seen = new Seen(4 * ORDERS_PAGE);
  const until = range.until?.toISOString();
  let cursor: Query = { after: range.from?.toISOString(), until };
  let lastAt = range.from?.toISOString();
  let byTime = false;
  for (;;) {
    const page = await rest.array(
      "/v2/orders",
      {
        status: "all",
        direction: "asc",
        nested: "true",
        limit: ORDERS_PAGE,
        ...cursor,
      },
      options,
    );
    const rows = page.filter((order) => seen.add(identityOf(order)));
    const short = page.length < ORDERS_PAGE;
    if (rows.length > 0)
      lastAt = timeOf(page.at(-1), ["submitted_at", "created_at"]) ?? lastAt;
    yield { rows, completeTo: short ? undefined : lastAt };
    if (
      short ||
      (until !== undefined && lastAt !== undefined && lastAt > until)
    )
      return;
    if (rows.length === 0) {
      if (byTime || lastAt === undefined) throw stuck("/v2/orders");
      byTime = true;
    }
    cursor =
      byTime && lastAt !== undefined
        ? {
            after: new Date(Date.parse(lastAt) - TIME_OVERLAP_MS).toISOString(),
            until,
          }
        : { after_order_id: orderCursor(page) };
  }
}

/** Orders that the venue counts as open, whatever their age. */
export async function* openOrderPages(
  rest: AlpacaRest,
  options: CallOptions,
): AsyncGenerator<Page> {
  const seen = new Seen(4 * ORDERS_PAGE);
  let cursor: string | undefined;
  for (;;) {
    const page = await rest.array(
      "/v2/orders",
      {
        status: "open",
        direction: "asc",
        nested: "true",
        limit: ORDERS_PAGE,
        after_order_id: cursor,
      },
      options,
    );
    const rows = page.filter((order) => seen.add(identityOf(order)));
    yield { rows, completeTo: undefined };
    if (page.length < ORDERS_PAGE) return;
    if (rows.length === 0) throw stuck("/v2/orders");
    cursor = orderCursor(page);
  }
}

/**
 * The id behind which the next page begins: of the last order that stays where it
 * is. One that is routed between two pages would take those in between with it.
 */
function orderCursor(page: readonly RawObject[]): string | undefined {
  const last =
    page.findLast(({ value }) => !UNROUTED.has(String(value["status"]))) ??
    page.at(-1);
  return readText(last?.value["id"]);
}

/** One order by its id; undefined when the venue does not know it. */
export async function orderById(
  rest: AlpacaRest,
  id: string,
  options: CallOptions,
): Promise<RawObject | undefined> {
  try {
    return await rest.object(`/v2/orders/${id}`, { nested: "true" }, options);
  } catch (error) {
    if (error instanceof VenueError && error.failure === "absent")
      return undefined;
    throw error;
  }
}

/**
 * Activities booked after `from` (all when undefined), of every type, oldest first.
 *
 * A page token is the id of a row, and ids of one stamp are in no order of time.
 * Alpaca was seen to skip rows that share the stamp of the page's last row
 * (Alpaca-API #176), so the next page starts behind the last row of an *earlier*
 * stamp and reads the seam again. A page of one single stamp leaves no such row:
 * then the seam is crossed by id and the day is read once more by date, which
 * showed the missing rows there.
 */
export async function* activityPages(
  rest: AlpacaRest,
  range: { from?: Date | undefined; until?: Date | undefined },
  options: CallOptions & {
    readonly types?: string | undefined;
    readonly category?: string | undefined;
  },
): AsyncGenerator<Page> {
  const seen = new Seen(20 * ACTIVITIES_PAGE);
  const fixed = {
    direction: "asc",
    page_size: ACTIVITIES_PAGE,
    activity_types: options.types,
    category: options.category,
    until: range.until?.toISOString(),
  };
  const after = range.from?.toISOString();
  const daysRead = new Set<string>();
  let token: string | undefined;
  for (;;) {
    const page = await rest.array(
      "/v2/account/activities",
      { ...fixed, after, page_token: token },
      options,
    );
    const rows = page.filter((activity) => seen.add(identityOf(activity)));
    const short = page.length < ACTIVITIES_PAGE;
    yield { rows, completeTo: short ? undefined : completeTo(page) };
    if (short) return;
    const seam = lastOfEarlierStamp(page);
    const next = seam ?? readText(page.at(-1)?.value["id"]);
    if (next === undefined || next === token)
      throw stuck("/v2/account/activities");
    if (seam === undefined) {
      const day = dayOf(next);
      if (day !== undefined && !daysRead.has(day)) {
        daysRead.add(day);
        yield* activitiesOfDay(rest, day, seen, options);
      }
    }
    token = next;
  }
}

/** All rows of one day by the `date` parameter, newest first so that its seams fall elsewhere. */
async function* activitiesOfDay(
  rest: AlpacaRest,
  date: string,
  seen: Seen,
  options: CallOptions & {
    readonly types?: string | undefined;
    readonly category?: string | undefined;
  },
): AsyncGenerator<Page> {
  let token: string | undefined;
  for (;;) {
    const page = await rest.array(
      "/v2/account/activities",
      {
        date,
        direction: "desc",
        page_size: ACTIVITIES_PAGE,
        page_token: token,
        activity_types: options.types,
        category: options.category,
      },
      options,
    );
    yield {
      rows: page.filter((activity) => seen.add(identityOf(activity))),
      completeTo: undefined,
    };
    const next = readText(page.at(-1)?.value["id"]);
    if (page.length < ACTIVITIES_PAGE || next === undefined || next === token)
      return;
    token = next;
  }
}

/** Docs show two rows of one option event under one id, so the type belongs to the identity. */
function identityOf({ raw, value }: RawObject): string {
  const id = readText(value["id"]);
  return id === undefined
    ? raw
    : `${id} ${readText(value["activity_type"]) ?? ""}`;
}

/** Id of the last row whose stamp (the part before `::`) is not the page's last stamp. */
function lastOfEarlierStamp(page: readonly RawObject[]): string | undefined {
  const ids = page.map(({ value }) => readText(value["id"]));
  const lastStamp = stampOf(ids.at(-1));
  return ids.findLast((id) => id !== undefined && stampOf(id) !== lastStamp);
}

function stampOf(id: string | undefined): string | undefined {
  return id?.split("::")[0];
}

/** `YYYY-MM-DD` of a stamp. */
function dayOf(id: string): string | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)/.exec(id);
  return match === null ? undefined : `${match[1]}-${match[2]}-${match[3]}`;
}

/**
 * Ids sort by New York's stamp, and rows without a time of day sort first in
 * their day: only fills tell how far a reading in id order has come.
 */
function completeTo(page: readonly RawObject[]): string | undefined {
  const lastStamp = stampOf(readText(page.at(-1)?.value["id"]));
  const before = page.findLast(
    ({ value }) =>
      stampOf(readText(value["id"])) !== lastStamp &&
      readText(value["transaction_time"]),
  );
  return timeOf(before, ["transaction_time"]);
}

function timeOf(
  row: RawObject | undefined,
  members: readonly string[],
): string | undefined {
  for (const member of members) {
    const text = row?.value[member];
    const micros = typeof text === "string" ? microsOf(text) : undefined;
    if (micros !== undefined) return isoOfMicros(micros);
  }
  return undefined;
}

function stuck(path: string): VenueError {
  return new VenueError(`the pages of ${path} do not move on`, {
    failure: "rejected",
  });
}

/** The identities read last, up to a limit: seams overlap with the page before, not with the whole past. */
class Seen {
  readonly #identities = new Set<string>();
  constructor(readonly lengthMax: number) {}

  /** False when it was there already. */
  add(identity: string): boolean {
    if (this.#identities.has(identity)) return false;
    this.#identities.add(identity);
    if (this.#identities.size > this.lengthMax) {
      const [oldest] = this.#identities;
      if (oldest !== undefined) this.#identities.delete(oldest);
    }
    return true;
  }
}

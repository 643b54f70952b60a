/** Complete reading page by page: nothing is lost at a seam, nothing handed out twice, and no venue keeps it going for ever. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { describeError, VenueError } from "../../../src/errors.ts";
import { RateBudget } from "../../../src/flow/rate.ts";
import {
  activityPages,
  openOrderPages,
  orderById,
  orderPages,
  type Page,
} from "../../../src/venues/alpaca/pages.ts";
import { createAlpacaRest } from "../../../src/venues/alpaca/rest.ts";
import {
  feeOf,
  fillOf,
  iso,
  type Members,
  NOW,
  orderOf,
  ScriptedVenue,
  uuid,
} from "../../support/accountScript.ts";

const OPTIONS = { priority: "backfill" } as const;

function clientOf(venue: Pick<ScriptedVenue, "fetch">) {
  return createAlpacaRest({
    account: { restUrl: "http://venue.test", keyId: "key", secretKey: "hush" },
    budget: new RateBudget({ perMinute: 1_000_000 }),
    fetch: (url) => venue.fetch(url),
  });
}

interface Reading {
  /** Ids in the order they were handed out. */
  readonly ids: string[];
  readonly pages: Page[];
  /** Why it ended before its time. */
  readonly failure?: string;
}

async function read(pages: AsyncGenerator<Page>): Promise<Reading> {
  const reading: Reading = { ids: [], pages: [] };
  try {
    for await (const page of pages) {
      reading.pages.push(page);
      reading.ids.push(...page.rows.map(({ value }) => String(value["id"])));
    }
    return reading;
  } catch (error) {
    if (!(error instanceof VenueError)) throw error;
    return { ...reading, failure: `${error.failure}: ${describeError(error)}` };
  }
}

function idsOf(rows: readonly Members[]): string[] {
  return rows.map(({ id }) => String(id));
}

/** Every row was handed out, and none twice. */
function expectAll({ ids, failure }: Reading, rows: readonly Members[]): void {
  const wanted = new Set(idsOf(rows));
  expect({
    failure,
    missing: [...wanted.difference(new Set(ids))],
    tooMany: ids.filter((id, index) => ids.indexOf(id) !== index),
    count: ids.length,
  }).toEqual({
    failure: undefined,
    missing: [],
    tooMany: [],
    count: wanted.size,
  });
}

/** Queries as asked, without what is the same in each. */
function queriesOf(venue: ScriptedVenue, constant: readonly string[]) {
  return venue.requests.map((request) => {
    const url = new URL(request, "http://venue.test");
    for (const name of constant) url.searchParams.delete(name);
    return Object.fromEntries(url.searchParams);
  });
}

/** A venue that does not know the id cursor and answers as if it were not there. */
function forgetful(venue: ScriptedVenue): Pick<ScriptedVenue, "fetch"> {
  return {
    fetch: (text) => {
      const url = new URL(text);
      url.searchParams.delete("after_order_id");
      return venue.fetch(url.href);
    },
  };
}

/** Calls `happen` when request number `count` is about to be answered. */
function before(venue: ScriptedVenue, count: number, happen: () => void): void {
  venue.interrupt = () => {
    if (venue.requests.length === count) happen();
    return undefined;
  };
}

describe("orders", () => {
  const CONSTANT = ["status", "direction", "nested", "limit"];
  const from = new Date(NOW - HOUR);

  function venueOf(count: number, at = (number: number) => number * SECOND) {
    const venue = new ScriptedVenue();
    for (let number = 0; number < count; number++)
      venue.orders.push(orderOf(number, NOW - HOUR + 1 + at(number)));
    return venue;
  }

  const readAll = (
    venue: Pick<ScriptedVenue, "fetch">,
    range: { from?: Date; until?: Date } = { from },
  ) => read(orderPages(clientOf(venue), range, OPTIONS));

  test("are asked for by time first, then by the last id, all of them with their legs", async () => {
    const venue = venueOf(1200);
    expectAll(await readAll(venue), venue.orders);
    expect(queriesOf(venue, [])).toEqual([
      {
        status: "all",
        direction: "asc",
        nested: "true",
        limit: "500",
        after: iso(+from),
      },
      {
        status: "all",
        direction: "asc",
        nested: "true",
        limit: "500",
        after_order_id: uuid(499),
      },
      {
        status: "all",
        direction: "asc",
        nested: "true",
        limit: "500",
        after_order_id: uuid(999),
      },
    ]);
  });

  test.each([
    [0, 1],
    [1, 1],
    [499, 1],
    [500, 2],
    [501, 2],
    [1000, 3],
  ])(
    "%d of them take %d requests, and each comes once, oldest first",
    async (count, requests) => {
      const venue = venueOf(count);
      const { ids, failure } = await readAll(venue);
      expect({ ids, failure }).toEqual({
        ids: idsOf(venue.orders),
        failure: undefined,
      });
      expect(venue.requests).toHaveLength(requests);
    },
  );

  test("are read from the beginning when no time is given", async () => {
    const venue = venueOf(3);
    const { ids } = await readAll(venue, {});
    expect(ids).toEqual(idsOf(venue.orders));
    expect(queriesOf(venue, CONSTANT)).toEqual([{}]);
  });

  test("of one instant are all read, however many", async () => {
    const venue = venueOf(1300, () => 0);
    expectAll(await readAll(venue), venue.orders);
    expect(venue.requests).toHaveLength(3);
  });

  test("end with the page that reaches beyond the last instant", async () => {
    const venue = venueOf(1600);
    const until = new Date(NOW - HOUR + 700 * SECOND);
    const { ids } = await readAll(venue, { from, until });
    expect(ids).toEqual(idsOf(venue.orders.slice(0, 1000)));
    expect(queriesOf(venue, CONSTANT)).toEqual([
      { after: iso(+from), until: iso(+until) },
      // The venue takes no times beside an id.
      { after_order_id: uuid(499) },
    ]);
  });

  test("before the last order of a full page are all handed out, and the page says so", async () => {
    const venue = venueOf(1200);
    const { pages } = await readAll(venue);
    expect(
      pages.map(({ rows, completeTo }) => [rows.length, completeTo]),
    ).toEqual([
      [500, iso(NOW - HOUR + 1 + 499 * SECOND).replace("Z", "000Z")],
      [500, iso(NOW - HOUR + 1 + 999 * SECOND).replace("Z", "000Z")],
      [200, undefined],
    ]);
  });

  test("are known by when they were created where the venue does not say when they were submitted", async () => {
    const venue = new ScriptedVenue();
    const row = orderOf(1, NOW, { submitted_at: null });
    venue.interrupt = () =>
      venue.requests.length === 1
        ? Response.json(
            Array(499)
              .fill(orderOf(0, NOW - MINUTE))
              .concat(row),
          )
        : Response.json([]);
    const { ids, pages } = await readAll(venue);
    expect(ids).toEqual([uuid(0), uuid(1)]);
    expect(pages[0]?.completeTo).toBe(iso(NOW).replace("Z", "000Z"));
  });

  test("that are routed between two pages take none with them", async () => {
    const venue = venueOf(1200);
    // The last of the first page is not at the exchange yet; then it is, behind the next three.
    const last = venue.orders[499]!;
    last["status"] = "pending_new";
    before(venue, 2, () => {
      last["submitted_at"] = iso(NOW - HOUR + 1 + 502.5 * SECOND);
      last["status"] = "new";
    });
    expectAll(await readAll(venue), venue.orders);
  });

  test("that no exchange has yet are passed by their ids", async () => {
    const venue = venueOf(1200);
    for (const order of venue.orders) order["status"] = "accepted";
    expectAll(await readAll(venue), venue.orders);
    expect(venue.requests).toHaveLength(3);
  });

  describe("of a venue that does not know the id cursor", () => {
    test("are read by time, each page a second over", async () => {
      const venue = venueOf(1300);
      expectAll(await readAll(forgetful(venue)), venue.orders);
      expect(queriesOf(venue, CONSTANT)).toEqual([
        { after: iso(+from) },
        {},
        { after: iso(NOW - HOUR + 1 + 498 * SECOND) },
        { after: iso(NOW - HOUR + 1 + 997 * SECOND) },
      ]);
    });

    test("are not stepped over where many share an instant, or one moves across the cursor", async () => {
      const venue = venueOf(1300, (number) => Math.floor(number / 40) * SECOND);
      const mover = venue.orders[510]!;
      before(venue, 3, () => {
        mover["submitted_at"] = iso(
          Date.parse(String(mover["submitted_at"])) + 300,
        );
      });
      expectAll(await readAll(forgetful(venue)), venue.orders);
    });

    test("of one instant and more than a page are not passed over in silence", async () => {
      const venue = venueOf(600, () => 0);
      const { ids, failure } = await readAll(forgetful(venue));
      expect(ids).toHaveLength(500);
      expect(failure).toBe("rejected: the pages of /v2/orders do not move on");
      expect(venue.requests).toHaveLength(3);
    });
  });

  test.each([
    ["with times", {}],
    ["without any time", { submitted_at: null, created_at: null }],
  ])(
    "that are the same page for ever, %s, end the reading",
    async (_, more) => {
      const venue = new ScriptedVenue();
      const page = Array.from({ length: 500 }, (__, number) =>
        orderOf(number, NOW, more),
      );
      venue.interrupt = () => Response.json(page);
      const { ids, failure } = await readAll(venue, {});
      expect(ids).toEqual(idsOf(page));
      expect(failure).toBe("rejected: the pages of /v2/orders do not move on");
      expect(venue.requests.length).toBeLessThanOrEqual(3);
    },
  );

  test("that come twice are handed out once; what has no id is known by its text", async () => {
    const venue = new ScriptedVenue();
    venue.interrupt = () =>
      new Response('[{"id":"a"},{"id":"a"},{"n":1.0},{"n":1},{"n":1},17,17]');
    const { pages } = await readAll(venue);
    expect(pages.map(({ rows }) => rows.map(({ raw }) => raw))).toEqual([
      ['{"id":"a"}', '{"n":1.0}', '{"n":1}', "17"],
    ]);
  });
});

describe("open orders", () => {
  test("are read whatever their age, page by page", async () => {
    const venue = new ScriptedVenue();
    for (let number = 0; number < 1100; number++)
      venue.orders.push(
        orderOf(number, NOW - number * HOUR, {
          status: number % 10 === 0 ? "filled" : "new",
        }),
      );
    const reading = await read(openOrderPages(clientOf(venue), OPTIONS));
    expectAll(
      reading,
      venue.orders.filter(({ status }) => status === "new"),
    );
    expect(reading.pages.map(({ completeTo }) => completeTo)).toEqual([
      undefined,
      undefined,
    ]);
    expect(queriesOf(venue, [])).toEqual([
      { status: "open", direction: "asc", nested: "true", limit: "500" },
      {
        status: "open",
        direction: "asc",
        nested: "true",
        limit: "500",
        after_order_id: reading.ids[499] ?? "",
      },
    ]);
  });

  test("that are routed between two pages take none with them", async () => {
    const venue = new ScriptedVenue();
    for (let number = 0; number < 700; number++)
      venue.orders.push(orderOf(number, NOW + number));
    const last = venue.orders[499]!;
    last["status"] = "accepted";
    before(venue, 2, () => {
      last["submitted_at"] = iso(NOW + 600);
    });
    expectAll(
      await read(openOrderPages(clientOf(venue), OPTIONS)),
      venue.orders,
    );
  });

  test("that are the same page for ever end the reading", async () => {
    const venue = new ScriptedVenue();
    for (let number = 0; number < 600; number++)
      venue.orders.push(orderOf(number, NOW));
    const { ids, failure } = await read(
      openOrderPages(clientOf(forgetful(venue)), OPTIONS),
    );
    expect(ids).toHaveLength(500);
    expect(failure).toBe("rejected: the pages of /v2/orders do not move on");
    expect(venue.requests).toHaveLength(2);
  });
});

describe("one order", () => {
  const venue = new ScriptedVenue();
  venue.orders.push(orderOf(7, NOW));

  test("is read with its legs; one that the venue does not know is undefined", async () => {
    const known = await orderById(clientOf(venue), uuid(7), OPTIONS);
    expect(known).toEqual({
      raw: JSON.stringify(venue.orders[0]),
      value: orderOf(7, NOW),
    });
    expect(await orderById(clientOf(venue), uuid(8), OPTIONS)).toBeUndefined();
    expect(venue.requests).toEqual([
      `/v2/orders/${uuid(7)}?nested=true`,
      `/v2/orders/${uuid(8)}?nested=true`,
    ]);
  });

  test("that the venue refuses to show is no unknown order", async () => {
    const refusing = {
      fetch: async () => new Response("", { status: 403 }),
    };
    const failure = await orderById(clientOf(refusing), uuid(7), OPTIONS).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ failure: "refused", status: 403 });
  });
});

describe("activities", () => {
  const CONSTANT = ["direction", "page_size"];
  const from = new Date(NOW - HOUR);

  /** Fills of the last hour, so many a millisecond. */
  function venueOf(groups: readonly number[]) {
    const venue = new ScriptedVenue();
    let number = 0;
    for (const [index, count] of groups.entries())
      for (let place = 0; place < count; place++)
        venue.activities.push(
          fillOf(number++, NOW - HOUR + 1 + index * SECOND),
        );
    return venue;
  }

  /** The same rows of a venue that pages by id exactly as it says. */
  function honest(venue: ScriptedVenue): Pick<ScriptedVenue, "fetch"> {
    return {
      fetch: async (text) => {
        const url = new URL(text);
        venue.requests.push(`${url.pathname}${url.search}`);
        const { searchParams: query } = url;
        const token = query.get("page_token") ?? "";
        const rows = venue.activities
          .filter(({ id }) => String(id) > token)
          .sort((a, b) => (String(a["id"]) < String(b["id"]) ? -1 : 1));
        return Response.json(rows.slice(0, 100));
      },
    };
  }

  const readAll = (
    venue: Pick<ScriptedVenue, "fetch">,
    range: { from?: Date; until?: Date } = { from },
    more: { types?: string; category?: string } = {},
  ) => read(activityPages(clientOf(venue), range, { ...OPTIONS, ...more }));

  test("are asked for from the oldest on, each page from behind the last millisecond that is surely whole", async () => {
    const venue = venueOf(Array(250).fill(1));
    const until = new Date(NOW);
    expectAll(await readAll(venue, { from, until }), venue.activities);
    const constant = {
      direction: "asc",
      page_size: "100",
      after: iso(+from),
      until: iso(+until),
    };
    expect(queriesOf(venue, [])).toEqual([
      constant,
      { ...constant, page_token: String(venue.activities[98]?.["id"]) },
      { ...constant, page_token: String(venue.activities[197]?.["id"]) },
    ]);
  });

  test.each([
    [0, 1],
    [1, 1],
    [99, 1],
    [100, 2],
    [101, 2],
    [198, 2],
    [199, 3],
  ])(
    "%d of them take %d requests, and each comes once",
    async (count, requests) => {
      const venue = venueOf(Array(count).fill(1));
      const { ids, failure } = await readAll(venue);
      expect({ ids, failure }).toEqual({
        ids: idsOf(venue.activities),
        failure: undefined,
      });
      expect(venue.requests).toHaveLength(requests);
    },
  );

  test("of one millisecond are not lost at a seam, whether or not the venue steps over them", async () => {
    const groups = fc.array(
      fc.oneof(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 20, max: 99 }),
      ),
      { minLength: 1, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(groups, fc.boolean(), async (counts, isHonest) => {
        const venue = venueOf(counts);
        expectAll(
          await readAll(isHonest ? honest(venue) : venue),
          venue.activities,
        );
      }),
      { numRuns: 60 },
    );
  });

  test("of one millisecond that fill whole pages are crossed by id, and their day is read once more by date", async () => {
    const venue = venueOf([5, 350, 120, 5]);
    expectAll(
      await readAll(venue, { from }, { category: "trade_activity" }),
      venue.activities,
    );
    const byDate = queriesOf(venue, CONSTANT).filter(({ date }) => date);
    expect(byDate[0]).toEqual({
      date: "2026-09-16",
      category: "trade_activity",
    });
    expect(new Set(byDate.map(({ date }) => date)).size).toBe(1);
    expect(byDate.filter(({ page_token }) => !page_token)).toHaveLength(1);
  });

  test("that are no trades share the stamp of their day, and none is lost among hundreds", async () => {
    const venue = venueOf([3]);
    for (let number = 1000; number < 1330; number++)
      venue.activities.push(feeOf(number, NOW - HOUR + number * SECOND));
    expectAll(await readAll(venue), venue.activities);
  });

  test("booked late, below the cursor, while the reading is on the seam are found", async () => {
    const venue = venueOf([...Array(80).fill(1), 60, 5]);
    // A page of eighty single rows and twenty of the sixty: one more of these is booked, by its id the first.
    const stamped = venue.activities[80]!;
    const late = {
      ...stamped,
      id: `${String(stamped["id"]).split("::")[0]}::${uuid(0)}`,
    };
    before(venue, 2, () => venue.activities.push(late));
    expectAll(await readAll(venue), venue.activities);
    expect(venue.activities).toContain(late);
  });

  test("booked late, before all other rows of a crowded day, are found by the date", async () => {
    const venue = new ScriptedVenue();
    for (let number = 1000; number < 1150; number++)
      venue.activities.push(feeOf(number, NOW - HOUR + number));
    const late = feeOf(1, NOW - MINUTE);
    before(venue, 2, () => venue.activities.push(late));
    const reading = await readAll(venue);
    expect(reading.ids).toContain(String(late["id"]));
    expectAll(reading, venue.activities);
  });

  test("booked late behind the reading's back are there for the next that asks by time of booking", async () => {
    const venue = venueOf(Array(250).fill(1));
    const late = feeOf(1, NOW - MINUTE);
    before(venue, 3, () => venue.activities.push(late));
    expect((await readAll(venue)).ids).not.toContain(String(late["id"]));
    venue.interrupt = () => undefined;
    const again = await readAll(venue, { from: new Date(NOW - 2 * MINUTE) });
    expect(again.ids).toEqual([String(late["id"])]);
  });

  test("of a venue whose token is inclusive come once all the same", async () => {
    const venue = venueOf([...Array(130).fill(1), 30, 1]);
    const inclusive = {
      fetch: async (text: string) => {
        const token = new URL(text).searchParams.get("page_token") ?? "";
        return Response.json(
          venue.activities
            .filter(({ id }) => String(id) >= token)
            .slice(0, 100),
        );
      },
    };
    expectAll(await readAll(inclusive), venue.activities);
  });

  test("with one id are two rows when they are of two types, and one when they are not", async () => {
    const venue = new ScriptedVenue();
    venue.interrupt = () =>
      new Response(
        '[{"id":"a","activity_type":"OPEXC"},{"id":"a","activity_type":"OPTRD"},{"id":"a","activity_type":"OPTRD"},{"n":1},{"n":1},17]',
      );
    const { pages } = await readAll(venue);
    expect(pages.map(({ rows }) => rows.map(({ raw }) => raw))).toEqual([
      [
        '{"id":"a","activity_type":"OPEXC"}',
        '{"id":"a","activity_type":"OPTRD"}',
        '{"n":1}',
        "17",
      ],
    ]);
  });

  test.each([
    ["with ids", (number: number) => fillOf(number, NOW - number * SECOND)],
    ["of one millisecond", (number: number) => fillOf(number, NOW)],
    ["without ids", (number: number) => ({ number })],
  ])(
    "that are the same page for ever, %s, end the reading",
    async (_, rowOf) => {
      const venue = new ScriptedVenue();
      const page = Array.from({ length: 100 }, (__, number) => rowOf(number));
      venue.interrupt = () => Response.json(page);
      const { pages, failure } = await readAll(venue);
      expect(pages.flatMap(({ rows }) => rows)).toHaveLength(100);
      expect(failure).toBe(
        "rejected: the pages of /v2/account/activities do not move on",
      );
      expect(venue.requests.length).toBeLessThanOrEqual(4);
    },
  );

  test("tell how far a full page is complete: to the last trade of an earlier millisecond", async () => {
    const venue = venueOf([...Array(70).fill(1), 50, 5]);
    const { pages } = await readAll(venue);
    expect(pages.map(({ completeTo }) => completeTo)).toEqual([
      // The seventy-first millisecond is cut by the page.
      iso(NOW - HOUR + 1 + 69 * SECOND).replace("Z", "000Z"),
      undefined,
    ]);
  });

  test("that are no trades tell nothing of how far a page is complete", async () => {
    const venue = new ScriptedVenue();
    for (let number = 0; number < 130; number++)
      venue.activities.push(feeOf(number, NOW - HOUR + 1 + number));
    const { pages } = await readAll(venue);
    expect(new Set(pages.map(({ completeTo }) => completeTo))).toEqual(
      new Set([undefined]),
    );
  });

  test("of some types only are asked for by these on every page", async () => {
    const venue = venueOf([150]);
    await readAll(venue, {}, { types: "FILL,FEE" });
    expect(
      new Set(queriesOf(venue, []).map(({ activity_types }) => activity_types)),
    ).toEqual(new Set(["FILL,FEE"]));
    expect(queriesOf(venue, CONSTANT)[0]).toEqual({
      activity_types: "FILL,FEE",
    });
  });
});

test("a reading that is told to stop asks for no further page", async () => {
  const venue = new ScriptedVenue();
  for (let number = 0; number < 1200; number++)
    venue.orders.push(orderOf(number, NOW + number));
  const stop = new AbortController();
  const reason = new Error("stopped");
  const options = { ...OPTIONS, signal: stop.signal };
  const reading = (async () => {
    for await (const _ of orderPages(clientOf(venue), {}, options))
      stop.abort(reason);
  })();
  expect(await reading.catch((error: unknown) => error)).toBe(reason);
  expect(venue.requests).toHaveLength(1);
});

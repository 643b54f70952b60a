/** Bars by REST: which there are, how they are paged, and what each plan shows of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HOUR, MINUTE, SECOND } from "../../../../src/clock.ts";
import { DEMO_POLYGON_KEY } from "../../../../src/venues/simulated/polygon/polygon.ts";
import { NOW, Place, type Row } from "./place.ts";

let place: Place;
beforeAll(async () => {
  place = await Place.open({
    splits: [{ symbol: "MSFT", day: "2026-09-15", from: 1, to: 4 }],
    listed: { NEWCO: "2026-09-16", QUIET: "2016-01-04" },
  });
});
afterAll(() => place[Symbol.asyncDispose]());

const range = (ticker: string, from: string | number, to: string | number) =>
  `/v2/aggs/ticker/${ticker}/range/1/minute/${from}/${to}`;

describe("a page", () => {
  test("has the minutes of the tape, in an envelope that echoes what was asked", async () => {
    const from = NOW - HOUR;
    const { request_id: id, ...body } = await place.get(
      range("AAPL", from, from + 2 * MINUTE),
    );
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    const results = [0, 1, 2].map((minute) =>
      place.row("AAPL", from + minute * MINUTE),
    );
    expect(body).toEqual({
      ticker: "AAPL",
      queryCount: 3,
      resultsCount: 3,
      adjusted: true,
      results,
      status: "OK",
      count: 3,
    });
  });

  test.each([
    [
      "an unknown ticker",
      range("NOSUCH", "2026-09-15", "2026-09-15"),
      "NOSUCH",
    ],
    ["the wrong case", range("aapl", "2026-09-15", "2026-09-15"), "aapl"],
    ["a Sunday", range("AAPL", "2026-09-13", "2026-09-13"), "AAPL"],
    [
      "days before the listing",
      range("NEWCO", "2026-09-14", "2026-09-15"),
      "NEWCO",
    ],
    ["the future", range("AAPL", "2027-01-04", "2027-01-05"), "AAPL"],
  ])("has no results at all for %s", async (_, path, ticker) => {
    const { request_id: _id, ...body } = await place.get(path);
    expect(body).toEqual({
      ticker,
      queryCount: 0,
      resultsCount: 0,
      adjusted: true,
      status: "OK",
      count: 0,
    });
  });

  test("of a day begins at 04:00 and ends at 20:00 in New York", async () => {
    const { results } = await place.get(
      `${range("AAPL", "2026-09-15", "2026-09-15")}?limit=50000`,
    );
    expect(results.length).toBe(16 * 60);
    expect(new Date(results[0].t).toISOString()).toBe(
      "2026-09-15T08:00:00.000Z",
    );
    expect(new Date(results.at(-1).t).toISOString()).toBe(
      "2026-09-15T23:59:00.000Z",
    );
  });

  test("of a half day ends at 17:00, of a day in winter an hour later in UTC", async () => {
    const day = async (text: string) => {
      const { results } = await place.get(
        `${range("AAPL", text, text)}?limit=50000`,
      );
      return [results[0], results.at(-1)].map(({ t }) =>
        new Date(t).toISOString().slice(11, 16),
      );
    };
    expect(await day("2025-11-28")).toEqual(["09:00", "21:59"]);
    expect(await day("2026-01-05")).toEqual(["09:00", "00:59"]);
  });

  test("leaves out the minutes in which nothing traded", async () => {
    const { results } = await place.get(
      range("QUIET", NOW - 6 * HOUR, NOW - 1),
    );
    const minutes = Array.from({ length: 360 }, (_, index) =>
      place.row("QUIET", NOW - 6 * HOUR + index * MINUTE),
    ).filter((row) => row !== undefined);
    expect(results).toEqual(minutes);
    expect(results.length).toBeLessThan(60);
  });

  test("ends in the minute that is running, as far as it got", async () => {
    await using now = await Place.open({}, {}, NOW + 30 * SECOND);
    const rows: Row[] = (await now.get(range("SPY", NOW, NOW))).results;
    now.nowMs = NOW + 50 * SECOND;
    const later: Row[] = (await now.get(range("SPY", NOW, NOW))).results;
    now.nowMs = NOW + HOUR;
    const whole: Row[] = (await now.get(range("SPY", NOW, NOW))).results;
    expect(whole).toEqual([now.row("SPY", NOW)!]);
    const counts = [rows, later, whole].map(([row]) => row?.n ?? 0);
    expect(counts[0]).toBeGreaterThan(0);
    expect(counts).toEqual([...new Set(counts)].toSorted((a, b) => a - b));
  });

  test("of days is of the regular session in its prices and of the whole day in its volume", async () => {
    const { results } = await place.get(
      "/v2/aggs/ticker/AAPL/range/1/day/2026-09-11/2026-09-14",
    );
    const minutes: Row[] = (
      await place.get(
        `${range("AAPL", "2026-09-14", "2026-09-14")}?limit=50000`,
      )
    ).results;
    const open = Date.parse("2026-09-14T13:30:00Z");
    const regular = minutes.filter(
      ({ t }) => t >= open && t < open + 6.5 * HOUR,
    );
    expect(results.map(({ t }: Row) => new Date(t).toISOString())).toEqual([
      "2026-09-11T04:00:00.000Z",
      "2026-09-14T04:00:00.000Z",
    ]);
    expect(results[1]).toMatchObject({
      o: regular[0]?.o,
      c: regular.at(-1)?.c,
      h: Math.max(...regular.map(({ h }) => h)),
      l: Math.min(...regular.map(({ l }) => l)),
      v: minutes.reduce((sum, { v }) => sum + v, 0),
    });
  });

  test("writes a volume from a million on with an exponent", async () => {
    const { text } = await place.call(
      "/v2/aggs/ticker/AAPL/range/1/day/2026-09-14/2026-09-14",
    );
    expect(text).toMatch(/"v":\d\.\d+e\+06/);
  });

  test("has members that nobody documents, in another order, where that is wanted", async () => {
    await using odd = await Place.open({ hasOddities: true });
    const page = await odd.get(range("AAPL", NOW - HOUR, NOW - HOUR));
    expect(Object.keys(page.results[0]).sort()).toEqual([
      "a",
      "c",
      "h",
      "l",
      "n",
      "o",
      "op",
      "t",
      "v",
      "vw",
    ]);
    expect(Object.keys(page)[0]).toBe("count");
    expect(Object.keys(page).at(-1)).toBe("ticker");
  });
});

describe("pages", () => {
  // Of the minute before it not everything is known yet.
  const end = NOW - MINUTE;
  const from = end - HOUR;
  const path = range("AAPL", from, end - 1);

  test.each([1, 7, 59, 60, 50_000])(
    "of %d rows have the same bars",
    async (limit) => {
      const { rows, urls } = await place.pages(`${path}?limit=${limit}`);
      const all = Array.from({ length: 60 }, (_, index) =>
        place.row("AAPL", from + index * MINUTE)!,
      );
      expect(rows).toEqual(all);
      expect(urls.length).toBe(Math.ceil(60 / limit) - 1);
    },
  );

  test("are linked on the host that was called, without the key, the position in the path", async () => {
    const other = place.venue.url.replace("127.0.0.1", "localhost");
    const { body } = await place.call(
      `${other}${path}?limit=5&apiKey=${DEMO_POLYGON_KEY}`,
      {},
    );
    const next = range("AAPL", from + 5 * MINUTE, end - 1);
    expect(body.next_url).toBe(`${other}${next}?cursor=bGltaXQ9NSZzb3J0PWFzYw`);
    expect((await place.call(body.next_url, {})).status).toBe(401);
  });

  test("newest first move the end", async () => {
    const { rows, urls } = await place.pages(`${path}?limit=25&sort=desc`);
    expect(rows.map(({ t }) => t)).toEqual(
      Array.from({ length: 60 }, (_, index) => end - (index + 1) * MINUTE),
    );
    expect(urls[0]).toContain(range("AAPL", from, end - 25 * MINUTE - 1));
  });

  test("of hours count minutes, and leave the hour that is not whole to the next", async () => {
    const hours = `/v2/aggs/ticker/AAPL/range/1/hour/${NOW - 3 * HOUR}/${NOW - 1}`;
    const first = await place.get(`${hours}?limit=100`);
    expect(first).toMatchObject({ queryCount: 100, resultsCount: 1 });
    const { rows } = await place.pages(`${hours}?limit=100`);
    expect(rows).toEqual((await place.get(hours)).results);
    expect(rows.length).toBe(3);
  });

  test("keep to the scale that was asked for", async () => {
    const asked = `${range("MSFT", "2026-09-14", "2026-09-14")}?limit=500&adjusted=false`;
    const first = await place.get(asked);
    const second = await place.get(first.next_url);
    expect([first.adjusted, second.adjusted]).toEqual([false, false]);
    expect(second.results[0].o).toBeGreaterThan(1_000);
  });
});

test("while a long page is made, others are answered", async () => {
  const answered: string[] = [];
  const ask = async (name: string, path: string) => {
    await place.call(path);
    answered.push(name);
  };
  const long = ask(
    "long",
    `${range("TSLA", "2026-08-01", "2026-09-10")}?limit=50000`,
  );
  await Bun.sleep(20);
  await ask("short", range("TSLA", "2026-09-13", "2026-09-13"));
  await long;
  expect(answered).toEqual(["short", "long"]);
});

test("raw bars are on the scale of their day, adjusted ones on that of today", async () => {
  const at = Date.parse("2026-09-14T15:00:00Z");
  const [adjusted, raw] = await Promise.all(
    ["true", "false"].map((flag) =>
      place.get(`${range("MSFT", at, at)}?adjusted=${flag}`),
    ),
  );
  const [now] = adjusted.results;
  const [then] = raw.results;
  expect(adjusted.results).toEqual([place.row("MSFT", at)]);
  expect(then.o).toBeCloseTo(now.o * 4, 6);
  expect(then.v).toBeCloseTo(now.v / 4, 6);
  expect(raw.adjusted).toBe(false);
  const after = await place.get(
    `${range("MSFT", NOW - HOUR, NOW - HOUR)}?adjusted=false`,
  );
  expect(after.results).toEqual([place.row("MSFT", NOW - HOUR)]);
});

test("a split changes history on its day, and not before", async () => {
  await using later = await Place.open({
    splits: [{ symbol: "MSFT", day: "2026-09-17", from: 1, to: 2 }],
  });
  const path = range("MSFT", NOW - HOUR, NOW - HOUR);
  const [before] = (await later.get(path)).results;
  later.nowMs += 24 * HOUR;
  const [after] = (await later.get(path)).results;
  expect([before.o / after.o, before.v / after.v]).toEqual([2, 0.5]);
});

describe("a plan", () => {
  test("that gets things late says so, and shows them as they were then", async () => {
    await using late = await Place.open({ plan: "starter" });
    const { status, results } = await late.get(
      range("AAPL", NOW - 20 * MINUTE, NOW),
    );
    expect(status).toBe("DELAYED");
    expect(results.at(-1).t).toBe(NOW - 16 * MINUTE);
  });

  test("without a price shows a day when it is over, two years back, five times a minute", async () => {
    await using basic = await Place.open({ plan: "basic" });
    const ask = async (from: string) => {
      const { status, body } = await basic.call(
        `${range("AAPL", from, "2026-09-16")}?limit=50000`,
      );
      return [
        status,
        body.status,
        body.message ?? body.error ?? body.resultsCount,
      ];
    };
    expect(await ask("2026-09-15")).toEqual([200, "DELAYED", 960]);
    expect(await ask("2024-09-10")).toEqual([
      403,
      "NOT_AUTHORIZED",
      expect.stringContaining("Your plan doesn't include this data timeframe"),
    ]);
    for (let count = 0; count < 3; count++) await ask("2026-09-16");
    expect(await ask("2026-09-16")).toEqual([
      429,
      "ERROR",
      "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. https://polygon.io/pricing",
    ]);
    basic.nowMs += MINUTE;
    expect((await ask("2026-09-16"))[0]).toBe(200);
  });
});

describe("it refuses", () => {
  const good = range("AAPL", "2026-09-15", "2026-09-15");
  test.each([
    ["nobody", good, {}, 401, "API Key was not provided"],
    [
      "an unknown key",
      good,
      { Authorization: "Bearer wrong" },
      401,
      "Unknown API Key",
    ],
    [
      "an unknown key in the address",
      `${good}?apiKey=wrong`,
      {},
      401,
      "Unknown API Key",
    ],
    [
      "a limit beyond its bounds",
      `${good}?limit=50001`,
      undefined,
      400,
      "limit must be between 1 and 50000",
    ],
    [
      "a day that is none",
      range("AAPL", "yesterday", "2026-09-15"),
      undefined,
      400,
      "Could not parse the time parameter: 'from'. Use YYYY-MM-DD or Unix MS Timestamps",
    ],
    [
      "an end before its beginning",
      range("AAPL", "2026-09-15", "2026-09-14"),
      undefined,
      400,
      "'to' must be after 'from'",
    ],
    [
      "a span that it does not have",
      good.replace("minute", "fortnight"),
      undefined,
      400,
      "Could not parse the timespan: 'fortnight'",
    ],
  ])("%s", async (_, path, headers, status, error) => {
    const answer = await place.call(path, headers);
    expect([answer.status, answer.body]).toEqual([
      status,
      { status: "ERROR", request_id: expect.any(String), error },
    ]);
  });

  test("a path that leads nowhere, in plain text", async () => {
    const { status, body } = await place.call("/v3/reference/nothing");
    expect([status, body]).toEqual([404, "404 page not found"]);
  });
});

test("its faults are a gateway's page, a limit, and an answer that is cut short", async () => {
  const path = range("AAPL", NOW - HOUR, NOW - HOUR);
  place.venue.inject({ kind: "rest-500", account: "polygon", count: 1 });
  expect((await place.call(path)).text).toContain("<h1>Bad Gateway</h1>");
  place.venue.inject({ kind: "rest-429", account: "polygon", count: 1 });
  expect((await place.call(path)).body.error).toStartWith("You've exceeded");
  place.venue.inject({ kind: "rest-cut", account: "polygon", count: 1 });
  await expect(place.call(path)).rejects.toThrow();
  expect((await place.call(path)).status).toBe(200);
});

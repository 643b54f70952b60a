/** The REST client: what it retries, how long it waits, whom it holds back, and which pages it follows. */
import {
  afterEach,
  beforeEach,
  describe,
  expect,
  jest,
  spyOn,
  test,
} from "bun:test";
import { MINUTE } from "../../../src/clock.ts";
import type { Priority } from "../../../src/flow/rate.ts";
import {
  createPolygonRest,
  polygonBudget,
} from "../../../src/venues/polygon/rest.ts";
import { settled } from "../../support/restOutcome.ts";

/** Twenty seconds into a minute. */
const START = Date.parse("2026-09-16T14:00:20Z");
const HOST = "https://api.venue.test";
const never = new AbortController().signal;

let random: ReturnType<typeof spyOn>;
beforeEach(() => {
  jest.useFakeTimers({ now: START });
  // Each wait is as long as it can be.
  random = spyOn(Math, "random").mockReturnValue(1);
});
afterEach(() => {
  random.mockRestore();
  jest.useRealTimers();
});

type Answer = () => Response | Promise<Response>;

const good = () => Response.json({ status: "OK", results: [1] });
const answer = (body: object, status = 200, headers = {}): Answer => {
  return () => Response.json(body, { status, headers });
};
const text = (body: string, status = 200): Answer => {
  return () => new Response(body, { status });
};
const TOO_MANY = answer(
  {
    status: "ERROR",
    request_id: "8d",
    error:
      "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. https://polygon.io/pricing",
  },
  429,
);

/** A client whose venue gives these answers in turn, and a good one after them. */
function client(
  answers: readonly Answer[] = [],
  { requestsPerMinute }: { requestsPerMinute?: number } = {
    requestsPerMinute: 60_000,
  },
) {
  const waiting = [...answers];
  /** Milliseconds since the start and addresses, as requests arrived. */
  const log: string[] = [];
  const statuses: number[] = [];
  const keys = new Set<unknown>();
  const key = { restUrl: HOST, apiKey: "hush", requestsPerMinute };
  const budget = polygonBudget(key);
  const rest = createPolygonRest({
    key,
    budget,
    onReply: (status) => statuses.push(status),
    fetch: async (url, { headers }) => {
      log.push(`${Date.now() - START} ${url.replace(HOST, "")}`);
      keys.add(new Headers(headers).get("authorization"));
      return (waiting.shift() ?? good)();
    },
  });
  const get = (
    path = "/v2/x",
    {
      priority = "backfill",
      signal = never,
    }: { priority?: Priority; signal?: AbortSignal } = {},
  ) => settled(rest.object(path, {}, { priority, signal }));
  const pages = (path = "/v3/x") =>
    settled(
      Array.fromAsync(
        rest.pages(path, { limit: 2 }, { priority: "backfill", signal: never }),
        ({ value }) => value["results"],
      ),
    );
  return { rest, budget, log, statuses, keys, get, pages };
}

describe("an answer", () => {
  test("comes with its text; the key is in a header and never in the address", async () => {
    const raw = '{"status":"OK", "t":1651251948294080343}';
    const { rest, log, keys } = client([text(raw)]);
    const found = await settled(
      rest.object(
        "/v2/aggs/ticker/X:BTCUSD",
        { adjusted: "true", limit: 5, cursor: undefined },
        { priority: "live", signal: never },
      ),
    );
    expect(found).toEqual({
      raw,
      value: { status: "OK", t: 1651251948294080343 },
    });
    expect(log).toEqual(["0 /v2/aggs/ticker/X:BTCUSD?adjusted=true&limit=5"]);
    expect([...keys]).toEqual(["Bearer hush"]);
  });

  test.each([
    ["OK", { status: "OK" }],
    ["of a plan that gets it late", { status: "DELAYED" }],
    ["of an older path", { status: "success" }],
    ["without a status", { market: "open" }],
  ])("is good: %s", async (_, body) => {
    const { get } = client([answer(body)]);
    expect(await get()).toEqual({ raw: JSON.stringify(body), value: body });
  });

  test.each<[string, Answer, object]>([
    [
      "an unknown key",
      answer({ status: "ERROR", error: "Unknown API Key" }, 401),
      {
        failure: "refused",
        message: "401 from /v2/x: Unknown API Key",
        status: 401,
      },
    ],
    [
      "no key, as it is said with another code",
      answer({ status: "ERROR", error: "API Key was not provided" }, 400),
      {
        failure: "refused",
        message: "400 from /v2/x: API Key was not provided",
        status: 400,
      },
    ],
    [
      "a plan that lacks the data, which does not make the key a bad one",
      answer(
        {
          status: "NOT_AUTHORIZED",
          request_id: "8d",
          message: "You are not entitled to this data. Please upgrade",
        },
        403,
      ),
      {
        failure: "rejected",
        message:
          "403 from /v2/x: You are not entitled to this data. Please upgrade",
        status: 403,
      },
    ],
    [
      "a wrong parameter",
      answer({ status: "ERROR", error: "The parameter 'to' is bad" }, 400),
      {
        failure: "rejected",
        message: "400 from /v2/x: The parameter 'to' is bad",
        status: 400,
      },
    ],
    [
      "an unknown ticker",
      answer({ status: "NOT_FOUND", message: "Ticker not found." }, 404),
      {
        failure: "absent",
        message: "404 from /v2/x: Ticker not found.",
        status: 404,
      },
    ],
    [
      "an unknown ticker, in the older way",
      answer({ status: "NotFound" }, 404),
      {
        failure: "absent",
        message: '404 from /v2/x: {"status":"NotFound"}',
        status: 404,
      },
    ],
    [
      "a path that nobody serves",
      text("404 page not found", 404),
      {
        failure: "absent",
        message: "404 from /v2/x: 404 page not found",
        status: 404,
      },
    ],
    [
      "a refusal in the body alone",
      answer({ status: "ERROR", error: "no luck" }),
      {
        failure: "rejected",
        message: "ERROR from /v2/x: no luck",
        status: 200,
      },
    ],
    [
      "an absence in the body alone",
      answer({ status: "NOT_FOUND", message: "Data not found." }),
      {
        failure: "absent",
        message: "NOT_FOUND from /v2/x: Data not found.",
        status: 200,
      },
    ],
  ])("says what it means, at once: %s", async (_, refusal, expected) => {
    const { get, log } = client([refusal]);
    expect(await get()).toEqual(expected as never);
    expect(log).toEqual(["0 /v2/x"]);
  });
});

describe("what may pass", () => {
  test.each<[string, Answer]>([
    ["a proxy's page in place of an answer", text("<html>hello</html>")],
    ["half an answer", text('{"status":"OK","results":[{"v":')],
    ["an empty answer", text("")],
    ["a page of a gateway", text("<html>502</html>", 502)],
    [
      "an old server's error",
      answer({ errorcode: "001", success: false }, 500),
    ],
    [
      "a broken connection",
      () => {
        throw new Error("reset");
      },
    ],
  ])("is tried again after a growing wait: %s", async (_, failure) => {
    const { get, log } = client([failure, failure]);
    expect(await get()).toMatchObject({ value: { status: "OK" } });
    expect(log).toEqual(["0 /v2/x", "500 /v2/x", "1500 /v2/x"]);
  });

  test("is told after five tries", async () => {
    const { get, log, statuses } = client(Array(5).fill(text("<html>", 504)));
    expect(await get()).toEqual({
      failure: "unavailable",
      message: "504 from /v2/x: <html>",
      status: 504,
    } as never);
    expect(log.map((line) => line.split(" ")[0])).toEqual([
      "0",
      "500",
      "1500",
      "3500",
      "7500",
    ]);
    expect(statuses).toEqual([504, 504, 504, 504, 504]);
  });

  test("is not waited for when nobody wants it any more", async () => {
    const leaving = new AbortController();
    const { get } = client([text("", 503)]);
    const outcome = get("/v2/x", { signal: leaving.signal });
    leaving.abort(new Error("leaving"));
    await expect(outcome).rejects.toThrow("leaving");
  });
});

describe("too many requests", () => {
  test("are followed by the next minute and a little more, for every caller", async () => {
    const { get, log } = client([TOO_MANY]);
    await Promise.all([get("/v2/a"), get("/v2/b")]);
    expect(log).toEqual([
      "0 /v2/a",
      "0 /v2/b",
      // 40 s are left of the minute.
      "45000 /v2/a",
    ]);
  });

  test("wait as long as is asked, where something is", async () => {
    const { get, log } = client([
      answer({ status: "ERROR" }, 429, { "retry-after": "7" }),
    ]);
    await get();
    expect(log).toEqual(["0 /v2/x", "7000 /v2/x"]);
  });

  test("show the plan: from then on no more than five a minute are sent", async () => {
    const { get, log } = client([TOO_MANY], {});
    await Promise.all(["a", "b", "c", "d"].map((name) => get(`/v2/${name}`)));
    const times = log.map((line) => Number(line.split(" ")[0]));
    expect(times).toEqual([0, 0, 0, 0, 45_000]);
    for (const name of ["e", "f", "g"]) await get(`/v2/${name}`);
    const later = log.slice(5).map((line) => Number(line.split(" ")[0]));
    expect(later).toEqual([60_000, 75_000, 90_000]);
  });

  test("do not change a number of requests that somebody has set", async () => {
    const { get, log } = client([TOO_MANY], { requestsPerMinute: 60_000 });
    await get();
    await Promise.all(["a", "b", "c"].map((name) => get(`/v2/${name}`)));
    expect(log.slice(1)).toEqual([
      "45000 /v2/x",
      "45000 /v2/a",
      "45000 /v2/b",
      "45000 /v2/c",
    ]);
  });

  test("are told after ten minutes of them", async () => {
    const { get, log } = client(Array(10).fill(TOO_MANY));
    expect(await get()).toMatchObject({ failure: "throttled", status: 429 });
    expect(log).toHaveLength(10);
    expect(Date.now() - START).toBeLessThan(10 * MINUTE);
  });
});

test("who waits for a live stream goes before who reads history", async () => {
  const { get, log } = client([], { requestsPerMinute: 5 });
  await Promise.all([
    get("/v2/first"),
    get("/v2/history", { priority: "backfill" }),
    get("/v2/healing", { priority: "healing" }),
    get("/v2/live", { priority: "live" }),
  ]);
  expect(log.map((line) => line.split(" ")[1])).toEqual([
    "/v2/first",
    "/v2/live",
    "/v2/healing",
    "/v2/history",
  ]);
});

describe("pages", () => {
  const page = (results: unknown, next_url?: unknown) =>
    answer({
      status: "OK",
      ...(results === undefined ? {} : { results }),
      next_url,
    });

  test("are followed verbatim, empty ones too, until there is no next one", async () => {
    const { pages, log, keys } = client([
      page([1, 2], `${HOST}/v3/x/158?cursor=bGltaXQ9MiZzb3J0PWFzYw&odd=%7e+`),
      page(undefined, `${HOST}/v3/x/159?cursor=bGltaXQ9MiZzb3J0PWFzYw`),
      page([3]),
    ]);
    expect(await pages()).toEqual([[1, 2], undefined, [3]]);
    expect(log).toEqual([
      "0 /v3/x?limit=2",
      "0 /v3/x/158?cursor=bGltaXQ9MiZzb3J0PWFzYw&odd=%7e+",
      "0 /v3/x/159?cursor=bGltaXQ9MiZzb3J0PWFzYw",
    ]);
    expect([...keys]).toEqual(["Bearer hush"]);
  });

  test.each([[""], ["  "], [null]])(
    "end at a next page of %p",
    async (next) => {
      const { pages } = client([page([1], next)]);
      expect(await pages()).toEqual([[1]]);
    },
  );

  test("that fail half-way are asked for again", async () => {
    const { pages, log } = client([
      page([1], `${HOST}/v3/x?cursor=b`),
      text('{"status":"OK","results":[2'),
      page([2]),
    ]);
    expect(await pages()).toEqual([[1], [2]]);
    expect(log.slice(1)).toEqual(["0 /v3/x?cursor=b", "500 /v3/x?cursor=b"]);
  });

  test.each([
    "https://elsewhere.test/v3/x?cursor=b",
    "http://api.venue.test/v3/x?cursor=b",
    "https://api.venue.test:8443/v3/x?cursor=b",
    "//api.venue.test/v3/x?cursor=b",
    "/v3/x?cursor=b",
    "v3/x",
  ])("are not followed to %s: the key would go along", async (next) => {
    const { pages, log } = client([page([1], next)]);
    expect(await pages()).toEqual({
      failure: "rejected",
      message: "the next page is said to be on another host",
    } as never);
    expect(log).toHaveLength(1);
  });

  test("that lead back to one another end with an error", async () => {
    const next = (name: string) => page([name], `${HOST}/v3/x?cursor=${name}`);
    const { pages, log } = client([next("b"), next("c"), next("b")]);
    expect(await pages()).toEqual({
      failure: "rejected",
      message: "the pages of /v3/x do not move on",
    } as never);
    expect(log).toHaveLength(3);
  });
});

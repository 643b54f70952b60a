/** The trading REST client: what it retries, how long it waits, and whom it holds back meanwhile. */
import {
  afterEach,
  beforeEach,
  describe,
  expect,
  jest,
  spyOn,
  test,
} from "bun:test";
import { MINUTE, SECOND } from "../../../src/clock.ts";
import { type Priority, RateBudget } from "../../../src/flow/rate.ts";
import { createAlpacaRest } from "../../../src/venues/alpaca/rest.ts";
import { settled, turns } from "../../support/restOutcome.ts";

const START = Date.parse("2026-09-16T14:00:00Z");

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

const page = () => new Response('[{"id":1.10}]');

function refusal(status: number, headers: Record<string, string> = {}): Answer {
  return () => Response.json({ message: "no" }, { status, headers });
}

/** A client whose venue gives these answers in turn, and a page of one row after them. */
function client(
  answers: readonly Answer[] = [],
  { perMinute = 60_000 }: { perMinute?: number } = {},
) {
  const waiting = [...answers];
  /** Milliseconds since the start and paths, as requests arrived. */
  const log: string[] = [];
  const statuses: number[] = [];
  const budget = new RateBudget({ perMinute });
  const requests: RequestInit[] = [];
  const rest = createAlpacaRest({
    account: { restUrl: "http://venue.test", keyId: "key", secretKey: "hush" },
    budget,
    onReply: (status) => statuses.push(status),
    fetch: async (url, init) => {
      log.push(`${Date.now() - START} ${url.replace("http://venue.test", "")}`);
      requests.push(init);
      return (waiting.shift() ?? page)();
    },
  });
  const get = (path = "/v2/orders", signal?: AbortSignal) =>
    settled(rest.array(path, {}, { priority: "healing", signal }));
  return { rest, budget, log, statuses, requests, get };
}

const ONE_ROW = [{ raw: '{"id":1.10}', value: { id: 1.1 } }];

describe("a page", () => {
  test("is asked for with the account's key, and what is undefined is not asked", async () => {
    const { rest, log, requests } = client();
    await settled(
      rest.array(
        "/v2/orders",
        {
          status: "all",
          limit: 500,
          after: "2026-09-16T14:00:00.000Z",
          symbols: "BTC/USD,A B",
          until: undefined,
        },
        { priority: "live" },
      ),
    );
    expect(log).toEqual([
      "0 /v2/orders?status=all&limit=500&after=2026-09-16T14%3A00%3A00.000Z&symbols=BTC%2FUSD%2CA+B",
    ]);
    expect(requests.map(({ headers, method }) => [headers, method])).toEqual([
      [{ "APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "hush" }, undefined],
    ]);
  });

  test("is its objects, each with its own text; what is no object is kept for the reader to set aside", async () => {
    const text = '\n[ {"id" : "a", "n":7446469938634049684} ,17,null,\t[1.0] ]';
    const { get } = client([() => new Response(text)]);
    expect(await get()).toEqual([
      {
        raw: '{"id" : "a", "n":7446469938634049684}',
        value: { id: "a", n: 7446469938634049684 },
      },
      { raw: "17", value: {} },
      { raw: "null", value: {} },
      { raw: "[1.0]", value: {} },
    ]);
  });

  test("may be empty", async () => {
    const { get, statuses } = client([() => new Response("[]")]);
    expect(await get()).toEqual([]);
    expect(statuses).toEqual([200]);
  });

  test("of one object is the text of the whole body", async () => {
    const { rest, log } = client([() => new Response(' {"cash":"1.10"}\n')]);
    expect(
      await settled(rest.object("/v2/account", {}, { priority: "live" })),
    ).toEqual({ raw: ' {"cash":"1.10"}\n', value: { cash: "1.10" } });
    expect(log).toEqual(["0 /v2/account"]);
  });
});

describe("what may pass is tried again", () => {
  test("five times in all, after waits that double", async () => {
    const { get, log, statuses } = client(Array(9).fill(refusal(503)));
    expect(await get()).toEqual({
      failure: "unavailable",
      status: 503,
      message: "503 from /v2/orders: no",
    });
    expect(log.map((line) => Number.parseInt(line))).toEqual([
      0, 500, 1500, 3500, 7500,
    ]);
    expect(statuses).toEqual([503, 503, 503, 503, 503]);
  });

  test("with waits half of which are chance", async () => {
    random.mockReturnValue(0);
    const { get, log } = client(Array(9).fill(refusal(503)));
    await get();
    expect(log.map((line) => Number.parseInt(line))).toEqual([
      0, 250, 750, 1750, 3750,
    ]);
  });

  test.each<[string, Answer, number]>([
    [
      "a gateway's page",
      () => new Response("<html>Bad Gateway</html>", { status: 502 }),
      502,
    ],
    ["a time-out of the venue", refusal(504), 504],
    ["a request that took too long", refusal(408), 408],
    ["a broken connection", () => Promise.reject(new Error("ECONNRESET")), 0],
    [
      "a body that breaks off",
      () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.error(new Error("cut")),
          }),
        ),
      0,
    ],
    [
      "a proxy's page under 200",
      () => new Response("<html>Sign in</html>"),
      200,
    ],
    ["a page cut short", () => new Response('[{"id":1},'), 200],
    ["an empty body", () => new Response(""), 200],
    ["an object where rows are due", refusal(200), 200],
  ])("%s", async (_, answer, status) => {
    const { get, log, statuses } = client([answer, answer]);
    expect(await get()).toEqual(ONE_ROW);
    expect(log).toEqual(["0 /v2/orders", "500 /v2/orders", "1500 /v2/orders"]);
    expect(statuses).toEqual([status, status, 200]);
  });

  test.each<[string, Answer, object]>([
    [
      "no answer",
      () => Promise.reject(new Error("ECONNRESET")),
      { message: "no answer from /v2/orders: ECONNRESET" },
    ],
    [
      "an answer that is no JSON",
      () => new Response("<html>Sign in</html>"),
      {
        status: 200,
        message: expect.stringMatching(
          /^unreadable answer from \/v2\/orders: /,
        ),
      },
    ],
    [
      "an answer that is no list",
      refusal(200),
      {
        status: 200,
        message: "unreadable answer from /v2/orders: an array is expected",
      },
    ],
  ])("%s, in the end, is told as it is", async (_, answer, told) => {
    const { get, log } = client(Array(9).fill(answer));
    expect(await get()).toEqual({ failure: "unavailable", ...told } as never);
    expect(log).toHaveLength(5);
  });

  test("an object that cannot be read, too", async () => {
    const { rest, log } = client([
      () => new Response("[]"),
      () => new Response("null"),
      () => new Response('{"id":"o-1"}'),
    ]);
    expect(
      await settled(rest.object("/v2/orders/o-1", {}, { priority: "live" })),
    ).toEqual({ raw: '{"id":"o-1"}', value: { id: "o-1" } });
    expect(log).toHaveLength(3);
  });

  test("when the venue says, at the latest after a minute", async () => {
    const told = async (status: number, retryAfter: string) => {
      const { get, log } = client([
        refusal(status, { "Retry-After": retryAfter }),
      ]);
      const began = Date.now() - START;
      expect(await get()).toEqual(ONE_ROW);
      return log.map((line) => Number.parseInt(line) - began);
    };
    expect(await told(503, "7")).toEqual([0, 7 * SECOND]);
    expect(await told(429, "7")).toEqual([0, 7 * SECOND]);
    expect(await told(429, "86400")).toEqual([0, MINUTE]);
    expect(await told(503, "86400")).toEqual([0, MINUTE]);
    const in30s = new Date(Date.now() + 30 * SECOND).toUTCString();
    expect(await told(429, in30s)).toEqual([0, 30 * SECOND]);
    expect(await told(429, "soon")).toEqual([0, SECOND / 2]);
  });
});

test.each([
  [400, "rejected"],
  [401, "refused"],
  [403, "refused"],
  [404, "absent"],
  [422, "rejected"],
])("%d is not asked twice", async (status, failure) => {
  const { get, log, statuses } = client([refusal(status)]);
  expect(await get()).toEqual({
    failure,
    status,
    message: `${status} from /v2/orders: no`,
  });
  expect(log).toEqual(["0 /v2/orders"]);
  expect(statuses).toEqual([status]);
});

describe("too many requests", () => {
  test("without a word how long are tried again after waits that double", async () => {
    const { get, log, statuses } = client(Array(9).fill(refusal(429)));
    expect(await get()).toEqual({
      failure: "throttled",
      status: 429,
      message: "429 from /v2/orders: no",
    });
    expect(log.map((line) => Number.parseInt(line))).toEqual([
      0, 500, 1500, 3500, 7500,
    ]);
    expect(statuses).toEqual([429, 429, 429, 429, 429]);
  });

  test("are heard by every caller of the key, and first served is who is most urgent", async () => {
    const { rest, log } = client([refusal(429, { "Retry-After": "5" })]);
    const ask = (path: string, priority: Priority) =>
      rest.array(path, {}, { priority });
    const first = ask("/heard-it", "healing");
    await turns();
    await settled(
      Promise.all([
        first,
        ask("/history", "backfill"),
        ask("/healing", "healing"),
        ask("/live", "live"),
      ]),
    );
    expect(log).toEqual([
      "0 /heard-it",
      "5000 /live",
      "5000 /heard-it",
      "5000 /healing",
      "5000 /history",
    ]);
  });

  test("hold the next caller back when the first has given up", async () => {
    const { get, log } = client(Array(5).fill(refusal(429)));
    await get("/first");
    await get("/second");
    expect(log.slice(-2)).toEqual(["7500 /first", "15500 /second"]);
  });
});

describe("the venue's own count of requests", () => {
  const limits =
    (headers: Record<string, string>): Answer =>
    () =>
      new Response("[]", { headers });
  const seconds = (ms: number) => String(Math.floor((START + ms) / SECOND));

  test("is heeded: when it is used up, the next request waits for its reset", async () => {
    const { get, log } = client([
      limits({
        "X-Ratelimit-Limit": "200",
        "X-Ratelimit-Remaining": "0",
        "X-Ratelimit-Reset": seconds(10 * SECOND),
      }),
    ]);
    await get("/first");
    await get("/second");
    expect(log).toEqual(["0 /first", "10000 /second"]);
  });

  test("is read on refusals too", async () => {
    const { get, log } = client([
      refusal(404, {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": seconds(10 * SECOND),
      }),
    ]);
    await get("/first");
    await get("/second");
    expect(log).toEqual(["0 /first", "10000 /second"]);
  });

  test("slows us down when its limit is lower than ours, and never speeds us up", async () => {
    const { rest, log } = client(
      [
        limits({ "X-Ratelimit-Limit": "10", "X-Ratelimit-Remaining": "9" }),
        limits({ "X-Ratelimit-Limit": "9000" }),
      ],
      { perMinute: 200 },
    );
    for (let call = 0; call < 4; call++)
      await settled(rest.array("/v2/orders", {}, { priority: "live" }));
    // Of ten a minute one may go at once; the other nine are spread over it.
    expect(log.map((line) => Number.parseInt(line))).toEqual([
      0, 0, 6667, 13334,
    ]);
  });

  test.each<[string, Record<string, string>]>([
    ["absent", {}],
    [
      "no numbers",
      {
        "X-Ratelimit-Limit": "many",
        "X-Ratelimit-Remaining": "-0",
        "X-Ratelimit-Reset": "later",
      },
    ],
    [
      "in the past",
      { "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "1600000000" },
    ],
    ["a limit of nothing", { "X-Ratelimit-Limit": "0" }],
  ])("changes nothing when it is %s", async (_, headers) => {
    const { get, log } = client([limits(headers)]);
    await get("/first");
    await get("/second");
    expect(log).toEqual(["0 /first", "0 /second"]);
  });

  test("stops nobody for more than a minute", async () => {
    const { get, log } = client([
      limits({
        "X-Ratelimit-Remaining": "0",
        "X-Ratelimit-Reset": seconds(60 * MINUTE),
      }),
    ]);
    await get("/first");
    await get("/second");
    expect(log).toEqual(["0 /first", "60000 /second"]);
  });
});

test("the budget is shared: what a live stream waits for goes before healing, healing before history", async () => {
  const { rest, log } = client([], { perMinute: 10 });
  await settled(
    Promise.all(
      (["backfill", "backfill", "healing", "live"] as const).map(
        (priority, index) =>
          rest.array(`/${index}-${priority}`, {}, { priority }),
      ),
    ),
  );
  // The first came when nobody else was there.
  expect(log.map((line) => line.split(" ")[1])).toEqual([
    "/0-backfill",
    "/3-live",
    "/2-healing",
    "/1-backfill",
  ]);
});

describe("a caller that gives up", () => {
  const reason = new Error("stopped");

  test.each<[string, readonly Answer[], number]>([
    ["while the venue is unavailable", [refusal(503)], 1],
    ["while it is told to wait", [refusal(429, { "Retry-After": "9" })], 1],
    ["while it waits for an answer", [() => new Promise<never>(() => {})], 1],
  ])(
    "%s is told its own reason, and nothing more is asked",
    async (_, answers, asked) => {
      const stop = new AbortController();
      // A fetch that heeds its signal, as the real one does.
      const hanging = answers.map(
        (answer): Answer =>
          () =>
            Promise.race([
              Promise.resolve(answer()),
              new Promise<never>((_, reject) =>
                stop.signal.addEventListener("abort", () => reject(reason)),
              ),
            ]),
      );
      const { rest, log, budget } = client(hanging);
      const outcome = rest
        .array("/v2/orders", {}, { priority: "live", signal: stop.signal })
        .catch((error: unknown) => error);
      await turns();
      stop.abort(reason);
      expect(await outcome).toBe(reason);
      jest.advanceTimersByTime(2 * MINUTE);
      await turns();
      expect(log).toHaveLength(asked);
      expect(budget.waiting).toBe(0);
    },
  );

  test("before it began asks nothing", async () => {
    const { rest, log, statuses } = client();
    const outcome = rest
      .array(
        "/v2/orders",
        {},
        { priority: "live", signal: AbortSignal.abort(reason) },
      )
      .catch((error: unknown) => error);
    expect(await outcome).toBe(reason);
    expect({ log, statuses }).toEqual({ log: [], statuses: [] });
  });
});

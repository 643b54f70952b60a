/** One GET against a real server on loopback: what each kind of answer, and none, comes to. */
import { afterAll, afterEach, beforeAll, expect, spyOn, test } from "bun:test";
import { SECOND } from "../../src/clock.ts";
import { describeError, VenueError } from "../../src/errors.ts";
import { fetchText } from "../../src/venues/fetchText.ts";

type Handler = (request: Request) => Response | Promise<Response>;

let answer: Handler;
let requests: {
  readonly method: string;
  readonly path: string;
  readonly key: string | null;
}[];
/** Answers whose headers have come. */
let begun: number;
let server: ReturnType<typeof Bun.serve>;

beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: (request) => {
      requests.push({
        method: request.method,
        path: request.url.replace(server.url.origin, ""),
        key: request.headers.get("APCA-API-KEY-ID"),
      });
      return answer(request);
    },
  });
});
afterAll(() => server.stop(true));

/** What a call came to: its reply, or what its caller is told of the failure. */
async function call(
  settings: { signal?: AbortSignal; respond?: Handler; url?: string } = {},
) {
  answer = settings.respond ?? (() => new Response("[]"));
  requests = [];
  begun = 0;
  const replies: number[] = [];
  const url = settings.url ?? `${server.url.origin}/v2/orders?limit=500`;
  try {
    const { status, text } = await fetchText(url, {
      headers: { "APCA-API-KEY-ID": "key" },
      signal: settings.signal,
      fetch: async (...request) => {
        const response = await fetch(...request);
        begun++;
        return response;
      },
      onReply: (replied) => replies.push(replied),
    });
    return { status, text, replies };
  } catch (error) {
    if (!(error instanceof VenueError)) return { thrown: error, replies };
    const { failure, message, retryAfterMs } = error;
    return {
      failure,
      message,
      status: error.status,
      retryAfterMs,
      shouldRetry: error.shouldRetry(),
      replies,
    };
  }
}

const hang = () => new Promise<never>(() => {});

/** Sends its headers and half a body, and then nothing. */
const stall: Handler = () =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue("[{"),
    }),
  );

/** The call has got as far as its answer lets it. */
async function underWay(respond: Handler): Promise<void> {
  while (respond === stall ? begun === 0 : requests.length === 0)
    await Bun.sleep(1);
}

test("the body comes back as it was sent, with its status and headers", async () => {
  answer = () =>
    new Response('[{"qty": 1.50, "name": "é"}]\n', {
      status: 207,
      headers: { "x-ratelimit-remaining": "199" },
    });
  requests = [];
  const reply = await fetchText(`${server.url.origin}/v2/orders?a=b%2Fc`, {
    headers: { "APCA-API-KEY-ID": "key" },
  });
  expect({
    ...reply,
    headers: reply.headers.get("X-RateLimit-Remaining"),
  }).toEqual({
    status: 207,
    text: '[{"qty": 1.50, "name": "é"}]\n',
    headers: "199",
  });
  expect(requests).toEqual([
    { method: "GET", path: "/v2/orders?a=b%2Fc", key: "key" },
  ]);
});

test("an empty body is a body", async () => {
  expect(
    await call({ respond: () => new Response(null, { status: 204 }) }),
  ).toEqual({ status: 204, text: "", replies: [204] });
});

test.each([
  [400, "rejected", false],
  [401, "refused", false],
  [403, "refused", false],
  [404, "absent", false],
  [408, "unavailable", true],
  [409, "rejected", false],
  [414, "rejected", false],
  [422, "rejected", false],
  [429, "throttled", true],
  [500, "unavailable", true],
  [502, "unavailable", true],
  [503, "unavailable", true],
  [504, "unavailable", true],
  [520, "unavailable", true],
])("%d is %s, and to be tried again: %p", async (status, failure, retry) => {
  expect(
    await call({
      respond: () =>
        Response.json({ code: 40_010_001, message: "no" }, { status }),
    }),
  ).toEqual({
    failure,
    message: `${status} from /v2/orders: no`,
    status,
    retryAfterMs: undefined,
    shouldRetry: retry,
    replies: [status],
  } as Awaited<ReturnType<typeof call>>);
});

test.each([
  [
    "a page of HTML",
    "<html>\n  <h1>Bad\tgateway</h1>\n",
    "<html> <h1>Bad gateway</h1> ",
  ],
  ["plain text", "too many requests", "too many requests"],
  ["nothing", "", ""],
  ["JSON without a message", '{"code": 1}', '{"code": 1}'],
  ["JSON that is no object", "null", "null"],
  ["a message that is no text", '{"message": 7}', "7"],
  ["a page without end", "x".repeat(100_000), "x".repeat(200)],
  [
    "a message without end",
    JSON.stringify({ message: "y".repeat(100_000) }),
    "y".repeat(200),
  ],
])("the body of a failure may be %s", async (_, body, shown) => {
  const outcome = await call({
    respond: () => new Response(body, { status: 502 }),
  });
  expect(outcome).toMatchObject({
    message: `502 from /v2/orders: ${shown}`,
  });
});

test.each([
  ["7", 7000],
  ["0", 0],
  ["1.5", 1500],
  ["86400", 86_400_000],
  ["-5", undefined],
  ["soon", undefined],
  ["2 minutes", undefined],
  ["", undefined],
])("Retry-After: %p is %p ms", async (value, retryAfterMs) => {
  const outcome = await call({
    respond: () =>
      new Response("", { status: 429, headers: { "Retry-After": value } }),
  });
  expect(outcome).toMatchObject({ failure: "throttled", retryAfterMs });
});

test("Retry-After may be a date, and one that has passed is now", async () => {
  const retryAfterMs = async (date: string) => {
    const outcome = await call({
      respond: () =>
        new Response("", { status: 503, headers: { "Retry-After": date } }),
    });
    return "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined;
  };
  const clock = spyOn(Date, "now").mockReturnValue(
    Date.parse("2026-10-21T07:27:00Z"),
  );
  try {
    expect([
      await retryAfterMs("Wed, 21 Oct 2026 07:28:00 GMT"),
      await retryAfterMs("Wednesday, 21-Oct-26 07:28:00 GMT"),
      await retryAfterMs("Wed, 21 Oct 2026 07:26:00 GMT"),
    ]).toEqual([60_000, 60_000, 0]);
  } finally {
    clock.mockRestore();
  }
});

test("a redirect is not followed: the key goes to the configured host only", async () => {
  const outcome = await call({
    respond: ({ url }) =>
      url.endsWith("/elsewhere")
        ? new Response("[]")
        : Response.redirect("/elsewhere"),
  });
  expect(outcome).toMatchObject({ failure: "unavailable", replies: [] });
  expect(requests).toHaveLength(1);
});

test("nobody listening is no answer, and the cause is kept", async () => {
  const gone = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(""),
  });
  const url = `${gone.url.origin}/v2/clock`;
  await gone.stop(true);
  expect(await call({ url })).toEqual({
    failure: "unavailable",
    message: "no answer from /v2/clock",
    status: undefined,
    retryAfterMs: undefined,
    shouldRetry: true,
    replies: [],
  });
  const error = await fetchText(url, { headers: {} }).catch(describeError);
  expect(error).toStartWith("no answer from /v2/clock: ");
});

test("a body that breaks off is no answer", async () => {
  const cut = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{");
        socket.end();
      },
    },
  });
  try {
    const url = `http://127.0.0.1:${cut.port}/v2/orders`;
    expect(await call({ url })).toMatchObject({
      failure: "unavailable",
      message: "no answer from /v2/orders",
      replies: [],
    });
  } finally {
    cut.stop(true);
  }
});

let timeouts: ReturnType<typeof spyOn> | undefined;
afterEach(() => timeouts?.mockRestore());

test.each([
  ["never answers", hang],
  ["stops in the middle of its body", stall],
])("a venue that %s is given up after twenty seconds", async (_, respond) => {
  const waits: number[] = [];
  const expired = new AbortController();
  timeouts = spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    waits.push(ms);
    return expired.signal;
  });
  const outcome = call({ respond });
  await underWay(respond);
  expired.abort(new DOMException("timed out", "TimeoutError"));
  expect(await outcome).toEqual({
    failure: "unavailable",
    message: "no answer from /v2/orders",
    status: undefined,
    retryAfterMs: undefined,
    shouldRetry: true,
    replies: [],
  });
  expect(waits).toEqual([20 * SECOND]);
});

test.each([
  ["before it is sent", undefined],
  ["while it waits for the answer", hang],
  ["while it reads the body", stall],
])(
  "a call that its caller ends %s fails with the caller's own reason",
  async (_, respond) => {
    const stop = new AbortController();
    const reason = new Error("shutting down");
    if (respond === undefined) stop.abort(reason);
    const outcome = call({
      signal: stop.signal,
      ...(respond === undefined ? {} : { respond }),
    });
    if (respond !== undefined) {
      while (requests.length === 0) await Bun.sleep(1);
      stop.abort(reason);
    }
    const { thrown, replies } = (await outcome) as {
      thrown: unknown;
      replies: number[];
    };
    expect(thrown).toBe(reason);
    expect(replies).toEqual([]);
    expect(requests).toHaveLength(respond === undefined ? 0 : 1);
  },
);

test("a signal that is never aborted changes nothing", async () => {
  const { signal } = new AbortController();
  expect(await call({ signal })).toEqual({
    status: 200,
    text: "[]",
    replies: [200],
  });
});

test("a page of many megabytes comes whole", async () => {
  const page = `[${'"0123456789",'.repeat(600_000)}"end"]`;
  const outcome = await call({ respond: () => new Response(page) });
  expect("text" in outcome && outcome.text === page).toBe(true);
});

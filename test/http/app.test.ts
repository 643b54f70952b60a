import { describe, expect, test } from "bun:test";
import { BODY_BYTES_MAX, createApp } from "../../src/http/app.ts";
import { createLogger } from "../../src/log.ts";
import { asking, LOOPBACK, refusal, serviceView } from "./view.ts";

const GETS = [
  "/",
  "/health",
  "/health/live",
  "/health/ready",
  "/metrics",
  "/docs",
  "/openapi.json",
  "/api/v1/status",
  "/api/v1/tree",
  "/api/v1/coverage",
];
const RESTART = "/api/v1/actors/pipeline/restart";

describe("what there is", () => {
  test.each([
    "/nothing",
    "/health/",
    "/Health",
    "/health/live/now",
    "/api/v1",
    "/api/v2/status",
    "/api/v1/actors/restart",
    "/api/v1/actors//restart",
    "/docs/index.html",
    "/favicon.ico",
  ])("not %s", async (path) => {
    for (const method of ["GET", "POST", "DELETE"])
      expect(await refusal(await asking()(path, { method }))).toEqual([
        404,
        `nothing at ${path}`,
      ]);
    const head = await asking()(path, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([404, ""]);
  });

  test.each(GETS)("%s, to read only", async (path) => {
    const ask = asking();
    const { status, headers } = await ask(path);
    expect(status).toBe(200);
    const head = await ask(path, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.headers.get("content-type")).toBe(headers.get("content-type"));
    expect(await head.text()).toBe("");
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      const response = await ask(path, { method });
      expect(response.headers.get("allow")).toBe("GET, HEAD");
      expect(await refusal(response)).toEqual([
        405,
        `${method} is not possible here`,
      ]);
    }
  });

  test("a restart, to write only", async () => {
    for (const method of ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]) {
      const response = await asking()(RESTART, { method });
      expect(response.status).toBe(405);
      expect(response.headers.get("allow")).toBe("POST");
    }
  });
});

describe("every answer", () => {
  test.each(["/docs", "/api/v1/tree", "/nothing", "/api/v1/coverage?from=x"])(
    "is kept out of frames, of other pages and of type guessing: %s",
    async (path) => {
      const { headers } = await asking()(path);
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("content-security-policy")).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
      );
    },
  );
});

describe("a body", () => {
  const post = (
    body: string | ReadableStream<Uint8Array>,
    headers: Record<string, string> = {},
  ) => ({
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
  const ask = asking(serviceView({ restart: () => true }));

  test("is taken up to its limit, and not a byte beyond", async () => {
    const largest = "1".repeat(BODY_BYTES_MAX);
    expect((await ask(RESTART, post(largest))).status).toBe(202);
    expect(await refusal(await ask(RESTART, post(`${largest}1`)))).toEqual([
      413,
      `the body is larger than ${BODY_BYTES_MAX} bytes`,
    ]);
  });

  test("that tells no length, or a false one, is counted", async () => {
    const pieces = (count: number) =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          for (let piece = 0; piece < count; piece++)
            controller.enqueue(new Uint8Array(1024));
          controller.close();
        },
      });
    expect((await ask(RESTART, post(pieces(64)))).status).toBe(202);
    expect((await ask(RESTART, post(pieces(65)))).status).toBe(413);
    expect(
      (
        await ask(
          RESTART,
          post(pieces(65), {
            "transfer-encoding": "chunked",
            "content-length": "5",
          }),
        )
      ).status,
    ).toBe(413);
  });

  test.each([
    ["application/json", 202],
    ["application/json; charset=utf-8", 202],
    ["Application/JSON", 202],
    ["text/plain", 415],
    ["application/x-www-form-urlencoded", 415],
    ["multipart/form-data; boundary=x", 415],
    ["application/jsonp", 415],
    ["text/plain; application/json", 415],
    ["", 415],
  ])("of the type %p → %i", async (type, status) => {
    const response = await ask(RESTART, post("{}", { "content-type": type }));
    expect(response.status).toBe(status);
    if (status === 415)
      expect(await refusal(response)).toEqual([
        415,
        "the body has to be application/json",
      ]);
  });

  test("that is empty has no type to be of", async () => {
    const empty = { "content-type": "text/plain", "content-length": "0" };
    expect((await ask(RESTART, post("", empty))).status).toBe(202);
  });
});

describe("a failure of ours", () => {
  const failing = (error: unknown) =>
    serviceView({
      tree: () => {
        throw error;
      },
    });

  test("is 500 without a word of our insides, and the log has it whole", async () => {
    const lines: string[] = [];
    const app = createApp(failing(new Error("postgres://me:hush@db is gone")), {
      ...LOOPBACK,
      log: createLogger({ destination: { write: (line) => lines.push(line) } }),
    });
    expect(await refusal(await app.request("/api/v1/tree"))).toEqual([
      500,
      "internal error",
    ]);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "ERROR",
      message: "http_request_failed",
      method: "GET",
      path: "/api/v1/tree",
      error: { name: "Error", message: "postgres://me:[redacted]@db is gone" },
    });
  });

  test("does not end the service: the next request is answered", async () => {
    const ask = asking(failing(new TypeError("undefined is not an object")));
    expect((await ask("/api/v1/tree")).status).toBe(500);
    expect((await ask("/api/v1/status")).status).toBe(200);
  });

  test("is one for those who only ask for the head, too", async () => {
    const head = await asking(failing(new Error("no")))("/api/v1/tree", {
      method: "HEAD",
    });
    expect([head.status, await head.text()]).toEqual([500, ""]);
  });
});

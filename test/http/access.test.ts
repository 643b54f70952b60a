import { describe, expect, test } from "bun:test";
import { ConfigError } from "../../src/errors.ts";
import { createApp } from "../../src/http/app.ts";
import {
  asking,
  LOOPBACK,
  OPEN_TO_ALL,
  refusal,
  serviceView,
  TOKEN,
} from "./view.ts";

const RESTART = "/api/v1/actors/pipeline/restart";
const bearer = (token: string) => ({
  headers: { authorization: `Bearer ${token}` },
});
const post = (headers: Record<string, string> = {}) => ({
  method: "POST",
  headers,
});

describe("a service for its network", () => {
  test.each(["0.0.0.0", "::", "10.1.2.3", "feedkeeper.internal"])(
    "is not made without a token: %s",
    (host) => {
      const make = () => createApp(serviceView(), { host, port: 8000 });
      expect(make).toThrow(ConfigError);
      expect(make).toThrow(
        `API_TOKEN: required when HOST is not loopback (HOST=${host})`,
      );
    },
  );

  test.each([
    "127.0.0.1",
    "127.8.9.1",
    "localhost",
    "LOCALHOST",
    "::1",
    "[::1]",
  ])("is not what listens on %s: no token is needed", async (host) => {
    const ask = asking(serviceView(), { host, port: 8000 });
    expect((await ask("/api/v1/status")).status).toBe(200);
  });
});

describe("the token", () => {
  const READS = [
    "/",
    "/health",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/api/v1/status",
    "/api/v1/tree",
    "/api/v1/coverage",
  ];

  test.each(READS)("is needed to read %s from the network", async (path) => {
    const ask = asking(serviceView(), OPEN_TO_ALL);
    const without = await ask(path);
    expect(without.headers.get("www-authenticate")).toBe(
      'Bearer realm="feedkeeper"',
    );
    expect(await refusal(without)).toEqual([
      401,
      "Authorization: Bearer <API_TOKEN> is required",
    ]);
    const wrong = await ask(path, bearer(`${TOKEN}x`));
    expect(wrong.headers.get("www-authenticate")).toBe(
      'Bearer realm="feedkeeper", error="invalid_token"',
    );
    expect(await refusal(wrong)).toEqual([
      401,
      "the token is not the right one",
    ]);
    expect((await ask(path, bearer(TOKEN))).status).toBe(200);
  });

  test.each(READS)("is not needed to read %s on loopback", async (path) => {
    const ask = asking(serviceView(), { ...LOOPBACK, apiToken: TOKEN });
    expect((await ask(path)).status).toBe(200);
    expect((await ask(path, { method: "HEAD" })).status).toBe(200);
  });

  test.each(["/health/live", "/health/ready"])(
    "is never needed for %s",
    async (path) => {
      const ask = asking(serviceView(), OPEN_TO_ALL);
      expect((await ask(path)).status).toBe(200);
      expect((await ask(path, { method: "HEAD" })).status).toBe(200);
      // Only to read: a write there is one like any other.
      expect((await ask(path, post())).status).toBe(401);
    },
  );

  test.each([
    "/health/ready/",
    "//health/ready",
    "/health%2Fready",
    "/health/ready/../../metrics",
    "/nothing",
  ])("is needed for %s, which only looks like those", async (path) => {
    const ask = asking(serviceView(), OPEN_TO_ALL);
    expect((await ask(path)).status).toBe(401);
  });

  test.each([LOOPBACK.host, OPEN_TO_ALL.host])(
    "is needed to write when one is set, bound to %s",
    async (host) => {
      const view = serviceView({ restart: () => true });
      const ask = asking(view, { host, port: 8000, apiToken: TOKEN });
      expect((await ask(RESTART, post())).status).toBe(401);
      expect((await ask(RESTART, { ...post(), ...bearer("") })).status).toBe(
        401,
      );
      expect(
        (await ask(RESTART, { method: "POST", ...bearer(TOKEN) })).status,
      ).toBe(202);
    },
  );

  test("is not needed to write on loopback when none is set", async () => {
    const ask = asking(serviceView({ restart: () => true }));
    expect((await ask(RESTART, post())).status).toBe(202);
  });

  test.each([
    [`Bearer ${TOKEN}`, 200],
    [`bearer  ${TOKEN} `, 200],
    [`BEARER ${TOKEN}`, 200],
    [TOKEN, 401],
    [`Basic ${TOKEN}`, 401],
    [`Bearer ${TOKEN} ${TOKEN}`, 401],
    [`Bearer ${TOKEN.slice(0, -1)}`, 401],
    [`Bearer ${TOKEN.toUpperCase()}`, 401],
    ["Bearer", 401],
  ])("is taken from Authorization: %s → %i", async (authorization, status) => {
    const ask = asking(serviceView(), OPEN_TO_ALL);
    const response = await ask("/metrics", { headers: { authorization } });
    expect(response.status).toBe(status);
  });

  test("in the query is none", async () => {
    const ask = asking(serviceView(), OPEN_TO_ALL);
    expect((await ask(`/metrics?token=${TOKEN}`)).status).toBe(401);
  });
});

describe("the name a service is asked by", () => {
  const cases: [host: string, bound: string, status: number][] = [
    ["127.0.0.1:8000", "127.0.0.1", 200],
    ["localhost:8000", "127.0.0.1", 200],
    // A tunnel has a port of its own.
    ["localhost:9999", "127.0.0.1", 200],
    ["LocalHost", "127.0.0.1", 200],
    ["localhost.", "127.0.0.1", 200],
    ["[::1]:8000", "127.0.0.1", 200],
    ["127.0.0.1.evil.example", "127.0.0.1", 421],
    ["localhost.evil.example:8000", "127.0.0.1", 421],
    ["evil.example:8000", "127.0.0.1", 421],
    ["evil.example:8000", "localhost", 421],
    ["10.1.2.3:8000", "10.1.2.3", 200],
    ["10.1.2.4:8000", "10.1.2.3", 421],
    ["keeper.internal", "keeper.internal", 200],
    ["KEEPER.internal.:8000", "keeper.internal", 200],
    ["evil.example", "keeper.internal", 421],
    ["127.0.0.1:8000, evil.example", "127.0.0.1", 421],
    ["127.0.0.1:8000@evil.example", "127.0.0.1", 421],
    ["127.0.0.1/evil.example", "127.0.0.1", 421],
    // Bound to every address there is no list of names.
    ["evil.example", "0.0.0.0", 200],
    ["evil.example", "[::]", 200],
  ];
  test.each(cases)("%s, bound to %s → %i", async (host, bound, status) => {
    const ask = asking(serviceView(), {
      host: bound,
      port: 8000,
      apiToken: TOKEN,
    });
    const { headers } = bearer(TOKEN);
    const response = await ask("/health", { headers: { ...headers, host } });
    expect(response.status).toBe(status);
  });

  test("is told to who used another, and to reads, writes and the open paths alike", async () => {
    const ask = asking();
    const headers = { host: "rebound.example" };
    for (const [path, method] of [
      ["/health/live", "GET"],
      ["/health/live", "HEAD"],
      ["/nothing", "GET"],
      [RESTART, "POST"],
    ] as const) {
      const response = await ask(path, { method, headers });
      expect(response.status).toBe(421);
    }
    expect(await refusal(await ask("/docs", { headers }))).toEqual([
      421,
      "unknown host; this service is 127.0.0.1:8000",
    ]);
    const anyPort = asking(serviceView(), { host: "127.0.0.1", port: 0 });
    expect(await refusal(await anyPort("/docs", { headers }))).toEqual([
      421,
      "unknown host; this service is 127.0.0.1",
    ]);
  });
});

describe("a write from a page", () => {
  const OWN = { host: "127.0.0.1:8000" };
  const cases: [
    what: string,
    headers: Record<string, string>,
    status: number,
  ][] = [
    ["no browser at all", {}, 202],
    [
      "of our own, as browsers say it",
      { "sec-fetch-site": "same-origin" },
      202,
    ],
    ["that a person typed in", { "sec-fetch-site": "none" }, 202],
    ["of another site", { "sec-fetch-site": "cross-site" }, 403],
    ["of another host of our site", { "sec-fetch-site": "same-site" }, 403],
    ["of something unheard of", { "sec-fetch-site": "" }, 403],
    [
      "behind a proxy that rewrote Host",
      { "sec-fetch-site": "same-origin", origin: "https://keeper.example" },
      202,
    ],
    ["of our own, by an old browser", { origin: "http://127.0.0.1:8000" }, 202],
    ["of another port", { origin: "http://127.0.0.1:3000" }, 403],
    ["of another name of loopback", { origin: "http://localhost:8000" }, 403],
    [
      "of another site, by an old browser",
      { origin: "http://evil.example" },
      403,
    ],
    ["in a sandbox", { origin: "null" }, 403],
    ["of no address", { origin: "127.0.0.1:8000" }, 403],
  ];
  test.each(cases)("%s: %j → %i", async (_what, headers, status) => {
    const view = serviceView({ restart: () => true });
    const response = await asking(view)(RESTART, post({ ...OWN, ...headers }));
    expect(response.status).toBe(status);
    if (status === 403)
      expect((await refusal(response))[1]).toBe(
        "writes from other sites are refused",
      );
  });

  test("of another site is refused before the token is looked at, and does nothing", async () => {
    const view = serviceView();
    const ask = asking(view, { ...LOOPBACK, apiToken: TOKEN });
    const response = await ask(
      RESTART,
      post({
        "sec-fetch-site": "cross-site",
        authorization: `Bearer ${TOKEN}`,
      }),
    );
    expect(response.status).toBe(403);
    expect(view.restarts).toEqual([]);
  });

  test("of another site may not ask first either: no preflight is answered", async () => {
    const response = await asking()(RESTART, {
      method: "OPTIONS",
      headers: {
        origin: "http://evil.example",
        "access-control-request-method": "POST",
      },
    });
    expect(response.status).toBe(403);
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });

  test("that only reads is answered, for the page may not see the answer", async () => {
    const response = await asking()("/api/v1/status", {
      headers: {
        origin: "http://evil.example",
        "sec-fetch-site": "cross-site",
      },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("cross-origin-resource-policy")).toBe(
      "same-origin",
    );
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });
});

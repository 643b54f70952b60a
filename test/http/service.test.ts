import { afterEach, describe, expect, jest, test } from "bun:test";
import { STORE_MS_MAX } from "../../src/http/serviceRoutes.ts";
import type { CoverageQuery } from "../../src/http/view.ts";
import { asking, refusal, REPORT, serviceView, STATUS, TREE } from "./view.ts";

afterEach(() => {
  jest.useRealTimers();
});

test.each([
  ["/api/v1/status", STATUS],
  ["/api/v1/tree", TREE],
])("%s is what the service says of itself", async (path, expected) => {
  const response = await asking()(path);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toEqual(expected);
});

describe("/api/v1/coverage", () => {
  const at = (text: string) => new Date(text);
  const asked: [query: string, expected: CoverageQuery][] = [
    ["", {}],
    ["?account=live", { account: "live" }],
    // By the name in the configuration as well.
    ["?account=Cold%20Harbour", { account: "cold_harbour" }],
    ["?from=2026-09-18", { from: at("2026-09-18T00:00:00.000Z") }],
    ["?to=2026-09-18T13:30:00Z", { to: at("2026-09-18T13:30:00.000Z") }],
    [
      "?from=2026-09-18T09:30:00.250-04:00&to=2026-09-19&account=live",
      {
        account: "live",
        from: at("2026-09-18T13:30:00.250Z"),
        to: at("2026-09-19T00:00:00.000Z"),
      },
    ],
  ];
  test.each(asked)("%p asks the store for that", async (query, expected) => {
    const view = serviceView();
    const response = await asking(view)(`/api/v1/coverage${query}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(REPORT);
    expect(view.queries).toEqual([expected]);
  });

  const MOMENT =
    "has to be a date (2026-09-18) or a time with a zone (2026-09-18T13:30:00Z)";
  const refused: [query: string, status: number, detail: string][] = [
    ["?from=yesterday", 400, `from: ${MOMENT}`],
    ["?from=", 400, `from: ${MOMENT}`],
    ["?from=1758153600", 400, `from: ${MOMENT}`],
    ["?from=2026-02-30", 400, `from: ${MOMENT}`],
    ["?to=2026-09-18T13:30:00", 400, `to: ${MOMENT}`],
    ["?to=2026-09-18T25:00:00Z", 400, `to: ${MOMENT}`],
    ["?from=2026-09-18&from=2026-09-19", 400, `from: ${MOMENT}`],
    ["?from=x&to=y", 400, `from: ${MOMENT}; to: ${MOMENT}`],
    ["?from=2026-09-19&to=2026-09-18", 400, "from: has to be before to"],
    ["?from=2026-09-18&to=2026-09-18", 400, "from: has to be before to"],
    ["?acount=live", 400, 'Unrecognized key: "acount"'],
    ["?account=other", 404, "no account other"],
    ["?account=%F0%9F%90%99", 404, "no account 🐙"],
  ];
  test.each(refused)("%p is refused: %i, %s", async (query, status, detail) => {
    const view = serviceView();
    expect(
      await refusal(await asking(view)(`/api/v1/coverage${query}`)),
    ).toEqual([status, detail]);
    expect(view.queries).toEqual([]);
  });

  test("an empty account is refused by its name", async () => {
    const [status, detail] = await refusal(
      await asking()("/api/v1/coverage?account="),
    );
    expect(status).toBe(400);
    expect(detail).toStartWith("account: ");
  });

  test("a store that is away is 503, without its sentence", async () => {
    const coverage = () =>
      Promise.reject(new Error("connect ECONNREFUSED db.internal:5432"));
    expect(
      await refusal(
        await asking(serviceView({ coverage }))("/api/v1/coverage"),
      ),
    ).toEqual([503, "the store does not answer; /health says since when"]);
  });

  test("a store that hangs is given up after a while, and no timer stays behind", async () => {
    jest.useFakeTimers();
    const coverage = () => new Promise<never>(() => {});
    const answer = asking(serviceView({ coverage }))("/api/v1/coverage");
    while (jest.getTimerCount() === 0) await Promise.resolve();
    jest.advanceTimersByTime(STORE_MS_MAX);
    expect((await answer).status).toBe(503);
    expect((await asking()("/api/v1/coverage")).status).toBe(200);
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe("POST /api/v1/actors/{id}/restart", () => {
  const KNOWN = "pipeline/accounts/account/live/stream";
  const restart = (id: string) => `/api/v1/actors/${id}/restart`;

  test.each([
    KNOWN,
    KNOWN.replaceAll("/", "%2F"),
    KNOWN.replaceAll("/", "%2f"),
    "pipeline/accounts/account%2Flive/stream",
  ])("takes the slashes of an id as they are or encoded: %s", async (id) => {
    const view = serviceView();
    const response = await asking(view)(restart(id), { method: "POST" });
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ restarting: KNOWN });
    expect(view.restarts).toEqual([KNOWN]);
  });

  test.each([
    ["nobody", "nobody"],
    [`${KNOWN}/`, `${KNOWN}/`],
    // Decoded once, not until nothing is left to decode.
    [KNOWN.replaceAll("/", "%252F"), KNOWN.replaceAll("/", "%2F")],
    ["%E0%A4%A", "%E0%A4%A"],
    ["%00", "\0"],
    ["a/restart", "a/restart"],
    ["..%2F..%2Fhealth", "../../health"],
  ])("answers 404 for an actor that is not there: %s", async (id, path) => {
    const view = serviceView();
    expect(
      await refusal(await asking(view)(restart(id), { method: "POST" })),
    ).toEqual([404, `no actor ${path}`]);
    expect(view.restarts).toEqual([path]);
  });
});

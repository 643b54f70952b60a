import { describe, expect, test } from "bun:test";
import type { Health } from "../../schema/service.ts";
import {
  AMISS,
  asking,
  OPEN_TO_ALL,
  serviceView,
  TOKEN,
  WELL,
} from "./view.ts";

const asked = (health: Health) => asking(serviceView({ health: () => health }));

describe("/health", () => {
  test.each([WELL, AMISS, { ...AMISS, status: "draining" as const }])(
    "shows every check, well or not: %j",
    async (health) => {
      const response = await asked(health)("/health");
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual(health);
    },
  );
});

describe("/health/live", () => {
  test("is 200 whatever is amiss", async () => {
    const response = await asked(AMISS)("/health/live");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ live: true });
  });
});

describe("/health/ready", () => {
  test("is 200 when it is, with nothing to complain of", async () => {
    const response = await asked(WELL)("/health/ready");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ ...WELL, checks: [] });
  });

  test("is 503 when it is not, and says what and since when", async () => {
    const response = await asked(AMISS)("/health/ready");
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({
      ...AMISS,
      checks: AMISS.checks.filter(({ ok }) => !ok),
    });
    const head = await asked(AMISS)("/health/ready", { method: "HEAD" });
    expect(head.status).toBe(503);
  });

  test("is 200 while only something is amiss that it can do without, and names it", async () => {
    const degraded: Health = {
      status: "degraded",
      ready: true,
      checks: AMISS.checks.filter(({ name }) => name !== "postgres"),
    };
    const response = await asked(degraded)("/health/ready");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      status: "degraded",
      checks: [{ name: "account/live", state: "refused" }],
    });
  });

  test("is 503 from the stop signal on, though nothing is amiss", async () => {
    const draining: Health = { ...WELL, status: "draining", ready: false };
    const response = await asked(draining)("/health/ready");
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ ...draining, checks: [] });
  });

  test("tells the network what and since when, and hosts and sentences only to who has the token", async () => {
    const ask = asking(serviceView({ health: () => AMISS }), OPEN_TO_ALL);
    const stranger = await ask("/health/ready");
    expect(stranger.status).toBe(503);
    const [store, account] = AMISS.checks.filter(({ ok }) => !ok);
    const { detail: _, ...withoutDetail } = store ?? {};
    expect(await stranger.json()).toEqual({
      ...AMISS,
      checks: [withoutDetail, account],
    });
    for (const [token, checks] of [
      [`${TOKEN}x`, [withoutDetail, account]],
      [TOKEN, [store, account]],
    ] as const) {
      const response = await ask("/health/ready", {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(await response.json()).toEqual({ ...AMISS, checks });
    }
  });
});

describe("/metrics", () => {
  test("comes with the type and version of the text format, as it is", async () => {
    const response = await asking()("/metrics");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe(
      "text/plain; version=0.0.4; charset=utf-8",
    );
    expect(await response.text()).toBe("feedkeeper_ready 1\n");
  });

  test("that cannot be gathered are 500, not a page without them", async () => {
    const metrics = () => Promise.reject(new Error("a gauge failed"));
    const response = await asking(serviceView({ metrics }))("/metrics");
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ detail: "internal error" });
  });
});

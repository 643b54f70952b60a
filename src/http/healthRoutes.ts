/** `/health*`: what is amiss and since when; and `/metrics`. */
import { createRoute, z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { HealthCheck } from "../../schema/service.ts";
import { bearsToken, readsNeedToken } from "./access.ts";
import type { AccessRules } from "./access.ts";
import { healthSchema, liveSchema } from "./schemas.ts";
import type { ServiceView } from "./view.ts";

export function addHealthRoutes(
  app: OpenAPIHono,
  view: ServiceView,
  rules: AccessRules,
): void {
  app.openapi(health, (c) => c.json(view.health(), 200));

  app.openapi(live, (c) => c.json({ live: true as const }, 200));

  app.openapi(ready, (c) => {
    const { status, ready, checks } = view.health();
    const trusted = !readsNeedToken(rules) || bearsToken(c.req.raw, rules);
    const failing = checks.filter(({ ok }) => !ok);
    const body = {
      status,
      ready,
      checks: trusted ? failing : failing.map(withoutDetail),
    };
    return ready ? c.json(body, 200) : c.json(body, 503);
  });

  app.openapi(metrics, async (c) => {
    const { contentType, text } = await view.metrics();
    return c.text(text, 200, { "Content-Type": contentType });
  });
}

/** The sentence of a check may name hosts and databases: not for callers who gave no token. */
function withoutDetail({ detail: _, ...rest }: HealthCheck): HealthCheck {
  return rest;
}

const health = createRoute({
  method: "get",
  path: "/health",
  tags: ["health"],
  summary:
    "Everything that is checked; always 200, the body says how it stands",
  responses: {
    200: {
      description: "How the service stands.",
      content: { "application/json": { schema: healthSchema } },
    },
  },
});

const live = createRoute({
  method: "get",
  path: "/health/live",
  tags: ["health"],
  summary: "200 as long as the process can answer; needs no token",
  security: [],
  responses: {
    200: {
      description: "The process answers.",
      content: { "application/json": { schema: liveSchema } },
    },
  },
});

const ready = createRoute({
  method: "get",
  path: "/health/ready",
  tags: ["health"],
  summary:
    "Whether it does its work; `checks` are those that fail. Needs no token",
  security: [],
  responses: {
    200: {
      description: "Ready.",
      content: { "application/json": { schema: healthSchema } },
    },
    503: {
      description: "Not ready, or draining: what fails, and since when.",
      content: { "application/json": { schema: healthSchema } },
    },
  },
});

const metrics = createRoute({
  method: "get",
  path: "/metrics",
  tags: ["health"],
  summary: "Prometheus metrics",
  responses: {
    200: {
      description: "Prometheus text format.",
      content: { "text/plain": { schema: z.string() } },
    },
  },
});

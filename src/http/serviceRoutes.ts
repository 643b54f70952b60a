/** `/api/v1`: status, tree, coverage, and restarting an actor. */
import { createRoute, z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { accountSlug } from "../../schema/account.ts";
import { assetClassOf, symbolOf } from "../../schema/symbol.ts";
import { SECOND, within } from "../clock.ts";
import { errorResponse, refuse } from "./refusal.ts";
import { coverageSchema, statusSchema, treeSchema } from "./schemas.ts";
import type { ServiceView } from "./view.ts";

export function addServiceRoutes(app: OpenAPIHono, view: ServiceView): void {
  app.openapi(status, (c) => c.json(view.status(), 200));

  app.openapi(tree, (c) => c.json(view.tree(), 200));

  app.openapi(coverage, async (c) => {
    const { account, symbol, from, to } = c.req.valid("query");
    if (account !== undefined && symbol !== undefined)
      return refuse(c, 400, "account: not together with symbol");
    if (from !== undefined && to !== undefined && from >= to)
      return refuse(c, 400, "from: has to be before to");
    const known = account === undefined ? undefined : find(view, account);
    if (account !== undefined && known === undefined)
      return refuse(c, 404, `no account ${account}`);
    const report = await answered(
      view.coverage({
        ...(known === undefined ? {} : { account: known }),
        ...(symbol === undefined ? {} : { symbol }),
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      }),
    );
    return c.json(report, 200);
  });

  // Registered by hand: ids hold slashes, which OpenAPI's paths cannot say of a parameter.
  app.openAPIRegistry.registerPath(restart);
  app.post("/api/v1/actors/:id{.+}/restart", (c) => {
    const id = c.req.param("id");
    if (!view.restart(id)) return refuse(c, 404, `no actor ${id}`);
    return c.json({ restarting: id }, 202);
  });
}

/** A store that hangs must not hang the caller; below the time after which the socket counts as idle. */
export const STORE_MS_MAX = 15 * SECOND;

async function answered<Report>(report: Promise<Report>): Promise<Report> {
  try {
    return await within(STORE_MS_MAX, report, "no answer in time");
  } catch (cause) {
    throw new HTTPException(503, {
      message: "the store does not answer; /health says since when",
      cause,
    });
  }
}

/** As the service spells the account that a caller wrote by name or by slug. */
function find(view: ServiceView, asked: string): string | undefined {
  const slug = accountSlug(asked);
  return view
    .status()
    .accounts.find(({ account }) => accountSlug(account) === slug)?.account;
}

const status = createRoute({
  method: "get",
  path: "/api/v1/status",
  tags: ["service"],
  summary: "Accounts, sinks and spool",
  responses: {
    200: {
      description: "Status.",
      content: { "application/json": { schema: statusSchema } },
    },
  },
});

const tree = createRoute({
  method: "get",
  path: "/api/v1/tree",
  tags: ["service"],
  summary: "The live supervision tree",
  responses: {
    200: {
      description: "The root and everything under it.",
      content: { "application/json": { schema: treeSchema } },
    },
  },
});

/** A day or a time with its zone, as a query says it. */
export const instant = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()], {
    error:
      "has to be a date (2026-09-18) or a time with a zone (2026-09-18T13:30:00Z)",
  })
  .transform((text) => new Date(text));

// Strict, because a misspelt `acount` would otherwise answer for every account.
const coverageQuery = z.strictObject({
  account: z.string().min(1).optional().openapi({
    description: "Name or slug; every account when absent.",
    example: "live",
  }),
  symbol: z
    .string()
    .transform((text) => symbolOf(text, assetClassOf(text)))
    .refine((symbol) => symbol !== undefined, {
      error: "has to be a symbol (AAPL, BTC/USD)",
    })
    .optional()
    .openapi({
      type: "string",
      description: "The minute bars of a symbol instead of accounts.",
      example: "AAPL",
    }),
  from: instant.optional().openapi({
    type: "string",
    description: "Start, inclusive; a date is midnight UTC.",
    example: "2026-09-18T13:30:00Z",
  }),
  to: instant.optional().openapi({
    type: "string",
    description: "End, exclusive; a date is midnight UTC.",
    example: "2026-09-19",
  }),
});

const coverage = createRoute({
  method: "get",
  path: "/api/v1/coverage",
  tags: ["service"],
  summary:
    "The completeness certificate: what was received, healed, or is unknown",
  request: { query: coverageQuery },
  responses: {
    200: {
      description:
        "Intervals by account and stream, and the share the stream never delivered.",
      content: { "application/json": { schema: coverageSchema } },
    },
    400: errorResponse("A date cannot be read, or from is not before to."),
    404: errorResponse("No such account."),
    503: errorResponse("The store does not answer."),
  },
});

const restart = createRoute({
  method: "post",
  path: "/api/v1/actors/{id}/restart",
  tags: ["service"],
  summary: "Restart an actor",
  security: [{ bearerAuth: [] }],
  request: {
    params: z.object({
      id: z.string().openapi({
        description: "Path of the tree; its slashes as they are or as `%2F`.",
        example: "pipeline/accounts/account/live/stream",
      }),
    }),
  },
  responses: {
    202: {
      description: "Accepted; the tree shows the restart.",
      content: {
        "application/json": {
          schema: z.object({ restarting: z.string() }).openapi("Restarting"),
        },
      },
    },
    401: errorResponse("API_TOKEN is set, and the token is missing or wrong."),
    403: errorResponse("The request comes from a page of another site."),
    404: errorResponse("No such actor."),
    413: errorResponse("The body is too large."),
    415: errorResponse("There is a body, and it is not JSON."),
  },
});

/** `/api/v1/gaps`: minutes that are missing by the calendar, and those that the venue does not have either. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { errorResponse, refuse } from "./refusal.ts";
import { answered, registryOf } from "./registryRoutes.ts";
import { symbolText } from "./registrySchemas.ts";
import { instant } from "./serviceRoutes.ts";
import type { ServiceView } from "./view.ts";

export function addGapRoutes(app: OpenAPIHono, view: ServiceView): void {
  app.openapi(gaps, async (c) => {
    const { symbol, from, to } = c.req.valid("query");
    if (from !== undefined && to !== undefined && from >= to)
      return refuse(c, 400, "from: has to be before to");
    const found = await answered(
      registryOf(view).gaps({
        ...(symbol === undefined ? {} : { symbol }),
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      }),
    );
    return c.json(found, 200);
  });
}

const gapSchema = z
  .object({
    symbol: z.string(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    missing: z.int().openapi({ description: "Minutes." }),
    state: z.enum(["missing", "verified_empty"]),
  })
  .openapi("Gap");

const gaps = createRoute({
  method: "get",
  path: "/api/v1/gaps",
  tags: ["registry"],
  summary: "Missing minutes by the calendar of the exchange",
  request: {
    // Strict, because a misspelt `symbols` would otherwise answer for every symbol.
    query: z.strictObject({
      symbol: symbolText.optional(),
      from: instant.optional().openapi({
        type: "string",
        description: "Start, inclusive; BACKFILL_DAYS ago when absent.",
        example: "2026-09-18T13:30:00Z",
      }),
      to: instant.optional().openapi({
        type: "string",
        description: "End, exclusive; now when absent.",
        example: "2026-09-19",
      }),
    }),
  },
  responses: {
    200: {
      description: "By symbol and time.",
      content: { "application/json": { schema: z.array(gapSchema) } },
    },
    400: errorResponse("A member is wrong; it is named."),
    503: errorResponse("The store does not answer, or there is no registry."),
  },
});

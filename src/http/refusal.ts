/** Errors become responses here, and only here: `{"detail": "…"}` with the right status. */
import { z } from "@hono/zod-openapi";
import type { Hook } from "@hono/zod-openapi";
import type { Context, Env, ErrorHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Logger } from "../log.ts";

export const errorSchema = z
  .object({ detail: z.string().openapi({ description: "What is wrong." }) })
  .openapi("Error");

/** A response entry for `createRoute`. */
export function errorResponse(description: string) {
  return {
    description,
    content: { "application/json": { schema: errorSchema } },
  };
}

export function refuse<Status extends ContentfulStatusCode>(
  c: Context,
  status: Status,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
) {
  return c.json({ detail }, status, headers);
}

/** What a route's own schema refuses: 400, naming each member. */
export const refuseInvalid: Hook<unknown, Env, string, Response | undefined> = (
  result,
  c,
) => {
  if (result.success) return undefined;
  const problems = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join(".")}: ${message}`,
  );
  return refuse(c, 400, problems.join("; "));
};

/** The rest. Callers learn nothing of our insides; the log gets the error whole. */
export function onFailure(log: Logger): ErrorHandler {
  return (error, c) => {
    const known = error instanceof HTTPException ? error : undefined;
    const status = (known?.status ?? 500) as ContentfulStatusCode;
    if (status >= 500)
      log.error(
        { error, method: c.req.method, path: c.req.path },
        "http_request_failed",
      );
    return refuse(
      c,
      status,
      known === undefined ? "internal error" : known.message || "refused",
    );
  };
}

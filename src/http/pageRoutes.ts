/** What a person opens: the landing page, the API reference, and the document it is made from. */
import { createRoute, z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { readsNeedToken } from "./access.ts";
import type { AccessRules } from "./access.ts";
import { docsPage } from "./docsPage.ts";
import { landingPage } from "./landingPage.ts";
import type { ServiceView } from "./view.ts";

export function addPageRoutes(
  app: OpenAPIHono,
  view: ServiceView,
  rules: AccessRules,
): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearerAuth", {
    type: "http",
    scheme: "bearer",
    description:
      "API_TOKEN: needed by writes when one is set, by reads too when the service is not on loopback.",
  });
  const describe = () =>
    app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: {
        title: "feedkeeper",
        version: view.status().version,
        description:
          'Errors are {"detail": "…"} with the right status, whichever route they come from; any route may answer 401 (a token is needed), 405, 421 (the Host is not this service) and 500.',
      },
      servers: [{ url: "/" }],
      security: readsNeedToken(rules) ? [{ bearerAuth: [] }] : [],
    });

  app.openapi(landing, (c) =>
    c.html(landingPage(view.health(), view.status())),
  );
  app.openapi(docs, (c) => c.html(docsPage(describe())));
  // Registered by hand: the document's own type is looser than any response schema.
  app.openAPIRegistry.registerPath(document);
  app.get(document.path, (c) => c.json(describe()));
}

const landing = createRoute({
  method: "get",
  path: "/",
  tags: ["pages"],
  summary: "Readiness and accounts at a glance",
  responses: { 200: htmlResponse("The page.") },
});

const docs = createRoute({
  method: "get",
  path: "/docs",
  tags: ["pages"],
  summary: "This reference, for reading",
  responses: { 200: htmlResponse("The page.") },
});

const document = createRoute({
  method: "get",
  path: "/openapi.json",
  tags: ["pages"],
  summary: "This reference, for programs",
  responses: {
    200: {
      description: "OpenAPI 3.1.",
      content: {
        "application/json": {
          schema: { type: "object", required: ["openapi", "info", "paths"] },
        },
      },
    },
  },
});

function htmlResponse(description: string) {
  return { description, content: { "text/html": { schema: z.string() } } };
}

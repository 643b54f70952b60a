/**
 * The HTTP side, assembled: what every request passes (headers, access, size)
 * and the routes behind it. It knows a running service only as a
 * {@link ServiceView}; nothing here listens on a port.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { bodyLimit } from "hono/body-limit";
import { methodNotAllowed } from "hono/method-not-allowed";
import { ConfigError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import type { Logger } from "../log.ts";
import { isLoopback, refusalOf } from "./access.ts";
import type { AccessRules } from "./access.ts";
import { addHealthRoutes } from "./healthRoutes.ts";
import { addPageRoutes } from "./pageRoutes.ts";
import { securePages } from "./page.ts";
import { onFailure, refuse, refuseInvalid } from "./refusal.ts";
import { addRegistryRoutes } from "./registryRoutes.ts";
import { addServiceRoutes } from "./serviceRoutes.ts";
import type { ServiceView } from "./view.ts";

export type { CoverageQuery, ServiceView } from "./view.ts";

export interface AppOptions {
  /** `API_TOKEN`; writes need it when set, reads too when `host` is not loopback. */
  readonly apiToken?: string;
  /** Address the service is bound to. */
  readonly host: string;
  /** Port it is bound to; only named to callers that used a wrong name. */
  readonly port: number;
  /** Where unexpected errors are written, which callers are not shown. */
  readonly log?: Logger;
}

/** No route takes more than a few fields; a symbol list of thousands fits. */
export const BODY_BYTES_MAX = 64 * 1024;

/**
 * @throws ConfigError when `host` is not loopback and there is no token: such a
 * service would be open to its whole network.
 */
export function createApp(view: ServiceView, options: AppOptions): OpenAPIHono {
  const { host, port, apiToken, log = silentLogger } = options;
  if (!isLoopback(host) && !apiToken)
    throw new ConfigError([
      `API_TOKEN: required when HOST is not loopback (HOST=${host})`,
    ]);
  const rules: AccessRules = { host, port, ...(apiToken ? { apiToken } : {}) };

  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  app.onError(onFailure(log));
  app.notFound((c) => refuse(c, 404, `nothing at ${c.req.path}`));
  app.use(securePages);
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) =>
        refuse(c, 405, `${c.req.method} is not possible here`, {
          Allow: methods.join(", "),
        }),
    }),
  );
  app.use(async (c, next) => {
    const refusal = refusalOf(c.req.raw, c.req.path, rules);
    if (refusal === undefined) return next();
    return refuse(c, refusal.status, refusal.detail, refusal.headers);
  });
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (c) =>
        refuse(c, 413, `the body is larger than ${BODY_BYTES_MAX} bytes`),
    }),
  );

  addHealthRoutes(app, view, rules);
  addServiceRoutes(app, view);
  addRegistryRoutes(app, view);
  addPageRoutes(app, view, rules);
  return app;
}

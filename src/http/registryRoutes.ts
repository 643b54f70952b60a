/** `/api/v1/symbols`, `registry`, `jobs`, `backfill`, `scheduler`: the routes of the older registry service, with its bodies. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { within } from "../clock.ts";
import type { RegistryService } from "../registry/service.ts";
import { addGapRoutes } from "./gapRoutes.ts";
import { errorResponse, refuse } from "./refusal.ts";
import {
  entrySchema,
  executeSchema,
  jobSchema,
  newSymbolSchema,
  scheduleSchema,
  statusChangeSchema,
  symbolChangeSchema,
  symbolText,
} from "./registrySchemas.ts";
import { STORE_MS_MAX } from "./serviceRoutes.ts";
import type { ServiceView } from "./view.ts";

export function addRegistryRoutes(app: OpenAPIHono, view: ServiceView): void {
  const registry = () => registryOf(view);
  addGapRoutes(app, view);

  app.openapi(list, async (c) => {
    const { enabled_only } = c.req.valid("query");
    return c.json(
      await answered(registry().list({ enabledOnly: enabled_only })),
      200,
    );
  });

  app.openapi(add, async (c) => {
    const { entry } = await answered(registry().add(c.req.valid("json")));
    return c.json(entry, 201);
  });

  app.openapi(find, async (c) => {
    const { symbol } = c.req.valid("param");
    const entry = await answered(registry().find(symbol));
    if (entry === undefined) return refuse(c, 404, unknown(symbol));
    return c.json(entry, 200);
  });

  app.openapi(change, async (c) => {
    const { symbol } = c.req.valid("param");
    const entry = await answered(
      registry().change(symbol, c.req.valid("json")),
    );
    if (entry === undefined) return refuse(c, 404, unknown(symbol));
    return c.json(entry, 200);
  });

  app.openapi(remove, async (c) => {
    const { symbol } = c.req.valid("param");
    if (!(await answered(registry().remove(symbol))))
      return refuse(c, 404, unknown(symbol));
    return c.json({ status: "deleted" as const, symbol }, 200);
  });

  app.openapi(setStatus, async (c) => {
    const { symbol } = c.req.valid("param");
    const { status, error_message } = c.req.valid("json");
    const entry = await answered(
      registry().setStatus(symbol, status, error_message),
    );
    if (entry === undefined) return refuse(c, 404, unknown(symbol));
    return c.json(entry, 200);
  });

  app.openapi(execute, (c) => {
    const body = c.req.valid("json");
    const job = registry().submit("execute", body?.symbols ?? []);
    return job === undefined ? busy(c) : c.json(job, 202);
  });

  app.openapi(backfill, async (c) => {
    const { symbol } = c.req.valid("param");
    if ((await answered(registry().find(symbol))) === undefined)
      return refuse(c, 404, unknown(symbol));
    const job = registry().submit("backfill", [symbol]);
    return job === undefined ? busy(c) : c.json(job, 202);
  });

  app.openapi(jobs, (c) => c.json(registry().jobs(), 200));

  app.openapi(job, (c) => {
    const { id } = c.req.valid("param");
    const found = registry().job(id);
    if (found === undefined) return refuse(c, 404, `no job ${id}`);
    return c.json(found, 200);
  });

  app.openapi(cancelJob, (c) => {
    const { id } = c.req.valid("param");
    const found = registry().job(id);
    if (found === undefined) return refuse(c, 404, `no job ${id}`);
    if (!registry().cancelJob(id))
      return refuse(c, 409, `job ${id} is over: ${found.state}`);
    return c.json({ status: "cancelled" as const, job_id: id }, 200);
  });

  app.openapi(schedule, (c) => c.json(scheduleOf(registry()), 200));

  app.openapi(startSchedule, (c) => {
    registry().switchSchedule(true);
    return c.json(scheduleOf(registry()), 200);
  });

  app.openapi(stopSchedule, (c) => {
    registry().switchSchedule(false);
    return c.json(scheduleOf(registry()), 200);
  });

  app.openapi(trigger, (c) => {
    const { job: id } = c.req.valid("param");
    if (!registry().trigger(id))
      return refuse(c, 404, `no scheduled job ${id}`);
    const { name } = registry()
      .schedule()
      .jobs.find((each) => each.id === id) ?? { name: id };
    return c.json(
      { status: "triggered" as const, job_id: id, job_name: name },
      202,
    );
  });
}

type Responder = Parameters<typeof refuse>[0];

function busy(c: Responder) {
  return refuse(c, 503, "too many jobs wait already");
}

function unknown(symbol: string): string {
  return `${symbol} is not in the registry`;
}

function scheduleOf(registry: RegistryService) {
  const { isOn, jobs } = registry.schedule();
  return { enabled: true, running: isOn, jobs };
}

export function registryOf({ registry }: ServiceView): RegistryService {
  if (registry !== undefined) return registry;
  throw new HTTPException(503, {
    message:
      "this service has no symbol registry (POLYGON_API_KEY, FEEDKEEPER_ROLES)",
  });
}

export async function answered<Answer>(
  answer: Promise<Answer>,
): Promise<Answer> {
  try {
    return await within(STORE_MS_MAX, answer, "no answer in time");
  } catch (cause) {
    throw new HTTPException(503, {
      message: "the store does not answer; /health says since when",
      cause,
    });
  }
}

const json = <Schema extends z.ZodType>(schema: Schema) => ({
  content: { "application/json": { schema } },
});
const body = <Schema extends z.ZodType>(schema: Schema) => ({
  body: { ...json(schema), required: true },
});
const symbolParam = { params: z.object({ symbol: symbolText }) };
const idParam = {
  params: z.object({
    id: z.string().openapi({ description: "As the job was answered." }),
  }),
};
const tags = ["registry"];
const security = [{ bearerAuth: [] }];
const refusals = {
  400: errorResponse("A member is wrong; it is named."),
  401: errorResponse("API_TOKEN is set, and the token is missing or wrong."),
  403: errorResponse("The request comes from a page of another site."),
  413: errorResponse("The body is too large."),
  415: errorResponse("There is a body, and it is not JSON."),
  503: errorResponse("The store does not answer, or there is no registry."),
};
const absent = { 404: errorResponse("Not in the registry.") };
const entry = { description: "The entry.", ...json(entrySchema) };
const theJob = { description: "The job.", ...json(jobSchema) };
const theSchedule = { description: "The schedule.", ...json(scheduleSchema) };

const list = createRoute({
  method: "get",
  path: "/api/v1/symbols",
  tags,
  summary: "All symbols",
  request: {
    query: z.strictObject({
      enabled_only: z
        .enum(["true", "false"])
        .default("false")
        .transform((text) => text === "true")
        .openapi({
          type: "string",
          enum: ["true", "false"],
          description: "Leave out what is disabled.",
        }),
    }),
  },
  responses: {
    200: { description: "By name.", ...json(z.array(entrySchema)) },
    400: refusals[400],
    503: refusals[503],
  },
});
const add = createRoute({
  method: "post",
  path: "/api/v1/symbols",
  tags,
  security,
  summary: "Add a symbol, or change what is known of it",
  request: body(newSymbolSchema),
  responses: { 201: entry, ...refusals },
});
const find = createRoute({
  method: "get",
  path: "/api/v1/symbols/{symbol}",
  tags,
  summary: "One symbol",
  request: symbolParam,
  responses: { 200: entry, ...absent, 400: refusals[400], 503: refusals[503] },
});
const change = createRoute({
  method: "patch",
  path: "/api/v1/symbols/{symbol}",
  tags,
  security,
  summary: "Change a symbol",
  request: { ...symbolParam, ...body(symbolChangeSchema) },
  responses: { 200: entry, ...absent, ...refusals },
});
const remove = createRoute({
  method: "delete",
  path: "/api/v1/symbols/{symbol}",
  tags,
  security,
  summary: "Forget a symbol; its bars stay",
  request: symbolParam,
  responses: {
    200: {
      description: "Deleted.",
      ...json(z.object({ status: z.literal("deleted"), symbol: z.string() })),
    },
    ...absent,
    ...refusals,
  },
});
const setStatus = createRoute({
  method: "put",
  path: "/api/v1/symbols/{symbol}/status",
  tags,
  security,
  summary: "Set the status by hand",
  request: { ...symbolParam, ...body(statusChangeSchema) },
  responses: { 200: entry, ...absent, ...refusals },
});
const execute = createRoute({
  method: "post",
  path: "/api/v1/registry/execute",
  tags,
  security,
  summary: "Run symbols by their strategies",
  request: { body: { ...json(executeSchema.nullish()), required: false } },
  responses: { 202: theJob, ...refusals },
});
const backfill = createRoute({
  method: "post",
  path: "/api/v1/backfill/{symbol}",
  tags,
  security,
  summary: "Read the history of a symbol",
  request: symbolParam,
  responses: { 202: theJob, ...absent, ...refusals },
});
const jobs = createRoute({
  method: "get",
  path: "/api/v1/jobs",
  tags,
  summary: "Jobs, the newest first",
  responses: {
    200: { description: "Jobs.", ...json(z.array(jobSchema)) },
    503: refusals[503],
  },
});
const job = createRoute({
  method: "get",
  path: "/api/v1/jobs/{id}",
  tags,
  summary: "One job",
  request: idParam,
  responses: {
    200: theJob,
    404: errorResponse("No such job."),
    503: refusals[503],
  },
});
const cancelJob = createRoute({
  method: "delete",
  path: "/api/v1/jobs/{id}",
  tags,
  security,
  summary: "Cancel a job",
  request: idParam,
  responses: {
    200: {
      description: "Cancelled.",
      ...json(z.object({ status: z.literal("cancelled"), job_id: z.string() })),
    },
    404: errorResponse("No such job."),
    409: errorResponse("The job is over."),
    ...refusals,
  },
});
const schedule = createRoute({
  method: "get",
  path: "/api/v1/scheduler/status",
  tags,
  summary: "The scheduler and its jobs",
  responses: { 200: theSchedule, 503: refusals[503] },
});
const startSchedule = createRoute({
  method: "post",
  path: "/api/v1/scheduler/start",
  tags,
  security,
  summary: "Start the scheduler",
  responses: { 200: theSchedule, ...refusals },
});
const stopSchedule = createRoute({
  method: "post",
  path: "/api/v1/scheduler/stop",
  tags,
  security,
  summary: "Stop the scheduler",
  responses: { 200: theSchedule, ...refusals },
});
const trigger = createRoute({
  method: "post",
  path: "/api/v1/scheduler/trigger/{job}",
  tags,
  security,
  summary: "Run a scheduled job now",
  request: {
    params: z.object({
      job: z.string().openapi({
        description: "Its id, as the status tells it.",
        example: "nightly_gap_detection",
      }),
    }),
  },
  responses: {
    202: {
      description: "Triggered.",
      ...json(
        z.object({
          status: z.literal("triggered"),
          job_id: z.string(),
          job_name: z.string(),
        }),
      ),
    },
    404: errorResponse("No such job."),
    ...refusals,
  },
});

/**
 * The shapes of `schema/service.ts` as OpenAPI shows them. Every schema is held
 * against its interface when types are checked: a member that only one of them
 * has is a compile error.
 */
import { z } from "@hono/zod-openapi";
import type {
  CoverageReport,
  Health,
  ServiceStatus,
  TreeNode,
} from "../../schema/service.ts";

const time = z.iso.datetime().openapi({ description: "ISO 8601, UTC." });
const count = z.int().nonnegative();

const check = z
  .object({
    name: z.string(),
    ok: z.boolean(),
    required: z.boolean().openapi({ description: "Readiness depends on it." }),
    state: z.string(),
    since: time,
    detail: z.string().optional(),
  })
  .readonly()
  .openapi("HealthCheck");

export const healthSchema = z
  .object({
    status: z.enum(["ok", "degraded", "not_ready", "draining"]),
    ready: z.boolean(),
    checks: z.array(check).readonly(),
  })
  .readonly()
  .openapi("Health");

export const liveSchema = z.object({ live: z.literal(true) }).openapi("Live");

const verdict = z
  .object({
    verdict: z.enum(["live", "quiet", "closed", "deaf", "dead"]),
    reason: z.string(),
  })
  .readonly();

const account = z
  .object({
    account: z.string(),
    state: z.string(),
    since: time,
    verdict: verdict.optional(),
    lastFrameAt: time.optional(),
    backfill: z.string(),
    healer: z.string(),
    undeliveredToday: count,
    rows: z
      .object({ orders: count, events: count, activities: count })
      .readonly(),
  })
  .readonly()
  .openapi("AccountStatus");

const feed = z
  .object({
    feed: z.string(),
    state: z.string(),
    since: time,
    verdict: verdict.optional(),
    lastMessageAt: time.optional(),
    messages: count,
    subscribed: count,
    notGranted: z.array(z.string()).readonly(),
    healer: z.string(),
  })
  .readonly()
  .openapi("FeedStatus");

const sink = z
  .object({
    sink: z.string(),
    state: z.string(),
    since: time,
    queued: count,
    spooled: count,
    written: count,
    dropped: count.optional(),
    lastError: z.string().optional(),
  })
  .readonly()
  .openapi("SinkStatus");

const spool = z
  .object({
    path: z.string(),
    records: count,
    bytes: count,
    oldestSeconds: z.number().nonnegative().optional(),
    cursors: z.record(z.string(), count).readonly(),
    full: z.boolean(),
  })
  .readonly()
  .openapi("SpoolStatus");

export const statusSchema = z
  .object({
    version: z.string(),
    startedAt: time,
    uptimeSeconds: z.number().nonnegative(),
    venue: z.enum(["simulated", "live"]),
    accounts: z.array(account).readonly(),
    feeds: z.array(feed).readonly(),
    sinks: z.array(sink).readonly(),
    spool,
  })
  .readonly()
  .openapi("ServiceStatus");

export const treeSchema = z
  .object({
    id: z.string(),
    path: z.string(),
    type: z.enum(["supervisor", "worker"]),
    state: z.string(),
    since: time,
    restarts: count,
    lastError: z.string().optional(),
    detail: z.record(z.string(), z.unknown()).readonly().optional(),
    strategy: z.enum(["one_for_one", "rest_for_one", "one_for_all"]).optional(),
    get children() {
      return z.array(treeSchema).readonly().optional();
    },
  })
  .readonly()
  .openapi("TreeNode");

const interval = z
  .object({
    account: z.string(),
    stream: z.enum(["trade_updates", "orders", "activities", "bars"]),
    state: z.enum(["live", "healed", "confirmed_empty", "deaf", "unknown"]),
    from: time,
    to: time,
    rows: count.optional(),
  })
  .readonly()
  .openapi("CoverageInterval");

const delivery = z
  .object({
    account: z.string(),
    day: z.iso.date().openapi({ description: "Day in New York." }),
    fills: count,
    undelivered: count,
    share: z.number().min(0).max(1),
  })
  .readonly()
  .openapi("DeliveryShare");

export const coverageSchema = z
  .object({
    from: time,
    to: time,
    intervals: z.array(interval).readonly(),
    delivery: z.array(delivery).readonly(),
  })
  .readonly()
  .openapi("CoverageReport");

/**
 * What the generator shows as optional it takes for "may be undefined"; of JSON
 * only "may be absent" is true, as the interfaces say.
 */
type Exact<Value> = Value extends object
  ? { [Member in keyof Value]: Exact<Exclude<Value[Member], undefined>> }
  : Value;

/** Identity, not assignability: an optional member that one side lacks counts. */
type Same<Left, Right> =
  (<Value>() => Value extends Left ? 1 : 2) extends <
    Value,
  >() => Value extends Right ? 1 : 2
    ? true
    : false;

/** Not compiled unless every schema and its interface say the same. */
export const schemasAgree: [
  Same<Exact<z.output<typeof healthSchema>>, Health>,
  Same<Exact<z.output<typeof statusSchema>>, ServiceStatus>,
  // Without the children, whose types are the same only as long as the nodes are.
  Same<
    Exact<Omit<z.output<typeof treeSchema>, "children">>,
    Omit<TreeNode, "children">
  >,
  Same<Exact<z.output<typeof coverageSchema>>, CoverageReport>,
] = [true, true, true, true];

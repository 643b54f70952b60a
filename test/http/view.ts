/** A service to ask over HTTP: what it says is written down here, what it was asked is written down by it. */
import type {
  CoverageReport,
  Health,
  ServiceStatus,
  TreeNode,
} from "../../schema/service.ts";
import { type AppOptions, createApp } from "../../src/http/app.ts";
import type { CoverageQuery, ServiceView } from "../../src/http/view.ts";

const SINCE = "2026-09-16T14:00:00.000Z";

export const WELL: Health = {
  status: "ok",
  ready: true,
  checks: [
    {
      name: "postgres",
      ok: true,
      required: true,
      state: "ok",
      since: SINCE,
    },
  ],
};

/** The store is down, one account is refused. */
export const AMISS: Health = {
  status: "not_ready",
  ready: false,
  checks: [
    {
      name: "postgres",
      ok: false,
      required: true,
      state: "down",
      since: SINCE,
      detail: "db.internal:5432 does not answer; 3 records wait on the disk",
    },
    { name: "spool", ok: true, required: true, state: "ok", since: SINCE },
    {
      name: "account/live",
      ok: false,
      required: false,
      state: "refused",
      since: SINCE,
    },
  ],
};

/** Two accounts: one that tells everything there is to tell, one that has just begun. */
export const STATUS: ServiceStatus = {
  version: "0.1.0",
  startedAt: SINCE,
  uptimeSeconds: 61,
  venue: "live",
  accounts: [
    {
      account: "live",
      state: "streaming",
      since: SINCE,
      verdict: { verdict: "quiet", reason: "silent for 90 s" },
      lastFrameAt: SINCE,
      backfill: "done",
      healer: "resting",
      undeliveredToday: 1,
      rows: { orders: 3, events: 5, activities: 2 },
    },
    {
      account: "cold_harbour",
      state: "connecting",
      since: SINCE,
      backfill: "waiting",
      healer: "waiting",
      undeliveredToday: 0,
      rows: { orders: 0, events: 0, activities: 0 },
    },
  ],
  feeds: [
    {
      feed: "stock",
      state: "streaming",
      since: SINCE,
      verdict: { verdict: "live", reason: "message or link 1 s ago" },
      lastMessageAt: SINCE,
      messages: 12,
      subscribed: 9,
      notGranted: ["trades NOSUCH: request"],
      healer: "resting",
    },
  ],
  sinks: [
    {
      sink: "postgres",
      state: "spooling",
      since: SINCE,
      queued: 0,
      spooled: 3,
      written: 10,
      lastError: "connect ECONNREFUSED",
    },
  ],
  spool: {
    path: "/keep/spool.sqlite",
    records: 3,
    bytes: 20_480,
    oldestSeconds: 12.5,
    cursors: { postgres: 7 },
    full: false,
  },
};

export const TREE: TreeNode = {
  id: "root",
  path: "",
  type: "supervisor",
  state: "running",
  since: SINCE,
  restarts: 0,
  strategy: "one_for_one",
  children: [
    {
      id: "stream",
      path: "pipeline/accounts/account/live/stream",
      type: "worker",
      state: "linked.streaming",
      since: SINCE,
      restarts: 2,
      lastError: "closed with 1006",
      detail: { dials: 3, verdict: { verdict: "live", reason: "a frame" } },
    },
  ],
};

export const REPORT: CoverageReport = {
  from: SINCE,
  to: "2026-09-16T15:00:00.000Z",
  intervals: [
    {
      account: "live",
      stream: "trade_updates",
      state: "unknown",
      from: SINCE,
      to: "2026-09-16T15:00:00.000Z",
    },
  ],
  delivery: [
    {
      account: "live",
      day: "2026-09-16",
      fills: 4,
      undelivered: 1,
      share: 0.25,
    },
  ],
};

export interface AskedView extends ServiceView {
  /** Queries of coverage, as they came. */
  readonly queries: CoverageQuery[];
  /** Paths that were to be restarted. */
  readonly restarts: string[];
}

/** All is well unless `members` say otherwise; it knows the actors of {@link TREE} and takes every restart of them. */
export function serviceView(members: Partial<ServiceView> = {}): AskedView {
  const queries: CoverageQuery[] = [];
  const restarts: string[] = [];
  return {
    queries,
    restarts,
    health: () => WELL,
    status: () => STATUS,
    tree: () => TREE,
    coverage: async (query) => {
      queries.push(query);
      return REPORT;
    },
    metrics: async () => ({
      contentType: "text/plain; version=0.0.4; charset=utf-8",
      text: "feedkeeper_ready 1\n",
    }),
    restart(path) {
      restarts.push(path);
      return TREE.children?.some((child) => child.path === path) === true;
    },
    ...members,
  };
}

export const LOOPBACK: AppOptions = { host: "127.0.0.1", port: 8000 };
export const TOKEN = "a-token-of-some-length";
export const OPEN_TO_ALL: AppOptions = {
  host: "0.0.0.0",
  port: 8000,
  apiToken: TOKEN,
};

export type Ask = (path: string, init?: RequestInit) => Promise<Response>;

/** Asks a new application; one that is bound to loopback and has no token unless `options` say otherwise. */
export function asking(
  view: ServiceView = serviceView(),
  options: AppOptions = LOOPBACK,
): Ask {
  const app = createApp(view, options);
  return async (path, init) => app.request(path, init);
}

/** Status and `detail` of a refusal. */
export async function refusal(response: Response): Promise<[number, string]> {
  const body: unknown = await response.json();
  const detail =
    typeof body === "object" && body !== null && "detail" in body
      ? String(body.detail)
      : "no detail";
  return [response.status, detail];
}

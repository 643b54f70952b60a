/** What a running service says of itself: the shapes behind `/health`, `status`, `tree` and `coverage`. */
import type { AccountStream, CoverageState } from "./messages.ts";

/** One actor of the live supervision tree, with its children. */
export interface TreeNode {
  /** Name among its siblings, e.g. `stream`. */
  readonly id: string;
  /** Names from the root down, joined by `/`, e.g. `pipeline/accounts/account/live/stream`. */
  readonly path: string;
  readonly type: "supervisor" | "worker";
  /** State of the machine (`streaming`, `refused`, …); of a supervisor `running`, `stopping`, `failed`. */
  readonly state: string;
  /** ISO UTC: when it entered that state. */
  readonly since: string;
  /** How often its supervisor restarted it. */
  readonly restarts: number;
  readonly lastError?: string;
  /** What the actor chose to report (verdict, counts); plain JSON. */
  readonly detail?: Readonly<Record<string, unknown>>;
  /** Only supervisors. */
  readonly strategy?: "one_for_one" | "rest_for_one" | "one_for_all";
  readonly children?: readonly TreeNode[];
}

/** One thing that readiness depends on (`required`) or that is shown beside it. */
export interface HealthCheck {
  /** e.g. `postgres`, `account/live`, `spool`. */
  readonly name: string;
  readonly ok: boolean;
  readonly required: boolean;
  /** A word: `ok`, `starting`, `down`, `refused`, `deaf`, `full`, … */
  readonly state: string;
  /** ISO UTC: since when it is in that state. */
  readonly since: string;
  /** A sentence for a person. */
  readonly detail?: string;
}

/** `draining` from the stop signal to the end; `degraded`: serving, but something not required is amiss. */
export interface Health {
  readonly status: "ok" | "degraded" | "not_ready" | "draining";
  readonly ready: boolean;
  readonly checks: readonly HealthCheck[];
}

/** The stream's verdict about its own silence, and the evidence in a sentence. */
export interface StreamVerdict {
  readonly verdict: "live" | "quiet" | "closed" | "deaf" | "dead";
  readonly reason: string;
}

export interface AccountStatus {
  readonly account: string;
  readonly state: string;
  readonly since: string;
  readonly verdict?: StreamVerdict;
  /** ISO UTC; absent before the first frame. */
  readonly lastFrameAt?: string;
  readonly backfill: string;
  readonly healer: string;
  /** Fills of today (New York) that REST showed and the stream never delivered. */
  readonly undeliveredToday: number;
  readonly rows: {
    readonly orders: number;
    readonly events: number;
    readonly activities: number;
  };
}

export interface FeedStatus {
  /** `stock`, `crypto`. */
  readonly feed: string;
  readonly state: string;
  readonly since: string;
  readonly verdict?: StreamVerdict;
  /** ISO UTC; absent before the first message. */
  readonly lastMessageAt?: string;
  readonly messages: number;
  /** Symbols times channels that the venue sends. */
  readonly subscribed: number;
  /** Wanted, and not granted: beyond the plan's limit, or unknown to the venue. */
  readonly notGranted: readonly string[];
  readonly healer: string;
}

export interface SinkStatus {
  readonly sink: string;
  readonly state: string;
  readonly since: string;
  /** Records in the memory queue. */
  readonly queued: number;
  /** Records on disk that this sink has not yet been given. */
  readonly spooled: number;
  readonly written: number;
  /** Records that its declared policy gave up; absent where it never does. */
  readonly dropped?: number;
  readonly lastError?: string;
}

export interface SpoolStatus {
  readonly path: string;
  readonly records: number;
  readonly bytes: number;
  /** Age of the oldest undelivered record, seconds. */
  readonly oldestSeconds?: number;
  /** Last sequence number handed on, by sink. */
  readonly cursors: Readonly<Record<string, number>>;
  readonly full: boolean;
}

export interface ServiceStatus {
  readonly version: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly venue: "simulated" | "live";
  readonly accounts: readonly AccountStatus[];
  readonly feeds: readonly FeedStatus[];
  readonly sinks: readonly SinkStatus[];
  readonly spool: SpoolStatus;
}

/** One interval of the completeness certificate; `unknown` where no fact covers it. */
export interface CoverageInterval {
  /** Slug of the account; of `bars` the symbol. */
  readonly account: string;
  readonly stream: AccountStream | "bars";
  readonly state: CoverageState | "unknown";
  readonly from: string;
  readonly to: string;
  readonly rows?: number;
}

/** Per account and New York day: fills in the store and how many of them the stream never delivered. */
export interface DeliveryShare {
  readonly account: string;
  readonly day: string;
  readonly fills: number;
  readonly undelivered: number;
  /** undelivered / fills, 0 when there were none. */
  readonly share: number;
}

export interface CoverageReport {
  readonly from: string;
  readonly to: string;
  readonly intervals: readonly CoverageInterval[];
  readonly delivery: readonly DeliveryShare[];
}

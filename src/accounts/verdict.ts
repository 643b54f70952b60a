/**
 * Tells a quiet stream from a deaf one by evidence. Frames, pongs and silence
 * prove little: heartbeats were fine in a documented case in which 4 of 18 fills
 * arrived. Only the comparison with a fresh REST reading shows what is missing.
 */
import { microsOf } from "../../schema/instant.ts";
import { FINAL_STATUSES } from "../../schema/rows.ts";
import type { StreamVerdict } from "../../schema/service.ts";
import { SECOND } from "../clock.ts";

/** A frame this recent makes the stream live without further question. */
const FRESH_MS = 60 * SECOND;
/** REST may show an event before the stream delivers it: this long nothing is held against the stream. */
export const DELIVERY_GRACE_MS = 10 * SECOND;
/** Clocks differ, and an event of the moment of listening may belong to the time before. */
export const LISTENING_MARGIN_MS = 5 * SECOND;

/** One object of REST that the stream should have told of. */
export interface Undelivered {
  readonly kind: "order" | "activity";
  readonly raw: string;
  /** Venue time, ms. */
  readonly at: number;
  readonly what: string;
}

/** What the stream has delivered in this session, as far as it is remembered. */
export interface Delivered {
  hasExecution(identity: {
    executionId?: string;
    orderId?: string;
    cumQty?: string;
  }): boolean;
  /** Whether the stream told of this order at all, and whether it told of its end. */
  order(orderId: string): { readonly ended: boolean } | undefined;
}

export interface RestReading {
  readonly orders: readonly RestObject[];
  readonly fills: readonly RestObject[];
}

interface RestObject {
  readonly raw: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/**
 * What a REST reading shows and the stream did not deliver, of the time since
 * `liveSinceMs`: `overdue` beyond the grace, `due` still within it.
 *
 * An order counts only in a state whose event every root order gets: legs are
 * often cancelled without one, and `pending_*` states are often skipped. Its
 * `updated_at` proves nothing: routing and trailing stops move it without a word,
 * so what counts is the moment it was made, or the moment it ended.
 */
export function undelivered(
  reading: RestReading,
  delivered: Delivered,
  { liveSinceMs, nowMs }: { liveSinceMs: number; nowMs: number },
): { overdue: Undelivered[]; due: Undelivered[] } {
  const missing = [
    ...reading.fills.flatMap((fill) => missingFill(fill, delivered)),
    ...reading.orders.flatMap((order) => missingOrder(order, delivered)),
  ].filter(({ at }) => at >= liveSinceMs + LISTENING_MARGIN_MS);
  return {
    overdue: missing.filter(({ at }) => at <= nowMs - DELIVERY_GRACE_MS),
    due: missing.filter(({ at }) => at > nowMs - DELIVERY_GRACE_MS),
  };
}

function missingFill(
  { raw, value }: RestObject,
  delivered: Delivered,
): Undelivered[] {
  const at = msOf(value["transaction_time"]);
  const id = textOf(value["id"]) ?? "";
  const executionId = id.includes("::")
    ? id.slice(id.indexOf("::") + 2)
    : undefined;
  const orderId = textOf(value["order_id"]);
  const cumQty = textOf(value["cum_qty"]);
  // What has no name cannot be told apart from what was delivered.
  if (at === undefined || (executionId ?? orderId) === undefined) return [];
  const known = delivered.hasExecution({
    ...(executionId === undefined ? {} : { executionId }),
    ...(orderId === undefined ? {} : { orderId }),
    ...(cumQty === undefined ? {} : { cumQty }),
  });
  return known ? [] : [{ kind: "activity", raw, at, what: `fill ${id}` }];
}

const ANNOUNCED = new Set([
  "new",
  "accepted",
  "partially_filled",
  ...FINAL_STATUSES,
]);

function missingOrder(
  { raw, value }: RestObject,
  delivered: Delivered,
): Undelivered[] {
  const id = textOf(value["id"]);
  const status = textOf(value["status"]) ?? "";
  if (id === undefined || !ANNOUNCED.has(status)) return [];
  const told = delivered.order(id);
  // One of a pair may be cancelled by the other without a word: only a simple order's end is certain to be told.
  const isEnd =
    FINAL_STATUSES.has(status) &&
    (value["order_class"] === "" || value["order_class"] === "simple");
  if (isEnd ? told?.ended === true : told !== undefined) return [];
  const at = isEnd ? endOf(value) : msOf(value["created_at"]);
  if (at === undefined) return [];
  return [{ kind: "order", raw, at, what: `order ${id} ${status}` }];
}

const ENDS = [
  "filled_at",
  "canceled_at",
  "expired_at",
  "replaced_at",
  "failed_at",
];

/** When an order ended. A replaced or cancelled one may have fills of before: the latest counts. */
function endOf(value: RestObject["value"]): number | undefined {
  const times = ENDS.map((member) => msOf(value[member])).filter(
    (ms) => ms !== undefined,
  );
  return times.length === 0 ? msOf(value["updated_at"]) : Math.max(...times);
}

/** A text or number as text. Nothing here is worth an exception: the sinks set aside what is malformed. */
export function textOf(value: unknown): string | undefined {
  return (typeof value === "string" && value !== "") ||
    typeof value === "number"
    ? String(value)
    : undefined;
}

function msOf(value: unknown): number | undefined {
  const micros = typeof value === "string" ? microsOf(value) : undefined;
  return micros === undefined ? undefined : micros / 1000;
}

/** What the stream's own silence means, given what REST showed. */
export function judge(evidence: {
  readonly nowMs: number;
  readonly liveSinceMs: number;
  readonly lastFrameMs: number | undefined;
  /** Undefined when the calendar is not known. */
  readonly sessionOpen: boolean | undefined;
  readonly overdue: readonly Undelivered[];
  /** When REST was last compared; undefined when it could not be. */
  readonly comparedMs: number | undefined;
}): StreamVerdict {
  const { nowMs, lastFrameMs, overdue } = evidence;
  const first = overdue[0];
  if (first !== undefined) {
    return {
      verdict: "deaf",
      reason: `REST shows ${overdue.length} that the stream never delivered, first ${first.what}`,
    };
  }
  const silentMs = nowMs - Math.max(lastFrameMs ?? 0, evidence.liveSinceMs);
  if (silentMs < FRESH_MS)
    return {
      verdict: "live",
      reason: `frame or link ${seconds(silentMs)} ago`,
    };
  const compared =
    evidence.comparedMs === undefined
      ? "REST could not be asked"
      : `REST shows nothing missing ${seconds(nowMs - evidence.comparedMs)} ago`;
  return evidence.sessionOpen === false
    ? { verdict: "closed", reason: `no session is open; ${compared}` }
    : {
        verdict: "quiet",
        reason: `silent for ${seconds(silentMs)}; ${compared}`,
      };
}

function seconds(ms: number): string {
  return `${Math.max(0, Math.round(ms / SECOND))} s`;
}

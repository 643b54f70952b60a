/** Which answers of Kafka say that the same message will never be taken, and from which of them a part may still be. */

export type RefusalKind =
  /** The topic is not to be had: every message of it is refused. */
  | "topic"
  /** Somebody in the batch is at fault, or the batch as a whole is too large. */
  | "message";

const REFUSALS: Readonly<Record<string, RefusalKind>> = {
  TOPIC_AUTHORIZATION_FAILED: "topic",
  CLUSTER_AUTHORIZATION_FAILED: "topic",
  INVALID_TOPIC_EXCEPTION: "topic",
  INVALID_PARTITIONS: "topic",
  INVALID_REPLICATION_FACTOR: "topic",
  POLICY_VIOLATION: "topic",
  MESSAGE_TOO_LARGE: "message",
  RECORD_LIST_TOO_LARGE: "message",
  INVALID_RECORD: "message",
  INVALID_TIMESTAMP: "message",
};

/** Undefined: passing, the same may be taken later. */
export function refusalOf(error: unknown): RefusalKind | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    const kind = REFUSALS[typeOf(each)];
    if (kind !== undefined) return kind;
  }
  return undefined;
}

/** The broker's own word for what is wrong. */
function typeOf(error: Error): string {
  return "type" in error && typeof error.type === "string" ? error.type : "";
}

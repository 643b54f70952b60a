/** Memory of what one stream session delivered: enough to hold a REST reading against it. */
import { isObject } from "../../schema/read.ts";
import { FINAL_STATUSES } from "../../schema/rows.ts";
import { type Delivered, textOf } from "./verdict.ts";

/** Remembered of each kind; a REST reading shows the newest few hundred. */
const REMEMBERED_MAX = 20_000;

export class DeliveredMemory implements Delivered {
  readonly #executions = new Map<string, true>();
  readonly #orders = new Map<string, { readonly ended: boolean }>();

  /** Notes an update; `data` is the parsed member of the frame. */
  note(data: Readonly<Record<string, unknown>>): void {
    const order = isObject(data["order"]) ? data["order"] : {};
    const orderId = textOf(order["id"]);
    const executionId = textOf(data["execution_id"]);
    const legs = Array.isArray(data["legs"])
      ? data["legs"].filter(isObject)
      : [];
    if (executionId !== undefined)
      remember(this.#executions, executionId, true);
    for (const leg of legs) {
      const legExecution = textOf(leg["execution_id"]);
      if (legExecution !== undefined)
        remember(this.#executions, legExecution, true);
    }
    if (orderId === undefined) return;
    const filled = textOf(order["filled_qty"]);
    if (data["event"] === "fill" || data["event"] === "partial_fill") {
      remember(this.#executions, nameOf(orderId, filled), true);
    }
    const ended =
      this.#orders.get(orderId)?.ended === true ||
      FINAL_STATUSES.has(textOf(order["status"]) ?? "");
    remember(this.#orders, orderId, { ended });
  }

  hasExecution(identity: {
    executionId?: string;
    orderId?: string;
    cumQty?: string;
  }): boolean {
    return (
      (identity.executionId !== undefined &&
        this.#executions.has(identity.executionId)) ||
      (identity.orderId !== undefined &&
        this.#executions.has(nameOf(identity.orderId, identity.cumQty)))
    );
  }

  order(orderId: string): { readonly ended: boolean } | undefined {
    return this.#orders.get(orderId);
  }

  /** A new session answers only for itself. */
  clear(): void {
    this.#executions.clear();
    this.#orders.clear();
  }
}

/** One quantity may be written `1` here and `1.0` there. */
function nameOf(orderId: string, cumQty = ""): string {
  const digits = cumQty.includes(".") ? cumQty.replace(/\.?0+$/, "") : cumQty;
  return `${orderId} ${digits}`;
}

/** Keeps the newest entries: a Map iterates in the order of insertion. */
function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= REMEMBERED_MAX) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

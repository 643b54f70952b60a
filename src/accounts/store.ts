/** What an account's healer and backfill ask of the store that its rows end in. */
import type { DeliveryShare } from "../../schema/service.ts";
import type { Fact } from "./coverage.ts";

export type HistoryMetric = "earliest_order" | "earliest_activity";

/** Every method rejects while the store is away. */
export interface AccountStore {
  /** Coverage facts that touch the range, by start. */
  facts(range?: { from?: Date }): Promise<Fact[]>;
  /** Ids of orders (of parents, for legs) that the store last saw open. */
  openOrderIds(): Promise<string[]>;
  /** Whether any stored order was touched in the interval. */
  ordersTouchedBetween(from: Date, to: Date): Promise<boolean>;
  /** Keeps the earlier of what is stored and `at`. */
  recordHistoryStart(metric: HistoryMetric, at: Date): Promise<void>;
  deliveryShares(range: { from: Date; to: Date }): Promise<DeliveryShare[]>;
}

/** The store of a dry run: empty, and it takes nothing. */
export const emptyStore: AccountStore = {
  facts: async () => [],
  openOrderIds: async () => [],
  ordersTouchedBetween: async () => false,
  recordHistoryStart: async () => {},
  deliveryShares: async () => [],
};

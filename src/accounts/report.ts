/** The coverage report: what the facts prove of each account or symbol, and what a stream never delivered. */
import type { CoverageReport } from "../../schema/service.ts";
import { DAY } from "../clock.ts";
import { certificate, type CoverageStream } from "./coverage.ts";
import type { AccountStore } from "./store.ts";

/** Where the facts of one account or symbol are. */
export interface FactSource extends Pick<
  AccountStore,
  "facts" | "deliveryShares"
> {
  /** Absent: those of accounts. */
  readonly streams?: readonly CoverageStream[];
}

export interface ReportRange {
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
}

/**
 * Without `from` the report begins with the first recorded fact (a day ago when
 * there is none). Rejects while the store is away.
 */
export async function coverageReport(
  stores: ReadonlyMap<string, FactSource>,
  range: ReportRange,
  nowMs: number,
): Promise<CoverageReport> {
  const recorded = await Promise.all(
    [...stores].map(async ([account, store]) => ({
      account,
      store,
      facts: await store.facts(
        range.from === undefined ? {} : { from: range.from },
      ),
    })),
  );
  // Of the time to come nothing can be known, so it is not unknown either.
  const to = new Date(Math.min(+(range.to ?? nowMs), nowMs));
  // The store hands out facts by start, so the first of each account is its earliest.
  const starts = recorded.flatMap(({ facts }) =>
    facts.slice(0, 1).map((fact) => +fact.from),
  );
  const firstMs = starts.length === 0 ? +to - DAY : Math.min(...starts, +to);
  const from = range.from ?? new Date(firstMs);
  const delivery = await Promise.all(
    recorded.map(({ store }) => store.deliveryShares({ from, to })),
  );
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    intervals: recorded.flatMap(({ account, facts, store }) =>
      certificate(account, facts, { from: +from, to: +to }, store.streams),
    ),
    delivery: delivery.flat(),
  };
}

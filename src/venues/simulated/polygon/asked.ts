/** One request, and what its plan shows of the market. */
import { type Chart, dayOf, dayStart } from "./chart.ts";
import type { PolygonPlan } from "./plans.ts";
import { requestId } from "./refusal.ts";

export interface Asked {
  readonly chart: Chart;
  readonly plan: PolygonPlan;
  readonly url: URL;
  /** That of the cursor, where there is one. */
  readonly query: URLSearchParams;
  readonly nowMs: number;
  readonly requestId: string;
  /** What a good answer says of itself. */
  readonly goodStatus: "OK" | "DELAYED";
  /** Whether rows have members that nobody documents. */
  readonly hasOddities: boolean;
  /** Until when the plan shows what happened to a symbol. */
  knownMs(symbol: string): number;
}

export function askedOf({
  chart,
  plan,
  url,
  query,
  nowMs,
  hasOddities,
}: Pick<
  Asked,
  "chart" | "plan" | "url" | "query" | "nowMs" | "hasOddities"
>): Asked {
  return {
    chart,
    plan,
    url,
    query,
    nowMs,
    hasOddities,
    requestId: requestId(),
    goodStatus: plan.delayMs > 0 || plan.isEndOfDay ? "DELAYED" : "OK",
    knownMs: (symbol) =>
      plan.isEndOfDay
        ? dayStart(symbol, dayOf(symbol, nowMs))
        : nowMs - plan.delayMs,
  };
}

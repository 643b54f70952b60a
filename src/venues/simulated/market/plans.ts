/** What a plan of the venue allows. */
import { MARKET_PATHS, type MarketPath } from "./language.ts";

export interface MarketPlan {
  /** Symbols over trades and quotes; bars are not counted. */
  readonly symbolsMax: number;
  readonly feeds: readonly MarketPath[];
  /** By REST, of each account. */
  readonly requestsPerMinute: number;
}

export const MARKET_PLANS: Readonly<Record<"basic" | "plus", MarketPlan>> = {
  basic: {
    symbolsMax: 30,
    feeds: MARKET_PATHS.filter((path) => path !== "/v2/sip"),
    requestsPerMinute: 200,
  },
  plus: {
    symbolsMax: Number.POSITIVE_INFINITY,
    feeds: MARKET_PATHS,
    requestsPerMinute: 10_000,
  },
};

/** What a plan of the venue includes. https://massive.com/pricing */
import { MINUTE } from "../../../clock.ts";

export interface PolygonPlan {
  readonly requestsPerMinute: number;
  /** How far its history goes back. */
  readonly historyYears: number;
  /** So much later than it happens everything is shown. */
  readonly delayMs: number;
  /** A day is shown when it is over. */
  readonly isEndOfDay: boolean;
  readonly hasSnapshots: boolean;
  readonly hasStreams: boolean;
  readonly hasFiles: boolean;
  readonly hasTrades: boolean;
  readonly hasQuotes: boolean;
}

const PAID = {
  requestsPerMinute: Number.POSITIVE_INFINITY,
  isEndOfDay: false,
  hasSnapshots: true,
  hasStreams: true,
  hasFiles: true,
};

export const POLYGON_PLANS = {
  basic: {
    requestsPerMinute: 5,
    historyYears: 2,
    delayMs: 0,
    isEndOfDay: true,
    hasSnapshots: false,
    hasStreams: false,
    hasFiles: false,
    hasTrades: false,
    hasQuotes: false,
  },
  starter: {
    ...PAID,
    historyYears: 5,
    delayMs: 15 * MINUTE,
    hasTrades: false,
    hasQuotes: false,
  },
  developer: {
    ...PAID,
    historyYears: 10,
    delayMs: 15 * MINUTE,
    hasTrades: true,
    hasQuotes: false,
  },
  advanced: {
    ...PAID,
    historyYears: Number.POSITIVE_INFINITY,
    delayMs: 0,
    hasTrades: true,
    hasQuotes: true,
  },
} as const satisfies Readonly<Record<string, PolygonPlan>>;

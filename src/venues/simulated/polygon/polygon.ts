/**
 * The Polygon (Massive) face of the venue: its REST, its streams and its day files,
 * all cut from the tape of the market data beside it.
 */
import type { Server } from "bun";
import type { FaultBoard } from "../faults.ts";
import type { Market } from "../market/market.ts";
import { isPolygonPath, POLYGON_PATHS } from "./channels.ts";
import { Chart, type PolygonSplit } from "./chart.ts";
import { DayFileShelf } from "./dayFiles.ts";
import { POLYGON_PLANS } from "./plans.ts";
import { answerPolygon, isPolygonRest, MinuteBudget, POLYGON } from "./rest.ts";
import type { StoreKey } from "./signature.ts";
import { answerStore, isStore } from "./store.ts";
import { PolygonStreamFace } from "./stream.ts";

/** What there is to try when nothing is configured. */
export const DEMO_POLYGON_KEY = "simulated-polygon-key-00000001";
export const DEMO_POLYGON_FILES: StoreKey = {
  accessKey: "simulated-files-access-key",
  secretKey: "simulated-files-secret-key",
};

/** What a fault names in the place of an account to strike this face: all of it, or one of its streams. */
export const POLYGON_PLACES = { account: POLYGON, paths: POLYGON_PATHS };

const BUFFERED_BYTES_MAX = 8 * 1024 * 1024;

export interface PolygonOptions {
  readonly apiKey?: string;
  readonly files?: StoreKey;
  readonly plan?: keyof typeof POLYGON_PLANS;
  readonly splits?: readonly PolygonSplit[];
  /** First day of trading (`YYYY-MM-DD`) by symbol; symbols that the market does not have are known by it. */
  readonly listed?: Readonly<Record<string, string>>;
  /** Who goes when a second connection of the account comes: the older one, or that one. */
  readonly overfull?: "replace" | "refuse";
  /** Whether each acknowledgement is a frame of its own. */
  readonly splitsAcknowledgements?: boolean;
  /** A client that lets more pile up is too slow, and cut. */
  readonly bufferedBytesMax?: number;
  /** Whether bars by REST have members that nobody documents. */
  readonly hasOddities?: boolean;
  /** Rows of each day file that nobody can read, or that belong elsewhere. */
  readonly damagedRows?: number;
  /** So long after its release a day file that lacks minutes is replaced by a whole one; absent: it is whole at once. */
  readonly revisedAfterMs?: number;
}

export interface PolygonFace {
  readonly apiKey: string;
  readonly files: StoreKey;
  readonly stream: PolygonStreamFace;
  /** Answers what is asked of this face; undefined when it is none of its paths. */
  answer(
    request: Request,
    server: Server<unknown>,
    cut: () => void,
  ):
    { readonly response: Promise<Response> | Response | undefined } | undefined;
}

export function createPolygon(settings: {
  readonly options: PolygonOptions;
  readonly market: Market;
  readonly faults: FaultBoard;
  readonly now: () => number;
  readonly cut: (port: number) => void;
}): PolygonFace {
  const { options, market, faults, now, cut } = settings;
  const { splits = [], listed = {} } = options;
  const apiKey = options.apiKey ?? DEMO_POLYGON_KEY;
  const files = options.files ?? DEMO_POLYGON_FILES;
  const plan = POLYGON_PLANS[options.plan ?? "advanced"];
  const chart = new Chart({ tape: market.tape, splits, listed });
  const shelf = new DayFileShelf({
    chart,
    now: market.now,
    damagedRows: options.damagedRows ?? 0,
    revisedAfterMs: options.revisedAfterMs,
  });
  const rest = {
    chart,
    plan,
    apiKey,
    splits,
    hasOddities: options.hasOddities ?? false,
    faults,
    budget: new MinuteBudget(plan.requestsPerMinute, now),
    now: market.now,
  };
  const store = { shelf, key: files, plan, faults };
  const stream = new PolygonStreamFace({
    chart,
    plan,
    apiKey,
    faults,
    now,
    marketNow: market.now,
    overfull: options.overfull ?? "replace",
    splitsAcknowledgements: options.splitsAcknowledgements ?? false,
    bufferedBytesMax: options.bufferedBytesMax ?? BUFFERED_BYTES_MAX,
    cut,
  });
  return {
    apiKey,
    files,
    stream,
    answer(request, server, cutThis) {
      const { pathname } = new URL(request.url);
      if (isPolygonPath(pathname))
        return { response: stream.upgrade(request, server, pathname) };
      if (isPolygonRest(pathname))
        return { response: answerPolygon(rest, request, cutThis) };
      return isStore(pathname)
        ? { response: answerStore(store, request, cutThis) }
        : undefined;
    },
  };
}

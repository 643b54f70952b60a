/** The venue's REST: who asks, whether his plan lets him, what is broken today, and the route. */
import { MINUTE } from "../../../clock.ts";
import { json } from "../answer.ts";
import { behindFaults } from "../restFaults.ts";
import type { FaultBoard } from "../faults.ts";
import { aggregates, previousDay } from "./aggregates.ts";
import { type Asked, askedOf } from "./asked.ts";
import type { Chart, PolygonSplit } from "./chart.ts";
import { queryOf } from "./cursor.ts";
import type { PolygonPlan } from "./plans.ts";
import {
  marketNow,
  marketUpcoming,
  splits,
  tickerDetails,
  tickers,
} from "./reference.ts";
import {
  noPage,
  notEntitled,
  PolygonRefusal,
  refusalAnswer,
  requestId,
  tooMany,
} from "./refusal.ts";
import { allSnapshots, oneSnapshot } from "./snapshots.ts";

/** What a fault names to strike this face by REST. */
export const POLYGON = "polygon";

export interface PolygonRestFace {
  readonly chart: Chart;
  readonly plan: PolygonPlan;
  readonly apiKey: string;
  readonly splits: readonly PolygonSplit[];
  readonly hasOddities: boolean;
  readonly faults: FaultBoard;
  readonly budget: MinuteBudget;
  readonly now: () => number;
}

/** Requests are counted by the minute of the clock. */
export class MinuteBudget {
  #minute = Number.NaN;
  #used = 0;

  constructor(
    readonly perMinute: number,
    readonly now: () => number,
  ) {}

  take(): boolean {
    const minute = Math.floor(this.now() / MINUTE);
    if (minute !== this.#minute) this.#used = 0;
    this.#minute = minute;
    return ++this.#used <= this.perMinute;
  }
}

/** Whether the path is one of this venue's; the broker beside it has its own below `/v2/`. */
export function isPolygonRest(pathname: string): boolean {
  return /^\/(v2\/(aggs|snapshot)|v3\/(reference|snapshot)|v1\/marketstatus)(\/|$)/.test(
    pathname,
  );
}

/** Answers one request; `cut` ends its connection. */
export async function answerPolygon(
  face: PolygonRestFace,
  request: Request,
  cut: () => void,
): Promise<Response> {
  return behindFaults(face.faults, POLYGON, cut, async () => {
    const answer = await answered(face, request);
    answer.headers.set("X-Request-Id", requestId());
    answer.headers.set("Vary", "Accept-Encoding");
    return answer;
  });
}

async function answered(
  face: PolygonRestFace,
  request: Request,
): Promise<Response> {
  const { faults, budget } = face;
  try {
    const url = new URL(request.url);
    const query = queryOf(url);
    requireKey(face, request.headers, query);
    const throttle = faults.strikes("rest-429", POLYGON);
    if (throttle?.body === "text") return new Response("", { status: 429 });
    if (throttle !== undefined || !budget.take()) throw tooMany();
    if (request.method !== "GET") return noPage();
    const asked = askedOf({ ...face, url, query, nowMs: face.now() });
    const value = await routed(face, asked);
    return value === undefined ? noPage() : json(value);
  } catch (error) {
    if (error instanceof PolygonRefusal) return refusalAnswer(error);
    throw error;
  }
}

function requireKey(
  { apiKey, faults }: PolygonRestFace,
  headers: Headers,
  query: URLSearchParams,
): void {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.get("Authorization") ?? "");
  const key = bearer?.[1] ?? query.get("apiKey");
  if (key === null)
    throw new PolygonRefusal(401, "ERROR", "API Key was not provided");
  if (key !== apiKey || faults.strikes("auth-refused", POLYGON))
    throw new PolygonRefusal(401, "ERROR", "Unknown API Key");
}

/** Undefined where no route leads. */
function routed(
  face: PolygonRestFace,
  asked: Asked,
): object | Promise<object> | undefined {
  const parts = asked.url.pathname.split("/").slice(1).map(decoded);
  const [version, product, ...rest] = parts;
  switch (`${version}/${product}`) {
    case "v2/aggs":
      return ofAggregates(asked, rest);
    case "v2/snapshot":
      return ofSnapshots(asked, rest);
    case "v3/reference":
      return ofReference(face, asked, rest);
    case "v1/marketstatus":
      if (rest.join("/") === "now") return marketNow(asked);
      return rest.join("/") === "upcoming" ? marketUpcoming(asked) : undefined;
    default:
      return undefined;
  }
}

function ofAggregates(
  asked: Asked,
  [kind, ticker = "", what, ...rest]: readonly string[],
): object | Promise<object> | undefined {
  if (kind !== "ticker" || ticker === "") return undefined;
  if (what === "prev" && rest.length === 0) return previousDay(asked, ticker);
  const [multiplier = "", timespan = "", from = "", to, ...more] = rest;
  if (what !== "range" || to === undefined || more.length > 0) return undefined;
  return aggregates(asked, { ticker, multiplier, timespan, from, to });
}

function ofSnapshots(
  asked: Asked,
  parts: readonly string[],
): object | undefined {
  const route = parts.slice(0, 5).join("/");
  const crypto = route === "locale/global/markets/crypto/tickers";
  if (!crypto && route !== "locale/us/markets/stocks/tickers") return undefined;
  if (!asked.plan.hasSnapshots) throw notEntitled();
  const [, , , , , ticker, ...rest] = parts;
  if (rest.length > 0) return undefined;
  return ticker === undefined || ticker === ""
    ? allSnapshots(asked, crypto)
    : oneSnapshot(asked, ticker, crypto);
}

function ofReference(
  face: PolygonRestFace,
  asked: Asked,
  [list, ticker, ...rest]: readonly string[],
): object | undefined {
  if (rest.length > 0) return undefined;
  if (list === "splits" && ticker === undefined)
    return splits(asked, face.splits);
  if (list !== "tickers") return undefined;
  return ticker === undefined ? tickers(asked) : tickerDetails(asked, ticker);
}

/** `%zz` is no text of this path: left as it is, it is nobody's name. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

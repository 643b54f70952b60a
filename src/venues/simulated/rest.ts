/** The REST face: who asks, whether he may, what is broken today, and the route. */
import { SECOND, sleep } from "../../clock.ts";
import { json, Refusal, refusalAnswer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { FaultBoard } from "./faults.ts";
import type { Limiter } from "./limiter.ts";
import {
  answerMarket,
  isMarketData,
  isPublic,
  type MarketRestFace,
} from "./market/rest.ts";
import {
  getAccount,
  getAsset,
  getCalendar,
  getClock,
  getPosition,
  listAssets,
  listPositions,
} from "./restAccount.ts";
import { listActivities } from "./restActivities.ts";
import { cutShort, gatewayPage } from "./restFaults.ts";
import {
  cancelOrder,
  cancelOrders,
  getOrder,
  getOrderByClientId,
  listOrders,
  placeOrder,
  replaceOrder,
} from "./restOrders.ts";

export interface Credentials {
  readonly name: string;
  readonly keyId: string;
  readonly secretKey: string;
}

export interface RestFace {
  readonly exchange: Exchange;
  readonly faults: FaultBoard;
  readonly market: MarketRestFace;
  readonly limiter: Limiter;
  /** Market data is another host, with a limit of its own. */
  readonly dataLimiter: Limiter;
  readonly credentials: readonly Credentials[];
}

/** Who asks without a key for what anybody is told. */
const NOBODY = "nobody";

/** Answers one request to `/v2/…`; `cut` ends its connection. */
export async function answerRest(
  face: RestFace,
  request: Request,
  cut: () => void,
): Promise<Response> {
  const url = new URL(request.url);
  const isData = isMarketData(url.pathname);
  const account =
    isPublic(url.pathname) && !isIntroduced(request.headers)
      ? NOBODY
      : accountOf(face.credentials, request.headers);
  if (account === undefined)
    return json({ code: 40110000, message: "request is not authorized" }, 401);
  const { faults } = face;
  const latency = faults.strikes("rest-latency", account);
  if (latency !== undefined) await sleep(latency.byMs);
  if (faults.strikes("rest-500", account)) return gatewayPage();

  const limiter = isData ? face.dataLimiter : face.limiter;
  const { allowed, headers, resetMs } = limiter.count(account);
  if (!allowed) {
    const retryAfterS = Math.ceil((resetMs - face.exchange.now()) / SECOND);
    return withHeaders(tooMany({ retryAfterS }), headers);
  }
  const throttle = faults.strikes("rest-429", account);
  const answer = withHeaders(
    throttle !== undefined
      ? tooMany(throttle)
      : faults.strikes("auth-refused", account)
        ? json({ message: "forbidden." }, 403)
        : isData
          ? answerMarket(face.market, request, url)
          : await routed(face, account, request, url),
    headers,
  );
  return faults.strikes("rest-cut", account)
    ? await cutShort(answer, cut)
    : answer;
}

async function routed(
  { exchange, faults }: RestFace,
  account: string,
  request: Request,
  { pathname, searchParams: query }: URL,
): Promise<Response> {
  const route = `${request.method} ${pathname.replace(/\/+$/, "")}`;
  const [, name = ""] =
    /^\w+ \/v2\/(?:orders|positions|assets|account\/activities)\/([^/].*)$/.exec(
      route,
    ) ?? [];
  try {
    const id = decoded(name);
    switch (name === "" ? route : route.slice(0, -name.length)) {
      case "GET /v2/orders":
        return listOrders(exchange, account, query);
      case "GET /v2/orders:by_client_order_id":
        return getOrderByClientId(exchange, account, query);
      case "POST /v2/orders":
        return placeOrder(exchange, account, await bodyOf(request));
      case "DELETE /v2/orders":
        return cancelOrders(exchange, account);
      case "GET /v2/orders/":
        return getOrder(exchange, account, id, query);
      case "PATCH /v2/orders/":
        return replaceOrder(exchange, account, id, await bodyOf(request));
      case "DELETE /v2/orders/":
        return cancelOrder(exchange, account, id);
      case "GET /v2/account/activities":
      case "GET /v2/account/activities/":
        return listActivities(exchange, account, query, {
          type: id === "" ? undefined : id,
          losesSeams: faults.strikes("seam-loss", account) !== undefined,
          wholeDays: faults.strikes("date-whole", account) !== undefined,
        });
      case "GET /v2/account":
        return getAccount(exchange, account);
      case "GET /v2/positions":
        return listPositions(exchange, account);
      case "GET /v2/positions/":
        return getPosition(exchange, account, id);
      case "GET /v2/clock":
        return getClock(exchange);
      case "GET /v2/calendar":
        return await getCalendar(query);
      case "GET /v2/assets":
        return listAssets(query);
      case "GET /v2/assets/":
        return getAsset(id);
      default:
        throw new Refusal(404, 40410000, "endpoint not found");
    }
  } catch (error) {
    if (error instanceof Refusal) return refusalAnswer(error);
    throw error;
  }
}

/** Whether the headers say who asks, rightly or wrongly. */
export function isIntroduced(headers: Headers): boolean {
  return headers.has("APCA-API-KEY-ID") || headers.has("Authorization");
}

/** By key and secret in headers, or `Authorization: Basic`. */
export function accountOf(
  credentials: readonly Credentials[],
  headers: Headers,
): string | undefined {
  const keyId = headers.get("APCA-API-KEY-ID");
  const secretKey = headers.get("APCA-API-SECRET-KEY");
  const basic = /^Basic (.+)$/.exec(headers.get("Authorization") ?? "")?.[1];
  const pair =
    basic === undefined
      ? `${keyId}:${secretKey}`
      : Buffer.from(basic, "base64").toString();
  return credentials.find(
    (known) => `${known.keyId}:${known.secretKey}` === pair,
  )?.name;
}

async function bodyOf(request: Request): Promise<unknown> {
  try {
    return await request.json();
  } catch {
    throw new Refusal(400, 40010000, "request body format is invalid");
  }
}

/** `%zz` is no text of this path, so nothing is there. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    throw new Refusal(404, 40410000, "endpoint not found");
  }
}

function tooMany({
  retryAfterS,
  body = "json",
}: {
  readonly retryAfterS?: number | undefined;
  readonly body?: "json" | "text" | undefined;
}): Response {
  const answer =
    body === "json"
      ? json({ code: 42910000, message: "rate limit exceeded" }, 429)
      : new Response("too many requests", { status: 429 });
  return retryAfterS === undefined
    ? answer
    : withHeaders(answer, { "Retry-After": String(retryAfterS) });
}

function withHeaders(
  response: Response,
  headers: Readonly<Record<string, string>>,
): Response {
  for (const [name, value] of Object.entries(headers))
    response.headers.set(name, value);
  return response;
}

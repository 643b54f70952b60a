/** What the venue says when it does not do what it is asked. */
import { json } from "../answer.ts";

/** Where a customer is sent who wants more. */
export const PRICING = "https://polygon.io/pricing";

/** Becomes the venue's error body, which calls its text by the status. */
export class PolygonRefusal extends Error {
  override readonly name = "PolygonRefusal";
  constructor(
    readonly httpStatus: number,
    readonly status: "ERROR" | "NOT_AUTHORIZED" | "NOT_FOUND",
    message: string,
  ) {
    super(message);
  }
}

export function refusalAnswer(refusal: PolygonRefusal): Response {
  const { httpStatus, status, message } = refusal;
  return json(
    {
      status,
      request_id: requestId(),
      [status === "ERROR" ? "error" : "message"]: message,
    },
    httpStatus,
  );
}

export function badRequest(message: string): PolygonRefusal {
  return new PolygonRefusal(400, "ERROR", message);
}

export function notFound(message: string): PolygonRefusal {
  return new PolygonRefusal(404, "NOT_FOUND", message);
}

export function notEntitled(): PolygonRefusal {
  return new PolygonRefusal(
    403,
    "NOT_AUTHORIZED",
    `You are not entitled to this data. Please upgrade your plan at ${PRICING}`,
  );
}

export function beforeHistory(): PolygonRefusal {
  return new PolygonRefusal(
    403,
    "NOT_AUTHORIZED",
    `Your plan doesn't include this data timeframe. Please upgrade your plan at ${PRICING}`,
  );
}

export function tooMany(): PolygonRefusal {
  return new PolygonRefusal(
    429,
    "ERROR",
    `You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. ${PRICING}`,
  );
}

/** Of no route at all nothing is said in JSON. */
export function noPage(): Response {
  return new Response("404 page not found", {
    status: 404,
    headers: { "Content-Type": "text/plain" },
  });
}

export function requestId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

/** A venue over HTTP that answers by script, and a client of it. */
import { afterEach } from "bun:test";
import { VenueError } from "../../../src/errors.ts";
import {
  createPolygonRest,
  polygonBudget,
  type PolygonRest,
} from "../../../src/venues/polygon/rest.ts";

export type Answer = string | object | Response;

export interface Venue {
  readonly url: string;
  readonly rest: PolygonRest;
  /** Paths with their parameters, as they were asked for. */
  readonly asked: string[];
}

const servers: Bun.Server<undefined>[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

/** What it answers to the address of one request; a string is sent as it is. */
export function openVenue(
  script: (url: URL, request: number, host: string) => Answer,
): Venue {
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      // Who follows a page without the key is refused.
      if (request.headers.get("authorization") !== "Bearer hush")
        return refusal(401, { status: "ERROR", error: "Unknown API Key" });
      const url = new URL(request.url);
      asked.push(`${url.pathname}${decodeURIComponent(url.search)}`);
      const answer = script(url, asked.length, host);
      if (answer instanceof Response) return answer;
      return typeof answer === "string"
        ? new Response(answer)
        : Response.json(answer);
    },
  });
  servers.push(server);
  const host = `http://127.0.0.1:${server.port}`;
  const key = { restUrl: host, apiKey: "hush", requestsPerMinute: 100_000 };
  const rest = createPolygonRest({ key, budget: polygonBudget(key) });
  return { url: host, rest, asked };
}

export function refusal(status: number, body: object): Response {
  return Response.json(body, { status });
}

/** What a failed call says. */
export async function failureOf(
  work: Promise<unknown>,
): Promise<{ failure: string; message: string }> {
  const error = await work.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof VenueError)) throw error;
  return { failure: error.failure, message: error.message };
}

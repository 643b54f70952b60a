/**
 * Polygon's (Massive's) REST: one client a key, all its callers under one rate
 * budget.
 * https://massive.com/docs/rest/quickstart
 */
import { parseObject, readText } from "../../../schema/read.ts";
import { backoffMs } from "../../backoff.ts";
import { MINUTE, SECOND, sleep } from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import { RateBudget } from "../../flow/rate.ts";
import { fetchText, type Fetch } from "../fetchText.ts";
import type { AskOptions } from "../registryVenue.ts";

/** Tries of one request before its caller hears of it; of a budget that others use up, more. */
const TRIES_MAX = 5;
const TRIES_MAX_THROTTLED = 10;
const RETRY = { baseMs: 500, maxMs: 15 * SECOND };
/** The free plan counts by the minute: whoever comes too early three times has wasted three of its five requests. */
const NEXT_MINUTE_JITTER_MS = 5 * SECOND;
/** Of the free plan, the only one that counts: who hears of a limit has it. */
const LIMITED_PER_MINUTE = 5;
/** Other plans ask for fewer than 100 requests a second. */
const UNLIMITED_PER_MINUTE = 3000;
/** Pages of one request: five years of minutes are fifty. */
const PAGES_MAX = 10_000;

/** Of an answer that says how it is; without one it is as good as OK. */
const GOOD_STATUSES: ReadonlySet<string> = new Set([
  "OK",
  /* the same data, of a plan that gets it late */ "DELAYED",
  /* of the older paths */ "success",
]);

/** An answer: the venue's text and what it says. */
export interface Answer {
  readonly raw: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface PolygonKey {
  readonly restUrl: string;
  readonly apiKey: string;
  /** Absent: as the answers allow. */
  readonly requestsPerMinute?: number | undefined;
}

export interface PolygonRest {
  /** @throws VenueError after the retries of what may pass, or at once for what will not. */
  object(path: string, query: Query, options: AskOptions): Promise<Answer>;
  /** All pages of a list. A page may be empty and yet have a next one. @throws VenueError */
  pages(path: string, query: Query, options: AskOptions): AsyncIterable<Answer>;
}

/** The budget that all callers of one key share. */
export function polygonBudget({ requestsPerMinute }: PolygonKey): RateBudget {
  return new RateBudget({
    perMinute: requestsPerMinute ?? UNLIMITED_PER_MINUTE,
  });
}

export function createPolygonRest(settings: {
  readonly key: PolygonKey;
  readonly budget: RateBudget;
  readonly fetch?: Fetch;
  /** Told the status of every answer (0: none came). */
  readonly onReply?: (status: number) => void;
}): PolygonRest {
  const { key, budget, onReply } = settings;
  // In the address the key would stand in the log of whatever lies between.
  const headers = { Authorization: `Bearer ${key.apiKey}` };
  const plainFetch = complaining(settings.fetch ?? fetch);
  const origin = new URL(key.restUrl).origin;

  async function ask(
    url: string,
    { priority, signal }: AskOptions,
  ): Promise<Answer> {
    for (let tried = 1; ; tried++) {
      await budget.acquire(priority, signal);
      try {
        const { status, text } = await fetchText(url, {
          headers,
          signal,
          fetch: plainFetch,
          onReply: (each) => onReply?.(each),
        });
        return readAnswer(new URL(url).pathname, status, text);
      } catch (error) {
        if (!(error instanceof VenueError)) throw error;
        if (error.status === undefined) onReply?.(0);
        if (!error.shouldRetry()) throw blamed(error);
        const waitMs = waitMsAfter(error, tried);
        // A 429 speaks to every caller of the key, not only to the one that heard it.
        const isThrottled = error.failure === "throttled";
        if (isThrottled) {
          if (key.requestsPerMinute === undefined)
            budget.observe({ limit: LIMITED_PER_MINUTE });
          budget.pauseUntil(Date.now() + waitMs);
        }
        if (tried >= (isThrottled ? TRIES_MAX_THROTTLED : TRIES_MAX))
          throw error;
        if (!isThrottled) await sleep(waitMs, signal);
      }
    }
  }

  const urlOf = (path: string, query: Query) =>
    `${key.restUrl}${path}${queryText(query)}`;

  return {
    object: (path, query, options) => ask(urlOf(path, query), options),
    async *pages(path, query, options) {
      const asked = new Set<string>();
      let url: string | undefined = urlOf(path, query);
      while (url !== undefined) {
        asked.add(url);
        const page = await ask(url, options);
        yield page;
        url = nextUrlOf(page, origin);
        // The cursor alone may stay the same: of bars the position is in the path.
        if (url !== undefined && (asked.has(url) || asked.size >= PAGES_MAX))
          throw new VenueError(`the pages of ${path} do not move on`, {
            failure: "rejected",
          });
      }
    },
  };
}

/** A ticker in a path: its colon stays, as the venue's own clients have it. */
export function pathPart(ticker: string): string {
  return encodeURIComponent(ticker).replaceAll("%3A", ":");
}

/** An answer of 200 that is no JSON comes from something in between (a proxy's page): it may pass. */
function readAnswer(path: string, httpStatus: number, raw: string): Answer {
  let value: Answer["value"];
  try {
    value = parseObject(raw);
  } catch (error) {
    throw new VenueError(`unreadable answer from ${path}`, {
      failure: "unavailable",
      status: httpStatus,
      cause: error,
    });
  }
  const status = value["status"];
  if (typeof status === "string" && !GOOD_STATUSES.has(status))
    throw new VenueError(`${status} from ${path}: ${complaintOf(raw)}`, {
      failure: /^not_?found$/i.test(status) ? "absent" : "rejected",
      status: httpStatus,
    });
  return { raw, value };
}

/** The next page, verbatim. The key goes along with every request, so nobody else may be asked. */
function nextUrlOf({ value }: Answer, origin: string): string | undefined {
  const next = readText(value["next_url"])?.trim();
  if (next === undefined || next === "") return undefined;
  if (URL.parse(next)?.origin === origin) return next;
  throw new VenueError("the next page is said to be on another host", {
    failure: "rejected",
  });
}

/** In the minute after a 429 the budget is a new one; nobody says so in a header. */
function waitMsAfter(error: VenueError, tried: number): number {
  if (error.retryAfterMs !== undefined)
    return Math.min(error.retryAfterMs, MINUTE);
  if (error.failure !== "throttled") return backoffMs(tried, RETRY);
  return MINUTE - (Date.now() % MINUTE) + Math.random() * NEXT_MINUTE_JITTER_MS;
}

/** A 403 says as a rule that the key is refused, which opens its breaker; here it is the plan, and an unknown key is a 401. */
function blamed(error: VenueError): VenueError {
  const { message, status } = error;
  if (status === 403)
    return new VenueError(message, { failure: "rejected", status });
  if (status === 400 && /API Key was not provided/i.test(message))
    return new VenueError(message, { failure: "refused", status });
  return error;
}

/** Refusals whose body is their complaint alone: this venue says `error` where others say `message`. */
function complaining(fetched: Fetch): Fetch {
  return async (url, init) => {
    const response = await fetched(url, init);
    if (response.ok) return response;
    const { status, headers } = response;
    const complaint = complaintOf(await response.text());
    return new Response(complaint, { status, headers });
  };
}

function complaintOf(text: string): string {
  try {
    const { error, message } = parseObject(text);
    return readText(error) ?? readText(message) ?? text;
  } catch {
    return text;
  }
}

function queryText(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}

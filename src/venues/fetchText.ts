/**
 * One GET to a venue: the body's own text, or a {@link VenueError} that says
 * what the failure means. Retries, budgets and paging are the callers'.
 */
import { VenueError, type VenueFailure } from "../errors.ts";

/** Longest a venue may take to answer one request. */
const REQUEST_MS_MAX = 20_000;
/** How much of what a venue says of its failure goes into a message. */
const COMPLAINT_CHARACTERS_MAX = 200;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/**
 * @throws VenueError for anything but a 2xx answer with a body; the caller's
 *   own abort is rethrown as it is.
 */
export async function fetchText(
  url: string,
  options: {
    headers: Record<string, string>;
    signal?: AbortSignal | undefined;
    fetch?: Fetch | undefined;
    /** Sees the headers of every answer, refusals too (rate limits are told there). */
    onReply?: (status: number, headers: Headers) => void;
  },
): Promise<Reply> {
  const timeout = AbortSignal.timeout(REQUEST_MS_MAX);
  const signal = options.signal
    ? AbortSignal.any([options.signal, timeout])
    : timeout;
  let response: Response;
  let text: string;
  try {
    response = await (options.fetch ?? fetch)(url, {
      headers: options.headers,
      signal,
      redirect: "error",
    });
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    throw new VenueError(`no answer from ${pathOf(url)}`, {
      failure: "unavailable",
      cause: error,
    });
  }
  options.onReply?.(response.status, response.headers);
  if (response.ok)
    return { status: response.status, text, headers: response.headers };
  throw new VenueError(
    `${response.status} from ${pathOf(url)}: ${messageOf(text)}`,
    {
      failure: failureOf(response.status),
      status: response.status,
      retryAfterMs: retryAfterMs(response.headers.get("retry-after")),
    },
  );
}

function failureOf(status: number): VenueFailure {
  if (status === 401 || status === 403) return "refused";
  if (status === 404) return "absent";
  if (status === 429) return "throttled";
  if (status >= 500 || status === 408) return "unavailable";
  return "rejected";
}

/** `Retry-After` in seconds or as a date; undefined when absent or unreadable. */
export function retryAfterMs(
  value: string | null | undefined,
): number | undefined {
  if (value === null || value === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000;
  // Date.parse makes a year of almost any number, also of "-5".
  if (!/[a-z]/i.test(value)) return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

/** The start of the venue's message, or of whatever the body is (HTML on a 5xx). */
function messageOf(text: string): string {
  let message = text;
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "message" in body)
      message = String(body.message);
  } catch {
    // Not JSON: shown as it is.
  }
  return message.replace(/\s+/g, " ").slice(0, COMPLAINT_CHARACTERS_MAX);
}

/** Query strings may be long and hosts are configuration: the path is what identifies a call. */
function pathOf(url: string): string {
  return new URL(url).pathname;
}

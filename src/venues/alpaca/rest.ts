/**
 * Alpaca's trading REST: one client an account, all its callers under one rate
 * budget. GET only: feedkeeper never trades.
 */
import { backoffMs } from "../../backoff.ts";
import { MINUTE, SECOND, sleep } from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import type { Priority, RateBudget } from "../../flow/rate.ts";
import type { Account } from "../../../schema/account.ts";
import {
  elementTexts,
  isObject,
  MalformedError,
  parseObject,
} from "../../../schema/read.ts";
import { fetchText, type Fetch, type Reply } from "../fetchText.ts";

/** Tries of one request before its caller hears of it. */
const TRIES_MAX = 5;
const RETRY = { baseMs: 500, maxMs: 15 * SECOND };
/** A venue that says "come back in a day" is asked again after this long at the latest. */
const PAUSE_MS_MAX = MINUTE;

/** One object of a REST page: the venue's text and what it says. */
export interface RawObject {
  readonly raw: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface CallOptions {
  readonly priority: Priority;
  readonly signal?: AbortSignal | undefined;
}

export interface AlpacaRest {
  /** @throws VenueError after the retries of what may pass, or at once for what will not. */
  array(path: string, query: Query, options: CallOptions): Promise<RawObject[]>;
  object(path: string, query: Query, options: CallOptions): Promise<RawObject>;
}

export function createAlpacaRest(settings: {
  readonly account: Pick<Account, "restUrl" | "keyId" | "secretKey">;
  readonly budget: RateBudget;
  readonly fetch?: Fetch;
  /** Told the status of every answer (0: none came). */
  readonly onReply?: (status: number) => void;
}): AlpacaRest {
  const { account, budget, onReply } = settings;
  const headers = {
    "APCA-API-KEY-ID": account.keyId,
    "APCA-API-SECRET-KEY": account.secretKey,
  };

  async function ask<Body>(
    path: string,
    query: Query,
    { priority, signal }: CallOptions,
    read: (text: string) => Body,
  ): Promise<Body> {
    const url = `${account.restUrl}${path}${queryText(query)}`;
    for (let tried = 1; ; tried++) {
      await budget.acquire(priority, signal);
      try {
        const reply = await fetchText(url, {
          headers,
          signal,
          fetch: settings.fetch,
          onReply: (status, replyHeaders) => {
            onReply?.(status);
            budget.observe(rateLimitOf(replyHeaders));
          },
        });
        return readBody(path, reply, read);
      } catch (error) {
        if (!(error instanceof VenueError)) throw error;
        if (error.status === undefined) onReply?.(0);
        if (!error.shouldRetry()) throw error;
        const waitMs = Math.min(
          error.retryAfterMs ?? backoffMs(tried, RETRY),
          PAUSE_MS_MAX,
        );
        // A 429 speaks to every caller of the key, not only to the one that heard it.
        if (error.failure === "throttled")
          budget.pauseUntil(Date.now() + waitMs);
        if (tried >= TRIES_MAX) throw error;
        if (error.failure === "unavailable") await sleep(waitMs, signal);
      }
    }
  }

  return {
    array: (path, query, options) => ask(path, query, options, objectsOf),
    object: (path, query, options) =>
      ask(path, query, options, (raw) => ({ raw, value: parseObject(raw) })),
  };
}

/**
 * Elements of a page that are no objects are kept too (`value` empty), so that
 * the reader of the rows sets them aside with their text.
 */
function objectsOf(text: string): RawObject[] {
  const values: unknown = JSON.parse(text);
  if (!Array.isArray(values)) throw new MalformedError("an array is expected");
  return elementTexts(text).map((raw, index) => {
    const value: unknown = values[index];
    return { raw, value: isObject(value) ? value : {} };
  });
}

/** An answer of 200 that is no JSON comes from something in between (a proxy's page): it may pass. */
function readBody<Body>(
  path: string,
  { status, text }: Reply,
  read: (text: string) => Body,
): Body {
  try {
    return read(text);
  } catch (error) {
    throw new VenueError(`unreadable answer from ${path}`, {
      failure: "unavailable",
      status,
      cause: error,
    });
  }
}

function queryText(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}

function rateLimitOf(headers: Headers): {
  limit?: number;
  remaining?: number;
  resetAtMs?: number;
} {
  const number = (name: string) => {
    const value = headers.get(name);
    return value !== null && /^\d+$/.test(value) ? Number(value) : undefined;
  };
  const limit = number("x-ratelimit-limit");
  const remaining = number("x-ratelimit-remaining");
  const resetAt = number("x-ratelimit-reset");
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(remaining === undefined ? {} : { remaining }),
    ...(resetAt === undefined ? {} : { resetAtMs: resetAt * 1000 }),
  };
}

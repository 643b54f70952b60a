/**
 * Day files: one a day with the minutes of every symbol, gzipped, in a store that
 * speaks S3. They are released on the next day, and may be replaced later.
 * https://massive.com/docs/flat-files/quickstart
 */
import { S3Client } from "bun";
import type { AssetClass, Bar } from "../../../schema/market.ts";
import { backoffMs } from "../../backoff.ts";
import {
  type Clock,
  MINUTE,
  SECOND,
  sleep,
  systemClock,
  within,
} from "../../clock.ts";
import { VenueError } from "../../errors.ts";
import type { DayFiles } from "../registryVenue.ts";
import { FlatFileRows } from "./flatFileRows.ts";

export interface FlatFilesAccess {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

const FOLDERS: Readonly<Record<AssetClass, string>> = {
  stock: "us_stocks_sip/minute_aggs_v1",
  crypto: "global_crypto/minute_aggs_v1",
};

/** The store does not look at it, but a signature has one. */
const REGION = "us-east-1";
/** Bars of one batch at least, and at most as many more as one piece has. */
const BATCH_LENGTH = 4000;
const PIECE_BYTES = 64 * 1024;
/** Longest until an answer begins, and until more of a file comes. */
const SILENCE_MS_MAX = 30 * SECOND;
/** Tries without one more byte. */
const TRIES_MAX = 5;
const RETRY = { baseMs: 500, maxMs: MINUTE / 4 };

/** What is wrong with the key itself, whatever is asked for. */
const KEY_REFUSED: ReadonlySet<string> = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "InvalidToken",
  "RequestTimeTooSkewed",
]);

interface Version {
  readonly key: string;
  readonly etag: string;
}

export function polygonFiles(
  access: FlatFilesAccess,
  clock: Clock = systemClock,
): DayFiles {
  const store = createStore(access);
  return {
    async find(assetClass, day, { signal }) {
      const key = keyOf(assetClass, day);
      const etag = await retried(() => store.etagOf(key, signal), signal);
      return etag === undefined ? undefined : { key, etag };
    },

    async *bars(file, { assetClass, day, symbols }, { signal, onMalformed }) {
      const receivedAtMs = clock.now();
      const rows = new FlatFileRows({
        assetClass,
        day,
        symbols,
        receivedAtMs,
        onMalformed,
      });
      let bars: Bar[] = [];
      const left = new AbortController();
      const wanted = AbortSignal.any([signal, left.signal]);
      const packed = store.bytesOf(file, wanted);
      for await (const bytes of gunzipped(packed, file, left)) {
        // What is packed well comes in large pieces.
        for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
          rows.read(bytes.subarray(at, at + PIECE_BYTES), bars);
          if (bars.length < BATCH_LENGTH) continue;
          yield bars;
          bars = [];
        }
      }
      rows.end(bars);
      if (bars.length > 0) yield bars;
    },
  };
}

function keyOf(assetClass: AssetClass, day: string): string {
  const [year, month] = day.split("-");
  return `${FOLDERS[assetClass]}/${year}/${month}/${day}.csv.gz`;
}

/**
 * Requests are the runtime's, which signs them; its client's own ones tell no 403
 * from a 404, cannot be aborted, and do not say which version they read.
 */
function createStore({
  endpoint,
  bucket,
  accessKey,
  secretKey,
}: FlatFilesAccess) {
  const keys = {
    endpoint,
    accessKeyId: accessKey,
    secretAccessKey: secretKey,
    region: REGION,
  };
  const client = new S3Client({ ...keys, bucket });

  async function request(
    method: "HEAD" | "GET",
    key: string,
    headers: Record<string, string>,
    signal: AbortSignal,
    hangUp = new AbortController(),
  ): Promise<Response> {
    const answer = fetch(`s3://${bucket}/${key}`, {
      s3: keys,
      method,
      headers,
      signal: AbortSignal.any([signal, hangUp.signal]),
      redirect: "error",
      // Some stores call a gzipped file a gzipped answer.
      decompress: false,
    });
    try {
      return await within(SILENCE_MS_MAX, answer, "it is silent");
    } catch (error) {
      hangUp.abort();
      signal.throwIfAborted();
      throw unavailable(key, error);
    }
  }

  /** Whether the key can list the file where it may not read it. */
  async function isListed(key: string): Promise<boolean> {
    try {
      const { contents } = await client.list({ prefix: key, maxKeys: 1 });
      return (contents ?? []).some((each) => each.key === key);
    } catch (error) {
      const code = codeOf(error);
      if (!KEY_REFUSED.has(code ?? "") && code !== "AccessDenied")
        throw unavailable(key, error);
      throw new VenueError(`the key for day files is refused: ${code}`, {
        failure: "refused",
        status: 403,
      });
    }
  }

  return {
    /** The file's version; undefined where there is none. */
    async etagOf(
      key: string,
      signal: AbortSignal,
    ): Promise<string | undefined> {
      const { ok, status, headers } = await request("HEAD", key, {}, signal);
      if (status === 404) return undefined;
      // A store that one may not list says of what is not there that it is forbidden, and a HEAD has no words for it.
      if (status === 403) {
        if (await isListed(key)) throw beyondPlan(key);
        return undefined;
      }
      const etag = headers.get("etag");
      if (ok && etag !== null) return etag;
      throw failed(key, status, "");
    },

    /** Its bytes; a transfer that breaks off is taken up where it ended. */
    async *bytesOf(
      file: Version,
      signal: AbortSignal,
    ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
      let read = 0;
      for (let tried = 1; ; tried++) {
        try {
          for await (const bytes of transfer(file, read, signal)) {
            read += bytes.length;
            tried = 1;
            yield bytes;
          }
          return;
        } catch (error) {
          await waitToRetry(error, tried, signal);
        }
      }
    },
  };

  async function* transfer(
    { key, etag }: Version,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const hangUp = new AbortController();
    const response = await request(
      "GET",
      key,
      from > 0 ? { Range: `bytes=${from}-` } : {},
      signal,
      hangUp,
    );
    try {
      const { status, headers, body } = response;
      if (!response.ok) throw failed(key, status, await response.text());
      if (plain(headers.get("etag") ?? etag) !== plain(etag))
        throw replaced(key);
      if (from > 0 && status !== 206)
        throw new VenueError(`${key} cannot be taken up where it broke off`, {
          failure: "rejected",
          status,
        });
      let left = Number(headers.get("content-length") ?? Number.NaN);
      for (const reader = body?.getReader(); reader !== undefined;) {
        const { done, value } = await within(
          SILENCE_MS_MAX,
          reader.read(),
          "it is silent",
        );
        if (done) break;
        left -= value.length;
        yield value;
      }
      if (left > 0) throw unavailable(key, new Error("it broke off"));
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof VenueError ? error : unavailable(key, error);
    } finally {
      hangUp.abort();
    }
  }
}

/** 100 MB a fifth of a second; the one of node:zlib takes as long with larger pieces, and twice as long with its own. */
async function* gunzipped(
  bytes: AsyncGenerator<Uint8Array<ArrayBuffer>>,
  { key }: Version,
  left: AbortController,
): AsyncGenerator<Uint8Array> {
  let broken: unknown;
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { done, value } = await bytes.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        broken = error;
        throw error;
      }
    },
    // Whoever has seen enough must not wait for the bytes that are on their way.
    cancel: () => left.abort(),
  });
  try {
    yield* source.pipeThrough(new DecompressionStream("gzip"));
  } catch (error) {
    throw (
      broken ??
      new VenueError(`${key} is damaged`, { failure: "rejected", cause: error })
    );
  }
}

async function retried<Result>(
  work: () => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  for (let tried = 1; ; tried++)
    try {
      return await work();
    } catch (error) {
      await waitToRetry(error, tried, signal);
    }
}

/** @throws what is not worth another try */
async function waitToRetry(
  error: unknown,
  tried: number,
  signal: AbortSignal,
): Promise<void> {
  const isPassing = error instanceof VenueError && error.shouldRetry();
  if (!isPassing || tried >= TRIES_MAX) throw error;
  await sleep(backoffMs(tried, RETRY), signal);
}

function failed(key: string, status: number, text: string): VenueError {
  const code = /<Code>([^<]+)<\/Code>/.exec(text)?.[1];
  if (status === 403 && !KEY_REFUSED.has(code ?? "")) return beyondPlan(key);
  const failure =
    status === 403
      ? "refused"
      : status === 404
        ? "absent"
        : status === 429 || status >= 500
          ? "unavailable"
          : "rejected";
  const message = `${status} from the store of ${key}${code ? `: ${code}` : ""}`;
  return new VenueError(message, { failure, status });
}

/** The key is good, and its plan does not reach this file. */
function beyondPlan(key: string): VenueError {
  return new VenueError(`the plan does not include ${key}`, {
    failure: "rejected",
    status: 403,
  });
}

/** Whoever looks for it again finds the new version, which is to be read as a whole. */
function replaced(key: string): VenueError {
  return new VenueError(`${key} was replaced after it was found`, {
    failure: "absent",
  });
}

function unavailable(key: string, cause: unknown): VenueError {
  return new VenueError(`no answer from the store of ${key}`, {
    failure: "unavailable",
    cause,
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error
    ? String(error.code)
    : undefined;
}

/** One tells it in quotes, another without. */
function plain(etag: string): string {
  return etag.replaceAll('"', "");
}

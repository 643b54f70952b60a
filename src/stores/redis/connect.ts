/**
 * The one door to Redis: connections that never come back by themselves. Who
 * holds one waits by a schedule of its own and asks for another; the clients'
 * own retries forget a failure as soon as a peer accepts, even if it hangs up.
 *
 * The control plane speaks through ioredis. Publishing has Bun's own client:
 * measured side by side on two cores (loopback, Redis 7.0) it costs 1.0 µs of CPU a
 * message against 1.9 µs of an ioredis pipeline, whatever the size of the batch,
 * and from a socket over parsing to PUBLISH it passes 205,000 to 295,000 trades a
 * second against 130,000 to 175,000.
 */
import { RedisClient } from "bun";
import { Redis } from "ioredis";
import { SECOND, within } from "../../clock.ts";
import { describeError } from "../../errors.ts";

export type { RedisClient };

/** Redis is away, refuses, or does not answer: passing, or somebody's action helps. Never a bug of ours. */
export class RedisError extends Error {
  override readonly name = "RedisError";
}

/** A handshake or a question without an answer is given up. */
const ANSWER_MS_MAX = 10 * SECOND;
/** A subscriber may hear nothing for days: only a ping tells a quiet connection from a dead one. */
const PING_EVERY_MS = 20 * SECOND;

/** One connection for the control plane. */
export interface ControlLink extends Disposable {
  readonly client: Redis;
  /** Aborted, with a RedisError as its reason, when the connection is over. */
  readonly lost: AbortSignal;
  /** Ends it, and everything that waits for an answer. */
  hangUp(reason: string): void;
}

/**
 * Dials; hangs up when `signal` is aborted.
 * @throws RedisError saying what Redis or the network said
 */
export async function dialControl(
  url: string,
  signal: AbortSignal,
): Promise<ControlLink> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // The question whether it has loaded its data would need a right of its own; SMEMBERS says so, too.
    enableReadyCheck: false,
    connectTimeout: ANSWER_MS_MAX,
    commandTimeout: ANSWER_MS_MAX,
    connectionName: "feedkeeper-control",
    disableClientInfo: true,
    // What every Redis and every proxy in front of one understands.
    protocol: 2,
  });
  const over = new AbortController();
  const hangUp = (reason: string) => {
    if (over.signal.aborted) return;
    clearInterval(pinging);
    signal.removeEventListener("abort", onAbort);
    over.abort(new RedisError(reason));
    client.disconnect();
    // A peer that does not answer the goodbye must not keep the connection, nor our questions.
    client.stream?.destroy();
  };
  const onAbort = () => hangUp("hung up");
  const pinging = setInterval(() => {
    client.ping().catch((error) => hangUp(`no pong: ${describeError(error)}`));
  }, PING_EVERY_MS);
  let said: string | undefined;
  client.on("error", (error: unknown) => (said ??= describeError(error)));
  client.on("close", () => hangUp(said ?? "the connection was closed"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await client.connect();
    // A password that is missing is only noticed by a command.
    await client.ping();
  } catch (error) {
    hangUp(describeError(error));
    signal.throwIfAborted();
    throw new RedisError(said ?? describeError(error));
  }
  return {
    client,
    lost: over.signal,
    hangUp,
    [Symbol.dispose]: onAbort,
  };
}

/**
 * A connection for publishing.
 * @throws RedisError saying what Redis or the network said
 */
export async function dialPublisher(url: string): Promise<RedisClient> {
  const client = new RedisClient(url, {
    autoReconnect: false,
    enableOfflineQueue: false,
    connectionTimeout: ANSWER_MS_MAX,
  });
  try {
    await within(ANSWER_MS_MAX, client.connect(), "no answer within 10 s");
    return client;
  } catch (error) {
    client.close();
    throw new RedisError(await reasonOf(url, error));
  }
}

/** Bun's client only says that it was closed; ioredis is told why. */
async function reasonOf(url: string, error: unknown): Promise<string> {
  try {
    using _link = await dialControl(url, AbortSignal.timeout(ANSWER_MS_MAX));
    return describeError(error);
  } catch (told) {
    return describeError(told instanceof RedisError ? told : error);
  }
}

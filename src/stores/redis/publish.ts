/**
 * Market messages on Redis' channels, byte for byte as consumers of the older
 * ingestor read them: these members, in this order, and no others.
 */
import { nanosOf } from "../../../schema/instant.ts";
import type { Bar, MarketMessage, Trade } from "../../../schema/market.ts";
import { SECOND, within } from "../../clock.ts";
import { describeError } from "../../errors.ts";
import { dialPublisher } from "./connect.ts";

export type PublishedMessage = Bar | Trade;

/** Minute bars as they first came, and trades: a corrected bar corrects the store, not what was told. */
export function isPublished(
  message: MarketMessage,
): message is PublishedMessage {
  return (
    message.kind === "trade" ||
    (message.kind === "bar" && message.span === "minute")
  );
}

/** A message ready to go. */
export interface Publication {
  readonly channel: string;
  readonly payload: string;
}

export function publicationOf(message: PublishedMessage): Publication {
  return message.kind === "trade"
    ? publishedTrade(message)
    : publishedBar(message);
}

// Put together by hand: a number in a template is written as JSON writes it, and
// JSON.stringify of the same object takes longer.
export function publishedTrade({
  symbol,
  price,
  size,
  timestamp,
}: Trade): Publication {
  return {
    channel: `market_trades:${symbol}`,
    payload: `{"symbol":${JSON.stringify(symbol)},"price":${price},"size":${size},"timestamp":"${cutToMs(timestamp)}","tickType":"trade"}`,
  };
}

export function publishedBar(bar: Bar): Publication {
  const { symbol, open, high, low, close, volume, timestamp } = bar;
  return {
    channel: `market_data:${symbol}`,
    payload: `{"symbol":${JSON.stringify(symbol)},"timeframe":"1m","open":${open},"high":${high},"low":${low},"close":${close},"volume":${volume},"timestamp":"${cutToMs(timestamp)}"}`,
  };
}

/** What became of a batch. */
export interface PublishReceipt {
  /** Messages from the front that Redis has answered for, the refused ones among them. */
  readonly answered: number;
  readonly refused: readonly Refused[];
  /** Why not all were answered for; then the connection is closed. */
  readonly failure?: string;
}

/** A message whose channel the user has no right to: it would be refused again. */
export interface Refused {
  /** Where in the batch it stood. */
  readonly index: number;
  /** In Redis' words. */
  readonly reason: string;
}

/** One connection for publishing, of no more use after a failure. */
export interface Publisher {
  /**
   * Publishes a batch in one pipeline, in order; one batch at a time, which is
   * what bounds the pipeline. What counts is that Redis has answered: who was not
   * subscribed at that moment never gets the message, and whether anybody was is
   * not asked. Of the messages behind `answered` nobody knows whether Redis passed
   * them on before the connection broke. Published again, they may come twice to a
   * subscriber; not published again, never.
   */
  publish(batch: readonly Publication[]): Promise<PublishReceipt>;
  /** Rejects when Redis does not answer. */
  ping(): Promise<void>;
  close(): void;
}

/** A pipeline takes milliseconds; a Redis that is this slow is frozen. */
const ANSWER_MS_MAX = 5 * SECOND;
const SILENT = "Redis does not answer";

/** @throws RedisError */
export async function openPublisher(url: string): Promise<Publisher> {
  const client = await dialPublisher(url);

  /** Ends the waiting of everything that has no answer yet. */
  async function answers<Result>(work: Promise<Result>): Promise<Result> {
    try {
      return await within(ANSWER_MS_MAX, work, SILENT);
    } catch (error) {
      if (!isRefusal(error)) client.close();
      throw error;
    }
  }

  return {
    async publish(batch) {
      const replies = batch.map(({ channel, payload }) =>
        client.publish(channel, payload),
      );
      try {
        await answers(Promise.all(replies));
        return { answered: batch.length, refused: [] };
      } catch (error) {
        // A refusal comes before the others' answers; after any other failure all have ended.
        const settled = Promise.allSettled(replies);
        await answers(settled).catch(() => {});
        const receipt = receiptOf(await settled, error);
        if (receipt.failure !== undefined) client.close();
        return receipt;
      }
    },
    async ping() {
      await answers(client.send("PING", []));
    },
    close: () => client.close(),
  };
}

/** `error` is what the batch failed with first: a closed connection says less of the reason. */
function receiptOf(
  settled: readonly PromiseSettledResult<unknown>[],
  error: unknown,
): PublishReceipt {
  const refused: Refused[] = [];
  for (const [index, reply] of settled.entries()) {
    if (reply.status === "fulfilled") continue;
    const reason = describeError(reply.reason);
    if (isRefusal(reply.reason)) refused.push({ index, reason });
    else
      return {
        answered: index,
        refused,
        failure: isRefusal(error) ? reason : describeError(error),
      };
  }
  return { answered: settled.length, refused };
}

/** Of a channel, not of the command: without a right to publish at all the sink is as good as down. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof Error && /^NOPERM\b.*\bchannels?\b/.test(error.message)
  );
}

const DOT = ".".charCodeAt(0);

/** A venue's time in UTC with three decimals: cut, not rounded, so that a trade is never dated later than it was. */
function cutToMs(text: string): string {
  // Three decimals or more and a Z: what nearly all times of the stream look like.
  if (text.length >= 24 && text.charCodeAt(19) === DOT && text.endsWith("Z"))
    return `${text.slice(0, 23)}Z`;
  const nanos = nanosOf(text);
  return nanos === undefined
    ? text
    : new Date(Number(nanos / 1_000_000n)).toISOString();
}

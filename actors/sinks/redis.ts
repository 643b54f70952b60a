/** The Redis sink's writer: publishes minute bars and trades, a pipeline a batch. */
import { MINUTE } from "../../src/clock.ts";
import type { Trigger } from "../../src/flow/batch.ts";
import type { Logger } from "../../src/log.ts";
import {
  openPublisher,
  publicationOf,
  type PublishedMessage,
  type Publisher,
  type PublishReceipt,
} from "../../src/stores/redis/publish.ts";
import { RedisError } from "../../src/stores/redis/connect.ts";
import { PartlyWrittenError, type Writer } from "./sink.ts";

/**
 * No wait: what comes while a pipeline is on its way is the next one. Measured
 * (`bun run bench redisPublish`) at 20,000 trades a second, a wait of 1 ms quadrupled
 * the delay of every trade and saved a twentieth of a core; beyond a thousand a
 * pipeline brings no more a second.
 */
const BOUNDS = { sizeMax: 1000, waitMsMax: 0 };
/** A right that is missing is missing for every message: one line a minute says so. */
const REFUSED_EVERY_MS = MINUTE;

export interface RedisWriterInput {
  readonly url: string;
  readonly log: Logger;
  /** Told of each batch that Redis has answered for. */
  readonly onPublished: (published: Published) => void;
}

export interface Published {
  readonly trades: number;
  readonly bars: number;
  /** Not published and not tried again, since the user has no right to their channel. */
  readonly refused: number;
  readonly trigger: Trigger;
  /** When the oldest of them had come. */
  readonly receivedAtMs: number;
}

export function redisWriter({
  url,
  log,
  onPublished,
}: RedisWriterInput): Writer<PublishedMessage> {
  let publisher: Publisher | undefined;
  let refusedSince = 0;
  let sayRefusedAtMs = 0;

  function connection(): Publisher {
    if (publisher === undefined) throw new RedisError("not connected");
    return publisher;
  }

  function sayRefused({ refused }: PublishReceipt): void {
    refusedSince += refused.length;
    if (refusedSince === 0 || Date.now() < sayRefusedAtMs) return;
    const reason = refused[0]?.reason;
    log.warn({ reason, messages: refusedSince }, "publications_refused");
    refusedSince = 0;
    sayRefusedAtMs = Date.now() + REFUSED_EVERY_MS;
  }

  return {
    bounds: BOUNDS,
    async open() {
      publisher?.close();
      publisher = undefined;
      publisher = await openPublisher(url);
    },
    async write(items, trigger) {
      const receipt = await connection().publish(items.map(publicationOf));
      const { answered, refused, failure } = receipt;
      if (answered > 0) onPublished(countOf(items, receipt, trigger));
      if (refused.length > 0) sayRefused(receipt);
      if (failure !== undefined)
        throw new PartlyWrittenError(answered, failure);
    },
    ping: () => connection().ping(),
    close: () => publisher?.close(),
  };
}

function countOf(
  items: readonly PublishedMessage[],
  { answered, refused }: PublishReceipt,
  trigger: Trigger,
): Published {
  const gone = new Set(refused.map(({ index }) => index));
  const published = items.filter(
    (_, index) => index < answered && !gone.has(index),
  );
  const trades = published.filter(({ kind }) => kind === "trade").length;
  return {
    trades,
    bars: published.length - trades,
    refused: refused.length,
    trigger,
    receivedAtMs: items[0]?.receivedAtMs ?? Date.now(),
  };
}

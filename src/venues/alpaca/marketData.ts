/**
 * How one talks on Alpaca's market-data streams: the venue welcomes, the client
 * authenticates and subscribes; frames are arrays of elements of mixed types.
 * https://docs.alpaca.markets/docs/streaming-market-data
 */
import { isObject, MalformedError } from "../../../schema/read.ts";
import type { AssetClass, MarketMessage } from "../../../schema/market.ts";
import { MINUTE } from "../../clock.ts";
import { describeError } from "../../errors.ts";
import { isOpen } from "../calendar.ts";
import type {
  Channel,
  ChannelSymbols,
  FeedControl,
  FeedErrorKind,
  FeedReading,
  FeedVenue,
  OutgoingFrame,
} from "../feedVenue.ts";
import {
  encodeFrame,
  type Encoding,
  elementsOf,
  rawElementsOf,
  rawOfFrame,
} from "./marketFrames.ts";
import {
  type Members,
  readMessage,
  readUnknown,
  type Reception,
} from "./marketMessages.ts";

/** What a stock stream carries; which of them one gets depends on the plan. */
export type StockFeed = "iex" | "sip" | "delayed_sip" | "test";

/** What the venue's error codes mean for the link. */
const ERROR_KINDS: Readonly<Record<number, FeedErrorKind>> = {
  /* invalid syntax */ 400: "request",
  /* not authenticated: something was sent too early */ 401: "reconnect",
  /* auth failed */ 402: "refused",
  /* already authenticated */ 403: "harmless",
  /* auth timeout */ 404: "reconnect",
  /* symbol limit exceeded */ 405: "limit",
  /* connection limit exceeded */ 406: "slot",
  /* slow client: about to be dropped */ 407: "reconnect",
  /* v2 not enabled */ 408: "refused",
  /* insufficient subscription */ 409: "refused",
  /* invalid subscribe action for this feed */ 410: "request",
  /* insufficient scope */ 411: "refused",
  /* option messages are only available in MsgPack format */ 412: "refused",
  /* star subscription is not allowed for option quotes */ 413: "request",
  /* internal error */ 500: "reconnect",
};
/** The table has no row for it: a new connection, after its growing wait, is safe whatever it means. */
const ERROR_KIND_UNKNOWN: FeedErrorKind = "reconnect";

/**
 * Four channels of so many symbols stay below the 32,768 bytes at which the
 * official Python client splits its message.
 */
const CHUNK_LENGTH_MAX = 400;

const CHANNELS: readonly Channel[] = [
  "bars",
  "updatedBars",
  "trades",
  "quotes",
];

const DELAY_MS = 15 * MINUTE;

/** Whether the feed can be expected to speak; the exchanges' early and late sessions count. */
const OPEN: Readonly<Record<StockFeed, (ms: number) => boolean>> = {
  iex: (ms) => isOpen(ms, { extended: true }),
  sip: (ms) => isOpen(ms, { extended: true }),
  delayed_sip: (ms) => isOpen(ms - DELAY_MS, { extended: true }),
  // FAKEPACA is traded all day, every day.
  test: () => true,
};

export interface AlpacaFeedSettings {
  readonly assetClass: AssetClass;
  /** `wss://stream.data.alpaca.markets` */
  readonly streamUrl: string;
  /** Of stocks; crypto has one feed only. */
  readonly feed: StockFeed;
  readonly keyId: string;
  readonly secretKey: string;
  readonly encoding: Encoding;
  /** Whether quotes are wanted: on small plans they share 30 symbols with the trades. */
  readonly quotes: boolean;
}

export function alpacaFeed(settings: AlpacaFeedSettings): FeedVenue {
  const { assetClass, feed, keyId, secretKey, encoding } = settings;
  const isStock = assetClass === "stock";
  const source = sourceOf(assetClass, feed);
  const channels = CHANNELS.filter(
    (channel) =>
      (channel !== "quotes" || settings.quotes) &&
      // The test stream offers the other three only.
      (channel !== "updatedBars" || !isStock || feed !== "test"),
  );
  const send = (message: object) => encodeFrame(message, encoding);
  const change = (action: string, wanted: ChannelSymbols): OutgoingFrame =>
    send({
      action,
      ...Object.fromEntries(
        channels.flatMap((channel) =>
          wanted[channel] === undefined ? [] : [[channel, wanted[channel]]],
        ),
      ),
    });
  return {
    id: assetClass,
    source,
    assetClass,
    url: `${settings.streamUrl.replace(/\/+$/, "")}/${isStock ? `v2/${feed}` : "v1beta3/crypto/us"}`,
    ...(encoding === "msgpack" && {
      headers: { "Content-Type": "application/msgpack" },
    }),
    ...(isStock && feed === "delayed_sip" && { delayMs: DELAY_MS }),
    chunkLengthMax: CHUNK_LENGTH_MAX,
    channels,
    isOpen: isStock ? OPEN[feed] : () => true,
    authenticate: () => send({ action: "auth", key: keyId, secret: secretKey }),
    subscribe: (wanted) => change("subscribe", wanted),
    unsubscribe: (wanted) => change("unsubscribe", wanted),
    read: (frame, receivedAtMs) =>
      readFrame(frame, encoding, { source, receivedAtMs }),
  };
}

/** What bars of a feed are marked with, whether streamed or read back. */
export function sourceOf(assetClass: AssetClass, feed: StockFeed): string {
  return `alpaca:${assetClass === "stock" ? feed : "crypto"}`;
}

/** Shared by all readings that have nothing of a sort, which are nearly all. */
const NONE: readonly never[] = Object.freeze([]);

function readFrame(
  frame: string | Uint8Array,
  encoding: Encoding,
  reception: Reception,
): FeedReading {
  let elements: readonly unknown[];
  try {
    elements = elementsOf(frame, encoding);
  } catch (error) {
    const whole = { raw: rawOfFrame(frame), reason: describeError(error) };
    return { controls: NONE, messages: NONE, malformed: [whole] };
  }
  const messages: MarketMessage[] = [];
  let controls: FeedControl[] | undefined;
  let faults: Fault[] | undefined;
  for (let index = 0; index < elements.length; index++) {
    try {
      const element = elements[index];
      if (!isObject(element)) throw new MalformedError("not an object");
      const message = readMessage(element, reception);
      if (message !== undefined) {
        messages.push(message);
        continue;
      }
      const told = readControls(element);
      if (told === undefined) messages.push(readUnknown(element, reception));
      else (controls ??= []).push(...told);
    } catch (error) {
      (faults ??= []).push({ index, error });
    }
  }
  return {
    controls: controls ?? NONE,
    messages,
    malformed: faults
      ? malformedOf(faults, rawElementsOf(frame, encoding, elements))
      : NONE,
  };
}

interface Fault {
  readonly index: number;
  readonly error: unknown;
}

function malformedOf(faults: readonly Fault[], texts: readonly string[]) {
  return faults.map(({ index, error }) => ({
    raw: texts[index] ?? "",
    reason: describeError(error),
  }));
}

/**
 * Undefined for what this version does not know.
 * @throws MalformedError when it does, and cannot read it.
 */
function readControls(element: Members): FeedControl[] | undefined {
  switch (element["T"]) {
    case "success":
      if (element["msg"] === "connected") return [{ type: "welcomed" }];
      if (element["msg"] === "authenticated") return [{ type: "authorized" }];
      return undefined;
    case "subscription":
      return [{ type: "subscribed", channels: channelsOf(element) }];
    case "error":
      return errorsOf(element);
    default:
      return undefined;
  }
}

function errorsOf(element: Members): FeedControl[] {
  const code = typeof element["code"] === "number" ? element["code"] : 0;
  const error: FeedControl = {
    type: "error",
    kind: ERROR_KINDS[code] ?? ERROR_KIND_UNKNOWN,
    code,
    reason: typeof element["msg"] === "string" ? element["msg"] : "",
  };
  // Who is told that he is in already need not wait for the welcome.
  return code === 403 ? [error, { type: "authorized" }] : [error];
}

/** Channels of other products are left out; an empty list may come as null. */
function channelsOf(element: Members): ChannelSymbols {
  const channels: Partial<Record<Channel, readonly string[]>> = {};
  for (const channel of CHANNELS) {
    const symbols = element[channel];
    if (symbols === undefined) continue;
    channels[channel] = symbolsOf(symbols ?? [], channel);
  }
  return channels;
}

function symbolsOf(value: unknown, channel: Channel): string[] {
  if (!Array.isArray(value)) throw new MalformedError(`${channel} is no list`);
  return value.map((symbol: unknown) => {
    if (typeof symbol === "string") return symbol;
    throw new MalformedError(`${channel} has no symbols`);
  });
}

/**
 * How one talks on the venue's streams: it welcomes, the client authenticates and
 * subscribes; frames are arrays of elements of mixed types.
 * https://massive.com/docs/websocket/quickstart
 */
import type { AssetClass, MarketMessage } from "../../../schema/market.ts";
import {
  elementTexts,
  isObject,
  MalformedError,
  readText,
} from "../../../schema/read.ts";
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
} from "../feedVenue.ts";
import { AcknowledgedSet } from "./acknowledged.ts";
import { SOURCE } from "./aggregates.ts";
import type { Members } from "./numbers.ts";
import { readMessage } from "./streamMessages.ts";
import { symbolOfTicker, tickerOf } from "./symbols.ts";

/** What the venue calls a channel; a minute is sent again on its own one when trades came late. */
const EVENTS: Readonly<
  Record<AssetClass, Readonly<Partial<Record<Channel, string>>>>
> = {
  stock: { bars: "AM", trades: "T", quotes: "Q" },
  crypto: { bars: "XA", trades: "XT", quotes: "XQ" },
};

const CLUSTERS: Readonly<Record<AssetClass, string>> = {
  stock: "stocks",
  crypto: "crypto",
};

/** More than 43 parameters in one message were refused once (polygon-io/issues 44). */
const CHUNK_LENGTH_MAX = 40;
/** Of plans that get everything late, which have a host of their own. */
const DELAY_MS = 15 * MINUTE;
/**
 * The newer connection of an account wins, and the older one is told so and cut:
 * two services that dial at once would throw each other out for ever.
 */
const EVICTED_MS = MINUTE;

/** What the venue's words about the connection mean for the link. */
const ERROR_KINDS: Readonly<Record<string, FeedErrorKind>> = {
  /* unknown key, or a plan without streams */ auth_failed: "refused",
  auth_timeout: "reconnect",
  /* something was sent too early */ auth_required: "reconnect",
  max_connections: "reconnect",
  /* about to be dropped */ slow_consumer: "reconnect",
  force_disconnect: "reconnect",
  error: "request",
};

export interface PolygonFeedSettings {
  readonly assetClass: AssetClass;
  /** `wss://socket.polygon.io`; on a host called `delayed…` everything is 15 minutes late. */
  readonly streamUrl: string;
  readonly apiKey: string;
  /** What is wanted of `bars`, `trades` and `quotes`; plans differ. */
  readonly channels: readonly Channel[];
}

export function polygonFeed(settings: PolygonFeedSettings): FeedVenue {
  const { assetClass, apiKey } = settings;
  const channels = settings.channels.filter(
    (channel) => EVENTS[assetClass][channel] !== undefined,
  );
  const isDelayed = new URL(settings.streamUrl).hostname.startsWith("delayed");
  const delayMs = isDelayed ? DELAY_MS : 0;
  const feed = new Reader(assetClass, channels);
  const change = (
    action: "subscribe" | "unsubscribe",
    wanted: ChannelSymbols,
  ): string => {
    feed.held.asked(action, wanted);
    const params = channels.flatMap((channel) =>
      (wanted[channel] ?? []).map(
        (symbol) =>
          `${EVENTS[assetClass][channel]}.${tickerOf(symbol, "stream")}`,
      ),
    );
    return JSON.stringify({ action, params: params.join(",") });
  };
  return {
    id: `polygon-${CLUSTERS[assetClass]}`,
    source: SOURCE,
    assetClass,
    url: `${settings.streamUrl.replace(/\/+$/, "")}/${CLUSTERS[assetClass]}`,
    channels,
    ...(isDelayed && { delayMs }),
    chunkLengthMax: CHUNK_LENGTH_MAX,
    isOpen: (ms) =>
      assetClass === "crypto" || isOpen(ms - delayMs, { extended: true }),
    authenticate: () => {
      feed.held.clear();
      return JSON.stringify({ action: "auth", params: apiKey });
    },
    subscribe: (wanted) => change("subscribe", wanted),
    unsubscribe: (wanted) => change("unsubscribe", wanted),
    read: (frame, receivedAtMs) => feed.read(frame, receivedAtMs),
  };
}

/** Shared by all readings that have nothing of a sort, which are nearly all. */
const NONE: readonly never[] = Object.freeze([]);

/** Reads frames, and remembers what a frame alone does not say. */
class Reader {
  readonly held: AcknowledgedSet;
  /** Start of the newest minute of each symbol: an older one, or the same again, is a correction. */
  readonly #newest = new Map<string, string>();

  constructor(
    readonly assetClass: AssetClass,
    channels: readonly Channel[],
  ) {
    this.held = new AcknowledgedSet(channels);
  }

  read(frame: string | Uint8Array, receivedAtMs: number): FeedReading {
    const text =
      typeof frame === "string" ? frame : Buffer.from(frame).toString("utf8");
    let elements: readonly unknown[];
    try {
      elements = elementsOf(text);
    } catch (error) {
      const whole = { raw: text, reason: describeError(error) };
      return { controls: NONE, messages: NONE, malformed: [whole] };
    }
    const messages: MarketMessage[] = [];
    const controls: FeedControl[] = [];
    let malformed: { raw: string; reason: string }[] | undefined;
    let index = 0;
    const raw = () => rawElement(text, index);
    const reception = { receivedAtMs, raw };
    for (; index < elements.length; index++) {
      try {
        const element = elements[index];
        if (!isObject(element)) throw new MalformedError("not an object");
        if (element["ev"] === "status" && this.#obey(element, controls))
          continue;
        messages.push(this.#dated(readMessage(element, reception)));
      } catch (error) {
        const reason = describeError(error);
        (malformed ??= []).push({ raw: raw(), reason });
      }
    }
    const subscribed = this.held.news(receivedAtMs);
    if (subscribed !== undefined)
      controls.push({ type: "subscribed", channels: subscribed });
    return { controls, messages, malformed: malformed ?? NONE };
  }

  /** Whether it is a word about the connection that this version knows. */
  #obey(element: Members, controls: FeedControl[]): boolean {
    const status = readText(element["status"]) ?? "";
    const message = readText(element["message"]) ?? "";
    // Older servers said `success` of everything.
    if (status === "connected" || /^connected/i.test(message))
      controls.push({ type: "welcomed" });
    else if (status === "auth_success" || message === "authenticated")
      controls.push({ type: "authorized" });
    else if (status === "success") return this.#acknowledge(message);
    else if (/^not authorized/i.test(message) && status === "error")
      this.held.lacking();
    else return this.#object(status, message, controls);
    return true;
  }

  #acknowledge(message: string): boolean {
    const [, undone, event, ticker] =
      /^(un)?subscribed to: *(\w+)\.(\S+)$/.exec(message) ?? [];
    const channel = channelOf(this.assetClass, event);
    const symbol = symbolOfTicker(ticker ?? "", this.assetClass);
    if (channel === undefined || symbol === undefined) return false;
    if (undone === undefined) this.held.subscribed(channel, symbol);
    else this.held.unsubscribed(channel, symbol);
    return true;
  }

  #object(status: string, message: string, controls: FeedControl[]): boolean {
    const kind = ERROR_KINDS[status];
    if (kind === undefined) return false;
    if (kind === "request") this.held.refused();
    controls.push({
      type: "error",
      kind,
      // The venue has names where others have codes.
      code: 0,
      reason: `${status}: ${message.trim()}`,
      ...(status === "max_connections" && { retryAfterMs: EVICTED_MS }),
    });
    return true;
  }

  /** Of one format, so that texts compare as times do. */
  #dated(message: MarketMessage): MarketMessage {
    if (message.kind !== "bar") return message;
    const { symbol, timestamp } = message;
    const newest = this.#newest.get(symbol);
    if (newest !== undefined && timestamp <= newest)
      return { ...message, span: "updated" };
    this.#newest.set(symbol, timestamp);
    return message;
  }
}

function channelOf(
  assetClass: AssetClass,
  event: string | undefined,
): Channel | undefined {
  return (Object.keys(EVENTS[assetClass]) as Channel[]).find(
    (channel) => EVENTS[assetClass][channel] === event,
  );
}

/** @throws MalformedError when it is no JSON */
function elementsOf(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [value];
  } catch (error) {
    throw new MalformedError("not JSON", { cause: error });
  }
}

function rawElement(text: string, index: number): string {
  return text.trimStart().startsWith("[")
    ? (elementTexts(text)[index] ?? "")
    : text;
}

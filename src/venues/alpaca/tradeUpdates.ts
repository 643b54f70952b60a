/**
 * How one talks on Alpaca's trading stream (`<host>/stream`): the client speaks
 * first; each frame is one JSON object, binary on paper, text elsewhere.
 * https://docs.alpaca.markets/docs/websocket-streaming
 */
import {
  isObject,
  MalformedError,
  memberText,
  parseObject,
  readText,
} from "../../../schema/read.ts";

export const TRADE_UPDATES = "trade_updates";

export type TradeFrame =
  /** `data` of a trade update: as it stands in the frame, and what it says. */
  | {
      readonly type: "update";
      readonly raw: string;
      readonly data: Readonly<Record<string, unknown>>;
    }
  | { readonly type: "authorized" }
  | { readonly type: "unauthorized"; readonly reason: string }
  /** The whole set of streams that the venue now sends; what it does not grant is left out silently. */
  | { readonly type: "listening"; readonly streams: readonly string[] }
  /** `action: error`: the venue closes the socket after it. */
  | { readonly type: "fault"; readonly reason: string }
  /** Known to mean nothing: `data: null`, a stray heartbeat byte, streams of other products. */
  | { readonly type: "ignored" };

export function authenticateText(keyId: string, secretKey: string): string {
  return JSON.stringify({ action: "auth", key: keyId, secret: secretKey });
}

export function listenText(): string {
  return JSON.stringify({
    action: "listen",
    data: { streams: [TRADE_UPDATES] },
  });
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** @throws MalformedError when the bytes are no UTF-8. */
export function textOfFrame(frame: string | Uint8Array): string {
  if (typeof frame === "string") return frame;
  try {
    return decoder.decode(frame);
  } catch (error) {
    throw new MalformedError("frame is no UTF-8", { cause: error });
  }
}

/**
 * What a frame says.
 * @throws MalformedError when it is no object of this protocol.
 */
export function readTradeFrame(text: string): TradeFrame {
  // The official JavaScript client drops a lone 0x01 as a heartbeat, so do we.
  if (text.length <= 1) return { type: "ignored" };
  const frame = parseObject(text);
  const data = isObject(frame["data"]) ? frame["data"] : {};
  switch (frame["stream"]) {
    case TRADE_UPDATES: {
      if (frame["data"] === null) return { type: "ignored" };
      const raw = memberText(text, "data");
      if (raw === undefined || !isObject(frame["data"]))
        throw new MalformedError("trade update without data");
      return { type: "update", raw, data };
    }
    case "authorization":
      return data["status"] === "authorized"
        ? { type: "authorized" }
        : {
            type: "unauthorized",
            reason:
              readText(data["message"]) ??
              readText(data["status"]) ??
              "no status",
          };
    case "listening": {
      const streams = Array.isArray(data["streams"])
        ? data["streams"].map(String)
        : [];
      return { type: "listening", streams };
    }
    case undefined:
      if (frame["action"] === "error") {
        return {
          type: "fault",
          reason: readText(data["error_message"]) ?? "unnamed error",
        };
      }
      throw new MalformedError("frame without stream");
    default:
      return { type: "ignored" };
  }
}

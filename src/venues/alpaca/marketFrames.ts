/**
 * Frames of Alpaca's market-data streams as the elements in them: JSON in text
 * frames, or MessagePack in binary ones, where times are the timestamp extension.
 */
import {
  Decoder,
  decodeTimestampToTimeSpec,
  encode,
  EXT_TIMESTAMP,
  ExtensionCodec,
} from "@msgpack/msgpack";
import { elementTexts, MalformedError } from "../../../schema/read.ts";
import type { OutgoingFrame } from "../feedVenue.ts";
import { utcText } from "./marketMessages.ts";
import { textOfFrame } from "./tradeUpdates.ts";

export type Encoding = "json" | "msgpack";

export function encodeFrame(
  message: object,
  encoding: Encoding,
): OutgoingFrame {
  return encoding === "json" ? JSON.stringify(message) : encode(message);
}

/**
 * The elements of a frame; a lone one comes without a list around it.
 * @throws MalformedError when the frame is of no such encoding.
 */
export function elementsOf(
  frame: string | Uint8Array,
  encoding: Encoding,
): readonly unknown[] {
  const value =
    encoding === "msgpack" && typeof frame !== "string"
      ? unpack(frame)
      : parse(textOfFrame(frame));
  return Array.isArray(value) ? value : [value];
}

/** The elements' own texts, for whoever must keep one: not asked for unless something is wrong. */
export function rawElementsOf(
  frame: string | Uint8Array,
  encoding: Encoding,
  elements: readonly unknown[],
): readonly string[] {
  if (encoding === "msgpack" && typeof frame !== "string")
    return elements.map((element) => jsonOf(element, frame));
  const text = textOfFrame(frame);
  return text.trimStart().startsWith("[") ? elementTexts(text) : [text];
}

/** A frame that could not be parsed, whole: its text, or its bytes in base64. */
export function rawOfFrame(frame: string | Uint8Array): string {
  return typeof frame === "string"
    ? frame
    : `base64:${Buffer.from(frame).toString("base64")}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MalformedError("not JSON", { cause: error });
  }
}

/** Times with all their nanoseconds, which a Date would lose. */
const codec = new ExtensionCodec();
codec.register({
  type: EXT_TIMESTAMP,
  encode: () => null,
  decode: timeText,
});
const decoder = new Decoder({ extensionCodec: codec });

function unpack(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new MalformedError("not MessagePack", { cause: error });
  }
}

/** A time that cannot be is no reason to lose the frame: it is told as it is, and its reader will refuse it. */
function timeText(data: Uint8Array): string {
  try {
    const { sec, nsec } = decodeTimestampToTimeSpec(data);
    return utcText(sec, nsec);
  } catch {
    return `timestamp ${Buffer.from(data).toString("hex")}`;
  }
}

/** JSON has no text for NaN and its like, so they are written as words. */
function jsonOf(value: unknown, frame: Uint8Array): string {
  const wordOf = (_name: string, each: unknown) =>
    typeof each === "number" && !Number.isFinite(each) ? String(each) : each;
  try {
    return JSON.stringify(value, wordOf);
  } catch {
    // Nested deeper than the runtime can follow.
    return rawOfFrame(frame);
  }
}

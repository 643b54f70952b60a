/** What the frames of the trading stream say, and that what they carry stays as it came. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MalformedError } from "../../../schema/read.ts";
import {
  authenticateText,
  listenText,
  readTradeFrame,
  textOfFrame,
} from "../../../src/venues/alpaca/tradeUpdates.ts";
import {
  LEGACY_GREETING,
  legacyFills,
  sessions,
  updateData,
  updateFrame,
} from "./frames.ts";

test("we say who we are, and what we want to hear", () => {
  expect(authenticateText('k"1', "s\\2")).toBe(
    '{"action":"auth","key":"k\\"1","secret":"s\\\\2"}',
  );
  expect(listenText()).toBe(
    '{"action":"listen","data":{"streams":["trade_updates"]}}',
  );
});

describe("a frame", () => {
  const text = '{"stream":"é€😀"}';

  test("is the same text, be it sent as text or as bytes", () => {
    expect(textOfFrame(text)).toBe(text);
    expect(textOfFrame(new TextEncoder().encode(text))).toBe(text);
    expect(textOfFrame(Buffer.from(text))).toBe(text);
    expect(textOfFrame(Buffer.from([1]))).toBe("\u0001");
  });

  test.each([
    ["bytes that no character begins with", [0x7b, 0xff, 0x7d]],
    ["a character cut short", [0x22, 0xe2, 0x82]],
    ["half a pair", [0xed, 0xa0, 0x80]],
  ])(
    "of %s is malformed, and the next one is read all the same",
    (_, bytes) => {
      expect(() => textOfFrame(Uint8Array.from(bytes))).toThrow(
        new MalformedError("frame is no UTF-8"),
      );
      expect(textOfFrame(Buffer.from(text))).toBe(text);
    },
  );
});

describe.each(sessions)("a session %s", (_, frames) => {
  test("goes from the greeting to the fill, in binary frames or text", () => {
    for (const sent of [frames, frames.map((frame) => Buffer.from(frame))])
      expect(
        sent.map((frame) => readTradeFrame(textOfFrame(frame)).type),
      ).toEqual(["authorized", "listening", "update", "update", "update"]);
  });

  test("hands on each update as it stood in its frame", () => {
    for (const frame of frames.slice(2))
      expect(readTradeFrame(frame)).toEqual({
        type: "update",
        raw: frame.slice(frame.indexOf(":{") + 1, -1),
        data: JSON.parse(frame).data,
      });
  });
});

test.each(legacyFills)("a fill of years ago, %s, is an update", (_, frame) => {
  const reading = readTradeFrame(frame);
  expect(reading).toEqual({
    type: "update",
    raw: frame.slice(frame.indexOf('"data": ') + 8, -1),
    data: JSON.parse(frame).data,
  });
});

describe("the handshake", () => {
  test.each([
    [
      "the documented form",
      '{"stream":"authorization","data":{"status":"authorized","action":"authenticate"}}',
    ],
    ["the form that warns of its own end", LEGACY_GREETING],
    [
      "members of tomorrow",
      '{"data":{"plan":{"tier":2},"status":"authorized"},"version":3,"stream":"authorization"}',
    ],
  ])("is accepted: %s", (_, frame) => {
    expect(readTradeFrame(frame)).toEqual({ type: "authorized" });
  });

  test.each([
    [
      "as documented",
      '{"stream":"authorization","data":{"status":"unauthorized","action":"authenticate"}}',
      "unauthorized",
    ],
    [
      "with the venue's reason",
      '{"stream":"authorization","data":{"message":"code=401, message=Unauthorized","status":"unauthorized"}}',
      "code=401, message=Unauthorized",
    ],
    [
      "for listening too early",
      '{"stream":"authorization","data":{"status":"unauthorized","action":"listen"}}',
      "unauthorized",
    ],
    [
      "in a word of tomorrow",
      '{"stream":"authorization","data":{"status":"expired"}}',
      "expired",
    ],
    ["without a word", '{"stream":"authorization","data":{}}', "no status"],
    ["without data", '{"stream":"authorization"}', "no status"],
    ["with null", '{"stream":"authorization","data":null}', "no status"],
  ])("is refused: %s", (_, frame, reason) => {
    expect(readTradeFrame(frame)).toEqual({ type: "unauthorized", reason });
  });

  test.each([
    ["what was asked for", '{"streams":["trade_updates"]}', ["trade_updates"]],
    ["nothing, as when a subscription is withdrawn", '{"streams":[]}', []],
    [
      "a part, and what somebody else asked for",
      '{"streams":["account_updates"]}',
      ["account_updates"],
    ],
    [
      "more",
      '{"streams":["x","trade_updates"],"until":null}',
      ["x", "trade_updates"],
    ],
    ["no list", '{"streams":"trade_updates"}', []],
    ["null", "null", []],
    ["no member", "{}", []],
  ])("grants %s", (_, data, streams) => {
    expect(readTradeFrame(`{"stream":"listening","data":${data}}`)).toEqual({
      type: "listening",
      streams,
    });
  });

  test.each([
    [
      "internal server error",
      '{"action":"error","data":{"error_message":"internal server error"}}',
    ],
    ["unnamed error", '{"action":"error","data":{}}'],
    ["unnamed error", '{"action":"error"}'],
  ])("ends by a fault of the venue: %s", (reason, frame) => {
    expect(readTradeFrame(frame)).toEqual({ type: "fault", reason });
  });
});

describe("an update", () => {
  test.each([
    [
      "with an event that nobody knows",
      '{"event":"pending_review","order":{"id":"1"}}',
    ],
    [
      "with members that nobody knows",
      '{"event":"new","order":{},"risk":{"score":0.10}}',
    ],
    [
      "with numbers that no double holds",
      '{"event":"new","n":1.10,"i":7446469938634049684}',
    ],
    ["with its own spaces", '{ "event" : "new",\n\t"order" : { } }'],
    ["with nothing in it", "{}"],
  ])("%s is handed on as it stands", (_, raw) => {
    expect(readTradeFrame(`{"stream":"trade_updates","data":${raw}}`)).toEqual({
      type: "update",
      raw,
      data: JSON.parse(raw),
    });
  });

  test("is found wherever it stands in its frame", () => {
    const raw = '{"event":"new","data":{"data":1}}';
    expect(
      readTradeFrame(
        `\n{"queue":[1,{"data":2}],\n "data" :${raw} , "stream":"trade_updates"}\n`,
      ),
    ).toEqual({ type: "update", raw, data: JSON.parse(raw) });
  });

  test("says what its text says, also where a frame has two of them", () => {
    const frame =
      '{"stream":"trade_updates","data":{"event":"new"},"d\\u0061ta":{"event":"fill"}}';
    expect(readTradeFrame(frame)).toEqual({
      type: "update",
      raw: '{"event":"fill"}',
      data: { event: "fill" },
    });
  });

  test("keeps its text, whatever is in it", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.constantFrom(undefined, 1, "\t"),
        (data, indent) => {
          const raw = JSON.stringify(data, undefined, indent);
          expect(readTradeFrame(updateFrame(raw))).toEqual({
            type: "update",
            raw,
            data: JSON.parse(raw),
          });
        },
      ),
    );
  });
});

test.each([
  ["a null for data", '{"stream":"trade_updates","data":null}'],
  ["the stray heartbeat byte", "\u0001"],
  ["nothing", ""],
  ["a stream of another product", '{"stream":"account_updates","data":{}}'],
  ["a stream of another product without data", '{"stream":"x"}'],
])("%s means nothing", (_, frame) => {
  expect(readTradeFrame(frame)).toEqual({ type: "ignored" });
});

test.each([
  ["not JSON", "<html>"],
  ["not JSON", "\u0001\u0001"],
  ["not JSON", updateFrame(updateData("new")).slice(0, -1)],
  ["not a JSON object", '[{"T":"success","msg":"connected"}]'],
  ["not a JSON object", "null"],
  ["not a JSON object", "17"],
  ["frame without stream", "{}"],
  ["frame without stream", '{"action":"listen","data":{}}'],
  ["trade update without data", '{"stream":"trade_updates"}'],
  ["trade update without data", '{"stream":"trade_updates","data":[]}'],
  ["trade update without data", '{"stream":"trade_updates","data":"fill"}'],
  ["trade update without data", '{"stream":"trade_updates","data":7}'],
])("%s: %p is malformed", (complaint, frame) => {
  expect(() => readTradeFrame(frame)).toThrow(new MalformedError(complaint));
});

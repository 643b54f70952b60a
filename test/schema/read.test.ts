/** Readers that keep the venue's text: held against what JSON.parse makes of the same text. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  elementTexts,
  isObject,
  isUuid,
  MalformedError,
  memberText,
  parseObject,
  readDecimal,
  readText,
  readUuid,
} from "../../schema/read.ts";

const space = fc.string({
  unit: fc.constantFrom(" ", "\n", "\r", "\t"),
  maxLength: 3,
});

/** A value as some venue writes it: numbers that no double holds, escapes, spaces, nesting. */
const valueText = fc.oneof(
  fc.constantFrom(
    "1.10",
    "-0",
    "7446469938634049684",
    "1E+5",
    "0.1234567890123456789",
    '"\\u0041\\\\"',
    '"a\\"]}b"',
    '"{[,:"',
    "null",
    "[]",
    "{ }",
  ),
  fc
    .tuple(fc.jsonValue(), fc.constantFrom(undefined, 1, "\t"))
    .map(([value, indent]) => JSON.stringify(value, undefined, indent)),
);

/** The texts with spaces around them and commas between. */
const listOf = (texts: fc.Arbitrary<string[]>) =>
  fc
    .tuple(texts, fc.infiniteStream(space))
    .map(([inside, spaces]) => [
      inside,
      inside
        .map((text) => `${spaces.next().value}${text}${spaces.next().value}`)
        .join(",") || String(spaces.next().value),
    ]) as fc.Arbitrary<[string[], string]>;

const array = listOf(fc.array(valueText, { maxLength: 5 })).map(
  ([elements, inside]) => ({ elements, text: ` [${inside}]\n` }),
);

/** A name in its plain form, or with each character escaped. */
function nameText(name: string, isEscaped: boolean): string {
  return isEscaped
    ? `"${name.replace(/[^]/gu, (each) =>
        Array.from(
          { length: each.length },
          (_, at) =>
            `\\u${each.charCodeAt(at).toString(16).padStart(4, "0").toUpperCase()}`,
        ).join(""),
      )}"`
    : JSON.stringify(name);
}

const members = fc.array(
  fc.record({
    name: fc.oneof(
      fc.constantFrom("a", "b", "order", 'a"b', "a\\", "", "é"),
      fc.string(),
    ),
    isEscaped: fc.boolean(),
    value: valueText,
  }),
  { maxLength: 6 },
);

const object = members.chain((list) =>
  listOf(
    fc.constant(
      list.map(
        ({ name, isEscaped, value }) =>
          `${nameText(name, isEscaped)} : ${value}`,
      ),
    ),
  ).map(([, inside]) => ({ list, text: `\t{${inside}} ` })),
);

describe("elements of an array", () => {
  test("are the texts as they stand, one for each that JSON.parse reads", () => {
    fc.assert(
      fc.property(array, ({ elements, text }) => {
        expect(elementTexts(text)).toEqual(elements);
        expect(elements.map((each) => JSON.parse(each))).toEqual(
          JSON.parse(text),
        );
      }),
    );
  });

  test("are not given out when the text is cut anywhere", () => {
    fc.assert(
      fc.property(array, fc.nat(), ({ text }, at) => {
        const whole = text.trimEnd();
        const cut = whole.slice(0, at % whole.length);
        expect(() => elementTexts(cut)).toThrow(MalformedError);
      }),
    );
  });

  test.each(["", "{}", "null", '"[]"', "[1,]", "[,1]", "[1 2]", "[1}"])(
    "are not in %p",
    (text) => {
      expect(() => elementTexts(text)).toThrow(MalformedError);
    },
  );

  test("may be nested as deep as they like", () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    expect(elementTexts(`[${deep},1]`)).toEqual([deep, "1"]);
  });
});

describe("a member of an object", () => {
  test("is the text of what JSON.parse reads there, also when its name stands twice or is escaped", () => {
    fc.assert(
      fc.property(object, ({ list, text }) => {
        const read = JSON.parse(text);
        for (const { name } of list) {
          const found = memberText(text, name);
          expect(found).toBe(
            list.findLast((other) => other.name === name)?.value,
          );
          expect(JSON.parse(found ?? "")).toEqual(
            Object.getOwnPropertyDescriptor(read, name)?.value,
          );
        }
        expect(memberText(text, "no such name")).toBeUndefined();
      }),
    );
  });

  test("is looked for in this object only", () => {
    expect(memberText('{"a":{"b":1},"c":"\\"b\\":2"}', "b")).toBeUndefined();
    expect(memberText("{}", "b")).toBeUndefined();
  });

  test("is not given out when the text is cut anywhere", () => {
    fc.assert(
      fc.property(object, fc.nat(), ({ list, text }, at) => {
        const whole = text.trimEnd();
        const cut = whole.slice(0, at % whole.length);
        expect(() => memberText(cut, list[0]?.name ?? "a")).toThrow(
          MalformedError,
        );
      }),
    );
  });

  test.each([
    "",
    "[]",
    "null",
    '{"a":1,}',
    '{"a" 1}',
    "{a:1}",
    '{"a":1 "b":2}',
    '{"a":}',
    '{"\\x":1}',
  ])("is not in %p", (text) => {
    expect(() => memberText(text, "a")).toThrow(MalformedError);
  });
});

describe("an object", () => {
  test("is parsed", () => {
    expect(parseObject(' {"a":[1]} ')).toEqual({ a: [1] });
  });

  test.each([
    ["", "not JSON"],
    ["{", "not JSON"],
    ["<html>", "not JSON"],
    ["[]", "not a JSON object"],
    ["null", "not a JSON object"],
    ["7", "not a JSON object"],
    ['"{}"', "not a JSON object"],
  ])("is not %p", (text, complaint) => {
    expect(() => parseObject(text)).toThrow(new MalformedError(complaint));
  });

  test.each([
    [{}, true],
    [{ a: 1 }, true],
    [null, false],
    [[], false],
    ["{}", false],
    [undefined, false],
  ])("%j: %p", (value, expected) => {
    expect(isObject(value)).toBe(expected);
  });
});

describe("members of the venue's objects", () => {
  test.each([
    ["AAPL", "AAPL"],
    [" ", " "],
    ["0", "0"],
    [0, "0"],
    [1.5, "1.5"],
    [false, "false"],
    ["", undefined],
    [null, undefined],
    [undefined, undefined],
  ])("the text of %p is %p", (value, text) => {
    expect(readText(value)).toBe(text);
  });

  test.each([[{}], [[]], [["a"]]])("%p is no text", (value) => {
    expect(() => readText(value)).toThrow(MalformedError);
  });

  test.each([
    ["129.70", "129.70"],
    ["-0.000195", "-0.000195"],
    ["+5.", "+5."],
    [".5", ".5"],
    ["1.5E-10", "1.5E-10"],
    ["7446469938634049684.000000001", "7446469938634049684.000000001"],
    [12.5, "12.5"],
    [0, "0"],
    ["", undefined],
    [null, undefined],
    [undefined, undefined],
  ])("the decimal of %p is %p", (value, text) => {
    expect(readDecimal(value, "qty")).toBe(text);
  });

  test.each([
    "NaN",
    "Infinity",
    "1,000",
    "$5",
    " 1",
    "1 ",
    ".",
    "-",
    "1e",
    "1e99999",
    "0x10",
    "1_000",
    true,
  ])("%p is no decimal, and the complaint names the member", (value) => {
    expect(() => readDecimal(value, "filled_qty")).toThrow(
      new MalformedError(`filled_qty is no decimal: ${String(value)}`),
    );
  });

  test("a UUID is read in lower case", () => {
    const upper = "B28E2B24-B1B2-40CC-8979-63F45E8EDC02";
    expect(readUuid(upper, "id")).toBe(upper.toLowerCase());
    expect(isUuid(upper)).toBe(true);
    expect(readUuid("", "id")).toBeUndefined();
    expect(readUuid(null, "id")).toBeUndefined();
  });

  test.each([
    "b28e2b24b1b240cc897963f45e8edc02",
    "b28e2b24-b1b2-40cc-8979-63f45e8edc0",
    "b28e2b24-b1b2-40cc-8979-63f45e8edc02 ",
    "{b28e2b24-b1b2-40cc-8979-63f45e8edc02}",
    "g28e2b24-b1b2-40cc-8979-63f45e8edc02",
    "new",
  ])("%p is no UUID, and the complaint names the member", (value) => {
    expect(isUuid(value)).toBe(false);
    expect(() => readUuid(value, "order id")).toThrow(
      new MalformedError(`order id is no UUID: ${value}`),
    );
  });
});

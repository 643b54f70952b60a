/** Arithmetic on decimal texts, held against whole numbers of any size. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { compare, multiply, negate } from "../../schema/decimal.ts";

interface Written {
  /** The value is digits / 10^scale. */
  readonly digits: bigint;
  readonly scale: number;
  readonly text: string;
}

/** A decimal in one of the ways it may be written: with a point, or with an exponent. */
const written: fc.Arbitrary<Written> = fc
  .record({
    digits: fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }),
    scale: fc.nat({ max: 20 }),
    pointAt: fc.nat({ max: 20 }),
    sign: fc.constantFrom("", "+"),
  })
  .map(({ digits, scale, pointAt, sign }) => {
    const magnitude = (digits < 0n ? -digits : digits)
      .toString()
      .padStart(pointAt + 1, "0");
    const cut = magnitude.length - pointAt;
    const exponent = pointAt === scale ? "" : `e${pointAt - scale}`;
    const point = pointAt === 0 ? "" : ".";
    return {
      digits,
      scale,
      text: `${digits < 0n ? "-" : sign}${magnitude.slice(0, cut)}${point}${magnitude.slice(cut)}${exponent}`,
    };
  });

/** Value of a text without exponent, by the scale of another. */
function atScale(text: string, scale: number): bigint {
  const decimals = text.split(".")[1]?.length ?? 0;
  return BigInt(text.replace(".", "")) * 10n ** BigInt(scale - decimals);
}

test("a product has every digit, and never an exponent", () => {
  fc.assert(
    fc.property(written, written, (a, b) => {
      const product = multiply(a.text, b.text);
      expect(product).toMatch(/^-?\d+(\.\d+)?$/);
      expect(atScale(product, 80)).toBe(
        a.digits * b.digits * 10n ** BigInt(80 - a.scale - b.scale),
      );
    }),
  );
});

test("a comparison is that of the values, however they are written", () => {
  const pairs = fc.oneof(
    fc.tuple(written, written),
    // The same value with more zeros behind it.
    fc.tuple(written, fc.nat({ max: 9 })).map(([a, zeros]) => {
      const digits = a.digits * 10n ** BigInt(zeros);
      const scale = a.scale + zeros;
      return [a, { digits, scale, text: `${digits}e-${scale}` }] as const;
    }),
  );
  fc.assert(
    fc.property(pairs, ([a, b]) => {
      const left = a.digits * 10n ** BigInt(b.scale);
      const right = b.digits * 10n ** BigInt(a.scale);
      expect(compare(a.text, b.text)).toBe(
        left < right ? -1 : left > right ? 1 : 0,
      );
    }),
  );
});

test.each([
  ["129.7", "0.0851119", "11.03901343"],
  ["0.10", "3", "0.30"],
  ["1790.86", "105.8988475", "189650.010033850"],
  ["-1", "0.5", "-0.5"],
  ["-0", "5.0", "0.0"],
  ["5.", ".5", "2.5"],
  ["1.5e-3", "2", "0.0030"],
  ["1E+3", "2", "2000"],
  ["+2", "2", "4"],
])("%s × %s is %s", (a, b, product) => {
  expect(multiply(a, b)).toBe(product);
});

test.each([
  ["11.03901343", "-11.03901343"],
  ["-1.50", "1.50"],
  ["+5", "-5"],
  ["0.00", "0.00"],
])("the negative of %s is %s", (a, negative) => {
  expect(negate(a)).toBe(negative);
});

test.each(["", ".", "-", "e5", "1e", "1,5", "1.2.3", " 1", "0x10", "NaN"])(
  "%p is no decimal",
  (text) => {
    const complaint = new RangeError(`no decimal: ${text}`);
    expect(() => multiply(text, "1")).toThrow(complaint);
    expect(() => compare("1", text)).toThrow(complaint);
    expect(() => negate(text)).toThrow(complaint);
  },
);

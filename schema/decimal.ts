/** Exact arithmetic on the decimals that venues write as text. */

interface Decimal {
  readonly digits: bigint;
  /** Digits after the point. */
  readonly scale: number;
}

/** `a × b` with every digit; the scale is the sum of both, trailing zeros kept. */
export function multiply(a: string, b: string): string {
  const [left, right] = [parse(a), parse(b)];
  return format({
    digits: left.digits * right.digits,
    scale: left.scale + right.scale,
  });
}

/** `-1`, `0` or `1` as `a` is less than, equal to or greater than `b`. */
export function compare(a: string, b: string): -1 | 0 | 1 {
  const [left, right] = [parse(a), parse(b)];
  const scale = Math.max(left.scale, right.scale);
  const difference =
    left.digits * 10n ** BigInt(scale - left.scale) -
    right.digits * 10n ** BigInt(scale - right.scale);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function negate(a: string): string {
  const { digits, scale } = parse(a);
  return format({ digits: -digits, scale });
}

function parse(text: string): Decimal {
  const match = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null || (match[2] === "" && match[3] === ""))
    throw new RangeError(`no decimal: ${text}`);
  const [, sign, whole = "", fraction = "", exponent = "0"] = match;
  const digits = BigInt(`${whole}${fraction}`) * (sign === "-" ? -1n : 1n);
  const scale = fraction.length - Number(exponent);
  return scale >= 0
    ? { digits, scale }
    : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

function format({ digits, scale }: Decimal): string {
  const sign = digits < 0n ? "-" : "";
  const text = (digits < 0n ? -digits : digits)
    .toString()
    .padStart(scale + 1, "0");
  return scale === 0
    ? `${sign}${text}`
    : `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`;
}

/**
 * Numbers as the venue writes them: plain, with an exponent, with a fraction
 * where one expects none, and sometimes as text.
 */
import { MalformedError } from "../../../schema/read.ts";

export type Members = Readonly<Record<string, unknown>>;

const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$/;

/**
 * Zero is what the venue writes where it knows no price.
 * @throws MalformedError naming the member
 */
export function priceOf(value: unknown, name: string): number {
  const price = numberOf(value);
  if (price !== undefined && price > 0) return price;
  throw new MalformedError(`${name} is no price: ${shown(value)}`);
}

/** @throws MalformedError naming the member */
export function amountOf(value: unknown, name: string): number {
  const amount = numberOf(value);
  if (amount !== undefined && amount >= 0) return amount;
  throw new MalformedError(`${name} is no amount: ${shown(value)}`);
}

/** @throws MalformedError naming the member when it is neither absent nor an amount */
export function optionalAmount(
  value: unknown,
  name: string,
): number | undefined {
  return value === undefined || value === null
    ? undefined
    : amountOf(value, name);
}

/** Undefined for what is no finite number. */
export function numberOf(value: unknown): number | undefined {
  // Looked at first, since nearly everything is one.
  if (typeof value === "number")
    return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "string" || !DECIMAL.test(value)) return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

export function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number"
    ? String(value).slice(0, 40)
    : typeof value;
}

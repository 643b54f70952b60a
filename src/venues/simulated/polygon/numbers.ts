/** Numbers as the venue writes them: its servers print the shortest text that is exact, and nanoseconds with all their digits. */
import { nanosOfMs } from "../stamps.ts";

declare global {
  interface JSON {
    /** A value that is written as this text. */
    rawJSON(text: string): object;
  }
}

/** What JSON is made of: a number, or the text of one that would be written in another way. */
export type Written = number | object;

/** From here on, and below {@link SMALLEST}, with an exponent. */
const LARGEST = 1e6;
const SMALLEST = 1e-4;

/** `1.029145e+06`, but `826300`: the exponent has two digits at least. */
export function written(value: number): Written {
  const size = Math.abs(value);
  if (size === 0 || (size >= SMALLEST && size < LARGEST)) return value;
  const [mantissa = "", exponent = ""] = value.toExponential().split("e");
  const digits = exponent.slice(1).padStart(2, "0");
  return JSON.rawJSON(`${mantissa}e${exponent.charAt(0)}${digits}`);
}

/** 19 digits, more than a number holds. */
export function nanoseconds(ms: number): Written {
  return JSON.rawJSON(String(nanosOfMs(ms)));
}

/** `"4989.0"`: a decimal always shows a fraction. */
export function decimalText(value: number): string {
  const text = value.toFixed(6).replace(/0+$/, "");
  return text.endsWith(".") ? `${text}0` : text;
}

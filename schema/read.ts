/**
 * Readers of venue text that keep it as it came. `JSON.parse` would round a
 * 19-digit number and forget how the text was written, so what must be stored
 * exactly is cut out of the text, and only what is compared is parsed.
 */

/** The text is not what its place in the protocol says it must be. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

/**
 * The texts of the elements of a JSON array, each exactly as it stands.
 * @throws MalformedError when the text is no complete array.
 */
export function elementTexts(text: string): string[] {
  let at = skipSpace(text, 0);
  if (text[at] !== "[") throw new MalformedError("not a JSON array");
  const elements: string[] = [];
  at = skipSpace(text, at + 1);
  if (text[at] === "]") return elements;
  for (;;) {
    const end = endOfValue(text, at);
    elements.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === "]") return elements;
    if (text[at] !== ",") throw new MalformedError("array is cut short");
    at = skipSpace(text, at + 1);
  }
}

/**
 * The text of one member of a JSON object, exactly as it stands; undefined when
 * the object has no such member (nested objects are not searched). Of a name that
 * stands twice the last counts, as it does for `JSON.parse`.
 * @throws MalformedError when the text is no complete object.
 */
export function memberText(text: string, name: string): string | undefined {
  let at = skipSpace(text, 0);
  if (text[at] !== "{") throw new MalformedError("not a JSON object");
  at = skipSpace(text, at + 1);
  if (text[at] === "}") return undefined;
  let found: string | undefined;
  for (;;) {
    const nameEnd = endOfString(text, at);
    const isWanted = readString(text.slice(at, nameEnd)) === name;
    at = skipSpace(text, nameEnd);
    if (text[at] !== ":") throw new MalformedError("object is cut short");
    at = skipSpace(text, at + 1);
    const end = endOfValue(text, at);
    if (isWanted) found = text.slice(at, end);
    at = skipSpace(text, end);
    if (text[at] === "}") return found;
    if (text[at] !== ",") throw new MalformedError("object is cut short");
    at = skipSpace(text, at + 1);
  }
}

/**
 * Parses a JSON object.
 * @throws MalformedError when the text is anything else.
 */
export function parseObject(text: string): Record<string, unknown> {
  const value = parse(text);
  if (!isObject(value)) throw new MalformedError("not a JSON object");
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text member; empty text, null and absence are all undefined. */
export function readText(value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean")
    return String(value);
  throw new MalformedError("a text is expected");
}

const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?$/;

/**
 * A decimal as the venue wrote it, for a `numeric` column.
 * @throws MalformedError naming the member when it is neither absent nor a decimal.
 */
export function readDecimal(value: unknown, name: string): string | undefined {
  const text = readText(value);
  if (text === undefined) return undefined;
  if (!DECIMAL.test(text))
    throw new MalformedError(`${name} is no decimal: ${text}`);
  return text;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** @throws MalformedError naming the member when it is neither absent nor a UUID. */
export function readUuid(value: unknown, name: string): string | undefined {
  const text = readText(value);
  if (text === undefined) return undefined;
  if (!isUuid(text)) throw new MalformedError(`${name} is no UUID: ${text}`);
  return text.toLowerCase();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MalformedError("not JSON", { cause: error });
  }
}

/** What a quoted text says: most have nothing escaped. */
function readString(quoted: string): unknown {
  return quoted.includes("\\") ? parse(quoted) : quoted.slice(1, -1);
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

/** Index after the closing quote of the string that opens at `from`. */
function endOfString(text: string, from: number): number {
  if (text[from] !== '"')
    throw new MalformedError("a name or text is expected");
  let at = text.indexOf('"', from + 1);
  while (at !== -1) {
    let backslashes = 0;
    while (text[at - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return at + 1;
    at = text.indexOf('"', at + 1);
  }
  throw new MalformedError("text is cut short");
}

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;

/** Index after the value that starts at `from`: brackets are balanced, strings skipped. */
function endOfValue(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return endOfString(text, from);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET)
    return endOfScalar(text, from);
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    at++;
    if (depth === 0) return at;
  }
  throw new MalformedError("value is cut short");
}

function endOfScalar(text: string, from: number): number {
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (
      code === COMMA ||
      code === CLOSE_BRACE ||
      code === CLOSE_BRACKET ||
      code <= 0x20
    )
      break;
    at++;
  }
  if (at === from) throw new MalformedError("a value is expected");
  return at;
}

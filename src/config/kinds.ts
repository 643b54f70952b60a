/** The kinds of value a variable can have: each takes the text and gives the value, or says what it must be. */
import { z } from "zod";
import type { AssetClass } from "../../schema/market.ts";
import { symbolOf } from "../../schema/symbol.ts";
import { SECOND } from "../clock.ts";
import { postgresUrl } from "./postgresUrl.ts";

/** Any text. */
export function text() {
  return z.string();
}

/** A key, password or token: no blanks inside, since none has them and a pasted line break is a usual slip. */
export function credential() {
  return kind("must have no blanks or control characters in it", (value) => {
    const trimmed = value.trim();
    return /^[^\s\p{Cc}]+$/u.test(trimmed) ? trimmed : undefined;
  });
}

/** A whole number. */
export function whole(min: number, max: number) {
  return kind(`must be a whole number from ${min} to ${max}`, (value) =>
    /^[+-]?\d+$/.test(value) ? within(Number(value), min, max) : undefined,
  );
}

/** Seconds, fractions allowed, given back in milliseconds. */
export function seconds(min: number, max: number) {
  return kind(`must be a number of seconds from ${min} to ${max}`, (value) => {
    const number = /^[+-]?\d+(\.\d+)?$/.test(value)
      ? within(Number(value), min, max)
      : undefined;
    return number === undefined ? undefined : Math.round(number * SECOND);
  });
}

const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ["1", true],
  ["true", true],
  ["yes", true],
  ["on", true],
  ["0", false],
  ["false", false],
  ["no", false],
  ["off", false],
]);

export function flag() {
  return kind("must be one of 1, true, yes, on, 0, false, no, off", (value) =>
    FLAGS.get(value.toLowerCase()),
  );
}

/** One of `choices`, in either case; `aliases` are other spellings of them. */
export function oneOf<const Choice extends string>(
  choices: readonly Choice[],
  aliases: Readonly<Record<string, Choice>> = {},
) {
  const spellings = new Map<string, Choice>([
    ...Object.entries(aliases),
    ...choices.map((choice) => [choice, choice] as const),
  ]);
  const byLowerCase = new Map(
    [...spellings].map(([name, choice]) => [name.toLowerCase(), choice]),
  );
  return kind(`must be one of ${choices.join(", ")}`, (value) =>
    byLowerCase.get(value.toLowerCase()),
  );
}

/** Some of `choices` with commas between them, or `all`. */
export function someOf<const Choice extends string>(
  choices: readonly Choice[],
) {
  const one = oneOf(choices);
  return kind(
    `must be all, or some of ${choices.join(", ")} with commas between them`,
    (value): ReadonlySet<Choice> | undefined => {
      if (value.toLowerCase() === "all") return new Set(choices);
      const items = commaList(value).map((item) => one.safeParse(item));
      const chosen = items.flatMap((item) => (item.success ? [item.data] : []));
      return chosen.length === items.length && chosen.length > 0
        ? new Set(chosen)
        : undefined;
    },
  );
}

/** A URL with one of these schemes and a host; given back without a slash at its end. */
export function url(...schemes: readonly string[]) {
  return kind(
    `must be a URL with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`,
    (value) => {
      const parsed = URL.parse(value);
      return parsed !== null &&
        parsed.hostname !== "" &&
        schemes.includes(parsed.protocol.slice(0, -1))
        ? value.replace(/\/+$/, "")
        : undefined;
    },
  );
}

/** Any form of a Postgres address, given back as a `postgres://` URL. */
export function postgresAddress() {
  return z.string().transform((value, context) => {
    try {
      return postgresUrl(value);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      context.addIssue({ code: "custom", message: error.message });
      return z.NEVER;
    }
  });
}

/** A name that Postgres takes without quotes, and whole. */
export function identifier() {
  return kind(
    "must be a plain identifier: a-z, 0-9 and _, no digit first, at most 63 characters",
    (value) => (/^[a-z_][a-z0-9_]{0,62}$/.test(value) ? value : undefined),
  );
}

/** `host:port` of a host that answers there. */
export function hostPorts() {
  return kind(
    "must be host:port, several with commas between them",
    (value) => {
      const items = commaList(value);
      return items.length > 0 && items.every(isHostPort) ? items : undefined;
    },
  );
}

/** The name or address of an interface or a peer, without a port. */
export function hostName() {
  return kind("must be a host name or an address", (value) =>
    /^[\w.-]+$|^\[?[\da-f:.]*:[\da-f:.]*\]?$/i.test(value) ? value : undefined,
  );
}

/** Most symbols a default subscription may name. */
export const SYMBOLS_MAX = 10_000;

/** Symbols as a comma list or a JSON array; trimmed and in upper case. */
export function symbols() {
  return kind(
    `must be symbols with commas between them, or a JSON array of them, at most ${SYMBOLS_MAX}`,
    (value) => {
      const items = value.startsWith("[") ? jsonTexts(value) : commaList(value);
      const named = items?.map((item) => item.trim().toUpperCase());
      return named !== undefined &&
        named.length <= SYMBOLS_MAX &&
        named.every((item) => /^[A-Z0-9][A-Z0-9./:_-]{0,31}$/.test(item))
        ? named
        : undefined;
    },
  );
}

/** The same for symbols of one asset class, each in its right spelling: `BTCUSD` becomes `BTC/USD`. */
export function symbolsOf(assetClass: AssetClass) {
  return symbols().transform((items, context): readonly string[] => {
    const found = items.map((item) => symbolOf(item, assetClass));
    const wrong = items.filter((_, index) => found[index] === undefined);
    if (wrong.length > 0)
      context.addIssue({
        code: "custom",
        message: `must be symbols of ${assetClass === "stock" ? "stocks (AAPL)" : "crypto pairs (BTC/USD)"}: ${wrong.slice(0, 5).join(", ")} is none`,
      });
    return [...new Set(found.filter((symbol) => symbol !== undefined))];
  });
}

function isHostPort(item: string): boolean {
  const port = /^(?:[\w.-]+|\[[\da-f:]+\]):(\d+)$/i.exec(item)?.[1];
  return port !== undefined && within(Number(port), 1, 65_535) !== undefined;
}

function jsonTexts(value: string): readonly string[] | undefined {
  try {
    return z.array(z.string()).safeParse(JSON.parse(value)).data;
  } catch {
    return undefined;
  }
}

function commaList(value: string): string[] {
  return value
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}

function kind<Value>(
  expected: string,
  read: (value: string) => Value | undefined,
) {
  return z.string().transform((value, context): Value => {
    const found = read(value.trim());
    if (found !== undefined) return found;
    context.addIssue({ code: "custom", message: expected });
    return z.NEVER;
  });
}

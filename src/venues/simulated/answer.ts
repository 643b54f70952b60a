/** Answers of the venue's REST face. */

/** Thrown by what cannot be done; becomes the venue's error body. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(
    readonly status: number,
    readonly code: number | undefined,
    message: string,
    readonly members: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

export function json(value: unknown, status = 200): Response {
  return jsonText(JSON.stringify(value), status);
}

/** For what is JSON already: a row must leave the venue digit by digit as it was booked. */
export function jsonText(text: string, status = 200): Response {
  return new Response(text, {
    status,
    headers: { "Content-Type": "application/json; charset=UTF-8" },
  });
}

export function refusalAnswer({
  status,
  code,
  message,
  members,
}: Refusal): Response {
  return json(
    { ...(code === undefined ? {} : { code }), message, ...members },
    status,
  );
}

export function unprocessable(message: string): Refusal {
  return new Refusal(422, 40010001, message);
}

/** A whole number in bounds; beyond them the venue refuses. */
export function countOf(
  query: URLSearchParams,
  name: string,
  { fallback, max }: { fallback: number; max: number },
): number {
  const text = query.get(name);
  if (text === null) return fallback;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > max) throw unprocessable(`invalid ${name}: ${text}`);
  return count;
}

/** As the venue's own language reads a truth value; Python's clients write `True`. */
export function flagOf(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  if (text === null || /^(0|f|false)$/i.test(text)) return false;
  if (/^(1|t|true)$/i.test(text)) return true;
  throw unprocessable(`invalid ${name}: ${text}`);
}

/** A word of a list, or nothing when the parameter is absent. */
export function wordOf(
  query: URLSearchParams,
  name: string,
  words: readonly string[],
): string | undefined {
  const text = query.get(name) ?? undefined;
  if (text !== undefined && !words.includes(text))
    throw unprocessable(`invalid ${name}: ${text}`);
  return text;
}

export function directionOf(query: URLSearchParams): "asc" | "desc" {
  return wordOf(query, "direction", ["asc", "desc"]) === "asc" ? "asc" : "desc";
}

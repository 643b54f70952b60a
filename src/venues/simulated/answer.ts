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
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > max)
    throw unprocessable(`invalid ${name}: ${text}`);
  return count;
}

export function directionOf(query: URLSearchParams): "asc" | "desc" {
  const direction = query.get("direction") ?? "desc";
  if (direction !== "asc" && direction !== "desc")
    throw unprocessable(`invalid direction: ${direction}`);
  return direction;
}

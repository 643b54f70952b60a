/** Pages of lists: the cursor is the query of the next page, in base 64 without padding. */
import { badRequest } from "./refusal.ts";

export function encodeCursor(
  parameters: Readonly<Record<string, string>>,
): string {
  const text = new URLSearchParams(parameters).toString();
  return Buffer.from(text).toString("base64").replace(/=+$/, "");
}

/** The parameters of a request, those that its cursor holds in the first place. */
export function queryOf(url: URL): URLSearchParams {
  const query = new URLSearchParams(url.searchParams);
  const cursor = query.get("cursor");
  if (cursor === null) return query;
  const text = Buffer.from(cursor, "base64").toString();
  for (const [name, value] of new URLSearchParams(text)) query.set(name, value);
  query.delete("cursor");
  return query;
}

export function limitOf(
  query: URLSearchParams,
  { fallback, max }: { readonly fallback: number; readonly max: number },
): number {
  const text = query.get("limit");
  if (text === null) return fallback;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > max)
    throw badRequest(`limit must be between 1 and ${max}`);
  return limit;
}

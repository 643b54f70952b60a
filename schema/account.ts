/**
 * Name of an account as it stands in table names: lower case, each character
 * outside `a-z0-9_` an underscore, runs of underscores one, none at the ends;
 * `dest` when nothing is left; `d_` in front of a leading digit.
 */
export function accountSlug(name: string): string {
  const slug = name
    .toLowerCase()
    .replace(/[^a-z0-9_]/g, "_")
    .replace(/_+/g, "_")
    .replace(/^_|_$/g, "");
  if (slug === "") return "dest";
  return /^[0-9]/.test(slug) ? `d_${slug}` : slug;
}

/** Postgres cuts identifiers at this many bytes, silently: longer names are refused by us. */
export const IDENTIFIER_BYTES_MAX = 63;

/** Longest name that is made from a slug (an index): what the slug has to leave room for. */
export const LONGEST_NAME_AROUND_SLUG = "idx__activities_exec_id";

/** Longest slug whose table and index names Postgres keeps whole. */
export const SLUG_LENGTH_MAX =
  IDENTIFIER_BYTES_MAX - LONGEST_NAME_AROUND_SLUG.length;

/** One brokerage account to capture: an entry of `DESTINATIONS`. */
export interface Account {
  /** As the user wrote it. */
  readonly name: string;
  /** As tables and routes spell it; unique in a configuration. */
  readonly slug: string;
  /** REST host without a trailing slash, e.g. `https://paper-api.alpaca.markets`. */
  readonly restUrl: string;
  /** WebSocket address of `trade_updates`, e.g. `wss://paper-api.alpaca.markets/stream`. */
  readonly streamUrl: string;
  readonly keyId: string;
  readonly secretKey: string;
  readonly allowTrading: boolean;
  /** Starting cash in account currency, when the user gave it. */
  readonly initialDeposit?: number;
}

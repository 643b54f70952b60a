/** `DESTINATIONS`: the accounts to capture, from JSON or from bare names. */
import { z } from "zod";
import {
  accountSlug,
  SLUG_LENGTH_MAX,
  type Account,
} from "../../schema/account.ts";
import { present, readSecret, type Sources } from "./environment.ts";
import { credential } from "./kinds.ts";

/** Most accounts one process captures: each has a connection, a queue and a database table set of its own. */
export const ACCOUNTS_MAX = 1000;

const PAPER_HOST = "https://paper-api.alpaca.markets";
const LIVE_HOST = "https://api.alpaca.markets";

export interface TradingAddresses {
  /** `ALPACA_TRADING_URL`: REST host of accounts that name none. */
  readonly restUrl?: string | undefined;
  /** `ALPACA_TRADING_STREAM_URL`: the stream of every account. */
  readonly streamUrl?: string | undefined;
}

/**
 * The accounts that `text` names. `origin` is the variable it came from, for the
 * problems. An entry's own members win over `ALPACA_…_<NAME>`.
 *
 * An account without an address anywhere gets the host its key is for: Alpaca's
 * live keys start with AK. Its name says nothing: `live` is just a name.
 */
export function readDestinations(
  text: string,
  origin: string,
  addresses: TradingAddresses,
  sources: Sources,
  problems: string[],
): Account[] {
  const entries = readEntries(text, origin, problems);
  if (entries.length > ACCOUNTS_MAX) {
    problems.push(
      `${origin} names ${entries.length} accounts; one process takes at most ${ACCOUNTS_MAX}`,
    );
    return [];
  }
  const accounts = entries.flatMap((entry) => {
    const account = complete(entry, origin, addresses, sources, problems);
    return account === undefined ? [] : [account];
  });
  problems.push(
    ...clashes(
      entries.map(({ name }) => name),
      origin,
    ),
    ...streamProblems(accounts, addresses),
  );
  return accounts;
}

/** How a name stands in `ALPACA_API_KEY_<NAME>`. */
export function variableSuffix(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9_]/g, "_");
}

const entrySchema = z.strictObject({
  name: z.string().trim().min(1),
  base_url: z.string().nullish(),
  key_id: z.string().nullish(),
  secret_key: z.string().nullish(),
  allow_trading: z.boolean().nullish(),
  initial_deposit: z
    .union([
      z.number().nonnegative(),
      z
        .string()
        .regex(/^\d+(\.\d+)?$/)
        .transform(Number),
    ])
    .nullish(),
});
type Entry = z.output<typeof entrySchema>;

/** What each member must be: said in our words, since a library's may repeat the value. */
const MEMBERS: Readonly<Record<string, string>> = {
  name: "must be a text that is not empty",
  base_url: "must be a text",
  key_id: "must be a text",
  secret_key: "must be a text",
  allow_trading: "must be true or false",
  initial_deposit: "must be a number, 0 or more",
};

function readEntries(
  text: string,
  origin: string,
  problems: string[],
): Entry[] {
  const trimmed = text.trim();
  if (!/^[[{"]/.test(trimmed))
    return trimmed
      .split(",")
      .map((name) => ({ name: name.trim() }))
      .filter(({ name }) => name !== "");
  const items = readJsonArray(trimmed);
  if (items === undefined) {
    problems.push(
      `${origin} must be a JSON array of accounts, or names with commas between them`,
    );
    return [];
  }
  return items.flatMap((item, index) => {
    const parsed = entrySchema.safeParse(
      typeof item === "string" ? { name: item } : item,
    );
    if (parsed.success) return [parsed.data];
    for (const issue of parsed.error.issues)
      problems.push(`${origin}[${index}] ${describeIssue(issue)}`);
    return [];
  });
}

/** The parser's own message would repeat a piece of the text, which holds secrets. */
function readJsonArray(text: string): unknown[] | undefined {
  try {
    return z.array(z.unknown()).safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const known = `known are ${Object.keys(MEMBERS).join(", ")}`;
  if (issue.code === "unrecognized_keys")
    return `has the unknown member ${issue.keys.join(", ")}; ${known}`;
  const member = issue.path[0];
  return member === undefined
    ? "must be an object or a name"
    : `${String(member)} ${MEMBERS[String(member)]}`;
}

function complete(
  entry: Entry,
  origin: string,
  addresses: TradingAddresses,
  sources: Sources,
  problems: string[],
): Account | undefined {
  const { name } = entry;
  const suffix = variableSuffix(name);
  const label = `${origin} (${name})`;
  const found: string[] = [];
  if (/(^|_)FILE$/.test(suffix))
    found.push(
      `${label}: a name that ends in "file" cannot be told from the file of a secret`,
    );

  const secretOf = (member: "key_id" | "secret_key", prefix: string) => {
    const variable = `${prefix}_${suffix}`;
    const value =
      present(entry[member] ?? undefined) ??
      readSecret(variable, sources, found);
    if (value === undefined) {
      found.push(`${label} has no ${member}: give it, or set ${variable}`);
      return "";
    }
    const checked = credential().safeParse(value);
    if (!checked.success)
      found.push(
        `${label}: ${member} (or ${variable}) must have no blanks or control characters in it`,
      );
    return checked.data ?? "";
  };
  const keyId = secretOf("key_id", "ALPACA_API_KEY");
  const secretKey = secretOf("secret_key", "ALPACA_SECRET_KEY");

  const { variable, address } = addressOf(
    entry,
    suffix,
    keyId,
    addresses,
    sources,
  );
  const restUrl = restHost(address);
  if (restUrl === undefined)
    found.push(
      `${label}: ${variable} must be an https:// or http:// URL without user, query or fragment`,
    );
  problems.push(...found);
  if (found.length > 0 || restUrl === undefined) return undefined;
  return {
    name,
    slug: accountSlug(name),
    restUrl,
    streamUrl:
      addresses.streamUrl ?? `${restUrl.replace(/^http/, "ws")}/stream`,
    keyId,
    secretKey,
    allowTrading: entry.allow_trading ?? false,
    ...(entry.initial_deposit == null
      ? {}
      : { initialDeposit: entry.initial_deposit }),
  };
}

/** The first address there is, and the place it was given in. */
function addressOf(
  entry: Entry,
  suffix: string,
  keyId: string,
  addresses: TradingAddresses,
  sources: Sources,
): { variable: string; address: string } {
  const byName = `ALPACA_BASE_URL_${suffix}`;
  const given = [
    ["base_url", present(entry.base_url ?? undefined)],
    [byName, present(sources.environment[byName])],
    ["ALPACA_TRADING_URL", addresses.restUrl],
  ] as const;
  for (const [variable, address] of given)
    if (address !== undefined) return { variable, address };
  return {
    variable: "base_url",
    address: keyId.startsWith("AK") ? LIVE_HOST : PAPER_HOST,
  };
}

/** Without slashes at the end and without the `/v2` that clients append themselves. */
function restHost(text: string): string | undefined {
  const url = URL.parse(text.trim());
  const isUsable =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === "";
  return isUsable
    ? `${url.origin}${url.pathname.replace(/\/+$/, "").replace(/\/v2$/, "").replace(/\/+$/, "")}`
    : undefined;
}

/** Two accounts in one table, or a table name that Postgres would cut. */
function clashes(names: readonly string[], origin: string): string[] {
  const bySlug = Map.groupBy(names, accountSlug);
  return [...bySlug].flatMap(([slug, [first = "", ...others]]) => [
    ...(slug.length > SLUG_LENGTH_MAX
      ? [
          `${origin} (${first}): ${slug} is too long for a table name by ${slug.length - SLUG_LENGTH_MAX} characters`,
        ]
      : []),
    ...others.map(
      (other) =>
        `${origin}: ${JSON.stringify(first)} and ${JSON.stringify(other)} would share the tables of ${slug}`,
    ),
  ]);
}

function streamProblems(
  accounts: readonly Account[],
  addresses: TradingAddresses,
): string[] {
  const hosts = new Set(accounts.map(({ restUrl }) => restUrl));
  return addresses.streamUrl === undefined || hosts.size < 2
    ? []
    : [
        `ALPACA_TRADING_STREAM_URL is one stream, but the accounts have different hosts: ${[...hosts].join(", ")}`,
      ];
}

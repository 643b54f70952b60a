/** From the raw environment to checked settings: files of secrets read, misspelt names found, every problem kept. */
import { closest } from "../closest.ts";
import { maskUrl } from "./mask.ts";
import {
  ACCOUNT_VARIABLES,
  settingsSchema,
  VARIABLES,
  type Settings,
} from "./variables.ts";

/** Variables by name, as the process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Sources {
  readonly environment: Environment;
  readonly readFile: (path: string) => string;
}

/** The settings, with the default in the place of each value that is wrong; `wrong` holds the names of those. */
export function readSettings(
  sources: Sources,
  problems: string[],
): { settings: Settings; wrong: ReadonlySet<string> } {
  problems.push(...misspelt(sources.environment));
  const given: Record<string, string> = {};
  for (const { name, secret } of VARIABLES) {
    if (ACCOUNT_NAMES.has(name)) continue;
    const value = secret
      ? readSecret(name, sources, problems)
      : present(sources.environment[name]);
    if (value !== undefined) given[name] = value;
  }
  const parsed = settingsSchema.safeParse(given);
  if (parsed.success) return { settings: parsed.data, wrong: new Set() };

  const wrong = new Set<string>();
  for (const { path, message } of parsed.error.issues) {
    const name = String(path[0]);
    const value = given[name] ?? "";
    problems.push(`${name} ${message}${shown(name, value)}`);
    wrong.add(name);
    delete given[name];
  }
  return { settings: settingsSchema.parse(given), wrong };
}

/** A secret from the environment, or from the file that `<NAME>_FILE` names; undefined when absent or unreadable. */
export function readSecret(
  name: string,
  { environment, readFile }: Sources,
  problems: string[],
): string | undefined {
  const value = present(environment[name]);
  // DESTINATIONS_FILE is a variable of its own: its file is read again on SIGHUP.
  const path =
    name === "DESTINATIONS" ? undefined : present(environment[`${name}_FILE`]);
  if (path === undefined) return value;
  if (value !== undefined) {
    problems.push(`${name} and ${name}_FILE are both set: one of them only`);
    return undefined;
  }
  try {
    return present(readFile(path).replace(/[\r\n]+$/, ""));
  } catch {
    problems.push(`${name}_FILE names a file that cannot be read: ${path}`);
    return undefined;
  }
}

/** Set to nothing is the same as not set. */
export function present(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === "" ? undefined : value;
}

const ACCOUNT_NAMES: ReadonlySet<string> = new Set(
  ACCOUNT_VARIABLES.map(({ name }) => name),
);

const SECRET_NAMES: ReadonlySet<string> = new Set(
  VARIABLES.filter(({ secret }) => secret).map(({ name }) => name),
);

const KNOWN_NAMES: ReadonlySet<string> = new Set(
  VARIABLES.flatMap(({ name, secret }) =>
    secret ? [name, `${name}_FILE`] : [name],
  ),
);

/** Beginnings that nobody but us uses: a name with one of them that we do not know is a slip. */
const OUR_PREFIXES = [
  "FEEDKEEPER_",
  "HEALING_",
  "DESTINATION",
  "POSTGRESQL_LIVE_",
];

/** Kubernetes and Docker links name the address of a service called feedkeeper like this. */
const SERVICE_LINK =
  /^FEEDKEEPER_(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/;

function misspelt(environment: Environment): string[] {
  return Object.keys(environment)
    .filter(
      (name) =>
        present(environment[name]) !== undefined &&
        OUR_PREFIXES.some((prefix) => name.startsWith(prefix)) &&
        !KNOWN_NAMES.has(name) &&
        !SERVICE_LINK.test(name),
    )
    .map((name) => {
      const meant = closest(name, KNOWN_NAMES);
      return `${name} is not a variable of feedkeeper${meant === undefined ? "" : `; did you mean ${meant}?`}`;
    });
}

/** Longest piece of a wrong value that a problem repeats. */
const SHOWN_LENGTH_MAX = 60;

function shown(name: string, value: string): string {
  if (SECRET_NAMES.has(name)) return "";
  const masked = maskUrl(value);
  return `, not ${JSON.stringify(
    masked.length > SHOWN_LENGTH_MAX
      ? `${masked.slice(0, SHOWN_LENGTH_MAX)}…`
      : masked,
  )}`;
}

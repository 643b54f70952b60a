/**
 * What a `postgres://` URL says, in the words of the driver. The driver's own
 * reading does not decode database names and socket directories, cuts IPv6
 * hosts at their first colon, and sends libpq's client parameters to the server,
 * which refuses the connection for them.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions } from "node:tls";
import { ConfigError } from "../../errors.ts";

export interface Host {
  /** A name, an address, or the directory of a Unix socket. */
  readonly name: string;
  readonly port: number;
}

/** How TLS is used; the strings are the driver's. */
export type Encryption = false | "prefer" | ConnectionOptions;

export interface Address {
  /** At least one; tried in turn. */
  readonly hosts: readonly Host[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly encryption: Encryption;
  /** TLS from the first byte, without asking the server first. */
  readonly isDirect: boolean;
  readonly connectSecondsMax: number | undefined;
  /** Seconds between probes of an idle connection; 0: none. */
  readonly keepAliveSeconds: number | undefined;
  readonly targetSession: TargetSession | undefined;
  /** What the server itself is told: `application_name`, `options`, `search_path`, … */
  readonly settings: Readonly<Record<string, string>>;
}

const TARGET_SESSIONS = [
  "read-write",
  "read-only",
  "primary",
  "standby",
  "prefer-standby",
] as const;
type TargetSession = (typeof TARGET_SESSIONS)[number];

/** Parameters that libpq keeps to itself and that are read here or mean nothing to this driver. */
const CLIENT_PARAMETERS: ReadonlySet<string> = new Set(
  `sslmode ssl sslnegotiation sslcompression sslcert sslkey sslpassword
  sslrootcert sslcrl sslcrldir sslsni sslcertmode ssl_min_protocol_version
  ssl_max_protocol_version requirepeer require_auth channel_binding gssencmode
  krbsrvname gsslib gssdelegation service passfile connect_timeout keepalives
  keepalives_idle keepalives_interval keepalives_count tcp_user_timeout
  target_session_attrs load_balance_hosts min_protocol_version
  max_protocol_version replication client_encoding fallback_application_name
  application_name`.split(/\s+/),
);

const URL_PARTS =
  /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?]*)(?::(?<password>[^@/?]*))?@)?(?<hosts>[^/?]*)(?:\/(?<database>[^?]*))?(?:\?(?<query>.*))?$/s;

/**
 * Takes a URL whose parts are percent-encoded, as the configuration gives it.
 * @throws ConfigError, which never repeats the URL: it holds a password.
 */
export function readAddress(url: string): Address {
  const parts = URL_PARTS.exec(url)?.groups;
  if (parts === undefined)
    throw new ConfigError(["the database's address is no postgres:// URL"]);
  const parameters = new Map(new URLSearchParams(parts["query"] ?? ""));
  const hosts = (parts["hosts"] || "localhost").split(",").map(readHost);
  const target = parameters.get("target_session_attrs");
  return {
    hosts,
    user: decoded(parts["user"]),
    password: decoded(parts["password"]),
    database: decoded(parts["database"]),
    encryption: encryptionOf(parameters, hosts),
    isDirect: parameters.get("sslnegotiation") === "direct",
    connectSecondsMax: positive(parameters.get("connect_timeout")),
    keepAliveSeconds:
      parameters.get("keepalives") === "0"
        ? 0
        : positive(parameters.get("keepalives_idle")),
    targetSession: TARGET_SESSIONS.find((known) => known === target),
    settings: settingsOf(parameters),
  };
}

function readHost(text: string): Host {
  const [, name = "", port] = /^(.*?)(?::(\d+))?$/s.exec(text) ?? [];
  return {
    name: decodeURIComponent(name.replace(/^\[(.*)\]$/, "$1")),
    port: port === undefined ? 5432 : Number(port),
  };
}

function settingsOf(
  parameters: ReadonlyMap<string, string>,
): Record<string, string> {
  return {
    application_name:
      parameters.get("application_name") ??
      parameters.get("fallback_application_name") ??
      "feedkeeper",
    ...Object.fromEntries(
      [...parameters].filter(([name]) => !CLIENT_PARAMETERS.has(name)),
    ),
  };
}

/**
 * libpq's `sslmode`; absent it is `prefer`, as there. Where libpq would look for a
 * root certificate in the home directory, the machine's own authorities are asked.
 * @throws ConfigError for an unknown mode or a certificate that cannot be read.
 */
function encryptionOf(
  parameters: ReadonlyMap<string, string>,
  hosts: readonly Host[],
): Encryption {
  const root = parameters.get("sslrootcert");
  const mode =
    // asyncpg's and this driver's own word for it.
    parameters.get("sslmode") ?? parameters.get("ssl") ?? defaultMode(root);
  const file = root === undefined || root === "system" ? undefined : root;
  switch (mode) {
    case "disable":
    case "false":
      return false;
    case "allow":
    case "prefer":
      return "prefer";
    case "require":
    case "true":
      // With a root certificate at hand libpq checks the server against it here too.
      return {
        ...identity(parameters),
        ...(file === undefined
          ? { rejectUnauthorized: false }
          : { rejectUnauthorized: true, ca: pem(file), ...ANY_NAME }),
      };
    case "verify-ca":
      return {
        ...identity(parameters),
        rejectUnauthorized: true,
        ...(file === undefined ? {} : { ca: pem(file) }),
        ...ANY_NAME,
      };
    case "verify-full":
      return {
        ...identity(parameters),
        rejectUnauthorized: true,
        ...(file === undefined ? {} : { ca: pem(file) }),
        // An address is not sent as a server name, so it has to be brought in again here.
        checkServerIdentity: (name, certificate) =>
          checkServerIdentity(addressAmong(hosts) ?? name, certificate),
      };
    default:
      throw new ConfigError([
        `the database's address has the unknown sslmode ${mode}`,
      ]);
  }
}

const ANY_NAME = { checkServerIdentity: () => undefined };

function defaultMode(root: string | undefined): string {
  return root === "system" ? "verify-full" : "prefer";
}

function addressAmong(hosts: readonly Host[]): string | undefined {
  return hosts.find(({ name }) => isIP(name) !== 0)?.name;
}

/** Who we are to the server, and which TLS is spoken. */
function identity(parameters: ReadonlyMap<string, string>): ConnectionOptions {
  const certificate = parameters.get("sslcert");
  const key = parameters.get("sslkey");
  const passphrase = parameters.get("sslpassword");
  return {
    ...(certificate === undefined ? {} : { cert: pem(certificate) }),
    ...(key === undefined ? {} : { key: pem(key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...tlsVersion("minVersion", parameters.get("ssl_min_protocol_version")),
    ...tlsVersion("maxVersion", parameters.get("ssl_max_protocol_version")),
  };
}

function tlsVersion(
  bound: "minVersion" | "maxVersion",
  version: string | undefined,
): ConnectionOptions {
  switch (version) {
    case "TLSv1":
    case "TLSv1.1":
    case "TLSv1.2":
    case "TLSv1.3":
      return { [bound]: version };
    default:
      return {};
  }
}

function pem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError([
      `the database's address names the file ${path}, which cannot be read: ${String(error)}`,
    ]);
  }
}

function decoded(text: string | undefined): string | undefined {
  return text === undefined || text === ""
    ? undefined
    : decodeURIComponent(text);
}

function positive(text: string | undefined): number | undefined {
  const number = Number(text);
  return number > 0 ? number : undefined;
}

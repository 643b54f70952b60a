/**
 * The address of a Postgres database in any form found in the wild, made one:
 * `postgres://user:password@host:port/database?parameters`, each part
 * percent-encoded, so that what reads it needs no guessing.
 */

/**
 * Takes a URL (`postgres:`, `postgresql:`, SQLAlchemy's `postgresql+driver:`;
 * a password in it may be unencoded) or libpq's `key=value` pairs. Query
 * parameters are kept. A socket directory stands percent-encoded in the place
 * of the host; no host at all becomes `localhost`.
 *
 * @throws Error with a sentence that never repeats the text, which holds a password
 */
export function postgresUrl(text: string): string {
  const address = /^\s*[\w+-]+:\/\//.test(text)
    ? fromUrl(text.trim())
    : fromPairs(text);
  return render(foldParameters(address));
}

interface Address {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** `host`, `host:port`, `[v6]:port` or a socket directory. */
  readonly hosts: readonly string[];
  readonly database?: string | undefined;
  readonly parameters: readonly [name: string, value: string][];
}

const SCHEME = /^postgres(?:ql)?(?:\+[a-z0-9_]+)?:\/\//i;

/**
 * The password ends at the first `@` after which the rest can be a host, so one
 * with `@`, `#`, `/` or `?` in it is understood even when nobody encoded it.
 */
const AUTHORITY =
  /^(?:(?<user>[^:/?#]*?)(?::(?<password>.*?))?@)?(?<hosts>[^@/?#]*)(?:\/(?<database>[^@?#]*))?(?:\?(?<query>[^#]*))?$/s;

function fromUrl(text: string): Address {
  const scheme = SCHEME.exec(text);
  if (scheme === null)
    throw new Error("is not a postgres:// or postgresql:// URL");
  const groups = AUTHORITY.exec(text.slice(scheme[0].length))?.groups;
  if (groups === undefined) throw new Error("is not a readable URL");
  return {
    user: decoded(groups["user"]),
    password: decoded(groups["password"]),
    hosts: (decoded(groups["hosts"]) ?? "").split(",").filter(Boolean),
    database: decoded(groups["database"]),
    parameters: [...new URLSearchParams(groups["query"] ?? "")],
  };
}

/** Percent-decoded where it was encoded; a stray `%` is taken as it stands. */
function decoded(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The parameters libpq knows; another one is a slip of the pen, as it is for libpq. */
const PARAMETERS: ReadonlySet<string> = new Set(
  `host hostaddr port dbname user password passfile connect_timeout
  client_encoding options application_name fallback_application_name
  keepalives keepalives_idle keepalives_interval keepalives_count
  tcp_user_timeout sslmode sslnegotiation sslcompression sslcert sslkey
  sslpassword sslrootcert sslcrl sslcrldir sslsni sslcertmode
  ssl_min_protocol_version ssl_max_protocol_version requirepeer require_auth
  channel_binding gssencmode krbsrvname gsslib gssdelegation service
  target_session_attrs load_balance_hosts min_protocol_version
  max_protocol_version replication`.split(/\s+/),
);

/** One `key = value`: in single quotes, or bare up to a blank; a backslash takes the next character as it is. */
const PAIR =
  /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(?!')((?:[^\s\\]|\\.)*))(?=\s|$)/sy;

function fromPairs(text: string): Address {
  const pairs: [string, string][] = [];
  PAIR.lastIndex = 0;
  // Not trimmed: a blank at the end may be one that a backslash makes part of a value.
  while (/\S/.test(text.slice(PAIR.lastIndex))) {
    const [, name, quoted, bare] = PAIR.exec(text) ?? [];
    if (name === undefined)
      throw new Error(
        "is neither a postgres:// URL nor libpq key=value pairs (host=… port=… user=… password=… dbname=…)",
      );
    if (!PARAMETERS.has(name))
      throw new Error(`has the unknown parameter ${name}`);
    pairs.push([name, (quoted ?? bare ?? "").replace(/\\(.)/gs, "$1")]);
  }
  if (pairs.length === 0) throw new Error("is empty");
  return { hosts: [], parameters: [...new Map(pairs)] };
}

/** Parameters that are a part of the address move to their place, unless that is taken. A URL may have a `host` parameter for each of several hosts. */
function foldParameters(address: Address): Address {
  const places = new Map(address.parameters);
  const place = (name: string) => places.get(name) || undefined;
  const ports = (place("port") ?? "").split(",");
  const named = [...address.parameters]
    .filter(([name]) => name === "host")
    .flatMap(([, value]) => value.split(","))
    .filter(Boolean);
  // With both given libpq dials hostaddr; the name serves as well, and TLS can check it.
  const hosts =
    named.length > 0 ? named : (place("hostaddr")?.split(",") ?? []);
  return {
    user: address.user ?? place("user"),
    password: address.password ?? place("password"),
    hosts: (address.hosts.length > 0
      ? address.hosts
      : hosts.length > 0
        ? hosts
        : ["localhost"]
    ).map((host, index) => withPort(host, ports[index] ?? ports[0] ?? "")),
    database: address.database ?? place("dbname"),
    parameters: address.parameters.filter(
      ([name]) => !ADDRESS_PARAMETERS.has(name),
    ),
  };
}

const ADDRESS_PARAMETERS: ReadonlySet<string> = new Set([
  "host",
  "hostaddr",
  "port",
  "user",
  "password",
  "dbname",
]);

const PORT = /:(\d*)$/;

function withPort(host: string, port: string): string {
  if (host.startsWith("/")) return port === "" ? host : `${host}:${port}`;
  const bare = /^[^[]*:[^\]]*:/.test(host) ? `[${host}]` : host;
  return port === "" || PORT.test(bare) ? bare : `${bare}:${port}`;
}

function render(address: Address): string {
  const credentials =
    address.user === undefined && address.password === undefined
      ? ""
      : `${encode(address.user ?? "")}${address.password === undefined ? "" : `:${encode(address.password)}`}@`;
  const query = new URLSearchParams([...address.parameters]).toString();
  const hosts = address.hosts.map(renderHost).join(",");
  // Every reader of URLs takes these for steps in a path, encoded or not.
  if (/^\.\.?$/.test(address.database ?? ""))
    throw new Error("has a database name that no URL can hold");
  return `postgres://${credentials}${hosts}/${encode(address.database ?? "")}${query === "" ? "" : `?${query}`}`;
}

function renderHost(host: string): string {
  const port = PORT.exec(host)?.[1];
  const name = host.replace(PORT, "");
  if (port !== undefined && port !== "" && !(+port >= 1 && +port <= 65_535))
    throw new Error("has a port that is not from 1 to 65535");
  const isReadable = /^[\w.-]+$|^\[[0-9a-f:.]+\]$/i.test(name);
  if (!isReadable && !name.startsWith("/"))
    throw new Error("has a host that cannot be a name or an address");
  return `${isReadable ? name : encode(name)}${port ? `:${port}` : ""}`;
}

/** `encodeURIComponent` leaves `'` as it is, which ends a quoted shell word when someone copies the URL. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/'/g, "%27");
}

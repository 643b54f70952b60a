/** Who may ask for what: names the service answers to, writes from other sites, the bearer token. */
import { createHash, timingSafeEqual } from "node:crypto";

export interface AccessRules {
  readonly apiToken?: string;
  readonly host: string;
  readonly port: number;
}

export interface Refusal {
  readonly status: 400 | 401 | 403 | 415 | 421;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Why a request is refused before any route sees it; undefined when it is not.
 * `path` is the one the router goes by, so that both judge the same.
 */
export function refusalOf(
  request: Request,
  path: string,
  rules: AccessRules,
): Refusal | undefined {
  // An old client may send no Host at all; then there is no URL to speak of.
  if (URL.parse(request.url) === null)
    return { status: 400, detail: "Host: is missing or cannot be read" };
  return (
    refusedHost(request, rules) ??
    (isWrite(request) ? refusedWrite(request) : undefined) ??
    refusedToken(request, path, rules)
  );
}

/** `localhost`, 127.0.0.0/8 and ::1: what never leaves the machine. */
export function isLoopback(host: string): boolean {
  const name = bareHost(host);
  return (
    name === "localhost" ||
    name === "::1" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  );
}

export function readsNeedToken(rules: AccessRules): boolean {
  return !isLoopback(rules.host);
}

/** Whether the request carries the token; compared in a time that tells nothing of it. */
export function bearsToken(request: Request, rules: AccessRules): boolean {
  if (rules.apiToken === undefined) return false;
  const given = /^bearer +(\S+) *$/i.exec(
    request.headers.get("authorization") ?? "",
  )?.[1];
  return (
    given !== undefined &&
    timingSafeEqual(sha256(given), sha256(rules.apiToken))
  );
}

/**
 * Orchestrators probe without credentials, so these two answer anyone. What they
 * tell an unauthenticated caller is states and times, never a check's sentence.
 */
const OPEN_PATHS: ReadonlySet<string> = new Set([
  "/health/live",
  "/health/ready",
]);

function refusedToken(
  request: Request,
  path: string,
  rules: AccessRules,
): Refusal | undefined {
  const needed =
    rules.apiToken !== undefined && isWrite(request)
      ? true
      : readsNeedToken(rules) && !OPEN_PATHS.has(path);
  if (!needed || bearsToken(request, rules)) return undefined;
  const given = request.headers.has("authorization");
  return {
    status: 401,
    detail: given
      ? "the token is not the right one"
      : "Authorization: Bearer <API_TOKEN> is required",
    headers: {
      "WWW-Authenticate": `Bearer realm="feedkeeper"${given ? ', error="invalid_token"' : ""}`,
    },
  };
}

/**
 * A page of another site can point a name of its own at 127.0.0.1 and then reads
 * as if it were us, so only names that cannot be someone else's are answered.
 * Bound to every address there is no list of names; the token stands guard there.
 */
function refusedHost(
  request: Request,
  rules: AccessRules,
): Refusal | undefined {
  const bound = bareHost(rules.host);
  if (WILDCARDS.has(bound)) return undefined;
  const asked = hostAsked(request, "http:");
  const name = asked && bareHost(asked.hostname);
  if (name !== undefined && (isLoopback(name) || name === bound))
    return undefined;
  const address = rules.port === 0 ? rules.host : `${rules.host}:${rules.port}`;
  return { status: 421, detail: `unknown host; this service is ${address}` };
}

const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/**
 * Browsers say where a request comes from and pages cannot change that. Where
 * `Sec-Fetch-Site` is sent it decides, since a proxy may rewrite Host and make
 * Origin look foreign; without either header the caller is no browser.
 */
function refusedWrite(request: Request): Refusal | undefined {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const foreign =
    site === null
      ? origin !== null && !isOwnOrigin(request, origin)
      : site !== "same-origin" && site !== "none";
  if (foreign)
    return { status: 403, detail: "writes from other sites are refused" };
  // Forms of other sites can send text and form types without asking first, JSON they cannot.
  const type = request.headers.get("content-type") ?? "";
  if (hasBody(request) && !/^application\/json\s*(;|$)/i.test(type))
    return { status: 415, detail: "the body has to be application/json" };
  return undefined;
}

function isOwnOrigin(request: Request, origin: string): boolean {
  const from = URL.parse(origin);
  if (from === null) return false;
  return hostAsked(request, from.protocol)?.host === from.host;
}

function isWrite(request: Request): boolean {
  return request.method !== "GET" && request.method !== "HEAD";
}

function hasBody(request: Request): boolean {
  return request.body !== null && request.headers.get("content-length") !== "0";
}

/** The host the caller asked for; requests made in the process have only a URL. */
function hostAsked(request: Request, protocol: string): URL | undefined {
  const header = request.headers.get("host") ?? new URL(request.url).host;
  if (!/^[\w.:[\]-]+$/.test(header)) return undefined;
  return URL.parse(`${protocol}//${header}`) ?? undefined;
}

/** Lower case, without the brackets of IPv6 and the dot of a complete name. */
function bareHost(host: string): string {
  return host.toLowerCase().replace(/^\[|\]$|\.$/g, "");
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

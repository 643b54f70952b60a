/** The listening socket under the HTTP side: whether its port can be had, and a server whose stop ends in bounded time. */
import { ConfigError, describeError } from "../errors.ts";
import { SECOND, within } from "../clock.ts";

export interface Address {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

export interface HttpServer {
  /** As a client writes it, without a slash at the end, e.g. `http://127.0.0.1:8000`. */
  readonly url: string;
  /**
   * Takes no more connections and lets the requests under way end for
   * {@link DRAIN_MS_MAX}; what is open then is cut. Never rejects; twice is once.
   */
  stop(): Promise<void>;
}

/** A whole application or a test's stand-in: anything that answers requests. */
export interface HttpApp {
  fetch(request: Request): Response | Promise<Response>;
}

/** How long a stop waits for requests under way; less than the second the tree gives the server for its end. */
export const DRAIN_MS_MAX = SECOND / 2;

/**
 * What the socket itself refuses, with a bare 413. Far above the limit of the
 * application, which refuses with a sentence: a body nobody reads is not kept,
 * so only what the application asks for takes memory.
 */
const SOCKET_BODY_BYTES_MAX = 128 * 1024 * 1024;

/** A connection on which nothing moves is closed after this; longer than any answer may take to begin. */
const IDLE_SECONDS_MAX = 60;

/** Serves until stopped. Rejects when the address cannot be bound. */
export async function listen(
  app: HttpApp,
  { host, port }: Address,
): Promise<HttpServer> {
  const server = Bun.serve({
    hostname: host,
    port,
    development: false,
    maxRequestBodySize: SOCKET_BODY_BYTES_MAX,
    idleTimeout: IDLE_SECONDS_MAX,
    fetch: (request) => app.fetch(asGet(request)),
  });
  let stopped: Promise<void> | undefined;
  return {
    url: urlOf({ host, port: server.port ?? port }),
    stop: () => (stopped ??= drain(server)),
  };
}

/** A port of `host` that nobody had a moment ago. @throws ConfigError when `host` cannot be bound */
export async function freePort(host: string): Promise<number> {
  return bindOnce({ host, port: 0 });
}

/**
 * Found out before anything is started, because a person waits for the answer.
 * @throws ConfigError naming PORT or HOST and what to do
 */
export async function requireFreePort(address: Address): Promise<void> {
  bindOnce(address);
}

/** HEAD is a GET whose body the server keeps back: only so it can say how long the body would be. */
function asGet(request: Request): Request {
  return request.method === "HEAD"
    ? new Request(request, { method: "GET" })
    : request;
}

async function drain(server: Bun.Server<undefined>): Promise<void> {
  try {
    await within(DRAIN_MS_MAX, server.stop(false), "requests under way");
  } catch {
    // Cut, not waited for: a client that never reads would hold the stop for ever.
    void server.stop(true);
  }
}

/** Binds and lets go; returns the port. */
function bindOnce({ host, port }: Address): number {
  try {
    const probe = Bun.listen({
      hostname: host,
      port,
      socket: { data: () => {} },
    });
    probe.stop(true);
    return probe.port;
  } catch (error) {
    throw new ConfigError([complaint({ host, port }, error)]);
  }
}

function complaint({ host, port }: Address, error: unknown): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `PORT: ${port} on ${host} is taken by another program; stop it, or set PORT to a free port (0 takes any)`;
    case "EACCES":
      return `PORT: ${port} on ${host} needs privileges this user does not have; set PORT to one above 1023`;
    default:
      return `HOST: ${describeError(error)}; set HOST to an address of this machine`;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function urlOf({ host, port }: Address): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

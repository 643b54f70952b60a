/** Wrong usage or configuration: every problem at once, exit code 2. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(readonly problems: readonly string[]) {
    super(problems.join("\n"));
  }
}

/** What a failed call to a venue means for the caller. */
export type VenueFailure =
  /** Credentials refused (401, 403): only a new key helps. */
  | "refused"
  /** Too many requests (429): wait, then the same again. */
  | "throttled"
  /** Network, time-out, 5xx: passing, try again. */
  | "unavailable"
  /** 404: the thing asked for is not there. */
  | "absent"
  /** Any other 4xx or a body that cannot be read: a bug on one side. */
  | "rejected";

/** A venue did not answer as asked. `retryAfterMs` is set when it said when to come back. */
export class VenueError extends Error {
  override readonly name = "VenueError";
  readonly failure: VenueFailure;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    details: {
      failure: VenueFailure;
      status?: number | undefined;
      retryAfterMs?: number | undefined;
      cause?: unknown;
    },
  ) {
    super(message, { cause: details.cause });
    this.failure = details.failure;
    this.status = details.status;
    this.retryAfterMs = details.retryAfterMs;
  }

  /** Whether the same request may succeed later without anyone changing anything. */
  shouldRetry(): boolean {
    return this.failure === "throttled" || this.failure === "unavailable";
  }
}

/** The disk cannot take what must be kept: nothing more is accepted until it can. */
export class SpoolFullError extends Error {
  override readonly name = "SpoolFullError";
}

/** The message of anything thrown, with its causes, on one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause =
    error.cause === undefined ? "" : `: ${describeError(error.cause)}`;
  const message = error.message.replace(/\s*\n\s*/g, " ").trim();
  return `${message || error.name}${cause}`;
}

/**
 * The one place where log lines are made: one JSON object a line on stdout
 * (CONTRACT: `time`, `level`, `message`, then fields), secrets removed. On a
 * terminal `serve` prints readable lines instead.
 */
import pino from "pino";
import pretty from "pino-pretty";

export type Logger = pino.Logger;
export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";
export type LogFormat = "json" | "pretty";

const CENSOR = "[redacted]";

/** Members whose values never reach a log line, at the top and two levels down. */
const SECRETS = [
  "key",
  "secret",
  "secretKey",
  "secret_key",
  "password",
  "token",
  "apiToken",
  "apiKey",
  "authorization",
  "Authorization",
  "keyId",
  "key_id",
  "APCA-API-KEY-ID",
  "APCA-API-SECRET-KEY",
].flatMap((name) => ["", "*", "*.*"].map((level) => `${level}["${name}"]`));

export function createLogger(
  options: {
    level?: LogLevel;
    format?: LogFormat;
    destination?: pino.DestinationStream;
  } = {},
): Logger {
  const level = (options.level ?? "INFO").toLowerCase();
  const destination =
    options.destination ??
    (options.format === "pretty"
      ? pretty({
          messageKey: "message",
          ignore: "pid,hostname",
          sync: true,
          translateTime: "HH:MM:ss",
        })
      : pino.destination({ fd: 1, sync: true }));
  return pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
      serializers: { error: serializeError },
      redact: { paths: SECRETS, censor: CENSOR },
      hooks: { streamWrite: withoutUrlSecrets },
    },
    destination,
  );
}

/**
 * A whole line with the passwords in its URLs and the keys in their queries
 * unreadable: errors of drivers and of `fetch` repeat the addresses they were given.
 */
function withoutUrlSecrets(line: string): string {
  return line
    .replace(/(:\/\/[^:@/?#\s"\\]*):[^\s"\\]*@/g, `$1:${CENSOR}@`)
    .replace(
      /([?&][^=&\s"\\]*(?:password|passwd|secret|token|key)[^=&\s"\\]*=)[^&\s"\\]*/gi,
      `$1${CENSOR}`,
    );
}

/** A logger that keeps nothing, for callers that bring none. */
export const silentLogger: Logger = pino({ level: "silent" });

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, cause } = error;
  return {
    name,
    message,
    stack,
    ...(cause === undefined ? {} : { cause: serializeError(cause) }),
  };
}

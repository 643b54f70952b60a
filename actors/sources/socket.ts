/**
 * The one door to WebSockets: dials, pings, and tells once and for all when it
 * is over. No venue's language is spoken here.
 */
import WebSocket from "ws";
import { SECOND } from "../../src/clock.ts";
import { retryAfterMs } from "../../src/venues/fetchText.ts";

/** A handshake that takes longer is given up. */
const HANDSHAKE_MS_MAX = 10 * SECOND;
/** A half-open connection answers nothing: one unanswered ping is one interval, two are the proof. */
const PING_EVERY_MS = 20 * SECOND;
const PONG_WITHIN_MS = 20 * SECOND;
/** A frame longer than this is no message of a venue. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** How a connection ended. */
export interface Closing {
  /** WebSocket close code; 1006 when the connection just broke. */
  readonly code: number;
  readonly reason: string;
  /** HTTP status of a refused upgrade. */
  readonly status?: number;
  /** When the venue said to come back. */
  readonly retryAfterMs?: number;
}

export interface SocketListener {
  opened(): void;
  frame(frame: string | Uint8Array): void;
  /** An answer to the ping sent at `sentAtMs`: the peer had read everything sent before. */
  ponged(sentAtMs: number): void;
  /** Told once; nothing follows. */
  closed(closing: Closing): void;
}

export interface Socket {
  send(frame: string | Uint8Array<ArrayBuffer>): void;
  /** One more ping than the regular ones, to learn at once what has arrived. */
  ping(): void;
  /** Hangs up; the listener is not told. Safe to call twice. */
  close(): void;
}

/** Dials `url`. The listener's methods are called from the network's events: they must not throw. */
export function dial(
  url: string,
  listener: SocketListener,
  options: { headers?: Record<string, string> } = {},
): Socket {
  const socket = new WebSocket(url, {
    handshakeTimeout: HANDSHAKE_MS_MAX,
    maxPayload: FRAME_BYTES_MAX,
    ...(options.headers === undefined ? {} : { headers: options.headers }),
  });
  socket.binaryType = "nodebuffer";
  let over = false;
  let pinging: ReturnType<typeof setInterval> | undefined;
  let pongDue: ReturnType<typeof setTimeout> | undefined;

  const end = () => {
    over = true;
    clearInterval(pinging);
    clearTimeout(pongDue);
    clearTimeout(openingDue);
  };
  const close = (closing: Closing) => {
    if (over) return;
    end();
    socket.terminate();
    listener.closed(closing);
  };
  // The library's own limit is for the HTTP answer; a peer that takes the
  // connection and says nothing is covered here whatever the runtime does.
  const openingDue = setTimeout(
    () => close({ code: 1006, reason: "no handshake within 10 s" }),
    HANDSHAKE_MS_MAX,
  );

  const ping = () => {
    const sentAtMs = Date.now();
    pongDue ??= setTimeout(
      () => close({ code: 1006, reason: "no pong within 20 s" }),
      PONG_WITHIN_MS,
    );
    socket.ping(String(sentAtMs));
  };
  socket.on("open", () => {
    if (over) return;
    clearTimeout(openingDue);
    pinging = setInterval(ping, PING_EVERY_MS);
    ping();
    listener.opened();
  });
  socket.on("pong", (payload: Uint8Array) => {
    if (over) return;
    const sentAtMs = Number(Buffer.from(payload).toString());
    if (!Number.isFinite(sentAtMs) || sentAtMs === 0) return;
    clearTimeout(pongDue);
    pongDue = undefined;
    listener.ponged(sentAtMs);
  });
  socket.on("message", (data: Buffer | string, isBinary: boolean) => {
    if (over) return;
    listener.frame(
      isBinary || typeof data === "string" ? data : data.toString("utf8"),
    );
  });
  socket.on("unexpected-response", (_request, response) => {
    const status = response.statusCode ?? 0;
    const waitMs = retryAfterMs(response.headers["retry-after"]);
    close({
      code: 1006,
      reason: `upgrade refused with ${status}`,
      status,
      ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    });
  });
  socket.on("error", (error: Error) =>
    close({ code: 1006, reason: error.message || "connection failed" }),
  );
  socket.on("close", (code: number, reason: Uint8Array) =>
    close({ code, reason: Buffer.from(reason ?? []).toString() }),
  );

  return {
    send: (frame) => {
      if (!over) socket.send(frame);
    },
    ping: () => {
      if (!over) ping();
    },
    close: () => {
      if (over) return;
      end();
      socket.close(1000);
      // A peer that does not answer the close frame must not keep the connection.
      setTimeout(() => socket.terminate(), SECOND).unref();
    },
  };
}

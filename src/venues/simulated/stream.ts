/**
 * The stream face, `trade_updates`: silent until the client speaks, one JSON
 * object a frame, nothing ever sent again.
 * https://docs.alpaca.markets/docs/websocket-streaming
 */
import { decode, encode } from "@msgpack/msgpack";
import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import { SECOND } from "../../clock.ts";
import { isObject, parseObject } from "../../../schema/read.ts";
import type { TradeUpdate } from "./desk.ts";
import type { FaultBoard } from "./faults.ts";
import type { Credentials } from "./rest.ts";
import { newYorkText } from "./stamps.ts";
import { upgradeOrRefuse } from "./upgrade.ts";

const TRADE_UPDATES = "trade_updates";
const MESSAGE_PACK = "application/msgpack";
/** A client that does not say who it is hangs up after this. Undocumented; market data gives 10 s. */
const AUTH_MS_MAX = 30 * SECOND;
const DEPRECATED =
  'this authentication format is being deprecated. Please use the format: {"action": "auth", "key": "x", "secret": "x"}';

export interface Connection {
  /** The relay's port of this connection. */
  readonly port: number;
  account: string | undefined;
  isListening: boolean;
  /** The upgrade asked for MessagePack instead of JSON. */
  readonly isPacked: boolean;
  /** An update that waits for its successor, to come right before or after it. */
  heldBack:
    { readonly frame: string; readonly comesFirst: boolean } | undefined;
  overdue: ReturnType<typeof setTimeout> | undefined;
}

type Socket = ServerWebSocket<Connection>;

export interface StreamOptions {
  readonly faults: FaultBoard;
  readonly credentials: readonly (Credentials & {
    readonly frames: "binary" | "text";
  })[];
  /** Sockets of one account at a time. */
  readonly perAccountMax: number;
  /** Whether one too many is refused, or the oldest makes room for it. */
  readonly overfull: "refuse" | "replace";
  readonly now: () => number;
}

export class StreamFace {
  /** In the order of their opening. */
  readonly #sockets = new Set<Socket>();
  readonly #delayed = new Set<ReturnType<typeof setTimeout>>();
  /** Slots of sockets that are gone and were not given back. */
  #held: { readonly account: string; readonly untilMs: number }[] = [];

  constructor(readonly options: StreamOptions) {}

  /** Takes the request over, or says why not. */
  upgrade(request: Request, server: Server<Connection>): Response | undefined {
    const { faults } = this.options;
    return upgradeOrRefuse(request, server, { faults }, (port): Connection => ({
      port,
      isPacked: request.headers.get("Content-Type") === MESSAGE_PACK,
      account: undefined,
      isListening: false,
      heldBack: undefined,
      overdue: undefined,
    }));
  }

  readonly handler: WebSocketHandler<Connection> = {
    data: {} as Connection,
    idleTimeout: 120,
    sendPings: true,
    // Who reads too slowly is cut: no update is left out in the middle.
    closeOnBackpressureLimit: true,
    open: (socket) => {
      this.#sockets.add(socket);
      socket.data.overdue = setTimeout(() => socket.close(), AUTH_MS_MAX);
    },
    message: (socket, message) => {
      let frame: Readonly<Record<string, unknown>>;
      try {
        frame = parseObject(textOf(message, socket.data));
      } catch {
        return this.#fail(socket);
      }
      if (frame["action"] === "auth" || frame["action"] === "authenticate")
        this.#authenticate(socket, frame);
      else if (frame["action"] === "listen") this.#listen(socket, frame);
      else this.#fail(socket);
    },
    close: (socket, code) => {
      clearTimeout(socket.data.overdue);
      this.#sockets.delete(socket);
      const { account } = socket.data;
      if (account === undefined || code !== WITHOUT_CLOSE_FRAME) return;
      const held = this.options.faults.strikes("slot-held", account);
      if (held !== undefined)
        this.#held.push({ account, untilMs: this.options.now() + held.byMs });
    },
  };

  /** To every socket of the account that listens, as the faults let it. */
  publish({ account, body }: TradeUpdate): void {
    for (const socket of this.#sockets)
      if (socket.data.account === account && socket.data.isListening)
        this.#deliver(socket, account, body);
  }

  /** The relay's ports of an account's sockets (or of all). */
  ports(account?: string): number[] {
    return this.#socketsOf(account).map(({ data }) => data.port);
  }

  /** What happens to the sockets of an account (or to all) in one instant. */
  instant(kind: "action-error" | "withdrawn", account?: string): void {
    for (const socket of this.#socketsOf(account))
      if (kind === "action-error") this.#fail(socket);
      else {
        socket.data.isListening = false;
        this.#send(socket, listening([]));
      }
  }

  /** Nothing is sent any more. */
  stop(): void {
    for (const timer of this.#delayed) clearTimeout(timer);
    for (const { data } of this.#sockets) clearTimeout(data.overdue);
  }

  #authenticate(
    socket: Socket,
    frame: Readonly<Record<string, unknown>>,
  ): void {
    const { credentials, faults } = this.options;
    const legacy = isObject(frame["data"]) ? frame["data"] : undefined;
    const [keyId, secretKey] =
      legacy === undefined
        ? [frame["key"], frame["secret"]]
        : [legacy["key_id"], legacy["secret_key"]];
    const account = credentials.find(
      (known) => known.keyId === keyId && known.secretKey === secretKey,
    )?.name;
    if (account === undefined) return this.#refuse(socket, DOCUMENTED);
    if (faults.strikes("auth-refused", account))
      return this.#refuse(socket, OBSERVED);
    if (faults.strikes("no-answer", account)) return;
    if (!this.#makeRoom(socket, account)) return this.#fail(socket);
    clearTimeout(socket.data.overdue);
    socket.data.account = account;
    this.#send(
      socket,
      authorization({
        action: "authenticate",
        ...(legacy === undefined ? {} : { message: DEPRECATED }),
        status: "authorized",
      }),
    );
  }

  /** False when the account has no slot left for this socket. */
  #makeRoom(socket: Socket, account: string): boolean {
    const { perAccountMax, overfull, now } = this.options;
    this.#held = this.#held.filter(({ untilMs }) => untilMs > now());
    const others = this.#socketsOf(account).filter((each) => each !== socket);
    const held = this.#held.filter((slot) => slot.account === account);
    if (others.length + held.length < perAccountMax) return true;
    const [oldest] = others;
    if (overfull === "refuse" || oldest === undefined) return false;
    oldest.close();
    return true;
  }

  #listen(socket: Socket, frame: Readonly<Record<string, unknown>>): void {
    const { account } = socket.data;
    if (account === undefined)
      return this.#send(
        socket,
        authorization({ status: "unauthorized", action: "listen" }),
      );
    if (this.options.faults.strikes("no-answer", account)) return;
    const data = isObject(frame["data"]) ? frame["data"] : {};
    const wanted = Array.isArray(data["streams"]) ? data["streams"] : [];
    socket.data.isListening =
      wanted.includes(TRADE_UPDATES) &&
      this.options.faults.strikes("partial-grant", account) === undefined;
    this.#send(
      socket,
      listening(socket.data.isListening ? [TRADE_UPDATES] : []),
    );
  }

  #deliver(socket: Socket, account: string, body: string): void {
    const strikes = this.options.faults.strikes.bind(this.options.faults);
    if (strikes("mute", account) || strikes("lose", account)) return;
    if (strikes("data-null", account)) this.#send(socket, frameOf("null"));
    if (strikes("stray-byte", account)) socket.sendBinary(STRAY_BYTE);
    if (strikes("unknown-event", account))
      this.#send(socket, frameOf(reconsidered(body)));
    let frame = frameOf(
      strikes("bare", account)
        ? bared(body)
        : strikes("mixed-offsets", account)
          ? offset(body)
          : body,
    );
    if (strikes("malformed", account))
      frame = frame.slice(0, Math.floor(frame.length / 2));
    const delay = strikes("delay", account);
    if (delay !== undefined) return this.#sendLater(socket, frame, delay.byMs);
    const { heldBack } = socket.data;
    if (strikes("behind", account)) {
      if (heldBack !== undefined) this.#send(socket, heldBack.frame);
      socket.data.heldBack = { frame, comesFirst: true };
      return;
    }
    if (heldBack === undefined && strikes("reorder", account)) {
      socket.data.heldBack = { frame, comesFirst: false };
      return;
    }
    socket.data.heldBack = undefined;
    if (heldBack?.comesFirst === true) this.#send(socket, heldBack.frame);
    this.#send(socket, frame);
    if (strikes("duplicate", account)) this.#send(socket, frame);
    if (heldBack?.comesFirst === false) this.#send(socket, heldBack.frame);
  }

  #socketsOf(account: string | undefined): Socket[] {
    return [...this.#sockets].filter(
      ({ data }) => account === undefined || data.account === account,
    );
  }

  #sendLater(socket: Socket, frame: string, ms: number): void {
    const timer = setTimeout(() => {
      this.#delayed.delete(timer);
      this.#send(socket, frame);
    }, ms);
    this.#delayed.add(timer);
  }

  #refuse(socket: Socket, data: Readonly<Record<string, string>>): void {
    this.#send(socket, authorization(data));
    socket.close();
  }

  #fail(socket: Socket): void {
    this.#send(socket, ERROR);
    socket.close();
  }

  #send(socket: Socket, text: string): void {
    if (socket.data.isPacked) return void socket.sendBinary(packed(text));
    const { credentials } = this.options;
    const frames =
      credentials.find(({ name }) => name === socket.data.account)?.frames ??
      "binary";
    if (frames === "text") socket.sendText(text);
    else socket.sendBinary(Buffer.from(text));
  }
}

const WITHOUT_CLOSE_FRAME = 1006;
const STRAY_BYTE = Buffer.from([1]);

/** Two refusals are known: that of the documents, and one that was seen on the wire. */
const DOCUMENTED = { status: "unauthorized", action: "authenticate" };
const OBSERVED = {
  message: "code=401, message=Unauthorized",
  status: "unauthorized",
};

const ERROR = JSON.stringify({
  action: "error",
  data: { error_message: "internal server error" },
});

function textOf(
  message: string | Buffer<ArrayBuffer>,
  { isPacked }: Connection,
): string {
  return isPacked && typeof message !== "string"
    ? JSON.stringify(decode(message))
    : String(message);
}

function packed(text: string): Uint8Array<ArrayBuffer> {
  try {
    return encode(JSON.parse(text));
  } catch {
    // Cut short on purpose; its bytes are no MessagePack either.
    return new TextEncoder().encode(text);
  }
}

function frameOf(body: string): string {
  return `{"stream":"${TRADE_UPDATES}","data":${body}}`;
}

function listening(streams: readonly string[]): string {
  return JSON.stringify({ stream: "listening", data: { streams } });
}

function authorization(data: Readonly<Record<string, string>>): string {
  return JSON.stringify({ stream: "authorization", data });
}

/** The same update under a word that no document names, without an id of its own. */
function reconsidered(body: string): string {
  return body
    .replace(/"event":"[a-z_]+"/, '"event":"reconsidered"')
    .replace(/"event_id":"[^"]*",/, "");
}

/** As older payloads came: without the members that clients should not count on. */
function bared(body: string): string {
  const {
    at: _at,
    event_id: _id,
    position_qty: _qty,
    swap_rate: _rate,
    settle_date: _day,
    execution_id,
    ...rest
  } = parseObject(body);
  // What tells executions apart is there; on other events it was missing once.
  return JSON.stringify("price" in rest ? { ...rest, execution_id } : rest);
}

/** As frames of 2022 came: some times of one message with an offset, others in UTC. */
function offset(body: string): string {
  return body.replace(
    /"(created_at|updated_at|submitted_at)":"([^"]+?)(\.\d+)?Z"/g,
    (_, name: string, seconds: string, fraction = "") =>
      `"${name}":"${newYorkText(Date.parse(`${seconds}Z`), fraction)}"`,
  );
}

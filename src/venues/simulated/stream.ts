/**
 * The stream face, `trade_updates`: silent until the client speaks, one JSON
 * object a frame, nothing ever sent again.
 * https://docs.alpaca.markets/docs/websocket-streaming
 */
import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import { SECOND } from "../../clock.ts";
import { isObject, parseObject } from "../../../schema/read.ts";
import type { TradeUpdate } from "./desk.ts";
import type { FaultBoard } from "./faults.ts";
import type { Credentials } from "./rest.ts";

const TRADE_UPDATES = "trade_updates";
/** A client that does not say who it is hangs up after this. Undocumented; market data gives 10 s. */
const AUTH_MS_MAX = 30 * SECOND;
const DEPRECATED =
  'this authentication format is being deprecated. Please use the format: {"action": "auth", "key": "x", "secret": "x"}';

export interface Connection {
  /** The relay's port of this connection. */
  readonly port: number;
  account: string | undefined;
  isListening: boolean;
  /** An update that waits for its successor. */
  heldBack: string | undefined;
  overdue: ReturnType<typeof setTimeout> | undefined;
}

type Socket = ServerWebSocket<Connection>;

export class StreamFace {
  readonly #sockets = new Set<Socket>();

  constructor(
    readonly options: {
      readonly faults: FaultBoard;
      readonly credentials: readonly (Credentials & {
        readonly frames: "binary" | "text";
      })[];
      /** Sockets of one account at a time. */
      readonly perAccountMax: number;
    },
  ) {}

  /** Takes the request over, or says why not. */
  upgrade(request: Request, server: Server<Connection>): Response | undefined {
    const { faults } = this.options;
    if (faults.strikes("upgrade-429", undefined))
      return new Response("too many requests", { status: 429 });
    if (faults.strikes("upgrade-406", undefined))
      return new Response("connection limit exceeded", { status: 406 });
    const data: Connection = {
      port: server.requestIP(request)?.port ?? 0,
      account: undefined,
      isListening: false,
      heldBack: undefined,
      overdue: undefined,
    };
    return server.upgrade(request, { data })
      ? undefined
      : new Response("a WebSocket is expected", { status: 426 });
  }

  readonly handler: WebSocketHandler<Connection> = {
    data: undefined as unknown as Connection,
    idleTimeout: 120,
    sendPings: true,
    open: (socket) => {
      this.#sockets.add(socket);
      socket.data.overdue = setTimeout(() => socket.close(), AUTH_MS_MAX);
    },
    message: (socket, message) => {
      let frame: Readonly<Record<string, unknown>>;
      try {
        frame = parseObject(String(message));
      } catch {
        return this.#send(socket, ERROR);
      }
      if (frame["action"] === "auth" || frame["action"] === "authenticate")
        this.#authenticate(socket, frame);
      else if (frame["action"] === "listen") this.#listen(socket, frame);
      else this.#send(socket, ERROR);
    },
    close: (socket) => {
      clearTimeout(socket.data.overdue);
      this.#sockets.delete(socket);
    },
  };

  /** To every socket of the account that listens, as the faults let it. */
  publish({ account, body }: TradeUpdate): void {
    for (const socket of this.#sockets)
      if (socket.data.account === account && socket.data.isListening)
        this.#deliver(socket, account, body);
  }

  /** What happens to the sockets of an account (or all) in one instant; answers their ports. */
  instant(
    kind: "action-error" | "withdrawn" | "ports",
    account?: string,
  ): number[] {
    const ports: number[] = [];
    for (const socket of this.#sockets) {
      if (account !== undefined && socket.data.account !== account) continue;
      ports.push(socket.data.port);
      if (kind === "action-error") {
        this.#send(socket, ERROR);
        socket.close();
      } else if (kind === "withdrawn") {
        socket.data.isListening = false;
        this.#send(socket, listening([]));
      }
    }
    return ports;
  }

  #authenticate(
    socket: Socket,
    frame: Readonly<Record<string, unknown>>,
  ): void {
    const { credentials, faults, perAccountMax } = this.options;
    const legacy = isObject(frame["data"]) ? frame["data"] : undefined;
    const [keyId, secretKey] =
      legacy === undefined
        ? [frame["key"], frame["secret"]]
        : [legacy["key_id"], legacy["secret_key"]];
    const account = credentials.find(
      (known) => known.keyId === keyId && known.secretKey === secretKey,
    )?.name;
    if (account === undefined || faults.strikes("auth-refused", account)) {
      this.#send(
        socket,
        JSON.stringify({
          stream: "authorization",
          data: {
            message: "code=401, message=Unauthorized",
            status: "unauthorized",
          },
        }),
      );
      socket.close();
      return;
    }
    const others = [...this.#sockets].filter(
      ({ data }) => data.account === account,
    );
    if (others.length >= perAccountMax) {
      this.#send(socket, ERROR);
      socket.close();
      return;
    }
    clearTimeout(socket.data.overdue);
    socket.data.account = account;
    this.#send(
      socket,
      JSON.stringify({
        stream: "authorization",
        data: {
          action: "authenticate",
          ...(legacy === undefined ? {} : { message: DEPRECATED }),
          status: "authorized",
        },
      }),
    );
  }

  #listen(socket: Socket, frame: Readonly<Record<string, unknown>>): void {
    const { account } = socket.data;
    if (account === undefined) {
      this.#send(
        socket,
        JSON.stringify({
          stream: "authorization",
          data: { status: "unauthorized", action: "listen" },
        }),
      );
      return;
    }
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
    if (strikes("unknown-event", account))
      this.#send(
        socket,
        frameOf(
          body
            .replace(/"event":"[a-z_]+"/, '"event":"reconsidered"')
            .replace(/"event_id":"[^"]*",/, ""),
        ),
      );
    let frame = frameOf(strikes("bare", account) ? bared(body) : body);
    if (strikes("malformed", account))
      frame = frame.slice(0, Math.floor(frame.length / 2));
    const delay = strikes("delay", account);
    if (delay !== undefined) {
      setTimeout(() => this.#send(socket, frame), delay.byMs);
      return;
    }
    const { heldBack } = socket.data;
    if (heldBack === undefined && strikes("reorder", account)) {
      socket.data.heldBack = frame;
      return;
    }
    socket.data.heldBack = undefined;
    this.#send(socket, frame);
    if (strikes("duplicate", account)) this.#send(socket, frame);
    if (heldBack !== undefined) this.#send(socket, heldBack);
  }

  #send(socket: Socket, text: string): void {
    const { credentials } = this.options;
    const frames =
      credentials.find(({ name }) => name === socket.data.account)?.frames ??
      "binary";
    if (frames === "text") socket.sendText(text);
    else socket.sendBinary(Buffer.from(text));
  }
}

const ERROR = JSON.stringify({
  action: "error",
  data: { error_message: "internal server error" },
});

function frameOf(body: string): string {
  return `{"stream":"${TRADE_UPDATES}","data":${body}}`;
}

function listening(streams: readonly string[]): string {
  return JSON.stringify({ stream: "listening", data: { streams } });
}

/** As older payloads came: without the members that clients should not count on. */
function bared(body: string): string {
  const {
    at: _at,
    event_id: _id,
    position_qty: _qty,
    ...rest
  } = parseObject(body);
  return JSON.stringify(rest);
}

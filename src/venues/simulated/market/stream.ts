/**
 * The stream face of market data: `/v2/{iex,sip,delayed_sip,test}` and
 * `/v1beta3/crypto/us`. Frames are arrays; the venue speaks first.
 * https://docs.alpaca.markets/docs/streaming-market-data
 */
import type { Server, ServerWebSocket } from "bun";
import { SECOND } from "../../../clock.ts";
import type { FaultBoard } from "../faults.ts";
import type { Credentials } from "../rest.ts";
import {
  ALL_CHANNELS,
  channelsOf,
  ERRORS,
  frameOf,
  isSymbol,
  MARKET_PATHS,
  type MarketErrorCode,
  type MarketPath,
  readFrame,
  STOCK_CHANNELS,
} from "./language.ts";
import type { WireMessage } from "./messages.ts";
import { type MarketChannel, sentBetween } from "./schedule.ts";
import type { Tape } from "./tape.ts";

/** Who does not say who he is within this hears 404 and is hung up on. */
const AUTH_MS_MAX = 10 * SECOND;
const TICK_MS = 100;
/** A client that lets this much pile up is too slow. */
const BUFFERED_BYTES_MAX = 8 * 1024 * 1024;
const DELAYED_MS = 15 * 60 * SECOND;

/** What a plan allows. */
export interface MarketPlan {
  /** Symbols over trades and quotes; bars are not counted. */
  readonly symbolsMax: number;
  readonly feeds: readonly MarketPath[];
}

export const MARKET_PLANS: Readonly<Record<"basic" | "plus", MarketPlan>> = {
  basic: {
    symbolsMax: 30,
    feeds: ["/v2/iex", "/v2/test", "/v1beta3/crypto/us", "/v2/delayed_sip"],
  },
  plus: { symbolsMax: Number.POSITIVE_INFINITY, feeds: MARKET_PATHS },
};

export interface MarketConnection {
  readonly path: MarketPath;
  /** The relay's port of this connection. */
  readonly port: number;
  readonly isBinary: boolean;
  /** Name of the account, once the keys were good. */
  account: string | undefined;
  readonly subscribed: Map<string, Set<string>>;
  overdue: ReturnType<typeof setTimeout> | undefined;
}

type Socket = ServerWebSocket<MarketConnection>;

export class MarketStreamFace {
  readonly #sockets = new Set<Socket>();
  /** By account and path: who has the one connection, or until when a dead one keeps it. */
  readonly #slots = new Map<string, Socket | number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #sentToMs: number;

  constructor(
    readonly options: {
      readonly tape: Tape;
      readonly faults: FaultBoard;
      readonly credentials: readonly Credentials[];
      readonly plan: MarketPlan;
      /** Time of the market: other than the clock's when recorded days are replayed. */
      readonly now: () => number;
      /** How long the slot of a connection that just broke stays taken. */
      readonly lingerMs: number;
    },
  ) {
    this.#sentToMs = options.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) clearTimeout(socket.data.overdue);
  }

  /** Takes the request over, or says why not. */
  upgrade(
    request: Request,
    server: Server<unknown>,
    path: MarketPath,
  ): Response | undefined {
    const { faults } = this.options;
    if (faults.strikes("upgrade-429", path))
      return new Response("too many requests", { status: 429 });
    if (faults.strikes("upgrade-406", path))
      return new Response("connection limit exceeded", { status: 406 });
    const data: MarketConnection = {
      path,
      port: server.requestIP(request)?.port ?? 0,
      isBinary: /msgpack/.test(request.headers.get("content-type") ?? ""),
      account: this.#knownBy(
        request.headers.get("apca-api-key-id"),
        request.headers.get("apca-api-secret-key"),
      ),
      subscribed: new Map(),
      overdue: undefined,
    };
    return server.upgrade(request, { data })
      ? undefined
      : new Response("a WebSocket is expected", { status: 426 });
  }

  opened(socket: Socket): void {
    this.#sockets.add(socket);
    this.#send(socket, [{ T: "success", msg: "connected" }]);
    if (socket.data.account !== undefined) {
      const { account } = socket.data;
      socket.data.account = undefined;
      return this.#admit(socket, account);
    }
    socket.data.overdue = setTimeout(() => {
      this.#error(socket, 404);
      socket.close();
    }, AUTH_MS_MAX);
  }

  heard(socket: Socket, message: string | Uint8Array): void {
    const frame = readFrame(message);
    if (frame === undefined) return this.#error(socket, 400);
    switch (frame["action"]) {
      case "auth":
        return this.#authenticate(socket, frame);
      case "subscribe":
      case "unsubscribe":
        return this.#subscribe(socket, frame["action"], frame);
      default:
        return this.#error(socket, 400);
    }
  }

  closed(socket: Socket, code: number): void {
    clearTimeout(socket.data.overdue);
    this.#sockets.delete(socket);
    const slot = slotOf(socket.data);
    if (this.#slots.get(slot) !== socket) return;
    // A peer that said goodbye gives its place up at once.
    if (code === 1006 && this.options.lingerMs > 0)
      this.#slots.set(slot, Date.now() + this.options.lingerMs);
    else this.#slots.delete(slot);
  }

  /** Ports of the sockets of a path (or all), for the relay to cut or hold. */
  ports(path?: string): number[] {
    return this.#chosen(path).map(({ data }) => data.port);
  }

  /** An error out of the blue, as the venue sends it before it hangs up. */
  complain(code: MarketErrorCode, path?: string): void {
    for (const socket of this.#chosen(path)) {
      this.#error(socket, code);
      if (code === 407 || code === 500) socket.close();
    }
  }

  /** Sends messages as they are to everybody who subscribed to their channel and symbol: for tests and load. */
  broadcast(
    path: MarketPath,
    channel: string,
    messages: readonly (WireMessage & { readonly S: string })[],
  ): void {
    for (const socket of this.#chosen(path)) {
      const due = messages.filter(({ S }) => isWanted(socket, channel, S));
      if (due.length > 0) this.#deliver(socket, due);
    }
  }

  #tick(): void {
    const { tape, now } = this.options;
    const fromMs = this.#sentToMs;
    const toMs = now();
    if (toMs <= fromMs) return;
    this.#sentToMs = toMs;
    for (const socket of this.#sockets) {
      if (socket.data.account === undefined) continue;
      const lagMs = socket.data.path === "/v2/delayed_sip" ? DELAYED_MS : 0;
      const due: WireMessage[] = [];
      for (const [symbol, channels] of this.#wishes(socket))
        for (const { message } of sentBetween(
          tape,
          symbol,
          fromMs - lagMs,
          toMs - lagMs,
          channels,
        ))
          due.push(message);
      if (due.length > 0) this.#deliver(socket, due);
    }
  }

  /** By symbol the channels that the socket listens to; `*` is every symbol of the tape that fits the feed. */
  #wishes(socket: Socket): Map<string, Set<MarketChannel>> {
    const wishes = new Map<string, Set<MarketChannel>>();
    const isCryptoFeed = socket.data.path === "/v1beta3/crypto/us";
    for (const [channel, names] of socket.data.subscribed) {
      if (!isTapeChannel(channel)) continue;
      const symbols = names.has("*")
        ? this.options.tape.symbols.filter(
            (symbol) => symbol.includes("/") === isCryptoFeed,
          )
        : names;
      for (const symbol of symbols) {
        let channels = wishes.get(symbol);
        if (channels === undefined)
          wishes.set(symbol, (channels = new Set<MarketChannel>()));
        channels.add(channel);
      }
    }
    return wishes;
  }

  #authenticate(
    socket: Socket,
    frame: Readonly<Record<string, unknown>>,
  ): void {
    if (socket.data.account !== undefined) return this.#error(socket, 403);
    const account = this.#knownBy(frame["key"], frame["secret"]);
    const { faults } = this.options;
    if (
      account === undefined ||
      faults.strikes("auth-refused", socket.data.path)
    ) {
      this.#error(socket, 402);
      socket.close();
      return;
    }
    this.#admit(socket, account);
  }

  #admit(socket: Socket, account: string): void {
    const { plan } = this.options;
    if (!plan.feeds.includes(socket.data.path)) return this.#error(socket, 409);
    const slot = slotOf({ ...socket.data, account });
    const holder = this.#slots.get(slot);
    const isTaken =
      typeof holder === "number" ? holder > Date.now() : holder !== undefined;
    // The socket stays open: the client may ask again on it.
    if (isTaken) return this.#error(socket, 406);
    clearTimeout(socket.data.overdue);
    socket.data.account = account;
    this.#slots.set(slot, socket);
    this.#send(socket, [{ T: "success", msg: "authenticated" }]);
  }

  #subscribe(
    socket: Socket,
    action: "subscribe" | "unsubscribe",
    frame: Readonly<Record<string, unknown>>,
  ): void {
    const { data } = socket;
    if (data.account === undefined) return this.#error(socket, 401);
    const offered: readonly string[] = channelsOf(data.path);
    const next = new Map(
      [...data.subscribed].map(([name, symbols]) => [name, new Set(symbols)]),
    );
    for (const [channel, wanted] of Object.entries(frame)) {
      if (channel === "action" || !Array.isArray(wanted) || !wanted.length)
        continue;
      if (!offered.includes(channel)) {
        if (ALL_CHANNELS.has(channel)) return this.#error(socket, 410);
        return this.#error(socket, 400);
      }
      const symbols = next.get(channel) ?? new Set<string>();
      for (const symbol of wanted) {
        if (typeof symbol !== "string" || !isSymbol(symbol, data.path))
          return this.#error(socket, 400);
        if (action === "subscribe") symbols.add(symbol);
        else symbols.delete(symbol);
      }
      next.set(channel, symbols);
    }
    const counted = ["trades", "quotes"].reduce(
      (sum, channel) => sum + (next.get(channel)?.size ?? 0),
      0,
    );
    if (action === "subscribe" && counted > this.options.plan.symbolsMax)
      return this.#error(socket, 405);
    data.subscribed.clear();
    for (const [channel, symbols] of next)
      data.subscribed.set(channel, symbols);
    if (this.options.faults.strikes("partial-grant", data.path))
      data.subscribed.get("trades")?.clear();
    this.#send(socket, [acknowledgement(data)]);
  }

  #deliver(socket: Socket, messages: readonly WireMessage[]): void {
    const { faults } = this.options;
    const { path } = socket.data;
    if (faults.strikes("mute", path) || faults.strikes("lose", path)) return;
    const delay = faults.strikes("delay", path);
    if (delay !== undefined) {
      setTimeout(() => this.#send(socket, messages), delay.byMs);
      return;
    }
    if (faults.strikes("malformed", path)) {
      const text = JSON.stringify(messages);
      socket.send(text.slice(0, Math.floor(text.length / 2)));
      return;
    }
    this.#send(socket, messages);
    if (faults.strikes("duplicate", path)) this.#send(socket, messages);
    if (socket.getBufferedAmount() > BUFFERED_BYTES_MAX) {
      this.#error(socket, 407);
      socket.close();
    }
  }

  #error(socket: Socket, code: MarketErrorCode): void {
    this.#send(socket, [{ T: "error", code, msg: ERRORS[code] }]);
  }

  #send(socket: Socket, messages: readonly WireMessage[]): void {
    socket.send(frameOf(messages, socket.data.isBinary));
  }

  #chosen(path: string | undefined): Socket[] {
    return [...this.#sockets].filter(
      ({ data }) => path === undefined || data.path === path,
    );
  }

  #knownBy(keyId: unknown, secretKey: unknown): string | undefined {
    return this.options.credentials.find(
      (known) => known.keyId === keyId && known.secretKey === secretKey,
    )?.name;
  }
}

function isTapeChannel(channel: string): channel is MarketChannel {
  return ["trades", "quotes", "bars", "updatedBars", "dailyBars"].includes(
    channel,
  );
}

function isWanted({ data }: Socket, channel: string, symbol: string): boolean {
  const symbols = data.subscribed.get(channel);
  return symbols !== undefined && (symbols.has(symbol) || symbols.has("*"));
}

/** The whole set; trades bring their corrections along, except on the test feed. */
function acknowledgement({ path, subscribed }: MarketConnection): WireMessage {
  const channels = channelsOf(path);
  const list = (channel: string) => [...(subscribed.get(channel) ?? [])];
  return {
    T: "subscription",
    ...Object.fromEntries(channels.map((channel) => [channel, list(channel)])),
    ...(channels === STOCK_CHANNELS
      ? { corrections: list("trades"), cancelErrors: list("trades") }
      : {}),
  };
}

function slotOf({
  account,
  path,
}: Pick<MarketConnection, "account" | "path">): string {
  return `${account} ${path}`;
}

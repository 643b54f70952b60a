/**
 * The stream face of market data: `/v2/{iex,sip,delayed_sip,test}` and
 * `/v1beta3/crypto/us`. Frames are arrays; the venue speaks first.
 * https://docs.alpaca.markets/docs/streaming-market-data
 */
import type { Server, ServerWebSocket } from "bun";
import { SECOND } from "../../../clock.ts";
import type { FaultBoard } from "../faults.ts";
import { accountOf, type Credentials, isIntroduced } from "../rest.ts";
import { Agenda, type Wishes } from "./agenda.ts";
import {
  ERRORS,
  frameOf,
  isCryptoPath,
  type MarketErrorCode,
  type MarketPath,
  readFrame,
} from "./language.ts";
import { orderBookMessage, type WireMessage } from "./messages.ts";
import type { MarketPlan } from "./plans.ts";
import { DELAY_MS } from "./rest.ts";
import { quoteAt } from "./schedule.ts";
import { Slots } from "./slots.ts";
import {
  acknowledgement,
  changed,
  type Subscription,
  wishesOf,
} from "./subscription.ts";
import type { Tape } from "./tape.ts";
import { upgradeOrRefuse } from "../upgrade.ts";

/** Who does not say who he is within this hears 404 and is hung up on. */
const AUTH_MS_MAX = 10 * SECOND;
const TICK_MS = 100;
/** A client that lets this much pile up is too slow. */
const BUFFERED_BYTES_MAX = 8 * 1024 * 1024;
const FRAME_LENGTH_MAX = 1_000;
/** Who does not go by himself when he is told to is cut after this. */
const CUT_AFTER_MS = SECOND;
/** Errors behind which the venue hangs up. */
const LAST_WORDS: ReadonlySet<MarketErrorCode> = new Set([402, 404, 407, 500]);
const WITHOUT_CLOSE_FRAME = 1006;

export interface MarketConnection {
  readonly path: MarketPath;
  /** The relay's port of this connection. */
  readonly port: number;
  /** The upgrade asked for MessagePack instead of JSON. */
  readonly isPacked: boolean;
  /** Who the upgrade's headers said he is. */
  readonly introduced: "not" | "wrongly" | { readonly account: string };
  /** Name of the account, once the keys were good. */
  account: string | undefined;
  /** Until when he has to say who he is. */
  overdueMs: number;
  subscription: Subscription;
  /** What the subscription comes to; absent before the first one. */
  agenda: Agenda | undefined;
  /** Messages that wait for their successors. */
  heldBack: readonly WireMessage[] | undefined;
}

type Socket = ServerWebSocket<MarketConnection>;

export interface MarketStreamOptions {
  readonly tape: Tape;
  readonly faults: FaultBoard;
  readonly credentials: readonly Credentials[];
  readonly plan: MarketPlan;
  /** Time of the market: another than the clock's when recorded days are played. */
  readonly marketNow: () => number;
  readonly now: () => number;
  /** How long the slot of a connection that just broke stays taken. */
  readonly lingerMs: number;
  /** Ends the connection with this port of the relay, whether its peer reads or not. */
  readonly cut: (port: number) => void;
}

export class MarketStreamFace {
  readonly #sockets = new Set<Socket>();
  readonly #slots: Slots<Socket>;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #ticking: ReturnType<typeof setInterval>;
  #sentToMs: number;

  constructor(readonly options: MarketStreamOptions) {
    this.#slots = new Slots(options.now);
    this.#sentToMs = options.marketNow();
    this.#ticking = setInterval(() => this.tick(), TICK_MS);
  }

  /** Nothing is sent any more. */
  stop(): void {
    clearInterval(this.#ticking);
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** Takes the request over, or says why not. */
  upgrade(
    request: Request,
    server: Server<unknown>,
    path: MarketPath,
  ): Response | undefined {
    const { faults, credentials, now } = this.options;
    const { headers } = request;
    return upgradeOrRefuse(
      request,
      server,
      { faults, path },
      (port): MarketConnection => ({
        path,
        port,
        isPacked: /msgpack/.test(headers.get("Content-Type") ?? ""),
        introduced: introductionBy(headers, credentials),
        account: undefined,
        overdueMs: now() + AUTH_MS_MAX,
        subscription: new Map(),
        agenda: undefined,
        heldBack: undefined,
      }),
    );
  }

  opened(socket: Socket): void {
    const { introduced } = socket.data;
    this.#sockets.add(socket);
    this.#send(socket, [{ T: "success", msg: "connected" }]);
    if (introduced === "wrongly") this.#complain(socket, 402);
    else if (introduced !== "not") this.#admit(socket, introduced.account);
  }

  heard(socket: Socket, message: string | Uint8Array): void {
    // It may have spoken on before it heard that it was hung up on.
    if (!this.#sockets.has(socket)) return;
    const { path, isPacked } = socket.data;
    const frame = readFrame(message, isPacked);
    const action = frame?.["action"];
    const isKnown =
      action === "auth" || action === "subscribe" || action === "unsubscribe";
    if (frame === undefined || !isKnown) return this.#complain(socket, 400);
    if (this.options.faults.strikes("no-answer", path)) return;
    if (action === "auth") this.#authenticate(socket, frame);
    else this.#subscribe(socket, frame);
  }

  closed(socket: Socket, code: number): void {
    this.#sockets.delete(socket);
    if (code === WITHOUT_CLOSE_FRAME) this.#vanish(socket);
    else this.#slots.leave(slotOf(socket.data), socket);
  }

  /** The relay's ports of the sockets of a path (or of all). */
  ports(path?: string): number[] {
    return this.#socketsOf(path).map(({ data }) => data.port);
  }

  /** Nothing passes over this connection any more; that its peer is gone the venue knows no sooner than after a drop. */
  abandon(port: number): void {
    for (const socket of this.#sockets)
      if (socket.data.port === port) this.#vanish(socket);
  }

  /** An error out of the blue. */
  complain(code: MarketErrorCode, path?: string): void {
    for (const socket of this.#socketsOf(path)) this.#complain(socket, code);
  }

  /** Sends what became due since the last time. */
  tick(): void {
    const { marketNow, now } = this.options;
    const toMs = Math.max(this.#sentToMs, marketNow());
    this.#sentToMs = toMs;
    for (const socket of this.#sockets) {
      const { account, overdueMs } = socket.data;
      if (account !== undefined) this.#sendDue(socket, toMs);
      else if (overdueMs <= now()) this.#complain(socket, 404);
    }
  }

  #sendDue(socket: Socket, toMs: number): void {
    const due = socket.data.agenda?.take(toMs - lagOf(socket.data)) ?? [];
    for (
      let from = 0;
      from < due.length && this.#sockets.has(socket);
      from += FRAME_LENGTH_MAX
    )
      this.#deliver(socket, due.slice(from, from + FRAME_LENGTH_MAX));
  }

  #authenticate(
    socket: Socket,
    { key, secret }: Readonly<Record<string, unknown>>,
  ): void {
    if (socket.data.account !== undefined) return this.#complain(socket, 403);
    const account = this.options.credentials.find(
      (known) => known.keyId === key && known.secretKey === secret,
    )?.name;
    if (account === undefined) return this.#complain(socket, 402);
    this.#admit(socket, account);
  }

  #admit(socket: Socket, account: string): void {
    const { plan, faults, now } = this.options;
    const { data } = socket;
    const isRefused =
      faults.strikes("auth-refused", data.path) ??
      faults.strikes("auth-refused", account);
    if (isRefused) return this.#complain(socket, 402);
    if (!plan.feeds.includes(data.path)) return this.#complain(socket, 409);
    if (!this.#slots.take(slotOf({ ...data, account }), socket)) {
      // The socket stays open: the client may ask again on it.
      data.overdueMs = now() + AUTH_MS_MAX;
      return this.#complain(socket, 406);
    }
    data.account = account;
    this.#send(socket, [{ T: "success", msg: "authenticated" }]);
  }

  #subscribe(socket: Socket, frame: Readonly<Record<string, unknown>>): void {
    const { data } = socket;
    const { plan, faults, tape } = this.options;
    if (data.account === undefined) return this.#complain(socket, 401);
    const { path } = data;
    const { symbolsMax } = plan;
    const next = changed(data.subscription, frame, { path, symbolsMax });
    if (typeof next === "number") return this.#complain(socket, next);
    const before = data.agenda?.wishes;
    data.subscription = faults.strikes("partial-grant", path)
      ? new Map([...next].filter(([channel]) => channel !== "trades"))
      : next;
    const wishes = wishesOf(path, data.subscription, tape.symbols);
    // What became due since the last tick comes with the next one.
    data.agenda = new Agenda(tape, wishes, this.#sentToMs - lagOf(data));
    this.#send(socket, [acknowledgement(path, data.subscription)]);
    if (isCryptoPath(path)) this.#sendBooks(socket, wishes, before);
  }

  /** Of symbols that are new to it a client gets the whole order book first. */
  #sendBooks(socket: Socket, wishes: Wishes, before: Wishes | undefined): void {
    const books: WireMessage[] = [];
    for (const [symbol, channels] of wishes) {
      if (!channels.has("orderbooks")) continue;
      if (before?.get(symbol)?.has("orderbooks") === true) continue;
      const quote = quoteAt(this.options.tape, symbol, this.#sentToMs);
      if (quote !== undefined)
        books.push(orderBookMessage(symbol, quote, undefined));
    }
    if (books.length > 0) this.#deliver(socket, books);
  }

  #deliver(socket: Socket, messages: readonly WireMessage[]): void {
    const { data } = socket;
    const strikes = this.options.faults.strikes.bind(this.options.faults);
    if (strikes("mute", data.path) || strikes("lose", data.path)) return;
    if (strikes("unknown-event", data.path))
      this.#send(socket, [{ T: "reconsidered", S: messages[0]?.["S"] }]);
    const delay = strikes("delay", data.path);
    if (delay !== undefined)
      return this.#later(delay.byMs, () => this.#send(socket, messages));
    if (strikes("malformed", data.path)) {
      const frame = frameOf(messages, data.isPacked);
      socket.send(frame.slice(0, Math.floor(frame.length / 2)));
      return;
    }
    const { heldBack } = data;
    if (heldBack === undefined && strikes("reorder", data.path)) {
      data.heldBack = messages;
      return;
    }
    data.heldBack = undefined;
    this.#send(socket, messages);
    if (strikes("duplicate", data.path)) this.#send(socket, messages);
    if (heldBack !== undefined) this.#send(socket, heldBack);
    if (socket.getBufferedAmount() > BUFFERED_BYTES_MAX)
      this.#complain(socket, 407);
  }

  #complain(socket: Socket, code: MarketErrorCode): void {
    this.#send(socket, [{ T: "error", code, msg: ERRORS[code] }]);
    if (!LAST_WORDS.has(code)) return;
    // Whom the venue itself hangs up on it does not wait for.
    this.#slots.leave(slotOf(socket.data), socket);
    this.#sockets.delete(socket);
    socket.close();
    this.#later(CUT_AFTER_MS, () => this.options.cut(socket.data.port));
  }

  #later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }

  #send(socket: Socket, messages: readonly WireMessage[]): void {
    // Compressed, where the client agreed to it.
    socket.send(frameOf(messages, socket.data.isPacked), true);
  }

  #vanish(socket: Socket): void {
    const { faults, lingerMs } = this.options;
    const held = faults.strikes("slot-held", socket.data.path);
    this.#slots.vanish(slotOf(socket.data), socket, held?.byMs ?? lingerMs);
  }

  #socketsOf(path: string | undefined): Socket[] {
    return [...this.#sockets].filter(
      ({ data }) => path === undefined || data.path === path,
    );
  }
}

function introductionBy(
  headers: Headers,
  credentials: readonly Credentials[],
): MarketConnection["introduced"] {
  if (!isIntroduced(headers)) return "not";
  const account = accountOf(credentials, headers);
  return account === undefined ? "wrongly" : { account };
}

function slotOf({
  account,
  path,
}: Pick<MarketConnection, "account" | "path">): string {
  return `${account} ${path}`;
}

/** How far behind the market the feed is. */
function lagOf({ path }: MarketConnection): number {
  return path === "/v2/delayed_sip" ? DELAY_MS : 0;
}

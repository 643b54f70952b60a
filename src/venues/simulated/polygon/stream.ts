/**
 * The stream face: `/stocks` and `/crypto`. Frames are arrays of elements of mixed
 * types; the venue speaks first, and acknowledges each parameter by itself.
 * https://massive.com/docs/websocket/quickstart
 */
import type { Server, ServerWebSocket } from "bun";
import { isObject } from "../../../../schema/read.ts";
import { SECOND } from "../../../clock.ts";
import type { FaultBoard } from "../faults.ts";
import { type Parameter, type PolygonPath, readParameter } from "./channels.ts";
import type { Chart } from "./chart.ts";
import { type Kind, Programme } from "./due.ts";
import type { StreamMessage } from "./messages.ts";
import type { PolygonPlan } from "./plans.ts";
import { PRICING } from "./refusal.ts";
import { POLYGON } from "./rest.ts";
import { tickerOf } from "./tickers.ts";
import { upgradeOrRefuse } from "../upgrade.ts";

/** Who does not say who he is within this is told so and cut. */
const AUTH_MS_MAX = 30 * SECOND;
const TICK_MS = 100;
const FRAME_LENGTH_MAX = 1_000;
/** Until the last words have left. */
const CUT_AFTER_MS = 50;
const POLICY_VIOLATION = 1008;

const TOO_MANY = "Maximum number of websocket connections exceeded. ";

export interface PolygonConnection {
  readonly cluster: PolygonPath;
  /** The relay's port of this connection. */
  readonly port: number;
  isIn: boolean;
  /** Until when he has to say who he is. */
  readonly overdueMs: number;
  /** By its text, e.g. `AM.AAPL`. */
  readonly held: Map<string, Parameter>;
  /** What the parameters come to, by symbol. */
  wishes: ReadonlyMap<string, ReadonlySet<Kind>>;
  /** Messages that wait for their successors. */
  heldBack: readonly StreamMessage[] | undefined;
}

type Socket = ServerWebSocket<PolygonConnection>;

export interface PolygonStreamOptions {
  readonly chart: Chart;
  readonly plan: PolygonPlan;
  readonly apiKey: string;
  readonly faults: FaultBoard;
  readonly now: () => number;
  /** Time of the market: another than the clock's when recorded days are played. */
  readonly marketNow: () => number;
  /** Who goes when a second connection of the account comes: the older one, or that one. */
  readonly overfull: "replace" | "refuse";
  /** Whether each acknowledgement is a frame of its own. */
  readonly splitsAcknowledgements: boolean;
  /** A client that lets more pile up is too slow. */
  readonly bufferedBytesMax: number;
  /** Ends the connection with this port of the relay, whether its peer reads or not. */
  readonly cut: (port: number) => void;
}

export class PolygonStreamFace {
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #ticking: ReturnType<typeof setInterval>;
  readonly #programme: Programme;
  #sentToMs: number;

  constructor(readonly options: PolygonStreamOptions) {
    this.#programme = new Programme(options.chart);
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
    cluster: PolygonPath,
  ): Response | undefined {
    const { faults, now } = this.options;
    return upgradeOrRefuse(
      request,
      server,
      { faults, path: cluster },
      (port): PolygonConnection => ({
        cluster,
        port,
        isIn: false,
        overdueMs: now() + AUTH_MS_MAX,
        held: new Map(),
        wishes: new Map(),
        heldBack: undefined,
      }),
    );
  }

  opened(socket: Socket): void {
    this.#sockets.add(socket);
    this.#say(socket, "connected", "Connected Successfully");
  }

  heard(socket: Socket, message: string | Uint8Array): void {
    // It may have spoken on before it heard that it was hung up on.
    if (!this.#sockets.has(socket)) return;
    const { action, params } = readRequest(message);
    if (this.options.faults.strikes("no-answer", socket.data.cluster)) return;
    switch (action) {
      case "auth":
        return this.#authenticate(socket, params);
      case "subscribe":
      case "unsubscribe":
        if (socket.data.isIn) return this.#subscribe(socket, action, params);
        return this.#say(socket, "auth_required", "authentication required");
      default:
        return this.#say(socket, "error", "unknown action");
    }
  }

  closed(socket: Socket): void {
    this.#sockets.delete(socket);
  }

  /** The relay's ports of the sockets of a path (or of all). */
  ports(path?: string): number[] {
    return this.#socketsOf(path).map(({ data }) => data.port);
  }

  /** An error out of the blue, by the number that other streams have for it. */
  complain(code: number, path?: string): void {
    for (const socket of this.#socketsOf(path)) {
      const [status, text] = COMPLAINTS[code] ?? ["error", "internal error"];
      if (COMPLAINTS[code] === undefined) this.#say(socket, status, text);
      else this.#dismiss(socket, status, text);
    }
  }

  /** Sends what became due since the last time. */
  tick(): void {
    const { marketNow, now, plan } = this.options;
    const fromMs = this.#sentToMs - plan.delayMs;
    this.#sentToMs = Math.max(this.#sentToMs, marketNow());
    const toMs = this.#sentToMs - plan.delayMs;
    for (const socket of this.#sockets)
      if (socket.data.isIn) this.#sendDue(socket, fromMs, toMs);
      else if (socket.data.overdueMs <= now())
        this.#dismiss(
          socket,
          "auth_timeout",
          "No authentication request received.",
        );
  }

  #authenticate(socket: Socket, key: string): void {
    const { plan, apiKey, faults, overfull } = this.options;
    const { data } = socket;
    if (data.isIn) return this.#say(socket, "auth_success", "authenticated");
    const isRefused =
      faults.strikes("auth-refused", data.cluster) ??
      faults.strikes("auth-refused", POLYGON);
    if (key !== apiKey || isRefused !== undefined)
      return this.#dismiss(socket, "auth_failed", "authentication failed");
    if (!plan.hasStreams)
      return this.#dismiss(
        socket,
        "auth_failed",
        `Your plan doesn't include websocket access. Visit ${PRICING} to upgrade.`,
      );
    const older = this.#socketsOf(data.cluster).find((each) => each.data.isIn);
    data.isIn = true;
    this.#say(socket, "auth_success", "authenticated");
    if (older === undefined) return;
    if (overfull === "replace")
      return this.#dismiss(older, "max_connections", TOO_MANY);
    this.#sockets.delete(socket);
    this.#say(
      socket,
      "max_connections",
      `${TOO_MANY}You have reached the connection limit for your account. Please contact support at https://polygon.io/contact`,
    );
    socket.close(POLICY_VIOLATION);
  }

  #subscribe(
    socket: Socket,
    action: "subscribe" | "unsubscribe",
    params: string,
  ): void {
    const { data } = socket;
    const answers: StreamMessage[] = [];
    let isLacking = false;
    for (const text of params.split(",").map((each) => each.trim())) {
      const parameter = readParameter(data.cluster, text);
      // Of a channel that there is not nothing is said at all.
      if (parameter === undefined) continue;
      if (!this.#isIncluded(data.cluster, parameter.kind)) {
        isLacking = true;
        continue;
      }
      const isHeld = data.held.has(text);
      if (isHeld === (action === "subscribe")) continue;
      if (isHeld) data.held.delete(text);
      else data.held.set(text, parameter);
      answers.push(status("success", `${action}d to: ${text}`));
    }
    data.wishes = this.#wishesOf(data);
    // Which channel it is that the plan lacks is not said.
    if (isLacking) answers.unshift(status("error", "not authorized"));
    if (this.options.splitsAcknowledgements)
      for (const answer of answers) this.#send(socket, [answer]);
    else if (answers.length > 0) this.#send(socket, answers);
  }

  #isIncluded(cluster: PolygonPath, kind: Kind): boolean {
    const { plan, faults } = this.options;
    if (kind === "trades")
      return plan.hasTrades && !faults.strikes("partial-grant", cluster);
    return kind !== "quotes" || plan.hasQuotes;
  }

  /** A ticker that nobody knows is acknowledged, and nothing ever comes of it. */
  #wishesOf({ cluster, held }: PolygonConnection) {
    const wishes = new Map<string, Set<Kind>>();
    const symbols = this.options.chart.symbols(cluster === "/crypto");
    for (const { kind, ticker } of held.values())
      for (const symbol of symbols) {
        if (ticker !== "*" && ticker !== tickerOf(symbol, "stream")) continue;
        const kinds = wishes.get(symbol) ?? new Set<Kind>();
        wishes.set(symbol, kinds.add(kind));
      }
    return wishes;
  }

  #sendDue(socket: Socket, fromMs: number, toMs: number): void {
    const due = [...socket.data.wishes]
      .flatMap(([symbol, kinds]) =>
        this.#programme.between(symbol, fromMs, toMs, kinds),
      )
      .sort((a, b) => a.atMs - b.atMs);
    for (
      let from = 0;
      from < due.length && this.#sockets.has(socket);
      from += FRAME_LENGTH_MAX
    )
      this.#deliver(
        socket,
        due.slice(from, from + FRAME_LENGTH_MAX).map(({ message }) => message),
      );
  }

  #deliver(socket: Socket, messages: readonly StreamMessage[]): void {
    const { data } = socket;
    const strikes = this.options.faults.strikes.bind(this.options.faults);
    if (strikes("mute", data.cluster) || strikes("lose", data.cluster)) return;
    if (strikes("unknown-event", data.cluster))
      this.#send(socket, [{ ev: "lagg", z: "reconsidered" }]);
    const delay = strikes("delay", data.cluster);
    if (delay !== undefined)
      return this.#later(delay.byMs, () => this.#send(socket, messages));
    if (strikes("malformed", data.cluster)) {
      const frame = JSON.stringify(messages);
      socket.send(frame.slice(0, Math.floor(frame.length / 2)));
      return;
    }
    const { heldBack } = data;
    if (heldBack === undefined && strikes("reorder", data.cluster)) {
      data.heldBack = messages;
      return;
    }
    data.heldBack = undefined;
    this.#send(socket, messages);
    if (strikes("duplicate", data.cluster)) this.#send(socket, messages);
    if (heldBack !== undefined) this.#send(socket, heldBack);
    if (socket.getBufferedAmount() > this.options.bufferedBytesMax)
      this.#dismiss(socket, "slow_consumer", "Consumer is too slow.");
  }

  /** Last words; the connection ends without a close frame. */
  #dismiss(socket: Socket, word: string, message: string): void {
    this.#say(socket, word, message);
    this.#sockets.delete(socket);
    this.#later(CUT_AFTER_MS, () => this.options.cut(socket.data.port));
  }

  #later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }

  #say(socket: Socket, word: string, message: string): void {
    this.#send(socket, [status(word, message)]);
  }

  #send(socket: Socket, messages: readonly StreamMessage[]): void {
    // Compressed, where the client agreed to it.
    socket.send(JSON.stringify(messages), true);
  }

  #socketsOf(path: string | undefined): Socket[] {
    return [...this.#sockets].filter(
      ({ data }) =>
        path === undefined || path === POLYGON || data.cluster === path,
    );
  }
}

/** What is said before a connection is cut, by the number that faults have for it. */
const COMPLAINTS: Readonly<Record<number, readonly [string, string]>> = {
  402: ["auth_failed", "authentication failed"],
  404: ["auth_timeout", "No authentication request received."],
  406: ["max_connections", TOO_MANY],
  407: ["slow_consumer", "Consumer is too slow."],
  500: ["force_disconnect", "Disconnected by the server."],
};

function status(word: string, message: string): StreamMessage {
  return { ev: "status", status: word, message };
}

function readRequest(message: string | Uint8Array): {
  readonly action: string;
  readonly params: string;
} {
  try {
    const value: unknown = JSON.parse(
      typeof message === "string" ? message : Buffer.from(message).toString(),
    );
    if (isObject(value))
      return {
        action: String(value["action"]),
        params: String(value["params"] ?? ""),
      };
  } catch {
    // Answered as an action that there is not.
  }
  return { action: "", params: "" };
}

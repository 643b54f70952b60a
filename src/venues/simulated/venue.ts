/**
 * A broker to try against: Alpaca's trading REST and `trade_updates`, its market
 * data by REST and stream, Polygon's beside it, true to the wire, with books of its
 * own that anyone can compare with, and faults on call.
 */
import type { ServerWebSocket, WebSocketHandler } from "bun";
import type { Logger } from "../../log.ts";
import { json } from "./answer.ts";
import { Books } from "./books.ts";
import { Chance } from "./chance.ts";
import { type AccountPlan, Exchange } from "./exchange.ts";
import { answerSim } from "./doors.ts";
import {
  type Fault,
  FaultBoard,
  type InstantFault,
  requireAccount,
  type ScheduledFault,
} from "./faults.ts";
import { Limiter } from "./limiter.ts";
import { isMarketPath, MARKET_PATHS } from "./market/language.ts";
import {
  createMarket,
  type Market,
  type MarketOptions,
} from "./market/market.ts";
import type { MarketConnection, MarketStreamFace } from "./market/stream.ts";
import {
  createPolygon,
  POLYGON_PLACES,
  type PolygonFace,
  type PolygonOptions,
} from "./polygon/polygon.ts";
import type { PolygonConnection, PolygonStreamFace } from "./polygon/stream.ts";
import { startRelay } from "./relay.ts";
import { answerRest } from "./rest.ts";
import { type Connection, StreamFace } from "./stream.ts";

export interface SimulatedAccountSpec {
  readonly name: string;
  readonly keyId: string;
  readonly secretKey: string;
  /** Opening balance in dollars. */
  readonly cash?: number;
  readonly ordersPerMinute?: number;
  /** How its stream is framed: the paper venue sends binary frames. */
  readonly frames?: "binary" | "text";
}

/** What there is to watch when nothing is configured. */
export const DEMO_ACCOUNTS: readonly SimulatedAccountSpec[] = [
  {
    name: "paper",
    keyId: "PKSIMULATEDPAPER0001",
    secretKey: "simulated-paper-secret",
    ordersPerMinute: 20,
  },
  {
    name: "growth",
    keyId: "AKSIMULATEDGROWTH001",
    secretKey: "simulated-growth-secret",
    cash: 250_000,
    ordersPerMinute: 8,
    frames: "text",
  },
];

export interface SimulatedVenueOptions {
  readonly host?: string;
  /** 0: any that is free. */
  readonly port?: number;
  readonly seed?: number;
  readonly accounts?: readonly SimulatedAccountSpec[];
  /** Where the books are kept; in memory when absent. */
  readonly file?: string;
  readonly historyDays?: number;
  readonly historyOrdersPerDay?: number;
  /** Whether the accounts trade by themselves. */
  readonly trading?: boolean;
  readonly faults?: readonly ScheduledFault[];
  readonly requestsPerMinute?: number;
  readonly streamsPerAccount?: number;
  /** What becomes of a socket beyond that: it is refused, or the oldest makes room for it. */
  readonly streamsOverfull?: "refuse" | "replace";
  readonly sharesExecutionIds?: boolean;
  readonly market?: MarketOptions;
  readonly polygon?: PolygonOptions;
  readonly clock?: { now(): number };
  readonly log?: Logger;
}

export interface SimulatedVenue {
  /** REST address. */
  readonly url: string;
  /** Address of `trade_updates`. */
  readonly streamUrl: string;
  readonly accounts: readonly SimulatedAccountSpec[];
  readonly exchange: Exchange;
  readonly market: Market;
  readonly polygon: PolygonFace;
  inject(fault: Fault): void;
  /** Ends all faults. */
  clear(): void;
  stop(): Promise<void>;
}

/** @throws ConfigError for a fault that could never have its effect; rejects when the port is taken. */
export async function startSimulatedVenue(
  options: SimulatedVenueOptions = {},
): Promise<SimulatedVenue> {
  const {
    host = "127.0.0.1",
    seed = 1,
    accounts = DEMO_ACCOUNTS,
    log,
  } = options;
  const names = accounts.map(({ name }) => name);
  const struck = [...names, POLYGON_PLACES.account];
  const paths = [...MARKET_PATHS, ...POLYGON_PLACES.paths];
  for (const fault of options.faults ?? [])
    requireAccount(fault, struck, paths);

  await using stack = new AsyncDisposableStack();
  const now = () => options.clock?.now() ?? Date.now();
  const onFailure = (error: unknown) => log?.error({ error }, "venue_failed");
  const faults = new FaultBoard(now, new Chance(`${seed}/faults`));
  const books = stack.adopt(new Books(options.file ?? ":memory:"), (each) =>
    each.close(),
  );
  const credentials = accounts.map((account) => ({
    ...account,
    frames: account.frames ?? ("binary" as const),
  }));
  const stream = new StreamFace({
    faults,
    credentials,
    perAccountMax: options.streamsPerAccount ?? 5,
    overfull: options.streamsOverfull ?? "refuse",
    now,
  });
  const exchange = new Exchange({
    books,
    seed,
    now,
    sharesExecutionIds: options.sharesExecutionIds ?? true,
    fillLagMs: (account) => faults.strikes("fill-lag", account)?.byMs ?? 0,
    sticks: (account) => faults.strikes("stuck-cancel", account) !== undefined,
    publish: (update) => stream.publish(update),
    onFailure,
  });
  const plans = accounts.map((account) => planOf(account, options));
  for (const plan of plans) exchange.open(plan);

  const market = createMarket({
    options: options.market ?? {},
    seed,
    faults,
    credentials,
    now,
    cut: (port) => relay.cut(port),
  });
  const polygon = createPolygon({
    options: options.polygon ?? {},
    market,
    faults,
    now,
    cut: (port) => relay.cut(port),
  });
  const face = {
    exchange,
    market,
    faults,
    credentials,
    limiter: new Limiter(options.requestsPerMinute ?? 200, now),
    dataLimiter: new Limiter(
      options.requestsPerMinute ?? market.requestsPerMinute,
      now,
    ),
  };
  const doors = { accounts: names, books, faults, inject };
  const server = stack.adopt(
    Bun.serve<AnyConnection>({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 60,
      fetch(request, own) {
        const { pathname } = new URL(request.url);
        if (pathname === "/stream") return stream.upgrade(request, own);
        if (isMarketPath(pathname))
          return market.stream.upgrade(request, own, pathname);
        if (/^\/sim(\/|$)/.test(pathname)) return answerSim(doors, request);
        const cut = () => relay.cut(own.requestIP(request)?.port ?? 0);
        const answered = polygon.answer(request, own, cut);
        return answered === undefined
          ? answerRest(face, request, cut)
          : answered.response;
      },
      error(error) {
        onFailure(error);
        return json({ code: 50010000, message: "internal server error" }, 500);
      },
      websocket: handlerOf(stream, market.stream, polygon.stream),
    }),
    (each) => each.stop(true),
  );
  const relay = stack.adopt(
    await startRelay({
      host,
      port: options.port ?? 0,
      targetPort: server.port ?? 0,
      isAway: () => faults.strikes("outage", undefined) !== undefined,
    }),
    (each) => each.stop(),
  );
  const timers: ReturnType<typeof setTimeout>[] = [];
  const later = (ms: number, work: () => void) =>
    timers.push(setTimeout(work, ms));
  stack.defer(() => {
    for (const timer of timers) clearTimeout(timer);
    exchange.stop();
    stream.stop();
    market.stream.stop();
    polygon.stream.stop();
  });

  function inject(fault: Fault): void {
    requireAccount(fault, struck, paths);
    log?.info({ fault }, "fault_injected");
    switch (fault.kind) {
      case "drop":
      case "half-open":
      case "action-error":
      case "withdrawn":
      case "feed-error":
        if (faults.happens(fault)) strike(fault);
        return;
      default:
        faults.add(fault);
        if (fault.kind === "outage") relay.cutAll();
    }
  }

  function strike(fault: InstantFault): void {
    const { kind, account } = fault;
    if (kind === "action-error" || kind === "withdrawn")
      return stream.instant(kind, account);
    if (kind === "feed-error") {
      market.stream.complain(fault.code, account);
      polygon.stream.complain(fault.code, account);
      return;
    }
    const ports = [stream, market.stream, polygon.stream].flatMap((each) =>
      each.ports(account),
    );
    for (const port of ports) {
      if (kind === "drop") relay.cut(port);
      else {
        relay.hold(port);
        market.stream.abandon(port);
      }
      if (kind === "half-open" && fault.forMs !== undefined)
        later(fault.forMs, () => relay.cut(port));
    }
  }

  for (const { atMs, everyMs, ...fault } of options.faults ?? [])
    later(atMs, () => {
      inject(fault);
      if (everyMs === undefined) return;
      timers.push(setInterval(() => inject(fault), everyMs));
    });
  if (options.trading === true) for (const plan of plans) exchange.trade(plan);

  const shownHost = host.includes(":") ? `[${host}]` : host;
  const running = stack.move();
  let stopped: Promise<void> | undefined;
  return {
    url: `http://${shownHost}:${relay.port}`,
    streamUrl: `ws://${shownHost}:${relay.port}/stream`,
    accounts,
    exchange,
    market,
    polygon,
    inject,
    clear: () => faults.clear(),
    stop: () => (stopped ??= running.disposeAsync()),
  };
}

type AnyConnection = Connection | MarketConnection | PolygonConnection;

/** One server, three languages: what a socket speaks is known by what it was opened with. */
function handlerOf(
  trading: StreamFace,
  market: MarketStreamFace,
  polygon: PolygonStreamFace,
): WebSocketHandler<AnyConnection> {
  const isMarket = (
    socket: ServerWebSocket<AnyConnection>,
  ): socket is ServerWebSocket<MarketConnection> => "path" in socket.data;
  const isPolygon = (
    socket: ServerWebSocket<AnyConnection>,
  ): socket is ServerWebSocket<PolygonConnection> => "cluster" in socket.data;
  const isTrading = (
    socket: ServerWebSocket<AnyConnection>,
  ): socket is ServerWebSocket<Connection> =>
    !isMarket(socket) && !isPolygon(socket);
  const { open, message, close, ...settings } = trading.handler;
  return {
    ...settings,
    perMessageDeflate: true,
    open(socket) {
      if (isMarket(socket)) market.opened(socket);
      else if (isPolygon(socket)) polygon.opened(socket);
      else if (isTrading(socket)) void open?.(socket);
    },
    message(socket, frame) {
      if (isMarket(socket)) market.heard(socket, frame);
      else if (isPolygon(socket)) polygon.heard(socket, frame);
      else if (isTrading(socket)) void message?.(socket, frame);
    },
    close(socket, code, reason) {
      if (isMarket(socket)) market.closed(socket, code);
      else if (isPolygon(socket)) polygon.closed(socket);
      else if (isTrading(socket)) void close?.(socket, code, reason);
    },
  };
}

const DEFAULTS = {
  cash: 100_000,
  ordersPerMinute: 10,
  historyDays: 30,
  historyOrdersPerDay: 40,
};

function planOf(
  account: SimulatedAccountSpec,
  options: SimulatedVenueOptions,
): AccountPlan {
  return {
    name: account.name,
    cash: account.cash ?? DEFAULTS.cash,
    ordersPerMinute: account.ordersPerMinute ?? DEFAULTS.ordersPerMinute,
    historyDays: options.historyDays ?? DEFAULTS.historyDays,
    historyOrdersPerDay:
      options.historyOrdersPerDay ?? DEFAULTS.historyOrdersPerDay,
  };
}

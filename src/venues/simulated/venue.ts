/**
 * A broker to try against: Alpaca's trading REST and `trade_updates`, true to the
 * wire, with books of its own that anyone can compare with, and faults on call.
 */
import { ConfigError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { json } from "./answer.ts";
import { Books } from "./books.ts";
import { Chance } from "./chance.ts";
import { type AccountPlan, Exchange } from "./exchange.ts";
import {
  type Fault,
  FaultBoard,
  readFault,
  type ScheduledFault,
} from "./faults.ts";
import { Limiter } from "./limiter.ts";
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
  readonly sharesExecutionIds?: boolean;
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
  inject(fault: Fault): void;
  /** Ends all faults. */
  clear(): void;
  stop(): Promise<void>;
}

export async function startSimulatedVenue(
  options: SimulatedVenueOptions = {},
): Promise<SimulatedVenue> {
  const { host = "127.0.0.1", seed = 1, accounts = DEMO_ACCOUNTS } = options;
  const now = () => options.clock?.now() ?? Date.now();
  const faults = new FaultBoard(now, new Chance(`${seed}/faults`));
  const books = new Books(options.file ?? ":memory:");
  const credentials = accounts.map((account) => ({
    ...account,
    frames: account.frames ?? ("binary" as const),
  }));
  const stream = new StreamFace({
    faults,
    credentials,
    perAccountMax: options.streamsPerAccount ?? 5,
  });
  const exchange = new Exchange({
    books,
    seed,
    now,
    sharesExecutionIds: options.sharesExecutionIds ?? true,
    fillLagMs: (account) => faults.strikes("fill-lag", account)?.byMs ?? 0,
    publish: (update) => stream.publish(update),
  });
  const plans = accounts.map((account) => planOf(account, options));
  for (const plan of plans) exchange.open(plan);

  const face = {
    exchange,
    faults,
    credentials,
    limiter: new Limiter(options.requestsPerMinute ?? 200, now),
  };
  const server = Bun.serve<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    fetch(request, own) {
      const { pathname } = new URL(request.url);
      if (pathname === "/stream") return stream.upgrade(request, own);
      if (pathname.startsWith("/sim/")) return answerSim(request, pathname);
      return answerRest(face, request);
    },
    error(error) {
      options.log?.error({ error }, "venue_failed");
      return json({ code: 50010000, message: "internal server error" }, 500);
    },
    websocket: stream.handler,
  });
  const relay = await startRelay({
    host,
    port: options.port ?? 0,
    targetPort: server.port ?? 0,
    isAway: () => faults.strikes("outage", undefined) !== undefined,
  });
  const timers: ReturnType<typeof setTimeout>[] = [];
  const later = (ms: number, work: () => void) =>
    timers.push(setTimeout(work, ms));

  function inject(fault: Fault): void {
    options.log?.info({ fault }, "fault_injected");
    switch (fault.kind) {
      case "drop":
        for (const port of stream.instant("ports", fault.account))
          relay.cut(port);
        return;
      case "half-open":
        for (const port of stream.instant("ports", fault.account)) {
          relay.hold(port);
          if (fault.forMs !== undefined)
            later(fault.forMs, () => relay.cut(port));
        }
        return;
      case "action-error":
      case "withdrawn":
        stream.instant(fault.kind, fault.account);
        return;
      case "outage":
        faults.add(fault);
        relay.cutAll();
        return;
      default:
        faults.add(fault);
    }
  }

  /** The books and the faults, for whoever compares and breaks: no venue has this door. */
  async function answerSim(
    request: Request,
    pathname: string,
  ): Promise<Response> {
    if (pathname === "/sim/faults") {
      if (request.method === "DELETE") faults.clear();
      else if (request.method === "POST") {
        try {
          inject(readFault(await request.json()));
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          return json({ problems: error.problems }, 400);
        }
      }
      return json(faults.list());
    }
    const [, , , account = "", kind] = pathname.split("/");
    if (
      !pathname.startsWith("/sim/books/") ||
      !accounts.some(({ name }) => name === account)
    )
      return json({ message: "not found" }, 404);
    if (kind === undefined)
      return json({
        ...books.account(account),
        ...books.counts(account),
        positions: books.positions(account),
      });
    if (kind !== "orders" && kind !== "activities" && kind !== "events")
      return json({ message: "not found" }, 404);
    return new Response([...books.all(account, kind), ""].join("\n"), {
      headers: { "Content-Type": "application/x-ndjson" },
    });
  }

  for (const { atMs, everyMs, ...fault } of options.faults ?? []) {
    later(atMs, () => {
      inject(fault);
      if (everyMs !== undefined)
        timers.push(setInterval(() => inject(fault), everyMs));
    });
  }
  if (options.trading === true) for (const plan of plans) exchange.trade(plan);

  const shownHost = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http://${shownHost}:${relay.port}`,
    streamUrl: `ws://${shownHost}:${relay.port}/stream`,
    accounts,
    exchange,
    inject,
    clear: () => faults.clear(),
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      exchange.stop();
      await relay.stop();
      await server.stop(true);
      books.close();
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

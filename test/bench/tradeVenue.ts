/**
 * A market-data stream and a consumer of what becomes of it, in a process of their
 * own: sends frames of numbered trades as its parent asks, and hears them on Redis.
 * Sending and hearing share one clock, so a delay is the whole way from a frame to
 * a consumer. Argument: Redis' address.
 */
import { RedisClient, type ServerWebSocket } from "bun";
import { SECOND, sleep } from "../../src/clock.ts";

export type Asked =
  /** The next so many trades, at once; the same ones again and again. */
  | { readonly do: "send"; readonly count: number }
  /** So many new trades at a rate, numbered from 0. */
  | {
      readonly do: "stream";
      readonly count: number;
      readonly perSecond: number;
    }
  /** Listens from now on; answered with a report. */
  | { readonly do: "hear" }
  | { readonly do: "report" };

/** Since the last stream began. */
export interface Report {
  /** Where it sends. */
  readonly port: number;
  /** Trades that arrived, and those of them that came behind a later one. */
  readonly heard: number;
  readonly overtaken: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Trades of one frame in a busy moment. */
const FRAME_LENGTH = 20;
const SYMBOLS = ["AAPL", "SPY", "QQQ", "TSLA", "NVDA"];
const PREPARED = 100_000;
/** Delays are counted in steps of 0.05 ms, up to a second. */
const STEPS_PER_MS = 20;
const STEPS = 1000 * STEPS_PER_MS;

const [redisUrl = ""] = process.argv.slice(2);
const prepared = Array.from({ length: PREPARED / FRAME_LENGTH }, (_, index) =>
  frameOf(index * FRAME_LENGTH, FRAME_LENGTH),
);
let next = 0;
let sentAtMs: Float64Array = new Float64Array(0);
let delays = new Uint32Array(STEPS);
let heard = 0;
let overtaken = 0;
let maxMs = 0;
let newest = new Map<string, number>();
let listener: ServerWebSocket<undefined> | undefined;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, own) =>
    own.upgrade(request) ? undefined : new Response("", { status: 426 }),
  websocket: {
    open(socket) {
      listener = socket;
      next = 0;
      socket.send('[{"T":"success","msg":"connected"}]');
    },
    message(socket, message) {
      const { action, trades } = JSON.parse(String(message));
      socket.send(
        action === "auth"
          ? '[{"T":"success","msg":"authenticated"}]'
          : JSON.stringify([
              { T: "subscription", trades, quotes: [], bars: [] },
            ]),
      );
    },
  },
});

/** Its size is a trade's number. */
function frameOf(from: number, count: number): string {
  const trades = Array.from({ length: count }, (_, index) => {
    const number = from + index;
    const symbol = SYMBOLS[number % SYMBOLS.length];
    const nanos = String(number % 1_000_000_000).padStart(9, "0");
    return `{"T":"t","S":"${symbol}","i":${number},"x":"V","p":${100 + (number % 997) / 100},"s":${number},"c":["@","I"],"t":"2026-09-18T13:30:00.${nanos}Z","z":"C"}`;
  });
  return `[${trades.join(",")}]`;
}

async function stream(count: number, perSecond: number): Promise<void> {
  sentAtMs = new Float64Array(count);
  newest = new Map();
  delays = new Uint32Array(STEPS);
  heard = overtaken = maxMs = 0;
  const startMs = performance.now();
  for (let sent = 0; sent < count;) {
    const nowMs = performance.now();
    const due = Math.min(
      count,
      Math.ceil(((nowMs - startMs) * perSecond) / SECOND),
    );
    for (; sent < due; sent += FRAME_LENGTH) {
      sentAtMs.fill(performance.now(), sent, sent + FRAME_LENGTH);
      listener?.send(frameOf(sent, Math.min(FRAME_LENGTH, count - sent)));
    }
    await sleep(1);
  }
}

function hear(payload: string): void {
  const number = Number(/"size":(\d+)/.exec(payload)?.[1]);
  const symbol = SYMBOLS[number % SYMBOLS.length] ?? "";
  heard++;
  if (number <= (newest.get(symbol) ?? -1)) overtaken++;
  newest.set(symbol, number);
  const ms = performance.now() - (sentAtMs[number] ?? 0);
  const step = Math.min(STEPS - 1, Math.floor(ms * STEPS_PER_MS));
  delays[step] = (delays[step] ?? 0) + 1;
  maxMs = Math.max(maxMs, ms);
}

function report(): Report {
  return {
    port: server.port ?? 0,
    heard,
    overtaken,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    maxMs,
  };
}

function quantile(share: number): number {
  let passed = 0;
  const step = delays.findIndex((count) => (passed += count) >= heard * share);
  return (step + 1) / STEPS_PER_MS;
}

process.on("message", async (asked: Asked) => {
  switch (asked.do) {
    case "send":
      for (let sent = 0; sent < asked.count; sent += FRAME_LENGTH)
        listener?.send(prepared[next++ % prepared.length]!);
      return;
    case "stream":
      return stream(asked.count, asked.perSecond);
    case "hear": {
      const ear = new RedisClient(redisUrl);
      for (const symbol of SYMBOLS)
        await ear.subscribe(`market_trades:${symbol}`, hear);
      return process.send?.(report());
    }
    case "report":
      return process.send?.(report());
  }
});
process.send?.(report());

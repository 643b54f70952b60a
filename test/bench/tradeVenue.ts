/**
 * A market-data stream and a consumer of what becomes of it, in a process of
 * their own: sends frames of numbered trades as its parent asks, and hears them on
 * Redis. Sending and hearing share one clock, so a delay is the whole way from a
 * frame to a consumer. Argument: Redis' address.
 */
import { type ServerWebSocket, RedisClient } from "bun";
import { SECOND, sleep } from "../../src/clock.ts";

/** What the parent asks for: so many trades from this number on, at this rate, or all at once. */
export interface Asked {
  readonly from: number;
  readonly count: number;
  readonly perSecond?: number;
}

/** `port` once; then what was heard since the last answer, whenever asked with `tell`. */
export type Told =
  | { readonly port: number }
  | {
      readonly heard: number;
      /** Numbers that came behind a higher one. */
      readonly overtaken: number;
      /** Of trades that were sent at a rate, in milliseconds. */
      readonly p50Ms: number;
      readonly p99Ms: number;
      readonly maxMs: number;
    };

/** Trades of one frame: what the busiest moments of a stream bring. */
const FRAME_LENGTH = 20;
const SYMBOLS = ["AAPL", "SPY", "QQQ", "TSLA", "NVDA"];
const TICK_MS = 1;

const [redisUrl = ""] = process.argv.slice(2);
const sentAtMs = new Float64Array(4_000_000);
let delays: number[] = [];
let heard = 0;
let overtaken = 0;
const newest = new Map<string, number>();

const ear = new RedisClient(redisUrl);
for (const symbol of SYMBOLS)
  await ear.subscribe(`market_trades:${symbol}`, (payload) => {
    const size = Number(/"size":(\d+)/.exec(payload)?.[1]);
    heard++;
    if (size < (newest.get(symbol) ?? 0)) overtaken++;
    newest.set(symbol, size);
    const sent = sentAtMs[size % sentAtMs.length] ?? 0;
    if (sent > 0) delays.push(performance.now() - sent);
  });

let listener: ServerWebSocket<undefined> | undefined;
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, own) =>
    own.upgrade(request) ? undefined : new Response("", { status: 426 }),
  websocket: {
    open(socket) {
      listener = socket;
      socket.send('[{"T":"success","msg":"connected"}]');
    },
    message(socket, message) {
      const { action, trades } = JSON.parse(String(message));
      socket.send(
        action === "auth"
          ? '[{"T":"success","msg":"authenticated"}]'
          : JSON.stringify([{ T: "subscription", trades, quotes: [], bars: [] }]),
      );
    },
  },
});

function frameOf(from: number, count: number): string {
  const trades = Array.from({ length: count }, (_, index) => {
    const size = from + index;
    const symbol = SYMBOLS[size % SYMBOLS.length];
    return `{"T":"t","S":"${symbol}","i":${size},"x":"V","p":${100 + (size % 997) / 100},"s":${size},"c":["@","I"],"t":"2026-09-18T13:30:00.${String(size % 1_000_000_000).padStart(9, "0")}Z","z":"C"}`;
  });
  return `[${trades.join(",")}]`;
}

function sendFrames(from: number, to: number): void {
  for (let at = from; at < to; at += FRAME_LENGTH)
    listener?.send(frameOf(at, Math.min(FRAME_LENGTH, to - at)));
}

async function sendAtRate({ from, count, perSecond = 0 }: Asked) {
  const startMs = performance.now();
  let sent = 0;
  while (sent < count) {
    const nowMs = performance.now();
    const due = Math.min(
      count,
      Math.floor(((nowMs - startMs) * perSecond) / SECOND),
    );
    for (let size = from + sent; size < from + due; size++)
      sentAtMs[size % sentAtMs.length] = nowMs;
    sendFrames(from + sent, from + due);
    sent = due;
    await sleep(TICK_MS);
  }
}

function report(): Told {
  const sorted = delays.sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const told = {
    heard,
    overtaken,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
  delays = [];
  heard = 0;
  overtaken = 0;
  return told;
}

process.on("message", (asked: Asked | "tell") => {
  if (asked === "tell") process.send?.(report());
  else if (asked.perSecond === undefined)
    sendFrames(asked.from, asked.from + asked.count);
  else void sendAtRate(asked);
});
process.send?.({ port: server.port ?? 0 } satisfies Told);

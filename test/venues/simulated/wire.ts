/**
 * What the tests of the venue's faces share: a venue in which nothing happens by
 * itself, its REST as one call, and a socket that keeps what comes over it.
 */
import WebSocket from "ws";
import { SECOND, within } from "../../../src/clock.ts";
import type { Desk } from "../../../src/venues/simulated/desk.ts";
import type { VenueOrder } from "../../../src/venues/simulated/order.ts";
import {
  type SimulatedVenue,
  type SimulatedVenueOptions,
  startSimulatedVenue,
} from "../../../src/venues/simulated/venue.ts";

export const ALPHA = {
  name: "alpha",
  keyId: "PKALPHA",
  secretKey: "secret of alpha",
  cash: 1000,
} as const;
/** Its frames are text. */
export const BETA = {
  name: "beta",
  keyId: "AKBETA",
  secretKey: "secret of beta",
  frames: "text",
} as const;

const ANSWER_MS_MAX = 5 * SECOND;

/** `data` of a trade update. */
export interface Update {
  readonly at: string;
  readonly event_id: string;
  readonly event: string;
  readonly timestamp: string;
  readonly order: VenueOrder;
  readonly price?: string;
  readonly qty?: string;
  readonly position_qty?: string;
  readonly execution_id?: string;
  readonly previous_execution_id?: string;
  readonly settle_date?: string;
}

export class Scene implements AsyncDisposable {
  readonly #dialled: Listener[] = [];

  constructor(readonly venue: SimulatedVenue) {}

  get desk(): Desk {
    return this.venue.exchange.desk(ALPHA.name);
  }

  /** As alpha, unless `headers` say otherwise. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = keysOf(ALPHA),
  ) {
    const response = await fetch(`${this.venue.url}${path}`, {
      method,
      headers,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: isJson(response) ? JSON.parse(text) : text,
    };
  }

  async get(path: string) {
    return (await this.call("GET", path)).body;
  }

  async dial(headers: Record<string, string> = {}): Promise<Listener> {
    const listener = new Listener(this.venue.streamUrl, headers);
    this.#dialled.push(listener);
    await listener.opened;
    return listener;
  }

  /** A socket of alpha that listens to trade_updates. */
  async listen({
    keyId,
    secretKey,
  }: { keyId: string; secretKey: string } = ALPHA): Promise<Listener> {
    const listener = await this.dial();
    listener.send({ action: "auth", key: keyId, secret: secretKey });
    await listener.next();
    listener.send(LISTEN);
    await listener.next();
    return listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#dialled) listener.hangUp();
    await this.venue.stop();
  }
}

export const LISTEN = {
  action: "listen",
  data: { streams: ["trade_updates"] },
};

/** A venue of two accounts without a past, whose orders are the test's. */
export async function openScene(
  options: SimulatedVenueOptions = {},
): Promise<Scene> {
  return new Scene(
    await startSimulatedVenue({
      accounts: [ALPHA, BETA],
      historyDays: 1,
      historyOrdersPerDay: 0,
      ...options,
    }),
  );
}

export class Listener {
  readonly opened: Promise<void>;
  readonly closed: Promise<number>;
  /** Kinds of the frames that came, oldest first. */
  readonly kinds: ("binary" | "text")[] = [];
  readonly #socket: WebSocket;
  readonly #waiting: Buffer[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(url: string, headers: Record<string, string> = {}) {
    this.#socket = new WebSocket(url, { headers });
    const { promise: opened, resolve, reject } = Promise.withResolvers<void>();
    this.opened = opened;
    this.closed = new Promise((done) => {
      this.#socket.on("close", (code) => {
        this.#wake.resolve();
        reject(new Error(`closed with ${code}`));
        done(code);
      });
    });
    this.#socket.on("open", resolve);
    this.#socket.on("error", reject);
    this.#socket.on("message", (data, isBinary) => {
      this.kinds.push(isBinary ? "binary" : "text");
      this.#waiting.push(
        Buffer.isBuffer(data) ? data : Buffer.from(String(data)),
      );
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    });
  }

  send(frame: unknown): void {
    this.#socket.send(
      typeof frame === "string" || frame instanceof Uint8Array
        ? frame
        : JSON.stringify(frame),
    );
  }

  /** The next frame. Rejects when none comes. */
  async nextBytes(): Promise<Buffer> {
    while (this.#waiting.length === 0) {
      if (this.#socket.readyState === WebSocket.CLOSED)
        throw new Error("closed, and no frame left");
      await within(ANSWER_MS_MAX, this.#wake.promise, "no frame came");
    }
    return this.#waiting.shift() ?? Buffer.alloc(0);
  }

  async nextText(): Promise<string> {
    return (await this.nextBytes()).toString();
  }

  async next() {
    return JSON.parse(await this.nextText());
  }

  /** `data` of the next so many updates. */
  async updates(count: number): Promise<Update[]> {
    const updates: Update[] = [];
    while (updates.length < count) updates.push((await this.next()).data);
    return updates;
  }

  /** Updates until one is of this event, it included. */
  async until(event: string): Promise<Update[]> {
    const updates: Update[] = [];
    do updates.push((await this.next()).data);
    while (updates.at(-1)?.event !== event);
    return updates;
  }

  /** Frames that came and were not asked for yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves when the peer answers a ping: everything it sent before has come. */
  async pong(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once("pong", () => resolve());
    this.#socket.ping();
    await within(ANSWER_MS_MAX, promise, "no pong came");
  }

  close(): void {
    this.#socket.close();
  }

  hangUp(): void {
    this.#socket.terminate();
  }
}

export function keysOf({
  keyId,
  secretKey,
}: {
  readonly keyId: string;
  readonly secretKey: string;
}): Record<string, string> {
  return { "APCA-API-KEY-ID": keyId, "APCA-API-SECRET-KEY": secretKey };
}

/** An order of whole shares, live at the venue. */
export function liveOrder(
  desk: Desk,
  request: Partial<Parameters<Desk["submit"]>[0]> = {},
): VenueOrder {
  const order = desk.submit({
    symbol: "AAPL",
    side: "buy",
    type: "limit",
    qty: "10",
    limitPrice: "100",
    ...request,
  });
  desk.accept(order);
  return order;
}

function isJson(response: Response): boolean {
  return (response.headers.get("Content-Type") ?? "").startsWith(
    "application/json",
  );
}

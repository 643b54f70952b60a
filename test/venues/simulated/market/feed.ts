/**
 * What the tests of the venue's market data share: a venue whose clock stands
 * still until it is moved, and sockets on its feeds.
 */
import { encode } from "@msgpack/msgpack";
import type { MarketPath } from "../../../../src/venues/simulated/market/language.ts";
import type { MarketOptions } from "../../../../src/venues/simulated/market/market.ts";
import {
  type SimulatedVenue,
  type SimulatedVenueOptions,
  startSimulatedVenue,
} from "../../../../src/venues/simulated/venue.ts";
import { ALPHA, BETA, keysOf, Listener } from "../wire.ts";

/** A Wednesday, 10:00 in New York. */
export const NOW = Date.parse("2026-09-16T14:00:00Z");

export const AUTH = {
  action: "auth",
  key: ALPHA.keyId,
  secret: ALPHA.secretKey,
};
export const PACKED = { "Content-Type": "application/msgpack" };
export const CRYPTO = "/v1beta3/crypto/us";

/** An element of a frame, or a row of REST. */
export type Message = Readonly<Record<string, unknown>>;

export class Feed implements AsyncDisposable {
  nowMs = NOW;
  readonly #dialled: Listener[] = [];
  #venue: SimulatedVenue | undefined;

  static async open(
    market: MarketOptions = {},
    options: SimulatedVenueOptions = { requestsPerMinute: 100_000 },
  ): Promise<Feed> {
    const feed = new Feed();
    feed.#venue = await startSimulatedVenue({
      accounts: [ALPHA, BETA],
      historyDays: 1,
      historyOrdersPerDay: 0,
      clock: { now: () => feed.nowMs },
      market,
      ...options,
    });
    return feed;
  }

  get venue(): SimulatedVenue {
    if (this.#venue === undefined) throw new Error("not open");
    return this.#venue;
  }

  /** Moves the clock, and sends what is due by then. */
  advance(ms: number): void {
    this.nowMs += ms;
    this.venue.market.stream.tick();
  }

  async dial(
    path: MarketPath,
    headers: Record<string, string> = {},
  ): Promise<Listener> {
    const listener = new Listener(
      this.venue.url.replace("http", "ws") + path,
      headers,
    );
    this.#dialled.push(listener);
    await listener.opened;
    return listener;
  }

  /** A socket of alpha that is in, behind the welcome. */
  async enter(path: MarketPath, auth: Message = AUTH): Promise<Listener> {
    const listener = await this.dial(path);
    await listener.next();
    listener.send(auth);
    const [answer] = await listener.next();
    if (answer.msg !== "authenticated") throw new Error(answer.msg);
    return listener;
  }

  /** A socket of alpha that has subscribed. */
  async listen(path: MarketPath, wanted: Message): Promise<Listener> {
    const listener = await this.enter(path);
    listener.send({ action: "subscribe", ...wanted });
    await listener.next();
    return listener;
  }

  /** The same in MessagePack. */
  async listenPacked(path: MarketPath, wanted: Message): Promise<Listener> {
    const listener = await this.dial(path, PACKED);
    listener.send(encode(AUTH));
    listener.send(encode({ action: "subscribe", ...wanted }));
    for (const _ of ["connected", "authenticated", "subscription"])
      await listener.nextBytes();
    return listener;
  }

  async call(
    path: string,
    {
      method = "GET",
      headers = keysOf(ALPHA),
    }: { method?: string; headers?: Record<string, string> } = {},
  ) {
    const response = await fetch(this.venue.url + path, { method, headers });
    return {
      status: response.status,
      headers: response.headers,
      body: JSON.parse(await response.text()),
    };
  }

  async get(path: string) {
    return (await this.call(path)).body;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#dialled) listener.hangUp();
    await this.#venue?.stop();
  }
}

/** Everything that was sent before now, frame by frame. */
export async function framesOf(listener: Listener): Promise<Message[][]> {
  await listener.pong();
  const frames: Message[][] = [];
  while (listener.waiting > 0) frames.push(await listener.next());
  return frames;
}

export async function messagesOf(listener: Listener): Promise<Message[]> {
  return (await framesOf(listener)).flat();
}

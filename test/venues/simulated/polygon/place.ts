/**
 * What the tests of the venue's Polygon face share: a venue whose clock stands
 * still until it is moved, and its REST and sockets with the key of the account.
 */
import {
  type PolygonOptions,
  DEMO_POLYGON_KEY,
} from "../../../../src/venues/simulated/polygon/polygon.ts";
import type { MarketOptions } from "../../../../src/venues/simulated/market/market.ts";
import type { TapeBar } from "../../../../src/venues/simulated/market/tape.ts";
import {
  type SimulatedVenue,
  startSimulatedVenue,
} from "../../../../src/venues/simulated/venue.ts";
import { ALPHA, Listener } from "../wire.ts";

/** A Wednesday, 10:00 in New York. */
export const NOW = Date.parse("2026-09-16T14:00:00Z");

export type Message = Readonly<Record<string, unknown>>;

export class Place implements AsyncDisposable {
  readonly #dialled: Listener[] = [];
  #venue: SimulatedVenue | undefined;

  constructor(public nowMs: number) {}

  /** Stocks rest when the exchange does, unless `market` says otherwise. */
  static async open(
    polygon: PolygonOptions = {},
    market: MarketOptions = { hours: "exchange" },
    nowMs: number = NOW,
  ): Promise<Place> {
    const place = new Place(nowMs);
    place.#venue = await startSimulatedVenue({
      accounts: [ALPHA],
      historyDays: 1,
      historyOrdersPerDay: 0,
      clock: { now: () => place.nowMs },
      market,
      polygon,
    });
    return place;
  }

  get venue(): SimulatedVenue {
    if (this.#venue === undefined) throw new Error("not open");
    return this.#venue;
  }

  /** Moves the clock, and sends what is due by then. */
  advance(ms: number): void {
    this.nowMs += ms;
    this.venue.polygon.stream.tick();
  }

  async call(path: string, headers: Record<string, string> = BEARER) {
    const url = path.startsWith("http") ? path : this.venue.url + path;
    const response = await fetch(url, { headers });
    const text = await response.text();
    const isJson = response.headers.get("Content-Type")?.includes("json");
    return {
      status: response.status,
      text,
      body: isJson === true ? JSON.parse(text) : text,
    };
  }

  async get(path: string) {
    return (await this.call(path)).body;
  }

  /** Bars of all pages, and of which addresses they were. */
  async pages(path: string): Promise<{ rows: Row[]; urls: string[] }> {
    const rows: Row[] = [];
    const urls: string[] = [];
    for (let next: string | undefined = path; next !== undefined;) {
      const page: { results?: Row[]; next_url?: string } = await this.get(next);
      rows.push(...(page.results ?? []));
      if (page.next_url !== undefined) urls.push(page.next_url);
      next = page.next_url;
    }
    return { rows, urls };
  }

  /** What the tape has of a minute once all is known, as a row of REST. */
  row(symbol: string, minuteMs: number): Row | undefined {
    const bar = this.venue.market.tape.bar(symbol, minuteMs, "whole");
    return bar === undefined || bar.n === 0 ? undefined : rowOf(bar);
  }

  async dial(path: "/stocks" | "/crypto"): Promise<Listener> {
    const url = this.venue.url.replace("http", "ws") + path;
    const listener = new Listener(url);
    this.#dialled.push(listener);
    await listener.opened;
    return listener;
  }

  /** A socket that is in. */
  async enter(path: "/stocks" | "/crypto"): Promise<Listener> {
    const listener = await this.dial(path);
    await listener.next();
    listener.send({ action: "auth", params: DEMO_POLYGON_KEY });
    const [answer] = await listener.next();
    if (answer.status !== "auth_success") throw new Error(answer.message);
    return listener;
  }

  async listen(path: "/stocks" | "/crypto", params: string): Promise<Listener> {
    const listener = await this.enter(path);
    listener.send({ action: "subscribe", params });
    await listener.next();
    return listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#dialled) listener.hangUp();
    await this.#venue?.stop();
  }
}

export interface Row {
  readonly t: number;
  readonly o: number;
  readonly h: number;
  readonly l: number;
  readonly c: number;
  readonly v: number;
  readonly vw: number;
  readonly n: number;
}

export function rowOf({ startMs, ...rest }: TapeBar): Row {
  return { ...rest, t: startMs };
}

export const BEARER = { Authorization: `Bearer ${DEMO_POLYGON_KEY}` };

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

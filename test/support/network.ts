/** A network in memory: the far end of every connection is played by the test; every dial, hang-up and cut is written down with its second. */
import type {
  Closing,
  dial,
  Socket,
  SocketListener,
} from "../../actors/sources/socket.ts";
import { SECOND } from "../../src/clock.ts";
import { NOW } from "./accountScript.ts";

/** How a connection that just broke is told. */
export const BROKEN: Closing = { code: 1006, reason: "cut" };

/** Seconds since the test began. */
export function seconds(): number {
  return (Date.now() - NOW) / SECOND;
}

/** The far end of one connection. */
export abstract class PeerSocket implements Socket {
  /** When each ping was asked for beyond the regular ones. */
  readonly pings: number[] = [];
  #isOpen = true;

  constructor(
    readonly listener: SocketListener,
    readonly log: (what: string) => void,
  ) {}

  get isOpen(): boolean {
    return this.#isOpen;
  }

  abstract send(frame: string | Uint8Array): void;

  ping(): void {
    this.pings.push(Date.now());
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.log("hang up");
  }

  opens(): this {
    if (this.#isOpen) this.listener.opened();
    return this;
  }

  /** Answers the ping sent at `sentAtMs`. */
  pongs(sentAtMs = Date.now()): this {
    if (this.#isOpen) this.listener.ponged(sentAtMs);
    return this;
  }

  cuts(closing = BROKEN): this {
    if (!this.#isOpen) return this;
    this.#isOpen = false;
    this.log("cut");
    this.listener.closed(closing);
    return this;
  }
}

/** Where every dial ends. */
export class ScriptedNetwork<Peer extends PeerSocket> {
  /** `0 dial`, `10 hang up`, `12 cut`: the second, and what happened. */
  readonly log: string[] = [];
  readonly sockets: Peer[] = [];
  /** Where to, and with which headers. */
  readonly addresses: unknown[] = [];
  /** What the peer does with a connection, once it is dialled. */
  peer: (socket: Peer) => void = () => {};

  constructor(
    readonly create: new (
      listener: SocketListener,
      log: (what: string) => void,
    ) => Peer,
  ) {}

  readonly dial: typeof dial = (url, listener, options) => {
    const note = (what: string) => this.log.push(`${seconds()} ${what}`);
    const socket = new this.create(listener, note);
    note("dial");
    this.addresses.push([url, options]);
    this.sockets.push(socket);
    queueMicrotask(() => this.peer(socket));
    return socket;
  };

  get last(): Peer {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nobody has dialled");
    return socket;
  }

  get open(): number {
    return this.sockets.filter(({ isOpen }) => isOpen).length;
  }

  /** Seconds at which it was dialled. */
  get dials(): number[] {
    return this.log
      .filter((line) => line.endsWith(" dial"))
      .map((line) => Number(line.split(" ")[0]));
  }
}

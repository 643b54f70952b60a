/**
 * Which sink gets which messages: a row a sink. A new sink is its own file and
 * one row more.
 */
import type { MarketKind, MarketMessage } from "../../schema/market.ts";

export interface Route<Message extends MarketMessage = MarketMessage> {
  readonly sink: string;
  readonly takes: (message: MarketMessage) => message is Message;
  /** Never waits. A method, so that rows of different messages fit into one table. */
  take(message: Message): void;
}

export class Router {
  readonly #untaken = new Map<MarketKind, number>();

  constructor(readonly routes: readonly Route[]) {}

  /** How many messages of a kind came that no sink takes. */
  get untaken(): ReadonlyMap<MarketKind, number> {
    return this.#untaken;
  }

  /** Hands each message to every sink that takes it, in order. Called for every frame. */
  deliver(messages: readonly MarketMessage[]): void {
    for (const message of messages) {
      let isTaken = false;
      for (const route of this.routes) {
        if (!route.takes(message)) continue;
        route.take(message);
        isTaken = true;
      }
      if (!isTaken) this.#count(message.kind);
    }
  }

  #count(kind: MarketKind): void {
    this.#untaken.set(kind, (this.#untaken.get(kind) ?? 0) + 1);
  }
}

/** Order books of crypto: some levels behind each quote, and what changes from one to the next. */
import { type TapeQuote, tidy } from "./tape.ts";

export interface Level {
  readonly p: number;
  /** 0 takes the level away. */
  readonly s: number;
}

export interface OrderBook {
  /** Bids, the highest first. */
  readonly b: readonly Level[];
  /** Asks, the lowest first. */
  readonly a: readonly Level[];
}

const DEPTH = 5;

export function bookOf({ bid, bidSize, ask, askSize }: TapeQuote): OrderBook {
  const step = ask - bid;
  const levels = (best: number, size: number, sign: number) =>
    Array.from({ length: DEPTH }, (_, depth) => ({
      p: tidy(best + sign * depth * step),
      s: tidy(size * (1 + depth / 2)),
    }));
  return { b: levels(bid, bidSize, -1), a: levels(ask, askSize, 1) };
}

/** What turns one book into the next. */
export function changesOf(before: OrderBook, after: OrderBook): OrderBook {
  return {
    b: changedLevels(before.b, after.b),
    a: changedLevels(before.a, after.a),
  };
}

function changedLevels(
  before: readonly Level[],
  after: readonly Level[],
): Level[] {
  const was = new Map(before.map(({ p, s }) => [p, s]));
  const isGone = new Set(was.keys());
  for (const { p } of after) isGone.delete(p);
  return [
    ...after.filter(({ p, s }) => was.get(p) !== s),
    ...Array.from(isGone, (p) => ({ p, s: 0 })),
  ];
}

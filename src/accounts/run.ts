/** What all actors of one account work with. It belongs to the topology and outlives each of them. */
import type { Account } from "../../schema/account.ts";
import type { AccountRecord } from "../../schema/messages.ts";
import type { Clock } from "../clock.ts";
import type { DialSchedule } from "../flow/dials.ts";
import type { Notice } from "../flow/notice.ts";
import type { BoundedQueue } from "../flow/queue.ts";
import type { RateBudget } from "../flow/rate.ts";
import type { SessionBook } from "../venues/sessionBook.ts";
import type { AlpacaRest } from "../venues/alpaca/rest.ts";
import type { DeliveredMemory } from "./delivered.ts";
import type { AccountStore } from "./store.ts";

export interface AccountRun {
  readonly account: Account;
  /** This run of the process: what coverage facts are recorded under. */
  readonly session: string;
  readonly startedAtMs: number;
  readonly rest: AlpacaRest;
  /** The sink's queue; all accounts share it. */
  readonly queue: BoundedQueue<AccountRecord>;
  readonly store: AccountStore;
  readonly clock: Clock;
  readonly dials: DialSchedule;
  /** The request budget of its key. */
  readonly budget: RateBudget;
  readonly delivered: DeliveredMemory;
  /** Raised each time the stream begins to listen: history and healing follow it. */
  readonly listening: Notice;
  /** Raised when the stream was found deaf. */
  readonly healingWanted: Notice;
  readonly healing: {
    readonly intervalMs: number;
    readonly lookbackMs: number;
  };
  readonly backfillDays: number;
  /** When the exchange is open; all accounts share it. */
  readonly sessions: SessionBook;
  readonly board: AccountBoard;
}

/** What the status page shows of an account that no actor's state says. */
export interface AccountBoard {
  lastFrameMs: number | undefined;
  undeliveredToday: number;
  /** The same by New York day, since this run of the service began. */
  readonly undelivered: Map<string, number>;
  gapSeconds: { orders: number; activities: number; trade_updates: number };
  readonly rows: { orders: number; events: number; activities: number };
}

export function emptyBoard(): AccountBoard {
  return {
    lastFrameMs: undefined,
    undeliveredToday: 0,
    undelivered: new Map(),
    gapSeconds: { orders: 0, activities: 0, trade_updates: 0 },
    rows: { orders: 0, events: 0, activities: 0 },
  };
}

/** What flows from sources to sinks. Venue text is kept exactly as it came. */

/** The three kinds of account data whose completeness is accounted for separately. */
export type AccountStream = "trade_updates" | "orders" | "activities";

/**
 * What is known of an interval of a stream. Only facts are recorded; an interval
 * that no fact covers is *unknown*.
 *
 * - `live`: received over a listening socket.
 * - `healed`: read back by REST and committed.
 * - `confirmed_empty`: read back, and there was nothing in it.
 * - `deaf`: the socket was open, yet REST shows what it did not deliver; revokes `live`.
 */
export type CoverageState = "live" | "healed" | "confirmed_empty" | "deaf";

/** One fact about one interval of one stream of one account. */
export interface CoverageFact {
  readonly stream: AccountStream;
  readonly state: CoverageState;
  /** ISO UTC, inclusive. */
  readonly from: string;
  /** ISO UTC, exclusive. */
  readonly to: string;
  /** Rows read in it, when it was read back. */
  readonly rows?: number;
  /** Process run that learnt it; live intervals of one session are one row. */
  readonly session: string;
}

/**
 * One thing an account's sources learnt, on its way to every sink.
 *
 * - `trade_update`: the `data` member of a stream frame.
 * - `order`: one order object of REST (with its legs inside).
 * - `activity`: one row of `/v2/account/activities`.
 * - `coverage`: a {@link CoverageFact} as JSON; it travels behind the rows it
 *   vouches for, so it is committed with or after them, never before.
 * - `malformed`: a frame or row that could not be read, kept whole.
 */
export interface AccountRecord {
  readonly account: string;
  readonly kind:
    "trade_update" | "order" | "activity" | "coverage" | "malformed";
  /** The venue's own text, not a re-serialised object: no digit, key or null changed. */
  readonly raw: string;
  readonly receivedAtMs: number;
  /** Why it was set aside; only on `malformed`. */
  readonly reason?: string;
}

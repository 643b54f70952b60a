/**
 * What the recorded facts prove of an account's streams. Pure: facts in,
 * intervals out. What no fact covers is *unknown*, never assumed.
 */
import type { AccountStream, CoverageState } from "../../schema/messages.ts";
import type { CoverageInterval } from "../../schema/service.ts";
import { clip, type Interval, subtract, union } from "./intervals.ts";

/** Streams of accounts, and the minute bars of a symbol. */
export type CoverageStream = AccountStream | "bars";

export interface Fact {
  readonly stream: CoverageStream;
  readonly state: CoverageState;
  readonly from: Date;
  readonly to: Date;
  readonly rows: number;
}

export const ACCOUNT_STREAMS: readonly AccountStream[] = [
  "trade_updates",
  "orders",
  "activities",
];

/**
 * Intervals of `range` that neither a live session nor a re-read covers, for a
 * stream that REST can give back. A deaf stretch revokes what its session claimed.
 */
export function gaps(
  facts: readonly Fact[],
  stream: CoverageStream,
  range: Interval,
): Interval[] {
  const { live, read } = proven(facts, stream);
  return subtract([range], [...live, ...read]);
}

/** The certificate of one account (or of a symbol's bars) in `range`: every instant of every stream in exactly one state. */
export function certificate(
  account: string,
  facts: readonly Fact[],
  range: Interval,
  streams: readonly CoverageStream[] = ACCOUNT_STREAMS,
): CoverageInterval[] {
  return streams.flatMap((stream) => {
    const { live, read, empty } = proven(facts, stream);
    const states: [CoverageInterval["state"], Interval[]][] = [
      ["live", live],
      ["healed", subtract(read, [...live, ...empty])],
      ["confirmed_empty", subtract(empty, live)],
      ["unknown", subtract([range], [...live, ...read])],
    ];
    return states
      .flatMap(([state, intervals]) =>
        clip(intervals, range).map((interval) => ({ state, ...interval })),
      )
      .sort((a, b) => a.from - b.from)
      .map(({ state, from, to }) => ({
        account,
        stream,
        state,
        from: new Date(from).toISOString(),
        to: new Date(to).toISOString(),
      }));
  });
}

function proven(
  facts: readonly Fact[],
  stream: CoverageStream,
): { live: Interval[]; read: Interval[]; empty: Interval[] } {
  const of = (...states: CoverageState[]) =>
    union(
      facts
        .filter((fact) => fact.stream === stream && states.includes(fact.state))
        .map(({ from, to }) => ({ from: +from, to: +to })),
    );
  return {
    live: subtract(of("live"), of("deaf")),
    read: of("healed", "confirmed_empty"),
    empty: subtract(of("confirmed_empty"), of("healed")),
  };
}

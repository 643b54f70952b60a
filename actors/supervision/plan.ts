/**
 * What a supervisor is told: its children, in what order and for how long they
 * get, and whom a failure takes down with it. Words and meaning are OTP's.
 */
import type { AnyActorLogic } from "xstate";

/** Who shares the fate of a failing child: nobody, the siblings after it, or all of them. */
export type Strategy = "one_for_one" | "rest_for_one" | "one_for_all";

/** `permanent`: started again however it ended; `transient`: only after a failure; `temporary`: never. */
export type Restart = "permanent" | "transient" | "temporary";

export interface Child {
  /** Unique among its siblings. */
  readonly id: string;
  readonly logic: AnyActorLogic;
  readonly input?: unknown;
  readonly restart: Restart;
  /** How long it may take to finish after `shutdown` before it is stopped hard. */
  readonly graceMs: number;
}

export interface Plan {
  readonly strategy: Strategy;
  /** Started left to right, stopped right to left. */
  readonly children: readonly Child[];
  /** More restarts than this within `withinMs` and the supervisor itself fails. */
  readonly maxRestarts: number;
  readonly withinMs: number;
  /** Wait before a restart; `failures` is the child's own count in the window, 1 after the first. Must not throw. */
  readonly backoffMs: (failures: number) => number;
}

/** Whether a child that ended is to be started again. */
export function isRestarted(restart: Restart, failed: boolean): boolean {
  switch (restart) {
    case "permanent":
      return true;
    case "transient":
      return failed;
    case "temporary":
      return false;
    default:
      return restart satisfies never;
  }
}

/** Positions of the siblings that go down with the child at `position`. */
export function fallout(
  strategy: Strategy,
  position: number,
  count: number,
): readonly number[] {
  const siblings = Array.from({ length: count }, (_, index) => index);
  switch (strategy) {
    case "one_for_one":
      return [];
    case "rest_for_one":
      return siblings.filter((index) => index > position);
    case "one_for_all":
      return siblings.filter((index) => index !== position);
    default:
      return strategy satisfies never;
  }
}

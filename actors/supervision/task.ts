/**
 * `fromTask`: an async function as an actor, whether it ends by itself or works
 * in a loop until it is asked to shut down. It resolves: finished; it throws:
 * failed.
 */
import { sleep } from "../../src/clock.ts";
import { fromResource, type Report, type ResourceLogic } from "./resource.ts";

export type TaskMessage =
  /** Work has arrived: a sleeping loop looks again. */
  { type: "woken" };

export interface TaskScope<Input> {
  readonly input: Input;
  /** Aborted when asked to shut down: finish what is in hand and return. To leave by throwing its reason is fine. */
  readonly shutdown: AbortSignal;
  /** Aborted when the grace period is over: nobody waits for the result any more. */
  readonly signal: AbortSignal;
  /** What the tree shows as detail; `state` is shown as the state. */
  readonly report: (detail: Report) => void;
  /** Resolves at the next `woken` (at once when one came since the last call), on shutdown, or after `withinMs`. */
  readonly wake: (withinMs?: number) => Promise<void>;
}

export function fromTask<Input>(
  run: (scope: TaskScope<Input>) => Promise<unknown>,
): ResourceLogic<Input, TaskMessage> {
  return fromResource<Input, TaskMessage>(async (scope) => {
    const { input, signal, report } = scope;
    const leaving = new AbortController();
    const shutdown = leaving.signal;
    let bell = new AbortController();

    function leave(): void {
      leaving.abort();
      bell.abort();
    }
    scope.onShutdown(leave);
    scope.stack.defer(leave);
    scope.receive(() => bell.abort());

    async function wake(withinMs = Number.POSITIVE_INFINITY): Promise<void> {
      await sleep(withinMs, bell.signal).catch(() => {});
      if (!shutdown.aborted) bell = new AbortController();
    }

    try {
      scope.finish(await run({ input, signal, shutdown, report, wake }));
    } catch (error) {
      if (!shutdown.aborted || error !== shutdown.reason) throw error;
      scope.finish();
    }
  });
}

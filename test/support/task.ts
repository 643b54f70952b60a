/** A task or resource on its own, and what it says of itself. */
import { type Actor, type AnyActor, createActor } from "xstate";
import type {
  Report,
  ResourceLogic,
} from "../../actors/supervision/resource.ts";
import { reportOf } from "../../actors/supervision/state.ts";
import type { TaskMessage } from "../../actors/supervision/task.ts";

export interface LoneTask {
  readonly actor: AnyActor;
  /** Every report, in order, without those that repeat the last one. */
  readonly reports: Report[];
  readonly errors: unknown[];
}

export function startLoneTask<Input>(
  logic: ResourceLogic<Input, TaskMessage>,
  input: Input,
): LoneTask {
  const actor: Actor<typeof logic> = createActor(logic, { input });
  const reports: Report[] = [];
  const errors: unknown[] = [];
  const look = () => {
    const report = reportOf(actor);
    if (report !== undefined && !Bun.deepEquals(report, reports.at(-1)))
      reports.push(report);
  };
  actor.subscribe({ next: look, error: (error) => errors.push(error) });
  actor.start();
  return { actor, reports, errors };
}

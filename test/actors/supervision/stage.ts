/**
 * A stage for supervision tests: scripted children that write down what happens
 * to them, and the levers to make them end.
 */
import { type Actor, type AnyActorLogic, createActor } from "xstate";
import type { Child, Plan, Restart } from "../../../actors/supervision/plan.ts";
import {
  fromResource,
  type ResourceScope,
} from "../../../actors/supervision/resource.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";

export interface Script {
  readonly restart?: Restart;
  readonly graceMs?: number;
  /** How long it takes to leave once asked; `undefined`: it never does. */
  readonly leavesAfterMs?: number | undefined;
}

export type Scope = ResourceScope<unknown, { type: string }>;

export class Stage {
  /** `start a`, `ask a`, `close a`, in the order they happened. */
  readonly log: string[] = [];
  /** Resources that are open now. */
  open = 0;
  readonly #scopes = new Map<string, Scope>();

  /** A child that runs until it is made to end. */
  child(id: string, script: Script = {}): Child {
    const { restart = "permanent", graceMs = 100 } = script;
    return { id, logic: this.logic(id, script), restart, graceMs };
  }

  logic(id: string, script: Script = {}): AnyActorLogic {
    const leavesAfterMs = "leavesAfterMs" in script ? script.leavesAfterMs : 0;
    return fromResource<unknown, { type: string }>((scope) => {
      this.#scopes.set(id, scope);
      this.log.push(`start ${id}`);
      this.open += 1;
      scope.stack.defer(() => {
        this.log.push(`close ${id}`);
        this.open -= 1;
      });
      scope.onShutdown(() => {
        this.log.push(`ask ${id}`);
        if (leavesAfterMs === undefined) return;
        if (leavesAfterMs === 0) return scope.finish();
        const timer = setTimeout(scope.finish, leavesAfterMs);
        scope.stack.defer(() => clearTimeout(timer));
      });
    });
  }

  scope(id: string): Scope {
    const scope = this.#scopes.get(id);
    if (scope === undefined) throw new Error(`${id} was never started`);
    return scope;
  }

  fail(id: string): void {
    this.scope(id).fail(new Error(`${id} broke`));
  }

  finish(id: string): void {
    this.scope(id).finish();
  }

  /** What was written down since the last look. */
  take(): readonly string[] {
    return this.log.splice(0);
  }
}

export type Root = Actor<typeof supervisor>;

/** A plan whose limits are out of the way unless set. */
export function plan(
  children: readonly Child[],
  limits: Partial<Plan> = {},
): Plan {
  return {
    strategy: "one_for_one",
    children,
    maxRestarts: 100,
    withinMs: 60_000,
    backoffMs: () => 10,
    ...limits,
  };
}

export interface Run {
  readonly root: Root;
  /** Errors the root failed with. */
  readonly errors: unknown[];
}

/** Starts a supervisor with its errors caught. */
export function run(input: Plan): Run {
  const errors: unknown[] = [];
  const root = createActor(supervisor, { input });
  root.subscribe({ error: (error) => errors.push(error) });
  root.start();
  return { root, errors };
}

/** `id:phase` of every child. */
export function phases(root: Root): readonly string[] {
  return root
    .getSnapshot()
    .context.members.map(({ child, phase }) => `${child.id}:${phase}`);
}

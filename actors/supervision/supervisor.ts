/**
 * The supervisor: starts its children left to right, starts again what fails
 * (with backoff, within limits), and stops them right to left, each with its
 * grace period. It does nothing else.
 *
 * - Every failure schedules its own `forgiven` after `withinMs`, so the list of
 *   failures *is* the sliding window.
 * - Stopping is a loop: ask the last that is leaving; its exit or the end of
 *   its grace buries it; again. Shutdown, giving up, removal and the fallout of
 *   a failing sibling all go through it.
 * - Actions only assign and send: a machine that throws cannot stop its children.
 */
import {
  and,
  type AnyActorLogic,
  assign,
  type DoneActorEvent,
  enqueueActions,
  type ErrorActorEvent,
  setup,
} from "xstate";
import { describeError } from "../../src/errors.ts";
import { escalate } from "./escalate.ts";
import {
  admit,
  bury,
  change,
  dismiss,
  fall,
  find,
  isLeaving,
  type Members,
  type Member,
  nextToAsk,
  openBook,
  remove,
  restart,
  startable,
} from "./members.ts";
import { orphansOf } from "./orphans.ts";
import { type Child, isRestarted, type Plan } from "./plan.ts";

/** What a supervisor understands. */
export type SupervisorMessage =
  | { type: "shutdown" }
  /** Refused without effect when the id is taken. */
  | { type: "child.added"; child: Child }
  /** Asked to shut down, buried, forgotten. */
  | { type: "child.removed"; id: string }
  /** Stopped, with those that share its fate, and started at once; no failure is counted. */
  | { type: "child.restartRequested"; id: string };

/** What it tells itself, later. */
export type Reminder =
  | { type: "restart.due"; id: string; failures: number }
  | { type: "failure.forgiven" }
  | GraceOver;

interface GraceOver {
  type: "grace.over";
  id: string;
}

/** What a supervisor knows. */
export interface Book {
  readonly plan: Plan;
  readonly members: Members;
  /** Ids of the children whose failures are in the window, oldest first. */
  readonly failures: readonly string[];
  /** Why it gave up. */
  readonly error: Error | undefined;
  /** ISO UTC: when it began what it is doing. */
  readonly since: string;
}

interface Exit {
  readonly id: string;
  /** `overdue`: it did not finish within its grace period and is stopped hard. */
  readonly how: "finished" | "failed" | "overdue";
  readonly error?: unknown;
}

/** However a child ends, it is buried. */
const exits = {
  "xstate.done.actor.*": {
    actions: {
      type: "bury",
      params: ({ event }: { event: DoneActorEvent }): Exit => ({
        id: event.actorId,
        how: "finished",
      }),
    },
  },
  "xstate.error.actor.*": {
    actions: {
      type: "bury",
      params: ({ event }: { event: ErrorActorEvent }): Exit => ({
        id: event.actorId,
        how: "failed",
        error: event.error,
      }),
    },
  },
  "grace.over": {
    actions: {
      type: "bury",
      params: ({ event }: { event: GraceOver }): Exit => ({
        id: event.id,
        how: "overdue",
      }),
    },
  },
} as const;

/** Children bring their logic along; none has to be known by name. */
const anyLogic: Record<string, AnyActorLogic> = {};

export const supervisor = setup({
  types: {} as {
    context: Book;
    input: Plan;
    events: SupervisorMessage | Reminder | DoneActorEvent | ErrorActorEvent;
  },
  actors: anyLogic,
  guards: {
    gaveUp: ({ context }) => context.error !== undefined,
    isSomeoneLeaving: ({ context }) => nextToAsk(context.members) !== undefined,
    isSomeoneDue: ({ context: { members, plan } }) =>
      startable(members, plan.strategy).length > 0,
    isEmpty: ({ context }) => context.members.length === 0,
  },
  actions: {
    start: assign(({ context: { members, plan }, spawn }) => {
      const chosen = startable(members, plan.strategy);
      return {
        members: chosen.reduce(
          (book, { child, starts }) =>
            change(book, child.id, {
              phase: "living",
              actor: spawn(child.logic, { id: child.id, input: child.input }),
              starts: starts + 1,
            }),
          members,
        ),
      };
    }),

    askTheLast: enqueueActions(({ context, enqueue }) => {
      const member = nextToAsk(context.members);
      if (member?.actor === undefined) return;
      const { id, graceMs } = member.child;
      enqueue.assign({
        members: change(context.members, id, { phase: "asked" }),
      });
      // Re-scheduling an id would keep the earlier timer.
      enqueue.cancel(graceOf(id));
      enqueue.raise(
        { type: "grace.over", id },
        { id: graceOf(id), delay: bounded(graceMs) },
      );
      enqueue.sendTo(member.actor, { type: "shutdown" });
    }),

    /** Clears away a child that ended, and whatever it left running; then the book says what follows. */
    bury: enqueueActions(({ context, enqueue }, { id, how, error }: Exit) => {
      const { plan, members } = context;
      const member = find(members, id);
      if (member?.actor === undefined || isStale(member, how)) return;
      for (const orphan of orphansOf(member.actor))
        enqueue.sendTo(orphan, { type: "xstate.stop" });
      enqueue.stopChild(member.actor);
      enqueue.cancel(graceOf(id));

      const failed = how === "failed";
      const lastError = failed ? describeError(error) : member.lastError;
      if (isLeaving(member) || !isRestarted(member.child.restart, failed)) {
        enqueue.assign({ members: bury(members, id, lastError) });
        return;
      }
      const failures = [...context.failures, id];
      const own = failures.filter((name) => name === id).length;
      enqueue.assign({
        failures,
        members: fall(members, plan.strategy, id, {
          phase: "waiting",
          actor: undefined,
          lastError,
        }),
      });
      enqueue.raise(
        { type: "failure.forgiven" },
        { delay: bounded(plan.withinMs) },
      );
      if (failures.length > plan.maxRestarts) {
        const count = `${failures.length} failures within ${plan.withinMs} ms`;
        enqueue.assign({
          error: new Error(`gave up after ${count}, the last of ${id}`, {
            cause: error,
          }),
        });
        return;
      }
      enqueue.cancel(restartOf(id));
      enqueue.raise(
        { type: "restart.due", id, failures: own },
        { id: restartOf(id), delay: bounded(plan.backoffMs(own)) },
      );
    }),

    retry: assign(({ context }, id: string) => ({
      members: change(context.members, id, { phase: "due" }),
    })),
    forgive: assign(({ context }) => ({ failures: context.failures.slice(1) })),

    admit: assign(({ context }, child: Child) => ({
      members: admit(context.members, child),
    })),
    remove: enqueueActions(({ context, enqueue }, id: string) => {
      enqueue.cancel(restartOf(id));
      enqueue.assign({ members: remove(context.members, id) });
    }),
    restart: enqueueActions(({ context, enqueue }, id: string) => {
      enqueue.cancel(restartOf(id));
      enqueue.assign({
        members: restart(context.members, context.plan.strategy, id),
      });
    }),
    dismissAll: assign(({ context }) => ({
      members: dismiss(context.members),
      since: new Date().toISOString(),
    })),
  },
}).createMachine({
  id: "supervisor",
  context: ({ input }) => ({
    plan: input,
    members: openBook(input.children),
    failures: [],
    error: undefined,
    since: new Date().toISOString(),
  }),
  initial: "running",
  states: {
    running: {
      always: [
        { guard: "gaveUp", target: "stopping" },
        { guard: "isSomeoneLeaving", actions: "askTheLast" },
        { guard: "isSomeoneDue", actions: "start" },
      ],
      on: {
        ...exits,
        shutdown: { target: "stopping" },
        "failure.forgiven": { actions: "forgive" },
        "restart.due": {
          actions: { type: "retry", params: ({ event }) => event.id },
        },
        "child.added": {
          actions: { type: "admit", params: ({ event }) => event.child },
        },
        "child.removed": {
          actions: { type: "remove", params: ({ event }) => event.id },
        },
        "child.restartRequested": {
          actions: { type: "restart", params: ({ event }) => event.id },
        },
      },
    },
    stopping: {
      entry: "dismissAll",
      always: [
        { guard: "isSomeoneLeaving", actions: "askTheLast" },
        { guard: and(["isEmpty", "gaveUp"]), target: "failed" },
        { guard: "isEmpty", target: "finished" },
      ],
      on: exits,
    },
    finished: { type: "final" },
    failed: {
      invoke: { src: escalate, input: ({ context }) => context.error },
    },
  },
});

/** Whether the news is of an earlier life: the present actor still runs, or is not awaited. */
function isStale(member: Member, how: Exit["how"]): boolean {
  return how === "overdue"
    ? member.phase !== "asked"
    : member.actor?.getSnapshot().status === "active";
}

/** Longest delay a timer takes: beyond 2^31 - 1 ms it would fire at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

function bounded(ms: number): number {
  return Math.min(Math.max(ms, 0), DELAY_MS_MAX);
}

const graceOf = (id: string) => `grace of ${id}`;
const restartOf = (id: string) => `restart of ${id}`;

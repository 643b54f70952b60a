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
  retry,
  startable,
} from "./members.ts";
import { type Child, isRestarted, type Plan } from "./plan.ts";
import { reaper } from "./reaper.ts";

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
  actorId: string;
}

/** A child ended, well or badly, or has to be ended. */
type Ending = DoneActorEvent | ErrorActorEvent | GraceOver;

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

const buried = {
  actions: {
    type: "bury",
    params: ({ event }: { event: Ending }): Ending => event,
  },
} as const;

const endings = {
  "xstate.done.actor.*": buried,
  "xstate.error.actor.*": buried,
  "grace.over": buried,
};

/** Children bring their logic along; none has to be known by name. */
const anyLogic: Record<string, AnyActorLogic> = {};

export const supervisor = setup({
  types: {} as {
    context: Book;
    input: Plan;
    events: SupervisorMessage | Reminder | Ending;
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
        { type: "grace.over", actorId: id },
        { id: graceOf(id), delay: bounded(graceMs) },
      );
      enqueue.sendTo(member.actor, { type: "shutdown" });
    }),

    /** Clears away a child that ended or has to, and decides what follows. */
    bury: enqueueActions(({ context, enqueue }, ending: Ending) => {
      const { plan, members } = context;
      const id = ending.actorId;
      const member = find(members, id);
      if (member?.actor === undefined || isStale(member, ending)) return;
      enqueue.stopChild(member.actor);

      const failed = "error" in ending;
      const cause = failed ? ending.error : undefined;
      const lastError = failed ? describeError(cause) : member.lastError;
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
            cause,
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

    forgive: assign(({ context }) => ({ failures: context.failures.slice(1) })),
    retry: assign(({ context }, id: string) => ({
      members: retry(context.members, id),
    })),
    admit: assign(({ context }, child: Child) => ({
      members: admit(context.members, child),
    })),
    remove: assign(({ context }, id: string) => ({
      members: remove(context.members, id),
    })),
    restart: assign(({ context: { members, plan } }, id: string) => ({
      members: restart(members, plan.strategy, id),
    })),
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
  invoke: { src: reaper },
  initial: "running",
  states: {
    running: {
      always: [
        { guard: "gaveUp", target: "stopping" },
        { guard: "isSomeoneLeaving", actions: "askTheLast" },
        { guard: "isSomeoneDue", actions: "start" },
      ],
      on: {
        ...endings,
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
      on: endings,
    },
    finished: { type: "final" },
    failed: {
      invoke: { src: escalate, input: ({ context }) => context.error },
    },
  },
});

/** Whether the news is of an earlier life: the present actor still runs, or nobody waits for it to leave. */
function isStale(member: Member, ending: Ending): boolean {
  return ending.type === "grace.over"
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

/**
 * The live stream of one account:
 *
 *     waiting → linked{connecting → authenticating → listening → streaming} → waiting …
 *                  ├─ refused   the key: asked again slowly, this account alone
 *                  └─ held      the queue is full: comes back when there is room
 *
 * A closed socket, a time-out, a mute peer are expected: they end the link, and
 * the dial schedule says when the next one begins.
 */
import { assign, enqueueActions, setup } from "xstate";
import type { AccountRecord, CoverageFact } from "../../schema/messages.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import { MINUTE, SECOND, sleep } from "../../src/clock.ts";
import type { StreamVerdict } from "../../schema/service.ts";
import { fromTask } from "../supervision/task.ts";
import { link, type LinkEvent } from "./link.ts";
import { type Judged, probe } from "./probe.ts";

/** Each step of the handshake is given up after this. */
const STEP_MS_MAX = 10 * SECOND;
/** A link that lived this long has earned a fresh backoff. */
const SETTLED_MS = 3 * MINUTE;

interface Context {
  readonly run: AccountRun;
  readonly liveSinceMs: number;
  readonly deafFromMs: number;
  readonly report: Report;
}

/** What the tree and the status page show. */
interface Report {
  readonly verdict?: StreamVerdict;
  /** Why the last link ended, or why there is none. */
  readonly reason?: string;
  readonly dials: number;
}

type Event = { readonly type: "shutdown" } | LinkEvent | Judged;

/**
 * Resolves when the schedule allows a dial. It is an actor, because those begin
 * only when the ones of the state before have ended: a guard or a delay would be
 * reckoned before the link that is being left has said when it was over.
 */
const turn = fromTask<AccountRun>(
  async ({ input: { dials, clock }, signal }) => {
    for (;;) {
      const waitMs = dials.waitMs(clock.now());
      if (waitMs === 0) return;
      await sleep(waitMs, signal);
    }
  },
);

/** Resolves when the queue has room again. */
const relief = fromTask<AccountRun>(({ input: run, signal }) =>
  run.queue.whenRelieved(signal),
);

/** Revokes what a deaf session claimed, and calls the healer. */
const revocation = fromTask<{ run: AccountRun; fromMs: number }>(
  async ({ input: { run, fromMs }, signal }) => {
    const fact: CoverageFact = {
      stream: "trade_updates",
      state: "deaf",
      from: new Date(fromMs).toISOString(),
      to: new Date(run.clock.now()).toISOString(),
      session: `${run.session}/${run.account.slug}/deaf/${fromMs}`,
    };
    const record: AccountRecord = {
      account: run.account.slug,
      kind: "coverage",
      raw: JSON.stringify(fact),
      receivedAtMs: run.clock.now(),
    };
    // It may use the room that is left to the stream: a stop must not come between.
    if (!run.queue.offer(record)) await run.queue.put(record, signal);
    run.healingWanted.raise();
  },
);

/** The schedule forgets the failures of a link that has lived for a while. */
const settling = fromTask<AccountRun>(async ({ input: run, signal }) => {
  await sleep(SETTLED_MS, signal);
  run.dials.settled();
});

export const stream = setup({
  types: {
    context: {} as Context,
    events: {} as Event,
    input: {} as AccountRun,
  },
  actors: { turn, link, probe, relief, revocation, settling },
  delays: { step: STEP_MS_MAX },
  guards: {
    isDeaf: ({ event }) =>
      event.type === "judged" && event.verdict.verdict === "deaf",
  },
  actions: {
    noteReason: assign(({ context, event }) => ({
      report: {
        ...context.report,
        ...("reason" in event ? { reason: event.reason } : {}),
      },
    })),
    noteTimeout: assign(({ context }) => ({
      report: {
        ...context.report,
        reason: "the venue did not answer within 10 s",
      },
    })),
    noteDead: assign(({ context }) => ({
      report: {
        ...context.report,
        verdict: {
          verdict: "dead" as const,
          reason: context.report.reason ?? "the link is down",
        },
      },
    })),
    noteDial: assign(({ context }) => ({
      report: { ...context.report, dials: context.report.dials + 1 },
    })),
    noteVerdict: assign(({ context, event }) =>
      event.type === "judged"
        ? {
            deafFromMs: event.deafFromMs ?? context.deafFromMs,
            report: { ...context.report, verdict: event.verdict },
          }
        : {},
    ),
    noteListening: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== "listening") return;
      const { reason: _, ...report } = context.report;
      enqueue.assign({
        liveSinceMs: event.sinceMs,
        report: {
          ...report,
          verdict: {
            verdict: "live",
            reason: "the stream has just begun to listen",
          },
        },
      });
    }),
  },
}).createMachine({
  id: "stream",
  context: ({ input }) => ({
    run: input,
    liveSinceMs: 0,
    deafFromMs: 0,
    report: { dials: 0 },
  }),
  initial: "waiting",
  on: { shutdown: ".stopped" },
  states: {
    waiting: {
      invoke: {
        src: "turn",
        input: ({ context }) => context.run,
        onDone: "linked",
      },
    },
    linked: {
      entry: "noteDial",
      invoke: { src: "link", input: ({ context }) => context.run },
      on: {
        closed: { target: "waiting", actions: ["noteReason", "noteDead"] },
        refused: { target: "refused", actions: ["noteReason", "noteDead"] },
        overflowed: { target: "held", actions: ["noteReason", "noteDead"] },
      },
      initial: "connecting",
      states: {
        connecting: {
          on: { opened: "authenticating" },
          after: { step: "#stream.timedOut" },
        },
        authenticating: {
          on: { authorized: "listening" },
          after: { step: "#stream.timedOut" },
        },
        listening: {
          on: { listening: { target: "streaming", actions: "noteListening" } },
          after: { step: "#stream.timedOut" },
        },
        streaming: {
          invoke: [
            {
              src: "probe",
              input: ({ context: { run, liveSinceMs } }) => ({
                run,
                liveSinceMs,
              }),
            },
            { src: "settling", input: ({ context }) => context.run },
          ],
          on: {
            judged: [
              {
                guard: "isDeaf",
                target: "#stream.deaf",
                actions: "noteVerdict",
              },
              { actions: "noteVerdict" },
            ],
          },
        },
      },
    },
    timedOut: {
      entry: ["noteTimeout", "noteDead"],
      always: "waiting",
    },
    deaf: {
      invoke: {
        src: "revocation",
        input: ({ context: { run, deafFromMs } }) => ({
          run,
          fromMs: deafFromMs,
        }),
        onDone: "waiting",
      },
    },
    held: {
      invoke: {
        src: "relief",
        input: ({ context }) => context.run,
        onDone: "waiting",
      },
    },
    refused: {
      invoke: {
        src: "turn",
        input: ({ context }) => context.run,
        onDone: "linked",
      },
    },
    stopped: { type: "final" },
  },
});

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
import { assign, setup } from "xstate";
import type { AccountRecord, CoverageFact } from "../../schema/messages.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import {
  reports,
  settled,
  STEP_MS_MAX,
  type StreamReport,
  turn,
} from "../sources/liveStream.ts";
import { fromTask } from "../supervision/task.ts";
import { link, type LinkEvent } from "./link.ts";
import { type Judged, probe } from "./probe.ts";

interface Context {
  readonly run: AccountRun;
  readonly liveSinceMs: number;
  readonly deafFromMs: number;
  readonly report: StreamReport;
}

type Event = { readonly type: "shutdown" } | LinkEvent | Judged;

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
const settling = fromTask<AccountRun>(({ input: run, signal }) =>
  settled(run, signal),
);

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
      report: reports.reasoned(context.report, event),
    })),
    noteTimeout: assign(({ context }) => ({
      report: reports.timedOut(context.report),
    })),
    noteDead: assign(({ context }) => ({
      report: reports.dead(context.report),
    })),
    noteDial: assign(({ context }) => ({
      report: reports.dialled(context.report),
    })),
    noteVerdict: assign(({ context, event }) =>
      event.type === "judged"
        ? {
            deafFromMs: event.deafFromMs ?? context.deafFromMs,
            report: { ...context.report, verdict: event.verdict },
          }
        : {},
    ),
    noteListening: assign(({ context, event }) =>
      event.type === "listening"
        ? {
            liveSinceMs: event.sinceMs,
            report: reports.live(
              context.report,
              "the stream has just begun to listen",
            ),
          }
        : {},
    ),
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

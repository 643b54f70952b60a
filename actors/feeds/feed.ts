/**
 * The live stream of one market-data feed, the same machine for every venue:
 *
 *     waiting → linked{connecting → greeting → authenticating → subscribing → streaming} → waiting …
 *                  ├─ slotTaken   another session has the connection: asked again on this socket
 *                  └─ refused     key or plan: asked again slowly
 *
 * A closed socket, a time-out, a slow-client cut are expected: they end the link,
 * and the dial schedule says when the next one begins.
 */
import { assign, setup } from "xstate";
import { MINUTE } from "../../src/clock.ts";
import type { FeedRun } from "../../src/feeds/run.ts";
import {
  reports,
  settled,
  STEP_MS_MAX,
  type StreamReport,
  turn,
} from "../sources/liveStream.ts";
import { fromTask } from "../supervision/task.ts";
import { toldMinutesTo } from "../../src/feeds/liveMinutes.ts";
import { feedLink, type LinkEvent } from "./link.ts";
import { feedProbe, type Judged } from "./probe.ts";

/** Ten thousand symbols are asked for in chunks, each answered: the link itself sees to a request that hangs. */
const SUBSCRIBING_MS_MAX = 2 * MINUTE;

interface Context {
  readonly run: FeedRun;
  readonly liveSinceMs: number;
  readonly deafFromMs: number;
  readonly report: StreamReport;
}

type Event = { readonly type: "shutdown" } | LinkEvent | Judged;

/** Revokes what a deaf session claimed, and calls the healer. */
const revocation = fromTask<{ run: FeedRun; fromMs: number }>(
  async ({ input: { run, fromMs }, signal }) => {
    // Only whole minutes are told, and the bar of the last one may not have come.
    const from = new Date(toldMinutesTo(fromMs)).toISOString();
    const to = new Date(run.clock.now()).toISOString();
    const session = `${run.session}/${run.venue.id}/deaf/${fromMs}`;
    for (const symbol of run.wanted().bars ?? [])
      await run.keep(
        { kind: "fact", symbol, state: "deaf", from, to, session },
        signal,
      );
    run.healingWanted.raise();
  },
);

/** Calls the healer to what was missed; the schedule forgets the failures of a link that has lived for a while. */
const settling = fromTask<FeedRun>(async ({ input: run, signal }) => {
  run.listening.raise();
  await settled(run, signal);
});

export const feed = setup({
  types: {
    context: {} as Context,
    events: {} as Event,
    input: {} as FeedRun,
  },
  actors: { turn, link: feedLink, probe: feedProbe, revocation, settling },
  delays: {
    step: STEP_MS_MAX,
    subscribing: SUBSCRIBING_MS_MAX,
  },
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
    noteStreaming: assign(({ context, event }) =>
      event.type === "subscribed"
        ? {
            liveSinceMs: event.sinceMs,
            report: reports.live(
              context.report,
              "the feed has just begun to stream",
            ),
          }
        : {},
    ),
  },
}).createMachine({
  id: "feed",
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
        slotTaken: { target: ".slotTaken", actions: "noteReason" },
      },
      initial: "connecting",
      states: {
        connecting: {
          on: { opened: "greeting" },
          after: { step: "#feed.timedOut" },
        },
        greeting: {
          on: { welcomed: "authenticating" },
          after: { step: "#feed.timedOut" },
        },
        authenticating: {
          on: { authorized: "subscribing" },
          after: { step: "#feed.timedOut" },
        },
        slotTaken: {
          entry: "noteDead",
          on: { authorized: "subscribing" },
          // The link itself sees to a question that nobody answers.
        },
        subscribing: {
          on: { subscribed: { target: "streaming", actions: "noteStreaming" } },
          after: { subscribing: "#feed.timedOut" },
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
              { guard: "isDeaf", target: "#feed.deaf", actions: "noteVerdict" },
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

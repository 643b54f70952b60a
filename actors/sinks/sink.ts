/**
 * A sink: drains one outbox into one store, and loses nothing when the store is
 * away.
 *
 *     spooling ──store opens──▶ replaying ──nothing left on disk──▶ direct
 *        ▲  ▲                       │                                  │
 *        │  └──────store fails──────┴──────────────────────────────────┘
 *       full    the disk takes no more: nothing is taken from the queue, sources wait
 *
 * It starts in `spooling`: what came in before the store was open is on the disk
 * already if the process is killed.
 */
import { assign, type ErrorActorEvent, sendTo, setup, stateIn } from "xstate";
import { backoffMs } from "../../src/backoff.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { describeError, SpoolFullError } from "../../src/errors.ts";
import {
  batchDue,
  type BatchBounds,
  type Trigger,
} from "../../src/flow/batch.ts";
import {
  type Outbox,
  releaseBatch,
  setAside,
  takeBatch,
  undeliveredCount,
} from "../../src/flow/outbox.ts";
import { fromTask } from "../supervision/task.ts";

/** The four answers that make a store a sink. */
export interface Writer<Item> {
  readonly bounds: BatchBounds;
  /** Connects and makes ready what is written to. Rejects while the store is away. */
  open(): Promise<void>;
  /** When it resolves the items are committed. Rejects when the store did not take them all; then they are written again. */
  write(items: readonly Item[], trigger: Trigger): Promise<void>;
  /** Whether the store answers; asked when there is nothing to write. */
  ping(): Promise<void>;
}

export interface SinkInput<Item> {
  readonly outbox: Outbox<Item>;
  readonly writer: Writer<Item>;
}

const IDLE_MS = 5 * SECOND;
const REOPEN = { baseMs: 500, maxMs: 15 * SECOND };
/** A disk that was full is tried again after this. */
const FULL_MS = 5 * SECOND;

/** The type parameter is erased here: a sink never looks into its items. */
type Input = SinkInput<unknown>;

const reopening = fromTask<Input>(
  async ({ input: { writer }, shutdown, report }) => {
    for (let failures = 1; ; failures++) {
      try {
        return await writer.open();
      } catch (error) {
        report({ failures, lastError: describeError(error) });
        await sleep(backoffMs(failures, REOPEN), shutdown);
      }
    }
  },
);

const spoolingAway = fromTask<Input>(
  async ({ input: { outbox, writer }, shutdown }) => {
    for (;;) {
      setAside(outbox, writer.bounds.sizeMax);
      await batchDue(outbox.queue, writer.bounds, shutdown);
    }
  },
);

const replay = fromTask<Input>(
  async ({ input: { outbox, writer }, shutdown }) => {
    const { sink, spool } = outbox;
    while (!shutdown.aborted) {
      setAsideIfRoom(outbox, writer.bounds.sizeMax);
      const records = spool.read(sink, writer.bounds.sizeMax);
      const last = records.at(-1);
      if (last === undefined) return;
      const items = records.map(({ item }) => item);
      await writer.write(items, "size");
      spool.advance(sink, last.sequence);
    }
  },
);

const deliver = fromTask<Input>(
  async ({ input: { outbox, writer }, shutdown }) => {
    const write = async (trigger: Trigger) => {
      const batch = takeBatch(outbox, writer.bounds.sizeMax);
      await writer.write(batch, trigger);
      releaseBatch(outbox, batch);
    };
    while (!shutdown.aborted) {
      const trigger = await batchDue(
        outbox.queue,
        writer.bounds,
        shutdown,
        IDLE_MS,
      ).catch(rethrowUnless(shutdown));
      if (trigger === undefined) break;
      if (trigger === "idle") await writer.ping();
      else await write(trigger);
    }
    while (undeliveredCount(outbox).memory > 0) await write("flush");
  },
);

export const sink = setup({
  types: {
    context: {} as Input & { readonly report: { readonly lastError?: string } },
    events: {} as { type: "shutdown" } | ErrorActorEvent,
    input: {} as Input,
  },
  actors: { reopening, spoolingAway, replay, deliver },
  guards: {
    isFull: ({ event }) =>
      "error" in event && event.error instanceof SpoolFullError,
  },
  actions: {
    noteError: assign(({ event }) =>
      "error" in event
        ? { report: { lastError: describeError(event.error) } }
        : {},
    ),
    noteWell: assign({ report: {} }),
  },
  delays: { full: FULL_MS },
}).createMachine({
  id: "sink",
  context: ({ input }) => ({ ...input, report: {} }),
  initial: "spooling",
  states: {
    spooling: {
      invoke: [
        {
          src: "spoolingAway",
          input: ({ context }) => context,
          // Any other failure of the disk is the sink's own: its supervisor decides.
          onError: { guard: "isFull", target: "full", actions: "noteError" },
        },
        {
          src: "reopening",
          input: ({ context }) => context,
          onDone: "replaying",
        },
      ],
      on: { shutdown: "stopped" },
    },
    full: {
      invoke: {
        src: "reopening",
        input: ({ context }) => context,
        onDone: "replaying",
      },
      after: { full: "spooling" },
      on: { shutdown: "stopped" },
    },
    replaying: {
      invoke: {
        src: "replay",
        input: ({ context }) => context,
        onDone: { target: "direct", actions: "noteWell" },
        onError: { target: "spooling", actions: "noteError" },
      },
      on: { shutdown: "stopped" },
    },
    direct: {
      invoke: {
        id: "deliver",
        src: "deliver",
        input: ({ context }) => context,
        onDone: "stopped",
        onError: [
          { guard: stateIn({ direct: "flushing" }), target: "stopped" },
          { target: "spooling", actions: "noteError" },
        ],
      },
      on: { shutdown: ".flushing" },
      initial: "taking",
      states: {
        taking: {},
        flushing: {
          entry: sendTo("deliver", { type: "shutdown" }),
        },
      },
    },
    /** What is left in memory or in hand is put on the disk by the topology, which outlives the sink. */
    stopped: { type: "final" },
  },
});

/** While the spool drains, a full disk only means that the queue keeps its items a while longer. */
function setAsideIfRoom(outbox: Outbox<unknown>, countMax: number): void {
  try {
    setAside(outbox, countMax);
  } catch (error) {
    if (!(error instanceof SpoolFullError)) throw error;
  }
}

/** A wait that ended because of the signal is no failure. */
function rethrowUnless(signal: AbortSignal) {
  return (error: unknown): undefined => {
    if (!signal.aborted) throw error;
  };
}

/**
 * A sink: drains one outbox into one store, and loses nothing when the store is
 * away.
 *
 *     spooling ──store opens──▶ replaying ──nothing left in the spool──▶ direct
 *        ▲  ▲                    │     ▲                                  │ │
 *        │  │                    │     └──a source put into the spool─────┘ │
 *        │  └─────store fails────┴──────────────────────────────────────────┘
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
import { fromResource, type Report } from "../supervision/resource.ts";
import { fromTask } from "../supervision/task.ts";

/** The four answers that make a store a sink. */
export interface Writer<Item> {
  readonly bounds: BatchBounds;
  /** Connects and makes ready what is written to. Rejects while the store is away. */
  open(): Promise<void>;
  /**
   * When it resolves the items are committed. Rejects when the store did not take
   * them all; then they are written again, or the rest of them (PartlyWrittenError).
   */
  write(items: readonly Item[], trigger: Trigger): Promise<void>;
  /** Whether the store answers; asked when there is nothing to write. */
  ping(): Promise<void>;
  /** The sink is over: hangs up, where the connection is the writer's own. */
  close?(): void;
}

/** A store that takes items one by one took the first `count` of a batch and then failed: these are not written again. */
export class PartlyWrittenError extends Error {
  override readonly name = "PartlyWrittenError";

  constructor(
    readonly count: number,
    message: string,
  ) {
    super(message);
  }
}

export interface SinkInput<Item> {
  readonly outbox: Outbox<Item>;
  readonly writer: Writer<Item>;
}

const IDLE_MS = 5 * SECOND;
const REOPEN = { baseMs: 500, maxMs: 15 * SECOND };
/** A disk that was full is tried again after this. */
const FULL_MS = 5 * SECOND;
/** Each append waits for the disk, and everybody with it: a sink in a hurry must not ask for that every millisecond. */
const SPOOL_MS_MIN = 50;
/** How `deliver` ends when it has to leave the word to `replay`. */
const BEHIND = "behind";

/** The type parameter is erased here: a sink never looks into its items. */
type Input = SinkInput<unknown>;

/** A store that opens and then takes nothing is not opened again at once: what failed since it was well counts, too. */
const reopening = fromTask<Input & { readonly failures: number }>(
  async ({ input: { writer, failures: before }, shutdown, report }) => {
    for (let failures = before; ; failures++) {
      if (failures > 0) await sleep(backoffMs(failures, REOPEN), shutdown);
      try {
        return await writer.open();
      } catch (error) {
        report({ failures: failures + 1, lastError: describeError(error) });
      }
    }
  },
);

const spoolingAway = fromTask<Input>(
  async ({ input: { outbox, writer }, shutdown }) => {
    const { sizeMax, waitMsMax } = writer.bounds;
    const bounds = { sizeMax, waitMsMax: Math.max(waitMsMax, SPOOL_MS_MIN) };
    for (;;) {
      setAside(outbox, sizeMax);
      await batchDue(outbox.queue, bounds, shutdown);
    }
  },
);

const replay = fromTask<Input>(
  async ({ input: { outbox, writer }, shutdown }) => {
    const { sink, spool } = outbox;
    const { sizeMax } = writer.bounds;
    while (!shutdown.aborted) {
      const records = spool.read(sink, sizeMax);
      if (records.length === 0) return;
      // Not behind the last of it: under a steady load the spool would never be empty.
      if (records.length === sizeMax) setAsideIfRoom(outbox, sizeMax);
      const items = records.map(({ item }) => item);
      await writeSome(writer, items, "size", (count) => {
        const last = records[count - 1];
        if (last !== undefined) spool.advance(sink, last.sequence);
      });
    }
  },
);

const deliver = fromTask<Input>(
  async ({ input: { outbox, writer }, shutdown }) => {
    const write = async (trigger: Trigger) => {
      const batch = takeBatch(outbox, writer.bounds.sizeMax);
      await writeSome(writer, batch, trigger, (count) =>
        releaseBatch(outbox, batch, count),
      );
    };
    while (!shutdown.aborted) {
      if (isBehind(outbox)) return BEHIND;
      const trigger = await batchDue(
        outbox.queue,
        writer.bounds,
        shutdown,
        IDLE_MS,
      ).catch(rethrowUnless(shutdown));
      if (trigger === undefined) break;
      if (trigger === "idle") await writer.ping();
      else if (!isBehind(outbox)) await write(trigger);
    }
    while (undeliveredCount(outbox).memory > 0 && !isBehind(outbox))
      await write("flush");
    return undefined;
  },
);

const hangingUp = fromResource<Input>(({ input: { writer }, stack }) => {
  stack.defer(() => writer.close?.());
});

export const sink = setup({
  types: {
    context: {} as Input & {
      readonly report: Report;
      /** How often the store failed since it was last well. */
      readonly failures: number;
    },
    events: {} as { type: "shutdown" } | ErrorActorEvent,
    input: {} as Input,
  },
  actors: { reopening, spoolingAway, replay, deliver, hangingUp },
  guards: {
    isFull: ({ event }) =>
      "error" in event && event.error instanceof SpoolFullError,
    isBehind: ({ event }) => "output" in event && event.output === BEHIND,
  },
  actions: {
    noteError: assign(({ event }) =>
      "error" in event
        ? { report: { lastError: describeError(event.error) } }
        : {},
    ),
    countFailure: assign(({ context }) => ({ failures: context.failures + 1 })),
    noteReport: assign((_, report: Report | undefined) =>
      report === undefined ? {} : { report },
    ),
    noteWell: assign({ report: {}, failures: 0 }),
  },
  delays: { full: FULL_MS },
}).createMachine({
  id: "sink",
  context: ({ input }) => ({ ...input, report: {}, failures: 0 }),
  // From the start to the end, however it ends.
  invoke: { src: "hangingUp", input: ({ context }) => context },
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
          // Why the store cannot be opened is what somebody wants to read first.
          onSnapshot: {
            actions: {
              type: "noteReport",
              params: ({ event }) => event.snapshot.report,
            },
          },
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
        onError: { target: "spooling", actions: ["noteError", "countFailure"] },
      },
      on: { shutdown: "stopped" },
    },
    direct: {
      invoke: {
        id: "deliver",
        src: "deliver",
        input: ({ context }) => context,
        onDone: [
          { guard: stateIn({ direct: "flushing" }), target: "stopped" },
          { guard: "isBehind", target: "replaying" },
          "stopped",
        ],
        onError: [
          { guard: stateIn({ direct: "flushing" }), target: "stopped" },
          { target: "spooling", actions: ["noteError", "countFailure"] },
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

/** Writes, and tells `taken` how many are in the store: all of them, or those before a failure. */
async function writeSome(
  writer: Writer<unknown>,
  items: readonly unknown[],
  trigger: Trigger,
  taken: (count: number) => void,
): Promise<void> {
  try {
    await writer.write(items, trigger);
  } catch (error) {
    if (error instanceof PartlyWrittenError) taken(error.count);
    throw error;
  }
  taken(items.length);
}

/** What lies in the spool is older than the queue: it goes first. */
function isBehind({ sink, spool }: Outbox<unknown>): boolean {
  return spool.depth(sink) > 0;
}

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

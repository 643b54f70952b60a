/**
 * One run of one symbol:
 *
 *     claiming → flatpack → snapshot → stream → released
 *        └─ locked: another run has it
 *
 * A strategy skips the phases it does not have. The claim is renewed all the while;
 * when it is lost, the run ends and writes nothing more. Whatever ends it, the claim
 * is given back: as idle, or with the error and the time of the next try.
 */
import { assign, type ErrorActorEvent, setup } from "xstate";
import {
  type RegistryEntry,
  type RunPhase,
  STRATEGIES,
} from "../../schema/registry.ts";
import { backoffMs } from "../../src/backoff.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import type { SymbolResult } from "../../src/registry/jobs.ts";
import { marker } from "../../src/registry/messages.ts";
import {
  type PhaseResult,
  runFlatpack,
  runSnapshot,
  runStream,
} from "../../src/registry/phases.ts";
import { type RegistryRun, RETRY } from "../../src/registry/run.ts";
import type { Claim } from "../../src/stores/postgres/registry.ts";
import { fromTask } from "../supervision/task.ts";

export interface SymbolRunInput {
  readonly run: RegistryRun;
  readonly entry: RegistryEntry;
  /** Which phases, where it is not those of the strategy. */
  readonly phases?: readonly RunPhase[] | undefined;
  /** Aborted when somebody called the run off; one that ends with its service is due again. */
  readonly cancelled: AbortSignal;
  /** Told once, when the run is over. */
  readonly onEnded: (result: SymbolResult) => void;
}

interface Context extends SymbolRunInput {
  readonly startedAtMs: number;
  readonly claim: Claim | undefined;
  readonly results: Readonly<Partial<Record<RunPhase, PhaseResult>>>;
  readonly failure:
    { readonly phase: string; readonly error: unknown } | undefined;
  readonly isCancelled: boolean;
  readonly report: Record<string, unknown>;
}

type Input = Pick<Context, "run" | "entry" | "claim">;

const claiming = fromTask<Input>(({ input: { run, entry } }) =>
  run.store.claim(entry.symbol),
);

/** Fails when the claim is lost: then another run has the symbol. */
const renewing = fromTask<Input>(async ({ input: { run, claim }, signal }) => {
  for (;;) {
    await sleep(run.leaseMs / 3, signal);
    if (claim !== undefined && !(await run.store.renew(claim)))
      throw new Error("the lease was lost to another run");
  }
});

function phaseTask(
  phase: RunPhase,
  work: (
    input: Input,
    signal: AbortSignal,
    onProgress: (records: number, done: number) => void,
  ) => Promise<PhaseResult>,
) {
  return fromTask<Input>(async ({ input, shutdown, report }) => {
    const { run, entry, claim } = input;
    const { symbol, strategy } = entry;
    run.log.info({ symbol, strategy, phase }, `phase_${phase}_started`);
    const result = await work(input, shutdown, (records, done) =>
      report({ records, percent: Math.round(done * 100) }),
    );
    if (claim !== undefined) await run.store.stamp(claim, phase);
    run.log.info(
      { symbol, strategy, phase, records: result.records },
      phase === "stream"
        ? "phase_stream_activated"
        : `phase_${phase}_completed`,
    );
    return result;
  });
}

/** Says how it ended: in the log, to whoever listens on the topics, and in the registry. */
const releasing = fromTask<Context>(async ({ input, signal }) => {
  const { run, entry, claim, failure, isCancelled, results } = input;
  const { symbol, strategy } = entry;
  const elapsed = (run.clock.now() - input.startedAtMs) / SECOND;
  const about = {
    symbol,
    strategy,
    kafka: run.usesKafka,
    redis: run.usesRedis,
    elapsed,
  };
  if (isCancelled) {
    if (claim === undefined) return;
    await (input.cancelled.aborted
      ? run.store.release(claim)
      : run.store.interrupt(claim));
    run.log.info(about, "symbol_execution_cancelled");
    return;
  }
  if (failure === undefined) {
    if (claim === undefined) {
      run.log.info(about, "symbol_locked");
      return;
    }
    await run.store.release(claim);
    const records = Object.values(results).reduce(
      (sum, each) => sum + each.records,
      0,
    );
    run.log.info({ ...about, records }, "symbol_execution_completed");
    return;
  }
  run.log.error(
    { ...about, phase: failure.phase, error: failure.error },
    "symbol_execution_failed",
  );
  const message = describeError(failure.error);
  if (claim !== undefined)
    await run.store.fail(claim, {
      message,
      retryMs: backoffMs(entry.failures + 1, RETRY),
    });
  const phase = failure.phase === "flatpack" ? "backfill" : failure.phase;
  if (phase === "backfill" || phase === "snapshot" || phase === "stream")
    await run.publish(
      marker(symbol, phase, "failed", run.clock.now(), { error: message }),
      signal,
    );
});

function phasesOf({ entry, phases }: SymbolRunInput): readonly RunPhase[] {
  return phases ?? STRATEGIES[entry.strategy];
}

function resultOf(context: Context): SymbolResult {
  const { run, entry, claim, failure, isCancelled, results } = context;
  const phases = Object.fromEntries(
    Object.entries(results).map(([phase, { records }]) => [
      phase,
      phase === "stream"
        ? { status: "activated" }
        : { status: "completed", records },
    ]),
  );
  return {
    symbol: entry.symbol,
    strategy: entry.strategy,
    status: isCancelled
      ? "cancelled"
      : failure !== undefined
        ? "error"
        : claim === undefined
          ? "locked"
          : "success",
    phases:
      failure === undefined
        ? phases
        : { ...phases, [failure.phase]: { status: "failed" } },
    elapsed: Number(
      ((run.clock.now() - context.startedAtMs) / SECOND).toFixed(2),
    ),
    ...(failure === undefined ? {} : { error: describeError(failure.error) }),
  };
}

const telling = fromTask<Context>(async ({ input }) =>
  input.onEnded(resultOf(input)),
);

const toInput = ({ context }: { context: Context }): Input => context;

export const symbolRun = setup({
  types: {
    context: {} as Context,
    events: {} as
      { type: "shutdown" } | { type: "cancelled" } | ErrorActorEvent,
    input: {} as SymbolRunInput,
  },
  actors: {
    claiming,
    renewing,
    flatpack: phaseTask("flatpack", ({ run, entry }, signal, onProgress) =>
      runFlatpack(run, entry, signal, onProgress),
    ),
    snapshot: phaseTask("snapshot", ({ run, entry }, signal) =>
      runSnapshot(run, entry.symbol, signal),
    ),
    stream: phaseTask("stream", ({ run, entry }, signal) =>
      runStream(run, entry.symbol, signal),
    ),
    releasing,
    telling,
  },
  guards: {
    skipsFlatpack: ({ context }) => !phasesOf(context).includes("flatpack"),
    skipsSnapshot: ({ context }) => !phasesOf(context).includes("snapshot"),
    skipsStream: ({ context }) => !phasesOf(context).includes("stream"),
    isCalledOff: ({ context }) => context.isCancelled,
    isClaimed: ({ event }) => "output" in event && event.output !== undefined,
  },
  actions: {
    noteCancelled: assign({ isCancelled: true }),
    noteClaim: assign(({ event }) => ({
      // What the claiming task gave.
      claim:
        "output" in event ? (event.output as Claim | undefined) : undefined,
    })),
    noteFailure: assign(({ event }, phase: string) => ({
      failure: {
        phase,
        error: "error" in event ? event.error : new Error("failed"),
      },
    })),
    noteResult: assign(({ context, event }, phase: RunPhase) => ({
      results: {
        ...context.results,
        // What the phase's task gave.
        [phase]:
          "output" in event ? (event.output as PhaseResult) : { records: 0 },
      },
    })),
  },
}).createMachine({
  id: "symbolRun",
  context: ({ input }) => ({
    ...input,
    startedAtMs: input.run.clock.now(),
    claim: undefined,
    results: {},
    failure: undefined,
    isCancelled: false,
    report: { symbol: input.entry.symbol, strategy: input.entry.strategy },
  }),
  initial: "claiming",
  states: {
    claiming: {
      on: {
        // What was claimed meanwhile has to be given back.
        shutdown: { actions: "noteCancelled" },
        cancelled: { actions: "noteCancelled" },
      },
      invoke: {
        src: "claiming",
        input: toInput,
        onDone: [
          {
            guard: "isCalledOff",
            target: "releasing",
            actions: "noteClaim",
          },
          { guard: "isClaimed", target: "working", actions: "noteClaim" },
          // Another run has it.
          { target: "releasing" },
        ],
        onError: {
          target: "releasing",
          actions: { type: "noteFailure", params: "claiming" },
        },
      },
    },
    working: {
      invoke: {
        src: "renewing",
        input: toInput,
        onError: {
          target: "releasing",
          actions: { type: "noteFailure", params: "lease" },
        },
      },
      on: {
        shutdown: { target: "releasing", actions: "noteCancelled" },
        cancelled: { target: "releasing", actions: "noteCancelled" },
      },
      initial: "flatpack",
      states: {
        flatpack: {
          always: { guard: "skipsFlatpack", target: "snapshot" },
          invoke: {
            src: "flatpack",
            input: toInput,
            onDone: {
              target: "snapshot",
              actions: { type: "noteResult", params: "flatpack" },
            },
            onError: {
              target: "#symbolRun.releasing",
              actions: { type: "noteFailure", params: "flatpack" },
            },
          },
        },
        snapshot: {
          always: { guard: "skipsSnapshot", target: "stream" },
          invoke: {
            src: "snapshot",
            input: toInput,
            onDone: {
              target: "stream",
              actions: { type: "noteResult", params: "snapshot" },
            },
            onError: {
              target: "#symbolRun.releasing",
              actions: { type: "noteFailure", params: "snapshot" },
            },
          },
        },
        stream: {
          always: { guard: "skipsStream", target: "#symbolRun.releasing" },
          invoke: {
            src: "stream",
            input: toInput,
            onDone: {
              target: "#symbolRun.releasing",
              actions: { type: "noteResult", params: "stream" },
            },
            onError: {
              target: "#symbolRun.releasing",
              actions: { type: "noteFailure", params: "stream" },
            },
          },
        },
      },
    },
    releasing: {
      invoke: {
        src: "releasing",
        input: ({ context }) => context,
        onDone: "telling",
        // The lease lapses by itself.
        onError: "telling",
      },
    },
    telling: {
      invoke: {
        src: "telling",
        input: ({ context }) => context,
        onDone: "over",
        onError: "over",
      },
    },
    over: { type: "final" },
  },
});

/**
 * What goes wrong, on a schedule or by chance. A fault is active from its
 * injection until its time or its number of effects is used up, or until all are
 * cleared; those of an instant happen once.
 */
import { z } from "zod";
import { isObject } from "../../../schema/read.ts";
import { ConfigError } from "../../errors.ts";
import type { Chance } from "./chance.ts";

const common = {
  /** Name of the account; all when absent. */
  account: z.string().optional(),
  /** Ends by itself after this. */
  forMs: z.number().positive().optional(),
  /** Ends after this many effects. */
  count: z.int().positive().optional(),
  /** Share of the occasions on which it has its effect; all when absent. */
  chance: z.number().gt(0).max(1).optional(),
};

const plain = <Kind extends string>(kind: Kind) =>
  z.strictObject({ kind: z.literal(kind), ...common });

const fault = z.discriminatedUnion("kind", [
  // The socket.
  /** Cut without a close frame. An instant. */
  plain("drop"),
  /** Nothing passes either way, the socket stays open. An instant; with `forMs` it is cut then. */
  plain("half-open"),
  /** The whole venue is away: sockets are cut, new ones too. */
  plain("outage"),
  // The stream.
  /** Pongs, but no updates; they are never sent later. */
  plain("mute"),
  z.strictObject({
    kind: z.literal("delay"),
    byMs: z.number().positive(),
    ...common,
  }),
  plain("duplicate"),
  /** An update comes after its successor. */
  plain("reorder"),
  plain("lose"),
  /** Sent cut short, so that it can not be read. */
  plain("malformed"),
  /** A frame with `data: null` in front of an update. */
  plain("data-null"),
  /** A word no document names, in front of an update. */
  plain("unknown-event"),
  /** Members that documents call optional are left out of updates. */
  plain("bare"),
  /** `action: error`, then closed. An instant. */
  plain("action-error"),
  /** An unasked `listening` with an empty list; nothing more is sent. An instant. */
  plain("withdrawn"),
  /** The `listening` answer leaves trade_updates out. */
  plain("partial-grant"),
  plain("auth-refused"),
  plain("upgrade-429"),
  plain("upgrade-406"),
  // REST.
  z.strictObject({
    kind: z.literal("rest-429"),
    retryAfterS: z.number().nonnegative().optional(),
    ...common,
  }),
  /** With a page of HTML, as gateways send it. */
  plain("rest-500"),
  z.strictObject({
    kind: z.literal("rest-latency"),
    byMs: z.number().positive(),
    ...common,
  }),
  /** The connection is cut in the middle of the body. */
  plain("rest-cut"),
  /** Pages of activities leave out rows that share the stamp of the page before (Alpaca-API #176). */
  plain("seam-loss"),
  /** REST shows a fill this much later than the stream. */
  z.strictObject({
    kind: z.literal("fill-lag"),
    byMs: z.number().positive(),
    ...common,
  }),
]);

export type Fault = z.infer<typeof fault>;
export type FaultKind = Fault["kind"];

const timing = z.object({
  /** After the start of the venue. */
  atMs: z.number().nonnegative(),
  /** Again and again, this long after each time. */
  everyMs: z.number().positive().optional(),
});
export type ScheduledFault = Fault & {
  readonly atMs: number;
  readonly everyMs?: number;
};

/** A script: a JSON array of faults, each with `atMs` and perhaps `everyMs`. @throws ConfigError with every problem. */
export function readFaults(text: string): ScheduledFault[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new ConfigError([`the fault script is no JSON: ${String(error)}`]);
  }
  if (!Array.isArray(list))
    throw new ConfigError(["the fault script is no JSON array of faults"]);
  const problems: string[] = [];
  const faults = list.flatMap((entry: unknown, index) => {
    const { atMs, everyMs, ...rest } = isObject(entry) ? entry : {};
    const times = timing.safeParse({ atMs, everyMs });
    const read = fault.safeParse(rest);
    if (!times.success) problems.push(...problemsOf(index, times.error));
    if (!read.success) problems.push(...problemsOf(index, read.error));
    if (!times.success || !read.success) return [];
    return [
      {
        ...read.data,
        atMs: times.data.atMs,
        ...(times.data.everyMs === undefined
          ? {}
          : { everyMs: times.data.everyMs }),
      },
    ];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return faults;
}

/** One fault, as `/sim/faults` takes it. @throws ConfigError */
export function readFault(value: unknown): Fault {
  const read = fault.safeParse(value);
  if (read.success) return read.data;
  throw new ConfigError(problemsOf(0, read.error));
}

/** The faults that are active now. */
export class FaultBoard {
  readonly #active: { fault: Fault; untilMs: number; left: number }[] = [];

  constructor(
    readonly now: () => number,
    readonly chance: Chance,
  ) {}

  add(fault: Fault): void {
    this.#active.push({
      fault,
      untilMs: this.now() + (fault.forMs ?? Number.POSITIVE_INFINITY),
      left: fault.count ?? Number.POSITIVE_INFINITY,
    });
  }

  /** A fault of this kind that has its effect now, on this account; its count goes down. */
  strikes<Kind extends FaultKind>(
    kind: Kind,
    account: string | undefined,
  ): Extract<Fault, { kind: Kind }> | undefined {
    const nowMs = this.now();
    for (const entry of this.#active) {
      const { fault, untilMs } = entry;
      if (!isKind(fault, kind) || untilMs <= nowMs || entry.left <= 0) continue;
      if (fault.account !== undefined && fault.account !== account) continue;
      if (fault.chance !== undefined && !this.chance.happens(fault.chance))
        continue;
      entry.left--;
      return fault;
    }
    return undefined;
  }

  list(): Fault[] {
    const nowMs = this.now();
    return this.#active
      .filter(({ untilMs, left }) => untilMs > nowMs && left > 0)
      .map(({ fault }) => fault);
  }

  clear(): void {
    this.#active.length = 0;
  }
}

function isKind<Kind extends FaultKind>(
  fault: Fault,
  kind: Kind,
): fault is Extract<Fault, { kind: Kind }> {
  return fault.kind === kind;
}

function problemsOf(index: number, error: z.ZodError): string[] {
  return error.issues.map(
    ({ path, message }) =>
      `fault ${index + 1}${path.length === 0 ? "" : `, ${path.join(".")}`}: ${message}`,
  );
}

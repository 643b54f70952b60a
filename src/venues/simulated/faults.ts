/**
 * What goes wrong, on a schedule or by chance. A fault is active from its
 * injection until its time or its number of effects is used up, or until all are
 * cleared; those of an instant happen once.
 */
import { z } from "zod";
import { isObject } from "../../../schema/read.ts";
import { ConfigError } from "../../errors.ts";
import type { Chance } from "./chance.ts";

/** What a timer takes: beyond it, it would fire at once. */
const MS_MAX = 2 ** 31 - 1;
const ms = z.number().positive().max(MS_MAX);

/** Name of the account, or path of a stream of market data; all when absent. */
const account = z.string().optional();
/** Share of the occasions on which it has its effect; all when absent. */
const chance = z.number().gt(0).max(1).optional();
/** Ends after this many effects. */
const count = z.int().positive().optional();
/** Ends by itself after this. */
const forMs = ms.optional();

const lasting = { account, chance, count, forMs };
const instant = { account, chance };
const late = { byMs: ms, ...lasting };

const kind = <Kind extends string, Shape extends z.ZodRawShape>(
  name: Kind,
  shape: Shape,
  meaning: string,
) => z.strictObject({ kind: z.literal(name), ...shape }).describe(meaning);

const fault = z.discriminatedUnion("kind", [
  // The socket.
  kind("drop", instant, "cut without a close frame; an instant"),
  kind(
    "half-open",
    { ...instant, forMs },
    "nothing passes either way and the socket stays open; an instant; with forMs it is cut then",
  ),
  kind(
    "outage",
    lasting,
    "the whole venue is away: sockets are cut, new ones too",
  ),
  kind("upgrade-429", lasting, "new sockets are refused with 429"),
  kind("upgrade-406", lasting, "new sockets are refused with 406"),
  kind(
    "slot-held",
    late,
    "the slot of a socket that ended without a close frame stays taken for byMs",
  ),
  // The handshake.
  kind("no-answer", lasting, "a message of the handshake is not answered"),
  kind(
    "auth-refused",
    lasting,
    "right keys are refused, on the stream and by REST",
  ),
  kind(
    "partial-grant",
    lasting,
    "the listening answer leaves trade_updates out, that of market data the trades",
  ),
  // The stream.
  kind("mute", lasting, "pongs, but no updates; they are never sent later"),
  kind("lose", lasting, "an update is never sent"),
  kind("delay", late, "an update is sent byMs later"),
  kind("duplicate", lasting, "an update is sent twice"),
  kind("reorder", lasting, "an update comes after its successor"),
  kind("behind", lasting, "an update comes no sooner than its successor"),
  kind(
    "malformed",
    lasting,
    "an update is cut short, so that it cannot be read",
  ),
  kind("data-null", lasting, "a frame with data: null in front of an update"),
  kind(
    "stray-byte",
    lasting,
    "a frame of the one byte 0x01 in front of an update",
  ),
  kind(
    "unknown-event",
    lasting,
    "an event no document names in front of an update",
  ),
  kind(
    "bare",
    lasting,
    "members that documents call optional are left out of an update",
  ),
  kind(
    "mixed-offsets",
    lasting,
    "times of an update's order are New York's, with their offset, next to others in UTC",
  ),
  kind("action-error", instant, "action: error, then closed; an instant"),
  kind(
    "withdrawn",
    instant,
    "an unasked listening answer with an empty list, and nothing more is sent; an instant",
  ),
  kind(
    "feed-error",
    {
      code: z.literal([
        400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413,
        500,
      ]),
      ...instant,
    },
    "an error out of the blue on the streams of market data; an instant",
  ),
  // Orders.
  kind(
    "stuck-cancel",
    lasting,
    "an order that is asked to end stays pending_cancel",
  ),
  // REST.
  kind(
    "rest-429",
    {
      retryAfterS: z.number().nonnegative().optional(),
      body: z.enum(["json", "text"]).optional(),
      ...lasting,
    },
    "too many requests; Retry-After with retryAfterS, as text with body",
  ),
  kind("rest-500", lasting, "502 with a page of HTML, as gateways send it"),
  kind("rest-latency", late, "an answer takes byMs longer"),
  kind("rest-cut", lasting, "the connection is cut in the middle of the body"),
  kind(
    "seam-loss",
    lasting,
    "a page of activities leaves out rows that share the stamp of its page_token (Alpaca-API #176)",
  ),
  kind(
    "date-whole",
    lasting,
    "activities asked for by date come all at once, whatever the page_size",
  ),
  kind("fill-lag", late, "REST shows a fill byMs later than the stream"),
]);

/** Each kind and what it does, for who writes a script. */
export const FAULT_KINDS: Readonly<Record<string, string>> = Object.fromEntries(
  fault.options.map(({ shape, description = "" }) => [
    shape.kind.value,
    description,
  ]),
);

export type Fault = z.infer<typeof fault>;
export type FaultKind = Fault["kind"];
export type InstantFault = Extract<
  Fault,
  {
    kind: "drop" | "half-open" | "action-error" | "withdrawn" | "feed-error";
  }
>;
type LastingFault = Exclude<Fault, InstantFault>;

const timing = z.object({
  /** After the start of the venue. */
  atMs: z.number().nonnegative().max(MS_MAX),
  /** Again and again, this long after each time. */
  everyMs: z.number().min(1).max(MS_MAX).optional(),
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

/** Whoever dials has not said yet who he is. */
const OF_THE_VENUE: ReadonlySet<FaultKind> = new Set([
  "outage",
  "upgrade-429",
  "upgrade-406",
]);

/** What a stream of market data is struck by; everything else is an account's. */
const OF_MARKET_DATA: ReadonlySet<FaultKind> = new Set([
  "drop",
  "half-open",
  "upgrade-429",
  "upgrade-406",
  "slot-held",
  "no-answer",
  "auth-refused",
  "partial-grant",
  "mute",
  "lose",
  "delay",
  "duplicate",
  "reorder",
  "malformed",
  "unknown-event",
  "feed-error",
]);

/**
 * A fault that could never have its effect is a mistake. `paths`: streams of market
 * data, which a fault names in the place of an account. @throws ConfigError
 */
export function requireAccount(
  { kind, account }: Fault,
  accounts: readonly string[],
  paths: readonly string[] = [],
): void {
  if (account === undefined) return;
  if (paths.includes(account)) {
    if (OF_MARKET_DATA.has(kind)) return;
    throw new ConfigError([
      `fault ${kind}: it does not strike streams of market data`,
    ]);
  }
  if (OF_THE_VENUE.has(kind))
    throw new ConfigError([
      `fault ${kind}: it strikes the whole venue, not one account`,
    ]);
  if (kind === "feed-error")
    throw new ConfigError([
      `fault ${kind}: it strikes streams of market data, not an account`,
    ]);
  if (!accounts.includes(account))
    throw new ConfigError([
      `fault ${kind}: there is no account ${account}; there are ${accounts.join(", ")}`,
    ]);
}

/** The faults that are active now. */
export class FaultBoard {
  #active: { fault: LastingFault; untilMs: number; left: number }[] = [];

  constructor(
    readonly now: () => number,
    readonly chance: Chance,
  ) {}

  add(fault: LastingFault): void {
    this.#prune();
    this.#active.push({
      fault,
      untilMs: this.now() + (fault.forMs ?? Number.POSITIVE_INFINITY),
      left: fault.count ?? Number.POSITIVE_INFINITY,
    });
  }

  /** Whether a fault of an instant has its effect this time. */
  happens({ chance }: Fault): boolean {
    return chance === undefined || this.chance.happens(chance);
  }

  /** A fault of this kind that has its effect now, on this account; its count goes down. */
  strikes<Kind extends LastingFault["kind"]>(
    kind: Kind,
    account: string | undefined,
  ): Extract<LastingFault, { kind: Kind }> | undefined {
    const nowMs = this.now();
    for (const entry of this.#active) {
      const { fault, untilMs } = entry;
      if (!isKind(fault, kind) || untilMs <= nowMs || entry.left <= 0) continue;
      if (fault.account !== undefined && fault.account !== account) continue;
      if (!this.happens(fault)) continue;
      entry.left--;
      return fault;
    }
    return undefined;
  }

  list(): Fault[] {
    this.#prune();
    return this.#active.map(({ fault }) => fault);
  }

  clear(): void {
    this.#active = [];
  }

  /** What is used up goes, or a schedule that repeats a fault would pile it up. */
  #prune(): void {
    const nowMs = this.now();
    this.#active = this.#active.filter(
      ({ untilMs, left }) => untilMs > nowMs && left > 0,
    );
  }
}

function isKind<Kind extends LastingFault["kind"]>(
  fault: LastingFault,
  kind: Kind,
): fault is Extract<LastingFault, { kind: Kind }> {
  return fault.kind === kind;
}

function problemsOf(index: number, error: z.ZodError): string[] {
  return error.issues.map(
    ({ path, message }) =>
      `fault ${index + 1}${path.length === 0 ? "" : `, ${path.join(".")}`}: ${message}`,
  );
}

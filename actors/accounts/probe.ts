/**
 * Holds the stream against REST every {@link PROBE_EVERY_MS} and tells the
 * machine the verdict. Only what two readings in a row show as undelivered
 * makes a stream deaf: a process that was held up itself reads late, too.
 */
import {
  DELIVERY_GRACE_MS,
  judge,
  undelivered,
  type Undelivered,
} from "../../src/accounts/verdict.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { VenueError } from "../../src/errors.ts";
import type { StreamVerdict } from "../../schema/service.ts";
import { fromResource } from "../supervision/resource.ts";

const PROBE_EVERY_MS = 45 * SECOND;
/** While something is due or suspected. */
const PROBE_AGAIN_MS = 8 * SECOND;
/** The newest of each kind: a page each. */
const READING_LENGTH = 100;

export interface ProbeInput {
  readonly run: AccountRun;
  /** When the stream began to listen. */
  readonly liveSinceMs: number;
}

export interface Judged {
  readonly type: "judged";
  readonly verdict: StreamVerdict;
  /** When deaf: from when on the stream can not be believed. */
  readonly deafFromMs: number | undefined;
}

export const probe = fromResource<ProbeInput>(
  async ({ input: { run, liveSinceMs }, signal, tell }) => {
    let comparedMs: number | undefined;
    let provenToMs = liveSinceMs;
    let suspected: readonly Undelivered[] = [];
    const say = (overdue: readonly Undelivered[]) => {
      const nowMs = run.clock.now();
      const verdict = judge({
        nowMs,
        liveSinceMs,
        lastFrameMs: run.board.lastFrameMs,
        sessionOpen: run.sessions.isOpen(nowMs),
        overdue,
        comparedMs,
      });
      const judged: Judged = {
        type: "judged",
        verdict,
        deafFromMs: deafFrom(overdue, {
          liveSinceMs,
          provenToMs,
          lastFrameMs: run.board.lastFrameMs,
        }),
      };
      tell(judged);
    };

    for (;;) {
      const askedMs = run.clock.now();
      let isDue = false;
      try {
        const reading = await readNewest(run, signal);
        comparedMs = askedMs;
        const { overdue, due } = undelivered(reading, run.delivered, {
          liveSinceMs,
          nowMs: askedMs,
        });
        const confirmed = overdue.filter(({ what }) =>
          suspected.some((earlier) => earlier.what === what),
        );
        suspected = overdue;
        if (overdue.length === 0)
          provenToMs = Math.max(provenToMs, askedMs - DELIVERY_GRACE_MS);
        isDue = due.length + overdue.length > 0;
        say(confirmed);
      } catch (error) {
        if (!(error instanceof VenueError)) throw error;
        say([]);
      }
      await sleep(isDue ? PROBE_AGAIN_MS : PROBE_EVERY_MS, signal);
    }
  },
);

async function readNewest(run: AccountRun, signal: AbortSignal) {
  const options = { priority: "live", signal } as const;
  const [orders, fills] = await Promise.all([
    run.rest.array(
      "/v2/orders",
      {
        status: "all",
        direction: "desc",
        nested: "true",
        limit: READING_LENGTH,
      },
      options,
    ),
    run.rest.array(
      "/v2/account/activities/FILL",
      { direction: "desc", page_size: READING_LENGTH },
      options,
    ),
  ]);
  return { orders, fills };
}

/**
 * The last moment at which the stream was known to say everything. REST shows the
 * first order or fill that it kept to itself, never the first event: so it is not
 * believed since the last reading that showed nothing missing, either.
 */
function deafFrom(
  overdue: readonly Undelivered[],
  known: {
    readonly liveSinceMs: number;
    readonly provenToMs: number;
    readonly lastFrameMs: number | undefined;
  },
): number | undefined {
  if (overdue.length === 0) return undefined;
  const { liveSinceMs, provenToMs, lastFrameMs = liveSinceMs } = known;
  const firstMs = Math.min(...overdue.map(({ at }) => at));
  return Math.max(liveSinceMs, Math.min(firstMs, provenToMs, lastFrameMs));
}

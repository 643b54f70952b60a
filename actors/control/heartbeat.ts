/**
 * Tells who watches Firestore that the service is alive, and how well; the last
 * word of a clean stop is `stopped`.
 */
import { backoffMs } from "../../src/backoff.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import type { Heartbeat } from "../../src/stores/firestore.ts";
import { hurried } from "../supervision/hurry.ts";
import { fromTask } from "../supervision/task.ts";

export interface HeartbeatInput {
  readonly everyMs: number;
  /** What to tell now. */
  readonly read: () => Omit<Heartbeat, "status"> & { readonly isWell: boolean };
  /** Gives up by itself rather than go on when nobody waits any more. */
  readonly write: (beat: Heartbeat) => Promise<void>;
  /** Told of each beat that was written. */
  readonly onBeat: () => void;
}

/** A stop allows so much for the beat in hand, and again for the farewell. */
const WRITE = { msMax: 10 * SECOND, leavingMsMax: 0.6 * SECOND };
/** A beat that comes so much early is one that is never late. */
const EARLY_MS = 100;
const RETRY_MS = SECOND;
const SILENT = "the store does not answer";

export const heartbeat = fromTask<HeartbeatInput>(
  async ({ input: { everyMs, read, write, onBeat }, shutdown, report }) => {
    const restMs = everyMs - EARLY_MS;
    const retry = { baseMs: RETRY_MS, maxMs: restMs };
    let failures = 0;
    while (!shutdown.aborted) {
      const begunMs = performance.now();
      await beat();
      // What the write took is part of the interval.
      const leftMs = restMs - (performance.now() - begunMs);
      const waitMs = failures === 0 ? leftMs : backoffMs(failures, retry);
      await sleep(waitMs, shutdown).catch(() => {});
    }
    await beat();

    async function beat(): Promise<void> {
      const { isWell, ...told } = read();
      const alive = isWell ? "running" : "degraded";
      const status = shutdown.aborted ? "stopped" : alive;
      try {
        const writing = write({ ...told, status });
        await hurried(writing, { ...WRITE, shutdown }, SILENT);
        failures = 0;
        onBeat();
        report({ state: "beating", status });
      } catch (error) {
        failures++;
        report({
          state: "retrying",
          failures,
          lastError: describeError(error),
        });
      }
    }
  },
);

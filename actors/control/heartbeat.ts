/**
 * Tells who watches Firestore that the service is alive, and how well; the last
 * word of a clean stop is `stopped`.
 */
import { SECOND, sleep, within } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import type { Heartbeat } from "../../src/stores/firestore.ts";
import { fromTask } from "../supervision/task.ts";

export interface HeartbeatInput {
  readonly everyMs: number;
  /** What to tell now. */
  readonly read: () => Omit<Heartbeat, "status"> & { readonly isWell: boolean };
  readonly write: (beat: Heartbeat) => Promise<void>;
  /** Told of each beat that was written. */
  readonly onBeat: () => void;
}

const WRITE_MS_MAX = 10 * SECOND;
/** The farewell must not hold up the stop. */
const FAREWELL_MS_MAX = SECOND;
const SILENT = "the store does not answer";

export const heartbeat = fromTask<HeartbeatInput>(
  async ({ input: { everyMs, read, write, onBeat }, shutdown, report }) => {
    const beat = async (isLast: boolean) => {
      const { isWell, ...told } = read();
      const status = isLast ? "stopped" : isWell ? "running" : "degraded";
      const limitMs = isLast ? FAREWELL_MS_MAX : WRITE_MS_MAX;
      try {
        await within(limitMs, write({ ...told, status }), SILENT);
        onBeat();
        report({ state: "beating", status });
      } catch (error) {
        report({ state: "retrying", lastError: describeError(error) });
      }
    };
    while (!shutdown.aborted) {
      const begunMs = performance.now();
      await beat(false);
      // At least every interval: what the write took is part of it.
      const leftMs = everyMs - (performance.now() - begunMs);
      await sleep(Math.max(leftMs, SECOND / 10), shutdown).catch(() => {});
    }
    await beat(true);
  },
);

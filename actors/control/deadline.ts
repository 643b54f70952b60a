/** Ends the service after `STOP_AFTER_SECONDS`. */
import { sleep } from "../../src/clock.ts";
import { fromTask } from "../supervision/task.ts";

export interface DeadlineInput {
  readonly afterMs: number;
  readonly stop: () => void;
}

export const deadline = fromTask<DeadlineInput>(
  async ({ input: { afterMs, stop }, shutdown }) => {
    await sleep(afterMs, shutdown);
    stop();
  },
);

/** Waiting for what has to be asked for. */
import { SECOND, sleep } from "../../src/clock.ts";

/** Asks until the answer is yes. @throws Error after 20 s */
export async function untilAsync(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20 * SECOND;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`never came true: ${isSo}`);
    await sleep(20);
  }
}

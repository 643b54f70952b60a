/**
 * Heals every `HEALING_INTERVAL_SEC`, at once when the stream begins to listen
 * again or was found deaf, and once an hour deeper: rows that are no trades are
 * booked late, under what was read already.
 */
import { heal, surveyAccount } from "../../src/accounts/heal.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import { DAY, HOUR, firstOf, sleep } from "../../src/clock.ts";
import { fromTask } from "../supervision/task.ts";
import { patiently } from "./patience.ts";

const DEEP_EVERY_MS = HOUR;
const DEEP_LOOKBACK_MS = 2 * DAY;

export const healer = fromTask<AccountRun>(
  async ({ input: run, report, shutdown: stop }) => {
    let deepDueMs = run.clock.now() + DEEP_EVERY_MS;
    report({ state: "waiting" });
    await nextCall(run, { listenings: 0, wishes: 0 }, stop);
    for (let pass = 1; ; pass++) {
      const calls = callsOf(run);
      const isDeep = run.clock.now() >= deepDueMs;
      const lookbackMs = isDeep ? DEEP_LOOKBACK_MS : run.healing.lookbackMs;
      report({ state: "healing", pass });
      const receipt = await patiently(run, { report, stop }, async () => {
        const healed = await heal(run, { lookbackMs }, stop);
        await surveyAccount(run);
        return healed;
      });
      if (isDeep) deepDueMs = run.clock.now() + DEEP_EVERY_MS;
      report({ state: "resting", pass, lastPass: receipt });
      await nextCall(run, calls, stop);
    }
  },
);

interface Calls {
  readonly listenings: number;
  readonly wishes: number;
}

function callsOf(run: AccountRun): Calls {
  return { listenings: run.listening.raised, wishes: run.healingWanted.raised };
}

/** The interval is over, or somebody called since. */
async function nextCall(
  run: AccountRun,
  seen: Calls,
  stop: AbortSignal,
): Promise<void> {
  await firstOf(stop, (signal) => [
    sleep(run.healing.intervalMs, signal),
    run.listening.after(seen.listenings, signal),
    run.healingWanted.after(seen.wishes, signal),
  ]);
}

/** Reads the past of an account once the stream listens, so that no event falls between the two. */
import { backfill as readPast } from "../../src/accounts/backfill.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import { fromTask } from "../supervision/task.ts";
import { patiently } from "./patience.ts";

export const backfill = fromTask<AccountRun>(
  async ({ input: run, report, shutdown: stop }) => {
    report({ state: "waiting", reason: "the stream does not listen yet" });
    await run.listening.after(0, stop);
    const listeningMs = run.clock.now();
    const rows = await patiently(run, { report, stop }, () =>
      readPast(run, listeningMs, stop, ({ stream, rows, done }) =>
        report({
          state: "reading",
          stream,
          rows,
          percent: Math.round(done * 100),
        }),
      ),
    );
    report({ state: "done", ...rows });
  },
);

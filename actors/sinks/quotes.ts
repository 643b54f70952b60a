/**
 * A sink of latest quotes: every flush interval it writes what may be written. A
 * failed write gives its tokens back and is tried again after a growing wait; by
 * then newer quotes have taken the place of old ones, so nothing piles up.
 */
import type { LatestQuote } from "../../schema/market.ts";
import { backoffMs } from "../../src/backoff.ts";
import { SECOND, sleep, within } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import type { Coalescer } from "../../src/flow/coalesce.ts";
import type { QuoteTally } from "../../src/marketTopology.ts";
import { fromTask } from "../supervision/task.ts";

/** The answers that make a store a sink of quotes. */
export interface QuoteWriter {
  readonly countMax: number;
  /** Connects and makes ready what is written to. Rejects while the store is away. */
  open(): Promise<void>;
  /** All or none; safe to repeat. */
  write(quotes: readonly LatestQuote[]): Promise<void>;
  close(): Promise<void>;
}

export interface QuoteSinkInput {
  readonly coalescer: Coalescer<LatestQuote>;
  readonly flushMs: number;
  readonly tally: QuoteTally;
  readonly writer: QuoteWriter;
}

const RETRY = { baseMs: 200, maxMs: 15 * SECOND };
const WRITE_MS_MAX = 10 * SECOND;
const SILENT = "the store does not answer";

export const quoteSink = fromTask<QuoteSinkInput>(
  async ({ input, shutdown, report }) => {
    const { coalescer, flushMs, tally, writer } = input;
    try {
      await untilOpen();
      report({ state: "writing" });
      for (let failures = 0; !shutdown.aborted;) {
        const outcome = await flush();
        failures = outcome === undefined ? 0 : failures + 1;
        report(
          outcome === undefined
            ? { state: "writing" }
            : { state: "retrying", failures, lastError: outcome },
        );
        await sleep(
          failures === 0 ? flushMs : backoffMs(failures, RETRY),
          shutdown,
        ).catch(() => {});
      }
      await flush();
    } finally {
      await writer.close();
    }

    async function untilOpen(): Promise<void> {
      for (let failures = 1; ; failures++) {
        try {
          return await within(WRITE_MS_MAX, writer.open(), SILENT);
        } catch (error) {
          report({
            state: "opening",
            failures,
            lastError: describeError(error),
          });
          await sleep(backoffMs(failures, RETRY), shutdown);
        }
      }
    }

    /** What went wrong, when something did. */
    async function flush(): Promise<string | undefined> {
      const due = coalescer.take(performance.now(), writer.countMax);
      if (due.size === 0) return undefined;
      try {
        await within(WRITE_MS_MAX, writer.write([...due.values()]), SILENT);
        tally.written += due.size;
        tally.isFailing = false;
        return undefined;
      } catch (error) {
        coalescer.failed(due.keys());
        tally.failed += due.size;
        tally.isFailing = true;
        return describeError(error);
      }
    }
  },
);

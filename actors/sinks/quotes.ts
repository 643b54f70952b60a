/**
 * A sink of latest quotes: every flush interval it writes what may be written. A
 * failed write gives its tokens back and is tried again after a growing wait; by
 * then newer quotes have taken the place of old ones, so nothing piles up.
 */
import type { LatestQuote } from "../../schema/market.ts";
import { backoffMs } from "../../src/backoff.ts";
import { MINUTE, SECOND, sleep } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import type { Coalescer } from "../../src/flow/coalesce.ts";
import type { QuoteTally } from "../../src/marketTopology.ts";
import { hurried } from "../supervision/hurry.ts";
import { fromTask } from "../supervision/task.ts";

/** The answers that make a store a sink of quotes. */
export interface QuoteWriter {
  readonly countMax: number;
  /** Connects and makes ready what is written to, also after a failure. Rejects while the store is away. */
  open(): Promise<void>;
  /** All or none; safe to repeat. Gives up by itself rather than go on when nobody waits any more. */
  write(quotes: readonly LatestQuote[]): Promise<void>;
  /** Hangs up; it may be opened again. */
  close(): void;
}

export interface QuoteSinkInput {
  readonly coalescer: Coalescer<LatestQuote>;
  readonly flushMs: number;
  readonly tally: QuoteTally;
  readonly writer: QuoteWriter;
}

const RETRY = { baseMs: 200, maxMs: 15 * SECOND };
/** A writer that does not give up by itself, and what a stop allows for the write in hand, and again for the last one. */
const WRITE = { msMax: 10 * SECOND, leavingMsMax: 0.7 * SECOND };
/** What was given up may still land, over newer quotes: so long after it they are written once more. */
const DOUBT_MS = MINUTE;
const SILENT = "the store does not answer";

export const quoteSink = fromTask<QuoteSinkInput>(
  async ({ input, shutdown, report }) => {
    const { coalescer, flushMs, tally, writer } = input;
    /** Symbols of failed writes, and when they are written once more, soonest first. */
    const doubts = new Map<string, number>();
    let state: "opening" | "writing" | "retrying" = "opening";
    let isOpen = false;
    let failures = 0;
    report({ state });
    try {
      while (!shutdown.aborted) {
        await attempt();
        const waitMs = failures === 0 ? flushMs : backoffMs(failures, RETRY);
        await sleep(waitMs, shutdown).catch(() => {});
      }
      // Of a store that failed just now nothing can be hoped for.
      if (isOpen) await attempt();
    } finally {
      writer.close();
    }

    async function attempt(): Promise<void> {
      try {
        if (!isOpen) await open();
        if ((await flush()) > 0) noteWell();
      } catch (error) {
        state = isOpen ? "retrying" : "opening";
        isOpen = false;
        failures++;
        tally.isFailing = true;
        report({ state, failures, lastError: describeError(error) });
      }
    }

    async function open(): Promise<void> {
      // Setting up may take its time.
      const { leavingMsMax } = WRITE;
      await hurried(writer.open(), { leavingMsMax, shutdown }, SILENT);
      isOpen = true;
      // After a failed write only a write shows that the store is well.
      if (state === "opening") noteWell();
    }

    /** How many were written. */
    async function flush(): Promise<number> {
      const nowMs = performance.now();
      for (const [symbol, endMs] of doubts) {
        if (endMs > nowMs) break;
        doubts.delete(symbol);
        coalescer.again([symbol]);
      }
      const due = coalescer.take(nowMs, writer.countMax);
      if (due.size === 0) return 0;
      try {
        const writing = writer.write([...due.values()]);
        await hurried(writing, { ...WRITE, shutdown }, SILENT);
      } catch (error) {
        const symbols = [...due.keys()];
        coalescer.failed(symbols);
        for (const symbol of symbols) {
          // To the end of the row.
          doubts.delete(symbol);
          doubts.set(symbol, nowMs + DOUBT_MS);
        }
        tally.failed += due.size;
        throw error;
      }
      tally.written += due.size;
      return due.size;
    }

    function noteWell(): void {
      failures = 0;
      tally.isFailing = false;
      if (state === "writing") return;
      state = "writing";
      report({ state });
    }
  },
);

/**
 * 10,000 quotes a second over 5,000 symbols, into the coalescer and on to
 * live_quotes in a real Postgres: how many are written, and what it costs. The
 * quotes are made in this process, so what making them costs is counted, too.
 */
import { createActor } from "xstate";
import { postgresQuotes } from "../../actors/sinks/quoteWriters.ts";
import { quoteSink } from "../../actors/sinks/quotes.ts";
import type { LatestQuote, Quote } from "../../schema/market.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { latestOf } from "../../src/feeds/quoteBoard.ts";
import { Coalescer } from "../../src/flow/coalesce.ts";
import { Database } from "../../src/stores/postgres/database.ts";
import { openPlace } from "./place.ts";
import { hundredths, sayTarget, whole } from "./rounds.ts";

const QUOTES_PER_SECOND = 10_000;
const SYMBOLS = Array.from({ length: 5_000 }, (_, index) => `S${index}`);
const LASTS_MS = 15 * SECOND;
const SLICE_MS = 10;
/** Of one core. */
const CPU_MAX = 0.5;

/** The default, and one that lets nearly half of all symbols through each second. */
const RATES = [
  { writesPerSecond: 20, burst: 40 },
  { writesPerSecond: 2_000, burst: 4_000 },
];

await using place = await openPlace();
const database = new Database();
database.use(place.url);

for (const rate of RATES) {
  console.log(
    `quotes: ${whole(QUOTES_PER_SECOND)} a second over ${whole(SYMBOLS.length)} symbols, ${whole(rate.writesPerSecond)} writes a second allowed`,
  );
  await play(rate);
}
await database.close();

async function play(rate: (typeof RATES)[number]): Promise<void> {
  const coalescer = new Coalescer<LatestQuote>({ perKeyMs: SECOND, ...rate });
  const tally = { written: 0, failed: 0, isFailing: false };
  const tenant = `rate-${rate.writesPerSecond}`;
  const writer = postgresQuotes(database, tenant);
  await writer.open();
  const sink = createActor(quoteSink, {
    input: { coalescer, flushMs: 200, tally, writer },
  });
  sink.start();

  const before = process.cpuUsage();
  const startMs = performance.now();
  const seen = await offerAll(coalescer);
  const ms = performance.now() - startMs;
  const { user, system } = process.cpuUsage(before);
  const { written } = tally;
  const cpu = (user + system) / 1000 / ms;

  sink.send({ type: "shutdown" });
  await new Promise<void>((resolve) =>
    sink.subscribe({ complete: () => resolve() }),
  );
  const allowed = rate.burst + (rate.writesPerSecond * ms) / SECOND;
  const rows = await rowsOf(tenant);
  console.log(
    `  ${whole(seen)} quotes, ${whole(written)} written (${whole((written * SECOND) / ms)} a second) into ${whole(rows)} rows, ${tally.failed} failed`,
  );
  sayTarget(
    `${whole(written)} writes`,
    `at most ${whole(allowed)}, at least nine tenths of it`,
    written <= allowed && written >= 0.9 * allowed,
  );
  sayTarget(`${hundredths(cpu)} of a core`, `under ${CPU_MAX}`, cpu < CPU_MAX);
}

/** Offers what has come due of the quotes, in slices. */
async function offerAll(coalescer: Coalescer<LatestQuote>): Promise<number> {
  const startMs = performance.now();
  let seen = 0;
  for (;;) {
    const passedMs = performance.now() - startMs;
    if (passedMs >= LASTS_MS) return seen;
    const due = (passedMs / SECOND) * QUOTES_PER_SECOND;
    const receivedAtMs = Date.now();
    const timestamp = new Date(receivedAtMs).toISOString();
    for (; seen < due; seen++) {
      const quote: Quote = {
        kind: "quote",
        // In no order, as they come.
        symbol: SYMBOLS[(seen * 2_654_435_761) % SYMBOLS.length]!,
        bid: 100 + (seen % 100) / 100,
        ask: 100.05 + (seen % 100) / 100,
        bidSize: 100,
        askSize: 200,
        timestamp,
        receivedAtMs,
      };
      coalescer.set(quote.symbol, latestOf(quote));
    }
    await sleep(SLICE_MS);
  }
}

async function rowsOf(tenant: string): Promise<number> {
  const [row] = await place.sql<[{ rows: number }]>`
    select count(*)::int as rows from live_quotes where tenant_id = ${tenant}`;
  return row.rows;
}

/**
 * The past of an account, 1,000,000 activities (or `BENCH_ACTIVITIES`) from a
 * venue on this machine: read page by page and written by the service's own way,
 * and by a loop that pages and issues the same statements. Each of the two is a
 * process of its own; in turn they read the same tenth of the time.
 */
import { DAY } from "../../src/clock.ts";
import type { Reading } from "./backfillReader.ts";
import { openPlace } from "./place.ts";
import { compare, sayTarget, whole } from "./rounds.ts";
import { spawnChild } from "./spawn.ts";

const ACTIVITIES = Number(process.env["BENCH_ACTIVITIES"] ?? 1_000_000);
const TENTHS = 10;
/** How far back the venue spreads them. */
const SPREAD_MS = 300 * DAY;
const MEGABYTE = 1024 * 1024;
/** Above what it was after the second tenth, when everything is warm. */
const GROWTH_MAX = 50;

await using place = await openPlace();
await using venue = await spawnChild<string>("venueProcess.ts", [
  "1",
  String(ACTIVITIES),
]);
const end = Date.now();
await using bare = await spawnChild<Reading>("backfillReader.ts", [
  "bare",
  venue.told,
  place.url,
]);
await using real = await spawnChild<Reading>("backfillReader.ts", [
  "real",
  venue.told,
  place.url,
]);

console.log(`backfill: ${whole(ACTIVITIES)} activities, a tenth a round`);
const resident: number[] = [];
await compare({
  title: "backfill",
  rounds: TENTHS,
  ratioMin: 0.7,
  isWarmedUp: false,
  bare: (round) => readTenth(bare, round),
  async real(round) {
    const reading = await readTenth(real, round);
    resident.push(reading.rssBytes / MEGABYTE);
    console.log(`  resident: ${whole(reading.rssBytes / MEGABYTE)} MB`);
    return reading;
  },
});
const growth = Math.max(...resident.slice(2)) - (resident[1] ?? 0);
sayTarget(
  `grew by ${whole(growth)} MB after the second tenth`,
  `under ${GROWTH_MAX} MB`,
  growth < GROWTH_MAX,
);

async function readTenth(reader: typeof real, round: number): Promise<Reading> {
  const from = end - SPREAD_MS - DAY;
  const stepMs = (end - from) / TENTHS;
  reader.send({
    from: Math.round(from + (round - 1) * stepMs),
    to: Math.round(from + round * stepMs),
  });
  return reader.next();
}

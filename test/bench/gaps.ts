/**
 * Gap detection over many symbols and sessions: rows are made in SQL, with a hole in
 * one session of ten, and every expected minute is looked at. `--symbols` and
 * `--sessions` take other sizes; 500 × 250 (48.75 million minutes) is the promise,
 * under 60 s on two cores.
 */
import { DAY, MINUTE, SECOND } from "../../src/clock.ts";
import { findGaps, minutesOf } from "../../src/registry/gaps.ts";
import { Database } from "../../src/stores/postgres/database.ts";
import { recordSessions } from "../../src/stores/postgres/gaps.ts";
import { migrateMarket } from "../../src/stores/postgres/migrate.ts";
import { sessionsBetween } from "../../src/venues/calendar.ts";
import { openPlace } from "./place.ts";

const LIMIT_MS = 60 * SECOND;
const FULL = { symbols: 500, sessions: 250 };
/** A hole of this length, in every tenth session of each symbol. */
const HOLE_MINUTES = 7;

function argument(name: string, absent: number): number {
  const index = process.argv.indexOf(`--${name}`);
  const value = Number(process.argv[index + 1]);
  return index > 0 && Number.isInteger(value) && value > 0 ? value : absent;
}

// By default a fifth of the symbols: making the rows takes far longer than looking at them.
const symbolCount = argument("symbols", 100);
const sessionCount = argument("sessions", FULL.sessions);
const sessions = sessionsBetween("2025-01-02", "2026-12-31").slice(
  0,
  sessionCount,
);
const symbols = Array.from(
  { length: symbolCount },
  (_, index) => `S${String(index).padStart(4, "0")}`,
);

await using place = await openPlace();
const { sql } = place;
await migrateMarket(sql);
await recordSessions(sql, sessions);
const beganMs = performance.now();
await sql.begin(async (transaction) => {
  await transaction`set local statement_timeout = 0`;
  await transaction`set local synchronous_commit = off`;
  await transaction`
    insert into ohlcv_1m (symbol, timestamp, open, high, low, close, volume, source)
    select symbol, at, 10, 12, 9, 11, 100, 'polygon'
    from unnest(${symbols}::text[]) with ordinality as wanted (symbol, place)
    cross join (select row_number() over (order by day) as number, * from feedkeeper.sessions) as each_session
    cross join lateral generate_series(open_at, close_at - interval '1 minute', interval '1 minute') as at
    where (number + place) % 10 <> 0
      or at not between open_at + interval '1 hour' and open_at + interval '1 hour' + ${HOLE_MINUTES - 1} * interval '1 minute'`;
});
// As the server does by itself behind so many rows.
await sql`vacuum analyze ohlcv_1m`;
const filledMs = performance.now() - beganMs;

const database = new Database();
database.use(place.url);
const last = sessions.at(-1)?.closeMs ?? 0;
const startedMs = performance.now();
const found = await findGaps(
  database,
  symbols,
  { from: new Date(sessions[0]?.openMs ?? 0), to: new Date(last) },
  last + DAY,
);
const elapsedMs = performance.now() - startedMs;
await database.close();

const minutes =
  sessions.reduce(
    (sum, { openMs, closeMs }) => sum + (closeMs - openMs) / MINUTE,
    0,
  ) * symbolCount;
const holes = symbols
  .map(
    (_, place_) =>
      sessions.filter((_session, number) => (number + place_ + 2) % 10 === 0)
        .length,
  )
  .reduce((sum, count) => sum + count, 0);
const isRight =
  found.length === holes && minutesOf(found) === holes * HOLE_MINUTES;
const share = minutes / (FULL.symbols * FULL.sessions * 390);
console.log(
  `gaps: ${(minutes / 1e6).toFixed(2)} million expected minutes in ${(elapsedMs / SECOND).toFixed(1)} s (rows made in ${(filledMs / SECOND).toFixed(0)} s); ` +
    `${found.length} of ${holes} holes found; at this rate ${(elapsedMs / share / SECOND).toFixed(1)} s for ${FULL.symbols} × ${FULL.sessions} (limit ${LIMIT_MS / SECOND} s)`,
);
process.exit(isRight && elapsedMs / share < LIMIT_MS ? 0 : 1);

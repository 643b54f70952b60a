/** Statements on `feedkeeper.schedule_runs`. */
import type { Sql } from "./connect.ts";

export async function lastRuns(sql: Sql): Promise<Map<string, Date>> {
  const rows = await sql<{ job: string; last_run: Date }[]>`
    select job, last_run from feedkeeper.schedule_runs`;
  return new Map(rows.map(({ job, last_run }) => [job, last_run]));
}

export async function noteScheduledRun(
  sql: Sql,
  job: string,
  at: Date,
): Promise<void> {
  await sql`
    insert into feedkeeper.schedule_runs as stored (job, last_run) values (${job}, ${at})
    on conflict (job) do update set last_run = greatest(stored.last_run, excluded.last_run)`;
}

/**
 * Statements on `feedkeeper.leases`: one owner each. A lease that its owner does
 * not renew lapses and may be taken over, which raises its token; a live one is
 * never stolen. The database's clock decides, so replicas need not agree on time.
 */
import type { Sql } from "./connect.ts";

/** Claims or renews all of `names`; returns those that `owner` holds now, with their fencing tokens. */
export async function claimLeases(
  sql: Sql,
  owner: string,
  names: readonly string[],
  leaseMs: number,
): Promise<Map<string, number>> {
  if (names.length === 0) return new Map();
  const rows = await sql<{ name: string; token: string }[]>`
    insert into feedkeeper.leases as stored (name, owner, expires_at)
    select name, ${owner}, now() + ${leaseMs} * interval '1 ms'
    from unnest(${[...names].sort()}::text[]) as name
    on conflict (name) do update set
      token = case when stored.owner = excluded.owner then stored.token else stored.token + 1 end,
      acquired_at = case when stored.owner = excluded.owner then stored.acquired_at else now() end,
      owner = excluded.owner,
      expires_at = excluded.expires_at
    where stored.owner = excluded.owner or stored.expires_at < now()
    returning name, token`;
  return new Map(rows.map(({ name, token }) => [name, Number(token)]));
}

/** Gives leases back at once, so that a waiting replica need not wait for them to lapse. */
export async function releaseLeases(
  sql: Sql,
  owner: string,
  names: readonly string[],
): Promise<void> {
  await sql`
    update feedkeeper.leases set expires_at = now() - interval '1 ms'
    where owner = ${owner} and name = any(${[...names]})`;
}

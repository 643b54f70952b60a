/** Statements on `feedkeeper.coverage` and on what can be said of completeness from the rows themselves. */
import type {
  AccountStream,
  CoverageFact,
  CoverageState,
} from "../../../schema/messages.ts";
import type { DeliveryShare } from "../../../schema/service.ts";
import type { AccountTables } from "./accountTables.ts";
import type { Sql, Transaction } from "./connect.ts";

export interface AccountFact extends CoverageFact {
  readonly account: string;
}

/** The same of a symbol's minute bars: the symbol stands where an account would. */
export type RecordedFact =
  AccountFact | (Omit<AccountFact, "stream"> & { readonly stream: "bars" });

/** A fact as it is stored, for reckoning with. */
export interface StoredFact {
  readonly stream: AccountStream | "bars";
  readonly state: CoverageState;
  readonly from: Date;
  readonly to: Date;
  readonly rows: number;
}

/**
 * Records facts; one that continues a fact of the same session and state extends
 * its row, and one that tells nothing beyond it (a batch written again) changes nothing.
 */
export async function recordCoverage(
  sql: Sql | Transaction,
  facts: readonly RecordedFact[],
): Promise<void> {
  if (facts.length === 0) return;
  const incoming = JSON.stringify(
    joinContinued(facts).map((fact, ordinal) => ({
      ...fact,
      ordinal,
      rows: fact.rows ?? 0,
    })),
  );
  await sql`
    with incoming as materialized (
      select * from json_to_recordset(${incoming}::text::json) as facts (
        ordinal integer, account text, stream text, state text, session text,
        "from" timestamptz, "to" timestamptz, rows bigint
      )
    ),
    extended as (
      update feedkeeper.coverage c
      set to_at = greatest(c.to_at, i."to"), recorded_at = now(),
        rows = case when i."to" > c.to_at then c.rows + i.rows else greatest(c.rows, i.rows) end
      from incoming i
      where c.account = i.account and c.stream = i.stream and c.state = i.state and c.session = i.session
        and c.from_at <= i."from" and c.to_at >= i."from"
      returning i.ordinal
    )
    insert into feedkeeper.coverage (account, stream, state, from_at, to_at, rows, session)
    select i.account, i.stream, i.state, i."from", greatest(i."from", i."to"), i.rows, i.session
    from incoming i where i.ordinal not in (select ordinal from extended)`;
}

/** Within one batch too: a live session extends itself many times a minute. */
export function joinContinued(facts: readonly RecordedFact[]): RecordedFact[] {
  const joined: RecordedFact[] = [];
  const lastOf = new Map<string, number>();
  for (const fact of facts) {
    const name = [fact.account, fact.stream, fact.state, fact.session].join(
      " ",
    );
    const index = lastOf.get(name);
    const other = index === undefined ? undefined : joined[index];
    if (
      index !== undefined &&
      other !== undefined &&
      other.from <= fact.from &&
      other.to >= fact.from
    ) {
      joined[index] = {
        ...other,
        to: fact.to > other.to ? fact.to : other.to,
        rows:
          fact.to > other.to
            ? (other.rows ?? 0) + (fact.rows ?? 0)
            : Math.max(other.rows ?? 0, fact.rows ?? 0),
      };
    } else {
      lastOf.set(name, joined.length);
      joined.push(fact);
    }
  }
  return joined;
}

/** Facts of an account, or of a symbol's bars, that touch the range, by start. */
export async function coverageFacts(
  sql: Sql,
  account: string,
  range: { from?: Date | undefined; to?: Date | undefined } = {},
): Promise<StoredFact[]> {
  const rows = await sql<
    {
      stream: StoredFact["stream"];
      state: CoverageState;
      from_at: Date;
      to_at: Date;
      rows: string;
    }[]
  >`
    select stream, state, from_at, to_at, rows from feedkeeper.coverage
    where account = ${account}
      ${range.from === undefined ? sql`` : sql`and to_at >= ${range.from}`}
      ${range.to === undefined ? sql`` : sql`and from_at <= ${range.to}`}
    order by from_at, id`;
  return rows.map((row) => ({
    stream: row.stream,
    state: row.state,
    from: row.from_at,
    to: row.to_at,
    rows: Number(row.rows),
  }));
}

/**
 * By New York day: fills in the store, and those of them that no stream message
 * ever told of, since the account's stream first listened: before that there was
 * nothing to deliver. Reckoned from the rows, so a late message corrects the past.
 */
export async function deliveryShares(
  sql: Sql,
  { activities, events }: AccountTables,
  account: string,
  range: { from: Date; to: Date },
): Promise<DeliveryShare[]> {
  const rows = await sql<{ day: string; fills: number; undelivered: number }[]>`
    select
      to_char(a.transaction_time at time zone 'America/New_York', 'YYYY-MM-DD') as day,
      count(*)::int as fills,
      count(*) filter (
        where not coalesce(a.raw_json ? 'event', false)
          and not exists (select 1 from ${sql(events)} e where e.execution_id = a.execution_id)
          -- Where REST names executions otherwise than the stream.
          and not exists (
            select 1 from ${sql(events)} e
            where e.order_id = a.order_id and e.event in ('fill', 'partial_fill')
              and nullif(e.raw_json #>> '{order,filled_qty}', '')::numeric = a.cum_qty
          )
      )::int as undelivered
    from ${sql(activities)} a
    where a.activity_type = 'FILL' and a.transaction_time >= ${range.from} and a.transaction_time < ${range.to}
      and a.transaction_time >= (
        select min(from_at) from feedkeeper.coverage
        where account = ${account} and stream = 'trade_updates' and state = 'live'
      )
    group by 1 order by 1`;
  return rows.map(({ day, fills, undelivered }) => ({
    account,
    day,
    fills,
    undelivered,
    share: fills === 0 ? 0 : undelivered / fills,
  }));
}

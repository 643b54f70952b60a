/** Holds the store against the venue's own books: every order, every activity, every event. */
import { isoOfMicros, microsOf } from "../../schema/instant.ts";
import { certificate } from "../../src/accounts/coverage.ts";
import type { Sql } from "../../src/stores/postgres/connect.ts";
import { coverageFacts } from "../../src/stores/postgres/coverage.ts";
import type { SimulatedVenue } from "../../src/venues/simulated/venue.ts";

type Row = Record<string, string | null>;

const SCHEMA = "account_activities";

/** What is missing, too much or different in the tables of an account; empty when they equal the books. */
export async function differences(
  sql: Sql,
  { exchange: { books } }: SimulatedVenue,
  account: string,
): Promise<string[]> {
  const bookedOrders = rowsOf(books.all(account, "orders"), bookedOrder);
  const storedOrders = await sql<Row[]>`
    select id::text as key, symbol, side, order_type, status, ${numbers(sql, ORDER_NUMBERS)},
      replaced_by, replaces, ${times(sql, ORDER_TIMES)}
    from ${sql(`${SCHEMA}.raw_orders_${account}`)}`;
  const bookedActivities = rowsOf(
    books.all(account, "activities"),
    bookedActivity,
  );
  const storedActivities = await sql<Row[]>`
    select split_part(id, '#', 1) || ' ' || activity_type as key, symbol, side, order_id::text,
      ${numbers(sql, ACTIVITY_NUMBERS)}, ${times(sql, ["transaction_time"])},
      case when activity_type = 'FILL' and net_amount = qty * price * case side when 'buy' then -1 else 1 end
        then 'reckoned' else trim_scale(net_amount)::text end as net_amount
    from ${sql(`${SCHEMA}.raw_activities_${account}`)}`;
  return [
    ...compared("order", bookedOrders, storedOrders),
    ...compared("activity", bookedActivities, storedActivities),
  ];
}

/** What the stream brought, and what it did not. */
export interface EventFinding {
  /** Events of the books that the store does not have. */
  readonly lost: number;
  /** Of those, the ones in an interval that the certificate does not call unknown; and events that never were. */
  readonly amiss: readonly string[];
}

/**
 * Lifecycle events, which REST cannot give back: each is in the store, or kept as
 * a dead letter, or falls into an interval that the certificate calls unknown.
 */
export async function eventFinding(
  sql: Sql,
  { exchange: { books } }: SimulatedVenue,
  account: string,
): Promise<EventFinding> {
  const stored = await sql<{ name: string }[]>`
    select concat_ws(' ', order_id, event, raw_json ->> 'timestamp') as name
    from ${sql(`${SCHEMA}.raw_order_events_${account}`)}
    where event <> 'reconsidered'`;
  const letters = await sql<{ raw: string }[]>`
    select raw from feedkeeper.dead_letters where account = ${account}`;
  const unread = letters.map(({ raw }) => raw).join("\n");
  const left = new Set(stored.map(({ name }) => name));
  const doubled = stored.length - left.size;
  const certain = certificate(account, await coverageFacts(sql, account), {
    from: 0,
    to: Date.now(),
  }).filter(
    ({ stream, state }) => stream === "trade_updates" && state !== "unknown",
  );
  const amiss: string[] = [];
  let lost = 0;
  for (const body of books.all(account, "events")) {
    const { at, event, event_id, order, timestamp } = JSON.parse(body);
    if (left.delete(`${order.id} ${event} ${timestamp}`)) continue;
    if (unread.includes(event_id)) continue;
    lost++;
    const ms = Math.floor((microsOf(at) ?? 0) / 1000);
    const claim = certain.find(
      ({ from, to }) => Date.parse(from) <= ms && ms < Date.parse(to),
    );
    if (claim !== undefined)
      amiss.push(
        `${event} of ${order.id} at ${at} is not there, and ${claim.from} to ${claim.to} is called ${claim.state}`,
      );
  }
  amiss.push(...[...left].map((name) => `${name} never happened`));
  if (doubled > 0) amiss.push(`${doubled} events are there twice`);
  return { lost, amiss };
}

const ORDER_NUMBERS = [
  "qty",
  "filled_qty",
  "filled_avg_price",
  "limit_price",
  "stop_price",
] as const;
const ORDER_TIMES = [
  "created_at",
  "submitted_at",
  "updated_at",
  "filled_at",
  "canceled_at",
  "expired_at",
  "replaced_at",
] as const;
const ACTIVITY_NUMBERS = ["qty", "price", "cum_qty"] as const;

function bookedOrder(order: Row): Row {
  const { id, symbol, side, type, status, replaced_by, replaces } = order;
  return {
    key: id ?? "",
    symbol: symbol ?? null,
    side: side ?? null,
    order_type: type ?? null,
    status: status ?? null,
    ...Object.fromEntries(
      ORDER_NUMBERS.map((name) => [name, plain(order[name])]),
    ),
    replaced_by: replaced_by ?? null,
    replaces: replaces ?? null,
    ...Object.fromEntries(
      ORDER_TIMES.map((name) => [name, nearestMicro(order[name])]),
    ),
  };
}

function bookedActivity(activity: Row): Row {
  const { id, activity_type, symbol, side, order_id, net_amount } = activity;
  return {
    key: `${id} ${activity_type}`,
    symbol: symbol ?? null,
    side: side ?? null,
    order_id: order_id ?? null,
    ...Object.fromEntries(
      ACTIVITY_NUMBERS.map((name) => [name, plain(activity[name])]),
    ),
    // Of a fill the venue names none: the store's is quantity times price.
    net_amount: activity_type === "FILL" ? "reckoned" : plain(net_amount),
    transaction_time: nearestMicro(
      activity["transaction_time"] ?? `${activity["date"]}T00:00:00Z`,
    ),
  };
}

function compared(
  what: string,
  booked: ReadonlyMap<string, Row>,
  stored: readonly Row[],
): string[] {
  const found = new Set<string>();
  const amiss: string[] = [];
  for (const row of stored) {
    const key = row["key"] ?? "";
    const expected = booked.get(key);
    if (found.has(key)) amiss.push(`${what} ${key} is there twice`);
    else if (expected === undefined) amiss.push(`${what} ${key} never was`);
    else
      for (const [name, value] of Object.entries(expected))
        if (row[name] !== value)
          amiss.push(`${what} ${key}: ${name} is ${row[name]}, not ${value}`);
    found.add(key);
  }
  for (const key of booked.keys())
    if (!found.has(key)) amiss.push(`${what} ${key} is missing`);
  return amiss;
}

function rowsOf(
  bodies: Iterable<string>,
  read: (row: Row) => Row,
): Map<string, Row> {
  const rows = new Map<string, Row>();
  for (const body of bodies) {
    const row = read(JSON.parse(body));
    rows.set(row["key"] ?? "", row);
  }
  return rows;
}

/** One number may be written `1` here and `1.0` there. */
function plain(value: string | null | undefined): string | null {
  if (value === null || value === undefined) return null;
  return value.includes(".") ? value.replace(/\.?0+$/, "") : value;
}

function nearestMicro(value: string | null | undefined): string | null {
  const micros = value == null ? undefined : microsOf(value);
  return micros === undefined ? null : isoOfMicros(micros);
}

function numbers(sql: Sql, names: readonly string[]) {
  return names.map(
    (name, index) =>
      sql`${index > 0 ? sql`,` : sql``} trim_scale(${sql(name)})::text as ${sql(name)}`,
  );
}

function times(sql: Sql, names: readonly string[]) {
  return names.map(
    (name, index) =>
      sql`${index > 0 ? sql`,` : sql``} to_char(${sql(name)}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ${sql(name)}`,
  );
}

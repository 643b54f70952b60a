/**
 * The venue's own books, in SQLite: what really happened, whatever the stream
 * delivered. In a file they outlive the process, so a venue that was killed goes
 * on where it stood.
 */
import { Database } from "bun:sqlite";
import { OPEN_STATUSES, submittedStamp, type VenueOrder } from "./order.ts";

export interface BookedActivity {
  readonly id: string;
  readonly type: string;
  /** Sortable stamp of its creation: what `after`, `until` and `date` look at. */
  readonly createdAt: string;
  /** REST shows it from this moment (epoch ms) on. */
  readonly visibleMs: number;
  readonly orderId: string | undefined;
  /** As REST sends it. */
  readonly body: string;
}

export interface BookedEvent {
  readonly eventId: string;
  readonly event: string;
  readonly orderId: string;
  /** `data` of the frame. */
  readonly body: string;
}

export interface Position {
  readonly symbol: string;
  readonly qty: number;
  /** Cents paid for what is held. */
  readonly costCents: number;
}

const TABLES = `
  create table if not exists accounts (name text primary key, cash_cents integer not null, number text not null, created_at text not null);
  create table if not exists orders (
    account text not null, id text not null, client_order_id text not null, parent_id text,
    submitted_at text not null, status text not null, is_open integer not null, symbol text not null, side text not null, body text not null,
    primary key (account, id)) without rowid;
  create index if not exists orders_by_time on orders (account, submitted_at, id);
  create unique index if not exists orders_by_client_id on orders (account, client_order_id);
  create index if not exists orders_open on orders (account, submitted_at, id) where is_open = 1;
  create index if not exists legs_by_parent on orders (account, parent_id, submitted_at, id) where parent_id is not null;
  create table if not exists activities (
    account text not null, id text not null, type text not null, created_at text not null, visible_ms integer not null,
    order_id text, body text not null, primary key (account, id, type)) without rowid;
  create index if not exists activities_by_time on activities (account, created_at);
  create table if not exists events (seq integer primary key, account text not null, event_id text not null, event text not null, order_id text not null, body text not null);
  create index if not exists events_by_account on events (account, seq);
  create table if not exists positions (account text not null, symbol text not null, qty integer not null, cost_cents integer not null, primary key (account, symbol)) without rowid;
`;

const POSITION = "symbol, qty, cost_cents as costCents";

export class Books {
  readonly #database: Database;

  /** `path`: a file, or `:memory:`. */
  constructor(path: string) {
    this.#database = new Database(path, { create: true, strict: true });
    // A killed process loses nothing; only a power cut may cost the last moment.
    this.#database.run("pragma journal_mode = wal");
    this.#database.run("pragma synchronous = normal");
    this.#database.run(TABLES);
  }

  /** How often these books were opened for trading before; the next time it is one more. */
  countRun(): number {
    const { user_version: runs } = this.#database
      .query<{ user_version: number }, []>("pragma user_version")
      .get() ?? { user_version: 0 };
    this.#database.run(`pragma user_version = ${runs + 1}`);
    return runs;
  }

  /** All of it or, when the process dies in between, nothing. */
  atomically(work: () => void): void {
    this.#database.transaction(work)();
  }

  /** False when the account was there already. */
  openAccount(name: string, cashCents: number, createdAt: string): boolean {
    const number = `PA${Bun.hash(name).toString(36).toUpperCase().slice(0, 10)}`;
    return (
      this.#run(
        "insert or ignore into accounts values ($name, $cashCents, $number, $createdAt)",
        { name, cashCents, number, createdAt },
      ) > 0
    );
  }

  account(name: string): {
    cashCents: number;
    number: string;
    createdAt: string;
  } {
    const row = this.#database
      .query<
        { cash_cents: number; number: string; created_at: string },
        { name: string }
      >(
        "select cash_cents, number, created_at from accounts where name = $name",
      )
      .get({ name });
    if (row === null) throw new Error(`no account ${name} in the books`);
    return {
      cashCents: row.cash_cents,
      number: row.number,
      createdAt: row.created_at,
    };
  }

  moveCash(account: string, cents: number): void {
    this.#run(
      "update accounts set cash_cents = cash_cents + $cents where name = $account",
      { account, cents },
    );
  }

  /** The parent is set by the first writing and stays. */
  putOrder(account: string, order: VenueOrder, parentId?: string): void {
    this.#run(
      `insert into orders values ($account, $id, $clientOrderId, $parentId, $submittedAt, $status, $isOpen, $symbol, $side, $body)
       on conflict (account, id) do update set submitted_at = excluded.submitted_at, status = excluded.status, is_open = excluded.is_open, body = excluded.body`,
      {
        account,
        id: order.id,
        clientOrderId: order.client_order_id,
        parentId: parentId ?? null,
        submittedAt: submittedStamp(order),
        status: order.status,
        isOpen: OPEN_STATUSES.has(order.status) ? 1 : 0,
        symbol: order.symbol,
        side: order.side,
        body: JSON.stringify({ ...order, legs: null }),
      },
    );
  }

  order(
    account: string,
    id: string,
  ): { order: VenueOrder; parentId: string | undefined } | undefined {
    const row = this.#database
      .query<
        { body: string; parent_id: string | null },
        { account: string; id: string }
      >(
        "select body, parent_id from orders where account = $account and id = $id",
      )
      .get({ account, id });
    return row === null
      ? undefined
      : { order: readOrder(row.body), parentId: row.parent_id ?? undefined };
  }

  orderByClientId(
    account: string,
    clientOrderId: string,
  ): VenueOrder | undefined {
    const row = this.#database
      .query<{ body: string }, { account: string; clientOrderId: string }>(
        "select body from orders where account = $account and client_order_id = $clientOrderId",
      )
      .get({ account, clientOrderId });
    return row === null ? undefined : readOrder(row.body);
  }

  legsOf(account: string, parentId: string): VenueOrder[] {
    return this.#database
      .query<{ body: string }, { account: string; parentId: string }>(
        "select body from orders where account = $account and parent_id = $parentId order by submitted_at, id",
      )
      .all({ account, parentId })
      .map(({ body }) => readOrder(body));
  }

  /** The legs of an order that was replaced wait for the one in its place. */
  moveLegs(account: string, fromId: string, toId: string): void {
    this.#run(
      "update orders set parent_id = $toId where account = $account and parent_id = $fromId",
      { account, fromId, toId },
    );
  }

  /** Orders that go on by themselves, each with its legs: open, or with a leg that waits. */
  alive(account: string): VenueOrder[] {
    return this.#database
      .query<{ body: string }, { account: string }>(
        `select body from orders where account = $account and id in (
           select coalesce(parent_id, id) from orders where account = $account and is_open = 1
           union select parent_id from orders where account = $account and parent_id is not null and status = 'held')
         order by submitted_at, id`,
      )
      .all({ account })
      .map(({ body }) => readOrder(body));
  }

  /** Orders by `submitted_at` and id; `where` is a condition made by the REST face, never a caller's text. */
  orders(
    account: string,
    where: string,
    values: Record<string, string | number>,
    direction: "asc" | "desc",
    limit: number,
  ): VenueOrder[] {
    return this.#database
      .query<{ body: string }, Record<string, string | number>>(
        `select body from orders where account = $account and (${where})
         order by submitted_at ${direction}, id ${direction} limit ${limit}`,
      )
      .all({ ...values, account })
      .map(({ body }) => readOrder(body));
  }

  putActivity(account: string, activity: BookedActivity): void {
    this.#run(
      "insert into activities values ($account, $id, $type, $createdAt, $visibleMs, $orderId, $body)",
      {
        account,
        id: activity.id,
        type: activity.type,
        createdAt: activity.createdAt,
        visibleMs: activity.visibleMs,
        orderId: activity.orderId ?? null,
        body: activity.body,
      },
    );
  }

  /** Activities by id, as their texts; `where` as in {@link orders}. */
  activities(
    account: string,
    where: string,
    values: Record<string, string | number>,
    direction: "asc" | "desc",
    limit: number,
  ): string[] {
    return this.#database
      .query<{ body: string }, Record<string, string | number>>(
        `select body from activities where account = $account and (${where})
         order by id ${direction}, type ${direction} limit ${limit}`,
      )
      .all({ ...values, account })
      .map(({ body }) => body);
  }

  putEvent(
    account: string,
    { eventId, event, orderId, body }: BookedEvent,
  ): void {
    this.#run(
      "insert into events (account, event_id, event, order_id, body) values ($account, $eventId, $event, $orderId, $body)",
      { account, eventId, event, orderId, body },
    );
  }

  /** Number of all events ever: what the next event's id rises from. */
  eventCount(): number {
    return this.#count("select coalesce(max(seq), 0) as count from events", {});
  }

  counts(account: string): {
    orders: number;
    activities: number;
    events: number;
  } {
    const count = (table: string) =>
      this.#count(
        `select count(*) as count from ${table} where account = $account`,
        { account },
      );
    return {
      orders: count("orders"),
      activities: count("activities"),
      events: count("events"),
    };
  }

  /** Every row of a kind, oldest first, as JSON texts: for whoever compares. */
  *all(
    account: string,
    kind: "orders" | "activities" | "events",
  ): Generator<string> {
    const order = {
      orders: "submitted_at, id",
      activities: "id",
      events: "seq",
    };
    for (const { body } of this.#database
      .query<{ body: string }, { account: string }>(
        `select body from ${kind} where account = $account order by ${order[kind]}`,
      )
      .iterate({ account }))
      yield body;
  }

  position(account: string, symbol: string): Position {
    return (
      this.#database
        .query<Position, { account: string; symbol: string }>(
          `select ${POSITION} from positions where account = $account and symbol = $symbol`,
        )
        .get({ account, symbol }) ?? { symbol, qty: 0, costCents: 0 }
    );
  }

  /** What is held; what was sold altogether is left out. */
  positions(account: string): Position[] {
    return this.#database
      .query<Position, { account: string }>(
        `select ${POSITION} from positions where account = $account and qty <> 0 order by symbol`,
      )
      .all({ account });
  }

  putPosition(account: string, { symbol, qty, costCents }: Position): void {
    this.#run(
      "insert into positions values ($account, $symbol, $qty, $costCents) on conflict (account, symbol) do update set qty = excluded.qty, cost_cents = excluded.cost_cents",
      { account, symbol, qty, costCents },
    );
  }

  close(): void {
    this.#database.close();
  }

  #run(sql: string, values: Record<string, string | number | null>): number {
    return this.#database.query(sql).run(values).changes;
  }

  #count(sql: string, values: Record<string, string>): number {
    return (
      this.#database
        .query<{ count: number }, Record<string, string>>(sql)
        .get(values)?.count ?? 0
    );
  }
}

function readOrder(body: string): VenueOrder {
  const order: VenueOrder = JSON.parse(body);
  return order;
}

/** Statements on `symbol_registry`: one function each, named for its effect. */
import type {
  RegistryEntry,
  RegistryStatus,
  RunPhase,
  Strategy,
} from "../../../schema/registry.ts";
import type { Sql } from "./connect.ts";

/** A run's right to a symbol: writes of a lapsed one change nothing. */
export interface Claim {
  readonly symbol: string;
  readonly owner: string;
  readonly token: number;
}

export interface NewEntry {
  readonly symbol: string;
  readonly strategy: Strategy;
  readonly timeframe?: string;
  readonly enabled?: boolean;
  readonly description?: string | undefined;
  readonly metadata?: unknown;
}

const COLUMNS = [
  "symbol",
  "strategy",
  "timeframe",
  "enabled",
  "status",
  "description",
  "last_backfill",
  "last_snapshot",
  "last_stream",
  "error_message",
  "failures",
  "next_retry_at",
  "metadata",
  "created_at",
  "updated_at",
];

/** Adds a symbol, or changes what is known of it; its times and its status stay. Answers whether it is new. */
export async function addSymbol(
  sql: Sql,
  entry: NewEntry,
): Promise<{ entry: RegistryEntry; isNew: boolean }> {
  const { symbol, strategy, timeframe = "1m", enabled = true } = entry;
  const [{ is_new, ...stored }] = await sql<[Row & { is_new: boolean }]>`
    insert into symbol_registry as stored (symbol, strategy, timeframe, enabled, description, metadata)
    values (${symbol}, ${strategy}, ${timeframe}, ${enabled}, ${entry.description ?? null},
      ${entry.metadata === undefined ? null : sql.json(entry.metadata as never)})
    on conflict (symbol) do update set
      strategy = excluded.strategy, timeframe = excluded.timeframe, enabled = excluded.enabled,
      description = coalesce(excluded.description, stored.description),
      metadata = coalesce(excluded.metadata, stored.metadata), updated_at = now()
    returning ${sql(COLUMNS)}, xmax = 0 as is_new`;
  return { entry: entryOf(stored), isNew: is_new };
}

export async function listSymbols(
  sql: Sql,
  { enabledOnly = false }: { enabledOnly?: boolean } = {},
): Promise<RegistryEntry[]> {
  const rows = await sql<Row[]>`
    select ${sql(COLUMNS)} from symbol_registry
    ${enabledOnly ? sql`where enabled` : sql``} order by symbol`;
  return rows.map(entryOf);
}

export async function findSymbol(
  sql: Sql,
  symbol: string,
): Promise<RegistryEntry | undefined> {
  const [row] = await sql<[Row?]>`
    select ${sql(COLUMNS)} from symbol_registry where symbol = ${symbol}`;
  return row && entryOf(row);
}

export interface EntryChange {
  readonly strategy?: Strategy | undefined;
  readonly timeframe?: string | undefined;
  readonly enabled?: boolean | undefined;
  readonly description?: string | undefined;
}

/** Undefined when there is no such symbol. */
export async function changeSymbol(
  sql: Sql,
  symbol: string,
  change: EntryChange,
): Promise<RegistryEntry | undefined> {
  const [row] = await sql<[Row?]>`
    update symbol_registry set
      strategy = coalesce(${change.strategy ?? null}, strategy),
      timeframe = coalesce(${change.timeframe ?? null}, timeframe),
      enabled = coalesce(${change.enabled ?? null}, enabled),
      description = coalesce(${change.description ?? null}, description),
      updated_at = now()
    where symbol = ${symbol}
    returning ${sql(COLUMNS)}`;
  return row && entryOf(row);
}

/** By hand: the message is overwritten, and an absent one cleared. */
export async function setStatus(
  sql: Sql,
  symbol: string,
  status: RegistryStatus,
  errorMessage?: string,
): Promise<RegistryEntry | undefined> {
  const [row] = await sql<[Row?]>`
    update symbol_registry set
      status = ${status}, error_message = ${errorMessage ?? null}, updated_at = now(),
      enabled = case when ${status} = 'disabled' then false when status = 'disabled' then true else enabled end,
      failures = case when ${status} = 'error' then failures else 0 end,
      next_retry_at = case when ${status} = 'error' then next_retry_at end
    where symbol = ${symbol}
    returning ${sql(COLUMNS)}`;
  return row && entryOf(row);
}

export async function deleteSymbol(sql: Sql, symbol: string): Promise<boolean> {
  const { count } =
    await sql`delete from symbol_registry where symbol = ${symbol}`;
  return count > 0;
}

/** Takes the symbol for a run; undefined while another run's lease lives, or when there is no such symbol. */
export async function claimSymbol(
  sql: Sql,
  symbol: string,
  owner: string,
  leaseMs: number,
): Promise<Claim | undefined> {
  const [row] = await sql<[{ lease_token: string }?]>`
    update symbol_registry set
      status = 'running', error_message = null, lease_owner = ${owner},
      lease_expires_at = now() + ${leaseMs} * interval '1 ms',
      lease_token = lease_token + 1, updated_at = now()
    where symbol = ${symbol} and (lease_owner is null or lease_expires_at < now())
    returning lease_token`;
  return row && { symbol, owner, token: Number(row.lease_token) };
}

/** False when the lease has lapsed and another run has it. */
export async function renewClaim(
  sql: Sql,
  { symbol, owner, token }: Claim,
  leaseMs: number,
): Promise<boolean> {
  const { count } = await sql`
    update symbol_registry set lease_expires_at = now() + ${leaseMs} * interval '1 ms'
    where symbol = ${symbol} and lease_owner = ${owner} and lease_token = ${token}`;
  return count > 0;
}

/** Notes when a phase was done. */
export async function stampPhase(
  sql: Sql,
  { symbol, token }: Claim,
  phase: RunPhase,
): Promise<void> {
  const column = {
    flatpack: "last_backfill",
    snapshot: "last_snapshot",
    stream: "last_stream",
  }[phase];
  await sql`
    update symbol_registry set ${sql(column)} = now(), updated_at = now()
    where symbol = ${symbol} and lease_token = ${token}`;
}

/** The run is over, and the symbol `idle`; what was set by hand meanwhile (`paused`, `disabled`) stands. */
export async function releaseClaim(
  sql: Sql,
  { symbol, token }: Claim,
): Promise<void> {
  await sql`
    update symbol_registry set
      status = case status when 'running' then 'idle' else status end, error_message = null,
      failures = 0, next_retry_at = null,
      lease_owner = null, lease_expires_at = null, updated_at = now()
    where symbol = ${symbol} and lease_token = ${token}`;
}

/** The run failed: `error` with its message and the time of the next try. */
export async function failClaim(
  sql: Sql,
  { symbol, token }: Claim,
  { message, retryMs }: { readonly message: string; readonly retryMs: number },
): Promise<void> {
  await sql`
    update symbol_registry set
      status = case status when 'running' then 'error' else status end, error_message = ${message},
      failures = failures + 1, next_retry_at = now() + ${retryMs} * interval '1 ms',
      lease_owner = null, lease_expires_at = null, updated_at = now()
    where symbol = ${symbol} and lease_token = ${token}`;
}

/** The run was stopped half-way, with its service: it is due again at once. */
export async function interruptClaim(
  sql: Sql,
  { symbol, token }: Claim,
): Promise<void> {
  await sql`
    update symbol_registry set
      status = case status when 'running' then 'idle' else status end, next_retry_at = now(),
      lease_owner = null, lease_expires_at = null, updated_at = now()
    where symbol = ${symbol} and lease_token = ${token}`;
}

/**
 * Symbols that stand as running though nobody's lease lives (their process is
 * gone, or an older service left them so): idle again. Never those of a live run.
 * A run of ours that was cut off is due again at once.
 */
export async function clearStaleLocks(sql: Sql): Promise<string[]> {
  const rows = await sql<{ symbol: string }[]>`
    update symbol_registry set status = 'idle', lease_owner = null, lease_expires_at = null, updated_at = now(),
      next_retry_at = case when lease_owner is not null then now() end
    where status = 'running' and (lease_owner is null or lease_expires_at < now())
    returning symbol`;
  return rows.map(({ symbol }) => symbol);
}

/** Enabled symbols whose run failed or was cut off, and is to be tried again now. */
export async function retriesDue(sql: Sql): Promise<string[]> {
  const rows = await sql<{ symbol: string }[]>`
    select symbol from symbol_registry
    where enabled and status in ('error', 'idle') and next_retry_at <= now() order by next_retry_at, symbol`;
  return rows.map(({ symbol }) => symbol);
}

type TimeColumn =
  | "last_backfill"
  | "last_snapshot"
  | "last_stream"
  | "next_retry_at"
  | "created_at"
  | "updated_at";

/** A row as the driver reads it. What an older service left in the columns is brought forward by the migration. */
type Row = Omit<RegistryEntry, TimeColumn> &
  Readonly<Record<TimeColumn, Date | null>>;

function entryOf(row: Row): RegistryEntry {
  const time = (name: TimeColumn) => row[name]?.toISOString() ?? null;
  return {
    ...row,
    last_backfill: time("last_backfill"),
    last_snapshot: time("last_snapshot"),
    last_stream: time("last_stream"),
    next_retry_at: time("next_retry_at"),
    created_at: time("created_at") ?? "",
    updated_at: time("updated_at") ?? "",
  };
}

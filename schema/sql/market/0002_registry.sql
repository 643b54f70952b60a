-- The symbol registry. One made by the older service is brought forward: columns are
-- added, spellings made one, nothing is dropped.
create table if not exists symbol_registry (
  symbol text primary key,
  strategy text not null,
  timeframe text default '1m',
  status text default 'idle',
  enabled boolean default true,
  last_backfill timestamptz,
  last_snapshot timestamptz,
  last_stream timestamptz,
  error_message text,
  metadata jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
alter table symbol_registry
  alter column symbol type text,
  alter column strategy type text,
  alter column status type text,
  add column if not exists timeframe text default '1m',
  add column if not exists description text,
  add column if not exists metadata jsonb,
  -- Who runs it, until when, and the number that tells a late owner from the present one.
  add column if not exists lease_owner text,
  add column if not exists lease_expires_at timestamptz,
  add column if not exists lease_token bigint not null default 0,
  add column if not exists failures integer not null default 0,
  add column if not exists next_retry_at timestamptz;
update symbol_registry set strategy = replace(lower(strategy), '+', '_')
where strategy <> replace(lower(strategy), '+', '_');
update symbol_registry set timeframe = coalesce(timeframe, '1m'), status = coalesce(status, 'idle'),
  enabled = coalesce(enabled, true), created_at = coalesce(created_at, now()), updated_at = coalesce(updated_at, now())
where timeframe is null or status is null or enabled is null or created_at is null or updated_at is null;
create index if not exists idx_symbol_registry_enabled on symbol_registry (enabled, status);

create table if not exists market_snapshots (
  symbol text not null,
  updated_at timestamptz not null,
  last_trade_price double precision,
  last_trade_size double precision,
  last_trade_exchange text,
  last_quote_bid double precision,
  last_quote_ask double precision,
  last_quote_bid_size double precision,
  last_quote_ask_size double precision,
  day_open double precision,
  day_high double precision,
  day_low double precision,
  day_close double precision,
  day_volume double precision,
  prev_close double precision,
  prev_volume double precision,
  todays_change double precision,
  todays_change_percent double precision,
  minute_vwap double precision,
  minute_volume double precision,
  raw_data jsonb,
  primary key (symbol, updated_at)
);

-- Files of the venue that were read whole, by their version: a replaced one is read again.
create table if not exists feedkeeper.flat_files (
  key text not null,
  symbol text not null,
  etag text not null,
  rows bigint not null default 0,
  read_at timestamptz not null default now(),
  primary key (key, symbol)
);

-- Splits that the stored history accounts for; a new one has the history read again.
create table if not exists feedkeeper.splits (
  symbol text not null,
  execution_date date not null,
  split_from numeric not null,
  split_to numeric not null,
  applied_at timestamptz,
  primary key (symbol, execution_date)
);

-- When each scheduled job was last begun, so that a missed run is caught up once.
create table if not exists feedkeeper.schedule_runs (
  job text primary key,
  last_run timestamptz not null
);

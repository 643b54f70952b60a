-- Market data: minute bars, and the latest quotes.
create table if not exists ohlcv_1m (
  symbol text not null,
  timestamp timestamptz not null,
  open double precision not null,
  high double precision not null,
  low double precision not null,
  close double precision not null,
  volume double precision not null,
  vwap double precision,
  trades integer,
  source text,
  ingested_at timestamptz not null default now(),
  primary key (symbol, timestamp)
);
-- Made by an older service it may lack what came later.
alter table ohlcv_1m
  add column if not exists vwap double precision,
  add column if not exists trades integer,
  add column if not exists source text,
  add column if not exists ingested_at timestamptz not null default now();

create table if not exists live_quotes (
  tenant_id text not null,
  symbol text not null,
  bid double precision,
  ask double precision,
  bid_size double precision,
  ask_size double precision,
  price double precision,
  ts timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, symbol)
);

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

do $$
declare
  found record;
begin
  -- Whole or short numbers would cut the volumes of crypto and the digits of prices; a time without a zone is UTC.
  for found in
    select attname as name, case atttypid when 'timestamp'::regtype then 'timestamptz' else 'double precision' end as type
    from pg_attribute
    where attrelid = 'ohlcv_1m'::regclass and not attisdropped and (
      (attname in ('open', 'high', 'low', 'close', 'volume', 'vwap')
        and atttypid in ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'real'::regtype))
      or (attname = 'timestamp' and atttypid = 'timestamp'::regtype)
    )
  loop
    execute format(
      'alter table ohlcv_1m alter column %I type %s using %I%s',
      found.name, found.type, found.name,
      case when found.type = 'timestamptz' then ' at time zone ''UTC''' else '::text::double precision' end
    );
  end loop;

  -- One row a symbol and minute, in whichever order an older key names them.
  if not exists (
    select from pg_index
    where indrelid = 'ohlcv_1m'::regclass and indisunique and indpred is null and indnkeyatts = 2 and (
      select array_agg(attname::text order by attname::text) from pg_attribute
      where attrelid = indrelid and attnum = any(indkey)
    ) = array['symbol', 'timestamp']
  ) then
    -- Of rows that say the same minute twice the one with more trades in it stays.
    delete from ohlcv_1m
    where symbol is null or timestamp is null or ctid not in (
      select distinct on (symbol, timestamp) ctid from ohlcv_1m
      order by symbol, timestamp, volume desc nulls last, ctid desc
    );
    alter table ohlcv_1m add primary key (symbol, timestamp);
  end if;
end $$;

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

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
      case found.type when 'timestamptz' then ' at time zone ''UTC''' else '::text::double precision' end
    );
  end loop;

  -- What nobody fills in any more must not stand in the way.
  for found in
    select attname as name from pg_attribute
    where attrelid = 'ohlcv_1m'::regclass and attnum > 0 and not attisdropped and attnotnull and not atthasdef and attidentity = ''
      and attname not in ('symbol', 'timestamp', 'open', 'high', 'low', 'close', 'volume')
  loop
    execute format('alter table ohlcv_1m alter column %I drop not null', found.name);
  end loop;

  -- One row a symbol and minute, in whichever order an older key names them.
  if not exists (
    select from pg_index
    where indrelid = 'ohlcv_1m'::regclass and indisunique and indpred is null and indnkeyatts = 2 and (
      select array_agg(attname::text order by attname::text) from pg_attribute
      where attrelid = indrelid and attnum = any(indkey)
    ) = array['symbol', 'timestamp']
  ) then
    -- Of rows that tell one minute the one with more trades in it stays; the others are kept aside.
    with surplus as (
      delete from ohlcv_1m older
      using (
        select tableoid, ctid, row_number() over (
          partition by symbol, timestamp order by volume desc nulls last, ctid desc
        ) as place
        from ohlcv_1m
      ) ranked
      where ranked.tableoid = older.tableoid and ranked.ctid = older.ctid
        and (ranked.place > 1 or older.symbol is null or older.timestamp is null)
      returning to_jsonb(older)::text as raw
    )
    insert into feedkeeper.dead_letters (account, kind, reason, raw, digest, received_at, redriven_at)
    select 'ohlcv_1m', 'bar', 'one of several rows of its symbol and minute', raw,
      encode(sha256(convert_to(raw, 'UTF8')), 'hex'), now(), now()
    from surplus
    on conflict do nothing;
    if exists (select from pg_index where indrelid = 'ohlcv_1m'::regclass and indisprimary) then
      create unique index on ohlcv_1m (symbol, timestamp);
    else
      alter table ohlcv_1m add primary key (symbol, timestamp);
    end if;
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

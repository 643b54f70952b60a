-- Raw tables of one account. Tables made by the older services are brought
-- forward: columns are added, nothing is dropped.
create table if not exists {{orders}} (
  id uuid primary key,
  client_order_id text,
  request_id text,
  parent_id text,
  replaced_by text,
  replaces text,
  symbol text,
  side text,
  order_type text,
  type text,
  status text,
  qty numeric,
  filled_qty numeric default 0,
  filled_avg_price numeric,
  limit_price numeric,
  stop_price numeric,
  created_at timestamptz,
  updated_at timestamptz,
  submitted_at timestamptz,
  filled_at timestamptz,
  expired_at timestamptz,
  canceled_at timestamptz,
  replaced_at timestamptz,
  expires_at timestamptz,
  legs jsonb,
  raw_json jsonb,
  ingested_at timestamptz default now()
);

-- The first generation had `type`, the second `order_type`; both stay and are equal.
alter table {{orders}}
  add column if not exists request_id text,
  add column if not exists parent_id text,
  add column if not exists replaced_by text,
  add column if not exists replaces text,
  add column if not exists order_type text,
  add column if not exists type text,
  add column if not exists replaced_at timestamptz,
  add column if not exists expires_at timestamptz,
  add column if not exists legs jsonb;

-- A statement of its own: within one, Postgres relaxes columns before it adds them.
alter table {{orders}}
  alter column symbol drop not null,
  alter column side drop not null,
  alter column order_type drop not null,
  alter column type drop not null,
  alter column status drop not null,
  alter column created_at drop not null;

update {{orders}} set order_type = coalesce(order_type, type), type = coalesce(order_type, type)
where order_type is distinct from type;

create index if not exists idx_{{slug}}_orders_updated on {{orders}} (updated_at);
create index if not exists idx_{{slug}}_orders_symbol on {{orders}} (symbol);
create index if not exists idx_{{slug}}_orders_created on {{orders}} (created_at);

create table if not exists {{events}} (
  event_key text primary key,
  order_id uuid,
  event text not null,
  execution_id uuid,
  event_at timestamptz,
  raw_json jsonb not null,
  ingested_at timestamptz not null default now()
);
create index if not exists idx_{{slug}}_events_order on {{events}} (order_id, event_at);
create index if not exists idx_{{slug}}_events_exec on {{events}} (execution_id);
create index if not exists idx_{{slug}}_events_time on {{events}} (event_at);

create table if not exists {{activities}} (
  id text primary key,
  activity_type text not null,
  transaction_time timestamptz,
  symbol text,
  side text,
  qty numeric,
  price numeric,
  net_amount numeric,
  execution_id uuid,
  order_id uuid,
  cum_qty numeric,
  raw_json jsonb,
  ingested_at timestamptz default now()
);
alter table {{activities}}
  add column if not exists cum_qty numeric,
  alter column transaction_time drop not null;
create index if not exists idx_{{slug}}_activities_time on {{activities}} (transaction_time);
create index if not exists idx_{{slug}}_activities_type on {{activities}} (activity_type);
create index if not exists idx_{{slug}}_activities_exec_id on {{activities}} (execution_id);
create index if not exists idx_{{slug}}_activities_order on {{activities}} (order_id, cum_qty);

create table if not exists {{history}} (
  metric_key text primary key,
  metric_value timestamptz not null,
  updated_at timestamptz default now()
);

-- What feedkeeper knows of itself: facts of coverage, what was set aside, who runs what.
create table if not exists feedkeeper.coverage (
  id bigint generated always as identity primary key,
  account text not null,
  stream text not null check (stream in ('trade_updates', 'orders', 'activities')),
  state text not null check (state in ('live', 'healed', 'confirmed_empty', 'deaf')),
  from_at timestamptz not null,
  to_at timestamptz not null,
  rows bigint not null default 0,
  session text not null,
  recorded_at timestamptz not null default now(),
  check (to_at >= from_at)
);
create index if not exists coverage_account_idx on feedkeeper.coverage (account, stream, from_at);

-- Frames and rows that could not be read or that the database refused, kept whole.
create table if not exists feedkeeper.dead_letters (
  id bigint generated always as identity primary key,
  account text not null,
  kind text not null,
  reason text not null,
  -- The text as it came; base64 of its UTF-8 where Postgres cannot hold it (a NUL in it).
  raw text not null,
  encoding text not null default 'utf8' check (encoding in ('utf8', 'base64')),
  digest text not null,
  received_at timestamptz not null,
  recorded_at timestamptz not null default now(),
  redriven_at timestamptz,
  unique (account, kind, digest)
);
create index if not exists dead_letters_open_idx on feedkeeper.dead_letters (account, id) where redriven_at is null;

-- One owner each: an account (or feed, or run) belongs to the holder of an unexpired lease.
create table if not exists feedkeeper.leases (
  name text primary key,
  owner text not null,
  token bigint not null default 1,
  acquired_at timestamptz not null default now(),
  expires_at timestamptz not null
);

create table if not exists feedkeeper.accounts (
  slug text primary key,
  name text not null,
  -- Learnt: the venue's activity ids end in the execution ids of its stream.
  shares_execution_ids boolean not null default false,
  first_seen_at timestamptz not null default now()
);

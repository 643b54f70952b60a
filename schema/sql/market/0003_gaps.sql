-- Minutes that the venue itself does not have: asked for once, and never again.
create table if not exists feedkeeper.verified_empty (
  symbol text not null,
  from_at timestamptz not null,
  to_at timestamptz not null,
  verified_at timestamptz not null default now(),
  primary key (symbol, from_at),
  check (to_at > from_at)
);

-- The sessions of the exchange, early and late hours included; filled from the calendar.
create table if not exists feedkeeper.sessions (
  day date primary key,
  open_at timestamptz not null,
  close_at timestamptz not null,
  check (close_at > open_at)
);
create index if not exists sessions_close_idx on feedkeeper.sessions (close_at);

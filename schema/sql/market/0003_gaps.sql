-- Minutes that the venue itself does not have: asked for once, and never again.
create table if not exists feedkeeper.verified_empty (
  symbol text not null,
  from_at timestamptz not null,
  to_at timestamptz not null,
  verified_at timestamptz not null default now(),
  primary key (symbol, from_at),
  check (to_at > from_at)
);

-- The regular sessions of the exchange; filled from the calendar. Minutes of the early and
-- late hours are kept where there are any, but nobody expects them.
create table if not exists feedkeeper.sessions (
  day date primary key,
  open_at timestamptz not null,
  close_at timestamptz not null,
  check (close_at > open_at)
);
create index if not exists sessions_close_idx on feedkeeper.sessions (close_at);

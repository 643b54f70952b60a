-- Minute bars are a stream as well; `account` then holds the symbol.
alter table feedkeeper.coverage drop constraint if exists coverage_stream_check;
alter table feedkeeper.coverage add constraint coverage_stream_check
  check (stream in ('trade_updates', 'orders', 'activities', 'bars'));

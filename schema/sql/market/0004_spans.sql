-- Longer candles, made of the minutes. With TimescaleDB continuous aggregates of the
-- same names and columns take their place (src/stores/postgres/timescale.ts).
-- Days are New York's, as the exchange counts them.
create or replace view ohlcv_5m as
select symbol, date_bin('5 minutes', timestamp, 'epoch') as timestamp,
  (array_agg(open order by timestamp))[1] as open, max(high) as high, min(low) as low,
  (array_agg(close order by timestamp desc))[1] as close, sum(volume) as volume, sum(trades) as trades
from ohlcv_1m group by 1, 2;

create or replace view ohlcv_15m as
select symbol, date_bin('15 minutes', timestamp, 'epoch') as timestamp,
  (array_agg(open order by timestamp))[1] as open, max(high) as high, min(low) as low,
  (array_agg(close order by timestamp desc))[1] as close, sum(volume) as volume, sum(trades) as trades
from ohlcv_1m group by 1, 2;

create or replace view ohlcv_1h as
select symbol, date_bin('1 hour', timestamp, 'epoch') as timestamp,
  (array_agg(open order by timestamp))[1] as open, max(high) as high, min(low) as low,
  (array_agg(close order by timestamp desc))[1] as close, sum(volume) as volume, sum(trades) as trades
from ohlcv_1m group by 1, 2;

create or replace view ohlcv_1d as
select symbol, date_trunc('day', timestamp, 'America/New_York') as timestamp,
  (array_agg(open order by timestamp))[1] as open, max(high) as high, min(low) as low,
  (array_agg(close order by timestamp desc))[1] as close, sum(volume) as volume, sum(trades) as trades
from ohlcv_1m group by 1, 2;

-- Fills written by the older services: one row an execution, with what its
-- payload says and the older code left out. Rows that go are set aside first.
update {{activities}} set activity_type = upper(activity_type) where activity_type <> upper(activity_type);

update {{activities}}
set execution_id = split_part(id, '::', 2)::uuid
where activity_type = 'FILL' and execution_id is null
  and split_part(id, '::', 2) ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';

update {{activities}}
set cum_qty = coalesce(raw_json ->> 'cum_qty', raw_json #>> '{order,filled_qty}')::numeric
where activity_type = 'FILL' and cum_qty is null
  and coalesce(raw_json ->> 'cum_qty', raw_json #>> '{order,filled_qty}') ~ '^[0-9]+(\.[0-9]*)?$';

-- The older services wrote 0, or not-a-number, for what the venue had not said; where its
-- payload is there to tell, or no number can be meant, it is unknown.
update {{activities}}
set qty = case when qty = 'NaN' or (qty = 0 and raw_json is not null and coalesce(raw_json ->> 'qty', '') = '')
      then null else qty end,
    price = case when price = 'NaN' or (price = 0 and raw_json is not null and coalesce(raw_json ->> 'price', '') = '')
      then null else price end,
    net_amount = case when net_amount = 'NaN' or (net_amount = 0 and raw_json is not null
        and coalesce(raw_json ->> 'net_amount', raw_json ->> 'amount', '') = '')
      then null else net_amount end
where 'NaN' in (qty, price, net_amount) or (raw_json is not null and 0 in (qty, price, net_amount));

update {{activities}}
set net_amount = case when side = 'buy' then -1 else 1 end * qty * price
where activity_type = 'FILL' and coalesce(net_amount, 0) = 0 and qty * price <> 0 and side is not null;

-- Of the rows of one execution the one with a payload stays, then the venue's own, then the newest.
create temporary table doubles on commit drop as
select id, execution_id,
  row_number() over (
    partition by execution_id
    order by (raw_json is not null) desc, (raw_json ? 'event') asc, ingested_at desc nulls last, id
  ) as place
from {{activities}}
where activity_type = 'FILL' and execution_id is not null;

insert into feedkeeper.dead_letters (account, kind, reason, raw, digest, received_at, redriven_at)
select '{{slug}}', 'activity', 'second row of one execution, merged by migration', row_to_json(a)::text,
  encode(sha256(convert_to(row_to_json(a)::text, 'UTF8')), 'hex'), coalesce(a.ingested_at, now()),
  -- Nobody is to write it again: its execution has a row.
  now()
from {{activities}} a join doubles d using (id)
where d.place > 1
on conflict do nothing;

update {{activities}} kept
set order_id = coalesce(kept.order_id, other.order_id),
    cum_qty = coalesce(kept.cum_qty, other.cum_qty),
    net_amount = coalesce(kept.net_amount, other.net_amount),
    qty = coalesce(kept.qty, other.qty),
    price = coalesce(kept.price, other.price)
from doubles k, doubles o, {{activities}} other
where k.place = 1 and kept.id = k.id and o.execution_id = k.execution_id and o.place > 1 and other.id = o.id;

delete from {{activities}} a using doubles d where a.id = d.id and d.place > 1;

create unique index if not exists uq_{{slug}}_activities_exec
  on {{activities}} (execution_id) where activity_type = 'FILL' and execution_id is not null;

-- commit_sends: decides and stores the sends of a moment, in their order, in one transaction.
--
-- Arrays have one item a send:
--   accounts  the author            peers   of a direct log: the other account, 0 when there is none
--   kinds     0 no log that takes messages, 1 group, 2 direct, 3 notes to oneself
--   logs      the log, 0 when its number is not known    names   its name then, of a direct log; else null
--   hashes    of author and id; a random number for a send without id
--   ids, devices, types, bodies     of the entry; the first two may be null
-- Returns arrays in the same order: codes (0 accepted, 1 stored before, else a refusal, see send-codes.ts), seqs,
-- ats (ms), epochs. The same author and id come once in a batch.
--
-- Each statement of the function sees what was committed before it began (READ COMMITTED), so that what is read after
-- the rows of the logs are locked stays true until the commit: heads, stored ids, and windows, which change under the
-- same lock. Friendship is what it is at that moment.
create function commit_sends(
  accounts bigint[], kinds smallint[], peers bigint[], logs bigint[], names text[], hashes bigint[],
  ids text[], devices text[], types text[], bodies text[], contacts_required boolean,
  out codes smallint[], out seqs bigint[], out ats bigint[], out epochs integer[]
) language plpgsql as $$
declare
  now_ms bigint;
begin
  if array_length(names, 1) > 0 then
    logs := make_direct_logs(accounts, peers, kinds, logs, names, hashes, ids, contacts_required);
  end if;
  perform from log where n = any(logs) order by n for no key update;
  now_ms := (extract(epoch from clock_timestamp()) * 1000)::bigint;

  with send as materialized (
    select * from unnest(accounts, kinds, peers, logs, hashes, ids, devices, types, bodies) with ordinality
      as s (account, kind, peer, log, hash, id, device, type, body, i)
  ), judged as materialized (
    select send.*, log.epoch, log.head, log.messages, greatest(log.last_at, now_ms) as now_at,
      stored.seq as stored_seq, stored.at as stored_at,
      case
        when stored.seq is not null then
          case when stored.log = send.log and stored.type = send.type and stored.body = send.body then 1 else 2 end
        when send.kind = 0 or (send.kind = 1 and log.n is null) then 3
        when send.kind = 1 then
          case when exists (
            select from membership m where m.account = send.account and m.log = send.log and m.to_seq is null
          ) then 0 else 4 end
        when send.kind = 3 then 0
        when send.peer = 0 then 5
        when theirs.blocked = 1 then 6
        when contacts_required and theirs.state is distinct from 'friend' then 7
        when log.n is null then 8
        else 0
      end as code
    from send
    left join log on log.n = send.log
    left join contact theirs on send.kind = 2 and theirs.account = send.peer and theirs.peer = send.account
    left join lateral (
      select e.log, e.seq, e.at, e.type, e.body from entry e
      where e.id_hash = send.hash and e.account = send.account and e.id is not distinct from send.id
      order by e.log = send.log desc limit 1
    ) stored on true
  ), numbered as materialized (
    select *, row_number() over (partition by log order by i) as k from judged where code = 0
  ), put as (
    insert into entry (log, seq, message_no, at, kind, account, device, id, id_hash, type, body)
    select log, head + k, messages + k, now_at, 'message', account, device, id, hash, type, body from numbered
  ), grown as (
    update log set head = log.head + c.k, messages = log.messages + c.k, last_at = c.now_at
    from (select log, max(k) as k, max(now_at) as now_at from numbered group by log) c
    where log.n = c.log
  ), counted as (
    update reader set own = own + c.k
    from (select account, log, count(*) as k from numbered group by account, log) c
    where reader.account = c.account and reader.log = c.log
  )
  select array_agg(code), array_agg(seq), array_agg(at), array_agg(epoch)
  into codes, seqs, ats, epochs
  from (
    select judged.code::smallint as code,
      coalesce(numbered.head + numbered.k, judged.stored_seq, 0) as seq,
      coalesce(numbered.now_at, judged.stored_at, 0) as at,
      coalesce(judged.epoch, 0) as epoch
    from judged left join numbered on numbered.i = judged.i
    order by judged.i
  ) as decided;
end $$;

-- The numbers of the logs, where those that are named are made if their first send is allowed, with the windows of
-- the two people. Another node may make one at this moment: the insert waits for it.
create function make_direct_logs(
  accounts bigint[], peers bigint[], kinds smallint[], logs bigint[], names text[], hashes bigint[], ids text[],
  contacts_required boolean
) returns bigint[] language plpgsql as $$
declare
  now_ms constant bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
begin
  with wanted as (
    select distinct on (s.name) s.name, s.account, s.peer, s.kind
    from unnest(accounts, peers, kinds, names, hashes, ids) as s (account, peer, kind, name, hash, id)
    left join contact theirs on theirs.account = s.peer and theirs.peer = s.account
    where s.name is not null
      and (s.kind = 3 or (s.kind = 2 and s.peer > 0 and theirs.blocked is distinct from 1
        and (not contacts_required or theirs.state = 'friend')))
      and not exists (
        select from entry e
        where e.id_hash = s.hash and e.account = s.account and e.id is not distinct from s.id)
    order by s.name
  ), made as (
    insert into log (name, epoch, head, messages, first, last_at)
    select name, 1, 0, 0, 1, now_ms from wanted order by name
    on conflict (name) do nothing returning n, name
  ), people as (
    select made.n as log, wanted.account from made join wanted on wanted.name = made.name
    union
    select made.n, wanted.peer from made join wanted on wanted.name = made.name where wanted.kind = 2
  ), windows as (
    insert into membership (account, log, from_seq, to_seq, joined_at, xid)
    select account, log, 1, null, now_ms, null from people
  )
  insert into reader (account, log, read_seq, read_messages, own, read_own)
  select account, log, 0, 0, 0, 0 from people;
  return array(
    select coalesce(log.n, s.n) from unnest(logs, names) with ordinality as s (n, name, i)
    left join log on log.name = s.name
    order by s.i);
end $$;

-- commit_sends with the rules of groups and accounts, withheld and transient messages, and what hangs on a message.
--
-- Arrays have one item a send:
--   accounts  the author            peers   of a direct log: the other account, 0 when there is none
--   kinds     0 no log that takes messages, 1 group, 2 direct, 3 notes to oneself
--   logs      the log, 0 when its number is not known    names   its name then, of a direct log; else null
--   hashes    of author and id; a random number for a send without id
--   ids, devices, types, bodies     of the entry; the first two may be null
--   marks     what the message asks for beside being stored, as JSON (SendMarks); else null, all of an empty array
-- Returns arrays in the same order: codes (see send-codes.ts), seqs, ats (ms), epochs. Of a transient message, which is
-- not stored, the seq is 0, -1 when nobody gets it, or -2 when its author is no member and needs a seat. The same author and id come once in a batch.
--
-- Each statement of the function sees what was committed before it began (READ COMMITTED), so that what is read after
-- the rows of the logs are locked stays true until the commit: heads, stored ids, windows and the rules of groups, which
-- change under the same lock. Friendship, and the state of the other account, are what they are at that moment.
--
-- The rules are those of services/store/write-rules.ts, in the same order. "offset 0" keeps each look-up on its
-- index.
drop function commit_sends(
  bigint[], smallint[], bigint[], bigint[], text[], bigint[], text[], text[], text[], text[], boolean);
drop function make_direct_logs(bigint[], bigint[], smallint[], bigint[], text[], bigint[], text[], boolean);

create function commit_sends(
  accounts bigint[], kinds smallint[], peers bigint[], logs bigint[], names text[], hashes bigint[],
  ids text[], devices text[], types text[], bodies text[], marks text[], contacts_required boolean,
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
    select account, kind, peer, log, hash, id, device, type, body, i, mark::jsonb as mark,
      coalesce(mark::jsonb ? 'transient', false) as transient
    from unnest(accounts, kinds, peers, logs, hashes, ids, devices, types, bodies, marks) with ordinality
      as s (account, kind, peer, log, hash, id, device, type, body, mark, i)
  ), judged as materialized (
    select send.*, log.n as log_n, log.epoch, log.head, log.messages, greatest(log.last_at, now_ms) as now_at,
      stored.seq as stored_seq, stored.at as stored_at,
      theirs.blocked = 1 or coalesce(send.mark ? 'withheld', false) as withheld,
      send.kind = 1 and member.role is null as visits,
      case
        when stored.seq is not null then
          -- One that was edited or recalled has another body than it was sent with; of one that screening has
          -- replaced, there or here, the hash of what was sent is compared (body-hash.ts).
          case when stored.log = send.log and stored.type = send.type
              and (stored.state like '%"edited":%' or stored.state like '%"recalled":%'
                or case when stored.sent_hash is null and send.mark ->> 'sentHash' is null then stored.body = send.body
                  else coalesce(stored.sent_hash, body_hash(stored.body))
                    = coalesce(send.mark ->> 'sentHash', body_hash(send.body)) end)
            then case when stored.kind = 'withheld' then 22 else 1 end
            else 2 end
        when send.mark ? 'refused' then 23
        when send.kind = 0 or (send.kind = 1 and log.n is null) then 3
        when send.kind = 1 then
          case
            when member.role is null and not coalesce(rules.is_open, false) then 4
            when member.muted_until > now_ms then 9
            when coalesce(member.role, 'member') = 'member' and rules.who_writes = 'admins' then 10
            when coalesce(member.role, 'member') = 'member' and rules.muted_until > now_ms then 9
            when rules.keeps_entries = 0 and not send.transient then 11
            else 0
          end
        when send.kind = 3 then 0
        when send.peer = 0 then 5
        when theirs.blocked = 1 and theirs.block_mode is distinct from 'swallow' then 6
        when person.state is distinct from 'active' then 12
        when person.takes = 'none' then 6
        when theirs.blocked = 1 then 0
        when contacts_required and person.takes is distinct from 'all' and theirs.state is distinct from 'friend'
          and (select a.kind from account a where a.n = send.account) is distinct from 'system' then 7
        else 0
      end as rule
    from send
    left join log on log.n = send.log
    left join lateral (
      select c.state, c.blocked, c.block_mode from contact c
      where send.kind = 2 and c.account = send.peer and c.peer = send.account offset 0
    ) theirs on true
    left join lateral (
      select a.state, a.takes from account a where send.kind = 2 and a.n = send.peer offset 0
    ) person on true
    left join lateral (
      select m.role, m.muted_until from membership m
      where send.kind = 1 and m.account = send.account and m.log = send.log and m.to_seq is null offset 0
    ) member on true
    left join lateral (
      -- In a room that keeps nothing, nobody is a member but who made it: all may write who have a seat and are not banned.
      select g.who_writes, g.muted_until, g.keeps_entries,
        g.keeps_entries = 0 and g.dissolved_at is null and not exists (
          select 1 from group_ban b
          where b.log = send.log and b.account = send.account and (b.until is null or b.until > now_ms)) as is_open
      from chat_group g
      where send.kind = 1 and g.log = send.log offset 0
    ) rules on true
    left join lateral (
      select e.log, e.seq, e.at, e.kind, e.type, e.body, e.state,
        (select r.hash from replaced_body r where r.log = e.log and r.seq = e.seq) as sent_hash
      from entry e
      where not send.transient
        and e.id_hash = send.hash and e.account = send.account and e.id is not distinct from send.id
      order by e.log = send.log desc limit 1
    ) stored on true
  ), decided as materialized (
    select judged.*,
      case
        when rule <> 0 then rule
        when mark is not null and refusal_of_marks(account, log, mark) <> 0 then refusal_of_marks(account, log, mark)
        when transient then 21
        when log_n is null then 8
        when withheld then 20
        else 0
      end as code
    from judged
  ), numbered as materialized (
    select *, row_number() over (partition by log order by i) as k,
      count(*) filter (where code = 0) over (partition by log order by i) as messages_k
    from decided where code in (0, 20)
  ), put as (
    insert into entry (log, seq, message_no, at, kind, account, device, id, id_hash, type, body)
    select log, head + k, messages + messages_k, now_at, case when code = 20 then 'withheld' else 'message' end,
      account, device, id, hash, type, body
    from numbered
  ), grown as (
    update log set head = log.head + c.k, messages = log.messages + c.messages_k, last_at = c.now_at
    from (
      select log, max(k) as k, max(messages_k) as messages_k, max(now_at) as now_at from numbered group by log
    ) c
    where log.n = c.log
  ), counted as (
    update reader set own = own + c.k
    from (select account, log, count(*) as k from numbered where code = 0 group by account, log) c
    where reader.account = c.account and reader.log = c.log
  )
  select array_agg(code), array_agg(seq), array_agg(at), array_agg(epoch)
  into codes, seqs, ats, epochs
  from (
    select decided.code::smallint as code,
      coalesce(numbered.head + numbered.k, decided.stored_seq, 
        case when decided.withheld then -1 when decided.visits then -2 else 0 end) as seq,
      coalesce(numbered.now_at, decided.stored_at, now_ms) as at,
      coalesce(decided.epoch, 0) as epoch
    from decided left join numbered on numbered.i = decided.i
    order by decided.i
  ) as answer;

  if array_length(marks, 1) > 0 then
    perform keep_marks(accounts, logs, marks, codes, seqs, ats);
  end if;
end $$;

create function body_hash(body text) returns text language sql immutable as $$
  select encode(sha256(convert_to(body, 'UTF8')), 'hex')
$$;

-- 13 when the message answers an entry, 14 when it carries a file, that its author may not see; else 0.
create function refusal_of_marks(author bigint, target bigint, mark jsonb) returns smallint language plpgsql as $$
begin
  if mark ? 'replyTo' and not exists (
    select from log
    join membership m on m.account = author and m.log = log.n
    where (log.name = mark -> 'replyTo' ->> 'log' or (mark -> 'replyTo' ->> 'log' is null and log.n = target))
      and (mark -> 'replyTo' ->> 'seq')::bigint
        between greatest(m.from_seq, log.first) and coalesce(m.to_seq, log.head)
  ) then return 13; end if;
  if mark ? 'media' and exists (
    select from jsonb_array_elements_text(mark -> 'media') as wanted (id)
    where not exists (
      select from media where media.id = wanted.id and media.state = 'ready' and media.retired_at is null
        and (media.account = author or exists (
        select from media_use u join membership m on m.log = u.log and m.account = author
        join entry e on e.log = u.log and e.seq = u.seq
        where u.media = media.id and u.seq >= m.from_seq and (m.to_seq is null or u.seq <= m.to_seq)
          -- A file that an edit brought is for who was in then.
          and (m.to_seq is null or e.state is null or exists (
            select from membership c where c.account = author and c.log = u.log
              and coalesce((e.state::json #>> '{edited,seq}')::bigint, e.seq) between c.from_seq
              and coalesce(c.to_seq, 9007199254740991)))))
    )
  ) then return 14; end if;
  return 0;
end $$;

-- What hangs on the messages that were stored now. Nobody is told of one that is withheld.
create function keep_marks(
  accounts bigint[], logs bigint[], marks text[], codes smallint[], seqs bigint[], ats bigint[]
) returns void language plpgsql as $$
declare
  s record;
begin
  for s in
    select t.account, t.log, t.mark::jsonb as mark, t.code, t.seq, t.at
    from unnest(accounts, logs, marks, codes, seqs, ats) as t (account, log, mark, code, seq, at)
    where t.mark is not null and t.code in (0, 20)
  loop
    if s.code = 0 and jsonb_typeof(s.mark -> 'mentions') = 'array' then
      insert into mention (account, log, seq)
      select distinct a.n, s.log, s.seq
      from jsonb_array_elements_text(s.mark -> 'mentions') as named (uid)
      join account a on a.uid = named.uid
      -- A query of its own for each of them: a join may be planned as all members of the group.
      join lateral (
        select from membership m where m.account = a.n and m.log = s.log and m.to_seq is null offset 0
      ) member on true
      where a.n <> s.account;
    elsif s.code = 0 and s.mark ->> 'mentions' = 'all' then
      insert into mention (account, log, seq) values (0, s.log, s.seq);
    end if;
    if s.mark ? 'origins' then
      insert into origin (account, log, seq)
      select distinct a.n, s.log, s.seq
      from jsonb_array_elements_text(s.mark -> 'origins') as quoted (uid)
      join account a on a.uid = quoted.uid
      where a.n <> s.account;
    end if;
    if s.mark ? 'media' then
      insert into media_use (media, log, seq)
      select distinct id, s.log, s.seq from jsonb_array_elements_text(s.mark -> 'media') as carried (id);
    end if;
    if s.mark ? 'sentHash' then
      insert into replaced_body (log, seq, hash) values (s.log, s.seq, s.mark ->> 'sentHash');
    end if;
    if s.mark ? 'expire' then
      insert into expiry (log, seq, due_at, after_read_ms)
      values (s.log, s.seq, coalesce(s.at + (s.mark -> 'expire' ->> 'afterMs')::bigint, 9007199254740991),
        (s.mark -> 'expire' ->> 'afterReadMs')::bigint);
    end if;
  end loop;
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
    left join account person on person.n = s.peer
    where s.name is not null
      and (s.kind = 3 or (s.kind = 2 and s.peer > 0 and person.state = 'active'
        and person.takes is distinct from 'none'
        and case when theirs.blocked = 1 then theirs.block_mode = 'swallow'
          else not contacts_required or person.takes = 'all' or theirs.state = 'friend'
            or exists (select from account a where a.n = s.account and a.kind = 'system') end))
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

-- The chat business: profiles, settings, sync versions, what a person keeps about a conversation, groups with roles,
-- the life of a message, media, moderation, webhooks, bots. The same tables are in
-- services/store/sqlite/migrations/0003_chat.sql.

alter table account add column kind text collate "C" not null default 'person';
alter table account add column state text collate "C" not null default 'active';
alter table account add column state_at bigint;
alter table account add column version bigint not null default 0;
-- From whom an account takes messages: 'all', also from strangers; 'none'; null, as the rules of the server say.
alter table account add column takes text collate "C";
-- A suspended account cannot be used until then (ms; 2^53 - 1: until somebody ends it), and is to others as before.
alter table account add column suspended_at bigint;
alter table account add column suspended_until bigint;
alter table account add column suspended_for text collate "C";
create index account_suspended on account (n) where suspended_until is not null;
create index account_by_suspension_end on account (suspended_until) where suspended_until is not null;
-- The transaction that suspended it last, for nodes that may have missed it.
alter table account add column xid bigint;
create index account_by_xid on account (xid) where xid is not null;
create trigger account_suspended before update of suspended_until on account
  for each row when (new.suspended_until is not null) execute function note_change();

create table profile (
  account bigint primary key,
  name text not null,
  avatar text,
  attributes text not null,
  changed_at bigint not null
);

create table setting (
  account bigint not null,
  name text collate "C" not null,
  value text not null,
  changed_at bigint not null,
  primary key (account, name)
);

-- What changed for a person since a version: `scope` is contacts, conversations, groups or settings, `key` names the item.
create table change (
  account bigint not null,
  scope text collate "C" not null,
  key text collate "C" not null,
  version bigint not null,
  primary key (account, scope, key)
);
create index change_by_version on change (account, scope, version);

-- Accounts that are being erased in steps; `log` and `seq` say how far the stage is.
create table erasure (
  account bigint primary key,
  asked_at bigint not null,
  stage text collate "C" not null,
  log bigint not null,
  seq bigint not null
);

alter table contact add column remark text;
alter table contact add column tags text;
alter table contact add column refused_until bigint;
alter table contact add column block_mode text collate "C";

-- What one person keeps about one conversation. A draft and the times are null where there is none.
create table conversation_state (
  account bigint not null,
  log bigint not null,
  pinned_at bigint,
  muted_until bigint,
  archived_at bigint,
  draft text,
  hidden_seq bigint,
  cleared_seq bigint not null default 0,
  marked_unread integer not null default 0,
  changed_at bigint not null,
  primary key (account, log)
);
create index conversation_cleared on conversation_state (log, cleared_seq) where cleared_seq > 0;

alter table chat_group add column kind text collate "C" not null default 'group';
alter table chat_group add column avatar text;
alter table chat_group add column about text;
alter table chat_group add column announcement text;
alter table chat_group add column announced_by bigint;
alter table chat_group add column announced_at bigint;
alter table chat_group add column who_writes text collate "C" not null default 'members';
alter table chat_group add column who_invites text collate "C" not null default 'members';
alter table chat_group add column who_pins text collate "C" not null default 'admins';
alter table chat_group add column approval integer not null default 0;
alter table chat_group add column keeps_entries integer not null default 1;
alter table chat_group add column muted_until bigint;
alter table chat_group add column changed_at bigint not null default 0;
-- Nobody comes or writes any more; members are let out step by step.
alter table chat_group add column dissolved_at bigint;
create index chat_group_dissolved on chat_group (log) where dissolved_at is not null and members > 0;
create index chat_group_by_kind on chat_group (kind, log) where kind <> 'group';

-- Of the open window: what the person is in the group.
alter table membership add column role text collate "C" not null default 'member';
update membership set role = 'owner' from chat_group
where chat_group.log = membership.log and chat_group.owner = membership.account and membership.to_seq is null;
alter table membership add column nickname text;
-- Of a closed window of a group: its name at the end.
alter table membership add column left_name text;
update membership set left_name = chat_group.name from chat_group
where chat_group.log = membership.log and membership.to_seq is not null;
alter table membership add column muted_until bigint;
-- The one open window of a person in a log. Without it, PostgreSQL looks for it among all members: membership_by_log has
-- every column that is asked for, and seems as cheap while most groups are small or the tables have just been made.
create unique index membership_open on membership (account, log) where to_seq is null;
create index membership_by_role on membership (log, role, account) where to_seq is null and role <> 'member';

create table group_ban (
  log bigint not null,
  account bigint not null,
  banned_by bigint not null,
  reason text,
  banned_at bigint not null,
  until bigint,
  primary key (log, account)
);
create index group_ban_explained on group_ban (banned_by) where reason is not null;

-- A link that was ended is deleted.
create table group_link (
  token text collate "C" primary key,
  log bigint not null,
  made_by bigint not null,
  made_at bigint not null,
  expires_at bigint,
  uses_max bigint,
  uses bigint not null
);
create index group_link_by_log on group_link (log, made_at);
create index group_link_by_maker on group_link (made_by, made_at, token);

-- Who waits for an admin: they asked by themselves, or `invited_by` wanted to add them.
create table join_request (
  log bigint not null,
  account bigint not null,
  text text,
  invited_by bigint,
  asked_at bigint not null,
  primary key (log, account)
);
create index join_request_by_time on join_request (log, asked_at, account);
create index join_request_by_account on join_request (account, log);
create index join_request_by_inviter on join_request (invited_by) where invited_by is not null;

create table pin (
  log bigint not null,
  seq bigint not null,
  pinned_by bigint not null,
  pinned_at bigint not null,
  primary key (log, seq)
);

-- How an entry stands after edits, a recall and reactions, as JSON for the wire; null for one that nothing happened to.
alter table entry add column state text;

-- What a person lets others be told, in their notice logs.
create index entry_told on entry (account, log, seq) where kind in ('contact', 'notice');

-- What a list shows of a conversation behind any number of reactions: what happened in it, and messages that only their
-- author sees. The last message is found by message_no.
create index entry_event on entry (log, seq) where kind in ('group', 'contact', 'notice');
create index entry_withheld on entry (log, account, seq) where kind = 'withheld';

-- Retained messages of one person's own space; a whole topic may be longer than an index takes.
create index plain_retained_by_owner on plain_retained (split_part(topic, '/', 2), topic_hash) where topic like 'u/%';

-- Entries that one person does not see: deleted for them alone.
create table hidden (
  account bigint not null,
  log bigint not null,
  seq bigint not null,
  primary key (account, log, seq)
);
create index hidden_by_entry on hidden (log, seq);

create table reaction (
  log bigint not null,
  seq bigint not null,
  account bigint not null,
  emoji text collate "C" not null,
  reacted_at bigint not null,
  primary key (log, seq, emoji, account)
);

-- Messages that name somebody; account 0 stands for all members.
create table mention (
  account bigint not null,
  log bigint not null,
  seq bigint not null,
  primary key (account, log, seq)
);
create index mention_by_entry on mention (log, seq);

-- Whose words a message forwards: they go with the account of their author.
create table origin (
  account bigint not null,
  log bigint not null,
  seq bigint not null,
  primary key (account, log, seq)
);
create index origin_by_entry on origin (log, seq);

create table scheduled_send (
  n bigint generated always as identity primary key,
  account bigint not null,
  device text collate "C",
  id text collate "C" not null,
  target text collate "C" not null,
  type text collate "C" not null,
  body text not null,
  due_at bigint not null,
  made_at bigint not null,
  -- Its author is told that it was sent, and nobody else sees it.
  withheld integer not null default 0,
  -- Of the body that was sent, where screening has replaced it.
  sent_hash text collate "C",
  -- Until when a node that sends it has it for itself.
  lease_until bigint not null default 0
);
create index scheduled_send_by_time on scheduled_send (due_at);
create unique index scheduled_send_by_id on scheduled_send (account, id);

-- Messages whose body screening has replaced: the hash of the one that was sent, by which a repeated send is known.
create table replaced_body (
  log bigint not null,
  seq bigint not null,
  hash text collate "C" not null,
  primary key (log, seq)
);

-- Messages that destroy themselves. Where `after_read_ms` is not null, the time begins when the other person reads.
create table expiry (
  log bigint not null,
  seq bigint not null,
  due_at bigint not null,
  after_read_ms bigint,
  primary key (log, seq)
);
create index expiry_by_time on expiry (due_at);

-- Files. `state`: uploading, ready, deleted (its bytes are being removed). One that nothing seems to refer to is retired
-- for a while before it is deleted, so that a message that was being sent meanwhile keeps it.
create table media (
  id text collate "C" primary key,
  account bigint not null,
  state text collate "C" not null,
  name text,
  type text collate "C" not null,
  bytes bigint not null,
  sha256 text collate "C" not null,
  width integer,
  height integer,
  thumbnail integer not null default 0,
  part_bytes bigint not null,
  made_at bigint not null,
  ready_at bigint,
  retired_at bigint
);
create index media_by_account on media (account, made_at, id);
create index media_by_state on media (state, made_at, id);
create index media_unfinished on media (account, made_at) where state = 'uploading';
create index media_by_retirement on media (retired_at, id) where retired_at is not null;

create table media_part (
  media text collate "C" not null,
  part bigint not null,
  bytes bigint not null,
  primary key (media, part)
);

-- Which messages carry a file: who may see one of them may fetch it.
create table media_use (
  media text collate "C" not null,
  log bigint not null,
  seq bigint not null,
  primary key (media, log, seq)
);
create index media_use_by_entry on media_use (log, seq);
create index profile_by_avatar on profile (avatar) where avatar is not null;
create index chat_group_by_avatar on chat_group (avatar) where avatar is not null;

create table report (
  n bigint generated always as identity primary key,
  reporter bigint not null,
  account bigint not null,
  log bigint,
  seq bigint,
  reason text collate "C" not null,
  text text,
  evidence text,
  made_at bigint not null,
  decided_at bigint,
  decision text collate "C",
  note text
);
create index report_open on report (n) where decided_at is null;
create index report_by_reporter on report (reporter, account);

create table banned_word (
  word text collate "C" primary key,
  action text collate "C" not null,
  changed_at bigint not null
);

-- Whom webhooks call. Events up to `acked` are delivered; `next_at` is when the next attempt is due.
-- One that was removed has no id, and is there until its dead letters are gone.
create table webhook (
  n bigint generated always as identity primary key,
  id text collate "C" unique,
  url text not null,
  secret text not null,
  events text not null,
  acked bigint not null,
  attempts bigint not null,
  next_at bigint not null,
  last_error text,
  paused integer not null,
  made_at bigint not null,
  -- The node that delivers, and until when it has the webhook for itself.
  lease_by text collate "C",
  lease_until bigint not null default 0
);

-- What webhooks are told. `n` is the order of the statements, in which rows may become visible late; `seq` is given
-- to rows that are committed, by one transaction at a time, so that whoever has read up to a seq misses nothing.
create table event (
  n bigint generated always as identity primary key,
  seq bigint,
  at bigint not null,
  type text collate "C" not null,
  body text not null
);
create unique index event_by_seq on event (seq);
create index event_waiting on event (n) where seq is null;

-- One row: the last seq that was given, and the lock under which the next ones are.
create table event_order (
  n integer primary key,
  last bigint not null
);
insert into event_order (n, last) values (1, 0);

create function now_ms() returns bigint language sql as $$
  select (extract(epoch from clock_timestamp()) * 1000)::bigint
$$;

-- Triggers of these functions exist only while a webhook wants what they tell (postgres/event-triggers.ts).
create function record_entries() returns trigger language plpgsql as $$
begin
  insert into event (at, type, body)
  select now_ms(),
    case e.kind
      when 'message' then 'message.stored' when 'edit' then 'message.edited'
      when 'recall' then 'message.recalled' when 'reaction' then 'message.reacted'
      else e.kind || '.' || e.type
    end,
    '{"log":"' || log.name || '","epoch":"k' || log.epoch || '","seq":' || e.seq || ',"at":' || e.at
      || ',"kind":"' || e.kind || '","from":"' || account.uid || '","device":' || coalesce(to_json(e.device)::text, 'null')
      || ',"id":' || coalesce(to_json(e.id)::text, 'null') || ',"type":"' || e.type || '","body":' || e.body || '}'
  from entered e join log on log.n = e.log join account on account.n = e.account
  where e.kind = any(tg_argv) order by e.log, e.seq;
  return null;
end $$;

create function record_accounts() returns trigger language plpgsql as $$
begin
  insert into event (at, type, body)
  select now_ms(), 'account.created', '{"uid":"' || uid || '"}' from entered order by n;
  return null;
end $$;

create function record_account_state() returns trigger language plpgsql as $$
begin
  insert into event (at, type, body)
  values (now_ms(), 'account.' || new.state, '{"uid":"' || old.uid || '"}');
  return null;
end $$;

create function record_suspension() returns trigger language plpgsql as $$
begin
  insert into event (at, type, body)
  select now_ms(), 'account.restored', '{"uid":"' || old.uid || '"}' where new.suspended_until is null
  union all
  select now_ms(), 'account.suspended',
    '{"uid":"' || old.uid || '","until":' || coalesce(nullif(new.suspended_until, 9007199254740991)::text, 'null') || '}'
  where new.suspended_until is not null;
  return null;
end $$;

create function record_media() returns trigger language plpgsql as $$
begin
  insert into event (at, type, body)
  select now_ms(), 'media.ready', '{"media":"' || new.id || '","uid":"' || account.uid || '","bytes":' || new.bytes
    || ',"type":' || to_json(new.type) || '}'
  from account where account.n = new.account;
  return null;
end $$;

create function record_report() returns trigger language plpgsql as $$
begin
  insert into event (at, type, body)
  select now_ms(), 'report.made', '{"report":' || new.n || ',"reporter":"' || reporter.uid || '","uid":"' || account.uid
    || '","log":' || coalesce((select to_json(log.name)::text from log where log.n = new.log), 'null')
    || ',"seq":' || coalesce(new.seq::text, 'null') || ',"reason":' || to_json(new.reason) || '}'
  from account, account as reporter where account.n = new.account and reporter.n = new.reporter;
  return null;
end $$;

create table dead_letter (
  webhook bigint not null,
  seq bigint not null,
  attempts bigint not null,
  error text not null,
  at bigint not null,
  -- The event as it was, because events are deleted in time.
  event_at bigint not null,
  type text collate "C" not null,
  body text not null,
  -- An operator asked for one more attempt.
  retry integer not null default 0,
  primary key (webhook, seq)
);
create index dead_letter_by_time on dead_letter (at);

-- Logs with messages that were moved in, up to `head`, and are to count as read; the member up to whom they do.
create table imported (
  log bigint primary key,
  head bigint not null,
  messages bigint not null,
  joined_seq bigint not null,
  member bigint not null
);

create table api_key (
  hash text collate "C" primary key,
  id text collate "C" not null unique,
  account bigint not null,
  name text not null,
  made_at bigint not null,
  ended_at bigint
);
create index api_key_by_account on api_key (account, made_at);

-- Messages of a system account to everybody, or to the accounts of a filter, up to the account `last`; `reached` is the
-- last one that has it, `skipped` those that could not be written to.
create table broadcast (
  id text collate "C" primary key,
  account bigint not null,
  type text collate "C" not null,
  body text not null,
  filter text not null,
  state text collate "C" not null,
  reached bigint not null,
  last bigint not null,
  sent bigint not null,
  skipped bigint not null default 0,
  made_at bigint not null,
  ended_at bigint,
  lease_by text collate "C",
  lease_until bigint not null default 0
);
create index broadcast_running on broadcast (made_at) where state = 'running';

-- Where work in the background stands, by its name.
create table progress (
  name text collate "C" primary key,
  position text not null
);

-- Messages by what they are found by: terms of the text, whose it is and who may see it (services/store/operations/history/search.ts).
create table message_search (
  log bigint not null,
  seq bigint not null,
  n bigint generated always as identity unique,
  terms tsvector not null,
  primary key (log, seq)
);
create index message_search_by_term on message_search using gin (terms);

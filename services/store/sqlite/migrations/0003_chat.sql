-- The tables of the chat business; services/store/postgres/migrations/0005_chat.sql has the same ones, with what each is
-- for.

alter table account add column kind text not null default 'person';
alter table account add column state text not null default 'active';
alter table account add column state_at bigint;
alter table account add column version bigint not null default 0;
alter table account add column takes text;
alter table account add column suspended_at bigint;
alter table account add column suspended_until bigint;
alter table account add column suspended_for text;
create index account_suspended on account (n) where suspended_until is not null;
create index account_by_suspension_end on account (suspended_until) where suspended_until is not null;

create table profile (
  account bigint primary key,
  name text not null,
  avatar text,
  attributes text not null,
  changed_at bigint not null
);

create table setting (
  account bigint not null,
  name text not null,
  value text not null,
  changed_at bigint not null,
  primary key (account, name)
) without rowid;

create table change (
  account bigint not null,
  scope text not null,
  key text not null,
  version bigint not null,
  primary key (account, scope, key)
) without rowid;
create index change_by_version on change (account, scope, version);

create table erasure (
  account bigint primary key,
  asked_at bigint not null,
  stage text not null,
  log bigint not null,
  seq bigint not null
);

alter table contact add column remark text;
alter table contact add column tags text;
alter table contact add column refused_until bigint;
alter table contact add column block_mode text;

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
) without rowid;
create index conversation_cleared on conversation_state (log, cleared_seq) where cleared_seq > 0;

alter table chat_group add column kind text not null default 'group';
alter table chat_group add column avatar text;
alter table chat_group add column about text;
alter table chat_group add column announcement text;
alter table chat_group add column announced_by bigint;
alter table chat_group add column announced_at bigint;
alter table chat_group add column who_writes text not null default 'members';
alter table chat_group add column who_invites text not null default 'members';
alter table chat_group add column who_pins text not null default 'admins';
alter table chat_group add column approval integer not null default 0;
alter table chat_group add column keeps_entries integer not null default 1;
alter table chat_group add column muted_until bigint;
alter table chat_group add column changed_at bigint not null default 0;
alter table chat_group add column dissolved_at bigint;
create index chat_group_dissolved on chat_group (log) where dissolved_at is not null and members > 0;
create index chat_group_by_kind on chat_group (kind, log) where kind <> 'group';
alter table membership add column role text not null default 'member';
update membership set role = 'owner'
  where to_seq is null and account = (select owner from chat_group where chat_group.log = membership.log);
alter table membership add column nickname text;
alter table membership add column left_name text;
update membership set left_name = (select name from chat_group where chat_group.log = membership.log)
where to_seq is not null;
alter table membership add column muted_until bigint;
create index membership_by_role on membership (log, role, account) where to_seq is null and role <> 'member';

create table group_ban (
  log bigint not null,
  account bigint not null,
  banned_by bigint not null,
  reason text,
  banned_at bigint not null,
  until bigint,
  primary key (log, account)
) without rowid;
create index group_ban_explained on group_ban (banned_by) where reason is not null;

create table group_link (
  token text primary key,
  log bigint not null,
  made_by bigint not null,
  made_at bigint not null,
  expires_at bigint,
  uses_max bigint,
  uses bigint not null
) without rowid;
create index group_link_by_log on group_link (log, made_at);
create index group_link_by_maker on group_link (made_by, made_at, token);

create table join_request (
  log bigint not null,
  account bigint not null,
  text text,
  invited_by bigint,
  asked_at bigint not null,
  primary key (log, account)
) without rowid;
create index join_request_by_time on join_request (log, asked_at, account);
create index join_request_by_account on join_request (account, log);
create index join_request_by_inviter on join_request (invited_by) where invited_by is not null;

create table pin (
  log bigint not null,
  seq bigint not null,
  pinned_by bigint not null,
  pinned_at bigint not null,
  primary key (log, seq)
) without rowid;

alter table entry add column state text;
create index entry_told on entry (account, log, seq) where kind in ('contact', 'notice');
create index entry_event on entry (log, seq) where kind in ('group', 'contact', 'notice');
create index entry_withheld on entry (log, account, seq) where kind = 'withheld';

create table hidden (
  account bigint not null,
  log bigint not null,
  seq bigint not null,
  primary key (account, log, seq)
) without rowid;
create index hidden_by_entry on hidden (log, seq);

create table reaction (
  log bigint not null,
  seq bigint not null,
  account bigint not null,
  emoji text not null,
  reacted_at bigint not null,
  primary key (log, seq, emoji, account)
) without rowid;

create table mention (
  account bigint not null,
  log bigint not null,
  seq bigint not null,
  primary key (account, log, seq)
) without rowid;
create index mention_by_entry on mention (log, seq);

-- Whose words a message forwards: they go with the account of their author.
create table origin (
  account bigint not null,
  log bigint not null,
  seq bigint not null,
  primary key (account, log, seq)
) without rowid;
create index origin_by_entry on origin (log, seq);

create table scheduled_send (
  n integer primary key autoincrement,
  account bigint not null,
  device text,
  id text not null,
  target text not null,
  type text not null,
  body text not null,
  due_at bigint not null,
  made_at bigint not null,
  withheld integer not null default 0,
  sent_hash text,
  lease_until bigint not null default 0
);
create index scheduled_send_by_time on scheduled_send (due_at);
create unique index scheduled_send_by_id on scheduled_send (account, id);

create table replaced_body (
  log bigint not null,
  seq bigint not null,
  hash text not null,
  primary key (log, seq)
) without rowid;

create table expiry (
  log bigint not null,
  seq bigint not null,
  due_at bigint not null,
  after_read_ms bigint,
  primary key (log, seq)
) without rowid;
create index expiry_by_time on expiry (due_at);

create table media (
  id text primary key,
  account bigint not null,
  state text not null,
  name text,
  type text not null,
  bytes bigint not null,
  sha256 text not null,
  width integer,
  height integer,
  thumbnail integer not null default 0,
  part_bytes bigint not null,
  made_at bigint not null,
  ready_at bigint,
  retired_at bigint
) without rowid;
create index media_by_account on media (account, made_at, id);
create index media_by_state on media (state, made_at, id);
create index media_unfinished on media (account, made_at) where state = 'uploading';
create index media_by_retirement on media (retired_at, id) where retired_at is not null;

create table media_part (
  media text not null,
  part bigint not null,
  bytes bigint not null,
  primary key (media, part)
) without rowid;

create table media_use (
  media text not null,
  log bigint not null,
  seq bigint not null,
  primary key (media, log, seq)
) without rowid;
create index media_use_by_entry on media_use (log, seq);
create index profile_by_avatar on profile (avatar) where avatar is not null;
create index chat_group_by_avatar on chat_group (avatar) where avatar is not null;

create table report (
  n integer primary key autoincrement,
  reporter bigint not null,
  account bigint not null,
  log bigint,
  seq bigint,
  reason text not null,
  text text,
  evidence text,
  made_at bigint not null,
  decided_at bigint,
  decision text,
  note text
);
create index report_open on report (n) where decided_at is null;
create index report_by_reporter on report (reporter, account);

create table banned_word (
  word text primary key,
  action text not null,
  changed_at bigint not null
) without rowid;

create table webhook (
  n integer primary key autoincrement,
  id text unique,
  url text not null,
  secret text not null,
  events text not null,
  acked bigint not null,
  attempts bigint not null,
  next_at bigint not null,
  last_error text,
  paused integer not null,
  made_at bigint not null,
  lease_by text,
  lease_until bigint not null default 0
);

create table event (
  n integer primary key autoincrement,
  seq bigint,
  at bigint not null,
  type text not null,
  body text not null
);
create unique index event_by_seq on event (seq);
create index event_waiting on event (n) where seq is null;

create table event_order (
  n integer primary key,
  last bigint not null
);
insert into event_order (n, last) values (1, 0);

create table dead_letter (
  webhook bigint not null,
  seq bigint not null,
  attempts bigint not null,
  error text not null,
  at bigint not null,
  event_at bigint not null,
  type text not null,
  body text not null,
  retry integer not null default 0,
  primary key (webhook, seq)
) without rowid;
create index dead_letter_by_time on dead_letter (at);

create table imported (
  log bigint primary key,
  head bigint not null,
  messages bigint not null,
  joined_seq bigint not null,
  member bigint not null
) without rowid;

create table api_key (
  hash text primary key,
  id text not null unique,
  account bigint not null,
  name text not null,
  made_at bigint not null,
  ended_at bigint
) without rowid;
create index api_key_by_account on api_key (account, made_at);

create table broadcast (
  id text primary key,
  account bigint not null,
  type text not null,
  body text not null,
  filter text not null,
  state text not null,
  reached bigint not null,
  last bigint not null,
  sent bigint not null,
  skipped bigint not null default 0,
  made_at bigint not null,
  ended_at bigint,
  lease_by text,
  lease_until bigint not null default 0
) without rowid;
create index broadcast_running on broadcast (made_at) where state = 'running';

create table progress (
  name text primary key,
  position text not null
) without rowid;

-- Rows have the number of their entry. Terms bring no position: a message has them or not. Without an index of their own,
-- all rows of every word with a beginning are put together before the newest is found.
create virtual table message_search using fts5(
  terms, content='', contentless_delete=1, detail=none, prefix='1 2 3 4', tokenize="ascii tokenchars '_'"
);

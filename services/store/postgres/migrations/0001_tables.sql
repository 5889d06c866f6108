-- The tables of services/store/sqlite/migrations/0001_tables.sql, under the same names; those of plain MQTT and of keys follow in their own files.
--
-- Text that is compared or ordered has collation "C": the order of bytes, whatever the database's own language is.
-- `xid` is the transaction that changed a row last in a way that other nodes must hear of; see changes in shared.ts.

create table account (
  n bigint generated always as identity primary key,
  uid text collate "C" not null unique,
  phone text collate "C" unique,
  created_at bigint not null
);

create table device (
  account bigint not null,
  id text collate "C" not null,
  kind text not null,
  name text not null,
  created_at bigint not null,
  seen_at bigint not null,
  revoked_at bigint,
  xid bigint,
  primary key (account, id)
);
create index device_by_xid on device (xid) where xid is not null;

create table login (
  sid text collate "C" primary key,
  account bigint not null,
  device text collate "C" not null,
  refresh_hash text collate "C" not null,
  created_at bigint not null,
  expires_at bigint not null,
  ended_at bigint,
  xid bigint
);
create index login_by_device on login (account, device);
create index login_by_xid on login (xid) where xid is not null;

create table sms_code (
  phone text collate "C" primary key,
  hash text collate "C" not null,
  expires_at bigint not null,
  tries integer not null
);

create table sms_count (
  key text collate "C" primary key,
  window_at bigint not null,
  count integer not null
);

-- The identity is never given twice: a cursor that is written late must not fall into a later session.
create table session (
  n bigint generated always as identity primary key,
  client_id text collate "C" not null unique,
  account bigint not null,
  device text collate "C" not null,
  generation integer not null,
  inbox_qos integer,
  inbox_started integer not null,
  reply integer not null,
  live integer not null,
  expires_at bigint,
  node text collate "C" not null
);
create index session_by_end on session (expires_at) where expires_at is not null;
create index session_by_node on session (node) where expires_at is null;

-- A cursor moves with every acknowledgement; room in its page keeps the update out of the index.
create table cursor (
  session bigint not null,
  log bigint not null,
  seq bigint not null,
  epoch integer not null,
  primary key (session, log)
) with (fillfactor = 70);

create table contact (
  account bigint not null,
  peer bigint not null,
  state text collate "C" not null,
  blocked integer not null,
  text text,
  changed_at bigint not null,
  primary key (account, peer)
);

-- Every message updates its log and its author's reader. No index has a column that changes with it, and pages keep
-- room, so that these updates touch no index (heap-only tuples).
create table log (
  n bigint generated always as identity primary key,
  name text collate "C" not null unique,
  epoch integer not null,
  head bigint not null,
  messages bigint not null,
  first bigint not null,
  last_at bigint not null,
  xid bigint
) with (fillfactor = 50);
create index log_by_xid on log (xid) where xid is not null;

create table chat_group (
  log bigint primary key,
  name text not null,
  owner bigint not null,
  members bigint not null,
  created_at bigint not null
);

create table membership (
  account bigint not null,
  log bigint not null,
  from_seq bigint not null,
  to_seq bigint,
  joined_at bigint not null,
  xid bigint default pg_current_xact_id()::text::bigint,
  primary key (account, log, from_seq)
);
create index membership_by_log on membership (log, from_seq, account, to_seq) where to_seq is null;
create index membership_by_xid on membership (xid) where xid is not null;

create table reader (
  account bigint not null,
  log bigint not null,
  read_seq bigint not null,
  read_messages bigint not null,
  own bigint not null,
  read_own bigint not null,
  primary key (account, log)
) with (fillfactor = 50);

create table entry (
  log bigint not null,
  seq bigint not null,
  message_no bigint not null,
  at bigint not null,
  xid bigint not null default pg_current_xact_id()::text::bigint,
  account bigint not null,
  id_hash bigint,
  kind text collate "C" not null,
  device text collate "C",
  id text collate "C",
  type text collate "C" not null,
  body text collate "C" not null,
  primary key (log, seq)
);
create index entry_by_id on entry (id_hash) where id_hash is not null;
-- Rows are appended in nearly the order of their transactions, so a summary of blocks finds the last ones.
create index entry_by_xid on entry using brin (xid) with (pages_per_range = 16, autosummarize = on);

-- `hash` is no hash: the call's parameters, as JSON.
create table request (
  account bigint not null,
  id text collate "C" not null,
  op text not null,
  hash text collate "C" not null,
  result text not null,
  at bigint not null,
  primary key (account, id)
);
create index request_by_time on request (at);

create function note_change() returns trigger language plpgsql as $$
begin
  new.xid := pg_current_xact_id()::text::bigint;
  return new;
end $$;

create trigger membership_changed before update on membership for each row execute function note_change();
create trigger login_ended before update of ended_at on login
  for each row when (new.ended_at is not null) execute function note_change();
create trigger device_revoked before insert or update of revoked_at on device
  for each row when (new.revoked_at is not null) execute function note_change();
create trigger log_restarted before update of epoch on log
  for each row when (new.epoch <> old.epoch) execute function note_change();

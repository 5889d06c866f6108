-- The tables of one process; services/store/postgres/migrations/0001_tables.sql has those of a cluster, under the same
-- names but for plain MQTT (docs/adr/0006-plain-topics-in-a-cluster.md).
--
-- Numbers are ms since 1970 where a column ends in `_at`; booleans are 0 or 1. Accounts and logs have an integer of their
-- own, so that the two largest indexes stay small; nothing outside the store sees those. A table `without rowid` is its
-- primary key's B-tree: no second tree to keep.

create table account (
  n integer primary key,
  uid text not null unique,
  phone text unique,
  created_at bigint not null
);

-- A device of an account. Tokens issued up to `revoked_at` are refused.
create table device (
  account integer not null,
  id text not null,
  kind text not null,
  name text not null,
  created_at bigint not null,
  seen_at bigint not null,
  revoked_at bigint,
  primary key (account, id)
) without rowid;

-- A login: one family of refresh tokens. `ended_at` refuses its access tokens too.
create table login (
  sid text primary key,
  account integer not null,
  device text not null,
  refresh_hash text not null,
  created_at bigint not null,
  expires_at bigint not null,
  ended_at bigint
);
create index login_by_device on login (account, device);

create table sms_code (
  phone text primary key,
  hash text not null,
  expires_at bigint not null,
  tries integer not null
);

-- Codes sent per phone or address since `window_at`.
create table sms_count (
  key text primary key,
  window_at bigint not null,
  count integer not null
);

-- A persistent MQTT session. `expires_at` is null while a device is connected; `inbox_started`: the inbox was subscribed
-- once, and its cursors count from then on. A number is never given twice: a cursor that is written late must not fall
-- into a later session of the same number.
create table session (
  n integer primary key autoincrement,
  client_id text not null unique,
  account integer not null,
  device text not null,
  generation integer not null,
  inbox_qos integer,
  inbox_started integer not null,
  reply integer not null,
  live integer not null,
  expires_at bigint
);
create index session_by_end on session (expires_at);

-- The last acknowledged seq of a log, per persistent session.
create table cursor (
  session integer not null,
  log integer not null,
  seq bigint not null,
  epoch integer not null,
  primary key (session, log)
) without rowid;

-- One side's view of the other: `none`, `requested`, `asked` or `friend`.
create table contact (
  account integer not null,
  peer integer not null,
  state text not null,
  blocked integer not null,
  text text,
  changed_at bigint not null,
  primary key (account, peer)
) without rowid;

-- `head` and `messages` follow the entries in batches; `first` is the lowest seq that is kept.
create table log (
  n integer primary key,
  name text not null unique,
  epoch integer not null,
  head bigint not null,
  messages bigint not null,
  first bigint not null,
  last_at bigint not null
);

create table chat_group (
  log integer primary key,
  name text not null,
  owner integer not null,
  members integer not null,
  created_at bigint not null
);

-- A window of a log that an account may see: the entry that let it in to the one that let it out.
create table membership (
  account integer not null,
  log integer not null,
  from_seq bigint not null,
  to_seq bigint,
  joined_at bigint not null,
  primary key (account, log, from_seq)
) without rowid;
-- The members of now, in the order in which they joined. Partial, so that no planner takes it to look for one account: of
-- 100,000 members it would read half.
create index membership_by_log on membership (log, from_seq, account, to_seq) where to_seq is null;

-- Read pointer, and the counts that make unread a subtraction: messages and own messages up to it.
create table reader (
  account integer not null,
  log integer not null,
  read_seq bigint not null,
  read_messages bigint not null,
  own bigint not null,
  read_own bigint not null,
  primary key (account, log)
) without rowid;

-- `n` is the order of filing: entries of many logs are filed together, so that appending is far cheaper than sorting them
-- in. `message_no` is the running number of messages in the log up to this entry. `id_hash`, of account and id: id-hash.ts.
create table entry (
  n integer primary key,
  log integer not null,
  seq bigint not null,
  message_no bigint not null,
  at bigint not null,
  kind text not null,
  account integer not null,
  device text,
  id text,
  id_hash bigint,
  type text not null,
  body text not null
);
create unique index entry_by_seq on entry (log, seq);
create index entry_by_id on entry (id_hash) where id_hash is not null;

-- Commits that are not yet in the tables above; a line per entry, as it goes over the wire.
create table journal (
  n integer primary key,
  lines blob not null
);

-- Results of mutating calls by the caller's requestId. `hash` is no hash: the call's parameters, as JSON.
create table request (
  account integer not null,
  id text not null,
  op text not null,
  hash text not null,
  result text not null,
  at bigint not null,
  primary key (account, id)
) without rowid;
create index request_by_time on request (at);

-- Plain MQTT: services/store/plain.ts says what it means. `queued` is the number of rows in plain_queue.
create table plain_session (
  n integer primary key,
  client_id text not null unique,
  queued integer not null
);

create table plain_subscription (
  session integer not null,
  filter text not null,
  qos integer not null,
  rh integer,
  rap integer,
  nl integer,
  identifier integer,
  primary key (session, filter)
) without rowid;

-- A message that waits for `refs` sessions.
create table plain_message (
  n integer primary key autoincrement,
  topic text not null,
  payload blob not null,
  head text not null,
  origin text not null,
  expires_at bigint,
  refs integer not null
);

-- `state`: 0 queued, 1 sent, 2 released. `identifiers`: a JSON array.
create table plain_queue (
  session integer not null,
  message bigint not null,
  qos integer not null,
  retain integer not null,
  identifiers text not null,
  packet_id integer,
  state integer not null,
  primary key (session, message)
) without rowid;

-- Packet ids of QoS 2 PUBLISHes that were taken and whose PUBREL has not come.
create table plain_receipt (
  session integer not null,
  packet_id integer not null,
  packet text not null,
  primary key (session, packet_id)
) without rowid;

create table plain_retained (
  topic text primary key,
  payload blob not null,
  head text not null,
  origin text not null,
  expires_at bigint
);

-- `publish_at` is null while its client is connected.
create table plain_will (
  client_id text primary key,
  will text not null,
  publish_at bigint
);

-- Plain MQTT: see services/store/plain.ts for what it means, docs/adr/0006-plain-topics-in-a-cluster.md for why.
-- Topics and filters may be longer than an index takes, so that they are found by their SHA-256.

-- The version of what the nodes' indexes hold. Its row is the lock that puts changes in the order of their commits.
create table plain_version (
  only_row boolean primary key default true check (only_row),
  version bigint not null
);
insert into plain_version (version) values (0);

-- kind: 0 a session, 1 a retained topic.
create table plain_change (
  version bigint primary key,
  kind smallint not null,
  name text not null
);

-- One sequence for all lives of all sessions: no generation comes twice.
create sequence plain_generation;

-- queued: rows in plain_queue. waiting: those of them in state 0.
create table plain_session (
  n bigint generated always as identity primary key,
  client_id text collate "C" not null unique,
  generation bigint not null,
  queued integer not null default 0,
  waiting integer not null default 0
);

create table plain_subscription (
  session bigint not null,
  filter_hash bytea not null,
  filter text not null,
  qos smallint not null,
  rh smallint,
  rap boolean,
  nl boolean,
  identifier bigint,
  primary key (session, filter_hash)
);

-- Taken while the sessions of the message are locked: within a queue, numbers follow the order of commits.
create sequence plain_number;

create table plain_message (
  n bigint primary key,
  topic text not null,
  payload bytea not null,
  is_text boolean not null,
  head text not null,
  origin text not null,
  expires_at bigint,
  refs integer not null
);

-- state: 0 queued, 1 sent, 2 released. identifiers: a JSON array.
create table plain_queue (
  session bigint not null,
  message bigint not null,
  qos smallint not null,
  retain boolean not null,
  identifiers text not null,
  packet_id integer,
  state smallint not null,
  primary key (session, message)
);
create index plain_queue_sent on plain_queue (session, packet_id) where packet_id is not null;

create table plain_receipt (
  session bigint not null,
  packet_id integer not null,
  packet text not null,
  primary key (session, packet_id)
);

create table plain_retained (
  topic_hash bytea primary key,
  topic text not null,
  payload bytea not null,
  is_text boolean not null,
  head text not null,
  origin text not null,
  expires_at bigint
);

-- publish_at is null while the client is connected, to the node `holder`.
create table plain_will (
  client_id text collate "C" primary key,
  will text not null,
  holder text not null,
  delay_ms bigint not null,
  publish_at bigint
);
create index plain_will_due on plain_will (publish_at) where publish_at is not null;
create index plain_will_held on plain_will (holder) where publish_at is null;

-- Queues grow and shrink all the time.
alter table plain_queue set (autovacuum_vacuum_scale_factor = 0.02);
alter table plain_message set (autovacuum_vacuum_scale_factor = 0.02);
alter table plain_session set (fillfactor = 70);

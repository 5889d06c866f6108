-- Who holds a will, and for how long it is delayed when that one is gone.
alter table plain_will add column delay_ms integer default 0 not null;
alter table plain_will add column holder text default '' not null;
create index plain_will_due on plain_will (publish_at);

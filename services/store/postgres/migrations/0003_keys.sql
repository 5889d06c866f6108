-- The keys that sign access tokens, and the pepper of login codes: services/auth/key-database.ts.
create table keyring (
  one boolean primary key default true check (one),
  code_pepper text not null
);

create table signing_key (
  kid text primary key,
  alg text not null,
  created_at bigint not null,
  -- Null for the key that signs.
  ends_at bigint,
  public_key text not null,
  -- Of the key that signs only.
  private_key text,
  check ((ends_at is null) = (private_key is not null))
);

-- One key signs.
create unique index signing_key_that_signs on signing_key ((true)) where private_key is not null;

-- What is over is found by its time: services/store/postgres/account-codes.ts.
create index sms_count_by_time on sms_count (window_at);
create index sms_code_by_end on sms_code (expires_at);

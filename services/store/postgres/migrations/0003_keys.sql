-- Keys that sign our own access tokens, for every node: services/auth/key-database.ts.
create table signing_key (
  kid text collate "C" primary key,
  alg text not null,
  created_at bigint not null,
  -- Null for the key that signs.
  ends_at bigint,
  public_pem text not null,
  -- Only of the key that signs.
  private_pem text,
  check ((ends_at is null) = (private_pem is not null))
);

-- One key signs.
create unique index signing_key_that_signs on signing_key ((true)) where private_pem is not null;

-- Secrets of the installation by name, such as the pepper of login codes.
create table secret (
  name text collate "C" primary key,
  value text not null
);

-- What is over is found by its time: services/store/postgres/account-codes.ts.
create index sms_count_by_time on sms_count (window_at);
create index sms_code_by_end on sms_code (expires_at);

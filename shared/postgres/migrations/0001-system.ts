// Why: the first tables: the system's identity, tenures and leases, the ledger, and what is set aside.

export const migration = {
  number: 1,
  name: 'system',
  breaking: false,
  /** `{schema}` stands for the quoted name of Onelane's schema. */
  sql: `
create table {schema}.system (
  only_one boolean primary key default true check (only_one),
  id uuid not null,
  partitions integer not null check (partitions between 1 and 1024),
  layout integer not null default 1 check (layout >= 1),
  transport text not null,
  channel text not null,
  created_at timestamptz not null default now()
);

-- One row per partition. Updated by every commit of its lane, hence the room for HOT updates.
create table {schema}.tenure (
  partition integer primary key check (partition >= 0),
  epoch bigint not null default 0,
  owner uuid,
  claimed_at timestamptz,
  contract_hash text,
  next_position bigint,
  last_position bigint,
  last_hash bytea,
  last_appended_at timestamptz,
  commits bigint not null default 0,
  claims integer not null default 0,
  marker bytea,
  marker_deaths integer not null default 0,
  strays bigint not null default 0,
  halted_code text,
  halted_detail text,
  halted_at timestamptz,
  check ((last_position is null) = (last_hash is null)),
  check (marker_deaths >= 0)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table {schema}.consumer (
  id uuid primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  expires_at timestamptz not null
);

create table {schema}.lease (
  partition integer primary key check (partition >= 0),
  consumer uuid,
  expires_at timestamptz
) with (fillfactor = 20);

-- The duplicate guard and the caller's answer at once. The guard is (resource, id); only one lane ever meets a resource, so
-- the look-up under the fence is enough and no unique index spans the partitions.
create table {schema}.ledger (
  id uuid not null,
  resource text not null,
  content bytea not null,
  partition integer not null,
  at timestamptz not null,
  outcome text not null check (outcome in ('applied', 'rejected', 'discarded')),
  revision bigint not null,
  code text,
  detail text,
  reply text
) partition by range (at);
create index ledger_id on {schema}.ledger (id);

create table {schema}.hold (
  resource text primary key,
  partition integer not null,
  since timestamptz not null default now(),
  next_number bigint not null default 1 check (next_number >= 1)
);

-- A parked command, numbered per resource from 1. bytea wherever NUL may stand.
create table {schema}.parked (
  resource text not null,
  number bigint not null check (number >= 1),
  id uuid not null,
  content bytea not null,
  partition integer not null,
  position bigint not null,
  bytes bytea not null,
  headers bytea not null,
  appended_at timestamptz not null,
  parked_at timestamptz not null default now(),
  code text not null,
  detail text not null,
  sqlstate text,
  primary key (resource, number)
);
create index parked_id on {schema}.parked (id);

create table {schema}.stray (
  partition integer not null,
  number bigint not null check (number >= 1),
  position bigint not null,
  hash bytea not null,
  reason text not null,
  detail text not null,
  id uuid,
  resource text,
  bytes bytea not null,
  headers bytea not null,
  appended_at timestamptz not null,
  kept_at timestamptz not null default now(),
  primary key (partition, number)
);
create index stray_hash on {schema}.stray (partition, hash);
create index stray_id on {schema}.stray (id) where id is not null;

-- The revision that a deleted resource goes on counting from.
create table {schema}.last_revision (
  resource text primary key,
  revision bigint not null check (revision >= 1),
  at timestamptz not null
);
create index last_revision_at on {schema}.last_revision (at);
`,
};

// Why: PostgreSQL itself carries the commands: a log of segments per partition, numbered in the order of commits.

export const migration = {
  number: 2,
  name: 'log',
  breaking: false,
  /** `{schema}` stands for the quoted name of Onelane's schema. */
  sql: `
-- One row per partition, locked by every append to it: its number is given and its segment committed under one lock, so that
-- positions are gapless and become visible in their order. Updated by every append, hence the room for HOT updates.
create table {schema}.log_head (
  partition integer primary key check (partition >= 0),
  next_position bigint not null default 0 check (next_position >= 0),
  appended_at timestamptz not null default '-infinity'
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The entries that one append brought to a partition, framed in one value: a row per entry would cost several times as much to
-- write and to read. It holds positions last_position - entries + 1 up to last_position.
create table {schema}.log_segment (
  partition integer not null check (partition >= 0),
  last_position bigint not null,
  entries integer not null check (entries >= 1),
  appended_at timestamptz not null,
  size integer not null check (size >= 0),
  frames bytea not null,
  primary key (partition, last_position),
  check (last_position >= entries - 1)
) with (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
-- Compressing costs more than the disk it saves.
alter table {schema}.log_segment alter column frames set storage external;
`,
};

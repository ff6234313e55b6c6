// Owns the appending statements: entries numbered under the lock of their partitions' rows, in one commit.
import { quoted, type SchemaName } from '../../postgres/schema-name.ts';
import { stampOf } from './page.ts';

export interface AppendStatements {
  readonly many: string;
  /** The same for one segment, as low load has them: a third less work for the server. */
  readonly one: string;
}

/**
 * Each is one autocommit statement. Rows are locked in the order of their partitions, all of them before the first is written, so
 * that two appends never wait for each other in a circle. Time is read under the lock and never goes back within a partition.
 */
export function appendStatements(schema: SchemaName): AppendStatements {
  const head = `${quoted(schema)}.log_head`;
  const segments = `${quoted(schema)}.log_segment (partition, last_position, entries, appended_at, size, frames)`;
  return { one: appendOne(head, segments), many: appendMany(head, segments) };
}

const APPENDED = `partition, first_position, ${stampOf('appended_at')}, case when isfinite(before) then ${stampOf('before')} end`;

function appendOne(head: string, segments: string): string {
  return `
with locked as (
  select partition, appended_at
  from ${head}
  where partition = $1::int
  for no key update
),
moved as (
  update ${head} head
  set
    next_position = head.next_position + $2::int,
    appended_at = greatest(head.appended_at, clock_timestamp())
  from locked
  where head.partition = $1::int
    and head.partition = locked.partition
  returning
    head.partition,
    (head.next_position - $2::int)::bigint as first_position,
    head.appended_at,
    locked.appended_at as before
),
stored as (
  insert into ${segments}
  select partition, first_position + $2::int - 1, $2::int, appended_at, octet_length($3::bytea), $3::bytea
  from moved
)
select ${APPENDED}, 1::bigint
from moved`;
}

function appendMany(head: string, segments: string): string {
  return `
with segment as (
  select *
  from unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::int[]) as given (partition, through, entries, start, size)
),
locked as (
  select partition, appended_at
  from ${head}
  where partition = any ($1::int[])
  order by partition
  for no key update
),
moved as (
  update ${head} head
  set
    next_position = head.next_position + added.entries,
    appended_at = greatest(head.appended_at, clock_timestamp())
  from (
    select partition, sum(entries) as entries, count(*) as segments
    from segment
    group by partition
  ) added
  join locked using (partition)
  where head.partition = added.partition
    and (select count(*) from locked) > 0
  returning
    head.partition,
    (head.next_position - added.entries)::bigint as first_position,
    head.appended_at,
    locked.appended_at as before,
    added.segments
),
stored as (
  insert into ${segments}
  select
    moved.partition,
    moved.first_position + segment.through - 1,
    segment.entries,
    moved.appended_at,
    segment.size,
    substring($6::bytea from segment.start + 1 for segment.size)
  from moved
  join segment using (partition)
)
select ${APPENDED}, segments
from moved`;
}

// Owns the appending statement: entries of many partitions in one commit, numbered under the lock of their partitions' rows.
import type pg from 'pg';
import type { Partition } from '../../command/identity.ts';
import { quoted, type SchemaName } from '../../postgres/schema-name.ts';
import type { Routed } from '../transport.ts';
import { entryBytes } from '../admission.ts';
import { stampOf } from './page.ts';
import { encodeSegment, SEGMENT_BYTES_MAX, SEGMENT_ENTRIES_MAX } from './segment.ts';

/** What an append did to a partition: its entries follow each other without a gap, in the order given. */
export interface Appended {
  readonly partition: Partition;
  /** Position of the first entry. */
  readonly first: number;
  /** When they were appended, in microseconds since 1970. */
  readonly stampUs: number;
  /** The same of what stands before them; null: nothing does. */
  readonly beforeUs: number | null;
  readonly segments: number;
  readonly entries: readonly Routed[];
}

/**
 * One autocommit statement. Rows are locked in the order of their partitions, all of them before the first is written, so that
 * two appends never wait for each other in a circle. Time is read under the lock and never goes back within a partition.
 */
export function appendStatement(schema: SchemaName): string {
  const name = quoted(schema);
  return `
with segment as (
  select *
  from unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::int[]) as given (partition, through, entries, start, size)
),
locked as (
  select partition, appended_at
  from ${name}.log_head
  where partition = any ($1::int[])
  order by partition
  for no key update
),
moved as (
  update ${name}.log_head head
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
  insert into ${name}.log_segment (partition, last_position, entries, appended_at, size, frames)
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
select partition, first_position, ${stampOf('appended_at')}, case when isfinite(before) then ${stampOf('before')} end, segments
from moved`;
}

/** Rejects as the driver does; then nothing is known but what the error says. */
export async function append(
  client: pg.PoolClient,
  statement: string,
  entries: ReadonlyMap<Partition, readonly Routed[]>,
): Promise<readonly Appended[]> {
  const result = await client.query<[number, string, string, string | null, string], unknown[]>({
    name: 'append',
    text: statement,
    values: appendValues(entries),
    rowMode: 'array',
  });
  // partition is an int4, the others are int8, which the driver gives as text.
  return result.rows.map(([given, first, stampUs, beforeUs, segments]) => {
    // One of those that were sent.
    const partition = given as Partition;
    return {
      partition,
      first: Number(first),
      stampUs: Number(stampUs),
      beforeUs: beforeUs === null ? null : Number(beforeUs),
      segments: Number(segments),
      entries: entries.get(partition) ?? [],
    };
  });
}

function appendValues(entries: ReadonlyMap<Partition, readonly Routed[]>): unknown[] {
  const partitions: number[] = [];
  const through: number[] = [];
  const counts: number[] = [];
  const starts: number[] = [];
  const sizes: number[] = [];
  const frames: Buffer[] = [];
  let start = 0;
  for (const [partition, all] of entries) {
    let count = 0;
    for (const part of cutSegments(all)) {
      const segment = encodeSegment(part);
      count += part.length;
      partitions.push(partition);
      through.push(count);
      counts.push(part.length);
      starts.push(start);
      sizes.push(segment.length);
      frames.push(segment);
      start += segment.length;
    }
  }
  return [
    ...[partitions, through, counts, starts, sizes].map((numbers) => `{${numbers.join(',')}}`),
    frames.length === 1 ? (frames[0] ?? EMPTY) : Buffer.concat(frames),
  ];
}

const EMPTY = Buffer.alloc(0);

function cutSegments(entries: readonly Routed[]): readonly (readonly Routed[])[] {
  const segments: (readonly Routed[])[] = [];
  let first = 0;
  let bytes = 0;
  entries.forEach((entry, index) => {
    const size = entryBytes(entry);
    if (index > first && (bytes + size > SEGMENT_BYTES_MAX || index - first >= SEGMENT_ENTRIES_MAX)) {
      segments.push(entries.slice(first, index));
      first = index;
      bytes = 0;
    }
    bytes += size;
  });
  segments.push(entries.slice(first));
  return segments;
}

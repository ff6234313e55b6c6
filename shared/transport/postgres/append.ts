// Owns appending: entries of many partitions in one commit, cut into segments, and what the database made of them.
import type pg from 'pg';
import type { Partition } from '../../command/identity.ts';
import type { Routed } from '../transport.ts';
import { entryBytes } from '../admission.ts';
import type { AppendStatements } from './append-sql.ts';
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

/** Rejects as the driver does; then nothing is known but what the error says. */
export async function append(
  client: pg.PoolClient,
  statements: AppendStatements,
  entries: ReadonlyMap<Partition, readonly Routed[]>,
): Promise<readonly Appended[]> {
  const cut = [...entries].flatMap(([partition, all]) =>
    cutSegments(all).map((segment) => [partition, segment] as const),
  );
  const [only] = cut;
  const query =
    cut.length === 1 && only !== undefined
      ? { name: 'append-one', text: statements.one, values: oneValues(...only) }
      : { name: 'append', text: statements.many, values: manyValues(cut) };
  const result = await client.query<[number, string, string, string | null, string], unknown[]>({
    ...query,
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

function oneValues(partition: Partition, segment: readonly Routed[]): unknown[] {
  return [partition, segment.length, encodeSegment(segment)];
}

function manyValues(cut: readonly (readonly [Partition, readonly Routed[]])[]): unknown[] {
  const partitions: number[] = [];
  const through: number[] = [];
  const counts: number[] = [];
  const starts: number[] = [];
  const sizes: number[] = [];
  const frames: Buffer[] = [];
  let start = 0;
  let count = 0;
  for (const [partition, entries] of cut) {
    const segment = encodeSegment(entries);
    count = partition === partitions.at(-1) ? count + entries.length : entries.length;
    partitions.push(partition);
    through.push(count);
    counts.push(entries.length);
    starts.push(start);
    sizes.push(segment.length);
    frames.push(segment);
    start += segment.length;
  }
  return [
    ...[partitions, through, counts, starts, sizes].map((numbers) => `{${numbers.join(',')}}`),
    Buffer.concat(frames),
  ];
}

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

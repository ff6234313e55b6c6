// Owns reading how far lanes have come: the next position of each, from their tenures.
import { partition, position, type Partition } from '../shared/command/identity.ts';
import type { Database } from '../shared/postgres/database.ts';
import { quoted } from '../shared/postgres/schema-name.ts';
import type { Reached } from './judge.ts';

/** One statement for all that is asked; none when nothing is. */
export async function readReached(db: Database, asked: readonly (Partition | null)[]): Promise<Reached> {
  const partitions = [...new Set(asked)].filter((each) => each !== null);
  if (partitions.length === 0) return new Map();
  const { rows } = await db.pool.query<{ readonly partition: number; readonly next: string | null }>({
    name: 'onelane-reached',
    text: `
select
  partition,
  next_position::text as next
from ${quoted(db.schema)}.tenure
where partition = any($1::integer[])`,
    values: [partitions],
  });
  return new Map(rows.map((row) => [partition(row.partition), row.next === null ? null : position(row.next)]));
}

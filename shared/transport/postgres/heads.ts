// Owns the heads of the log: making them once, reading where each partition ends, and hints about it.
import type pg from 'pg';
import { partition as partitionAt, type Partition } from '../../command/identity.ts';
import type { Database } from '../../postgres/database.ts';
import { quoted, type SchemaName } from '../../postgres/schema-name.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';

/** Makes the heads, or checks their number. Safe when two processes do it at once. */
export async function provisionLog(database: Database, partitions: number): Promise<void> {
  const found = (await logEnds(database.pool, database.schema)).length;
  if (found === 0) await makeHeads(database, partitions);
  else if (found !== partitions) throw new LogPartitionsDiffer(found, partitions);
}

async function makeHeads(database: Database, partitions: number): Promise<void> {
  const table = `${quoted(database.schema)}.log_head`;
  const found = await inTransaction(database.pool, async (tx) => {
    // Keeps others that provision out, and appends for as long as this takes; nothing can be appended yet.
    await tx.query(`lock table ${table} in share row exclusive mode`);
    await tx.query(
      `
insert into ${table} (partition)
select generate_series(0, $1::int - 1)
where not exists (select from ${table})`,
      [partitions],
    );
    const { rows } = await tx.query<{ count: number }>(`select count(*)::int as count from ${table}`);
    return rows[0]?.count ?? 0;
  });
  if (found !== partitions) throw new LogPartitionsDiffer(found, partitions);
}

/** The position that the next entry of each partition will get, in the order of partitions. */
export async function logEnds(on: pg.Pool | pg.PoolClient, schema: SchemaName): Promise<readonly number[]> {
  const { rows } = await on.query<{ next_position: string }>(
    `select next_position from ${quoted(schema)}.log_head order by partition`,
  );
  return rows.map((row) => Number(row.next_position));
}

/** Payloads stay far below what NOTIFY takes. */
const HINTS_PER_PAYLOAD_MAX = 200;

/** `partition:end` pairs, in as few payloads as may be. */
export function writeHints(ends: ReadonlyMap<Partition, number>): readonly string[] {
  const pairs = [...ends].map(([partition, end]) => `${partition}:${end}`);
  const payloads: string[] = [];
  for (let at = 0; at < pairs.length; at += HINTS_PER_PAYLOAD_MAX) {
    payloads.push(pairs.slice(at, at + HINTS_PER_PAYLOAD_MAX).join(','));
  }
  return payloads;
}

/** What cannot be read is no hint. */
export function readHints(payload: string): readonly (readonly [Partition, number])[] {
  return payload
    .split(',')
    .map((pair) => /^(\d{1,4}):(\d{1,15})$/.exec(pair))
    .filter((match) => match !== null)
    .map((match) => [partitionAt(Number(match[1])), Number(match[2])] as const);
}

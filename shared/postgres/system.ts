// Owns the system's identity: what every process of one system must agree on, stored once by the first of them.
import type pg from 'pg';
import { newUuid, trustedUuid, type Uuid } from '../command/identity.ts';
import { invariant, OnelaneError } from '../process/errors.ts';
import type { Database } from './database.ts';
import { quoted } from './schema-name.ts';
import { inTransaction } from './transaction.ts';

export interface System {
  readonly id: Uuid;
  readonly partitions: number;
  /** The number of the partition layout; rises when the partitions are re-cut. */
  readonly layout: number;
  readonly transport: string;
  readonly channel: string;
}

export interface SystemWanted {
  /** null: what is stored, or PARTITIONS_DEFAULT for a new system. */
  readonly partitions: number | null;
  readonly transport: string;
  readonly channel: string;
}

export class SystemMismatch extends OnelaneError {
  readonly code = 'system-mismatch' as const;
}

export const PARTITIONS_DEFAULT = 16;

/** Stores the identity if this is the first process, else compares. Throws SystemMismatch when this process was set up otherwise. */
export async function openSystem(db: Database, wanted: SystemWanted): Promise<System> {
  const stored = (await readSystem(db)) ?? (await inTransaction(db.pool, (tx) => insertSystem(tx, db, wanted)));
  refuseMismatch(db, stored, wanted);
  return stored;
}

/** The stored identity; null when no process has opened the system yet. */
export async function readSystem(db: Database, from: Pick<pg.Pool, 'query'> = db.pool): Promise<System | null> {
  const { rows } = await from.query<Omit<System, 'id'> & { readonly id: string }>(
    `select id, partitions, layout, transport, channel from ${quoted(db.schema)}.system`,
  );
  const row = rows[0];
  return row === undefined ? null : { ...row, id: trustedUuid(row.id) };
}

/** Two processes that start at once meet in the single row, and the second reads what the first committed. */
async function insertSystem(tx: pg.PoolClient, db: Database, wanted: SystemWanted): Promise<System> {
  const schema = quoted(db.schema);
  await tx.query(
    `insert into ${schema}.system (id, partitions, transport, channel)
     values ($1, $2, $3, $4)
     on conflict (only_one) do nothing`,
    [newUuid(), wanted.partitions ?? PARTITIONS_DEFAULT, wanted.transport, wanted.channel],
  );
  const stored = await readSystem(db, tx);
  invariant(stored !== null, 'the system row was inserted, or found, a moment ago');
  for (const table of ['tenure', 'lease']) {
    await tx.query(
      `insert into ${schema}.${table} (partition)
       select generate_series(0, $1::integer - 1)
       on conflict (partition) do nothing`,
      [stored.partitions],
    );
  }
  return stored;
}

function refuseMismatch(db: Database, stored: System, wanted: SystemWanted): void {
  const faults: string[] = [];
  if (wanted.partitions !== null && wanted.partitions !== stored.partitions) {
    faults.push(`it has ${stored.partitions} partitions, ONELANE_PARTITIONS says ${wanted.partitions}`);
  }
  if (wanted.transport !== stored.transport)
    faults.push(`its transport is ${stored.transport}, ONELANE_TRANSPORT says ${wanted.transport}`);
  if (wanted.channel !== stored.channel)
    faults.push(`its channel is ${stored.channel}, ONELANE_CHANNEL says ${wanted.channel}`);
  if (faults.length === 0) return;
  throw new SystemMismatch(
    `the system in schema "${db.schema}" is another one: ${faults.join('; ')}. Set the values of the stored system, or use another ONELANE_SCHEMA for a new one`,
  );
}

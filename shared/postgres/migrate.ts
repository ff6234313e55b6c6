// Owns the way from an empty or older database to the tables of this process, safe when many processes start at once.
import pg from 'pg';
import { OnelaneError } from '../process/errors.ts';
import type { Observe } from '../process/events.ts';
import { openPatientPool, type Database } from './database.ts';
import { migrations as ours, type Migration } from './migrations/index.ts';
import { quoted } from './schema-name.ts';
import { inTransaction } from './transaction.ts';

export class MigrationNeeded extends OnelaneError {
  readonly code = 'migration-needed' as const;

  /** `what`: what is missing; what to do is the same for all of it. */
  constructor(what: string) {
    super(`${what}: run onelane migrate; up, api and consumer do it by themselves unless ONELANE_MIGRATE is never`);
  }
}
export class DatabaseNewer extends OnelaneError {
  readonly code = 'database-newer' as const;
}
export class MigrationBusy extends OnelaneError {
  readonly code = 'migration-busy' as const;
}

export type MigrateMode = 'auto' | 'never';

/** Names our advisory locks among those of the database's other users: "onel" in ASCII. */
export const LOCK_CLASS = 0x6f6e656c;
const LOCK_WAIT_MS = 30_000;

export interface MigrateOptions {
  readonly known?: readonly Migration[];
  readonly lockWaitMs?: number;
}

interface Applied {
  readonly number: number;
  readonly breaking: boolean;
}

/**
 * Brings the schema up to the migrations of this process, each in a transaction of its own that takes the migration lock first.
 * `never` only looks. A database that is ahead is fine unless a breaking migration is.
 */
export async function migrate(
  db: Database,
  mode: MigrateMode,
  observe: Observe,
  options: MigrateOptions = {},
): Promise<void> {
  const { known = ours, lockWaitMs = LOCK_WAIT_MS } = options;
  const before = await appliedMigrations(db);
  refuseNewer(before, known);
  const from = highest(before);
  if (pending(before, known) === undefined) return;
  if (mode === 'never') {
    throw new MigrationNeeded(
      `schema "${db.schema}" ${from === 0 ? 'has no tables of Onelane' : `is at migration ${from} and this version needs ${highest(known)}`}`,
    );
  }
  const patient = { ...db, pool: openPatientPool(db) };
  try {
    for (;;) {
      const applied = await applyNext(patient, known, lockWaitMs);
      if (applied === null) break;
      observe({ kind: 'migrated', from: applied - 1, to: applied });
    }
  } finally {
    await patient.pool.end();
  }
}

/** Whether no process of any version has been in this schema, or there is none. */
export async function isUntouched(db: Database): Promise<boolean> {
  return (await appliedMigrations(db)).length === 0;
}

/** For processes that run while another one migrates: throws DatabaseNewer once a breaking migration has overtaken them. */
export async function refuseOvertaken(db: Database, known: readonly Migration[] = ours): Promise<void> {
  refuseNewer(await appliedMigrations(db), known);
}

function refuseNewer(applied: readonly Applied[], known: readonly Migration[]): void {
  const stranger = applied.find((each) => each.breaking && !known.some((one) => one.number === each.number));
  if (stranger === undefined) return;
  throw new DatabaseNewer(
    `the database has migration ${stranger.number}, which this version does not know and cannot work with: update Onelane to the version that made it`,
  );
}

function pending(applied: readonly Applied[], known: readonly Migration[]): Migration | undefined {
  return known.find((one) => !applied.some((each) => each.number === one.number));
}

function highest(list: readonly { readonly number: number }[]): number {
  return list.reduce((most, each) => Math.max(most, each.number), 0);
}

async function appliedMigrations(db: Database): Promise<readonly Applied[]> {
  const table = await db.pool.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    `${quoted(db.schema)}.migration`,
  ]);
  if (table.rows[0]?.there !== true) return [];
  return (await db.pool.query<Applied>(readApplied(db))).rows;
}

const readApplied = (db: Database): string =>
  `select number, breaking from ${quoted(db.schema)}.migration order by number`;

/** The number of the migration that was applied; null when there was nothing left to do. */
async function applyNext(db: Database, known: readonly Migration[], lockWaitMs: number): Promise<number | null> {
  try {
    return await inTransaction(db.pool, async (tx) => {
      await tx.query(`set local lock_timeout = ${lockWaitMs}`);
      await tx.query('select pg_advisory_xact_lock($1, hashtext($2))', [LOCK_CLASS, db.schema]);
      return applyUnderLock(tx, db, known);
    });
  } catch (cause) {
    throw cause instanceof pg.DatabaseError && cause.code === '55P03' ? busy(cause, lockWaitMs) : cause;
  }
}

async function applyUnderLock(tx: pg.PoolClient, db: Database, known: readonly Migration[]): Promise<number | null> {
  const schema = quoted(db.schema);
  const there = await tx.query('select 1 from pg_namespace where nspname = $1', [db.schema]);
  // `create schema if not exists` would ask for the right to create even where nothing is to be created.
  if (there.rowCount === 0) await tx.query(`create schema ${schema}`);
  await tx.query(`
create table if not exists ${schema}.migration (
  number integer primary key check (number >= 1),
  name text not null,
  breaking boolean not null,
  applied_at timestamptz not null default now()
)`);
  const applied = (await tx.query<Applied>(readApplied(db))).rows;
  refuseNewer(applied, known);
  const next = pending(applied, known);
  if (next === undefined) return null;
  await tx.query(next.sql.replaceAll('{schema}', schema));
  await tx.query(`insert into ${schema}.migration (number, name, breaking) values ($1, $2, $3)`, [
    next.number,
    next.name,
    next.breaking,
  ]);
  return next.number;
}

function busy(cause: Error, waitedMs: number): MigrationBusy {
  return new MigrationBusy(
    `another session held a lock that a migration needs for ${waitedMs / 1_000} s: end long transactions on Onelane's tables and start again`,
    { cause },
  );
}

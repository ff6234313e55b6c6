// Owns the SQL files of a config: each runs once per system, in a transaction, and must not change afterwards.
import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Database } from '../../shared/postgres/database.ts';
import { LOCK_CLASS, MigrationNeeded, type MigrateMode } from '../../shared/postgres/migrate.ts';
import { quoted } from '../../shared/postgres/schema-name.ts';
import { newTablesOf } from '../../shared/postgres/search-path.ts';
import { inLongTransaction } from '../../shared/postgres/transaction.ts';
import { asError, OnelaneError } from '../../shared/process/errors.ts';
import type { SqlFile } from './load-config.ts';

export class ConfigSqlChanged extends OnelaneError {
  readonly code = 'config-sql-changed' as const;
}

export class ConfigSqlFailed extends OnelaneError {
  readonly code = 'config-sql-failed' as const;
}

/** Runs what has not run yet, in the order of the config; returns the names of what ran now. `never` only looks. */
export async function applyConfigSql(
  db: Database,
  files: readonly SqlFile[],
  mode: MigrateMode,
): Promise<readonly string[]> {
  const applied: string[] = [];
  for (const file of files) {
    if (await isApplied(db.pool, db, file)) continue;
    if (mode === 'never') {
      throw new MigrationNeeded(`${file.name} of the config has not run in schema "${db.schema}"`);
    }
    if (await apply(db, file)) applied.push(file.name);
  }
  return applied;
}

/** Those that would run. Throws ConfigSqlChanged. */
export async function pendingConfigSql(db: Database, files: readonly SqlFile[]): Promise<readonly string[]> {
  const pending: string[] = [];
  for (const file of files) if (!(await isApplied(db.pool, db, file))) pending.push(file.name);
  return pending;
}

/** False when another process was faster. */
function apply(db: Database, file: SqlFile): Promise<boolean> {
  return inLongTransaction(db, async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1, hashtext($2))', [LOCK_CLASS, db.schema]);
    if (await isApplied(tx, db, file)) return false;
    try {
      await tx.query(file.text);
    } catch (thrown) {
      throw await failed(db, file, asError(thrown));
    }
    await tx.query(`insert into ${quoted(db.schema)}.config_sql (file, hash) values ($1, $2)`, [
      file.name,
      hashOf(file),
    ]);
    return true;
  });
}

async function isApplied(from: Pick<pg.Pool, 'query'>, db: Database, file: SqlFile): Promise<boolean> {
  const { rows } = await from.query<{ readonly hash: string; readonly at: Date }>(
    `select hash, applied_at as at from ${quoted(db.schema)}.config_sql where file = $1`,
    [file.name],
  );
  const [row] = rows;
  if (row === undefined) return false;
  if (row.hash === hashOf(file)) return true;
  throw new ConfigSqlChanged(
    `${file.name} is not the file that ran on ${row.at.toISOString()}: give it its old text again, put the change into a new file, and name that in the config, too`,
  );
}

/** A checkout with other line ends is the same file. */
function hashOf(file: SqlFile): string {
  return createHash('sha256').update(file.text.replaceAll('\r\n', '\n').trimEnd()).digest('hex');
}

async function failed(db: Database, file: SqlFile, cause: Error): Promise<ConfigSqlFailed> {
  const state = 'code' in cause && typeof cause.code === 'string' ? cause.code : null;
  const advice = state !== null && NO_PLACE.has(state) ? await placeAdvice(db) : '';
  return new ConfigSqlFailed(
    `${file.name}${lineOf(file, cause)} was refused by the database, and nothing of it was kept: ${cause.message}${state === null ? '' : ` (${state})`}${advice}`,
    { cause },
  );
}

/** "permission denied", of anything; and "no schema has been selected to create in". */
const NO_PLACE = new Set(['42501', '3F000']);

/** '' when the role may create where names without a schema lead: then the database's own words must do. Never rejects. */
async function placeAdvice(db: Database): Promise<string> {
  const found = await newTablesOf(db.pool).catch(() => null);
  if (found === null || found.mayCreate) return '';
  const { role, schema } = found;
  return schema === null
    ? `; names without a schema lead nowhere for role ${role}: name a schema in the file, or grant usage and create on a schema of its search_path, as public, to ${role}`
    : `; names without a schema lead to schema ${schema}, in which role ${role} may not create: name a schema in the file, or grant create on schema ${schema} to ${role}`;
}

/** PostgreSQL counts characters from 1. */
function lineOf(file: SqlFile, cause: Error): string {
  const at = 'position' in cause ? Number(cause.position) : NaN;
  return at >= 1 ? ` line ${file.text.slice(0, at - 1).split('\n').length}` : '';
}

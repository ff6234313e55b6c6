// Owns the SQL of forgetting: how far lanes are, and which last revisions are old enough.
import type pg from 'pg';
import { partition, position } from '../../shared/command/identity.ts';
import type { Database } from '../../shared/postgres/database.ts';
import { quoted } from '../../shared/postgres/schema-name.ts';
import type { Progress } from './horizon.ts';

export async function databaseTime(db: Database): Promise<Date> {
  const { rows } = await db.pool.query<{ now: Date }>('select clock_timestamp() as now');
  return rows[0]?.now ?? new Date(0);
}

export async function readProgress(db: Database): Promise<readonly Progress[]> {
  const { rows } = await db.pool.query<ProgressRow>(
    `select partition, next_position::text as next, last_appended_at as at
     from ${quoted(db.schema)}.tenure`,
  );
  return rows.map((row) => ({
    partition: partition(row.partition),
    next: row.next === null ? null : position(row.next),
    lastAppendedAt: row.at,
  }));
}

interface ProgressRow extends pg.QueryResultRow {
  readonly partition: number;
  readonly next: string | null;
  readonly at: Date | null;
}

/**
 * Deletes at most `rowsMax` last revisions dated before `horizon`; returns how many. A held resource keeps its own: what is parked
 * counts on from it. Rows that a lane is writing are left for the next time.
 */
export async function deleteLastRevisions(db: Database, horizon: Date, rowsMax: number): Promise<number> {
  const schema = quoted(db.schema);
  const { rowCount } = await db.pool.query(
    `with old as materialized (
       select l.resource
       from ${schema}.last_revision as l
       where l.at < $1
         and not exists (select from ${schema}.hold as h where h.resource = l.resource)
       order by l.at
       limit $2
       for update skip locked
     )
     delete from ${schema}.last_revision as l
     using old
     where l.resource = old.resource
       and l.at < $1`,
    [horizon, rowsMax],
  );
  return rowCount ?? 0;
}

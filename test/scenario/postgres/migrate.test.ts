// Migrations: however many processes start at once; an older process stops only where a breaking one is ahead.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { closeDatabase, openDatabase } from '../../../shared/postgres/database.ts';
import {
  DatabaseNewer,
  migrate,
  MigrationBusy,
  MigrationNeeded,
  refuseOvertaken,
} from '../../../shared/postgres/migrate.ts';
import { migrations, type Migration } from '../../../shared/postgres/migrations/index.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { freshSchemas, impatientPool, type TestSchemas } from '../../support/database.ts';

const opened: TestSchemas[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

async function bundle() {
  const schemas = await freshSchemas();
  opened.push(schemas);
  const events: OnelaneEvent[] = [];
  const observe = (event: OnelaneEvent) => void events.push(event);
  const applied = async () =>
    (
      await schemas.database.pool.query<{ number: number }>(
        `select number from ${schemas.schema}.migration order by number`,
      )
    ).rows.map((row) => row.number);
  return { ...schemas, events, observe, applied };
}

const step = (number: number, change: Partial<Migration> = {}): Migration => ({
  number,
  name: `step-${number}`,
  breaking: false,
  sql: `create table {schema}.step_${number} (id integer)`,
  ...change,
});

describe('migrate', () => {
  it('ten connections that start at once on an empty database apply each migration once', async () => {
    const { url, schema, database, applied, events, observe } = await bundle();
    const others = await Promise.all(
      Array.from({ length: 10 }, () => openDatabase({ url, schema, poolMax: 2, observe })),
    );
    const known = [step(1), step(2), step(3)];
    await Promise.all([database, ...others].map((db) => migrate(db, 'auto', observe, { known })));
    await Promise.all(others.map(closeDatabase));
    expect(await applied()).toEqual([1, 2, 3]);
    expect(events.filter((event) => event.kind === 'migrated')).toHaveLength(3);
  });

  it('a migration may take longer than the pool waits for an answer', async () => {
    const { url, database, applied, observe } = await bundle();
    const pool = impatientPool({ url });
    try {
      const slow = step(1, { sql: 'select pg_sleep(0.3)' });
      await migrate({ ...database, pool }, 'auto', observe, { known: [slow] });
    } finally {
      await pool.end();
    }
    expect(await applied()).toEqual([1]);
  });

  it('real processes that start at once on an empty database come to one system', async () => {
    const { url, schema, applied } = await bundle();
    const program = fileURLToPath(new URL('migrate-once.ts', import.meta.url));
    const start = () => promisify(execFile)(process.execPath, ['--import', 'jiti/register', program, url, schema]);
    const ends = await Promise.all([start(), start(), start()]);
    expect(new Set(ends.map((end) => end.stdout)).size).toBe(1);
    expect(ends[0]?.stdout).toMatch(/^[0-9a-f-]{36}$/);
    expect(await applied()).toEqual(migrations.map((each) => each.number));
  });

  it('only what is missing is applied, and an up-to-date database is left alone', async () => {
    const { database, applied, observe, events } = await bundle();
    await migrate(database, 'auto', observe, { known: [step(1)] });
    await migrate(database, 'auto', observe, { known: [step(1), step(2)] });
    const blocker = await database.pool.connect();
    try {
      await blocker.query(`begin; lock table ${database.schema}.migration in share row exclusive mode`);
      await migrate(database, 'auto', observe, { known: [step(1), step(2)], lockWaitMs: 100 });
    } finally {
      await blocker.query('rollback');
      blocker.release();
    }
    expect(await applied()).toEqual([1, 2]);
    expect(events.map((event) => event.kind === 'migrated' && event.to)).toEqual([1, 2]);
  });

  it('never: a database that lacks migrations is refused and not touched', async () => {
    const { database, schema, observe } = await bundle();
    await expect(migrate(database, 'never', observe)).rejects.toBeInstanceOf(MigrationNeeded);
    expect((await database.pool.query('select 1 from pg_namespace where nspname = $1', [schema])).rowCount).toBe(0);
    await migrate(database, 'auto', observe);
    await migrate(database, 'never', observe);
  });

  it('an older process goes on beside a migration that only adds, and stops at a breaking one', async () => {
    const { database, observe } = await bundle();
    const older = [step(1)];
    await migrate(database, 'auto', observe, { known: [...older, step(2)] });
    await migrate(database, 'auto', observe, { known: older });
    await refuseOvertaken(database, older);
    await migrate(database, 'auto', observe, { known: [...older, step(2), step(3, { breaking: true })] });
    for (const mode of ['auto', 'never'] as const) {
      await expect(migrate(database, mode, observe, { known: older })).rejects.toBeInstanceOf(DatabaseNewer);
    }
    await expect(refuseOvertaken(database, older)).rejects.toBeInstanceOf(DatabaseNewer);
  });

  it('a migration that fails leaves nothing of itself, and the ones before it stand', async () => {
    const { database, schema, applied, observe } = await bundle();
    const broken = step(2, { sql: 'create table {schema}.half (id integer); select 1 / 0' });
    await expect(migrate(database, 'auto', observe, { known: [step(1), broken] })).rejects.toMatchObject({
      code: '22012',
    });
    expect(await applied()).toEqual([1]);
    expect((await database.pool.query('select to_regclass($1) as half', [`${schema}.half`])).rows).toEqual([
      { half: null },
    ]);
    await migrate(database, 'auto', observe, { known: [step(1), step(2)] });
    expect(await applied()).toEqual([1, 2]);
  });

  it('waits for a lock only so long, and says what to do', async () => {
    const { database, observe } = await bundle();
    await migrate(database, 'auto', observe, { known: [step(1)] });
    const blocker = await database.pool.connect();
    try {
      await blocker.query(`begin; lock table ${database.schema}.step_1 in access share mode`);
      const known = [step(1), step(2, { sql: 'alter table {schema}.step_1 add column more integer' })];
      await expect(migrate(database, 'auto', observe, { known, lockWaitMs: 100 })).rejects.toBeInstanceOf(
        MigrationBusy,
      );
    } finally {
      await blocker.query('rollback');
      blocker.release();
    }
  });
});

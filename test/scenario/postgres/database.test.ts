// A database that cannot be used is refused with a sentence of its own; one that can gives sessions as lanes need them.
import { afterEach, describe, expect, it } from 'vitest';
import { closeDatabase, openDatabase, openLanePool } from '../../../shared/postgres/database.ts';
import {
  DatabaseAway,
  DatabaseMissing,
  DatabaseRefused,
  DatabaseUrlMalformed,
} from '../../../shared/postgres/database-errors.ts';
import { freshSchemas, testServerUrl, type TestSchemas } from '../../support/database.ts';

const NOT_NAMED = 'it is not';
const opened: TestSchemas[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

async function bundle(): Promise<TestSchemas> {
  const schemas = await freshSchemas();
  opened.push(schemas);
  return schemas;
}

function other(change: (url: URL) => void): string {
  const url = new URL(testServerUrl());
  change(url);
  return url.href;
}

describe('openDatabase', () => {
  it.each([
    ['nobody listens', () => other((url) => (url.port = '1')), DatabaseAway],
    ['the host does not exist', () => other((url) => (url.hostname = 'nowhere.invalid')), DatabaseAway],
    ['the database is missing', () => other((url) => (url.pathname = '/not_here')), DatabaseMissing],
    ['the user is unknown', () => other((url) => (url.username = 'nobody_here')), DatabaseRefused],
    ['the URL is of something else', () => 'mysql://localhost/x', DatabaseUrlMalformed],
    ['the URL is no URL', () => 'localhost', DatabaseUrlMalformed],
  ])('%s: refused by name, without the password', async (_what, url, error) => {
    const { schema } = await bundle();
    const wanted = { url: url(), schema, poolMax: 2, observe: () => undefined };
    const thrown = await openDatabase(wanted).catch((cause: unknown) => cause);
    expect(thrown).toBeInstanceOf(error);
    const { password } = new URL(testServerUrl());
    if (password !== '') expect(String(thrown)).not.toContain(password);
  });

  it('a lane session commits durably, gives up a lock before a statement, and speaks UTC and ISO', async () => {
    const { url, schema } = await bundle();
    const named = new URL(url);
    named.searchParams.set('application_name', 'mine');
    const lanePool = openLanePool({ url: named.href, schema }, 1);
    const { rows } = await lanePool.query<Record<string, string>>(
      `select name, setting from pg_settings where name in ('synchronous_commit', 'lock_timeout', 'statement_timeout', 'TimeZone', 'DateStyle',
        'idle_in_transaction_session_timeout', 'tcp_user_timeout', 'bytea_output', 'extra_float_digits', 'application_name')`,
    );
    const setting = new Map(rows.map((row) => [row['name'], row['setting']]));
    await lanePool.end();
    expect(setting.get('synchronous_commit')).toBe('on');
    expect(Number(setting.get('lock_timeout'))).toBeGreaterThan(0);
    expect(Number(setting.get('lock_timeout'))).toBeLessThan(Number(setting.get('statement_timeout')));
    expect(Number(setting.get('idle_in_transaction_session_timeout'))).toBeGreaterThan(0);
    expect(setting.get('TimeZone')).toBe('UTC');
    expect(setting.get('DateStyle')).toMatch(/^ISO/);
    expect(setting.get('bytea_output')).toBe('hex');
    expect(setting.get('application_name')).toBe('onelane-lane');
  });

  it.each([
    ['it comes first', '{own},{tables}', '{tables}'],
    ['it comes quoted, between others', '{tables},"{own}",public', '{tables}'],
    ['a user of its name stands', '"$user",{tables}', '{tables}'],
    ['it stands alone', '{own}', '{own}'],
    [NOT_NAMED, '{tables},public', '{tables}'],
  ])('names lead to Onelane’s schema last of all when %s in the path of schemas', async (which, path, home) => {
    const { database, lanePool, schema, close } = await withPath(path);
    try {
      for (const pool of [database.pool, lanePool]) {
        const { rows } = await pool.query(
          `select current_schema() as home, to_regclass('legacy') is not null as finds`,
        );
        expect(rows).toEqual([
          { home: home.replace('{own}', schema).replace('{tables}', `${schema}_rows`), finds: which !== NOT_NAMED },
        ]);
      }
    } finally {
      await close();
    }
  });

  it.each(['pool', 'lanePool'] as const)(
    'a session of the %s that the server ends, borrowed or idle, ends no process',
    async (which) => {
      const { database, lanePool } = await bundle();
      const pool = which === 'pool' ? database.pool : lanePool;
      const borrowed = await pool.connect();
      const idle = await pool.connect();
      const pids = await Promise.all([borrowed, idle].map((client) => pidOf(client)));
      idle.release();
      const ended = [borrowed, idle].map((client) => new Promise((resolve) => client.once('end', resolve)));
      await database.pool
        .query('select pg_terminate_backend(pid) from unnest($1::int[]) as given (pid)', [pids])
        .catch(() => undefined);
      await Promise.all(ended);
      await expect(borrowed.query('select 1')).rejects.toThrow();
      borrowed.release(true);
      expect(await pidOf(pool)).not.toBe(pids[0]);
    },
  );
});

/** Both pools as a user who is called like the schema, and whose path of schemas is set to `path`; a table `legacy` lies in the schema. */
async function withPath(path: string) {
  const { database: admin, schema, tables } = await bundle();
  const named = path.replaceAll('{own}', schema).replaceAll('{tables}', tables);
  await admin.pool.query(
    `create schema ${schema}; create table ${schema}.legacy (id text);
     create role ${schema} superuser login password 'secret'; alter role ${schema} set search_path = ${named}`,
  );
  const url = other((each) => {
    each.username = schema;
    each.password = 'secret';
  });
  const database = await openDatabase({ url, schema, poolMax: 2, observe: () => undefined });
  const lanePool = openLanePool({ url, schema }, 1);
  const close = async () => {
    await lanePool.end();
    await closeDatabase(database);
    await admin.pool.query(`drop role ${schema}`);
  };
  return { database, lanePool, schema, close };
}

async function pidOf(client: Pick<TestSchemas['lanePool'], 'query'>): Promise<number | undefined> {
  return (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;
}

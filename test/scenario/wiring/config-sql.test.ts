// Proves that a config's SQL files run once, whole or not at all, and that a changed one is noticed.
import { afterEach, describe, expect, test } from 'vitest';
import { applyConfigSql, pendingConfigSql } from '../../../operators/wiring/config-sql.ts';
import type { SqlFile } from '../../../operators/wiring/load-config.ts';
import { closeDatabase, openDatabase } from '../../../shared/postgres/database.ts';
import { freshDatabase, impatientPool, type TestDatabase } from '../../support/database.ts';

const opened: Pick<TestDatabase, 'close'>[] = [];

async function bundle() {
  const fresh = await freshDatabase();
  opened.push(fresh);
  const table = `${fresh.tables}.account`;
  const file = (name: string, text: string): SqlFile => ({ name, text: text.replaceAll('{account}', table) });
  const apply = (files: readonly SqlFile[], mode: 'auto' | 'never' = 'auto') =>
    applyConfigSql(fresh.database, files, mode);
  const rows = async () => (await fresh.database.pool.query(`select id from ${table} order by id`)).rowCount;
  return { fresh, file, apply, rows };
}

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

/** `fresh` as a role that is called like Onelane's schema, may use Onelane's tables, and creates only where it is let. */
async function asRole(fresh: TestDatabase, path: string) {
  const { database: admin, schema, tables, url } = fresh;
  await admin.pool.query(
    `create role ${schema} login password 'secret';
     grant usage on schema ${schema}, ${tables} to ${schema};
     grant all on all tables in schema ${schema} to ${schema};
     alter role ${schema} set search_path = ${path}`,
  );
  const own = new URL(url);
  own.username = schema;
  own.password = 'secret';
  const database = await openDatabase({ url: own.href, schema, poolMax: 2, observe: () => undefined });
  opened.push({
    close: async () => {
      await closeDatabase(database);
      await admin.pool.query(`drop owned by ${schema}; drop role ${schema}`);
    },
  });
  return database;
}

const MAKE = 'create table {account} (id text primary key);\ninsert into {account} values (gen_random_uuid());\n';

describe("a config's SQL files", () => {
  test('run in their order, once', async () => {
    const { file, apply, rows, fresh } = await bundle();
    const files = [file('a.sql', MAKE), file('b.sql', "insert into {account} values ('b');")];
    expect(await pendingConfigSql(fresh.database, files)).toEqual(['a.sql', 'b.sql']);
    expect(await apply(files)).toEqual(['a.sql', 'b.sql']);
    expect(await apply(files)).toEqual([]);
    expect(await rows()).toBe(2);
  });

  test('run once although many processes start at the same time', async () => {
    const { file, apply, rows } = await bundle();
    const done = await Promise.all(Array.from({ length: 4 }, () => apply([file('a.sql', MAKE)])));
    expect(done.flat()).toEqual(['a.sql']);
    expect(await rows()).toBe(1);
  });

  test('are refused when one has changed since it ran, but not for other line ends', async () => {
    const { file, apply } = await bundle();
    await apply([file('a.sql', MAKE)]);
    expect(await apply([file('a.sql', MAKE.replaceAll('\n', '\r\n'))])).toEqual([]);
    await expect(apply([file('a.sql', `${MAKE} -- more`)])).rejects.toMatchObject({ code: 'config-sql-changed' });
  });

  test('leave nothing behind when the database refuses one, and name its line', async () => {
    const { file, apply, rows } = await bundle();
    await expect(apply([file('a.sql', `${MAKE}insert into nowhere values (1);`)])).rejects.toMatchObject({
      code: 'config-sql-failed',
      message: expect.stringMatching(/^a\.sql line 3 .*nowhere.*42P01/),
    });
    await expect(rows()).rejects.toMatchObject({ code: '42P01' });
    expect(await apply([file('a.sql', MAKE)])).toEqual(['a.sql']);
  });

  test('say where names without a schema lead, and who may not create there', async () => {
    const { fresh, file } = await bundle();
    const { schema, tables } = fresh;
    const database = await asRole(fresh, `"$user", ${tables}`);
    const unqualified = file('a.sql', 'create table own (id text);');
    await expect(applyConfigSql(database, [unqualified], 'auto')).rejects.toMatchObject({
      code: 'config-sql-failed',
      message: `a.sql line 1 was refused by the database, and nothing of it was kept: permission denied for schema ${tables} (42501); names without a schema lead to schema ${tables}, in which role ${schema} may not create: name a schema in the file, or grant create on schema ${tables} to ${schema}`,
    });
    await fresh.database.pool.query(`grant create on schema ${tables} to ${schema}; create table ${tables}.theirs ()`);
    const refused = file('b.sql', 'alter table theirs add column id text;');
    await expect(applyConfigSql(database, [refused], 'auto')).rejects.toMatchObject({
      message: expect.stringMatching(/^b\.sql was refused .*\(42501\)$/),
    });
    expect(await applyConfigSql(database, [unqualified], 'auto')).toEqual(['a.sql']);
  });

  test('say when names without a schema lead nowhere', async () => {
    const { fresh, file } = await bundle();
    const database = await asRole(fresh, 'nowhere');
    await expect(
      applyConfigSql(database, [file('a.sql', 'create table own (id text);')], 'auto'),
    ).rejects.toMatchObject({
      code: 'config-sql-failed',
      message: `a.sql line 1 was refused by the database, and nothing of it was kept: no schema has been selected to create in (3F000); names without a schema lead nowhere for role ${fresh.schema}: name a schema in the file, or grant usage and create on a schema of its search_path, as public, to ${fresh.schema}`,
    });
  });

  test('may take longer than the pool waits for an answer, and leave none of their settings behind', async () => {
    const { file, rows, fresh } = await bundle();
    const pool = impatientPool(fresh);
    try {
      const slow = file('a.sql', `set statement_timeout = 7777; ${MAKE}select pg_sleep(0.3);`);
      expect(await applyConfigSql({ ...fresh.database, pool }, [slow], 'auto')).toEqual(['a.sql']);
      expect((await pool.query('show statement_timeout')).rows).not.toEqual([{ statement_timeout: '7777ms' }]);
    } finally {
      await pool.end();
    }
    expect(await rows()).toBe(1);
  });

  test('are only looked at by a process that may not migrate', async () => {
    const { file, apply } = await bundle();
    await expect(apply([file('a.sql', MAKE)], 'never')).rejects.toMatchObject({ code: 'migration-needed' });
    await apply([file('a.sql', MAKE)]);
    expect(await apply([file('a.sql', MAKE)], 'never')).toEqual([]);
  });
});

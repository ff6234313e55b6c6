// Proves that a mapping which would fail later, or lose something, is refused at start with one sentence.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bigint, custom, nullable, numeric, text, textArray, type Column } from '../../../shared/resources/columns.ts';
import { jsonb } from '../../../shared/resources/json-column.ts';
import { tableCheck } from '../../../shared/resources/table-check.ts';
import { tableRows } from '../../../shared/resources/table-rows.ts';
import { timestamptz } from '../../../shared/resources/temporal-columns.ts';
import { freshSchemas, type TestSchemas } from '../../support/database.ts';

let db: TestSchemas;
beforeAll(async () => {
  db = await freshSchemas();
  await db.database.pool.query(`create type "${db.tables}".color as enum ('red', 'green')`);
});
afterAll(async () => {
  await db.close();
});

interface Mapping {
  readonly table?: string;
  readonly key?: { readonly column: string; readonly type: 'text' | 'bigint' | 'integer' | 'uuid' };
  readonly revision?: string;
  readonly columns?: Readonly<Record<string, Column<unknown>>>;
}

/** The sentence, or null; each in a table of its own, made of these column definitions. */
async function check(definition: string, mapping: Mapping = {}, more = ''): Promise<string | null> {
  const table = `t${Math.random().toString(36).slice(2)}`;
  const named = (sql: string) => sql.replaceAll('{table}', `"${db.tables}".${table}`).replaceAll('{schema}', db.tables);
  await db.database.pool.query(named(`create table {table} (${definition}); ${more}`));
  return await judged(`${db.tables}.${table}`, mapping);
}

async function judged(table: string, mapping: Mapping): Promise<string | null> {
  const rows = tableRows({
    table,
    key: { column: 'id', type: 'bigint' },
    revision: 'revision',
    columns: {},
    ...mapping,
  });
  const { text: statement, values, judge } = tableCheck(rows, isOwn);
  const found = await db.database.pool.query(statement, [...values]);
  const mismatch = judge(found.rows);
  if (mismatch !== null) expect(mismatch.code).toBe('table-mismatch');
  return mismatch?.message ?? null;
}

const isOwn = (schema: string, table: string) => schema === db.tables && table === 'lease';

const KEY = 'id bigint primary key, revision bigint not null default 0';

describe('a table that is as it is mapped', () => {
  it('passes, whatever its columns are called', async () => {
    expect(
      await check(
        `"i d" uuid unique not null, "Select" bigint not null, "from" text not null, "a""b.c" varchar(20), n numeric(12,2) not null,
         free numeric not null, at timestamptz not null, exact timestamptz(6) not null, doc jsonb not null, tags text[] not null,
         kind "{schema}".color not null, other text, generated bigint generated always as (1) stored`,
        {
          key: { column: 'i d', type: 'uuid' },
          revision: 'Select',
          columns: {
            from: text(),
            quoted: nullable(text('a"b.c')),
            n: numeric('n', { scale: 2 }),
            free: numeric(),
            at: timestamptz(),
            exact: timestamptz(),
            doc: jsonb(),
            tags: textArray(),
            kind: custom('kind', { sqlType: `${db.tables}.color`, encode: String, decode: String }),
          },
        },
      ),
    ).toBeNull();
  });

  it('passes with a key and a revision alone, with a domain, partitioned, or filled in by a trigger', async () => {
    expect(await check(KEY)).toBeNull();
    await db.database.pool.query(`create domain "${db.tables}".money as numeric(10,2) check (value >= 0)`);
    expect(
      await check(`${KEY}, price "{schema}".money not null`, { columns: { price: numeric('price', { scale: 2 }) } }),
    ).toBeNull();
    const filled = await check(
      `${KEY}, stamp timestamptz not null`,
      {},
      `create function "{schema}".stamp() returns trigger language plpgsql as $$ begin new.stamp = now(); return new; end $$;
       create trigger stamp before insert on {table} for each row execute function "{schema}".stamp();`,
    );
    expect(filled).toBeNull();
    await db.database.pool.query(`
      create table "${db.tables}".parts (${KEY}) partition by range (id);
      create table "${db.tables}".part_1 partition of "${db.tables}".parts for values from (0) to (1000)`);
    expect(await judged(`${db.tables}.parts`, {})).toBeNull();
  });
});

describe('a mapping is refused when', () => {
  const amount = { columns: { amount: bigint() } };
  const cases: readonly (readonly [string, string, Mapping, RegExp])[] = [
    ['a column is missing', KEY, amount, /column "amount" does not exist/],
    ['a column has another type', `${KEY}, amount integer not null`, amount, /is integer, but mapped as bigint/],
    [
      'a text is padded',
      `${KEY}, amount char(3) not null`,
      { columns: { amount: text() } },
      /is character, but mapped as text/,
    ],
    ['a null may come up', `${KEY}, amount bigint`, amount, /may be null; map it with nullable/],
    [
      'a null may go down',
      `${KEY}, amount bigint not null`,
      { columns: { amount: nullable(bigint()) } },
      /map it without/,
    ],
    [
      'a numeric would round',
      `${KEY}, n numeric(9,3) not null`,
      { columns: { n: numeric() } },
      /map it with \{ scale: 3 \}/,
    ],
    [
      'a scale is only in the mapping',
      `${KEY}, n numeric not null`,
      { columns: { n: numeric('n', { scale: 3 }) } },
      /without a scale/,
    ],
    [
      'an instant would round',
      `${KEY}, at timestamptz(3) not null`,
      { columns: { at: timestamptz() } },
      /widen it to 6/,
    ],
    ['a column is generated', `${KEY}, amount bigint generated always as (1) stored`, amount, /generated/],
    [
      'the key is generated',
      'id bigint generated always as identity primary key, revision bigint not null',
      {},
      /generated/,
    ],
    ['the key is not unique', 'id bigint not null, revision bigint not null', {}, /no unique index/],
    [
      'the key is unique with others only',
      'id bigint, revision bigint not null, primary key (id, revision)',
      {},
      /no unique index/,
    ],
    [
      'the key’s index is deferrable',
      'id bigint primary key deferrable, revision bigint not null',
      {},
      /no unique index/,
    ],
    ['the key may be null', 'id bigint unique, revision bigint not null', {}, /may be null/],
    [
      'the revision is no bigint',
      'id bigint primary key, revision integer not null',
      {},
      /"revision" is integer, but mapped as bigint/,
    ],
    ['the revision may be null', 'id bigint primary key, revision bigint', {}, /make it not null default 0/],
    ['rows could not be made', `${KEY}, must text not null`, {}, /"must" is not null and has no default/],
  ];
  it.each(cases)('%s', async (_, definition, mapping, sentence) => {
    expect(await check(definition, mapping)).toMatch(sentence);
  });

  it('there is no such table, or a view in its place', async () => {
    expect(await judged(`${db.tables}.nowhere`, {})).toMatch(/no such table/);
    expect(await judged(`no such schema.nowhere`, {})).toMatch(/no such table/);
    await db.database.pool.query(`create view "${db.tables}".seen as select 1::bigint as id, 2::bigint as revision`);
    expect(await judged(`${db.tables}.seen`, {})).toMatch(/a view/);
  });

  it('different texts are one key', async () => {
    await db.database.pool.query(
      `create collation "${db.tables}".nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    );
    const folded = await check('id text collate "{schema}".nocase primary key, revision bigint not null', {
      key: { column: 'id', type: 'text' },
    });
    expect(folded).toMatch(/different texts are equal/);
    expect(
      await check('id varchar(9) primary key, revision bigint not null', { key: { column: 'id', type: 'text' } }),
    ).toBeNull();
  });

  it('the table is one of Onelane’s own', async () => {
    await db.database.pool.query(`create table "${db.tables}".lease (${KEY})`);
    expect(await judged(`${db.tables}.lease`, {})).toMatch(/one of Onelane’s own; make a table of yours in another/);
  });

  it('this user may not write the table', async () => {
    const client = await db.database.pool.connect();
    const user = `${db.schema}_reader`;
    try {
      await client.query(`create table "${db.tables}".theirs (${KEY}); create role ${user}`);
      await client.query(
        `grant usage on schema "${db.tables}" to ${user}; grant select on "${db.tables}".theirs to ${user}`,
      );
      await client.query(`set role ${user}`);
      const {
        text: statement,
        values,
        judge,
      } = tableCheck(
        tableRows({
          table: `${db.tables}.theirs`,
          key: { column: 'id', type: 'bigint' },
          revision: 'revision',
          columns: {},
        }),
        isOwn,
      );
      expect(judge((await client.query(statement, [...values])).rows)?.message).toMatch(/grant all four/);
    } finally {
      await client.query(`reset role; drop owned by ${user}; drop role ${user}`);
      client.release();
    }
  });
});

// Owns the SQL that reads and writes one resource type's rows, made once from the row store's names.
import { quoteName, quoteTable } from '../../../shared/postgres/schema-name.ts';
import type { MappedColumn, RowStore } from '../../../shared/resources/row-store.ts';
import type { RowLocking } from '../batch-store.ts';
import { statement, type Statement } from './flush.ts';

export type RowWrite = 'delete' | 'update' | 'insert';

/** How the statement refers to its n-th parameter. */
export type Placeholder = (at: number) => string;

export interface TableSql {
  readonly select: Readonly<Record<RowLocking, Statement>>;
  /** Against every other writer, until the transaction ends. */
  readonly lock: Statement;
  /** The body of a CTE that returns one row for each one written; `parameter` names the next ones, from 0. */
  write(what: RowWrite, parameter: Placeholder): string;
}

export function tableSql(rows: RowStore<unknown>): TableSql {
  const table = quoteTable(rows.table);
  const key = quoteName(rows.key.name);
  const revision = quoteName(rows.revisionColumn);
  const names = rows.columns.map((column) => quoteName(column.name));
  const read = [`t.${key}::text`, `t.${revision}::text`, 't.xmin::text', ...names.map((name) => `t.${name}::text`)];
  const wanted = `
select ${read.join(', ')}
from ${table} as t
where t.${key} = any($1::${rows.key.sqlType}[])`;
  return {
    select: {
      optimistic: statement(wanted),
      // In the order of keys, so that two who lock the same rows do not wait for each other.
      rows: statement(`${wanted}
order by t.${key}
for no key update of t`),
      tables: statement(wanted),
    },
    lock: statement(`lock table ${table} in share row exclusive mode`),
    write: (what, parameter) => {
      switch (what) {
        case 'delete':
          return deleteSql({ rows, table, key }, parameter);
        case 'update':
          return updateSql({ rows, table, key }, parameter);
        case 'insert':
          return insertSql({ rows, table, key }, parameter);
      }
    },
  };
}

interface Names {
  readonly rows: RowStore<unknown>;
  readonly table: string;
  readonly key: string;
}

/** Parameters: keys, versions. The key is compared in its own type, so that its index serves. */
function deleteSql({ rows, table, key }: Names, parameter: Placeholder): string {
  return `delete from ${table} as t
  using unnest(${parameter(0)}::${rows.key.sqlType}[], ${parameter(1)}::xid[]) as v (key, version)
  where t.${key} = v.key
    and t.xmin = v.version
  returning 1`;
}

/** Parameters: keys, versions, revisions, then one array per column. */
function updateSql({ rows, table, key }: Names, parameter: Placeholder): string {
  const sets = rows.columns.map((column, at) => `, ${quoteName(column.name)} = ${valueOf(column, at)}`);
  return `update ${table} as t
  set ${quoteName(rows.revisionColumn)} = v.revision${sets.join('')}
  from unnest(${parameter(0)}::${rows.key.sqlType}[], ${parameter(1)}::xid[], ${parameter(2)}::bigint[]${arrays(rows, 3, parameter)})
    as v (key, version, revision${columnNames(rows)})
  where t.${key} = v.key
    and t.xmin = v.version
  returning 1`;
}

/** Parameters: keys, revisions, then one array per column. */
function insertSql({ rows, table, key }: Names, parameter: Placeholder): string {
  const names = rows.columns.map((column) => `, ${quoteName(column.name)}`);
  const values = rows.columns.map((column, at) => `, ${valueOf(column, at)}`);
  return `insert into ${table} (${key}, ${quoteName(rows.revisionColumn)}${names.join('')})
  select v.key, v.revision${values.join('')}
  from unnest(${parameter(0)}::${rows.key.sqlType}[], ${parameter(1)}::bigint[]${arrays(rows, 2, parameter)})
    as v (key, revision${columnNames(rows)})
  on conflict (${key}) do nothing
  returning 1`;
}

function arrays(rows: RowStore<unknown>, first: number, parameter: Placeholder): string {
  return rows.columns
    .map((column, at) => `, ${parameter(first + at)}::${isArray(column) ? 'text' : column.sqlType}[]`)
    .join('');
}

function columnNames(rows: RowStore<unknown>): string {
  return rows.columns.map((_, at) => `, c${at}`).join('');
}

/** An array of arrays would be unnested all the way down, so arrays travel as text. */
function valueOf(column: MappedColumn, at: number): string {
  return isArray(column) ? `v.c${at}::${column.sqlType}` : `v.c${at}`;
}

function isArray(column: MappedColumn): boolean {
  return column.sqlType.endsWith(']');
}

/** How many parameters `write` takes. */
export function parameterCount(rows: RowStore<unknown>, what: RowWrite): number {
  switch (what) {
    case 'delete':
      return 2;
    case 'update':
      return 3 + rows.columns.length;
    case 'insert':
      return 2 + rows.columns.length;
  }
}

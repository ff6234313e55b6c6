// Owns the comparison of a mapping with the catalogue: what would go wrong later, and for every command, is said in one sentence at start.
import { OnelaneError } from '../process/errors.ts';
import type { MappedColumn, RowStore } from './row-store.ts';

export class TableMismatch extends OnelaneError {
  readonly code = 'table-mismatch' as const;
}

export interface TableCheck {
  readonly text: string;
  readonly values: readonly unknown[];
  /** `found`: the rows of that statement, as records. Null: the table is as it is mapped. */
  judge(found: readonly unknown[]): TableMismatch | null;
}

/** Whether the table of that schema and name is one of Onelane's own. */
export type IsOwn = (schema: string, table: string) => boolean;

/** One statement for whoever holds a connection; it needs no rights on the table itself. */
export function tableCheck(rows: RowStore<unknown>, isOwn: IsOwn): TableCheck {
  const [first = '', second] = rows.table.split('.');
  const mapped = [rows.key, { name: rows.revisionColumn, sqlType: 'bigint' }, ...rows.columns];
  return {
    text: CHECK,
    values: [
      second === undefined ? null : first,
      second ?? first,
      mapped.map((column) => column.name),
      mapped.map((column) => column.sqlType),
    ],
    judge: (found) => {
      const columns = found.map(readRow);
      const fault = ownFault(columns, isOwn) ?? faultOf(rows, mapped, columns);
      return fault === null ? null : new TableMismatch(`table ${JSON.stringify(rows.table)}: ${fault}`);
    },
  };
}

/** A row for each column of the table; of the table itself every row tells the same. Types of domains are those beneath them. */
const CHECK = `
with recursive relation as (
  select c.oid, c.relkind, c.relhasrules, n.nspname::text as schema, c.relname::text as table,
    has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
      and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete') as is_ours,
    exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal and t.tgtype & 7 = 7) as fills_in
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.oid = to_regclass(case when $1::text is null then '' else quote_ident($1) || '.' end || quote_ident($2))
), base as (
  select a.attnum, a.atttypid as type, a.atttypmod as modifier
  from pg_attribute a
  join relation r on r.oid = a.attrelid
  where a.attnum > 0 and not a.attisdropped
  union all
  select b.attnum, t.typbasetype, case when b.modifier = -1 then t.typtypmod else b.modifier end
  from base b
  join pg_type t on t.oid = b.type
  where t.typtype = 'd'
), mapping as (
  select * from unnest($3::text[], $4::text[]) as m (name, type)
)
select
  r.schema, r.table, r.relkind::text as kind, r.relhasrules as has_rules, r.is_ours, r.fills_in,
  a.attname::text as name,
  format_type(b.type, null) as type,
  b.modifier,
  a.attnotnull as is_not_null,
  a.atthasdef or a.attidentity <> '' as has_default,
  a.attgenerated <> '' or a.attidentity = 'a' as is_generated,
  coalesce(c.collisdeterministic, true) as is_exact,
  format_type(to_regtype(m.type), null) as mapped_type,
  exists (
    select from pg_index i
    where i.indrelid = r.oid and i.indisunique and i.indimmediate and i.indisvalid
      and i.indpred is null and i.indexprs is null and i.indnkeyatts = 1 and i.indkey[0] = a.attnum
  ) as is_unique
from relation r
left join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join lateral (
  select * from base where base.attnum = a.attnum and not exists (select from pg_type where oid = base.type and typtype = 'd')
) b on true
left join pg_collation c on c.oid = a.attcollation
left join mapping m on m.name = a.attname
order by a.attnum`;

interface Found {
  readonly schema: string;
  readonly table: string;
  readonly kind: string;
  readonly has_rules: boolean;
  readonly is_ours: boolean;
  /** A trigger before inserts may give values that nobody maps. */
  readonly fills_in: boolean;
  readonly name: string | null;
  readonly type: string;
  readonly modifier: number;
  readonly is_not_null: boolean;
  readonly has_default: boolean;
  readonly is_generated: boolean;
  readonly is_exact: boolean;
  readonly mapped_type: string | null;
  readonly is_unique: boolean;
}

// The statement above names exactly these columns.
const readRow = (row: unknown): Found => row as Found;

function ownFault([table]: readonly Found[], isOwn: IsOwn): string | null {
  if (table === undefined || !isOwn(table.schema, table.table)) return null;
  return 'it is one of Onelane’s own; make a table of yours in another schema, and name it with that schema';
}

function faultOf(rows: RowStore<unknown>, mapped: readonly MappedColumn[], found: readonly Found[]): string | null {
  const [table] = found;
  if (table === undefined)
    return 'there is no such table; make it (the config’s sql files run at start) or correct its name';
  if (!['r', 'p'].includes(table.kind))
    return 'it is no ordinary table, but a view or a foreign one; map the table behind it';
  if (table.has_rules) return 'it has rewrite rules, which PostgreSQL does not allow here; use triggers';
  if (!table.is_ours) return 'this database user may not select, insert, update and delete; grant all four';
  const columns = new Map(found.flatMap((column) => (column.name === null ? [] : [[column.name, column] as const])));
  for (const column of mapped) {
    const fault = columnFault(column, columns.get(column.name), table);
    if (fault !== null) return `column ${JSON.stringify(column.name)} ${fault}`;
  }
  const keyFault = faultOfKey(columns.get(rows.key.name));
  if (keyFault !== null) return `key column ${JSON.stringify(rows.key.name)} ${keyFault}`;
  if (columns.get(rows.revisionColumn)?.is_not_null !== true)
    return `revision column ${JSON.stringify(rows.revisionColumn)} may be null; make it not null default 0`;
  return unmappedFault(mapped, columns, table);
}

function columnFault(column: MappedColumn, found: Found | undefined, table: Found): string | null {
  if (found === undefined) return 'does not exist; add it or correct its name';
  if (found.is_generated) return 'is always generated by the database, so nothing can be written to it; do not map it';
  if (!fits(found)) {
    return `is ${found.type}, but mapped as ${column.sqlType}; use the codec of its own type`;
  }
  return digitsFault(column, found) ?? nullFault(column, found, table);
}

function digitsFault(column: MappedColumn, found: Found): string | null {
  if (!('digits' in column)) return null;
  const kept = digitsOf(found);
  if (kept === column.digits || (kept === null && found.type !== 'numeric')) return null;
  if (kept === null) return 'keeps any number of digits; map it without a scale';
  return found.type === 'numeric'
    ? `keeps ${kept} digits behind the point and would round; map it with { scale: ${kept} }`
    : `keeps ${kept} digits of a second and would round; widen it to 6`;
}

function nullFault(column: MappedColumn, found: Found, table: Found): string | null {
  if (!('isNullable' in column)) return null;
  if (column.isNullable !== true && !found.is_not_null)
    return 'may be null; map it with nullable(…) or make it not null';
  if (column.isNullable === true && found.is_not_null && !table.fills_in)
    return 'is not null, but mapped with nullable(…); map it without';
  return null;
}

/** `varchar` of any length is text to us; `char` and `citext` are not: they compare or print otherwise than they were written. */
function fits(found: Found): boolean {
  return found.type === found.mapped_type || (found.type === 'character varying' && found.mapped_type === 'text');
}

/** Behind the point, or of a second; null: as many as there are. */
function digitsOf({ type, modifier }: Found): number | null {
  if (modifier < 0) return null;
  // numeric keeps its scale in the lower eleven bits, which have a sign, behind an offset of four.
  if (type === 'numeric') return (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  return type.startsWith('timestamp') ? modifier : null;
}

function faultOfKey(key: Found | undefined): string | null {
  if (key?.is_unique !== true)
    return 'has no unique index of its own (not deferrable, not partial); make it the primary key or unique';
  if (!key.is_not_null) return 'may be null; make it not null';
  return key.is_exact ? null : 'has a collation in which different texts are equal; use a deterministic one';
}

function unmappedFault(
  mapped: readonly MappedColumn[],
  columns: ReadonlyMap<string, Found>,
  table: Found,
): string | null {
  if (table.fills_in) return null;
  const names = new Set(mapped.map((column) => column.name));
  for (const [name, column] of columns) {
    if (names.has(name) || !column.is_not_null || column.has_default || column.is_generated) continue;
    return `column ${JSON.stringify(name)} is not null and has no default, so no row can be made; map it or give it a default`;
  }
  return null;
}

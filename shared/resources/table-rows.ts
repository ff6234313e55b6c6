// Owns the ordinary row store: a resource type's rows in the developer's own table, described by names and codecs.
import { OnelaneError } from '../process/errors.ts';
import type { Column } from './columns.ts';
import { canonicalKey, type KeyType } from './keys.ts';
import type { MappedColumn, RowStore } from './row-store.ts';

/** State properties and their columns; the state's type follows from the codecs. */
export type Columns = Readonly<Record<string, Column<unknown>>>;

export type StateOf<Mapped> = {
  readonly [Property in keyof Mapped]: Mapped[Property] extends Column<infer Value> ? Value : never;
};

export interface TableMapping<Mapped> {
  /** `account`, or `schema.account`; upper and lower case count. */
  readonly table: string;
  /** Must have a unique index of its own. The subject is the key's text. */
  readonly key: { readonly column: string; readonly type: KeyType };
  /** A bigint column, not null, that counts the commands which changed the row. */
  readonly revision: string;
  /** Only these are ever written; the others keep their values, or get their defaults when a row is made. */
  readonly columns: Mapped;
}

export class TableMappingMalformed extends OnelaneError {
  readonly code = 'table-mapping-malformed' as const;
}

/** What the catalogue must agree with; see table-check. */
export interface TableRowStore<State> extends RowStore<State> {
  readonly columns: readonly TableColumn[];
}

export interface TableColumn extends MappedColumn {
  readonly isNullable: boolean;
  readonly digits: number | null;
}

/**
 * `tableRows({ table: 'account', key: { column: 'id', type: 'bigint' }, revision: 'revision', columns: { balance: bigint('balance') } })`.
 * Throws TableMappingMalformed; whether the table is really like that, `tableCheck` asks the database.
 */
export function tableRows<Mapped extends Readonly<Record<string, Column<unknown>>>>(
  mapping: TableMapping<Mapped>,
): TableRowStore<StateOf<Mapped>> {
  const parts = Object.entries(mapping.columns).map(([property, column]) => partOf(property, column));
  const columns = parts.map(({ mapped }) => mapped);
  refuseMalformed(mapping, columns);
  const { column, type } = mapping.key;
  return {
    table: mapping.table,
    key: { name: column, sqlType: type },
    revisionColumn: mapping.revision,
    columns,
    canonicalSubject: (subject) => canonicalKey(type, subject),
    encode: (state) => encodeState(parts, state),
    // Built property by property from the codecs that StateOf is derived from.
    decode: (values) => decodeState(parts, values) as StateOf<Mapped>,
  };
}

interface Part {
  readonly property: string;
  readonly mapped: TableColumn;
  readonly codec: Column<unknown>;
}

function partOf(property: string, codec: Column<unknown>): Part {
  const { name, sqlType, isNullable, digits } = codec;
  return { property, codec, mapped: { name: name ?? property, sqlType, isNullable, digits } };
}

function encodeState(parts: readonly Part[], state: object): readonly (string | null)[] {
  return parts.map(({ property, codec, mapped }) => {
    const value: unknown = Reflect.get(state, property);
    if (value === undefined) throw new StateNotStorable(missingSentence(property, mapped));
    try {
      return codec.encode(value);
    } catch (cause) {
      throw withColumn(cause, mapped);
    }
  });
}

function decodeState(parts: readonly Part[], values: readonly (string | null)[]): object {
  const state: Record<string, unknown> = {};
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at];
    if (part === undefined) continue;
    try {
      state[part.property] = part.codec.decode(values[at] ?? null);
    } catch (cause) {
      throw withColumn(cause, part.mapped);
    }
  }
  return state;
}

function withColumn(cause: unknown, column: TableColumn): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StateNotStorable(`column ${JSON.stringify(column.name)}: ${why}`, { cause });
}

export class StateNotStorable extends OnelaneError {
  readonly code = 'state-not-storable' as const;
}

function missingSentence(property: string, column: TableColumn): string {
  return `the state has no property ${JSON.stringify(property)} (column ${JSON.stringify(column.name)}): give it a value${column.isNullable ? ', or null' : ''}`;
}

/** What PostgreSQL would cut off a longer name, and then mean another column. */
const NAME_BYTES_MAX = 63;
const KEY_TYPES: readonly string[] = ['text', 'bigint', 'integer', 'uuid'] satisfies KeyType[];

function refuseMalformed(mapping: TableMapping<unknown>, columns: readonly TableColumn[]): void {
  const { table, key, revision } = mapping;
  const fault = (sentence: string): never => {
    throw new TableMappingMalformed(`tableRows for ${JSON.stringify(table)}: ${sentence}`);
  };
  const parts = String(table).split('.');
  if (parts.length > 2 || parts.some(isNoName)) fault('write the table as "table" or "schema.table"');
  if (!KEY_TYPES.includes(key.type)) fault(`the key's type must be one of ${KEY_TYPES.join(', ')}`);
  const names = [key.column, revision, ...columns.map((column) => column.name)];
  for (const name of names) {
    if (isNoName(name)) fault(`${JSON.stringify(name)} is no column name: 1 to ${NAME_BYTES_MAX} bytes, no NUL`);
  }
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    fault(`column ${JSON.stringify(twice)} is mapped twice: key, revision and columns must differ`);
}

function isNoName(name: unknown): boolean {
  return typeof name !== 'string' || name === '' || name.includes('\u0000') || Buffer.byteLength(name) > NAME_BYTES_MAX;
}

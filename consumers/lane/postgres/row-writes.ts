// Owns the one statement that writes a batch's rows, of all tables at once, and counts them itself.
import type { ResourceTypeName } from '../../../shared/command/identity.ts';
import { invariant } from '../../../shared/process/errors.ts';
import { quotedArray } from '../../../shared/resources/array-text.ts';
import type { ResourceTypes } from '../../../shared/resources/resource-type.ts';
import type { RowStore } from '../../../shared/resources/row-store.ts';
import type { RowChange, RowLocking } from '../batch-store.ts';
import { statement, type Answer, type Flush, type Parameter, type Statement } from './flush.ts';
import { parameterCount, tableSql, type Placeholder, type RowWrite, type TableSql } from './table-sql.ts';

/** Foreign keys are checked when it ends, so a child may move to a parent that the same batch makes, and leave one that it deletes. */
export class RowWrites {
  readonly #schema: string;
  readonly #tables: readonly Table[];
  readonly #numbers: ReadonlyMap<ResourceTypeName, number>;
  readonly #attempt: Statement;
  readonly #statements = new Map<string, Statement>();

  constructor(schema: string, types: ResourceTypes) {
    this.#schema = schema;
    this.#attempt = statement(`select unnest(${schema}.attempt_rows($1, $2::text[]))`);
    this.#tables = [...types.values()].map(({ rows }) => ({ rows, sql: tableSql(rows) }));
    this.#numbers = new Map([...types.keys()].map((name, at) => [name, at]));
  }

  /** Sends nothing when no row changes. */
  send(flush: Flush, changes: readonly RowChange[], locking: RowLocking): void {
    const parts = this.#sort(changes);
    if (parts.length === 0) return;
    flush.send(this.#statementFor(parts), valuesOf(parts, locking));
  }

  /** The same under a savepoint of its own, which never fails; see attemptFailure. Null when no row changes. */
  sendAttempt(flush: Flush, changes: readonly RowChange[], locking: RowLocking): number | null {
    const parts = this.#sort(changes);
    if (parts.length === 0) return null;
    const text = writeSql(parts, this.#schema, (at) => `($1)[${at + 1}]`);
    return flush.send(this.#attempt, [text, quotedArray(valuesOf(parts, locking).map(String))]);
  }

  /** Deletes, updates, inserts; within each in the order of the types. */
  #sort(changes: readonly RowChange[]): readonly Part[] {
    const parts = new Map<number, Part>();
    const tables = this.#tables.length;
    for (const change of changes) {
      const what = writeOf(change);
      const number = this.#numbers.get(change.type);
      const table = number === undefined ? undefined : this.#tables[number];
      if (what === null) continue;
      invariant(table !== undefined && number !== undefined, `${change.type} is a configured resource type`);
      const place = ORDER.indexOf(what) * tables + number;
      let part = parts.get(place);
      if (part === undefined) {
        part = { what, table, number, count: 0, arrays: emptyArrays(parameterCount(table.rows, what)) };
        parts.set(place, part);
      }
      add(part, change);
    }
    return [...parts.keys()].sort((one, other) => one - other).flatMap((place) => parts.get(place) ?? []);
  }

  #statementFor(parts: readonly Part[]): Statement {
    const shape = parts.map(({ what, number }) => `${what} ${number}`).join();
    let found = this.#statements.get(shape);
    if (found === undefined) {
      found = statement(writeSql(parts, this.#schema, (at) => `$${at + 1}`));
      this.#statements.set(shape, found);
    }
    return found;
  }
}

interface Table {
  readonly rows: RowStore<unknown>;
  readonly sql: TableSql;
}

/** Mutable while one batch is sorted. */
interface Part {
  readonly what: RowWrite;
  readonly table: Table;
  readonly number: number;
  count: number;
  readonly arrays: (string | null)[][];
}

const ORDER: readonly RowWrite[] = ['delete', 'update', 'insert'];

function writeOf({ before, after }: RowChange): RowWrite | null {
  if (before !== null) return after === null ? 'delete' : 'update';
  return after === null ? null : 'insert';
}

function emptyArrays(count: number): (string | null)[][] {
  return Array.from({ length: count }, () => []);
}

function add(part: Part, { before, after, subject }: RowChange): void {
  const { arrays } = part;
  let at = 0;
  part.count++;
  arrays[at++]?.push(subject);
  if (before !== null) arrays[at++]?.push(before.version);
  if (after === null) return;
  arrays[at++]?.push(String(after.revision));
  for (const value of after.values) arrays[at++]?.push(value);
}

/** Of sendAttempt: what the database said against it, as the error that it would have been; null when it was written. */
export function attemptFailure(answer: Answer | undefined): Error | null {
  const [code, message, schema, table, constraint] = answer?.rows.map((row) => row[0] ?? '') ?? [];
  if (code === undefined) return null;
  return Object.assign(new Error(message), { code, severity: 'ERROR', schema, table, constraint });
}

function valuesOf(parts: readonly Part[], locking: RowLocking): readonly Parameter[] {
  const values: Parameter[] = [];
  for (const part of parts) for (const array of part.arrays) values.push(quotedArray(array));
  for (const what of ORDER) values.push(parts.reduce((sum, part) => (part.what === what ? sum + part.count : sum), 0));
  values.push(locking);
  return values;
}

/** The last select names the counts in this order, and that is the order in which the parts run. */
function writeSql(parts: readonly Part[], schema: string, parameter: Placeholder): string {
  let next = 0;
  const ctes = parts.map(({ what, table, number }) => {
    const first = next;
    next += parameterCount(table.rows, what);
    return `${what}_${number} as (
  ${table.sql.write(what, (at) => parameter(first + at))}
)`;
  });
  const counted = ORDER.map((what) => {
    const counts = parts
      .filter((part) => part.what === what)
      .map(({ number }) => `(select count(*) from ${what}_${number})`);
    return counts.length === 0 ? '0' : counts.join(' + ');
  });
  const expected = [0, 1, 2].map((at) => `${parameter(next + at)}::bigint`).join(', ');
  return `
with ${ctes.join(', ')}
select ${schema}.expect_rows(${counted.join(', ')}, ${expected}, ${parameter(next + 3)}::text)::text`;
}

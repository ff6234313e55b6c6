// Owns recall: everything that a batch must know before it can be planned, in one look-up and one select for each resource type.
import {
  resourceKey,
  revision,
  trustedCommandId,
  trustedContent,
  trustedEntryHash,
  trustedKey,
  type CommandId,
  type EntryHash,
  type Partition,
  type ResourceKey,
  type ResourceTypeName,
  type Revision,
} from '../../../shared/command/identity.ts';
import { invariant } from '../../../shared/process/errors.ts';
import { hexArray, plainArray, quotedArray } from '../../../shared/resources/array-text.ts';
import type { ResourceTypes } from '../../../shared/resources/resource-type.ts';
import type { RowStore, StoredRow } from '../../../shared/resources/row-store.ts';
import type { Hold, KnownCommand, Recall, RowLocking, Wanted } from '../batch-store.ts';
import { statement, type Answer, type Flush, type Statement, type TextRow } from './flush.ts';
import { RecalledRow } from './recalled-row.ts';
import { tableSql, type TableSql } from './table-sql.ts';

export interface RecallStatements {
  readonly books: Statement;
  readonly tables: ReadonlyMap<ResourceTypeName, { readonly rows: RowStore<unknown>; readonly sql: TableSql }>;
}

export function recallStatements(schema: string, types: ResourceTypes): RecallStatements {
  return {
    // Most systems have nothing set aside: asking each table first whether it holds anything spares a probe per name.
    books: statement(`
select 'known', id::text, resource, encode(content, 'hex')
from ${schema}.ledger
where id = any($1::uuid[])
union all
select 'known', id::text, resource, encode(content, 'hex')
from ${schema}.parked
where id = any($1::uuid[])
  and exists (select from ${schema}.parked)
union all
select 'hold', null, resource, next_number::text
from ${schema}.hold
where resource = any($2::text[])
  and exists (select from ${schema}.hold)
union all
select 'last', null, resource, revision::text
from ${schema}.last_revision
where resource = any($2::text[])
  and exists (select from ${schema}.last_revision)
union all
select 'stray', null, null, encode(hash, 'hex')
from ${schema}.stray
where partition = $3
  and hash = any($4::bytea[])
union all
select 'stray', null, null, encode(hash, 'hex')
from ${schema}.stray
where partition = $3
  and id = any($1::uuid[])
  and exists (select from ${schema}.stray where partition = $3)`),
    tables: new Map([...types].map(([name, { rows }]) => [name, { rows, sql: tableSql(rows) }])),
  };
}

/** Where in a flush the answers to one recall stand. */
export interface RecallSent {
  readonly books: number;
  readonly rows: readonly { readonly type: ResourceTypeName; readonly rows: RowStore<unknown>; readonly at: number }[];
}

export function sendRecall(
  flush: Flush,
  statements: RecallStatements,
  wanted: Wanted,
  about: { readonly partition: Partition; readonly locking: RowLocking },
): RecallSent {
  const tables = [...wanted.subjects].map(([type, subjects]) => {
    const table = statements.tables.get(type);
    invariant(table !== undefined, `${type} is a configured resource type`);
    return { type, subjects, ...table };
  });
  if (about.locking === 'tables') {
    // Always in the same order: two lanes that lock the same tables queue up instead of blocking each other.
    for (const text of [...new Set(tables.map(({ sql }) => sql.lock))].sort(byText)) flush.send(text);
  }
  const books = flush.send(statements.books, [
    plainArray(wanted.ids),
    quotedArray(wanted.keys),
    about.partition,
    hexArray(wanted.entries.map((entry) => entry.hash)),
  ]);
  const rows = tables.map(({ type, subjects, rows, sql }) => ({
    type,
    rows,
    at: flush.send(sql.select[about.locking], [quotedArray(subjects)]),
  }));
  return { books, rows };
}

export function readRecall(answers: readonly Answer[], sent: RecallSent): Recall {
  const books = readBooks(answers[sent.books]?.rows ?? []);
  const rows = new Map<ResourceKey, StoredRow>();
  for (const { type, rows: store, at } of sent.rows) {
    for (const row of answers[at]?.rows ?? []) {
      rows.set(resourceKey(type, row[0] ?? ''), new RecalledRow(store, row));
    }
  }
  return { ...books, rows };
}

function readBooks(found: readonly TextRow[]): Omit<Recall, 'rows'> {
  const known = new Map<CommandId, KnownCommand[]>();
  const holds = new Map<ResourceKey, Hold>();
  const lastRevisions = new Map<ResourceKey, Revision>();
  const strays = new Set<EntryHash>();
  for (const [kind, id, resource, value] of found) {
    const key = trustedKey(resource ?? '');
    switch (kind) {
      case 'known': {
        const command = trustedCommandId(id ?? '');
        const use = { key, content: trustedContent(value ?? '') };
        const others = known.get(command);
        if (others === undefined) known.set(command, [use]);
        else others.push(use);
        break;
      }
      case 'hold':
        holds.set(key, { nextNumber: Number(value) });
        break;
      case 'last':
        lastRevisions.set(key, revision(value ?? '0'));
        break;
      default:
        strays.add(trustedEntryHash(value ?? ''));
    }
  }
  return { known, holds, lastRevisions, strays };
}

function byText(one: Statement, other: Statement): number {
  return one.text < other.text ? -1 : 1;
}

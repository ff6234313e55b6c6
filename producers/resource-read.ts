// Owns reading one resource's row for a caller; only lanes write it.
import { revision, type Revision } from '../shared/command/identity.ts';
import type { Database } from '../shared/postgres/database.ts';
import { quoteTable } from '../shared/postgres/schema-name.ts';
import type { RowStore } from '../shared/resources/row-store.ts';

export interface ReadResource {
  readonly state: unknown;
  readonly revision: Revision;
}

/** null: there is no such row. Rejects when the database cannot be read. */
export async function readResource(
  db: Database,
  rows: RowStore<unknown>,
  subject: string,
): Promise<ReadResource | null> {
  const found = await db.pool.query<(string | null)[]>({
    text: selectOf(rows),
    values: [subject],
    rowMode: 'array',
  });
  const row = found.rows[0];
  if (row === undefined) return null;
  const [count, ...values] = row;
  return { state: rows.decode(values), revision: revision(count ?? '0') };
}

/** Names come from the developer's own configuration and are quoted; the subject is a parameter. */
function selectOf(rows: RowStore<unknown>): string {
  const columns = rows.columns.map((column) => `,\n  ${quoteName(column.name)}::text`).join('');
  return `
select
  ${quoteName(rows.revisionColumn)}::text${columns}
from ${quoteTable(rows.table)}
where ${quoteName(rows.key.name)} = $1::text::${rows.key.sqlType}`;
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

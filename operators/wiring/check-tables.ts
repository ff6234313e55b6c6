// Owns asking the database whether the developer's tables are as they are mapped.
import type { Database } from '../../shared/postgres/database.ts';
import { isOwnTable } from '../../shared/postgres/own-tables.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import { tableCheck, type IsOwn, type TableMismatch } from '../../shared/resources/table-check.ts';

/** Throws TableMismatch for the first table that is not. */
export async function checkTables(db: Database, types: ResourceTypes): Promise<void> {
  const [first] = await tableMismatches(db, types);
  if (first !== undefined) throw first;
}

export async function tableMismatches(db: Database, types: ResourceTypes): Promise<readonly TableMismatch[]> {
  const found: TableMismatch[] = [];
  const isOwn: IsOwn = (schema, table) => schema === db.schema && isOwnTable(table);
  for (const { rows } of types.values()) {
    const check = tableCheck(rows, isOwn);
    const answer = await db.pool.query<Record<string, unknown>>(check.text, [...check.values]);
    const mismatch = check.judge(answer.rows);
    if (mismatch !== null) found.push(mismatch);
  }
  return found;
}

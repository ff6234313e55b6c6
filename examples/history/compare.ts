// Owns the comparison of the table with the tree: content and revision of every path, and nothing else in the table.
import pg from 'pg';
import type { Change } from './input.ts';

export interface CompareGiven {
  readonly databaseUrl: string;
  readonly changes: readonly Change[];
  readonly tree: ReadonlyMap<string, string>;
  readonly prefixes: readonly string[];
}

/** A sentence for each difference. */
export async function compare(given: CompareGiven): Promise<readonly string[]> {
  const rows = await readRows(given);
  const countOf = changesPerPath(given.changes);
  const wrong: string[] = [];
  for (const prefix of given.prefixes) {
    for (const [path, blob] of given.tree) {
      const row = rows.get(prefix + path);
      rows.delete(prefix + path);
      const count = String(countOf.get(path) ?? 0);
      if (row === undefined) wrong.push(`${prefix}${path} is missing`);
      else if (row.blob !== blob) wrong.push(`${prefix}${path} is ${row.blob} and should be ${blob}`);
      else if (row.revision !== count) wrong.push(`${prefix}${path} was changed ${row.revision} times, not ${count}`);
    }
  }
  for (const path of rows.keys()) wrong.push(`${path} should not exist`);
  return wrong;
}

interface Row {
  readonly path: string;
  readonly blob: string;
  readonly revision: string;
}

/** What stands under these prefixes. The table may hold more from earlier runs under others. */
async function readRows({ databaseUrl, prefixes }: CompareGiven): Promise<Map<string, Row>> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'onelane-example' });
  await client.connect();
  try {
    const { rows } = await client.query<Row>('select path, blob, revision::text from files');
    const ours = rows.filter(({ path }) => prefixes.includes(prefixOf(path)));
    return new Map(ours.map((row) => [row.path, row]));
  } finally {
    await client.end();
  }
}

/** `''` for one pass, else as many prefixes as there are repeats. */
export function prefixesFor(repeat: number): readonly string[] {
  return repeat === 1 ? [''] : Array.from({ length: repeat }, (_, index) => `repeat-${index + 1}/`);
}

function prefixOf(path: string): string {
  return /^repeat-\d+\//.exec(path)?.[0] ?? '';
}

function changesPerPath(changes: readonly Change[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { path } of changes) counts.set(path, (counts.get(path) ?? 0) + 1);
  return counts;
}

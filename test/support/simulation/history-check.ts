// Owns the exact comparison at the end of a fault run: table, revisions and ledger against the history, every difference named.
import type pg from 'pg';
import type { History } from './history.ts';

export interface CheckGiven {
  readonly client: Pick<pg.Client, 'query'>;
  /** Onelane's schema, quoted. */
  readonly schema: string;
  readonly history: History;
  readonly prefixes: readonly string[];
}

/** Sentences, at most a few of each kind; none: exact. */
export async function differences(given: CheckGiven): Promise<readonly string[]> {
  return [
    ...(await tableDifferences(given)),
    ...(await revisionDifferences(given)),
    ...(await ledgerDifferences(given)),
    ...(await asideDifferences(given)),
  ];
}

const SHOWN = 5;

async function tableDifferences({ client, history, prefixes }: CheckGiven): Promise<readonly string[]> {
  const { rows } = await client.query<{ path: string; blob: string; revision: string }>(
    'select path, blob, revision::text from files',
  );
  const found = new Map(rows.map((row) => [row.path, row]));
  const wrong: string[] = [];
  for (const prefix of prefixes) {
    for (const [path, blob] of history.tree) {
      const key = `${prefix}/${path}`;
      const row = found.get(key);
      found.delete(key);
      if (row?.blob !== blob) wrong.push(`${key} is ${row?.blob ?? 'missing'}, not ${blob}`);
      const changes = String(history.changesOf.get(path));
      if (row !== undefined && row.revision !== changes)
        wrong.push(`${key} has revision ${row.revision}, not ${changes}`);
    }
  }
  wrong.push(...[...found.keys()].map((key) => `${key} should not exist`));
  return wrong.slice(0, SHOWN);
}

/** Of paths that are gone at the end, the count goes on elsewhere. */
async function revisionDifferences({ client, schema, history, prefixes }: CheckGiven): Promise<readonly string[]> {
  const { rows } = await client.query<{ resource: string; revision: string }>(
    `select resource, revision::text from ${schema}.last_revision`,
  );
  const found = new Map(rows.map((row) => [row.resource, row.revision]));
  const wrong: string[] = [];
  for (const prefix of prefixes) {
    for (const [path, changes] of history.changesOf) {
      if (history.tree.has(path)) continue;
      const revision = found.get(`file/${prefix}/${path}`);
      if (revision !== String(changes))
        wrong.push(`${prefix}/${path} was last at ${revision ?? 'nothing'}, not ${changes}`);
    }
  }
  return wrong.slice(0, SHOWN);
}

/** Each command exactly once, applied; and per resource the revisions 1, 2, 3 … without a gap. */
async function ledgerDifferences({ client, schema, history, prefixes }: CheckGiven): Promise<readonly string[]> {
  const { rows } = await client.query<{ outcome: string; rows: string; ids: string }>(
    `select outcome, count(*)::text as rows, count(distinct id)::text as ids from ${schema}.ledger group by outcome`,
  );
  const expected = String(history.changes.length * prefixes.length);
  const wrong = rows
    .filter((row) => row.outcome !== 'applied')
    .map((row) => `${row.rows} commands are ${row.outcome}, which none should be`);
  const applied = rows.find((row) => row.outcome === 'applied');
  if (applied?.rows !== expected || applied.ids !== expected) {
    wrong.push(`the ledger has ${applied?.rows ?? 0} applied of ${applied?.ids ?? 0} ids, not ${expected} of each`);
  }
  const { rows: gaps } = await client.query<{ resource: string }>(
    `select resource
     from ${schema}.ledger
     group by resource
     having min(revision) <> 1 or max(revision) <> count(*) or count(distinct revision) <> count(*)
     limit ${SHOWN}`,
  );
  return [...wrong, ...gaps.map(({ resource }) => `the outcomes of ${resource} do not count 1, 2, 3 …`)];
}

async function asideDifferences({ client, schema }: CheckGiven): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const table of ['parked', 'hold', 'stray']) {
    const { rows } = await client.query<{ count: string }>(`select count(*)::text from ${schema}.${table}`);
    if (rows[0]?.count !== '0') wrong.push(`${rows[0]?.count} rows in ${table}, which none should be`);
  }
  const { rows: halted } = await client.query<{ partition: number; halted_detail: string }>(
    `select partition, halted_detail from ${schema}.tenure where halted_code is not null`,
  );
  return [...wrong, ...halted.map((row) => `partition ${row.partition} has halted: ${row.halted_detail}`)];
}
